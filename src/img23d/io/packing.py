"""Colours of several pieces of surface, given in different ways, packed into one square texture."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

GUTTER = 4
FLAT_SIZE = 8
MAX_TILES, LARGEST = 8, 8192  # repetitions of a picture along each side, and pixels of all of them
_GREY = (0.8, 0.8, 0.8)


@dataclass
class Part:
    """One piece of surface.

    Args:
        vertices: (N, 3).
        faces: (F, 3) into them.
        image: its texture, or None.
        corner_uv: (F, 3, 2) where each face's corners are in ``image``, (0, 0) top left; outside 0..1 the image repeats.
        normal_image: its tangent-space normals, or None.
        flat: its one colour, sRGB 0..1, used without ``image``; None for no colour at all.
        normals: (N, 3) the file's vertex normals, or None.
        rounded: how far its numbers in the file may be from what was meant.
    """

    vertices: Floats
    faces: NDArray[np.int64]
    image: Image.Image | None = None
    corner_uv: Floats | None = None
    normal_image: Image.Image | None = None
    flat: tuple[float, float, float] | None = None
    normals: Floats | None = None
    rounded: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether the file says nothing about its colour."""
        return self.image is None and self.flat is None


@dataclass(frozen=True)
class Atlas:
    """One texture for all parts.

    Args:
        uv: (M, 2), (0, 0) top left.
        uv_faces: (F, 3) int64 into it, the faces of all parts in order.
        color: square RGB picture.
        normal: square RGB picture, or None.
    """

    uv: Floats
    uv_faces: NDArray[np.int64]
    color: Image.Image
    normal: Image.Image | None


def pack(parts: list[Part], max_size: int) -> Atlas:
    """Put the textures and colours of all parts into one square texture.

    A single texture that does not repeat is kept as it is, however many parts show it; otherwise each different one gets a cell,
    repeated ones as often as they are seen, with a gutter that continues its border.

    Args:
        parts: at least one with a colour; those without become light grey. Pictures are the same where they are one object.
        max_size: longest side of the result in texels; larger cells are reduced.
    """
    cells, numbers, corner_uv = _cells(parts)
    first, normals = cells[0], [part.normal_image for part in parts]
    if len(cells) == 1 and first.tiles == (1, 1):
        side = min(max_size, max(first.color.size))
        normal = normals[0] if all(other is normals[0] for other in normals) else None
        color = first.color if first.color.size == (side, side) else first.color.resize((side, side), Image.Resampling.BILINEAR)
        return Atlas(*_shared(np.concatenate(corner_uv)), color, None if normal is None else _square(normal, max_size))
    shrink = 1.0
    while True:
        sizes = [cell.size(shrink) for cell in cells]
        side, places = _shelves(sizes)
        if side <= max_size:
            break
        shrink *= 0.97 * max_size / side
    picture, corners = Image.new("RGB", (side, side), tuple(round(255 * value) for value in _GREY)), []
    for cell, (width, height), (left, top) in zip(cells, sizes, places):
        picture.paste(cell.framed(width, height), (left, top))
    for number, uv in zip(numbers, corner_uv):
        inner = np.array(sizes[number]) - 2 * GUTTER
        corners.append((uv * inner + np.array(places[number]) + GUTTER) / side)
    return Atlas(*_shared(np.concatenate(corners)), picture, None)


def painted_corners(colors: Floats, largest: int) -> tuple[Image.Image, Floats]:
    """A texture that holds one colour per corner of each face and blends linearly between them.

    Two faces share a block of 4 x 4 texels; each has its corners on three texel centres and a fourth texel that makes bilinear
    lookups linear on the face. Where that would need too large a picture, which nothing could make smaller without mixing the colours of
    faces, each face has one texel of its mean colour.

    Args:
        colors: (F, 3, 3) sRGB 0..1, per face and corner.
        largest: side of the picture, texels.

    Returns:
        The picture, and (F, 3, 2) where the corners are in it.
    """
    blocks = (len(colors) + 1) // 2
    across = max(1, math.ceil(math.sqrt(blocks)))
    size = 4 * across
    if size > largest:
        return _painted_faces(colors.mean(1))
    pixels = np.zeros((size, size, 3))
    index = np.arange(len(colors))
    left, top = 4 * (index // 2 % across), 4 * (index // 2 // across)
    # Texel offsets of corners a, b, c and of the fourth, b + c - a; the block's second face is the first turned by 180 degrees.
    offsets = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    x = np.where((index % 2 == 0)[:, None], offsets[:, 0], 3 - offsets[:, 0]) + left[:, None]
    y = np.where((index % 2 == 0)[:, None], offsets[:, 1], 3 - offsets[:, 1]) + top[:, None]
    fourth = colors[:, 1] + colors[:, 2] - colors[:, 0]
    pixels[y, x] = np.concatenate([colors, fourth[:, None]], 1).clip(0, 1)
    corner_uv = (np.stack([x, y], -1)[:, :3] + 0.5) / size
    return Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)), corner_uv


