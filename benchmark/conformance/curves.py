"""Whether an activation is elementwise, and its derivative and differences are those of φ."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from credbench.activations import Activation
from credbench.conformance.draws import undrawn
from credbench.conformance.result import Result, raised
from credbench.conformance.subject import Subject
from credbench.conformance.variants import variants
from credbench.conformance.vectorizing import vectorization_fails

_SIZES = (1e-6, 1e-3, 0.1, 3.0)
"""Standard deviations of t in φ(h) − φ(h − t)."""
_ULPS = 8
"""How many units in the last place of t a difference may be off, times 1 + |h|."""
_EXTREMES = (-1e30, -200.0, -50.0, 0.0, 50.0, 200.0, 1e30)


def values(subject: Subject) -> Result:
    """Check that φ is elementwise, keeps types and arguments, and runs as replicas and on a GPU."""
    phi = subject.trial.activation
    undrawn(_DRAWN, lambda: phi(_grid()))
    for call in _calls(phi):
        said = list(_values(*call))
        if said:  # the other methods are given φ(h)
            return Result(said)
    return Result()


_DRAWN = "φ(h) draws at random: give a function of h alone"


def _calls(phi: Activation) -> Iterator[tuple[str, Callable[..., Tensor], list[Tensor]]]:
    """Yield each method by name, with arguments for it."""
    h, t = _grid().reshape(-1, 4), _draws(0.5).reshape(-1, 4)
    yield "φ(h)", phi, [h]
    z = phi(h.clone())
    yield "derivative(h, z)", phi.derivative, [h, z]
    yield "backward(h, z, error)", phi.backward, [h, z, t]
    yield "difference(h, z, t)", phi.difference, [h, z, t]


def _values(called: str, call: Callable[..., Tensor], given: list[Tensor]) -> Iterator[str]:
    copies = [each.clone() for each in given]
    found: object = call(*copies)
    if not isinstance(found, Tensor) or found.shape != given[0].shape:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        yield f"{called} gives {what} for h of {tuple(given[0].shape)}: give a value for each"
        return
    if any(not torch.equal(one, other) for one, other in zip(copies, given, strict=True)):
        yield f"{called} changes what it is given: compute a new tensor"
    for dtype in (torch.bfloat16, torch.float64):
        if (kept := call(*(each.to(dtype) for each in given)).dtype) != dtype:
            yield f"{called} of {dtype} is {kept}: keep the type of h"
    if not _same(call(*(each[:1, :1] for each in given)), found[:1, :1]):
        yield f"{called} at one unit depends on others: give an elementwise function"
    try:
        if not _same(torch.func.vmap(call)(*given), found):
            yield f"{called} has other values under torch.func.vmap: give an elementwise function"
    except Exception as error:
        yield f"{called} {vectorization_fails('activation', error)}"
    try:
        call(*(each.to("meta") for each in given))
    except Exception as error:
        yield (
            f"{called} needs values where there are none yet: {raised(error)}; branch with "
            "torch.where, and give new tensors device=h.device"
        )


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)


def derivative(subject: Subject) -> Result:
    """Check φ′ against differences of φ, away from kinks, and what is carried back through it.

    It is taken at other values of the parameters too.
    """
    phi = subject.trial.activation
    for clause, each in variants(phi):
        said = list(_derivative(each))
        if said:
            return Result([clause + one for one in said])
    surrogate = phi.surrogate
    return Result(note=f"a surrogate stands in for φ′: {surrogate}" if surrogate else "")


def _derivative(phi: Activation) -> Iterator[str]:
    h = _grid().double()
    z, error = phi(h), _draws(1.0).double()
    found = phi.derivative(h, z)
    if not torch.allclose(phi.backward(h, z, error), error * found, rtol=1e-5, atol=1e-9):
        yield "backward(h, z, error) is not error · derivative(h, z): make them agree"
    if phi.surrogate:
        return
    width = 1e-6
    above, below = ((phi(h + width) - z) / width, (z - phi(h - width)) / width)
    smooth = torch.isclose(above, below, rtol=1e-3, atol=1e-4)
    wrong = smooth & ~torch.isclose(found, (above + below) / 2, rtol=1e-3, atol=1e-4)
    if wrong.any():
        k = _nearest(h, wrong)
        yield (
            f"derivative(h, z) is {float(found[k]):.4g} at h = {float(h[k]):.4g}, where φ rises "
            f"by {float(above[k]):.4g}: return φ′(h), given z = φ(h), or say as `surrogate` what "
            "stands in for it"
        )


def _nearest(h: Tensor, wrong: Tensor) -> int:
    """Return the place of the h nearest 0 among those where something is wrong."""
    return int(h.abs().where(wrong, torch.inf).argmin())


def difference(subject: Subject) -> Result:
    """Check φ(h) − φ(h − t) in double precision, and what single precision leaves of it.

    It is taken at other values of the parameters too.
    """
    phi = subject.trial.activation
    for clause, each in variants(phi):
        said = _difference(each)
        if said:
            return Result([clause + said])
    return Result(note="φ jumps: rounding may fall on either side" if phi.surrogate else "")


def _difference(phi: Activation) -> str:
    """Return what is wrong with an activation's differences; empty if nothing is."""
    h, t = _draws(4.0, seed=1).double(), _draws(3.0).double()
    found, expected = phi.difference(h, phi(h), t), phi(h) - phi(h - t)
    wrong = ~torch.isclose(found, expected, rtol=1e-6, atol=1e-9)
    if wrong.any():
        k = _nearest(h, wrong)
        return (
            f"difference(h, z, t) is {float(found[k]):.4g} at h = {float(h[k]):.4g} and "
            f"t = {float(t[k]):.4g}, where φ(h) − φ(h − t) is {float(expected[k]):.4g}: mend it, "
            "or leave it out"
        )
    if phi.surrogate:
        return ""
    off = {size: _off(phi, size) for size in _SIZES}
    bad = [size for size in _SIZES if off[size] > _ULPS]
    return _CANCELS.format(bad[0], off[bad[0]]) if bad else ""


