"""Depth maps: points, normals, and fitting one map's scale and offset to another's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.scene import Cameras


def depth_to_points(depth: Tensor, cameras: Cameras) -> Tensor:
    """(V, H, W) z-depth -> (V, H, W, 3) points in the object frame."""
    origins, directions = cameras.rays(*depth.shape[1:])
    return origins + depth[..., None] * directions


def depth_to_normal(depth: Tensor, cameras: Cameras) -> Tensor:
    """Normals of a depth map, towards the camera.

    Args:
        depth: (V, H, W) z-depth, smooth where it is meaningful.

    Returns:
        (V, H, W, 3) unit, object frame, from central differences of the points (one-sided at the picture's border).
    """
    points = depth_to_points(depth, cameras)
    down, right = torch.gradient(points, dim=(1, 2))
    return F.normalize(torch.linalg.cross(-down, right).neg(), dim=-1)


def align_depth(source: Tensor, target: Tensor, weight: Tensor, rounds: int = 10) -> Tensor:
    """Scale and shift ``source`` to match ``target``: monocular depth knows neither.

    Iteratively reweighted least squares (Cauchy weights), begun from medians so that far outliers have no lever; the scale is
    kept positive.

    Args:
        source: (N,) depths of any scale and offset, bigger is farther.
        target: (N,) z-depths in object units.
        weight: (N,) >= 0.

    Returns:
        (2,) scale and shift.
    """
    least = 1e-6
    source_middle, target_middle = source.median(), target.median()
    source_spread = (source - source_middle).abs().median().clamp_min(least)
    target_spread = (target - target_middle).abs().median()
    floor = 0.2 * target_spread / source_spread  # a guess that disagrees must not flatten or turn the map
    scale = target_spread / source_spread
    shift = target_middle - scale * source_middle
    for _ in range(rounds):
        residual = (scale * source + shift - target).abs()
        robust = weight / (1.0 + (residual / (1.5 * residual.median().clamp_min(least))).square())
        total = robust.sum().clamp_min(1e-8)
        mean_source, mean_target = (robust * source).sum() / total, (robust * target).sum() / total
        variance = (robust * (source - mean_source).square()).sum() / total
        covariance = (robust * (source - mean_source) * (target - mean_target)).sum() / total
        scale = torch.maximum(covariance / variance.clamp_min(1e-12), floor)
        shift = mean_target - scale * mean_source
    return torch.stack([scale, shift])
