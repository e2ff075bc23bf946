"""Where a mesh ends in the picture: the edges with all their faces on one side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from img23d.ops.raster import NEAR


@dataclass(frozen=True)
class Silhouette:
    """K silhouette edges of V pictures.

    Args:
        view: (K,) int64, the picture.
        start: (K,) int64, the vertex at one end.
        stop: (K,) int64, the vertex at the other.
        side: (K,) +1 or -1, the sign of (stop - start) x (point - start) for points of the faces, with y downwards.
    """

    view: Tensor
    start: Tensor
    stop: Tensor
    side: Tensor


def silhouette_edges(points: Tensor, faces: Tensor) -> Silhouette:
    """The edges behind which the surface turns away, and the borders of open surfaces, hidden ones included.

    Args:
        points: (V, N, 3) projected vertices: x, y image fractions and z-depth. Faces that the rasteriser leaves out do not count.
        faces: (F, 3) int64, in any winding.
    """
    low, high, group, order = edge_table(faces, points.shape[1])
    half_edge_sign = torch.where(faces < faces[:, [1, 2, 0]], 1.0, -1.0).T.reshape(-1)[order].to(points.dtype)
    face = order % max(len(faces), 1)
    found = []
    for view, (x, y, z) in enumerate(table.unbind(1) for table in points):
        (ax, bx, cx), (ay, by, cy) = ([axis.index_select(0, k) for k in faces.T.contiguous().unbind(0)] for axis in (x, y))
        turn = torch.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
        if not bool((z > NEAR).all()):
            turn = turn * (z > NEAR)[faces].all(1)
        side = turn.index_select(0, face) * half_edge_sign
        total = torch.zeros_like(low, dtype=points.dtype).index_add_(0, group, side)
        weight = torch.zeros_like(total).index_add_(0, group, side.abs())
        # An edge-on face has no side and does not vote.
        edge = torch.nonzero((total.abs() == weight) & (weight > 0))[:, 0]
        found.append((torch.full_like(edge, view), low[edge], high[edge], torch.sign(total[edge])))
    return Silhouette(*(torch.cat(parts) for parts in zip(*found)))


def edge_table(faces: Tensor, vertices: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The edges of a mesh.

    Returns:
        the two vertices of each of the E edges, smaller index first, (E,) and (E,); for each of the 3 F half-edges in sorted order
        its edge (3 F,); and that order (3 F,): half-edge k * F + f is corner k to corner k + 1 of face f.
    """
    a, b = faces.T.reshape(-1), faces[:, [1, 2, 0]].T.reshape(-1)
    key, order = torch.sort(torch.minimum(a, b) * vertices + torch.maximum(a, b))
    edges, group = torch.unique_consecutive(key, return_inverse=True)
    return edges // max(vertices, 1), edges % max(vertices, 1), group, order
