"""Deformations that turn one object into many: stretch, bend, taper, twist, mirror, and joining two objects into one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from img23d.training.objects import TrainingObject, normalise

MAX_FACES = 10_000


def moved(item: TrainingObject, vertices: np.ndarray) -> TrainingObject:
    """The same object with its vertices elsewhere."""
    return dataclasses.replace(item, vertices=np.ascontiguousarray(vertices, np.float32))


def stretch(item: TrainingObject, factors: tuple[float, float, float]) -> TrainingObject:
    """Scale along x, y, z.

    Args:
        item: the object.
        factors: positive scale per axis.

    Raises:
        ValueError: a factor is not positive (use `mirror`).
    """
    if min(factors) <= 0:
        raise ValueError(f"factors must be positive, got {factors}")
    return moved(item, item.vertices * np.asarray(factors))


def mirror(item: TrainingObject, axis: int = 0) -> TrainingObject:
    """Reflect along an axis; faces are turned round, so that outside stays outside."""
    factors = np.ones(3)
    factors[axis] = -1
    return dataclasses.replace(
        item,
        vertices=np.ascontiguousarray(item.vertices * factors, np.float32),
        faces=np.ascontiguousarray(item.faces[:, ::-1]),
        corner_uv=np.ascontiguousarray(item.corner_uv[:, ::-1]),
    )


def taper(item: TrainingObject, slope: float, axis: int = 1) -> TrainingObject:
    """Grow the cross-section by ``1 + slope * t``, with t from -0.5 to 0.5 along the axis; ``abs(slope) < 2`` never folds."""
    if abs(slope) >= 2:
        raise ValueError(f"slope must be between -2 and 2, got {slope}")
    along, _, middle = _frame(item, axis)
    grow = 1 + slope * along[:, None]
    vertices = middle + (item.vertices - middle) * grow
    vertices[:, axis] = item.vertices[:, axis]
    return moved(item, vertices)


def big_head(item: TrainingObject, grow: float, neck: float, legs: float = 1.0) -> TrainingObject:
    """Enlarge what is above the neck, as caricatures, mascots and dolls have it.

    Args:
        item: the object, +Y up.
        grow: how many times as large the head becomes, in all directions.
        neck: where it begins, as a share of the height.
        legs: how many times as high what is below becomes.

    Raises:
        ValueError: a factor is not positive, or the neck not between 0.1 and 0.9.
    """
    if min(grow, legs) <= 0 or not 0.1 <= neck <= 0.9:
        raise ValueError(f"factors must be positive and the neck between 0.1 and 0.9, got {grow}, {legs}, {neck}")
    item = refine(item, 0.12)
    along, length, _ = _frame(item, 1)
    height = along + 0.5
    levels = np.linspace(0, 1, 257)

    def above(place: np.ndarray) -> np.ndarray:
        rise = np.clip((place - neck) / 0.1 + 0.5, 0, 1)
        return rise * rise * (3 - 2 * rise)

    steps = legs + (grow - legs) * above(levels)
    heights = np.concatenate([[0], np.cumsum((steps[1:] + steps[:-1]) / 2)]) / 256
    head = item.vertices[height > min(neck + 0.1, 0.95)]
    centre = (head.min(0) + head.max(0)) / 2 if len(head) else item.vertices.mean(0)
    vertices = centre + (item.vertices - centre) * (1 + (grow - 1) * above(height))[:, None]
    vertices[:, 1] = np.interp(height, levels, heights) * length
    return moved(item, vertices)


def twist(item: TrainingObject, angle: float, axis: int = 1) -> TrainingObject:
    """Turn the cross-sections about an axis by up to ``angle`` radians from one end to the other."""
    along, _, middle = _frame(item, axis)
    cos, sin = np.cos(along * angle), np.sin(along * angle)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    vertices = item.vertices.astype(float)
    p, q = vertices[:, first] - middle[first], vertices[:, second] - middle[second]
    vertices[:, first], vertices[:, second] = middle[first] + cos * p - sin * q, middle[second] + sin * p + cos * q
    return moved(item, vertices)


def bend(item: TrainingObject, angle: float, axis: int = 1, towards: int = 0) -> TrainingObject:
    """Bend the line along ``axis`` into an arc.

    Args:
        item: the object.
        angle: radians between the ends' directions; 0 leaves the object as it is.
        axis: the line that bends.
        towards: the axis whose positive side becomes the inside of the arc.

    Raises:
        ValueError: ``axis`` and ``towards`` are the same.
    """
    if axis == towards:
        raise ValueError("an object cannot bend towards its own axis")
    if abs(angle) < 1e-6:
        return item
    along, length, middle = _frame(item, axis)
    radius = length / angle
    turn, reach = along * angle, radius - (item.vertices[:, towards] - middle[towards])
    vertices = item.vertices.astype(float)
    vertices[:, axis] = middle[axis] + reach * np.sin(turn)
    vertices[:, towards] = middle[towards] + radius - reach * np.cos(turn)
    return moved(item, vertices)


def _frame(item: TrainingObject, axis: int) -> tuple[np.ndarray, float, np.ndarray]:
    """(N,) place along an axis from -0.5 to 0.5, the length there, and the (3,) middle of the bounding box."""
    low, high = item.vertices.min(0).astype(float), item.vertices.max(0).astype(float)
    length = max(float(high[axis] - low[axis]), 1e-9)
    middle = (low + high) / 2
    return (item.vertices[:, axis] - middle[axis]) / length, length, middle


def subdivide(item: TrainingObject) -> TrainingObject:
    """Split every face into four through the middles of its edges, so that it can bend; the surface stays as it is."""
    corners = item.faces.astype(np.int64)
    pairs = np.sort(np.stack([corners, np.roll(corners, -1, 1)], -1), -1).reshape(-1, 2)
    unique, index = np.unique(pairs[:, 0] * len(item.vertices) + pairs[:, 1], return_inverse=True)
    ends = np.stack([unique // len(item.vertices), unique % len(item.vertices)], -1)
    middle = index.reshape(-1, 3) + len(item.vertices)
    uv_middle = (item.corner_uv + np.roll(item.corner_uv, -1, 1)) / 2
    (a, b, c), (ab, bc, ca) = corners.T, middle.T
    (ua, ub, uc), (uab, ubc, uca) = item.corner_uv.transpose(1, 0, 2), uv_middle.transpose(1, 0, 2)
    faces = np.concatenate([np.stack(face, -1) for face in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    corner_uv = np.concatenate([np.stack(face, 1) for face in ((ua, uab, uca), (uab, ub, ubc), (uca, ubc, uc), (uab, ubc, uca))])
    vertices = np.concatenate([item.vertices, item.vertices[ends].mean(1)])
    return TrainingObject(vertices.astype(np.float32), faces.astype(np.int32), corner_uv.astype(np.float32), item.texture, item.nearest)


def refine(item: TrainingObject, longest: float = 0.15) -> TrainingObject:
    """Subdivide while an edge is longer than this share of the object's size and the object stays under `MAX_FACES` faces."""
    size = float(np.ptp(item.vertices, axis=0).max())
    while len(item.faces) * 4 <= MAX_FACES:
        corner = item.vertices[item.faces]
        if np.linalg.norm(corner - np.roll(corner, 1, 1), axis=-1).max() <= longest * size:
            break
        item = subdivide(item)
    return item


