"""First and last surface along the rays of one picture, with the place on the face where the ray meets it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from img23d.backends.rasterizers import BackendRasterizer


class Hits(NamedTuple):
    """The P pixels of a square picture that see a face."""

    pixel: Tensor  # (P,) int64, row * size + column
    face: Tensor  # (P,) int64
    weight: Tensor  # (P, 3) barycentric on the face in space (perspective-correct), sums to 1

    def interpolate(self, corners: Tensor) -> Tensor:
        """(P, C) values at the hits from values at the corners of all faces, (F, 3, C)."""
        return (corners[self.face] * self.weight[..., None]).sum(1)


def surface_hits(
    rasterizer: BackendRasterizer, xy: Tensor, nearness: Tensor, faces: Tensor, size: int, perspective: bool, last: bool = False
) -> Hits:
    """Where the rays through the pixel centres meet the mesh first, or last.

    Args:
        rasterizer: finds face ids.
        xy: (N, 2) projected vertices as fractions of the picture.
        nearness: (N,) positive, linear in the picture, larger is nearer: 1 / z-depth in perspective, minus the depth without it.
        faces: (F, 3) int64.
        size: pixels along each side.
        perspective: whether ``nearness`` is 1 / z-depth.
        last: the last surface instead of the first.
    """
    ranked = nearness.amin() + nearness.amax() - nearness if last else nearness
    # The span of ranked values is kept away from zero, as the rasteriser inverts them.
    low = ranked.amin()
    ranked = 1.0 + (ranked - low) / (ranked.amax() - low).clamp(min=1e-9)
    ids = rasterizer.face_ids(torch.cat([xy, 1.0 / ranked[:, None]], -1)[None], faces, size, size)[0].reshape(-1)
    pixel = torch.nonzero(ids >= 0)[:, 0]
    face = ids[pixel]
    corner = xy[faces[face]].double() * size
    centre = torch.stack([pixel % size, pixel // size], -1).double() + 0.5
    a, b, c = corner.unbind(1)
    area = cross(b - a, c - a)
    weight = torch.stack([cross(b - centre, c - centre), cross(c - centre, a - centre), cross(a - centre, b - centre)], -1)
    weight = (weight / torch.where(area.abs() < 1e-12, torch.full_like(area, 1e-12), area)[:, None]).to(xy.dtype)
    if perspective:
        weight = weight * nearness[faces[face]]
    return Hits(pixel, face, weight / weight.sum(-1, keepdim=True))


def cross(a: Tensor, b: Tensor) -> Tensor:
    """(P,) z-component of the cross product of plane vectors (P, 2)."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
