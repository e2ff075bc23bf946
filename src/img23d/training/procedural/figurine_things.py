"""What figurines wear and hold."""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

import numpy as np

from img23d.training.procedural.figurine_build import Build
from img23d.training.procedural.implicit import Limb, blend
from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, tube
from img23d.training.textures import random_paint


def on_the_head(rng: np.random.Generator, build: Build) -> list[Part]:
    """A hat, horns, or nothing."""
    chance, paint = rng.random(), random_paint(rng)
    skull, head = build.skull, build.head
    if chance < 0.3:
        brim, high, top = rng.uniform(0.9, 1.5), rng.uniform(0.4, 1.4), head + [0, skull * 0.55, 0]
        crown = cylinder(skull * 0.85, skull * high, paint, taper=rng.uniform(0.05, 1.0))
        return [cylinder(skull * brim, skull * 0.1, paint, 0.01).moved(*top), crown.moved(*(top + [0, skull * high / 2, 0]))]
    if chance < 0.45:
        line = smooth_outline([(0.5, 0.8, 0), (0.8, 1.2, 0.05), (0.7, rng.uniform(1.4, 1.8), 0.1)], 4, False)
        horn = tube(skull * line, np.linspace(skull * 0.14, skull * 0.03, len(line)), paint, 8)
        return [part.moved(*head) for part in (horn, horn.mirrored())]
    return []


def on_the_back(rng: np.random.Generator, build: Build) -> list[Part]:
    """A cape, a pack, wings, or nothing."""
    chance, paint, belly = rng.random(), random_paint(rng), build.belly
    if chance < 0.2:
        hem = (0, build.leg * rng.uniform(0.3, 1.0) + 0.05, -belly * rng.uniform(1.0, 1.7))
        cape = Limb(build.neck + [0, -0.02, -belly * 0.8], hem, belly * 0.7, belly * 1.1, 0, (1, 1, 0.22))
        return [blend([cape], [paint], 0.01, 26)]
    if chance < 0.35:
        return [box(belly * rng.uniform(0.8, 1.6, 3), paint, 0.03).moved(*(build.hip + [0, belly * 0.4, -belly * 1.3]))]
    if chance < 0.45:
        wing = extrude([[0, 0], [0.9, 0.5], [1.0, 1.0], [0.4, 0.8], [0, 0.5]], 0.06, (paint, paint), 0.01)
        wing = wing.scaled(belly * rng.uniform(1.2, 2.5)).turned("y", rng.uniform(0.1, 0.6))
        wing = wing.moved(belly * 0.2, float(build.hip[1]), -belly * 0.9)
        return [wing, wing.mirrored()]
    return []


def with_it(rng: np.random.Generator, build: Build) -> list[Part]:
    """A scarf, something in the hand, a stand, or none of these."""
    parts: list[Part] = []
    belly, scarf, holds, stands = build.belly, *(rng.random(3) < [0.2, 0.25, 0.2])
    if scarf:
        parts.append(ellipsoid((belly * 0.95, belly * 0.25, belly * 0.95), random_paint(rng)).moved(*build.neck))
    if holds:
        long, side = rng.uniform(0.3, 0.9), float(rng.choice([-1, 1]))
        paint = random_paint(rng)
        tool = box((0.07, long, 0.02), paint, 0.005) if rng.random() < 0.5 else cylinder(0.02, long, paint)
        hand = build.neck + belly * np.array([side * rng.uniform(1.4, 1.9), -0.4, rng.uniform(0.0, 0.9)])
        parts.append(tool.turned("z", rng.uniform(-0.4, 0.4)).turned("x", rng.uniform(-0.6, 0.6)).moved(*hand))
    if stands:
        parts.append(cylinder(belly * rng.uniform(1.3, 2.2), 0.05, random_paint(rng), 0.01))
    return parts
