"""Shoes, boots, slippers and hats; toes towards +Z."""

from __future__ import annotations

import numpy as np

from img23d.priors.procedural.outlines import extrude, smooth_outline
from img23d.priors.procedural.parts import Part
from img23d.priors.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.priors.textures import plain, quiet_paint, random_color, random_paint


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


def shoe(rng: np.random.Generator) -> list[Part]:
    """A trainer, boat shoe, boot, pump or clog with an opening for the foot."""
    long, wide, thick = 1.0, rng.uniform(0.32, 0.42), rng.uniform(0.04, 0.12)
    upper, sole, trim = random_paint(rng), quiet_paint(rng), quiet_paint(rng)
    print_ = sole_outline(long, wide)
    heel = rng.choice([0.0, 0.0, rng.uniform(0.05, 0.3)])
    bottom = extrude(print_, thick, (sole, sole), min(0.015, thick / 4)).turned("x", np.pi / 2)
    collar = rng.choice([rng.uniform(0.2, 0.32), rng.uniform(0.45, 0.8)], p=[0.75, 0.25])
    # The upper is the footprint shrinking towards the ankle; its last rings turn inside and go down again.
    levels = [(0.0, 0.0, 1.0), (0.04, 0.0, 1.02), (0.1, -0.02, 0.97), (0.17, -0.07, 0.86), (0.24, -0.14, 0.72), (collar, -0.2, 0.58)]
    levels = [level for level in levels[:-1] if level[0] < collar - 0.03] + [levels[-1]]
    rings = [
        np.concatenate([print_ * [grow, 1] * [1, grow] + [0, back], np.full((len(print_), 1), high)], 1) for high, back, grow in levels
    ]
    mouth = np.array([0, -0.2])
    inner = [(rings[-1][:, :2] - mouth) * shrink + mouth for shrink in (0.9, 0.82)]
    rings += [
        np.concatenate([inner[0], np.full((len(print_), 1), collar - 0.005)], 1),
        np.concatenate([inner[1], np.full((len(print_), 1), 0.05)], 1),
    ]
    stack = np.stack([np.stack([ring[:, 0], ring[:, 2] + thick / 2, ring[:, 1]], -1) for ring in rings])
    parts = [bottom, ring_solid(stack, upper)]
    toe = -0.02
    if rng.random() < 0.7:
        for index in range(int(rng.integers(3, 6))):
            z = toe + 0.11 - index * 0.055
            high = thick / 2 + float(np.interp(z, [-0.2, -0.05, 0.1, 0.2], [collar * 0.8, 0.235, 0.19, 0.13])) + 0.015
            parts.append(tube([[-0.07, high - 0.02, z], [0, high, z + 0.015], [0.07, high - 0.02, z]], 0.012, trim, 6))
    if heel > 0:
        parts = [part.turned("x", heel * 0.6).moved(y=heel * 0.5) for part in parts]
        parts.append(box((wide * 0.6, heel + 0.06, 0.2), sole, 0.02, 1).moved(y=heel * 0.42, z=-long * 0.36))
    if rng.random() < 0.3:
        stripe = plain(random_color(rng, 0.8))
        parts += [box((0.012, 0.05, 0.3), stripe).turned("x", -0.5).moved(side * wide * 0.47, 0.14, 0.02) for side in (-1, 1)]
    if rng.random() < 0.25:
        parts = [*parts, *(part.mirrored().moved(x=wide * 1.25, z=rng.uniform(-0.1, 0.1)) for part in list(parts))]
    return parts


def ring_solid(rings: np.ndarray, paint: np.ndarray) -> Part:
    """A closed surface through K rings of S points (K, S, 3), its ends closed by fans."""
    count, around = rings.shape[:2]
    ends = np.stack([rings[0].mean(0), rings[-1].mean(0)])
    vertices = np.concatenate([rings.reshape(-1, 3), ends])
    index = np.arange(count * around).reshape(count, around)
    turned = np.roll(index, -1, 1)
    quads = np.stack([index[:-1], turned[:-1], turned[1:], index[1:]], -1).reshape(-1, 4)
    first, last = count * around, count * around + 1
    caps = [
        np.stack([np.full(around, first), turned[0], index[0]], -1),
        np.stack([np.full(around, last), index[-1], turned[-1]], -1),
    ]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], *caps])
    low, high = vertices.min(0), vertices.max(0)
    flat = (vertices - low) / np.maximum(high - low, 1e-9)
    corner_uv = np.stack([flat[:, 2], 1 - flat[:, 1]], -1)[faces]  # the paint is projected from the side
    return Part(vertices, faces, corner_uv, np.zeros(len(faces), np.int64), (paint,)).outward()


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


KINDS = (shoe, shoe, shoe, shoe, sandal, hat)


def wearable(rng: np.random.Generator) -> list[Part]:
    """Anything worn on feet or head."""
    return KINDS[rng.integers(len(KINDS))](rng)
