"""Known points of the curve, its two pieces meeting, and there and back."""

import pytest
import torch

from img23d.ops.srgb import to_linear, to_srgb


@pytest.mark.parametrize(("srgb", "linear"), [(0.0, 0.0), (0.04045, 0.0031308), (0.5, 0.2140411), (1.0, 1.0)])
def test_known_points(srgb, linear):
    assert float(to_linear(torch.tensor(srgb, dtype=torch.float64))) == pytest.approx(linear, abs=1e-6)
    assert float(to_srgb(torch.tensor(linear, dtype=torch.float64))) == pytest.approx(srgb, abs=1e-6)


def test_there_and_back_without_a_step():
    levels = torch.linspace(0, 1, 4097, dtype=torch.float64)
    torch.testing.assert_close(to_srgb(to_linear(levels)), levels, atol=1e-7, rtol=0)
    assert bool((to_linear(levels).diff() > 0).all())


def test_brighter_than_white_is_white_and_gradients_are_finite():
    light = torch.tensor([-0.1, 0.0, 0.5, 3.0], requires_grad=True)
    encoded = to_srgb(light)
    assert float(encoded[0].detach()) == 0 and float(encoded[3].detach()) == pytest.approx(1.0)
    encoded.sum().backward()
    assert bool(light.grad.isfinite().all())
