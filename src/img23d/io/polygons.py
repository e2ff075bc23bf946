"""Cutting the concave polygons of OBJ files, which readers cut from one corner as if they were convex."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corner = bytes


def with_concave_cut(data: bytes) -> bytes:
    """The text of an OBJ file, its concave faces of four corners turned and those of more cut into triangles.

    A reader cuts a face with corners a b c d into abc and acd; turned to b c d a it is cut the other way.

    Args:
        data: the file's bytes; convex faces and all else stay as they are.
    """
    lines = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").split(b"\n")
    polygons, places, count = [], [], 0
    for number, line in enumerate(lines):
        if line[:2] in (b"v ", b"v\t"):
            places.append(line.split()[1:4])
            count += 1
        elif line[:2] in (b"f ", b"f\t"):
            corners = line.split(b"#")[0].split()[1:]
            if len(corners) > 3:
                polygons.append((number, corners, [vertex(corner, count) for corner in corners]))
    if not polygons:
        return data
    points = np.array(places, dtype=np.float64)
    quads = [entry for entry in polygons if len(entry[1]) == 4]
    for (number, corners, _), bad in zip(quads, folded(points, [rows for _, _, rows in quads])):
        if bad:
            lines[number] = b"f " + b" ".join(corners[1:] + corners[:1])
    for number, corners, rows in polygons:
        if len(corners) > 4 and min(rows) >= 0 and max(rows) < len(points):
            pieces = ears(points[rows])
            if pieces is not None:
                lines[number] = b"\n".join(b"f " + b" ".join(corners[k] for k in piece) for piece in pieces)
    return b"\n".join(lines)


def vertex(corner: Corner, count: int) -> int:
    """The number from 0 of the vertex that a corner such as ``7/1/2`` names, or ``-1`` for the last of ``count`` so far."""
    index = int(corner.split(b"/")[0])
    return index - 1 if index > 0 else count + index


def folded(points: NDArray[np.float64], quads: list[list[int]]) -> NDArray[np.bool_]:
    """(Q,) whether the two halves of quads, cut from their first corner, face opposite ways."""
    rows = np.array(quads, dtype=np.int64).reshape(-1, 4)
    valid = ((rows >= 0) & (rows < len(points))).all(1)
    a, b, c, d = (points[np.where(valid, column, 0)] for column in rows.T)
    return valid & ((np.cross(b - a, c - a) * np.cross(c - a, d - a)).sum(1) < 0)


def ears(points: NDArray[np.float64]) -> list[tuple[int, int, int]] | None:
    """Triangles of a polygon, or None where it is convex.

    Args:
        points: (K, 3) its corners in order, about in a plane.

    Reference: Meisters, Polygons have ears (1975).
    """
    after = np.roll(points, -1, 0)
    normal = np.cross(points, after).sum(0)  # Newell's
    axes = [axis for axis in range(3) if axis != int(np.abs(normal).argmax())]
    flat = points[:, axes]
    turn = np.sign(cross(flat, np.roll(flat, -1, 0)).sum()) or 1.0
    if (turn * cross(flat - np.roll(flat, 1, 0), np.roll(flat, -1, 0) - flat) >= 0).all():
        return None
    left, found = list(range(len(points))), []
    while len(left) > 3:
        for k in range(len(left)):
            before, here, beyond = left[k - 1], left[k], left[(k + 1) % len(left)]
            others = flat[[j for j in left if j not in (before, here, beyond)]]
            if turn * cross(flat[here] - flat[before], flat[beyond] - flat[here]) > 0 and not inside(
                others, turn, flat[before], flat[here], flat[beyond]
            ):
                break
        else:
            k = 0  # it crosses itself: any corner is as good
            before, here, beyond = left[-1], left[0], left[1]
        found.append((before, here, beyond))
        left.pop(k)
    return [*found, (left[0], left[1], left[2])]


def inside(points: NDArray[np.float64], turn: float, *triangle: NDArray[np.float64]) -> bool:
    """Whether any of the points (P, 2) lies in a triangle that runs round with this turn, its sides included."""
    sides = [turn * cross(end - start, points - start) >= 0 for start, end in zip(triangle, (*triangle[1:], triangle[0]))]
    return bool((sides[0] & sides[1] & sides[2]).any())


def cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The third component of the cross product of vectors (..., 2) in a plane."""
    result: NDArray[np.float64] = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return result