def join(first: TrainingObject, second: TrainingObject) -> TrainingObject:
    """Two objects as one, their textures side by side."""
    pictures = [first.texture, second.texture]
    if first.nearest != second.nearest:  # a palette among smooth textures: enlarge it until interpolation keeps its colours flat
        pictures = [_enlarge(item.texture) if item.nearest else item.texture for item in (first, second)]
    margin = 0 if first.nearest and second.nearest else 1
    padded = [np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), "edge") for picture in pictures]
    height, width = max(len(picture) for picture in padded), sum(picture.shape[1] for picture in padded)
    sheet = np.zeros((height, width, 3), np.uint8)
    corner_uv, left = [], 0
    for item, picture, inner in zip((first, second), padded, pictures):
        sheet[: len(picture), left : left + picture.shape[1]] = picture
        scale = np.array([inner.shape[1] / width, inner.shape[0] / height])
        uv = item.corner_uv - np.floor(item.corner_uv.min((1,), keepdims=True))  # repeats outside 0..1 start from the first
        corner_uv.append(np.clip(uv, 0, 1) * scale + np.array([(left + margin) / width, margin / height]))
        left += picture.shape[1]
    return TrainingObject(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.faces, second.faces + len(first.vertices)]).astype(np.int32),
        np.concatenate(corner_uv).astype(np.float32),
        sheet,
        first.nearest and second.nearest,
    )


def _enlarge(texture: np.ndarray) -> np.ndarray:
    """Each pixel as a block of 8 x 8."""
    return np.repeat(np.repeat(texture, 8, 0), 8, 1)


def attach(first: TrainingObject, second: TrainingObject, rng: np.random.Generator) -> TrainingObject:
    """Put a smaller copy of the second object on, beside or into the first, so that they overlap a little."""
    host, guest = normalise(first), normalise(second)
    size = rng.uniform(0.25, 0.7)
    guest = moved(guest, guest.vertices * size)
    axis, side = int(rng.choice([0, 1, 1, 2])), 1.0 if rng.random() < 0.75 else -1.0
    offset = np.zeros(3)
    for other in range(3):
        offset[other] = rng.uniform(-0.3, 0.3) * float(np.ptp(host.vertices[:, other]))
    reach = [float((side * item.vertices[:, axis]).max()) for item in (host, moved(guest, -guest.vertices))]
    offset[axis] = side * (sum(reach) - 0.06)
    return normalise(join(host, moved(guest, guest.vertices + offset)))


def random_deformation(item: TrainingObject, rng: np.random.Generator, strength: float = 1.0) -> TrainingObject:
    """A plausible variant of an object.

    Args:
        item: the object.
        rng: the only source of chance.
        strength: 1 changes proportions clearly without losing what the object is; 0 changes nothing but perhaps its side.

    Returns:
        at most `MAX_FACES` faces unless the object had more; bounding box centred, longest side 1.
    """
    item = normalise(item)
    if rng.random() < 0.5:
        item = mirror(item)
    if rng.random() < 0.8:
        x, y, z = np.exp(strength * rng.normal(0, 0.2, 3))
        item = stretch(item, (x, y, z))
    if rng.random() < 0.3:
        item = taper(item, strength * rng.uniform(-0.6, 0.6), int(rng.integers(3)))
    if rng.random() < 0.1:
        item = big_head(item, 1 + strength * rng.uniform(0.2, 1.2), rng.uniform(0.5, 0.8), 1 - strength * rng.uniform(0, 0.5))
    if rng.random() < 0.2:
        axis = int(rng.integers(3))
        item = bend(refine(item), strength * math.radians(rng.uniform(-50, 50)), axis, (axis + int(rng.integers(1, 3))) % 3)
    if rng.random() < 0.15:
        item = twist(refine(item), strength * math.radians(rng.uniform(-50, 50)), int(rng.integers(3)))
    return normalise(item)
