"""Vehicles and toy vehicles: cars, vans, trucks, trains, planes, helicopters, boats and rockets; front towards +Z."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.lacquer import body_paint, window_paint
from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.road import bike, car, train, truck, wheels
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.training.textures import Paint, quiet_paint, random_paint


def loft(stations: np.ndarray, paint: Paint, squareness: float = 4.0) -> Part:
    """A hull through stations (K, 4): z, half width, low y, high y."""
    z, half, low, high = stations.T
    path = np.stack([np.zeros_like(z), (low + high) / 2, z], -1)
    base = tube(path, np.ones(len(z)), paint, 20, rounded=False, squareness=squareness)
    centre = np.interp(base.vertices[:, 2], z, (low + high) / 2)
    tall = np.interp(base.vertices[:, 2], z, (high - low) / 2)
    broad = np.interp(base.vertices[:, 2], z, half)
    vertices = base.vertices.copy()
    vertices[:, 0] *= broad
    vertices[:, 1] = centre + (vertices[:, 1] - centre) * tall
    return base.placed(vertices)


def wing(span: float, chord: float, thick: float, sweep: float, paint: Paint, taper: float = 0.6) -> Part:
    """A pair of wings across x."""
    outline = [
        [0, chord / 2],
        [span / 2, chord / 2 * taper - sweep],
        [span / 2, -chord / 2 * taper - sweep],
        [0, -chord / 2],
        [-span / 2, -chord / 2 * taper - sweep],
        [-span / 2, chord / 2 * taper - sweep],
    ]
    return extrude(outline, thick, (paint, paint), thick * 0.35).turned("x", np.pi / 2)


def plane(rng: np.random.Generator) -> list[Part]:
    """An aeroplane with propeller or jets, realistic or chubby like a toy."""
    long, fat = rng.uniform(1.6, 2.4), rng.uniform(0.12, 0.34)
    paint, trim = body_paint(rng), body_paint(rng)
    t = np.linspace(-1, 1, 13)
    radii = fat * np.clip(1 - np.abs(t) ** rng.uniform(2.5, 6), 0.12, 1) * np.where(t < 0, 1 + t * rng.uniform(0.2, 0.75), 1)
    body = tube(np.stack([0 * t, np.where(t < 0, -t * fat * 0.4, 0), t * long / 2], -1), radii, paint, 20)
    span, chord, thick = rng.uniform(1.2, 2.4), rng.uniform(0.3, 0.55), rng.uniform(0.04, 0.1)
    height = rng.choice([-0.5, 0.0, 0.9]) * fat
    parts = [body, wing(span, chord, thick, rng.choice([0.0, rng.uniform(0, 0.5)]), trim).moved(y=height, z=rng.uniform(0, 0.25))]
    if rng.random() < 0.15:
        parts.append(wing(span, chord, thick, 0.0, trim).moved(y=fat * 1.9, z=0.2))
        parts += [tube([[s * span * 0.3, height, 0.2], [s * span * 0.3, fat * 1.9, 0.2]], 0.02, trim, 6) for s in (-1, 1)]
    tail = -long * 0.44
    parts.append(wing(span * 0.38, chord * 0.55, thick * 0.8, 0.08, trim).moved(y=fat * 0.35, z=tail))
    fin = extrude([[tail - 0.12, 0], [tail + 0.25, 0], [tail + 0.02, fat + 0.32], [tail - 0.14, fat + 0.32]], 0.05, (trim, trim), 0.01)
    parts.append(fin.turned("y", -np.pi / 2).moved(y=fat * 0.35))
    parts.append(
        ellipsoid((fat * 0.6, fat * 0.6, fat * 1.3), window_paint(rng), segments=16).moved(y=fat * 0.6, z=long * rng.uniform(0.1, 0.3))
    )
    if rng.random() < 0.6:
        nose = long / 2
        parts.append(ellipsoid((fat * 0.3, fat * 0.3, 0.12), quiet_paint(rng), segments=14).moved(z=nose))
        count, turn = int(rng.integers(2, 5)), rng.uniform(0, 3)
        blade = box((0.07, fat * 2.8, 0.03), quiet_paint(rng), 0.012, 1)
        parts += [blade.turned("z", turn + np.pi * index / max(count - 1, 1)).moved(z=nose + 0.04) for index in range(max(1, count - 1))]
    else:
        parts += [cylinder(0.09, 0.35, trim, 0.02).turned("x", np.pi / 2).moved(s * span * 0.22, height - 0.1, 0.15) for s in (-1, 1)]
    if rng.random() < 0.4:
        parts += (
            wheels(rng, fat * 2.5, [0.2], 0.1, 0.06)
            if height > 0
            else [part.moved(y=-fat - 0.15) for part in wheels(rng, fat * 2.5, [0.2], 0.1, 0.06)]
        )
    return parts


def helicopter(rng: np.random.Generator) -> list[Part]:
    """A helicopter or drone."""
    paint, trim = body_paint(rng), quiet_paint(rng)
    parts = [ellipsoid((0.3, 0.33, 0.5), paint), ellipsoid((0.26, 0.26, 0.3), window_paint(rng)).moved(y=0.06, z=0.25)]
    tail = rng.uniform(0.9, 1.3)
    parts.append(tube([[0, 0.08, -0.3], [0, 0.16, -tail]], [0.13, 0.05], paint, 12))
    parts += [
        cylinder(0.03, 0.2, trim).moved(y=0.4),
        extrude([[-0.1, 0], [0.1, 0], [0.02, 0.35], [-0.12, 0.35]], 0.04, (trim, trim)).turned("y", -np.pi / 2).moved(y=0.12, z=-tail),
    ]
    rotor = box((0.1, 0.02, rng.uniform(1.5, 2.2)), trim)
    turn = rng.uniform(0, 1.5)
    parts += [rotor.turned("y", turn).moved(y=0.49), rotor.turned("y", turn + np.pi / 2).moved(y=0.49)]
    for side in (-1, 1):
        parts.append(tube([[side * 0.25, -0.42, -0.4], [side * 0.25, -0.42, 0.45], [side * 0.25, -0.36, 0.55]], 0.025, trim, 6))
        parts += [tube([[side * 0.15, -0.2, z], [side * 0.25, -0.42, z]], 0.02, trim, 6) for z in (-0.2, 0.2)]
    return parts


def boat(rng: np.random.Generator) -> list[Part]:
    """A boat, ship or sailing boat."""
    long, wide, deep = rng.uniform(1.4, 2.2), rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.5)
    t = np.linspace(-1, 1, 11)
    half = wide * np.where(t > 0, 1 - np.abs(t) ** rng.uniform(1.5, 3), 1 - 0.3 * t**2).clip(0.03)
    hull = loft(np.stack([t * long / 2, half, np.where(t > 0.4, (t - 0.4) * deep * 0.5, 0), deep + 0.12 * t**2], -1), body_paint(rng), 3.0)
    deck = random_paint(rng)
    parts = [hull]
    if rng.random() < 0.5:
        mast = rng.uniform(1.0, 1.8)
        parts.append(tube([[0, deep * 0.8, 0.1], [0, deep + mast, 0.1]], 0.025, deck, 8))
        sail = random_paint(rng)
        parts.append(
            extrude([[0.04, 0.12], [-long * 0.42, 0.15], [0.04, mast * 0.95]], 0.02, (sail, sail))
            .turned("y", -np.pi / 2)
            .moved(y=deep, z=0.08)
        )
        if rng.random() < 0.6:
            parts.append(
                extrude([[0.1, 0.1], [long * 0.42, 0.1], [0.1, mast * 0.8]], 0.02, (sail, sail))
                .turned("y", -np.pi / 2)
                .moved(y=deep, z=0.1)
            )
    else:
        parts.append(box((wide * 1.1, 0.3, long * 0.35), deck, 0.03, 1).moved(y=deep + 0.12, z=-long * 0.08))
        parts.append(box((wide * 0.9, 0.2, long * 0.2), window_paint(rng), 0.03, 1).moved(y=deep + 0.35, z=-long * 0.08))
        parts += [
            cylinder(0.06, 0.4, body_paint(rng), 0.01).moved(y=deep + 0.5, z=-long * (0.08 + 0.12 * index))
            for index in range(int(rng.integers(0, 3)))
        ]
    return parts


def rocket(rng: np.random.Generator) -> list[Part]:
    """A rocket with fins."""
    height, fat = rng.uniform(1.2, 2.2), rng.uniform(0.18, 0.34)
    curve = smooth_outline([[fat * 0.6, 0], [fat, height * 0.35], [fat * 0.9, height * 0.65], [0.02, height]], 6, False)
    profile = np.concatenate([[[0, 0]], curve, [[0, height]]])
    paint, trim = random_paint(rng), body_paint(rng)
    count = int(rng.integers(3, 5))
    fin = extrude([[fat * 0.5, 0.35], [fat + 0.25, 0.0], [fat + 0.25, -0.15], [fat * 0.5, 0.05]], 0.05, (trim, trim), 0.01)
    nose = [0] * (len(profile) - 8) + [1] * 7
    return [lathe(profile, (paint, trim), nose, 30), *[fin.turned("y", 2 * np.pi * index / count) for index in range(count)]]


KINDS = (car, car, car, truck, truck, train, plane, plane, helicopter, boat, rocket, bike)


def vehicle(rng: np.random.Generator) -> list[Part]:
    """Any vehicle."""
    return KINDS[rng.integers(len(KINDS))](rng)
