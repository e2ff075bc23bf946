"""Training pictures for the foreground network: a cut-out before a background with shadows, distractors and a camera's faults."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from img23d.training.cutouts import Cutouts

COMPANY = 0.12  # share of pictures that are of two things
CUT_OFF = 0.15  # share of pictures whose frame cuts a part of the object off
ALIKE = 0.12  # share of pictures whose backdrop has colours of the object itself


class ForegroundSample(NamedTuple):
    """A picture in a grey square, and what in it is the object."""

    rgb: np.ndarray  # (S, S, 3) uint8 sRGB, grey beside the photo
    alpha: np.ndarray  # (S, S) uint8
    valid: np.ndarray  # (S, S) bool, inside the photo


def _affine(
    picture: np.ndarray, size: tuple[int, int], centre: np.ndarray, place: np.ndarray, scale: tuple[float, float], turn: float, fill: int
) -> np.ndarray:
    """Resample a uint8 picture so that its point ``centre`` lands on ``place`` of a (width, height) canvas."""
    cos, sin = math.cos(turn), math.sin(turn)
    a, b = cos / scale[0], sin / scale[0]
    c, d = -sin / scale[1], cos / scale[1]
    matrix = (a, b, centre[0] - a * place[0] - b * place[1], c, d, centre[1] - c * place[0] - d * place[1])
    image = Image.fromarray(picture)
    shrink = min(abs(scale[0]), abs(scale[1]))
    if shrink < 0.7:  # PIL's affine transform does not filter: blur first, or thin things alias
        image = image.filter(ImageFilter.GaussianBlur(float(0.4 / shrink)))
    filling = fill if picture.ndim == 2 else (fill,) * picture.shape[2]
    return np.asarray(image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=filling))


def _paste(
    rng: np.random.Generator, canvas: np.ndarray, cutouts: Cutouts, index: int, reach: float, place: np.ndarray, blur: float = 0.0
) -> np.ndarray:
    """Draw a cut-out, its box's longest side ``reach`` pixels, onto a float canvas in place; its (h, w) alpha 0..1."""
    height, width = canvas.shape[:2]
    source = cutouts.alpha[index]
    rows, columns = np.nonzero(source.max(1) > 40)[0], np.nonzero(source.max(0) > 40)[0]
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    scale = reach / max(box[2] - box[0], box[3] - box[1])
    stretch = math.exp(rng.normal(0, 0.08))
    scales = (scale * stretch * rng.choice([-1.0, 1.0]), scale / stretch)
    turn = rng.normal(0, 0.12) if rng.random() < 0.4 else 0.0
    middle = (box[:2] + box[2:]) / 2
    where = (width, height), middle, place, scales, turn
    alpha = _affine(source, *where, 0).astype(np.float32) / 255
    colour = _affine(cutouts.rgb[index], *where, 0).astype(np.float32)
    shadow = cutouts.shadow[index]
    if shadow.min() < 250:
        share = _affine(shadow, *where, 255).astype(np.float32) / 255
        strength = rng.uniform(0.2, 1.0)
    else:
        share, strength = _guessed_shadow(rng, alpha), rng.uniform(0, 0.8) if rng.random() < 0.6 else 0.0
    canvas *= (1 - strength * (1 - share))[..., None]
    if blur > 0:
        layers = Image.fromarray(np.concatenate([colour, alpha[..., None] * 255], -1).astype(np.uint8), "RGBA")
        both = np.asarray(layers.filter(ImageFilter.GaussianBlur(float(blur))), np.float32)
        colour, alpha = both[..., :3], both[..., 3] / 255
    tint = np.exp(rng.normal(0, 0.06, 3)) * math.exp(rng.normal(0, 0.15))
    canvas *= (1 - alpha)[..., None]
    canvas += (colour * tint).clip(0, 255) * alpha[..., None]
    return alpha


def _paste_two(
    rng: np.random.Generator, canvas: np.ndarray, cutouts: Cutouts, indices: tuple[int, int], reach: float, place: np.ndarray
) -> np.ndarray:
    """Two things of one picture side by side, both of them meant: the second before the first. Their common (h, w) alpha 0..1."""
    apart = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.15, 0.35), rng.normal(0, 0.05)]) * reach
    behind = _paste(rng, canvas, cutouts, indices[0], rng.uniform(0.5, 0.7) * reach, place - apart)
    before = _paste(rng, canvas, cutouts, indices[1], rng.uniform(0.55, 0.75) * reach, place + apart)
    return 1 - (1 - behind) * (1 - before)


def _guessed_shadow(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """(h, w) share of light left around the foot of a silhouette: its squashed, shifted, blurred copy."""
    height, width = alpha.shape
    rows = np.nonzero(alpha.max(1) > 0.2)[0]
    if not len(rows):
        return np.ones_like(alpha)
    foot, squash = float(rows[-1]), rng.uniform(0.08, 0.5)
    lean = rng.uniform(-1.2, 1.2)
    matrix = (1.0, lean, -lean * foot, 0.0, 1 / squash, foot - foot / squash)
    shape = Image.fromarray((alpha * 255).astype(np.uint8))
    fallen = shape.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    soft = fallen.filter(ImageFilter.GaussianBlur(rng.uniform(1, 7) * width / 192))
    return 1 - np.asarray(soft, np.float32) / 255


def photographed(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """A float sRGB 0..255 canvas as a camera and a web site leave it: exposure, colour cast, contrast, blur, noise, JPEG; uint8."""
    picture = canvas * math.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.04, 3))
    picture = (picture - 128) * math.exp(rng.normal(0, 0.12)) + 128
    if rng.random() < 0.04:
        picture = picture.mean(-1, keepdims=True).repeat(3, -1)
    if rng.random() < 0.35:
        picture = picture + rng.normal(0, math.exp(rng.uniform(0, 2.6)), picture.shape)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3)))
    elif rng.random() < 0.3:
        image = image.filter(ImageFilter.UnsharpMask(1.0, int(rng.uniform(40, 160)), 0))
    if rng.random() < 0.4:
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=int(rng.integers(30, 95)))
        image = Image.open(stored).convert("RGB")
    return np.asarray(image)