def _painted_faces(colors: Floats) -> tuple[Image.Image, Floats]:
    """`painted_corners` with one texel a face, (F, 3)."""
    size = math.ceil(math.sqrt(len(colors)))
    pixels, index = np.zeros((size * size, 3)), np.arange(len(colors))
    pixels[index] = colors.clip(0, 1)
    middle = (np.stack([index % size, index // size], -1) + 0.5) / size
    return Image.fromarray((pixels.reshape(size, size, 3) * 255 + 0.5).astype(np.uint8)), np.repeat(middle[:, None], 3, 1)


@dataclass
class _Cell:
    """A picture in the texture, as often as the faces that show it repeat it."""

    color: Image.Image
    tiles: tuple[int, int]

    @classmethod
    def of(cls, part: Part, tiles: tuple[int, int]) -> _Cell:
        """The part's picture or colour, repeated."""
        if part.image is None:
            return cls(Image.new("RGB", (FLAT_SIZE, FLAT_SIZE), _flat(part)), tiles)
        if tiles == (1, 1):
            return cls(part.image, tiles)
        across, down = tiles
        fit = min(1.0, LARGEST / max(part.image.width * across, part.image.height * down))
        size = max(1, int(part.image.width * fit)), max(1, int(part.image.height * fit))
        tile = part.image if fit == 1.0 else part.image.resize(size, Image.Resampling.BOX)
        tiled = Image.new("RGB", (tile.width * across, tile.height * down))
        for row in range(down):
            for column in range(across):
                tiled.paste(tile, (column * tile.width, row * tile.height))
        return cls(tiled, tiles)

    def size(self, shrink: float) -> tuple[int, int]:
        """Width and height of the cell with its gutter."""
        width, height = (max(1, min(value, round(value * shrink))) for value in self.color.size)
        return width + 2 * GUTTER, height + 2 * GUTTER

    def framed(self, width: int, height: int) -> Image.Image:
        """The picture at the cell's size, its border continued into the gutter."""
        inner = (width - 2 * GUTTER, height - 2 * GUTTER)
        image = self.color if self.color.size == inner else self.color.resize(inner, Image.Resampling.BILINEAR)
        return Image.fromarray(np.pad(np.asarray(image), ((GUTTER, GUTTER), (GUTTER, GUTTER), (0, 0)), mode="edge"))


def _cells(parts: list[Part]) -> tuple[list[_Cell], list[int], list[Floats]]:
    """One cell for all parts that show the same picture as often, which cell each part has, and its (F, 3, 2) coordinates there."""
    cells: list[_Cell] = []
    found: dict[Hashable, int] = {}
    numbers, corner_uv = [], []
    for part in parts:
        uv, tiles = _tiled(part)
        key = (_flat(part) if part.image is None else id(part.image), tiles)
        if key not in found:
            found[key] = len(cells)
            cells.append(_Cell.of(part, tiles))
        numbers.append(found[key])
        corner_uv.append(uv)
    return cells, numbers, corner_uv


def _flat(part: Part) -> tuple[int, ...]:
    """The one colour of a part without a picture."""
    return tuple(round(255 * float(value)) for value in part.flat or _GREY)


def _tiled(part: Part) -> tuple[Floats, tuple[int, int]]:
    """(F, 3, 2) where a part's corners are in 0..1 of its picture, repeated as often across and down as any of its faces needs."""
    if part.image is None or part.corner_uv is None:
        return np.full((len(part.faces), 3, 2), 0.5), (1, 1)
    uv = part.corner_uv
    if uv.min() < -1e-4 or uv.max() > 1 + 1e-4:
        uv = uv - np.floor(uv.min(1, keepdims=True) + 1e-4)
    spread = np.maximum(1, np.ceil(uv.max((0, 1)) - 1e-3)).astype(int)
    across, down = (int(min(count, MAX_TILES)) for count in spread)
    # a face that would need more shows as many repetitions as there are; the others keep theirs
    uv = uv * np.minimum(1.0, [across, down] / np.maximum(uv.max(1, keepdims=True), 1e-9)) / [across, down]
    return uv.clip(0, 1), (across, down)


def _shelves(sizes: list[tuple[int, int]]) -> tuple[int, list[tuple[int, int]]]:
    """Pack boxes on shelves, tallest first; returns the square's side and each box's left and top."""
    side = max(max(max(size) for size in sizes), math.isqrt(sum(width * height for width, height in sizes)))
    order = sorted(range(len(sizes)), key=lambda index: (-sizes[index][1], index))
    while True:
        places, left, top, shelf = [(0, 0)] * len(sizes), 0, 0, 0
        for index in order:
            width, height = sizes[index]
            if left + width > side:
                left, top, shelf = 0, top + shelf, 0
            places[index] = (left, top)
            left, shelf = left + width, max(shelf, height)
        if top + shelf <= side:
            return side, places
        side = max(side + 1, math.ceil(side * 1.03))


def _shared(corner_uv: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Corners (F, 3, 2) as a list of different coordinates and faces into it."""
    uv, inverse = np.unique(corner_uv.reshape(-1, 2), axis=0, return_inverse=True)
    return uv, inverse.reshape(-1, 3).astype(np.int64)


def _square(image: Image.Image, max_size: int) -> Image.Image:
    """A square copy; texture coordinates are fractions, so they stay right."""
    side = min(max_size, max(image.size))
    return image if image.size == (side, side) else image.resize((side, side), Image.Resampling.BILINEAR)
