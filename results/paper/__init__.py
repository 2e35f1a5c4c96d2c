"""The paper's published numbers, as data."""

if __name__ != "credbench.paper":
    raise ImportError(f"{__name__!r} is a folder of credbench's checkout: import credbench.paper")
