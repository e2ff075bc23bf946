"""Toy and real vehicles on wheels: cars, lorries, trains, bicycles; front towards +Z."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.lacquer import body_paint, window_paint
from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part, join
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.training.textures import decal, plain, quiet_paint, random_color


def wheel(rng: np.random.Generator, radius: float, width: float) -> Part:
    """A tyre with a rim, its axle along x."""
    tyre, rim = plain(np.full(3, rng.uniform(15, 60))), plain(random_color(rng, 0.2))
    half, inner = width / 2, radius * rng.uniform(0.5, 0.75)
    profile = [
        [0, -half * 0.6],
        [inner, -half * 0.6],
        [inner, -half],
        [radius * 0.93, -half],
        [radius, -half * 0.6],
        [radius, half * 0.6],
        [radius * 0.93, half],
        [inner, half],
        [inner, half * 0.6],
        [0, half * 0.6],
    ]
    return lathe(profile, (tyre, rim), [1, 0, 0, 0, 0, 0, 0, 0, 1], 22).turned("z", np.pi / 2)


def wheels(rng: np.random.Generator, wide: float, places: list[float], radius: float, width: float) -> list[Part]:
    """Pairs of wheels at places along z, touching y = 0."""
    one = wheel(rng, radius, width)
    return [one.moved(side * wide / 2, radius, z) for side in (-1, 1) for z in places]


def car(rng: np.random.Generator) -> list[Part]:
    """A car, race car, jeep or van from a side outline."""
    long, wide, tall = rng.uniform(1.6, 2.4), rng.uniform(0.75, 1.05), rng.uniform(0.3, 0.6)
    radius, paint, glass = rng.uniform(0.16, 0.28), body_paint(rng), window_paint(rng)
    clear, hood = radius * rng.uniform(0.5, 1.0), rng.uniform(0.6, 1.0)
    cabin_low, cabin = clear + tall * 0.9, rng.uniform(0.2, 0.5)
    half = long / 2
    side = smooth_outline(
        [
            [-half, clear + 0.04],
            [-half * 0.5, clear],
            [half * 0.5, clear],
            [half, clear + 0.04],
            [half, clear + tall * hood * 0.8],
            [half * 0.45, clear + tall],
            [-half * 0.5, clear + tall],
            [-half, clear + tall * 0.9],
        ],
        4,
    )
    shell = extrude(side, wide, (paint, paint), rng.uniform(0.03, 0.1)).turned("y", -np.pi / 2)
    rear, front, slope = rng.uniform(-0.95, -0.45) * half, rng.uniform(0.1, 0.55) * half, rng.uniform(0.1, 0.5)
    roof = [
        [rear, cabin_low],
        [front + slope * cabin, cabin_low],
        [front - slope * cabin * 0.3, cabin_low + cabin],
        [rear + slope * cabin * rng.uniform(0, 1), cabin_low + cabin],
    ]
    parts = [shell]
    if rng.random() < 0.85:
        parts.append(extrude(roof, wide * 0.86, (glass, glass), 0.04).turned("y", -np.pi / 2))
        lid = [
            [roof[3][0] - 0.02, cabin_low + cabin - 0.02],
            [roof[2][0] + 0.02, cabin_low + cabin - 0.02],
            [roof[2][0], cabin_low + cabin + 0.04],
            [roof[3][0], cabin_low + cabin + 0.04],
        ]
        parts.append(extrude(lid, wide * 0.82, (paint, paint), 0.01).turned("y", -np.pi / 2))
    else:
        parts += [
            ellipsoid((0.13, 0.16, 0.13), quiet_paint(rng)).moved(y=cabin_low + 0.25),
            ellipsoid((0.16, 0.2, 0.14), quiet_paint(rng)).moved(y=cabin_low),
        ]
    parts += wheels(rng, wide * rng.uniform(0.9, 1.05), [-half * 0.6, half * 0.62], radius, rng.uniform(0.12, 0.25))
    lights = plain(np.array([250.0, 240, 190]))
    parts += [ellipsoid((0.08, 0.06, 0.05), lights, segments=12).moved(s * wide * 0.34, clear + tall * 0.55, half * 0.98) for s in (-1, 1)]
    if rng.random() < 0.25:
        parts.append(box((wide * 0.9, 0.03, 0.16), paint).moved(y=clear + tall + 0.2, z=-half * 0.9))
        parts += [box((0.03, 0.2, 0.1), paint).moved(s * wide * 0.3, clear + tall + 0.1, -half * 0.9) for s in (-1, 1)]
    return parts


def truck(rng: np.random.Generator) -> list[Part]:
    """A lorry, bus, tractor, fire engine or dump truck from boxes."""
    long, wide, radius = rng.uniform(1.6, 2.6), rng.uniform(0.7, 0.9), rng.uniform(0.15, 0.25)
    paint, load, glass = body_paint(rng), body_paint(rng), window_paint(rng)
    parts = [box((wide * 0.8, 0.12, long), quiet_paint(rng)).moved(y=radius + 0.05)]
    cab_long, cab_tall = rng.uniform(0.4, 0.6), rng.uniform(0.55, 0.85)
    cab = box((wide, cab_tall, cab_long), paint, 0.06, 2).moved(y=radius + 0.1 + cab_tall / 2, z=long / 2 - cab_long / 2)
    parts += [
        cab,
        box((wide * 1.01, cab_tall * 0.35, cab_long * 0.7), glass, 0.02, 1).moved(
            y=radius + cab_tall * 0.8, z=long / 2 - cab_long / 2 + 0.02
        ),
    ]
    parts.append(
        box((wide * 0.85, cab_tall * 0.35, cab_long), glass, 0.02, 1).moved(y=radius + cab_tall * 0.8, z=long / 2 - cab_long / 2 + 0.02)
    )
    space = long - cab_long - 0.06
    kind = rng.integers(3)
    centre = -long / 2 + space / 2
    if kind == 0:
        high = rng.uniform(0.5, 1.0)
        parts.append(box((wide, high, space), decal(rng, load), 0.02, 1).moved(y=radius + 0.1 + high / 2, z=centre))
    elif kind == 1:
        parts.append(cylinder(wide * 0.42, space, load, 0.05, 28).turned("x", np.pi / 2).moved(y=radius + 0.1 + wide * 0.42, z=centre))
    else:
        high = rng.uniform(0.25, 0.5)
        parts += [box((0.05, high, space), load).moved(s * wide * 0.47, radius + 0.1 + high / 2, centre) for s in (-1, 1)]
        parts += [box((wide, high, 0.05), load).moved(y=radius + 0.1 + high / 2, z=centre + s * space * 0.48) for s in (-1, 1)]
        parts.append(box((wide, 0.06, space), load).moved(y=radius + 0.14, z=centre))
    axles = [long / 2 - cab_long / 2, *np.linspace(-long / 2 + radius, centre, int(rng.integers(1, 3))).tolist()]
    return parts + wheels(rng, wide, axles, radius, 0.16)


def train(rng: np.random.Generator) -> list[Part]:
    """A toy locomotive or tractor."""
    long, wide, radius = rng.uniform(1.2, 1.7), 0.6, rng.uniform(0.13, 0.2)
    paint, second = body_paint(rng), body_paint(rng)
    boiler = rng.uniform(0.22, 0.32)
    parts = [box((wide, 0.12, long), quiet_paint(rng), 0.02, 1).moved(y=radius + 0.06)]
    parts.append(
        cylinder(boiler, long * 0.6, (second, paint, second), 0.03).turned("x", np.pi / 2).moved(y=radius + 0.1 + boiler, z=long * 0.16)
    )
    parts.append(box((wide, 0.75, long * 0.34), second, 0.03, 1).moved(y=radius + 0.45, z=-long * 0.31))
    parts.append(box((wide * 1.15, 0.06, long * 0.42), paint, 0.02, 1).moved(y=radius + 0.85, z=-long * 0.31))
    parts.append(box((wide * 1.02, 0.25, long * 0.2), window_paint(rng)).moved(y=radius + 0.62, z=-long * 0.31))
    parts.append(
        cylinder(0.06, rng.uniform(0.25, 0.45), second, 0.01, taper=rng.uniform(1, 2)).moved(y=radius + 0.15 + 2 * boiler, z=long * 0.32)
    )
    return parts + wheels(rng, wide, np.linspace(-0.35, 0.38, int(rng.integers(2, 5))).tolist(), radius, 0.1)


def bike(rng: np.random.Generator) -> list[Part]:
    """A bicycle, scooter or motorbike: thin frame, two wheels."""
    radius, base = rng.uniform(0.3, 0.4), rng.uniform(0.55, 0.65)
    paint, dark = body_paint(rng), plain(np.full(3, rng.uniform(20, 70)))
    angle = np.linspace(0, 2 * np.pi, 33)
    ring = tube(np.stack([0 * angle, radius * np.sin(angle), radius * np.cos(angle)], -1), rng.uniform(0.025, 0.06), dark, 8, rounded=False)
    spokes = [tube([[0, 0, 0], [0, radius * np.sin(a), radius * np.cos(a)]], 0.01, paint, 4) for a in np.linspace(0, 2 * np.pi, 9)[:-1]]
    one = join([ring, *spokes])
    rear, front, seat, crank, head = (
        np.array(p)
        for p in (
            [0, radius, -base],
            [0, radius, base],
            [0, radius + 0.55, -base * 0.35],
            [0, radius, -0.05],
            [0, radius + 0.55, base * 0.72],
        )
    )
    thick = rng.uniform(0.025, 0.05)
    parts = [one.moved(y=radius, z=-base), one.moved(y=radius, z=base)]
    parts += [
        tube([a, b], thick, paint, 8) for a, b in ((rear, crank), (rear, seat), (crank, seat), (crank, head), (seat, head), (head, front))
    ]
    parts += [
        tube([[-0.25, radius + 0.68, base * 0.62], [0.25, radius + 0.68, base * 0.62]], 0.025, dark, 8),
        tube([head, [0, radius + 0.7, base * 0.64]], 0.025, dark, 8),
    ]
    return [*parts, ellipsoid((0.08, 0.04, 0.16), dark).moved(0, radius + 0.62, -base * 0.4)]
