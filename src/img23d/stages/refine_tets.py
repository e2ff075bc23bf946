"""Refine's tetrahedral grid: DMTet.

Reference: Shen et al., Deep Marching Tetrahedra (2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from img23d.config import Refine
from img23d.errors import FitError
from img23d.fields.grid import SdfField
from img23d.ops.band import surface_band
from img23d.ops.tetgrid import GridEdges, grid_edges, tet_grid
from img23d.scene import Mesh, TetGrid
from img23d.stages.context import Context
from img23d.stages.refine_grid import BAND_RINGS, NEAR, Parted, field_sdf, finer_for_thin, on_cube

REACH = 0.4  # of half a grid cell
FEW_STILL = 0.25  # of the faces: fewer that lie still are not worth the seam


@dataclass
class DeformableTets:
    """A `DeformableGrid` of tets.

    Offsets are bounded to `REACH` of the spacing along each axis: less than half a tet's height in any direction, so that no tet
    of a regular grid turns over.
    """

    grid: TetGrid
    links: GridEdges
    start: Tensor
    change: Tensor
    offset: Tensor
    spacing: float
    free: Tensor
    smoothing: ClassVar[float] = 1.0

    def sdf(self) -> Tensor:
        """(N,) signed distances."""
        return self.start + self.change

    def vertices(self) -> Tensor:
        """(N, 3) deformed positions. Reference: DMTet section 3.1, v' = v + reach * tanh(offset)."""
        return self.grid.vertices + REACH * self.spacing * torch.tanh(self.offset)

    def edges(self) -> Tensor:
        """(E, 2) int64, each edge of the grid once."""
        return self.links.ends

    def surface(self, sdf: Tensor, context: Context, final: bool = False) -> tuple[Tensor, Tensor, float]:
        """Vertices (M, 3) and faces (F, 3) by marching tetrahedra; nothing is uneven that could be helped."""
        vertices, faces, _ = context.tetrahedra.marching_tetrahedra(self.vertices(), self.grid.tets, sdf, self.links)
        return vertices, faces, 0.0

    def learnt(self, options: Refine, slower: float) -> list[dict[str, Any]]:
        """Adam's groups of what is learnt, each with ``frozen``, the rows that stay."""
        return [
            {"params": [self.change], "lr": options.learning_rate * slower, "frozen": ~self.free},
            {"params": [self.offset], "lr": options.offset_learning_rate, "frozen": ~self.free},
        ]

    @torch.no_grad()
    def parted(self, context: Context) -> Parted:
        """The tets with a vertex that may move, where the surface of the others is worth leaving out."""
        moves = self.free[self.grid.tets].any(1)
        corners, faces, _ = context.tetrahedra.marching_tetrahedra(self.vertices(), self.grid.tets[~moves], self.sdf())
        count = len(self.surface(self.sdf(), context)[1])
        if len(faces) == count or len(faces) < FEW_STILL * count:
            return Parted.whole(self)
        grid, inside = cut(self.grid, moves)
        first, change, offset = (part[inside] for part in (self.start, self.change, self.offset))
        links = grid_edges(grid.tets, len(grid.vertices))
        moving = DeformableTets(grid, links, first, change, offset, self.spacing, self.free[inside])
        return Parted(moving, Mesh(corners, faces), 1 - len(faces) / count, inside)

    @torch.no_grad()
    def subdivided(self, field: SdfField, context: Context) -> DeformableTets:
        """Split the tets round the surface in eight, where they are now. Reference: DMTet section 3.1.2."""
        moved, sdf = TetGrid(self.vertices(), self.grid.tets), self.sdf()
        selected = surface_band(moved.tets, sdf, 1, NEAR * self.spacing)
        rim = (~self.free).float()
        rim[moved.tets[~selected].reshape(-1)] = 1.0
        features = (sdf, sdf - field_sdf(field, moved.vertices), rim)
        grid, (old, change, rim) = context.tetrahedra.subdivide(moved, *features, selected=selected)
        start = field_sdf(field, grid.vertices)
        # between two vertices of the rim the sign must stay, or the surface would end there
        lost = (rim == 1.0) & ((start + change).sign() != old.sign())
        start = torch.where(lost, old - change, start)
        return in_band(grid, start, change, self.spacing / 2, rim == 1.0)


def start(field: SdfField, options: Refine, context: Context) -> DeformableTets:
    """The band of a regular grid that the field's surface runs through."""
    resolution = finer_for_thin(field, options.resolution, context.device)
    grid = tet_grid(resolution)
    grid = TetGrid(grid.vertices.to(context.device), grid.tets.to(context.device))
    sdf = field_sdf(field, grid.vertices)
    if not bool((sdf < 0).any()):
        raise FitError("no surface to refine", "check the cut-out in 01_segment/mask.png")
    return in_band(grid, sdf, torch.zeros_like(sdf), 1.0 / resolution)


def cut(grid: TetGrid, tets: Tensor) -> tuple[TetGrid, Tensor]:
    """The grid of some of its tets (T,) bool, and which of its vertices (N,) bool those have."""
    used = torch.zeros(len(grid.vertices), dtype=torch.bool, device=tets.device)
    used[grid.tets[tets].reshape(-1)] = True
    return TetGrid(grid.vertices[used], (torch.cumsum(used, 0) - 1)[grid.tets[tets]]), used


def in_band(grid: TetGrid, sdf: Tensor, change: Tensor, spacing: float, rim: Tensor | None = None) -> DeformableTets:
    """Keep the tets near the surface; the vertices on the band's own rim are frozen, so that the surface cannot leave it.

    ``rim`` (N,) bool are vertices on the grid's own border, which the band may reach.
    """
    band = surface_band(grid.tets, sdf + change, BAND_RINGS, NEAR * spacing)
    inner = ~on_cube(grid.vertices) if rim is None else ~(on_cube(grid.vertices) | rim)
    inner[grid.tets[~band].reshape(-1)] = False
    kept, used = cut(grid, band)
    links = grid_edges(kept.tets, len(kept.vertices))
    return DeformableTets(kept, links, sdf[used], change[used].clone(), torch.zeros_like(kept.vertices), spacing, inner[used])
