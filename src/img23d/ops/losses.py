"""Losses between a rendering and an observation; each is one equation and returns a scalar.

Reference: DreamCraft3D (Sun et al. 2023), section 3.1: RGB, mask, negative Pearson depth, normal cosine.
"""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Sum of value x weight over the sum of weights; 0 when nothing has weight."""
    return (value * weight).sum() / weight.sum().clamp_min(1e-8)


def rgb_loss(rendered: Tensor, observed: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared colour difference; (..., 3), (..., 3), (...)."""
    return weighted_mean((rendered - observed).square().mean(-1), weight)


def mask_loss(rendered: Tensor, observed: Tensor) -> Tensor:
    """Mean squared difference of coverage; (...), (...)."""
    return (rendered - observed).square().mean()


def mask_cross_entropy(opacity: Tensor, observed: Tensor) -> Tensor:
    """Binary cross entropy between a ray's opacity and the mask; steadier than squares while opacity is soft."""
    opacity = opacity.clamp(1e-4, 1 - 1e-4)
    return -(observed * opacity.log() + (1 - observed) * (1 - opacity).log()).mean()


def pearson_depth_loss(rendered: Tensor, observed: Tensor, weight: Tensor) -> Tensor:
    """1 - Pearson correlation of depths: blind to the scale and offset that monocular depth lacks.

    Args:
        rendered, observed: (N,) depths, bigger is farther in both.
        weight: (N,) >= 0.
    """
    total = weight.sum().clamp_min(1e-8)
    a = rendered - (rendered * weight).sum() / total
    b = observed - (observed * weight).sum() / total
    covariance = (weight * a * b).sum()
    return 1.0 - covariance / ((weight * a * a).sum() * (weight * b * b).sum()).clamp_min(1e-12).sqrt()


def normal_cosine_loss(rendered: Tensor, observed: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of 1 - cosine between normals; (..., 3), (..., 3), (...); ``rendered`` need not be unit length."""
    cosine = torch.nn.functional.cosine_similarity(rendered, observed, dim=-1, eps=1e-6)
    return weighted_mean(1.0 - cosine, weight)


def eikonal_loss(gradient: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of (|gradient| - 1)^2: a signed distance has slope one; (..., 3), (...)."""
    return weighted_mean((gradient.square().sum(-1) + 1e-12).sqrt().sub(1.0).square(), weight)
