"""Values on the dense grid over [-1, 1]^3: its points, sampling between them, signed distance from occupancy."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from img23d.errors import FitError

# Smoothing may not move the surface past a sample; thin sheets of one sample would vanish otherwise. In sample distances.
_KEEP_SIGN = 0.1
# Threads that look up points beside each other, each with a gradient of its own for the volume, and points that are worth a thread.
MOST_THREADS, WORTH_A_THREAD = 8, 8192


def volume_points(resolution: int, like: Tensor | None = None) -> Tensor:
    """(D, D, D, 3) the places of a volume's samples, indexed [z, y, x], with the dtype and device of ``like``."""
    axis = torch.linspace(-1, 1, resolution, dtype=None if like is None else like.dtype, device=None if like is None else like.device)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x, y, z], -1)


def sample_volume(volume: Tensor, points: Tensor) -> Tensor:
    """Interpolate a volume between its samples; points outside get the value at the nearest point of the cube's surface.

    Args:
        volume: (D, D, D) or (C, D, D, D), indexed [z, y, x] over [-1, 1]^3 with samples on the cube's faces.
        points: (N, 3) object frame.

    Returns:
        (N,) or (N, C); differentiable in both, twice in the points.
    """
    channels = volume if volume.dim() == 4 else volume[None]
    count = len(points)
    # torch looks up the points of one volume on one thread; volumes of a batch go beside each other.
    parts = min(torch.get_num_threads(), MOST_THREADS, max(1, count // WORTH_A_THREAD)) if points.device.type == "cpu" else 1
    grid = F.pad(points.to(channels.dtype), (0, 0, 0, -count % parts)).reshape(parts, 1, 1, -1, 3)
    same = channels[None].expand(parts, -1, -1, -1, -1)
    values = F.grid_sample(same, grid, mode="bilinear", padding_mode="border", align_corners=True)[:, :, 0, 0]
    values = values.transpose(1, 2).reshape(-1, len(channels))[:count]
    return values if volume.dim() == 4 else values[:, 0]


def sdf_from_occupancy(occupancy: Tensor, smooth: float = 0.8) -> Tensor:
    """Signed distance of a solid given by which samples lie inside it.

    Args:
        occupancy: (D, D, D) bool, or 0..1 with the surface at 0.5; everything outside the volume is empty.
        smooth: standard deviation of the Gaussian that takes away the steps, in sample distances; no sample changes sides.

    Returns:
        (D, D, D) signed distance, negative inside, object units, float32.

    Raises:
        FitError: when no sample is inside.
    """
    inside = np.pad((occupancy if occupancy.dtype == torch.bool else occupancy > 0.5).cpu().numpy(), 1)
    if not inside.any():
        raise FitError("the shape is empty: no part of it is as large as one cell of the grid", "use a finer grid or a larger object")
    # The surface lies half a sample distance before the nearest sample of the other side.
    distance = np.where(inside, 0.5 - distance_transform_edt(inside), distance_transform_edt(~inside) - 0.5)
    if smooth > 0:
        distance = gaussian_filter(distance, smooth, mode="nearest")
        distance = np.where(inside, np.minimum(distance, -_KEEP_SIGN), np.maximum(distance, _KEEP_SIGN))
    spacing = 2 / (occupancy.shape[0] - 1)
    return torch.from_numpy((distance[1:-1, 1:-1, 1:-1] * spacing).astype(np.float32)).to(occupancy.device)
