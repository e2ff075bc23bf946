"""Tools and cutlery, long and thin: hammers, scissors, drills, spanners, saws, screwdrivers, spoons, brushes, knives, pliers."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.training.textures import Paint, label, mottled, plain, quiet_paint, random_color, random_paint, wood


def steel(rng: np.random.Generator) -> Paint:
    """Bare or blackened metal."""
    return mottled(rng, 48, np.array([1.0, 1.0, 1.03]) * rng.choice([45.0, 120.0, 180.0, 205.0]), 0.12)


def grip(rng: np.random.Generator) -> Paint:
    """Wood, rubber or bright plastic."""
    return wood(rng) if rng.random() < 0.35 else plain(random_color(rng, 0.7)) if rng.random() < 0.7 else random_paint(rng)


def handle(rng: np.random.Generator, long: float, radius: float, paint: Paint) -> Part:
    """A shaped handle along y, from y = 0 down to -long."""
    t = np.linspace(0, 1, 9)
    swell = radius * (1 + rng.uniform(0, 0.35) * np.sin(t * np.pi * rng.uniform(1, 2.5)))
    path = np.stack([rng.uniform(-0.04, 0.04) * np.sin(t * 3), -long * t, 0 * t], -1)
    return tube(path, swell, paint, 14, aspect=rng.uniform(0.6, 1.2), up=(1, 0, 0), squareness=rng.choice([2.0, 3.0]))


def hammer(rng: np.random.Generator) -> list[Part]:
    """A hammer, mallet or axe."""
    long, paint, metal = rng.uniform(1.0, 1.8), grip(rng), steel(rng)
    parts = [handle(rng, long, rng.uniform(0.04, 0.07), paint).moved(y=0.05)]
    if rng.random() < 0.3:
        edge = smooth_outline([[-0.12, -0.1], [-0.12, 0.1], [0.2, 0.1], [0.42, 0.24], [0.45, 0.0], [0.42, -0.26], [0.2, -0.1]], 3)
        return [*parts, extrude(edge, 0.09, (metal, metal), 0.03)]
    radius, reach = rng.uniform(0.08, 0.17), rng.uniform(0.2, 0.35)
    parts.append(
        cylinder(radius, reach * 1.4, metal if rng.random() < 0.8 else paint, 0.025, 20).turned("z", np.pi / 2).moved(x=reach * 0.5)
    )
    if rng.random() < 0.6:
        for side in (-1, 1):
            claw = smooth_outline([[-0.1, 0, side * 0.02], [-0.25, -0.02, side * 0.04], [-0.42, -0.16, side * 0.06]], 4, False)
            parts.append(tube(claw, np.linspace(radius * 0.7, 0.02, len(claw)), metal, 8))
    else:
        parts.append(box((reach, radius * 1.5, radius * 1.5), metal, 0.03, 2).moved(x=-reach * 0.4))
    return parts


def scissors(rng: np.random.Generator) -> list[Part]:
    """Scissors or pliers, opened a little."""
    blade, ring, open_ = rng.uniform(0.7, 1.1), rng.uniform(0.12, 0.2), rng.uniform(0.03, 0.4)
    paint, metal, pliers = grip(rng), steel(rng), rng.random() < 0.35
    parts: list[Part] = []
    for side in (-1, 1):
        thick = rng.uniform(0.03, 0.05)
        if pliers:
            half = [extrude([[0, -0.1], [0.1 * side, 0], [0.07 * side, blade * 0.4], [0, blade * 0.45]], 0.12, (metal, metal), 0.02)]
            path = smooth_outline([[-0.04 * side, 0, 0], [-side * 0.14, -0.25, 0], [-side * 0.13, -0.95, 0]], 5, False)
            half.append(tube(path, 0.055, paint, 10))
        else:
            half = [extrude([[-0.05 * side, -0.1], [0.06 * side, 0], [0.05 * side, blade * 0.5], [0, blade]], thick, (metal, metal), 0.008)]
            angle = np.linspace(0, 2 * np.pi, 25)
            centre, stretch = np.array([-side * ring * 1.15, -0.5]), rng.uniform(1.0, 1.8)
            loop = np.stack([centre[0] + ring * np.sin(angle), centre[1] - ring * stretch * np.cos(angle), 0 * angle], -1)
            half += [
                tube(loop, 0.045, paint, 8, rounded=False),
                tube([[0, -0.05, 0], [-side * ring * 0.6, -0.5 + ring * 0.8, 0]], 0.045, paint, 8),
            ]
        parts += [part.moved(z=side * thick * 0.5).turned("z", side * open_ / 2) for part in half]
    return [*parts, cylinder(0.04, 0.14, metal, 0.01, 14).turned("x", np.pi / 2)]


def drill(rng: np.random.Generator) -> list[Part]:
    """A power drill, hair dryer, toy blaster or spray gun: a barrel on a grip."""
    body, trim, long = quiet_paint(rng), quiet_paint(rng), rng.uniform(0.6, 1.0)
    radius = rng.uniform(0.13, 0.2)
    barrel: list[list[float]] = [
        [0, 0],
        [radius * 0.8, 0],
        [radius, 0.08],
        [radius, long * 0.6],
        [radius * 0.8, long * 0.75],
        [radius * rng.uniform(0.4, 0.9), long],
        [0, long],
    ]
    parts = [lathe(barrel, (body, trim), [1, 1, 0, 0, 1, 1], 28).turned("x", np.pi / 2).moved(z=-long * 0.45)]
    lean, tall = rng.uniform(0, 0.35), rng.uniform(0.5, 0.8)
    path = np.array([[0, 0, -long * 0.15], [0, -tall * 0.5, -long * 0.15 - lean * tall * 0.4], [0, -tall, -long * 0.15 - lean * tall]])
    parts.append(tube(path, [0.11, 0.09, 0.11], body, 14, aspect=0.75, up=(0, 0, 1), squareness=3.0))
    if rng.random() < 0.7:
        parts.append(box((0.24, 0.16, 0.38), trim, 0.04, 2).moved(y=-tall - 0.04, z=-long * 0.1 - lean * tall))
    if rng.random() < 0.7:
        parts += [
            cylinder(0.09, 0.22, steel(rng), 0.02, 18, taper=0.6).turned("x", np.pi / 2).moved(z=long * 0.6),
            cylinder(0.022, 0.4, steel(rng), 0, 10).turned("x", np.pi / 2).moved(z=long * 0.8),
        ]
    parts.append(box((0.06, 0.14, 0.06), trim, 0.02, 2).moved(y=-0.2, z=0.0))
    if rng.random() < 0.5:
        parts.append(box((radius * 2.06, radius, long * 0.35), label(rng, 96)).moved(z=-long * 0.15))
    return parts


def spanner(rng: np.random.Generator) -> list[Part]:
    """A flat spanner, key, bottle opener or boomerang-like plate."""
    metal, long = steel(rng) if rng.random() < 0.7 else grip(rng), rng.uniform(0.8, 1.3)
    head, jaw, shaft = rng.uniform(0.16, 0.25), rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.09)
    arc = np.linspace(np.pi / 2 + jaw / 2, 2.5 * np.pi - jaw / 2, 22)
    outline = [[head * np.cos(a), long + head * np.sin(a)] for a in arc]
    notch = [[head * 0.35, long + head * 0.15], [-head * 0.35, long + head * 0.15]]
    keep = np.array([p for p in outline if not (p[1] < long - head * 0.85)])
    low = [
        [-shaft, long - head * 0.8],
        [-shaft, 0.1],
        [-head * 0.8, -0.1],
        [0, -0.25],
        [head * 0.8, -0.1],
        [shaft, 0.1],
        [shaft, long - head * 0.8],
    ]
    left, right = keep[keep[:, 0] < 0], keep[keep[:, 0] >= 0]
    left, right = left[np.argsort(-left[:, 1])], right[np.argsort(right[:, 1])]
    ring = np.concatenate([left, low, right, notch])
    return [extrude(ring, rng.uniform(0.06, 0.12), (metal, metal), 0.015)]


def driver(rng: np.random.Generator) -> list[Part]:
    """A screwdriver, pen, pencil, torch, toothbrush or chisel."""
    long, fat = rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.14)
    paint, metal = grip(rng), steel(rng)
    parts = [handle(rng, 0.6, fat, paint), tube([[0, 0, 0], [0, long * 0.9, 0]], rng.uniform(0.02, 0.8 * fat), metal, 10)]
    kind = rng.integers(4)
    if kind == 0:
        parts.append(box((0.09, 0.12, 0.02), metal, 0.006, 1).moved(y=long * 0.95))
    elif kind == 1:
        parts.append(cylinder(fat * 1.5, 0.25, quiet_paint(rng), 0.03, 20, taper=rng.uniform(0.5, 1.3)).moved(y=long))
    elif kind == 2:
        parts.append(box((0.1, 0.3, 0.14), random_paint(rng), 0.02, 1).moved(y=long, z=0.05))
    return parts


def saw(rng: np.random.Generator) -> list[Part]:
    """A saw, knife, cleaver, spatula or trowel: a blade on a handle."""
    long, tall, metal = rng.uniform(0.6, 1.3), rng.uniform(0.12, 0.4), steel(rng)
    tip = rng.uniform(0.0, 1.0)
    outline = [
        [0.0, -tall / 2],
        [long * 0.95, -tall / 2 + tall * tip * 0.3],
        [long, tall / 2 - tall * tip],
        [long * 0.8, tall / 2],
        [0.0, tall / 2],
    ]
    if rng.random() < 0.3:
        teeth = [[x, -tall / 2 - 0.03 * (index % 2)] for index, x in enumerate(np.linspace(0.0, long * 0.9, 25))]
        outline = [*teeth, *outline[2:]]
    blade = extrude(outline, rng.uniform(0.02, 0.05), (metal, metal))
    paint = grip(rng)
    return [blade, handle(rng, rng.uniform(0.4, 0.6), rng.uniform(0.05, 0.08), paint).turned("z", -np.pi / 2).moved(x=0.04)]


def spoon(rng: np.random.Generator) -> list[Part]:
    """A spoon, ladle, fork, whisk or paddle."""
    metal = steel(rng) if rng.random() < 0.6 else grip(rng)
    long = rng.uniform(0.8, 1.4)
    shaft = smooth_outline([[0, 0.02, 0], [0, 0.08, 0.3 * long], [0, 0.03, long]], 6, False)
    parts = [tube(shaft, np.linspace(0.025, rng.uniform(0.03, 0.06), len(shaft)), metal, 10, aspect=rng.uniform(1, 2.2), rounded=True)]
    kind = rng.integers(3)
    if kind == 0:
        for index in range(4):
            x = (index - 1.5) * 0.05
            parts.append(tube(smooth_outline([[x * 0.5, 0.02, 0.05], [x, 0.0, -0.1], [x, 0.03, -0.35]], 4, False), 0.016, metal, 6))
    elif kind == 1:
        for turn in np.linspace(0, np.pi, 5)[:-1]:
            angle = np.linspace(0, 2 * np.pi, 21)
            loop = np.stack([0.16 * np.sin(angle), 0 * angle, -0.25 + 0.28 * np.cos(angle)], -1)
            parts.append(tube(loop, 0.012, metal, 6, rounded=False).turned("z", turn))
    else:
        wide, deep = rng.uniform(0.12, 0.3), rng.uniform(0.04, 0.2)
        t = np.linspace(0.12, 1, 7)
        outer = np.stack([wide * np.sin(t * np.pi / 2), -deep * np.cos(t * np.pi / 2)], -1)
        inner = (outer * [0.9, 1.0] + [0, 0.03])[::-1]
        bowl = lathe(np.concatenate([[[0, -deep]], outer, inner, [[0, -deep + 0.03]]]), metal, segments=28)
        parts.append(bowl.scaled(1, 1, 1.4).moved(y=0.04, z=-wide * 1.3))
    return parts


def brush(rng: np.random.Generator) -> list[Part]:
    """A broom, paint brush, mop, hair brush, roller or racket."""
    long, paint, hair = rng.uniform(0.6, 1.6), grip(rng), random_paint(rng)
    parts = [handle(rng, long, rng.uniform(0.03, 0.06), paint)]
    kind = rng.integers(3)
    if kind == 0:
        parts += [box((0.36, 0.1, 0.12), paint, 0.03, 2).moved(y=0.04), box((0.34, rng.uniform(0.15, 0.4), 0.1), hair).moved(y=0.22)]
    elif kind == 1:
        angle = np.linspace(0, 2 * np.pi, 29)
        wide, tall = rng.uniform(0.22, 0.32), rng.uniform(0.28, 0.4)
        rim = np.stack([wide * np.sin(angle), tall - 0.02 - tall * np.cos(angle), 0 * angle], -1)
        parts += [tube(rim, 0.03, paint, 8, rounded=False), ellipsoid((wide, tall, 0.015), hair).moved(y=tall)]
    else:
        parts += [
            cylinder(rng.uniform(0.1, 0.16), 0.5, hair, 0.03).turned("z", np.pi / 2).moved(y=0.18),
            tube([[0, 0, 0], [0, 0.18, 0]], 0.03, steel(rng), 8),
        ]
    return parts


KINDS = (hammer, hammer, scissors, scissors, drill, drill, spanner, driver, driver, saw, spoon, spoon, brush)


def tool(rng: np.random.Generator) -> list[Part]:
    """Any tool, standing, lying or leaning."""
    parts = KINDS[rng.integers(len(KINDS))](rng)
    pose = rng.integers(4)
    if pose == 0:
        parts = [part.turned("x", -np.pi / 2) for part in parts]
    elif pose == 1:
        parts = [part.turned("z", np.pi / 2) for part in parts]
    elif pose == 2:
        lean = rng.uniform(-1, 1)
        parts = [part.turned("z", lean) for part in parts]
    angle = rng.uniform(-np.pi, np.pi)
    return [part.turned("y", angle) for part in parts]
