"""Gaussian blur against its definition."""

import math

import pytest
import torch
import torch.nn.functional as F

from img23d.ops.blur import gaussian_blur


def by_definition(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """Two convolutions with the whole bell."""
    radius = math.ceil(5 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=planes.dtype) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(planes[:, None], kernel[None, None, None], padding=(0, radius))
    return F.conv2d(rows, kernel[None, None, :, None], padding=(radius, 0))[:, 0]


@pytest.mark.parametrize("sigma", [0.7, 3.0, 5.9, 6.0, 11.0, 12.5, 30.0])
@pytest.mark.parametrize("size", [(96, 128), (101, 67)])
def test_it_is_a_gaussian_at_every_width(sigma, size):
    planes = torch.rand(3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).round()
    planes[0, 20:50, 30:60] = 1
    wanted, found = by_definition(planes, sigma), gaussian_blur(planes, sigma)
    assert (found - wanted).abs().max() < (1e-3 if sigma < 6 else 0.015)
    assert found.shape == planes.shape


def test_rows_and_columns_are_not_mixed_up():
    planes = torch.zeros(1, 40, 90)
    planes[0, 7, 60] = 1
    found = gaussian_blur(planes, 2.0)[0]
    assert divmod(int(found.argmax()), 90) == (7, 60)
    assert found.sum().item() == pytest.approx(1, abs=2e-3)
