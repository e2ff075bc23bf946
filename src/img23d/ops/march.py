"""Marching tetrahedra: the differentiable surface of a signed distance given on a tetrahedral grid."""

from __future__ import annotations

import torch
from torch import Tensor

from img23d.ops.constants import constant
from img23d.ops.tetgrid import TET_EDGES

# For each of the 16 inside/outside patterns (bit i set: corner i is outside) the tet edges that the triangles' corners lie on.
# The sequence of edges is the one that the field's implementations share, so that meshes can be compared face by face.
_TRIANGLES = (
    (), (1, 0, 2), (4, 0, 3), (1, 4, 2, 1, 3, 4), (3, 1, 5), (2, 3, 0, 2, 5, 3), (1, 4, 0, 1, 5, 4), (4, 2, 5),
    (4, 5, 2), (4, 1, 0, 4, 5, 1), (3, 2, 0, 3, 5, 2), (1, 3, 5), (4, 1, 2, 4, 3, 1), (3, 0, 4), (2, 0, 1), (),
)  # fmt: skip
# An exact zero would put several surface vertices on one grid vertex; it is moved inside by this fraction of the largest |sdf|.
_NUDGE = 1e-5


def marching_tetrahedra(vertices: Tensor, tets: Tensor, sdf: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Extract the zero level of a signed distance, differentiable in the positions and the distances.

    Inside a closed grid the surface is closed, manifold and consistently outward by construction.

    Args:
        vertices: (N, 3) grid positions, object units.
        tets: (T, 4) int64, all with det > 0.
        sdf: (N,) signed distance, negative inside, object units.

    Returns:
        vertices (M, 3); faces (F, 3) int64, counter-clockwise seen from outside; edges (M, 2) int64: the grid edge that each
        surface vertex lies on, first end smaller, in lexicographic order.

    Reference: Shen et al., Deep Marching Tetrahedra (2021), section 3.1.3: v_ab = (v_a s_b - v_b s_a) / (s_b - s_a). Edges are
        told apart by one integer and only in the tets that the surface crosses, which makes ours several times faster.
    """
    sdf = move_zeros(sdf)
    edges, faces = surface_topology(tets, sdf)
    return interpolate_edges(vertices, sdf, edges), faces, edges


def move_zeros(sdf: Tensor) -> Tensor:
    """The same distances (N,) with exact zeros a little inside, so that no two surface vertices fall on one grid vertex."""
    return sdf - (sdf == 0) * (_NUDGE * sdf.detach().abs().max().clamp(min=1e-20)) if sdf.numel() else sdf


def surface_topology(tets: Tensor, sdf: Tensor) -> tuple[Tensor, Tensor]:
    """Which grid edges the surface crosses and how the crossings join to triangles.

    Args:
        tets: (T, 4) int64, all with det > 0.
        sdf: (N,) signed distance; zero counts as inside.

    Returns:
        edges (M, 2) int64 and faces (F, 3) int64 into them: first all tets with one triangle, then all with two.
    """
    device, count = tets.device, len(sdf)
    outside = sdf > 0
    corner_outside = outside[tets]
    outside_count = corner_outside.sum(-1, dtype=torch.int8)
    active = ((outside_count > 0) & (outside_count < 4)).nonzero()[:, 0]
    tets, corner_outside = tets[active], corner_outside[active]
    code = (corner_outside * constant((1, 2, 4, 8), tets)).sum(-1)
    pairs = constant(TET_EDGES, tets)
    first, second = tets[:, pairs[:, 0]], tets[:, pairs[:, 1]]
    crossing = (corner_outside[:, pairs[:, 0]] != corner_outside[:, pairs[:, 1]]).reshape(-1)
    crossed = crossing.nonzero()[:, 0]
    first, second = first.reshape(-1)[crossed], second.reshape(-1)[crossed]
    keys, inverse = torch.unique(torch.minimum(first, second) * count + torch.maximum(first, second), return_inverse=True)
    vertex_of_edge = torch.full(crossing.shape, -1, dtype=torch.int64, device=device).index_copy(0, crossed, inverse).reshape(-1, 6)
    faces = []
    for triangles in (1, 2):
        table = constant(tuple(row if len(row) == 3 * triangles else (0,) * (3 * triangles) for row in _TRIANGLES), tets)
        chosen = ((outside_count[active] == 2) == (triangles == 2)).nonzero()[:, 0]
        faces.append(torch.gather(vertex_of_edge[chosen], 1, table[code[chosen]]).reshape(-1, 3))
    return torch.stack([keys // max(count, 1), keys % max(count, 1)], -1), torch.cat(faces)


def interpolate_edges(values: Tensor, sdf: Tensor, edges: Tensor) -> Tensor:
    """Carry what is known at the grid's vertices to the surface's.

    Args:
        values: (N, C) any attribute of the grid vertices.
        sdf: (N,) signed distance with opposite signs at the ends of each edge.
        edges: (M, 2) int64.

    Returns:
        (M, C).
    """
    ends = edges.reshape(-1)
    first, second = values.index_select(0, ends).reshape(-1, 2, values.shape[1]).unbind(1)
    sdf_first, sdf_second = sdf.index_select(0, ends).reshape(-1, 2, 1).unbind(1)
    return (first * -sdf_second + second * sdf_first) / (sdf_first - sdf_second)
