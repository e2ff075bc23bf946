"""A part: a closed surface whose faces carry paints; parts are moved, joined and finally packed into one textured object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from img23d.training.objects import TrainingObject
from img23d.training.textures import Paint

MAX_FACES = 10_000
SHEET = 512  # pixels: widest texture of a generated object


@dataclass(frozen=True)
class Part:
    """A triangle surface with one paint per face.

    Args:
        vertices: (N, 3) floats, any scale, +Y up, the object's front towards +Z.
        faces: (F, 3) ints, counter-clockwise from outside.
        corner_uv: (F, 3, 2) in 0..1 of the face's own paint, (0, 0) top left.
        material: (F,) ints into ``paints``.
        paints: the pictures.
    """

    vertices: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray
    material: np.ndarray
    paints: tuple[Paint, ...]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Part:
        """The part shifted."""
        return self.placed(self.vertices + np.array([x, y, z]))

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Part:
        """The part scaled about the origin; one number scales all axes. Negative factors mirror and turn the faces round."""
        factors = np.array([x, x if y is None else y, x if z is None else z])
        scaled = self.placed(self.vertices * factors)
        return scaled if np.prod(factors) > 0 else scaled.flipped()

    def turned(self, axis: str, angle: float) -> Part:
        """The part turned about the x, y or z axis through the origin by an angle in radians."""
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        vertices = self.vertices.copy()
        cos, sin = math.cos(angle), math.sin(angle)
        vertices[:, first] = cos * self.vertices[:, first] - sin * self.vertices[:, second]
        vertices[:, second] = sin * self.vertices[:, first] + cos * self.vertices[:, second]
        return self.placed(vertices)

    def mirrored(self) -> Part:
        """The part reflected to the other side of the x = 0 plane."""
        return self.scaled(-1.0, 1.0, 1.0)

    def placed(self, vertices: np.ndarray) -> Part:
        """The same surface with its vertices elsewhere."""
        return Part(vertices, self.faces, self.corner_uv, self.material, self.paints)

    def flipped(self) -> Part:
        """The same surface seen from the other side."""
        return Part(self.vertices, self.faces[:, ::-1], self.corner_uv[:, ::-1], self.material, self.paints)

    def outward(self) -> Part:
        """The same closed surface with its faces turned so that it encloses a positive volume."""
        return self if signed_volume(self.vertices, self.faces) >= 0 else self.flipped()


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """The volume that a closed surface encloses: positive when its faces are counter-clockwise from outside."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def join(parts: Sequence[Part]) -> Part:
    """Several parts as one, each keeping its paints."""
    if not parts:
        raise ValueError("nothing to join")
    point_offset = np.cumsum([0] + [len(part.vertices) for part in parts])
    paint_offset = np.cumsum([0] + [len(part.paints) for part in parts])
    return Part(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + offset for part, offset in zip(parts, point_offset)]),
        np.concatenate([part.corner_uv for part in parts]),
        np.concatenate([part.material + offset for part, offset in zip(parts, paint_offset)]),
        tuple(paint for part in parts for paint in part.paints),
    )


def pack_paints(paints: Sequence[Paint], margin: int = 1, widest: int = SHEET) -> tuple[Paint, np.ndarray]:
    """Put pictures into one sheet, row by row, each with its border repeated so that interpolation does not bleed.

    Args:
        paints: pictures of any size.
        margin: pixels of repeated border.
        widest: most columns of the sheet.

    Returns:
        the sheet (h, w, 3) and a (P, 4) table: left, top, width, height of each picture as fractions of the sheet.
    """
    order = sorted(range(len(paints)), key=lambda index: -paints[index].shape[0])
    width = min(
        max(max(paint.shape[1] for paint in paints) + 2 * margin, int(math.sqrt(sum(p.shape[0] * p.shape[1] for p in paints)) * 1.2)),
        widest,
    )
    x = y = row_height = 0
    corner = {}
    for index in order:
        height, across = paints[index].shape[0] + 2 * margin, paints[index].shape[1] + 2 * margin
        if x + across > width:
            x, y, row_height = 0, y + row_height, 0
        corner[index] = (x, y)
        x, row_height = x + across, max(row_height, height)
    sheet = np.zeros((y + row_height, width, 3), np.uint8)
    table = np.zeros((len(paints), 4))
    for index, paint in enumerate(paints):
        left, top = corner[index]
        height, across = paint.shape[:2]
        sheet[top : top + height + 2 * margin, left : left + across + 2 * margin] = np.pad(
            paint, ((margin, margin), (margin, margin), (0, 0)), "edge"
        )
        table[index] = left + margin, top + margin, across, height
    return sheet, table / np.array([width, len(sheet), width, len(sheet)])


def assemble(parts: Sequence[Part] | Part, widest: int = SHEET) -> TrainingObject:
    """One object out of parts: paints packed into one texture at most ``widest`` pixels wide, bounding box centred, longest side 1."""
    whole = parts if isinstance(parts, Part) else join(parts)
    unique: dict[int, int] = {}
    kept: list[Paint] = []
    for paint in whole.paints:
        if id(paint) not in unique:
            unique[id(paint)] = len(kept)
            kept.append(shrink(paint, widest // 2))
    sheet, table = pack_paints(kept, widest=widest)
    tile = table[np.array([unique[id(paint)] for paint in whole.paints])[whole.material]]
    corner_uv = tile[:, None, :2] + np.clip(whole.corner_uv, 0, 1) * tile[:, None, 2:]
    low, high = whole.vertices.min(0), whole.vertices.max(0)
    vertices = (whole.vertices - (low + high) / 2) / max(float((high - low).max()), 1e-9)
    return TrainingObject(vertices.astype(np.float32), whole.faces.astype(np.int32), corner_uv.astype(np.float32), sheet)


def shrink(paint: Paint, limit: int) -> Paint:
    """The picture, made smaller where a side is longer than ``limit`` pixels."""
    if max(paint.shape[:2]) <= limit:
        return paint
    scale = limit / max(paint.shape[:2])
    size = (max(1, round(paint.shape[1] * scale)), max(1, round(paint.shape[0] * scale)))
    return np.asarray(Image.fromarray(paint).resize(size, Image.Resampling.BOX))
