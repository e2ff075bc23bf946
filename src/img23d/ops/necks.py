"""Where a solid hangs together by very little, such as a leaf by its stalk."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

EVERY_SIDE = np.ones((3, 3, 3))


def necks(volume: Tensor, depth: float) -> Tensor:
    """Places where parts of a solid meet that are deeper than ``depth`` each, and not where they meet.

    Args:
        volume: (R, R, R) signed distance over [-1, 1]^3, object units.
        depth: object units, positive.

    Returns:
        (K, 3) object frame, samples on both sides of each neck; empty where there is none.
    """
    distance = volume.cpu().numpy()
    parts, count = ndimage.label(distance < -depth, EVERY_SIDE)
    meet = np.zeros(parts.shape, bool)
    if count > 1:
        nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        part = np.where(distance < 0, parts[tuple(nearest)], 0)
        for axis in range(3):
            along, marked = np.moveaxis(part, axis, 0), np.moveaxis(meet, axis, 0)  # both are views
            differ = (along[1:] != along[:-1]) & (along[1:] > 0) & (along[:-1] > 0)
            marked[1:] |= differ
            marked[:-1] |= differ
    places = np.argwhere(meet)[:, ::-1] * (2.0 / (len(distance) - 1)) - 1.0
    return torch.from_numpy(np.ascontiguousarray(places)).to(volume)
