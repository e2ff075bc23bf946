"""Structural similarity as a loss, differentiable."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
STABLE_MEAN, STABLE_SPREAD = 0.01**2, 0.03**2


def ssim(made: Tensor, true: Tensor) -> Tensor:
    """Mean structural similarity of pictures: 1 for equal ones.

    Pictures reach on mirrored at their border, as in `img23d.evals.metrics.ssim`, whose numbers these are.

    Args:
        made: (H, W, C), 0..1.
        true: (H, W, C), 0..1.

    Reference: Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity (2004), equation 13.
    """
    a, b = made.permute(2, 0, 1)[None], true.permute(2, 0, 1)[None]
    mean_a, square_a, product = _blurred(torch.cat([a, a * a, a * b])).unbind(0)
    mean_b, square_b = _blurred(torch.cat([b, b * b])).unbind(0)  # apart: of the truth no gradient is wanted
    spread = square_a - mean_a**2 + square_b - mean_b**2
    together = product - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + STABLE_MEAN) * (2 * together + STABLE_SPREAD)
    return (likeness / ((mean_a**2 + mean_b**2 + STABLE_MEAN) * (spread + STABLE_SPREAD))).mean()


def _blurred(images: Tensor) -> Tensor:
    """(K, C, H, W) under a Gaussian window.

    Both passes are products with dense matrices: on a CPU several times as fast as torch's convolution of single channels.
    """
    down, across = (blur_matrix(side).to(images) for side in images.shape[-2:])
    return down @ (images @ across.T)


@functools.cache
def blur_matrix(side: int) -> Tensor:
    """(side, side) what each pixel of a blurred line takes from each pixel of the line, which reaches on mirrored."""
    away = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-0.5 * (away / SIGMA) ** 2)
    taken = (torch.arange(side)[:, None] + away.long()) % (2 * side)
    taken = torch.where(taken < side, taken, 2 * side - 1 - taken)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add(1, taken, (window / window.sum()).expand(side, -1))
