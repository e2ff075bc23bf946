"""Regular tetrahedral grids, and the edges of any tetrahedral grid."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from img23d.scene import TetGrid

# The corners of a square in counter-clockwise order, as steps along the two in-plane axes.
_SQUARE = ((0, 0), (1, 0), (1, 1), (0, 1))
# The six edges of a tet, in the order that the marching and subdivision tables refer to.
TET_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def tet_grid(resolution: int, half: float = 1.0) -> TetGrid:
    """Fill the cube [-half, half]^3 with a body-centred cubic lattice of tetrahedra.

    All inner tets are congruent up to mirroring (two edges of one cube side, four of 0.87), so the surface found in them has no
    preferred diagonal, and each is ordered so that corners 0-2 and 1-3 are its long edges: subdivision across the octahedron's
    short diagonal then gives congruent tets again. The outer layer closes with pyramids cut in two.

    Args:
        resolution: cubes along each axis; about 2 R^3 vertices and 12 R^3 tets (64: 0.54 M and 3.1 M).
        half: half the side of the cube, object units.

    Raises:
        ValueError: when the resolution is below 1 or the size is not positive.

    Reference: Labelle and Shewchuk, Isosurface Stuffing (2007), section 3, for the lattice.
    """
    if resolution < 1 or half <= 0:
        raise ValueError(f"resolution must be at least 1 and half positive, got {resolution} and {half}")
    corner_axis = torch.arange(resolution + 1) * (2.0 * half / resolution) - half
    centre_axis = (torch.arange(resolution) + 0.5) * (2.0 * half / resolution) - half
    vertices = torch.cat([_lattice(corner_axis), _lattice(centre_axis)])
    tets = torch.cat([part for axis in range(3) for part in (_inner_tets(resolution, axis), *_outer_tets(resolution, axis))])
    return TetGrid(vertices, tets)


class GridEdges(NamedTuple):
    """The E edges of a tetrahedral grid of T tets.

    Args:
        ends: (E, 2) int64, first end smaller than second, in lexicographic order.
        of_tet: (T, 6) int32, the edges of each tet in the order of `TET_EDGES`.
    """

    ends: Tensor
    of_tet: Tensor


def grid_edges(tets: Tensor, vertex_count: int) -> GridEdges:
    """Number the edges of a tetrahedral grid (T, 4) int64 of N vertices."""
    keys, number = torch.unique(edge_keys(tets, vertex_count), return_inverse=True)
    return GridEdges(torch.stack([keys // max(vertex_count, 1), keys % max(vertex_count, 1)], -1), number.int())


def unique_edges(tets: Tensor, vertex_count: int) -> Tensor:
    """(E, 2) int64 ends of all edges of a tetrahedral grid, each once, as `GridEdges` has them."""
    keys = torch.unique(edge_keys(tets, vertex_count))
    return torch.stack([keys // vertex_count, keys % vertex_count], -1)


def edge_keys(tets: Tensor, vertex_count: int) -> Tensor:
    """(T, 6) int64: one number per tet edge, equal for equal edges and ordered like (smaller end, larger end)."""
    pairs = torch.tensor(TET_EDGES, device=tets.device)
    first, second = tets[:, pairs[:, 0]], tets[:, pairs[:, 1]]
    return torch.minimum(first, second) * vertex_count + torch.maximum(first, second)


def _lattice(axis: Tensor) -> Tensor:
    """All points of a cubic lattice, x fastest."""
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3)


def _ids(resolution: int) -> tuple[Tensor, Tensor]:
    """Vertex numbers of the cube corners and cube centres, indexed [x, y, z]."""
    corners = torch.arange((resolution + 1) ** 3).reshape(resolution + 1, resolution + 1, resolution + 1)
    centres = torch.arange(resolution**3).reshape(resolution, resolution, resolution) + (resolution + 1) ** 3
    return corners.permute(2, 1, 0), centres.permute(2, 1, 0)


def _squares(corners: Tensor, axis: int, layers: slice, resolution: int) -> list[Tensor]:
    """The four corners of the cube sides normal to ``axis``, counter-clockwise seen from its positive end."""
    rolled = corners.permute(axis, (axis + 1) % 3, (axis + 2) % 3)[layers]
    return [rolled[:, u : u + resolution, v : v + resolution].reshape(-1) for u, v in _SQUARE]


def _inner_tets(resolution: int, axis: int) -> Tensor:
    """Four tets around each line between the centres of two neighbouring cubes."""
    corners, centres = _ids(resolution)
    square = _squares(corners, axis, slice(1, resolution), resolution)
    rolled = centres.permute(axis, (axis + 1) % 3, (axis + 2) % 3)
    below, above = rolled[:-1].reshape(-1), rolled[1:].reshape(-1)
    return torch.cat([torch.stack([below, square[(i + 1) % 4], above, square[i]], -1) for i in range(4)])


def _outer_tets(resolution: int, axis: int) -> tuple[Tensor, Tensor]:
    """The pyramids on the two outer sides normal to ``axis``, two tets each."""
    corners, centres = _ids(resolution)
    rolled = centres.permute(axis, (axis + 1) % 3, (axis + 2) % 3)
    parts = []
    for layer, flip in ((0, False), (resolution, True)):
        q = _squares(corners, axis, slice(layer, layer + 1), resolution)
        apex = rolled[min(layer, resolution - 1)].reshape(-1)
        # The cut q0-q2 and the edge from the apex to the remaining corner are the opposite pair with the closest midpoints.
        halves = [(q[0], q[1], q[2]), (q[2], q[3], q[0])]
        parts.append(torch.cat([torch.stack([a, apex, c, b] if flip else [a, b, c, apex], -1) for a, b, c in halves]))
    return parts[0], parts[1]
