"""Nearest points on triangles."""

from __future__ import annotations

import torch
from torch import Tensor


def closest_on_triangles(points: Tensor, corners: Tensor) -> Tensor:
    """The point of each triangle that is nearest to each point.

    Args:
        points: (..., 3) object units.
        corners: (..., 3, 3) triangle corners, broadcast against the points; flat and point-like triangles are allowed.

    Returns:
        (..., 3).

    Reference: Ericson, Real-Time Collision Detection (2005), section 5.1.5; ours takes the nearest of the foot on the plane,
        where that falls inside, and the nearest points of the three sides.
    """
    a, b, c = corners.unbind(-2)
    best, least = _closest_on_segment(points, a, b)
    for start, end in ((b, c), (c, a)):
        candidate, distance = _closest_on_segment(points, start, end)
        nearer = distance < least
        best, least = torch.where(nearer[..., None], candidate, best), torch.where(nearer, distance, least)
    u, v, w = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    determinant = uu * vv - uv * uv
    flat = determinant <= 1e-12 * uu * vv
    safe = torch.where(flat, torch.ones_like(determinant), determinant)
    s, t = (vv * wu - uv * wv) / safe, (uu * wv - uv * wu) / safe
    inside = (s >= 0) & (t >= 0) & (s + t <= 1) & ~flat
    return torch.where(inside[..., None], a + s[..., None] * u + t[..., None] * v, best)


def _closest_on_segment(points: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest point of each segment and its squared distance."""
    along = end - start
    length = (along * along).sum(-1)
    share = ((points - start) * along).sum(-1) / torch.where(length > 0, length, torch.ones_like(length))
    nearest = start + share.clamp(0, 1)[..., None] * along
    return nearest, (points - nearest).square().sum(-1)
