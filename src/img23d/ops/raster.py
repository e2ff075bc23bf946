"""Which face does each pixel see: the torch reference that every faster rasteriser must agree with."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from img23d.ops.constants import constant
from img23d.ops.edges import EdgeTable

NEAR = 1e-4
"""Smallest z-depth, object units, that a corner may have: nothing is clipped, a face that comes nearer is left out whole."""

CHUNK = 1 << 20
"""Most (face, pixel) pairs looked at together unless one face covers more; bounds the memory to some 100 MB."""


class Rasterizer(Protocol):
    """What a renderer needs to know about visibility; `img23d.backends.rasterizers` chooses one."""

    @property
    def name(self) -> str:
        """Which backend this is."""

    def face_ids(self, points: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
        """As `face_ids` below."""

    def antialias(self, image: Tensor, ids: Tensor, points: Tensor, faces: Tensor, table: EdgeTable | None = None) -> Tensor:
        """As `img23d.ops.antialias.antialias`."""


class Edges(NamedTuple):
    """Three edges of K faces, each measured from its upper end, so that two faces sharing one compute exactly opposite values."""

    origin: Tensor  # (K, 3, 2)
    direction: Tensor  # (K, 3, 2)
    sign: Tensor  # (K, 3)
    inclusive: Tensor  # (K, 3) bool: a pixel centre right on this edge belongs to the face (top-left rule)


def face_ids(points: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
    """The face that each pixel centre sees.

    Args:
        points: (V, N, 3) projected vertices as `Cameras.project` gives them: x, y image fractions and z-depth.
        faces: (F, 3) int64; both sides are drawn, the nearest surface wins.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        (V, H, W) int64 index into ``faces``, -1 where nothing is hit. Faces with a corner at z-depth <= `NEAR` are left out. A pixel
        centre on an edge shared by two faces belongs to exactly one of them; of two faces at the same depth the first wins.

    Reference:
        Pineda, A parallel algorithm for polygon rasterization (1988), with the top-left fill rule of OpenGL and Direct3D.
    """
    exact = points.detach().to(torch.float32 if points.device.type == "mps" else torch.float64)
    pixels = exact * constant((width, height, 1.0), exact)
    return torch.stack([view_ids(view[faces], height, width) for view in pixels]) if len(points) else faces.new_empty(0, height, width)


def view_ids(corners: Tensor, height: int, width: int) -> Tensor:
    """(H, W) face ids of one view, from (F, 3, 3) corners in pixels and z-depth."""
    kept, corners, box = boxes(corners, height, width)
    edges, plane = edge_functions(corners), inverse_depth_planes(corners)
    best = corners.new_zeros(height * width)
    ids = kept.new_full((height * width,), -1)
    area = box[:, 2] * box[:, 3]
    for rows in torch.split(torch.arange(len(kept), device=kept.device), batches(area)):
        face = rows.repeat_interleave(area[rows])
        first = area[rows].cumsum(0) - area[rows]
        offset = torch.arange(len(face), device=face.device) - first.repeat_interleave(area[rows], output_size=len(face))
        column, row = box[face, 0] + offset % box[face, 2], box[face, 1] + offset // box[face, 2]
        centre = torch.stack([column, row], -1).to(corners.dtype) + 0.5
        inside = torch.nonzero(covers(edges, face, centre))[:, 0]
        face, centre, pixel = face[inside], centre[inside], (row * width + column)[inside]
        away = centre - corners[face, 0, :2]
        nearness = plane[face, 0] + plane[face, 1] * away[:, 0] + plane[face, 2] * away[:, 1]
        before = best.clone()
        best.scatter_reduce_(0, pixel, nearness, "amax")
        wins = torch.nonzero((nearness == best[pixel]) & (nearness > before[pixel]))[:, 0]
        first_face = torch.full_like(ids, len(area)).scatter_reduce_(0, pixel[wins], face[wins], "amin")
        ids = torch.where(first_face < len(area), kept[first_face.clamp(max=max(len(area) - 1, 0))], ids)
    return ids.reshape(height, width)


def batches(area: Tensor) -> list[int]:
    """How many of the faces, of areas (K,) > 0, to take at a time: about `CHUNK` pixels."""
    if int(area.sum()) <= CHUNK:
        return [len(area)] if len(area) else []
    return torch.unique_consecutive((area.cumsum(0) - 1) // CHUNK, return_counts=True)[1].tolist()


def boxes(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The faces whose bounding box holds a pixel centre.

    Returns:
        their indices (K,), corners (K, 3, 3) turned to positive area, and boxes (K, 4) as first column, first row, columns, rows.
    """
    low, high = corners[..., :2].amin(1), corners[..., :2].amax(1)
    limit = constant((width, height), corners)
    first = torch.minimum((low - 0.5).ceil().clamp(min=0), limit)
    size = (torch.minimum((high - 0.5).floor(), limit - 1) - first + 1).clamp(min=0)
    (ax, ay), (bx, by), (cx, cy) = (corners[:, k, :2].unbind(-1) for k in range(3))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    kept = torch.nonzero((corners[..., 2] > NEAR).all(1) & (size > 0).all(1) & (area != 0) & area.isfinite())[:, 0]
    corners, flipped = corners[kept], (area[kept] < 0)[:, None, None]
    corners = torch.where(flipped, torch.stack([corners[:, k] for k in (0, 2, 1)], 1), corners)
    return kept, corners, torch.cat([first[kept], size[kept]], -1).long()


def edge_functions(corners: Tensor) -> Edges:
    """The edges opposite to each corner of (K, 3, 3) faces with positive area."""
    a, b = corners[..., :2].roll(-1, 1), corners[..., :2].roll(-2, 1)
    inclusive = (b[..., 1] < a[..., 1]) | ((b[..., 1] == a[..., 1]) & (b[..., 0] > a[..., 0]))
    forward = (a[..., 1] < b[..., 1]) | ((a[..., 1] == b[..., 1]) & (a[..., 0] < b[..., 0]))
    direction = torch.where(forward[..., None], b - a, a - b)
    return Edges(torch.where(forward[..., None], a, b), direction, torch.where(forward, 1.0, -1.0).to(corners.dtype), inclusive)


def covers(edges: Edges, face: Tensor, centre: Tensor) -> Tensor:
    """(P,) whether the pixel centre (P, 2) lies in the face it is paired with."""
    inside = torch.ones_like(face, dtype=torch.bool)
    for k in range(3):
        direction, away = edges.direction[:, k][face], centre - edges.origin[:, k][face]
        value = edges.sign[:, k][face] * (direction[:, 0] * away[:, 1] - direction[:, 1] * away[:, 0])
        inside &= (value > 0) | (edges.inclusive[:, k][face] & (value == 0))
    return inside


def inverse_depth_planes(corners: Tensor) -> Tensor:
    """(K, 3): 1 / z at the first corner and its slopes in x and y; 1 / z, and not z, is linear in the picture."""
    (ax, ay), (bx, by), (cx, cy) = (corners[:, k, :2].unbind(-1) for k in range(3))
    az, bz, cz = (1 / corners[..., 2]).unbind(-1)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    slope_x = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
    slope_y = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
    return torch.stack([az, slope_x, slope_y], -1)
