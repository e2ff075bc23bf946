"""Refine's grid of cubes: FlexiCubes, whose dual vertices can lie on sharp edges.

Reference: Shen et al., Flexible Isosurface Extraction for Gradient-Based Mesh Optimization (2023).
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
from img23d.ops.cubegrid import CubeLinks, cube_grid, cube_links, subdivide_cubes
from img23d.ops.flexicubes import CubeWeights, flexicubes
from img23d.stages.context import Context
from img23d.stages.refine_grid import BAND_RINGS, NEAR, Parted, field_sdf, finer_for_thin, on_cube

FINER = 1.5  # a cell of the tetrahedral grid has four times the faces of a cube; in fours round a midpoint they are as many then
REACH = 0.8  # of half a cube
WEIGHT_RANGE = 0.95  # weights lie within this of one
WEIGHT_RATE = 0.02  # Adam's step for the weights
UNEVEN = 0.25  # weight of the dual vertices' deviations


@dataclass
class DeformableCubes:
    """A `DeformableGrid` of cubes; ``weights`` are the (C, 21) logits of each cube's alpha, beta and gamma.

    Offsets are bounded to `REACH` of the spacing, half a cube's side, along each axis, so that neighbours cannot change places.
    """

    lattice: Tensor
    cubes: Tensor
    links: CubeLinks
    start: Tensor
    change: Tensor
    offset: Tensor
    weights: Tensor
    spacing: float
    free: Tensor
    smoothing: ClassVar[float] = 1 / 3  # half as many faces, so a round reaches farther, and they lie more evenly to begin with

    def sdf(self) -> Tensor:
        """(N,) signed distances."""
        return self.start + self.change

    def vertices(self) -> Tensor:
        """(N, 3) deformed positions. Reference: section 4.4 there."""
        return self.lattice + REACH * self.spacing * torch.tanh(self.offset)

    def edges(self) -> Tensor:
        """(E, 2) int64, each edge of the grid once."""
        return self.links.edges

    def surface(self, sdf: Tensor, context: Context, final: bool = False) -> tuple[Tensor, Tensor, Tensor | float]:
        """Vertices (M, 3), faces (F, 3) and the mean deviation of the dual vertices in units of the grid."""
        alpha, beta, gamma = (1 + WEIGHT_RANGE * torch.tanh(self.weights)).split([8, 12, 1], 1)
        weights = CubeWeights(alpha, beta, gamma[:, 0])
        found = flexicubes(self.vertices(), self.cubes, sdf, weights, self.links, fan=not final)
        return found.vertices, found.faces, UNEVEN * found.deviation.mean() / self.spacing

    def learnt(self, options: Refine, slower: float) -> list[dict[str, Any]]:
        """Adam's groups of what is learnt, each with ``frozen``, the rows that stay."""
        return [
            {"params": [self.change], "lr": options.learning_rate * slower, "frozen": ~self.free},
            {"params": [self.offset], "lr": options.offset_learning_rate, "frozen": ~self.free},
            {"params": [self.weights], "lr": WEIGHT_RATE, "frozen": torch.zeros_like(self.cubes[:, 0], dtype=torch.bool)},
        ]

    def parted(self, context: Context) -> Parted:
        """All of it: a dual surface's faces join cubes, and those that join a moving and a still one would belong to neither part."""
        return Parted.whole(self)

    @torch.no_grad()
    def subdivided(self, field: SdfField, context: Context) -> DeformableCubes:
        """Split the cubes round the surface in eight, where they are now; their weights begin anew."""
        moved, sdf = self.vertices(), self.sdf()
        selected = surface_band(self.cubes, sdf, 1, NEAR * self.spacing)
        rim = (~self.free).float()
        rim[self.cubes[~selected].reshape(-1)] = 1.0
        features = (moved, sdf, sdf - field_sdf(field, moved), rim)
        cubes, (vertices, old, change, rim) = subdivide_cubes(self.cubes[selected], *features)
        start = field_sdf(field, vertices)
        # between vertices of the rim the sign must stay, or the surface would end there
        lost = (rim == 1.0) & ((start + change).sign() != old.sign())
        start = torch.where(lost, old - change, start)
        return in_band(vertices, cubes, start, change, self.spacing / 2, rim == 1.0)


def start(field: SdfField, options: Refine, context: Context) -> DeformableCubes:
    """The band of a regular grid that the field's surface runs through."""
    resolution = round(FINER * finer_for_thin(field, options.resolution, context.device))
    vertices, cubes = (part.to(context.device) for part in cube_grid(resolution))
    sdf = field_sdf(field, vertices)
    if not bool((sdf < 0).any()):
        raise FitError("no surface to refine", "check the cut-out in 01_segment/mask.png")
    return in_band(vertices, cubes, sdf, torch.zeros_like(sdf), 1.0 / resolution)


def in_band(vertices: Tensor, cubes: Tensor, sdf: Tensor, change: Tensor, spacing: float, rim: Tensor | None = None) -> DeformableCubes:
    """Keep the cubes near the surface; the vertices on the band's own rim are frozen, so that the surface cannot leave it.

    ``rim`` (N,) bool are vertices on the grid's own border, which the band may reach.
    """
    band = surface_band(cubes, sdf + change, BAND_RINGS, NEAR * spacing)
    inner = ~on_cube(vertices) if rim is None else ~(on_cube(vertices) | rim)
    inner[cubes[~band].reshape(-1)] = False
    used = torch.zeros_like(inner)
    used[cubes[band].reshape(-1)] = True
    kept = (torch.cumsum(used, 0) - 1)[cubes[band]]
    lattice, links = vertices[used], cube_links(kept, int(used.sum()))
    weights = vertices.new_zeros(len(kept), 21)
    return DeformableCubes(lattice, kept, links, sdf[used], change[used].clone(), torch.zeros_like(lattice), weights, spacing, inner[used])
