"""Open boxes and bags: crates, trays, drawers, bins, baskets and shopping bags, with thin walls and nothing inside."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.outlines import smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import box, tube
from img23d.training.procedural.vessels import walled
from img23d.training.textures import label, quiet_paint, random_paint, woven


def open_box(rng: np.random.Generator) -> list[Part]:
    """A crate, tray, drawer, carton or bin, now and then with compartments."""
    size = np.array([rng.uniform(0.4, 1.0), rng.uniform(0.08, 0.9), rng.uniform(0.4, 1.0)])
    wall, paint = rng.uniform(0.02, 0.06), label(rng, 128) if rng.random() < 0.3 else random_paint(rng)
    inside = paint if rng.random() < 0.5 else quiet_paint(rng)
    wide, tall, deep = size
    parts = [box((wide, wall, deep), inside).moved(y=wall / 2)]
    for side in (-1, 1):
        parts.append(box((wide, tall, wall), [inside, inside, inside, inside, paint, paint]).moved(0, tall / 2, side * (deep - wall) / 2))
        parts.append(box((wall, tall, deep), [paint, paint, inside, inside, inside, inside]).moved(side * (wide - wall) / 2, tall / 2, 0))
    if rng.random() < 0.25:
        for place in np.linspace(-0.5, 0.5, int(rng.integers(1, 4)) + 2)[1:-1]:
            parts.append(box((wall * 0.8, tall * rng.uniform(0.6, 0.95), deep - wall), inside).moved(place * wide, tall * 0.45, 0))
    if rng.random() < 0.3:  # flaps of a carton, or a rim
        out = rng.uniform(0.05, 0.3)
        flap = box((wide * 0.96, 0.02, out), paint).moved(z=out / 2)
        for turn in (0.0, np.pi):
            parts.append(flap.turned("x", rng.uniform(-0.9, 0.6)).moved(0, tall - 0.01, deep / 2).turned("y", turn))
    flare = rng.uniform(0, 0.25) if rng.random() < 0.4 else 0.0
    out_parts = []
    for part in parts:
        grow = 1 - flare * (1 - np.clip(part.vertices[:, 1:2] / tall, 0, 1.0))
        out_parts.append(part.placed(part.vertices * np.concatenate([grow, np.ones_like(grow), grow], 1)))
    return out_parts


def basket(rng: np.random.Generator) -> list[Part]:
    """A basket, bin, planter or tub of rounded plan, with or without handles."""
    tall, foot = rng.uniform(0.25, 1.3), rng.uniform(0.6, 1.0)
    t = np.linspace(0, 1, 10)
    belly = rng.uniform(-0.08, 0.15)
    outer = np.stack([0.5 * (foot + (1 - foot) * t + belly * np.sin(np.pi * t)), tall * t], -1)
    paint = woven(rng) if rng.random() < 0.5 else random_paint(rng)
    corners, squash = rng.choice([2.0, 2.6, 4.0, 8.0]), rng.uniform(0.55, 1.0)
    wall = rng.uniform(0.02, 0.05)
    inside = paint if rng.random() < 0.5 else quiet_paint(rng)
    parts = [
        walled(
            outer,
            wall,
            rng.uniform(0.03, 0.06),
            [paint, paint, inside],
            segments=int(rng.integers(9, 14)) * 4,
            squareness=corners,
            squash=squash,
        )
    ]
    kind = rng.integers(4)
    if kind == 0:
        angle = np.linspace(0, np.pi, 15)
        hoop = np.stack([0.49 * np.cos(angle), tall - 0.03 + rng.uniform(0.25, 0.7) * np.sin(angle), 0 * angle], -1)
        parts.append(tube(hoop, rng.uniform(0.015, 0.035), quiet_paint(rng), 8, aspect=rng.uniform(1, 2.5), up=(0, 0, 1)))
    elif kind == 1:
        reach, high = rng.uniform(0.08, 0.2), rng.uniform(0.05, 0.2)
        for side in (-1, 1):
            path = [
                [side * 0.48, tall - 0.02, -reach],
                [side * 0.5, tall + high, -reach * 0.6],
                [side * 0.5, tall + high, reach * 0.6],
                [side * 0.48, tall - 0.02, reach],
            ]
            parts.append(tube(smooth_outline(path, 4, False), 0.02, quiet_paint(rng), 8))
    return parts


def tote(rng: np.random.Generator) -> list[Part]:
    """A shopping bag or handbag, open at the top, with two handles; its sides bulge."""
    tall, deep = rng.uniform(0.6, 1.2), rng.uniform(0.2, 0.5)
    t = np.linspace(0, 1, 12)
    outer = np.stack([0.5 * (1 - rng.uniform(-0.1, 0.2) * t + rng.uniform(0, 0.08) * np.sin(np.pi * t)), tall * t], -1)
    paint = label(rng, 176) if rng.random() < 0.4 else random_paint(rng)
    body = walled(
        outer,
        0.05,
        0.04,
        [paint, paint, quiet_paint(rng)],
        segments=int(rng.integers(9, 14)) * 4,
        squareness=rng.choice([3.0, 6.0, 12.0]),
        squash=deep,
    )
    close = rng.uniform(0.0, 0.6)
    grow = 1 - close * np.clip(body.vertices[:, 1] / tall, 0, 1) ** 2
    parts = [body.placed(body.vertices * np.stack([np.ones_like(grow), np.ones_like(grow), grow], -1))]
    reach, high, mouth = rng.uniform(0.12, 0.25), rng.uniform(0.12, 0.5), deep * 0.48 * (1 - close)
    strap = quiet_paint(rng)
    for side in (-1, 1):
        path = [
            [-reach, tall - 0.08, side * mouth],
            [-reach * 0.9, tall + high * 0.7, side * mouth * 0.7],
            [0, tall + high, side * mouth * 0.5],
            [reach * 0.9, tall + high * 0.7, side * mouth * 0.7],
            [reach, tall - 0.08, side * mouth],
        ]
        parts.append(tube(smooth_outline(path, 4, False), rng.uniform(0.012, 0.025), strap, 8, aspect=rng.uniform(1, 2), up=(0, 0, 1)))
    return parts


KINDS = (open_box, open_box, open_box, basket, basket, tote, tote)


def container(rng: np.random.Generator) -> list[Part]:
    """Any open container."""
    return KINDS[rng.integers(len(KINDS))](rng)
