"""Dual marching cubes: which crossed edges of a cube belong to one patch of surface, derived for all 256 patterns of corners.

Numbering: corner i lies at (i & 1, i >> 1 & 1, i >> 2 & 1) along x, y, z. Edge 4 a + j runs along axis a; its four places j lie
counter-clockwise round the axis, seen from its positive end. Side 2 a + s is normal to axis a, low (s = 0) or high (s = 1).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

_PLACES = ((0, 0), (1, 0), (1, 1), (0, 1))


def _edge(axis: int, place: int) -> tuple[int, int]:
    first = _PLACES[place][0] << (axis + 1) % 3 | _PLACES[place][1] << (axis + 2) % 3
    return first, first | 1 << axis


def _side(axis: int, high: int) -> tuple[int, ...]:
    places = _PLACES if high else _PLACES[::-1]
    return tuple(high << axis | u << (axis + 1) % 3 | v << (axis + 2) % 3 for u, v in places)


def _side_edges(corners: tuple[int, ...]) -> tuple[int, ...]:
    pairs = [set(pair) for pair in CUBE_EDGES]
    return tuple(pairs.index({corners[i], corners[(i + 1) % 4]}) for i in range(4))


# The low and the high corner of the twelve edges.
CUBE_EDGES = tuple(_edge(axis, place) for axis in range(3) for place in range(4))
# The corners of the six sides, counter-clockwise seen from outside the cube, and the edges from each corner to the next.
CUBE_SIDES = tuple(_side(axis, high) for axis in range(3) for high in range(2))
SIDE_EDGES = tuple(_side_edges(corners) for corners in CUBE_SIDES)


class PatchTable(NamedTuple):
    """What a cube's corners say about its surface. The row is the code of the corners (bit i set: corner i is inside), or 256
    more where the cube's ambiguous sides are crossed the other way.

    Args:
        patch: (512, 12) int64, the number of the patch that each edge belongs to, -1 where the surface does not cross it.
        patches: (512,) int64, patches in the cube, 0 to 4.
        double: (512,) int64, the side that one and the same patch crosses twice, -1 for none.
    """

    patch: Tensor
    patches: Tensor
    double: Tensor


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def patch_table(device: torch.device) -> PatchTable:
    """Trace the surface over the sides of a cube, for every pattern of inside corners.

    A patch is a loop of lines, each across one side from an edge where the surface leaves the inside to one where it enters.
    A side whose corners alternate is ambiguous: two lines cross it. They cut off its outside corners, so that the inside hangs
    together and thin parts do not break, or, in the second half of the table, its inside corners. Both cubes at a side see the
    same lines, so that patches close to a surface.

    Reference: Nielson, Dual Marching Cubes (2004), for the patches; the table is traced here instead of listed.
    """
    row = torch.arange(512, device=device)
    inside = (row[:, None] >> torch.arange(8, device=device) & 1).bool()
    numbers = torch.arange(12, device=device)
    following = _next_edges(inside, row >= 256)
    label, reach = numbers.repeat(len(row), 1), following
    for _ in range(4):  # twice as far each time; a loop has at most twelve edges
        label = torch.minimum(label, label.gather(1, reach))
        reach = reach.gather(1, reach)
    low, high = torch.tensor(CUBE_EDGES, device=device).T
    crossed = inside[:, low] != inside[:, high]
    first = crossed & (label == numbers)
    patch = torch.where(crossed, (first.cumsum(1) - 1).gather(1, label), -1)
    around = patch[:, torch.tensor(SIDE_EDGES, device=device)]
    twice = (around >= 0).all(-1) & (around == around[..., :1]).all(-1)
    # at most one side: the 36 patterns with such a side have no other ambiguous one
    return PatchTable(patch, first.sum(1), torch.where(twice.any(1), twice.long().argmax(1), -1))


def _next_edges(inside: Tensor, flipped: Tensor) -> Tensor:
    """(B, 12) the edge that follows each crossed edge along its loop; (B, 8) bool, (B,) bool."""
    following = torch.arange(12, device=inside.device).repeat(len(inside), 1)
    for corners, edges in zip(CUBE_SIDES, SIDE_EDGES, strict=True):
        within = inside[:, corners]
        enters = ~within & within.roll(-1, 1)  # walking round the side: from outside to inside
        for i in range(4):
            leaves = within[:, i] & ~within[:, (i + 1) % 4]
            onward, back = following[:, edges[i]].clone(), following[:, edges[i]].clone()
            for step in (3, 2, 1):  # the nearest entry is written last
                onward[enters[:, (i + step) % 4]] = edges[(i + step) % 4]
                back[enters[:, i - step]] = edges[i - step]
            following[leaves, edges[i]] = torch.where(flipped, back, onward)[leaves]
    return following


def manifold_rows(code: Tensor, neighbours: Tensor) -> Tensor:
    """Choose how ambiguous sides are crossed so that the patches' dual is manifold.

    Where both lines across the side between two cubes join the same two patches, the dual would have one edge for both lines,
    with four faces. Cutting that side the other way divides either patch in two, each with a line of its own. Both cubes have
    no other ambiguous side then, so no third cube is concerned, and every edge of the dual has two faces in all cases.

    Args:
        code: (C,) int64, bit i set where corner i is inside.
        neighbours: (C, 6) int64, the cube across each side, -1 for none.

    Returns:
        (C,) int64 rows of the `patch_table`.

    Reference: Wenger, Isosurfaces: Geometry, Topology, and Algorithms (2013), as in Shen et al., Flexible
        Isosurface Extraction for Gradient-Based Mesh Optimization (2023), section 4.
    """
    double = patch_table(code.device).double
    cube = (double[code] >= 0).nonzero()[:, 0]
    side = double[code[cube]]
    other = neighbours[cube, side]
    both = (other >= 0) & (double[code[other]] == side ^ 1)
    row = code.clone()
    row[cube[both]] += 256
    return row
