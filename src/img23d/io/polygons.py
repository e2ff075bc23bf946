"""Cutting the concave polygons of OBJ files, which readers cut from one corner as if they were convex."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

POLYGON = re.compile(rb"^f[ \t]+\S+[ \t]+\S+[ \t]+\S+[ \t]+[^\s#]", re.MULTILINE)


def with_concave_cut(data: bytes) -> bytes:
    """The text of an OBJ file, its concave faces of four corners turned and those of more cut into triangles.

    A reader cuts a face with corners a b c d into abc and acd; turned to b c d a it is cut the other way.

    Args:
        data: the file's bytes; convex faces and all else stay as they are.
    """
    data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    if not POLYGON.search(data):
        return data
    lines = data.split(b"\n")
    polygons, places, count = [], [], 0
    for number, line in enumerate(lines):
        if line[:2] in (b"v ", b"v\t"):
            places.append(line.split()[1:4])
            count += 1
        elif line[:2] in (b"f ", b"f\t"):
            corners = line.split(b"#")[0].split()[1:]
            if len(corners) > 3:
                polygons.append((number, corners, [vertex(corner, count) for corner in corners]))
    points = np.array(places, dtype=np.float64)
    quads = [entry for entry in polygons if len(entry[1]) == 4]
    for (number, corners, _), bad in zip(quads, folded(points, [rows for _, _, rows in quads])):
        if bad:
            lines[number] = b"f " + b" ".join(corners[1:] + corners[:1])
    for number, corners, rows in polygons:
        if len(corners) > 4 and min(rows) >= 0 and max(rows) < len(points):
            pieces = triangles(points[rows])
            if pieces is not None:
                lines[number] = b"\n".join(b"f " + b" ".join(corners[k] for k in piece) for piece in pieces)
    return b"\n".join(lines)


def vertex(corner: bytes, count: int) -> int:
    """The number from 0 of the vertex that a corner such as ``7/1/2`` names, or ``-1`` for the last of ``count`` so far."""
    index = int(corner.split(b"/")[0])
    return index - 1 if index > 0 else count + index


def folded(points: NDArray[np.float64], quads: list[list[int]] | NDArray[np.int32]) -> NDArray[np.bool_]:
    """(Q,) whether the two halves of quads, cut from their first corner, face opposite ways."""
    rows = np.array(quads, dtype=np.int64).reshape(-1, 4)
    valid = ((rows >= 0) & (rows < len(points))).all(1)
    a, b, c, d = (points[np.where(valid, column, 0)] for column in rows.T)
    return valid & ((np.cross(b - a, c - a) * np.cross(c - a, d - a)).sum(1) < 0)


def triangles(points: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """(K - 2, 3) corners of the triangles that a polygon (K, 3), about in a plane, is cut into; None where it is convex."""
    normal = np.cross(points, np.roll(points, -1, 0)).sum(0)  # Newell's
    dropped = int(np.abs(normal).argmax())
    flat = np.ascontiguousarray(points[:, [(dropped + 1) % 3, (dropped + 2) % 3]])
    order = np.arange(len(points)) if normal[dropped] >= 0 else np.arange(len(points))[::-1]  # counter-clockwise for the library
    sides = np.roll(flat[order], -1, 0) - flat[order]
    after = np.roll(sides, -1, 0)
    if (sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0] >= 0).all():
        return None
    from manifold3d import triangulate

    found = order[np.asarray(triangulate([flat[order]]), dtype=np.int64)]
    return found if normal[dropped] >= 0 else found[:, ::-1]
