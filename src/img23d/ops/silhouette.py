"""Where a mesh ends in the picture: the edges with all their faces on one side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from img23d.ops.edges import EdgeTable, edge_table
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


def silhouette_edges(points: Tensor, faces: Tensor, table: EdgeTable | None = None) -> Silhouette:
    """The edges behind which the surface turns away, and the borders of open surfaces, hidden ones included.

    Args:
        points: (V, N, 3) projected vertices: x, y image fractions and z-depth. Faces that the rasteriser leaves out do not count.
        faces: (F, 3) int64, in any winding.
        table: `edge_table` of the faces, when already known, or of the first of them, when the others have no edges that matter.
    """
    low, high, group, order, sign = edge_table(faces, points.shape[1]) if table is None else table
    faces = faces[: len(order) // 3]
    corners, face = [corner.contiguous() for corner in faces.unbind(1)], order % max(len(faces), 1)
    sign = sign.to(points.dtype)
    found = []
    for view, (x, y, z) in enumerate(table.unbind(1) for table in points):
        (ax, bx, cx), (ay, by, cy) = ([axis.index_select(0, corner) for corner in corners] for axis in (x, y))
        turn = torch.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
        if not bool((z > NEAR).all()):
            turn = torch.where((z > NEAR)[faces].all(1), turn, torch.zeros_like(turn))
        side = turn.index_select(0, face) * sign
        total = torch.zeros_like(low, dtype=points.dtype).index_add_(0, group, side)
        weight = torch.zeros_like(total).index_add_(0, group, side.abs())
        # An edge-on face has no side and does not vote.
        edge = torch.nonzero((total.abs() == weight) & (weight > 0))[:, 0]
        found.append((torch.full_like(edge, view), low[edge], high[edge], torch.sign(total[edge])))
    return Silhouette(*(torch.cat(parts) for parts in zip(*found)))
