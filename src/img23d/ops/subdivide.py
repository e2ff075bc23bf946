"""Volume subdivision of tetrahedral grids, whole or only around the surface."""

from __future__ import annotations

import torch
from torch import Tensor

from img23d.ops.tetgrid import edge_keys
from img23d.scene import TetGrid

# A tet is the points 0-3 for its corners a b c d and 4-9 for its edges' midpoints ab ac ad bc bd cd. Four corner tets, then the
# octahedron cut along ac-bd. The sequence is the field's (and Kaolin's), so that grids can be compared tet by tet.
_CHILDREN = ((0, 4, 5, 6), (1, 7, 4, 8), (2, 5, 7, 9), (3, 6, 9, 8), (4, 5, 6, 8), (4, 5, 8, 7), (9, 5, 8, 6), (9, 5, 7, 8))
# Even reorderings of the corners (the tet stays positive) that bring each pair of opposite edges to the place of ac and bd.
_ROTATIONS = ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2))


def subdivide(grid: TetGrid, *features: Tensor, selected: Tensor | None = None) -> tuple[TetGrid, tuple[Tensor, ...]]:
    """Split each tet into eight at its edges' midpoints and average the features there.

    Args:
        grid: N vertices, T tets.
        features: any number of (N,) or (N, C) vertex attributes, such as the signed distance and the offsets.
        selected: (T,) bool, the tets to split; the others and the vertices that only they use are left out. None for all.

    Returns:
        The finer grid (kept vertices in their old order, then midpoints in the order of their edges) and its features.

    Reference: Shen et al., Deep Marching Tetrahedra (2021), section 3.1.2. The inner octahedron is cut along its shortest
        diagonal, which on our body-centred grid keeps all tets congruent, level after level; all eight parts have exactly an
        eighth of the volume whichever diagonal is cut, so none can turn inside out.
    """
    vertices, tets, features = select_tets(grid, features, selected)
    tets = shortest_diagonal_first(vertices, tets)
    keys, inverse = torch.unique(edge_keys(tets, len(vertices)), return_inverse=True)
    first, second = keys // max(len(vertices), 1), keys % max(len(vertices), 1)
    points = torch.cat([tets, inverse + len(vertices)], 1)
    points = points.T.contiguous()
    children = torch.cat([torch.stack([points[corner] for corner in child], -1) for child in _CHILDREN])
    finer = [torch.cat([values, (values[first] + values[second]) / 2]) for values in (vertices, *features)]
    return TetGrid.of_positive(finer[0], children), tuple(finer[1:])


def shortest_diagonal_first(vertices: Tensor, tets: Tensor) -> Tensor:
    """Turn the corners of each tet, keeping its sign, so that the midpoints of edges 0-2 and 1-3 are the closest opposite pair.

    Args:
        vertices: (N, 3).
        tets: (T, 4) int64.

    Returns:
        (T, 4) int64; tets whose first diagonal is the shortest within a thousandth are unchanged.
    """
    corner = vertices.detach()[tets]
    total = corner.sum(1, keepdim=True)
    # Midpoint distance of edges (i, j) and (k, l): |ci + cj - ck - cl| / 2 = |total / 2 - ck - cl|.
    length = torch.stack([(total[:, 0] / 2 - corner[:, r[0]] - corner[:, r[2]]).square().sum(-1) for r in _ROTATIONS], -1)
    length[:, 0] *= 0.998
    best = length.argmin(-1)
    turned = best.nonzero()[:, 0]
    order = torch.tensor(_ROTATIONS, device=tets.device)[best[turned]]
    tets = tets.clone()
    tets[turned] = torch.gather(tets[turned], 1, order)
    return tets


def select_tets(grid: TetGrid, features: tuple[Tensor, ...], selected: Tensor | None) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Vertices, tets and features of part of a grid, without the vertices that it does not use; the others keep their order."""
    if selected is None:
        return grid.vertices, grid.tets, features
    tets = grid.tets[selected]
    used = torch.zeros(len(grid.vertices), dtype=torch.bool, device=tets.device)
    used[tets.reshape(-1)] = True
    number = torch.cumsum(used, 0) - 1
    return grid.vertices[used], number[tets], tuple(values[used] for values in features)
