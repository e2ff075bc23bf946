"""The cells of a grid near a surface, tets or cubes."""

from __future__ import annotations

import torch
from torch import Tensor


def surface_band(cells: Tensor, sdf: Tensor, rings: int = 1, near: float = 0.0) -> Tensor:
    """The cells that the surface crosses and their neighbours, and those with corners near the surface.

    Args:
        cells: (T, C) int64 corners of each: C = 4 for tets, 8 for cubes.
        sdf: (N,) signed distance.
        rings: how many layers of cells that share a vertex with the band are added.
        near: distance up to which the surface may pass between the corners unnoticed, as round a part thinner than a cell.

    Returns:
        (T,) bool.
    """
    corner_outside = (sdf > 0)[cells]
    band = corner_outside.any(-1) & ~corner_outside.all(-1)
    for _ in range(rings):
        beside = torch.zeros(len(sdf), dtype=torch.bool, device=cells.device)
        beside[cells[band].reshape(-1)] = True
        band = beside[cells].any(-1)
    return band | (sdf.abs() < near)[cells].any(-1)
