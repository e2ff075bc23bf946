"""Heads of figurines: ears and muzzles of cartoon animals, hair of dolls, and faces."""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

import numpy as np

from img23d.training.procedural.figurine_build import HAIR, SKIN, TRIM, Build
from img23d.training.procedural.implicit import Limb, Triple
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import ellipsoid
from img23d.training.textures import palette, plain


def ears(rng: np.random.Generator, build: Build) -> list[Limb]:
    """Round, pointed, long or hanging."""
    skull, kind = build.skull, rng.integers(4)
    place, size = rng.uniform(0.5, 0.95), rng.uniform(0.25, 0.5) * skull
    limbs = []
    for side in (-1, 1):
        root = build.head + skull * np.array([side * np.sin(place) * build.wide, np.cos(place), rng.uniform(-0.1, 0.05)])
        out = np.array([side * np.sin(place), np.cos(place), -0.1])
        if kind == 0:
            limbs.append(Limb(root + out * size * 0.4, root + out * size * 0.4, size, size, SKIN, (1, 1, 0.55)))
        elif kind == 1:
            limbs.append(Limb(root, root + out * size * 1.5, size * 0.75, size * 0.12, SKIN, (1, 1, 0.6)))
        elif kind == 2:
            limbs.append(Limb(root, root + skull * rng.uniform(0.6, 1.4) * (out + [0, 0.5, 0]), size * 0.55, size * 0.5, SKIN, (1, 1, 0.6)))
        else:
            limbs.append(
                Limb(root + out * size * 0.3, root + [side * size, -skull * rng.uniform(0.4, 1.0), 0], size * 0.6, size * 0.6, HAIR)
            )
    return limbs


def muzzle(rng: np.random.Generator, build: Build) -> list[Limb]:
    """A snout, a beak or cheeks."""
    skull, front = build.skull, build.head + [0, -build.skull * 0.25, build.skull * 0.8 * build.wide]
    long, fat = rng.uniform(0.05, 0.45) * skull, rng.uniform(0.25, 0.5) * skull
    return [Limb(front - [0, 0, fat * 0.4], front + [0, -long * 0.2, long], fat, fat * rng.uniform(0.3, 0.95), TRIM, (1.2, 0.9, 1))]


def hair(rng: np.random.Generator, build: Build) -> list[Limb]:
    """A cap of hair or a hood, with a fringe, locks, and a mane down the back, a bun or spikes."""
    skull, wide = build.skull, build.wide

    def strand(root: Triple, tip: Triple, thick: float, thin: float, flatten: Triple = (1, 1, 1)) -> Limb:
        start, end = (build.head + skull * np.asarray(place) for place in (root, tip))
        return Limb(start, end, skull * thick, skull * thin, HAIR, flatten)

    cap, over = (0, 0.12, -0.2), rng.uniform(1.03, 1.14)
    limbs = [strand(cap, cap, over, over, (wide, 1, wide))]
    if rng.random() < 0.6:
        for x in np.linspace(-0.6, 0.6, int(rng.integers(2, 6))):
            root = np.array([x * wide * 0.6, 0.85, 0.45])
            limbs.append(strand(root, root + [x * 0.5, -rng.uniform(0.4, 0.75), 0.45 * wide], 0.24, 0.1))
    for side in (-1, 1):
        if rng.random() < 0.5:
            root = np.array([side * 0.9 * wide, 0.1, 0.0])
            limbs.append(strand(root, root + [side * rng.uniform(0, 0.7), -rng.uniform(0.5, 1.8), -0.1], 0.28, 0.12))
    style = rng.integers(4)
    if style == 0:
        limbs.append(strand((0, -0.2, -0.75), (0, -rng.uniform(0.8, 2.2), -0.6), 0.75, 0.4, (1.1, 1, 0.6)))
    elif style == 1:
        limbs.append(strand((0, 1.05, -0.4), (0, 1.15, -0.5), 0.35, 0.35))
    elif style == 2:
        for _ in range(int(rng.integers(5, 12))):
            way = rng.normal(0, 1, 3) * [1, 0.6, 1] + [0, 0.9, -0.6]
            way = way / np.linalg.norm(way)
            limbs.append(strand(0.85 * way, rng.uniform(1.3, 1.7) * way, 0.3, 0.04))
    return limbs


def face(rng: np.random.Generator, build: Build, size: np.ndarray) -> list[Part]:
    """Eyes, perhaps with whites, a mouth and cheeks: flat dabs on the head, an ellipsoid with semi-axes ``size``."""
    parts: list[Part] = []

    def dab(x: float, y: float, wide: float, high: float, colour: np.ndarray, raised: float) -> None:
        place = np.array([x, y, np.sqrt(max(1 - x * x - y * y, 0.05))])
        flat = ellipsoid(build.skull * np.array([wide, high, raised]), plain(colour), segments=14)
        parts.append(flat.turned("y", np.arctan2(x, place[2])).moved(*(build.head + size * place)))

    x, y, eye = rng.uniform(0.25, 0.5), rng.uniform(-0.25, 0.15), rng.uniform(0.08, 0.24)
    tall, raised, iris = rng.uniform(0.9, 1.7), rng.uniform(0.04, 0.12), palette(rng, 1)[0] * 0.35
    whites, blushes = rng.random(2) < [0.5, 0.3]
    for side in (-1, 1):
        if whites:
            dab(side * x, y, eye, eye * tall, np.full(3, 245.0), raised)
        part = 0.62 if whites else 1.0
        dab(side * x * (0.95 if whites else 1), y, eye * part, eye * tall * part, iris, raised * 1.5)
        if blushes:
            dab(side * x * 1.4, y - 0.25, 0.12, 0.08, np.array([240.0, 140, 140]), 0.04)
    if rng.random() < 0.7:
        lips = np.array([150.0, 50, 50]) * rng.uniform(0.2, 1.2)
        dab(0, y - rng.uniform(0.3, 0.45), rng.uniform(0.05, 0.2), rng.uniform(0.02, 0.1), lips, 0.04)
    return parts
