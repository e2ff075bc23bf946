"""Boxes as shops sell them: printed cartons, books, tubes, bags, parcels, blocks and cases."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, tube
from img23d.training.textures import decal, label, mottled, plain, quiet_paint, random_color, random_paint


def carton(rng: np.random.Generator) -> list[Part]:
    """A printed cardboard box of any proportion."""
    size = np.sort(rng.uniform(0.15, 1.0, 3)) if rng.random() < 0.5 else rng.uniform(0.2, 1.0, 3)
    size = size[[1, 2, 0]] if rng.random() < 0.6 else rng.permutation(size)
    ground = random_color(rng, 0.6)
    faces = [label(rng, 176, ground), label(rng, 96, ground), plain(ground), label(rng, 96, ground)]
    order = [faces[1], faces[1], faces[2], faces[3], faces[0] if rng.random() < 0.5 else faces[3], faces[0]]
    return [box(size, order, rng.choice([0.0, 0.01, 0.02, 0.04]) * size.min() * 3, 2)]


def book(rng: np.random.Generator) -> list[Part]:
    """A closed book, lying or standing."""
    wide, tall, thick = rng.uniform(0.5, 0.9), 1.0, rng.uniform(0.06, 0.3)
    cover, paper = label(rng, 176), mottled(rng, 32, np.array([236.0, 230, 214]), 0.1)
    back = plain(cover.reshape(-1, 3).mean(0))
    board = 0.02
    parts = [box((wide - 0.03, tall - 0.06, thick - board), paper).moved(x=-0.01)]
    parts += [box((wide, tall, board), [back, back, back, back, cover, cover], 0.005, 1).moved(z=sign * thick / 2) for sign in (-1, 1)]
    parts.append(box((board, tall, thick + board), back, 0.005, 1).moved(x=-wide / 2))
    return [part.turned("x", -np.pi / 2) for part in parts] if rng.random() < 0.5 else parts


def bag(rng: np.random.Generator) -> list[Part]:
    """A soft bag, pouch, cushion or pencil case: a box that bulges."""
    size = np.array([rng.uniform(0.6, 1.2), rng.uniform(0.4, 1.0), rng.uniform(0.25, 0.5)])
    paint = label(rng, 176) if rng.random() < 0.5 else random_paint(rng)
    body = box(size, paint, 0.1, 3, inner=8)
    x, y = (np.clip(np.abs(body.vertices[:, axis]) / size[axis] * 2, 0, 1) for axis in (0, 1))
    vertices = body.vertices.copy()
    vertices[:, 2] *= np.clip((1 - x ** rng.uniform(2, 8)) * (1 - y ** rng.uniform(2, 8)), 0.05, 1) ** 0.5
    vertices[:, 0] *= 1 - rng.uniform(0, 0.15) * (1 - y) - rng.uniform(-0.2, 0.3) * (vertices[:, 1] / size[1] + 0.5)
    parts = [body.placed(vertices)]
    if rng.random() < 0.4:
        angle = np.linspace(0, np.pi, 13)
        reach = size[0] * rng.uniform(0.15, 0.35)
        path = np.stack([reach * np.cos(angle), size[1] / 2 - 0.05 + reach * np.sin(angle), 0 * angle], -1)
        parts.append(tube(path, 0.025, quiet_paint(rng), 8, aspect=1.5))
    elif rng.random() < 0.5:
        parts.append(tube([[-size[0] * 0.45, size[1] / 2 - 0.03, 0], [size[0] * 0.45, size[1] / 2 - 0.03, 0]], 0.02, quiet_paint(rng), 6))
    return parts


def backpack(rng: np.random.Generator) -> list[Part]:
    """A rucksack with a front pocket and straps."""
    wide, tall, deep = rng.uniform(0.6, 0.9), 1.1, rng.uniform(0.3, 0.5)
    paint, second = random_paint(rng), quiet_paint(rng)
    body = box((wide, tall, deep), paint, 0.2, 4, inner=4)
    vertices = body.vertices.copy()
    vertices[:, 0] *= 1 - 0.25 * np.clip(vertices[:, 1] / tall + 0.5, 0, 1) ** 3
    parts = [body.placed(vertices), box((wide * 0.75, tall * 0.42, 0.2), second, 0.08, 3).moved(y=-tall * 0.2, z=deep / 2)]
    for side in (-1, 1):
        path = np.array(
            [
                [side * 0.15, 0.45, -deep / 2 + 0.03],
                [side * 0.2, 0.25, -deep / 2 - 0.2],
                [side * 0.25, -0.2, -deep / 2 - 0.15],
                [side * 0.28, -0.45, -deep / 2 + 0.03],
            ]
        )
        parts.append(tube(path, 0.025, second, 8, aspect=3, up=(0, 0, 1)))
    return parts


def parcel(rng: np.random.Generator) -> list[Part]:
    """A gift or crate: a box with ribbons or planks."""
    size = rng.uniform(0.4, 1.0, 3)
    parts = [box(size, random_paint(rng), 0.02, 1)]
    ribbon = quiet_paint(rng)
    width = rng.uniform(0.06, 0.2)
    if rng.random() < 0.7:
        parts.append(box((size[0] + 0.03, size[1] + 0.03, width), ribbon))
        parts.append(box((width, size[1] + 0.03, size[2] + 0.03), ribbon))
        if rng.random() < 0.6:
            parts += [
                ellipsoid((0.16, 0.06, 0.1), ribbon).turned("z", side * 0.5).moved(x=side * 0.13, y=size[1] / 2 + 0.08) for side in (-1, 1)
            ]
    else:
        for level in np.linspace(-0.5, 0.5, int(rng.integers(2, 5))):
            parts.append(box((size[0] + 0.06, 0.1, size[2] + 0.06), ribbon).moved(y=level * (size[1] - 0.1)))
    return parts


def squeeze_tube(rng: np.random.Generator) -> list[Part]:
    """Toothpaste or cream: round at the cap, flat at the end."""
    body = cylinder(0.22, 1.2, (quiet_paint(rng), label(rng, 176), quiet_paint(rng)), 0.02, 32)
    t = np.clip(body.vertices[:, 1] / 1.2 + 0.5, 0, 1)
    vertices = body.vertices * np.stack([1 + 0.35 * t, np.ones_like(t), 1 - 0.93 * t**0.8], -1)
    tube_part = body.placed(vertices)
    return [tube_part, cylinder(0.17, 0.25, quiet_paint(rng), 0.02, 24, taper=1.1).moved(y=-0.7)]


def suitcase(rng: np.random.Generator) -> list[Part]:
    """A case, lunch box or tool box with handle and feet or wheels."""
    size = np.array([rng.uniform(0.7, 1.1), rng.uniform(0.5, 1.2), rng.uniform(0.25, 0.45)])
    paint, trim = random_paint(rng), quiet_paint(rng)
    parts = [box(size, decal(rng, paint) if rng.random() < 0.4 else paint, rng.uniform(0.03, 0.1), 3)]
    reach, high = size[0] * rng.uniform(0.12, 0.25), rng.uniform(0.08, 0.3)
    top = size[1] / 2
    parts.append(
        tube(
            [[-reach, top - 0.02, 0], [-reach, top + high, 0], [reach, top + high, 0], [reach, top - 0.02, 0]], 0.03, trim, 8, up=(0, 0, 1)
        )
    )
    parts += [
        ellipsoid((0.06, 0.06, 0.06), trim).moved(x * size[0] * 0.4, -top - 0.02, z * size[2] * 0.35) for x in (-1, 1) for z in (-1, 1)
    ]
    return parts


KINDS = (carton, carton, carton, book, bag, bag, backpack, parcel, squeeze_tube, suitcase)


def package(rng: np.random.Generator) -> list[Part]:
    """Any package."""
    return KINDS[rng.integers(len(KINDS))](rng)
