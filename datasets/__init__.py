"""Datasets: one close family a file, found by looking here."""

if __name__ != "credbench.datasets":
    raise ImportError(
        f"{__name__!r} here is a folder of credbench's checkout: import credbench.datasets, "
        "or start Python outside the checkout to reach another package of that name"
    )
