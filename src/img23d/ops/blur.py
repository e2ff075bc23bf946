"""Gaussian blur of pictures."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

NARROW = 3.0  # pixels of the coarsest picture: as narrow as a blur may become there


def gaussian_blur(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with zeros outside; broad ones are computed on a coarser picture, which hardly differs.

    Args:
        planes: (C, H, W).
        sigma: standard deviation, pixels.

    Returns:
        (C, H, W).
    """
    height, width = planes.shape[-2:]
    factor = 2 ** max(0, math.floor(math.log2(max(sigma / NARROW, 1.0))))
    if factor == 1:
        return _blur_rows(_blur_rows(planes, sigma).mT, sigma).mT
    # With a coarse pixel all round, so that there is something to interpolate with at the border.
    whole = F.pad(planes, (factor, factor + -width % factor, factor, factor + -height % factor))
    # Means of squares and bilinear interpolation between them blur as well, by variances of a twelfth and a sixth of the factor's square.
    coarse = gaussian_blur(F.avg_pool2d(whole[None], factor)[0], math.sqrt((sigma / factor) ** 2 - 0.25))
    fine = F.interpolate(coarse[None], scale_factor=factor, mode="bilinear", align_corners=False)[0]
    return fine[:, factor : factor + height, factor : factor + width]


def _blur_rows(planes: Tensor, sigma: float) -> Tensor:
    """(C, H, W), each row blurred: as a product with a matrix, because convolutions of single planes are several times as slow."""
    place = torch.arange(planes.shape[-1], dtype=planes.dtype, device=planes.device)
    kernel = torch.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    radius = math.ceil(4 * sigma)
    return planes @ (kernel / torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=planes.dtype) / sigma) ** 2).sum().item())
