"""Steeper depths: the slant grows, thicknesses stay, flat things stay flat, volume and layers move together."""

import pytest
import torch

from img23d.priors.slant import steepen
from img23d.priors.solid import crossings

SIZE, BINS = 64, 81
DEPTHS = torch.linspace(-1.25, 1.25, BINS)


def plate(slope: float, half: float = 0.2):
    """A plate whose middle slants along x, as layers on all pixels, volume on half as many rays, and mask."""
    fine, coarse = (((torch.arange(n) + 0.5) * 2 / n - 1).expand(n, n) for n in (SIZE, SIZE // 2))
    volume = (DEPTHS[:, None, None] - slope * coarse).abs() - half
    return (slope * fine - half, slope * fine + half), volume, torch.ones(SIZE, SIZE)


def test_the_slant_grows_and_the_thickness_stays():
    layers, volume, mask = plate(0.4)
    (front, back), moved = steepen(layers, volume, DEPTHS, mask, 1.5)
    assert torch.allclose(back - front, torch.full_like(front, 0.4), atol=1e-5)
    # the blur flattens the slant near the edge of the picture
    slope = (front[:, 43] - front[:, 20]) / (23 * 2 / SIZE)
    assert torch.allclose(slope, torch.full_like(slope, 0.6), atol=0.01)
    first, last, solid = crossings(moved, DEPTHS)
    assert bool(solid.all())
    coarse = torch.nn.functional.avg_pool2d(front[None], 2)[0]
    assert torch.allclose(first[:, 10:22], coarse[:, 10:22], atol=0.02)
    assert torch.allclose((last - first)[:, 10:22], torch.full_like(first[:, 10:22], 0.4), atol=0.01)


@pytest.mark.parametrize("slope, factor", [(0.0, 1.5), (0.4, 1.0)])
def test_what_is_flat_stays_and_a_factor_of_one_changes_nothing(slope, factor):
    layers, volume, mask = plate(slope)
    (front, back), moved = steepen(layers, volume, DEPTHS, mask, factor)
    assert torch.allclose(front, layers[0], atol=1e-5) and torch.allclose(back, layers[1], atol=1e-5)
    assert torch.allclose(moved, volume, atol=1e-5)


def test_an_empty_mask_changes_nothing():
    layers, volume, _ = plate(0.4)
    assert torch.equal(steepen(layers, volume, DEPTHS, torch.zeros(SIZE, SIZE))[1], volume)
