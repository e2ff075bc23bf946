"""From face ids to everything a pixel shows: perspective-correct barycentrics, depth and attributes, all differentiable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fragments:
    """The P covered pixels of V pictures and what they see.

    Args:
        size: (V, H, W).
        pixel: (P,) int64 index into the V * H * W pixels.
        face: (P,) int64 index into the faces.
        corners: (P, 3) int64 index of the face's vertices.
        weights: (P, 3) barycentric coordinates on the surface (perspective-correct); they add up to 1.
        depth: (P,) z-depth, object units.
    """

    size: tuple[int, int, int]
    pixel: Tensor
    face: Tensor
    corners: Tensor
    weights: Tensor
    depth: Tensor

    @property
    def view(self) -> Tensor:
        """(P,) int64: which picture each covered pixel belongs to."""
        return self.pixel // (self.size[1] * self.size[2])


def fragments(ids: Tensor, points: Tensor, faces: Tensor) -> Fragments:
    """Where on its face each covered pixel looks.

    With q_i = z_i (x_i - x, y_i - y), the picture's offset of corner i from the pixel centre scaled by its depth, the barycentric
    coordinates on the surface are proportional to q_1 x q_2, q_2 x q_0, q_0 x q_1: no division by z, and exact near the pixel.

    Args:
        ids: (V, H, W) int64 from a rasteriser, -1 where nothing is hit.
        points: (V, N, 3) projected vertices: x, y image fractions and z-depth.
        faces: (F, 3) int64.

    Reference:
        Olano and Greer, Triangle scan conversion using 2D homogeneous coordinates (1997).
    """
    views, height, width = ids.shape
    view, row, column = torch.nonzero(ids >= 0, as_tuple=True)
    pixel = (view * height + row) * width + column
    face = ids.reshape(-1).index_select(0, pixel)
    corners = faces.index_select(0, face)
    centre_x, centre_y = (column.to(points.dtype) + 0.5) / width, (row.to(points.dtype) + 0.5) / height
    at = [corner + view * points.shape[1] for corner in corners.unbind(1)]
    x, y, z = ([table.index_select(0, corner) for corner in at] for table in points.reshape(-1, 3).unbind(1))
    qx, qy = ([d * (k - centre) for d, k in zip(z, xy)] for xy, centre in ((x, centre_x), (y, centre_y)))
    area = [qx[i] * qy[j] - qy[i] * qx[j] for i, j in ((1, 2), (2, 0), (0, 1))]
    total = area[0] + area[1] + area[2]
    total = torch.where(total == 0, torch.ones_like(total), total)
    # The clamp only acts on rounding: the centre is inside, but on a sliver float32 may say otherwise by any factor.
    inside = [(part / total).clamp(0, 1) for part in area]
    total = (inside[0] + inside[1] + inside[2]).clamp(min=0.5)
    weights = torch.stack([part / total for part in inside], -1)
    return Fragments((views, height, width), pixel, face, corners, weights, weighted_sum(weights, z))


def interpolate(seen: Fragments, attributes: Tensor, corners: Tensor | None = None) -> Tensor:
    """Attributes at the covered pixels.

    Args:
        seen: the covered pixels.
        attributes: (N, C) per vertex, or per row of ``corners``.
        corners: (F, 3) int64 rows of ``attributes`` for each face where they are not the vertices' own, such as ``uv_faces``.

    Returns:
        (P, C); `to_image` makes pictures of it.
    """
    rows = seen.corners if corners is None else corners.index_select(0, seen.face)
    columns = [row.contiguous() for row in rows.unbind(1)]
    # Channel by channel: gathering one number at a time is several times faster, forth and back, than gathering rows.
    values = [[channel.index_select(0, column) for column in columns] for channel in attributes.unbind(1)]
    return torch.stack([weighted_sum(seen.weights, three) for three in values], -1)


def weighted_sum(weights: Tensor, values: list[Tensor]) -> Tensor:
    """(P,) sum of three (P,) values with (P, 3) weights."""
    return weights[:, 0] * values[0] + weights[:, 1] * values[1] + weights[:, 2] * values[2]


def to_image(seen: Fragments, values: Tensor, background: float = 0.0) -> Tensor:
    """(V, H, W, C) pictures of (P, C) values, or (V, H, W) of (P,) values; ``background`` where nothing is seen."""
    views, height, width = seen.size
    canvas = values.new_full((views * height * width, *values.shape[1:]), background)
    return canvas.index_copy(0, seen.pixel, values).reshape(views, height, width, *values.shape[1:])
