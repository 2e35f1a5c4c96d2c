"""Why something does not run as replicas, in words that say what to change."""

from __future__ import annotations

from credbench.conformance.result import raised
from credbench.tracing import where


def vectorization_fails(kind: str, error: Exception) -> str:
    """Return what to change where torch.func.vmap fails, by what torch says of it.

    The kind is that of what fails: only learners have draws to ask for.
    """
    text = str(error)
    if "random operation" in text:
        return _DRAWS.format(where(error), _ASK if kind == "algorithm" else _LEAVE)
    for told, sentence in _REASONS.items():
        if told in text:
            return sentence.format(where(error))
    return f"replicas fail under torch.func.vmap: {raised(error)}; look there"


_REASONS = {
    "item()": "reads a value of a tensor, of which replicas have one each, at {}: keep it a tensor",
    "data-dependent control flow": "branches on a value, of which replicas have one each, at {}: "
    "take torch.where or a multiplication by the condition",
    "in-place": "writes in place, into what replicas share, at {}: compute a new tensor",
    "inplace": "writes in place, into what replicas share, at {}: compute a new tensor",
    "performance drop": "takes an operation of which torch has no batched form, at {}: take "
    "another, or replicas are computed one by one",
}
_DRAWS = "draws at random of its own, which replicas would share, at {}: {}"
_ASK = "ask for normal draws with noise(net, phase) and take them from step.noise"
_LEAVE = "leave the draws out"
