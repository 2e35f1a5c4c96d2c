"""What to do about errors whose own words do not say it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError


def advice(kind: str, error: Exception) -> str:
    """Return what to do about an error that a component of a kind raised."""
    if isinstance(error, FrozenInstanceError):
        return _FROZEN.get(kind, "it is frozen, so set nothing on it")
    if "does not require grad" in str(error):
        return f"steps run without autograd's tape, so {_TAPE.get(kind, _FUNC)}"
    return "mend that first"


_FUNC = "differentiate with torch.func.grad"
_FROZEN = {
    "algorithm": "a learner is frozen, so keep it in state (init_state, returned as Updates.state)",
}
_TAPE = {
    "algorithm": f"carry errors with net.chain_errors, or {_FUNC}",
    "network": "leave gradient and adjoint to credbench.blocks.Block, or write them out",
}
