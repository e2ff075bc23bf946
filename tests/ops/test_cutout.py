"""The classical cut-out on plain backgrounds."""

import pytest
import torch

from img23d.ops.cutout import plain_background_alpha


def photo(background, height=180, width=240, noise=0.01):
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1.3, 1.3, width), indexing="ij")
    truth = (x**2 + (y * 1.2) ** 2) < 0.4
    ground = torch.stack([background + 0.08 * x, background + 0.05 * y, background + 0.03 * x * y], -1)
    color = torch.stack([0.7 + 0.1 * y, 0.25 + 0.1 * x, 0.2 + 0 * x], -1)
    torch.manual_seed(0)
    return (torch.where(truth[..., None], color, ground) + noise * torch.randn(height, width, 3)).clamp(0, 1), truth


@pytest.mark.parametrize("background", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_an_object_on_a_gradient(background, noise):
    rgb, truth = photo(background, noise=noise)
    found = plain_background_alpha(rgb) > 0.5
    assert float((found & truth).sum() / (found | truth).sum()) > 0.95


def test_an_object_that_touches_the_border():
    rgb, truth = photo(0.85)
    rgb, truth = rgb[:, :170], truth[:, :170]
    found = plain_background_alpha(rgb) > 0.5
    assert float((found & truth).sum() / (found | truth).sum()) > 0.93


def test_a_hole_of_background_colour_inside_is_filled():
    rgb, truth = photo(0.9)
    rgb[85:95, 115:125] = 0.9
    found = plain_background_alpha(rgb) > 0.5
    assert bool(found[90, 120]) and float((found & truth).sum() / (found | truth).sum()) > 0.95
