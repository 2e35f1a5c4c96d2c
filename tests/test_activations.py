"""φ, φ′ and differences, against float64 and finite differences."""

import pytest
import torch

from helpers import DIFFERENTIABLE, REGISTRY, make

ALL = REGISTRY.names("activation")
REFERENCE = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "hard-sigmoid": lambda h: h.clamp(0, 1),
    "relu6": torch.nn.functional.relu6,
    "lrelu": lambda h: torch.nn.functional.leaky_relu(h, 0.01),
    "elu": torch.nn.functional.elu,
    "softplus": torch.nn.functional.softplus,
    "identity": lambda h: h,
    "sign": torch.sign,
}


def grid(dtype=torch.float64):
    """Pre-activations away from every kink, from saturation to saturation."""
    return torch.linspace(-9, 9, 362, dtype=dtype) + 0.01


@pytest.mark.parametrize("name", ALL)
def test_values_are_torchs(name):
    torch.testing.assert_close(make("activation", name)(grid()), REFERENCE[name](grid()))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_are_those_of_finite_differences(name):
    phi, h, step = make("activation", name), grid(), 1e-6
    expected = (phi(h + step) - phi(h - step)) / (2 * step)
    torch.testing.assert_close(phi.derivative(h, phi(h)), expected, rtol=1e-6, atol=1e-9)
    assert not phi.surrogate


def test_sign_has_a_clipped_straight_through_surrogate():
    phi, h = make("activation", "sign"), torch.tensor([-1.5, -1.0, 0.0, 0.3, 1.0, 1.1])
    assert phi.derivative(h, phi(h)).tolist() == [0, 1, 1, 1, 1, 0]
    assert "straight-through" in phi.surrogate


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
@pytest.mark.parametrize("size", (1e-6, 1e-3, 0.1, 3.0, 20.0))
def test_differences_do_not_cancel(name, dtype, size):
    phi = make("activation", name)
    torch.manual_seed(0)
    h = (4 * torch.randn(2000)).to(dtype)
    t = (size * torch.randn(2000)).to(dtype)
    found = phi.difference(h, phi(h), t).double()
    exact = phi.difference(h.double(), phi(h.double()), t.double())
    if name == "sign":  # a step function: the rounding of h − t may fall on either side
        away = (h.double() - t.double()).abs() > 1e-2 * h.double().abs()
        assert torch.equal(found[away], exact[away])
        return
    ulps = torch.finfo(dtype).eps * (t.double().abs() + 1e-30)
    assert ((found - exact).abs() <= 8 * ulps * (1 + h.double().abs())).all()


@pytest.mark.parametrize("name", ALL)
def test_differences_are_differences(name):
    phi = make("activation", name)
    torch.manual_seed(0)
    h, t = 4 * torch.randn(5000, dtype=torch.float64), 3 * torch.randn(5000, dtype=torch.float64)
    torch.testing.assert_close(
        phi.difference(h, phi(h), t), phi(h) - phi(h - t), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", ("tanh", "sigmoid", "elu", "softplus"))
def test_small_errors_are_not_zero_in_float32(name):
    """The naive form rounds nearly all of these to exactly 0."""
    phi = make("activation", name)
    torch.manual_seed(0)
    h, t = torch.randn(1000), 1e-9 * torch.randn(1000)
    assert (phi.difference(h, phi(h), t) != 0).all()
    assert (phi(h) - phi(h - t) == 0).float().mean() > 0.9


@pytest.mark.parametrize("name", ALL)
def test_extremes_stay_finite(name):
    phi = make("activation", name)
    h = torch.tensor([-1e30, -200.0, -50.0, 0.0, 50.0, 200.0, 1e30])
    h, t = torch.meshgrid(h, h.clone(), indexing="ij")
    assert phi.difference(h, phi(h), t).isfinite().all()
    assert phi.derivative(h, phi(h)).isfinite().all()
