"""Tunnels through a guessed solid that the photo does not show, such as a bowl's bottom worn through, closed again."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label
from torch import Tensor

RADII = (2.0, 3.0, 4.5, 6.5, 9.0)  # samples: tunnels up to twice as wide are closed
LEAST_HOLE = 4e-4  # share of the picture: smaller holes of the silhouette are noise
# Samples by which a closed tunnel stays behind the surfaces around it, which keep their own places; what is as thin as a plate cannot
# be closed so.
ROUNDINGS = (0.7, 0.0)


def tunnel_count(inside: np.ndarray) -> int:
    """Number of tunnels through a solid: its parts plus its sealed hollows minus its Euler characteristic.

    Args:
        inside: (D, H, W) bool; samples are cubes, and cubes that share a corner belong together.
    """
    padded = np.pad(inside, 1)
    characteristic = 0
    # Cells of each kind exist where a cube that they belong to does: corners, edges, squares, cubes count +, -, +, -.
    for kind in np.ndindex(2, 2, 2):
        present = padded
        for axis, extended in enumerate(kind):
            if not extended:
                low, high = np.arange(padded.shape[axis] - 1), np.arange(1, padded.shape[axis])
                present = present.take(low, axis) | present.take(high, axis)
        characteristic += (-1) ** sum(kind) * int(present.sum())
    parts = label(inside, np.ones((3, 3, 3)))[1]
    hollows = label(~padded)[1] - 1
    return parts + hollows - characteristic


def hole_count(mask: Tensor) -> int:
    """Number of holes of a silhouette (S, S), 0..1."""
    solid = (mask >= 0.5).cpu().numpy()
    holes = label(binary_fill_holes(solid) & ~solid)[0]
    return int((np.bincount(holes.reshape(-1))[1:] >= LEAST_HOLE * mask.numel()).sum())


def closed(distance: Tensor, radius: float, outside: Tensor, step: float, rounding: float = ROUNDINGS[0]) -> Tensor:
    """The solid with gaps narrower than two radii filled, but for what lies outside the silhouette.

    Args:
        distance: (D, D, D) signed.
        radius: in samples.
        outside: (D, D, D) signed distance to the silhouette's cone.
        step: between samples.
        rounding: samples by which what is filled stays behind.

    Reference: a closing with a ball, Serra, Image Analysis and Mathematical Morphology (1982).
    """
    margin = math.ceil(radius) + 2
    inside = np.pad((distance < 0).cpu().numpy(), margin)
    grown = distance_transform_edt(~inside) <= radius
    inner = slice(margin, -margin)
    filled = torch.from_numpy(radius - distance_transform_edt(grown)[inner, inner, inner]).to(distance)
    return torch.minimum(distance, torch.maximum((filled + rounding) * step, outside))


def close_tunnels(distance: Tensor, outside: Tensor, mask: Tensor, step: float) -> Tensor:
    """Close the tunnels of a guessed solid beyond those that its silhouette shows as holes, the narrowest first.

    Args:
        distance: (D, D, D) signed distance, negative inside, object units.
        outside: (D, D, D) signed distance to the silhouette's cone, object units.
        mask: (S, S) the silhouette, 0..1.
        step: between samples, object units.

    Returns:
        The distances; unchanged where there is nothing to close, or where closing does not help.
    """
    shown = hole_count(mask)
    best, fewest = distance, tunnel_count((distance < 0).cpu().numpy())
    for rounding, radius in itertools.product(ROUNDINGS, RADII):
        if fewest <= shown:
            break
        tried = closed(distance, radius, outside, step, rounding)
        count = tunnel_count((tried < 0).cpu().numpy())
        if count < fewest:
            best, fewest = tried, count
    return best
