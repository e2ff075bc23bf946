"""Rewriting OFF files, whose reader passes over their colours and cuts concave polygons as if they were convex, as PLY files."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from img23d.io.ply_reading import triangulated_ply

HEADER = re.compile(r"\s*(ST)?(C)?(N)?OFF\b")
UNCOLORED = [170, 170, 170]  # of a face among coloured ones: Geomview's own grey


def prepared_off(data: bytes) -> bytes | None:
    """A PLY in place of an OFF file that has colours per vertex or face, or polygons; colours per vertex go before those per face.

    Args:
        data: the file's bytes.

    Returns:
        None where the reader needs no help, or where the file is not of the usual kind.

    Reference: Geomview's manual, the file format OFF.
    """
    from trimesh.util import decode_text

    text = re.sub(r"#[^\n]*", "", decode_text(data).replace("\r", "\n"))
    header = HEADER.match(text)
    if header is None:
        return None
    rows = [line.split() for line in text[header.end() :].split("\n") if line and not line.isspace()]
    try:
        counts = [int(word) for word in rows[0][:2]]
        vertices, faces = rows[1 : counts[0] + 1], rows[counts[0] + 1 : sum(counts) + 1]
        sizes = [int(row[0]) for row in faces]
        if (len(vertices), len(faces)) != tuple(counts):
            return None
        painted = _bytes([row[6 if header[3] else 3 :][:3] for row in vertices]) if header[2] else None
        given = [row[size + 1 :][:3] for row, size in zip(faces, sizes)]
        face_painted = _bytes(given) if painted is None else None
    except (IndexError, ValueError):
        return None
    if painted is None and face_painted is None and max(sizes, default=3) == 3:
        return None
    shown = [f"property uchar {name}" for name in ("red", "green", "blue")]
    lines = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}", *(f"property double {axis}" for axis in "xyz")]
    lines += [] if painted is None else shown
    lines += [f"element face {len(faces)}", "property list int int vertex_indices", *([] if face_painted is None else shown), "end_header"]
    lines += _rows([row[:3] for row in vertices], painted)
    lines += _rows([row[: size + 1] for row, size in zip(faces, sizes)], face_painted)
    made = "\n".join([*lines, ""]).encode()
    return triangulated_ply(made) or made


def _bytes(colors: list[list[str]]) -> NDArray[np.int64] | None:
    """(N, 3) colours 0..255 from three words each, which count to 1 or to 255; None where there are none."""
    known = [len(color) == 3 for color in colors]
    if not any(known):
        return None
    values = np.array([color for color, known_one in zip(colors, known) if known_one], np.float64)
    made = np.tile(UNCOLORED, (len(colors), 1))
    made[known] = np.rint(values * (255 if values.max() <= 1 else 1)).clip(0, 255)
    return made


def _rows(rows: list[list[str]], colors: NDArray[np.int64] | None) -> list[str]:
    """Lines of a file, colours last."""
    if colors is None:
        return [" ".join(row) for row in rows]
    return [" ".join([*row, *map(str, color)]) for row, color in zip(rows, colors.tolist())]
