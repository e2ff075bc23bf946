"""The edges of a triangle mesh, found once and used by whoever needs them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class EdgeTable(NamedTuple):
    """The E edges of a mesh of F faces, in lexicographic order, and its 3 F half-edges sorted by edge.

    Args:
        low: (E,) int64, the vertex of the smaller index.
        high: (E,) int64, the other one.
        group: (3 F,) int64, the edge of each half-edge.
        order: (3 F,) int64, k * F + f for the half-edge from corner k of face f to the next.
        sign: (3 F,) +1 where it runs from the smaller vertex to the larger, else -1.
    """

    low: Tensor
    high: Tensor
    group: Tensor
    order: Tensor
    sign: Tensor


def edge_table(faces: Tensor, vertices: int) -> EdgeTable:
    """Sort the half-edges of faces (F, 3) int64 into a number of vertices."""
    a, b, c = (corner.contiguous() for corner in faces.unbind(1))
    start, stop = torch.cat([a, b, c]), torch.cat([b, c, a])
    key, order = torch.sort(torch.minimum(start, stop) * vertices + torch.maximum(start, stop), stable=True)
    fresh = torch.ones_like(key, dtype=torch.bool)
    fresh[1:] = key[1:] != key[:-1]
    edges = key[fresh]
    low = torch.div(edges, max(vertices, 1), rounding_mode="floor")
    sign = torch.where(start < stop, 1, -1).index_select(0, order)
    return EdgeTable(low, edges - low * vertices, fresh.cumsum(0) - 1, order, sign)


def face_pairs(table: EdgeTable) -> Tensor:
    """(P, 2) int64 numbers of the faces that share an edge, one row per edge that exactly two faces share."""
    count = torch.zeros_like(table.low).index_add(0, table.group, torch.ones_like(table.group))
    first = (count.cumsum(0) - count)[count == 2]
    face = table.order % max(len(table.order) // 3, 1)
    return torch.stack([face.index_select(0, first), face.index_select(0, first + 1)], -1)