def backdrop_alike(rng: np.random.Generator, colours: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width, 3) float 0..255: a smooth studio backdrop in colours of the object, so that colour alone tells nothing.

    Args:
        rng: the only source of chance.
        colours: (N, 3) of the object.
        width: pixels.
        height: pixels.
    """
    wall, floor = (colours[rng.integers(len(colours))].astype(np.float32) * math.exp(rng.normal(0, 0.12)) for _ in range(2))
    if rng.random() < 0.5:
        floor = wall * rng.uniform(0.8, 1.2)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height - 0.5, x / width - 0.5
    share = 1 / (1 + np.exp(-(y - rng.uniform(-0.3, 0.4)) * rng.uniform(4, 40)))[..., None]
    spot = (x - rng.normal(0, 0.2)) ** 2 + (y - rng.normal(0, 0.2)) ** 2
    light = 1 + rng.normal(0, 0.2) * x + rng.normal(0, 0.2) * y - rng.uniform(0, 0.8) * spot
    return ((wall * (1 - share) + floor * share) * light[..., None]).astype(np.float32)


def cut_off(rng: np.random.Generator, width: int, height: int, reach: float) -> np.ndarray:
    """(2,) where the middle of an object of that size must lie for one side of the frame to cut a part of it off."""
    place = np.array([width, height]) / 2 + rng.normal(0, 0.1, 2) * reach
    axis, outside = int(rng.integers(2)), rng.uniform(0.05, 0.35) * reach
    near = reach / 2 - outside
    place[axis] = near if rng.random() < 0.5 else (width, height)[axis] - near
    return place


def compose(rng: np.random.Generator, cutouts: Cutouts, index: int, backgrounds: np.ndarray, size: int) -> ForegroundSample:
    """Draw one training picture.

    Args:
        rng: the only source of chance.
        cutouts: the objects.
        index: the one in front.
        backgrounds: (M, B, B, 3) uint8 pictures to choose from.
        size: pixels along each side.
    """
    aspect = 1.0 if rng.random() < 0.45 else math.exp(rng.uniform(-0.65, 0.65))
    width, height = (size, max(8, round(size / aspect))) if aspect > 1 else (max(8, round(size * aspect)), size)
    behind = Image.fromarray(backgrounds[rng.integers(len(backgrounds))])
    zoom, side = rng.uniform(0.5, 1.0), behind.width
    left, top = rng.uniform(0, 1 - zoom, 2) * side
    behind = behind.resize((width, height), Image.Resampling.BILINEAR, (left, top, left + zoom * side, top + zoom * side))
    canvas = np.asarray(behind, np.float32).copy()
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1].copy()
    canvas *= np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.05, 3))
    if rng.random() < ALIKE:
        inside = cutouts.alpha[index] >= cutouts.alpha[index].max()
        canvas = backdrop_alike(rng, cutouts.rgb[index][inside], width, height)
    shorter, middle = min(width, height), np.array([width, height]) / 2
    if rng.random() < 0.35:
        blur = 0.0 if rng.random() < 0.4 else rng.uniform(0.5, 4) * size / 192
        for _ in range(int(rng.integers(1, 6))):
            angle, away = rng.uniform(0, 2 * math.pi), rng.uniform(0.45, 0.85)
            place = middle + np.array([math.cos(angle) * width, math.sin(angle) * height]) * away * 0.75
            _paste(rng, canvas, cutouts, int(rng.integers(len(cutouts.alpha))), rng.uniform(0.12, 0.5) * shorter, place, blur)
    together = rng.random() < COMPANY
    reach = rng.uniform(0.4, 1.0) * shorter if rng.random() < 0.9 else rng.uniform(1.0, 1.25) * shorter
    room = np.maximum(0.0, np.array([width, height]) - reach) / 2
    place = middle + np.clip(rng.normal(0, 0.35, 2), -0.9, 0.9) * room
    if rng.random() < CUT_OFF:
        place = cut_off(rng, width, height, reach)
    if together:
        alpha = _paste_two(rng, canvas, cutouts, (int(rng.integers(len(cutouts.alpha))), index), reach, place)
    else:
        alpha = _paste(rng, canvas, cutouts, index, reach, place)
    picture = photographed(rng, canvas)
    rgb, whole, valid = np.full((size, size, 3), 128, np.uint8), np.zeros((size, size), np.uint8), np.zeros((size, size), bool)
    x, y = (size - width) // 2, (size - height) // 2
    rgb[y : y + height, x : x + width], valid[y : y + height, x : x + width] = picture, True
    whole[y : y + height, x : x + width] = (alpha * 255).round().astype(np.uint8)
    return ForegroundSample(rgb, whole, valid)
