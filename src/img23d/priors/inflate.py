"""Silhouettes blown up round: the classical guess that the network starts from and corrects."""

from __future__ import annotations

import torch
from torch import Tensor

FAR = 1e6


def parabola_minimum(values: Tensor) -> Tensor:
    """(B, H, W) ``min over q of |p - q|^2 + values(q)``, lengths in pixels.

    Reference:
        Felzenszwalb and Huttenlocher, Distance transforms of sampled functions (2012); along rows, then columns, by brute force.
    """
    for axis in (2, 1):
        size = values.shape[axis]
        place = torch.arange(size, dtype=values.dtype, device=values.device)
        square = (place[:, None] - place[None]) ** 2
        rows = values.movedim(axis, 0).contiguous()
        best = (rows[0][..., None] + square[0]).contiguous()
        for q in range(1, size):
            torch.minimum(best, rows[q][..., None] + square[q], out=best)
        values = best.movedim(-1, axis)
    return values


def inflate(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the silhouette's edge, and half the thickness of the solid that has round cross-sections.

    The solid is the union of balls that are centred in the picture's plane and touch the silhouette from within.

    Args:
        mask: (B, S, S) coverage 0..1 of a square picture.

    Returns:
        (B, S, S) distance and (B, S, S) half-thickness, both in half-widths of the picture, 0 outside.
    """
    inside = mask > 0.5
    square = parabola_minimum(torch.where(inside, FAR, 0.0).to(mask.dtype)).clamp(max=mask.shape[-1] ** 2)
    radius = torch.where(inside, (square.sqrt() - 0.5).clamp(min=0.0), torch.zeros_like(square))
    height = (-parabola_minimum(torch.where(inside, -(radius**2), torch.full_like(square, FAR)))).clamp(min=0.0).sqrt()
    pixel = 2.0 / mask.shape[-1]
    return radius * pixel, torch.where(inside, height, torch.zeros_like(height)) * pixel