_CANCELS = (
    "difference(h, z, t) cancels: for t of about {:g} it is off by {:,.0f} units in the last place "
    "of t; write it without a difference of two near values, as credbench.activations does, or "
    "leave it out, and it is taken in double precision"
)


def _off(phi: Activation, size: float) -> float:
    """Return how far single precision is off at worst, in ulps of t times 1 + |h|."""
    h, t = _draws(4.0, seed=1), _draws(size)
    found = phi.difference(h, phi(h), t).double()
    wide = h.double(), t.double()
    exact = phi.difference(wide[0], phi(wide[0]), wide[1])
    ulp = torch.finfo(t.dtype).eps * wide[1].abs() * (1 + wide[0].abs())
    return float(((found - exact).abs() / ulp).max())


def extremes_stay_finite(subject: Subject) -> Result:
    """Check values far out, which training may come to."""
    phi = subject.trial.activation
    h, t = torch.meshgrid(torch.tensor(_EXTREMES), torch.tensor(_EXTREMES), indexing="ij")
    z = phi(h)
    found = {
        "φ(h)": z,
        "derivative(h, z)": phi.derivative(h, z),
        "difference(h, z, t)": phi.difference(h, z, t),
    }
    return Result([
        f"{called} is {float(each[~each.isfinite()][0]):g} at h = "
        f"{float(h[~each.isfinite()][0]):g}: clamp before exp and the like, so that it stays finite"
        for called, each in found.items()
        if not each.isfinite().all()
    ])  # fmt: skip


def _grid() -> Tensor:
    """Return pre-activations (360,) away from the usual kinks, from saturation to saturation."""
    return torch.linspace(-9, 9, 360) + 0.01


def _draws(size: float, seed: int = 0) -> Tensor:
    return size * torch.randn(360, generator=torch.Generator().manual_seed(seed))
