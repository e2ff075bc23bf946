"""What is worn on feet and head: shoes, sandals and hats; toes towards +Z."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.shoes import shoe
from img23d.training.procedural.surfaces import cylinder, ellipsoid, lathe, tube
from img23d.training.textures import quiet_paint, random_paint


def sole_outline(long: float, wide: float) -> np.ndarray:
    """(K, 2) the footprint of a right shoe, x across and y towards the toe."""
    half = wide / 2
    corners = [
        [-half * 0.7, -long * 0.46],
        [half * 0.7, -long * 0.46],
        [half * 0.75, -long * 0.1],
        [half, long * 0.22],
        [half * 0.5, long * 0.5],
    ]
    return smooth_outline([*corners, [-half * 0.35, long * 0.49], [-half * 0.95, long * 0.2], [-half * 0.6, -long * 0.1]], 6)


def sandal(rng: np.random.Generator) -> list[Part]:
    """A flip-flop or sandal: a sole with straps."""
    wide, thick = rng.uniform(0.32, 0.42), rng.uniform(0.05, 0.12)
    sole, strap = random_paint(rng), quiet_paint(rng)
    parts = [extrude(sole_outline(1.0, wide), thick, (sole, quiet_paint(rng)), 0.012).turned("x", np.pi / 2)]
    if rng.random() < 0.5:
        for side in (-1, 1):
            path = smooth_outline(
                [[0, thick / 2 - 0.01, 0.27], [side * wide * 0.3, 0.13, 0.12], [side * wide * 0.42, thick / 2 - 0.02, -0.05]], 5, False
            )
            parts.append(tube(path, 0.016, strap, 8, aspect=2.0))
    else:
        for z in rng.choice([0.22, 0.1, -0.3], int(rng.integers(1, 4)), replace=False):
            angle = np.linspace(0, np.pi, 11)
            path = np.stack([wide * 0.46 * np.cos(angle), thick / 2 - 0.02 + 0.14 * np.sin(angle), np.full(11, z)], -1)
            parts.append(tube(path, 0.02, strap, 8, aspect=3.0, up=(0, 1, 0)))
    return parts


def hat(rng: np.random.Generator) -> list[Part]:
    """A cap, brimmed hat, helmet or beanie, hollow below."""
    tall, crown, brim = rng.uniform(0.25, 0.5), rng.uniform(0.32, 0.4), rng.uniform(0.0, 0.35)
    paint, band = random_paint(rng), quiet_paint(rng)
    outer = smooth_outline(
        [[crown + brim, 0.02], [crown + 0.02, 0.03], [crown, tall * 0.5], [crown * rng.uniform(0.6, 0.95), tall * 0.95], [0.03, tall]],
        6,
        False,
    )
    inner = outer[::-1] * [0.93, 0.93] - [0, 0.012]
    profile = np.concatenate([[[0, inner[0, 1]]], inner, outer, [[0, tall]]])
    parts = [lathe(profile, paint, segments=40)]
    if brim < 0.12:
        visor = smooth_outline([[-crown * 0.9, 0], [crown * 0.9, 0], [crown * 0.7, 0.32], [-crown * 0.7, 0.32]], 5)
        parts.append(extrude(visor, 0.03, (band, band), 0.008).turned("x", np.pi / 2).moved(y=0.04, z=crown * 0.75))
    else:
        parts.append(cylinder(crown * 1.02, 0.07, band, 0.01, 40).moved(y=0.07))
    if rng.random() < 0.4:
        parts.append(ellipsoid([rng.uniform(0.03, 0.1)] * 3, band).moved(y=tall))
    return parts


KINDS = (shoe, shoe, shoe, shoe, shoe, shoe, shoe, shoe, sandal, hat)


def wearable(rng: np.random.Generator) -> list[Part]:
    """Anything worn on feet or head."""
    return KINDS[rng.integers(len(KINDS))](rng)
