"""Flat outlines: smooth curves through points, insets, and extrusion to solids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from img23d.training.procedural.parts import Part
from img23d.training.textures import Paint


def extrude(outline: np.ndarray | Sequence[Sequence[float]], depth: float, paints: Paint | Sequence[Paint], bevel: float = 0.0) -> Part:
    """A simple outline in the x-y plane given thickness along z, centred there.

    Args:
        outline: (K, 2) corners, either way round, not crossing itself.
        depth: thickness.
        paints: one picture, or two: front and back, rim.
        bevel: width of the bevelled edge.
    """
    from manifold3d import triangulate

    outline = np.asarray(outline, float)
    nxt = np.roll(outline, -1, 0)
    if np.sum(outline[:, 0] * nxt[:, 1] - nxt[:, 0] * outline[:, 1]) < 0:
        outline = outline[::-1]
    count = len(outline)
    half = depth / 2
    levels = [(bevel, -half), (0.0, bevel - half), (0.0, half - bevel), (bevel, half)] if bevel > 0 else [(0.0, -half), (0.0, half)]
    rings = [np.concatenate([inset(outline, amount), np.full((count, 1), z)], 1) for amount, z in levels]
    vertices = np.concatenate(rings)
    cap = np.asarray(triangulate([outline]), np.int64)
    index = np.arange(count)
    sides = [
        np.stack([index, np.roll(index, -1), np.roll(index, -1) + count, index + count], -1) + level * count
        for level in range(len(levels) - 1)
    ]
    quads = np.concatenate(sides)
    faces = np.concatenate([cap[:, ::-1], cap + (len(levels) - 1) * count, quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    low, span = outline.min(0), max(float(np.ptp(outline, axis=0).max()), 1e-9)
    flat = (vertices[:, :2] - low) / span
    corner_uv = np.stack([flat[:, 0], 1 - flat[:, 1]], -1)[faces]
    pictures = (paints,) if isinstance(paints, np.ndarray) else tuple(paints)
    material = np.zeros(len(faces), np.int64)
    material[2 * len(cap) :] = len(pictures) - 1
    return Part(vertices, faces, corner_uv, material, pictures).outward()


def inset(outline: np.ndarray, amount: float) -> np.ndarray:
    """A counter-clockwise outline moved inwards by ``amount`` along the mean normals of its corners."""
    if amount == 0:
        return outline
    before, after = outline - np.roll(outline, 1, 0), np.roll(outline, -1, 0) - outline
    normals = []
    for edge in (before, after):
        normal = np.stack([-edge[:, 1], edge[:, 0]], -1)
        normals.append(normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12))
    mean = normals[0] + normals[1]
    mean /= np.maximum((mean**2).sum(1, keepdims=True), 0.5) / 2
    return outline + amount * mean


def smooth_outline(points: np.ndarray | Sequence[Sequence[float] | np.ndarray], per_edge: int = 6, closed: bool = True) -> np.ndarray:
    """A Catmull-Rom curve through points of any dimension, ``per_edge`` samples between neighbours."""
    points = np.asarray(points, float)
    count = len(points)
    if closed:
        index = np.arange(count)
        p0, p1, p2, p3 = (points[(index + shift) % count] for shift in (-1, 0, 1, 2))
    else:
        index = np.arange(count - 1)
        p0, p1, p2, p3 = (points[np.clip(index + shift, 0, count - 1)] for shift in (-1, 0, 1, 2))
    t = (np.arange(per_edge) / per_edge)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (p0, p1, p2, p3))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    curve = curve.reshape(-1, points.shape[1])
    return curve if closed else np.concatenate([curve, points[-1:]])
