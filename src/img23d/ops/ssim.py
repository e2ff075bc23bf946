"""Structural similarity as a loss, differentiable."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
STABLE_MEAN, STABLE_SPREAD = 0.01**2, 0.03**2


def ssim(made: Tensor, true: Tensor) -> Tensor:
    """Mean structural similarity of pictures: 1 for equal ones.

    Pictures reach on mirrored at their border, as in `img23d.evals.metrics.ssim`, whose numbers these are.

    Args:
        made: (H, W, C), 0..1, more than 5 pixels high and wide.
        true: (H, W, C), 0..1.

    Reference: Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity (2004), equation 13.
    """
    a, b = made.permute(2, 0, 1)[None], true.permute(2, 0, 1)[None]
    layers = _blurred(torch.cat([a, b, a * a, b * b, a * b]))
    mean_a, mean_b, square_a, square_b, product = layers.unbind(0)
    spread = square_a - mean_a**2 + square_b - mean_b**2
    together = product - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + STABLE_MEAN) * (2 * together + STABLE_SPREAD)
    return (likeness / ((mean_a**2 + mean_b**2 + STABLE_MEAN) * (spread + STABLE_SPREAD))).mean()


def _blurred(images: Tensor) -> Tensor:
    """(K, C, H, W) under a Gaussian window."""
    away = torch.arange(WINDOW, dtype=images.dtype, device=images.device) - WINDOW // 2
    window = torch.exp(-0.5 * (away / SIGMA) ** 2)
    window = (window / window.sum())[None, None]
    count, channels, height, width = images.shape
    padded = _mirrored(images.reshape(count * channels, 1, height, width), WINDOW // 2)
    return F.conv2d(F.conv2d(padded, window[:, :, None]), window[..., None]).reshape(images.shape)


def _mirrored(images: Tensor, edge: int) -> Tensor:
    """(K, 1, H, W) with a border in which each outermost pixel is repeated first, as scipy's ``reflect``."""
    images = torch.cat([images[:, :, :edge].flip(2), images, images[:, :, -edge:].flip(2)], 2)
    return torch.cat([images[..., :edge].flip(3), images, images[..., -edge:].flip(3)], 3)
