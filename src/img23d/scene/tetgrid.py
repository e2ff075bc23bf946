"""Tetrahedral grids."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from img23d.scene.shapes import check_index, check_shape


@dataclass(frozen=True)
class TetGrid:
    """A tetrahedral grid whose tets all have positive volume.

    Args:
        vertices: (N, 3) object frame.
        tets: (T, 4) int64; det[b - a, c - a, d - a] > 0 for every tet (a, b, c, d).

    Raises:
        ValueError: when tets are inverted or flat; mixed orientation would give inside-out faces silently.
    """

    vertices: Tensor
    tets: Tensor

    def __post_init__(self) -> None:
        check_shape("vertices", self.vertices, None, 3)
        check_index("tets", self.tets, 4, len(self.vertices))
        a, b, c, d = self.vertices[self.tets].unbind(1)
        volume = (torch.linalg.cross(b - a, c - a) * (d - a)).sum(-1)  # a third of the time of torch.linalg.det
        if len(volume) and float(volume.min()) <= 0:
            raise ValueError(f"{int((volume <= 0).sum())} of {len(volume)} tets are inverted or flat; every tet needs det > 0")

    @classmethod
    def of_positive(cls, vertices: Tensor, tets: Tensor) -> TetGrid:
        """A grid whose tets are known to be positive, such as the parts of positive ones: nothing is checked, in no time.

        Args:
            vertices: (N, 3) object frame.
            tets: (T, 4) int64.
        """
        grid = object.__new__(cls)
        object.__setattr__(grid, "vertices", vertices)
        object.__setattr__(grid, "tets", tets)
        return grid
