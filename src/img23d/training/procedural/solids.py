"""Shapes without a name: primitives heaped, stacked, ringed and melted together, toy blocks, balls, rings, knots and robots."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.implicit import Limb, blend
from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.training.textures import label, plain, quiet_paint, random_color, random_paint


def primitive(rng: np.random.Generator, paint: np.ndarray) -> Part:
    """A box, ellipsoid, cylinder, cone, capsule, ring or prism of about unit size."""
    a, b, c = rng.uniform(0.3, 1.0, 3)
    kind = rng.integers(7)
    if kind == 0:
        return box((a, b, c), paint, rng.choice([0.0, 0.03, 0.15]), 2)
    if kind == 1:
        return ellipsoid((a / 2, b / 2, c / 2), paint, rng.choice([2.0, 2.0, 3.0]))
    if kind == 2:
        return cylinder(a / 2, b, paint, rng.choice([0.0, 0.04]), taper=rng.choice([1.0, 1.0, rng.uniform(0.05, 0.8)]))
    if kind == 3:
        return tube([[0, -b / 2, 0], [0, b / 2, 0]], a * 0.25, paint)
    if kind == 4:
        angle = np.linspace(0, 2 * np.pi, 33)
        ring = np.stack([a / 2 * np.sin(angle), 0 * angle, a / 2 * np.cos(angle)], -1)
        return tube(ring, a * rng.uniform(0.08, 0.2), paint, 12, rounded=False)
    if kind == 5:
        sides = int(rng.integers(3, 9))
        angle = np.arange(sides) * 2 * np.pi / sides
        return extrude(np.stack([a / 2 * np.sin(angle), a / 2 * np.cos(angle)], -1), b, (paint, paint), 0.02)
    count = int(rng.integers(4, 8))
    reach = rng.uniform(0.2, 0.5, count)
    angle = np.arange(count) * 2 * np.pi / count
    return extrude(smooth_outline(np.stack([reach * np.sin(angle), reach * np.cos(angle)], -1), 5), c / 2, (paint, paint), 0.03)


def heap(rng: np.random.Generator) -> list[Part]:
    """Several overlapping primitives, half the time mirrored to make something symmetric."""
    paints = [random_paint(rng) for _ in range(int(rng.integers(1, 4)))]
    parts: list[Part] = []
    for _ in range(int(rng.integers(2, 6))):
        one = primitive(rng, paints[rng.integers(len(paints))]).turned(
            "xyz"[rng.integers(3)], rng.choice([0, np.pi / 2, rng.uniform(0, 3)])
        )
        parts.append(one.moved(*rng.uniform(-0.35, 0.35, 3)))
    return [*parts, *(part.mirrored() for part in parts)] if rng.random() < 0.5 else parts


def stack(rng: np.random.Generator) -> list[Part]:
    """Blocks or rings on top of each other."""
    parts, low = [], 0.0
    reach = rng.uniform(0.6, 1.0)
    for _ in range(int(rng.integers(2, 7))):
        one = primitive(rng, quiet_paint(rng) if rng.random() < 0.6 else random_paint(rng)).scaled(reach)
        height = float(np.ptp(one.vertices[:, 1]))
        parts.append(
            one.turned("y", rng.uniform(0, 3)).moved(
                rng.uniform(-0.05, 0.05), low + height / 2 - 0.01 - float(one.vertices[:, 1].min() + height / 2), 0
            )
        )
        low += height * 0.98
        reach *= rng.uniform(0.75, 1.05)
    return parts


def melted(rng: np.random.Generator) -> list[Part]:
    """A smooth blob: a sculpture, toy, stone, cloud or chewing toy."""
    count, symmetric = int(rng.integers(2, 9)), rng.random() < 0.6
    points = rng.normal(0, 0.35, (count, 3))
    limbs = []
    for index in range(count):
        radius = rng.uniform(0.1, 0.28)
        other = points[rng.integers(count)]
        limbs.append(Limb(points[index], other, radius, rng.uniform(0.08, 0.25), int(rng.integers(2))))
    if symmetric:
        limbs += [limb.mirrored() for limb in limbs]
    return [blend(limbs, [random_paint(rng), quiet_paint(rng)], rng.uniform(0.01, 0.12), 32)]


def ball(rng: np.random.Generator) -> list[Part]:
    """A ball, egg, die, dumb-bell or chewing ring."""
    kind = rng.integers(4)
    paint = random_paint(rng)
    if kind == 0:
        return [ellipsoid((0.5, rng.uniform(0.35, 0.6), 0.5), paint, segments=40)]
    if kind == 1:
        parts = [box((0.8, 0.8, 0.8), paint, rng.uniform(0.02, 0.2), 3)]
        dot = plain(random_color(rng, 0.3))
        return parts + [ellipsoid((0.08, 0.08, 0.02), dot, segments=12).moved(x, y, 0.4) for x, y in ((-0.2, -0.2), (0, 0), (0.2, 0.2))]
    if kind == 2:
        bar = cylinder(rng.uniform(0.05, 0.12), 0.9, quiet_paint(rng)).turned("z", np.pi / 2)
        head = cylinder(0.28, 0.25, paint, 0.05, 6 if rng.random() < 0.5 else 28).turned("z", np.pi / 2)
        return [bar, head.moved(x=-0.4), head.moved(x=0.4)]
    swell = rng.uniform(0.12, 0.25)
    t = np.linspace(0, 1, 31)
    radius = swell * (1 + 0.35 * np.cos(t * 2 * np.pi * rng.integers(1, 4)))
    profile = np.concatenate([[[0, 0]], np.stack([radius, t], -1), [[0, 1]]])
    return [lathe(profile, paint, segments=32)]


def knot(rng: np.random.Generator) -> list[Part]:
    """A closed winding tube: a ring, pretzel, spring or knot."""
    t = np.linspace(0, 2 * np.pi, 73)
    p, q = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    reach = 0.4 + rng.uniform(0.05, 0.2) * np.cos(q * t)
    path = np.stack([reach * np.sin(p * t), rng.uniform(0.05, 0.25) * np.sin(q * t), reach * np.cos(p * t)], -1)
    return [tube(path, rng.uniform(0.04, 0.1), random_paint(rng), 12, rounded=False)]


def robot(rng: np.random.Generator) -> list[Part]:
    """A toy robot of boxes and cylinders."""
    body, trim = quiet_paint(rng), quiet_paint(rng)
    wide, tall = rng.uniform(0.4, 0.7), rng.uniform(0.4, 0.7)
    head = rng.uniform(0.25, 0.45)
    panel = label(rng, 96) if rng.random() < 0.4 else trim
    parts = [
        box((wide, tall, 0.35), [body, body, body, body, body, panel], 0.03, 1),
        box((head, head * 0.8, 0.3), trim if rng.random() < 0.5 else body, 0.04, 2).moved(y=tall / 2 + head * 0.45),
    ]
    eye = plain(random_color(rng, 0.9))
    parts += [
        cylinder(head * 0.14, 0.06, eye, 0.01, 16).turned("x", np.pi / 2).moved(s * head * 0.22, tall / 2 + head * 0.5, 0.16)
        for s in (-1, 1)
    ]
    lift = rng.uniform(-1.3, 0.4)
    arm = box((0.12, 0.45, 0.14), trim, 0.03, 1).moved(y=-0.18).turned("x", lift)
    leg = rng.uniform(0.2, 0.4)
    for side in (-1, 1):
        parts += [
            arm.moved(side * (wide / 2 + 0.07), tall * 0.35, 0),
            box((0.16, leg, 0.18), body, 0.02, 1).moved(side * wide * 0.28, -tall / 2 - leg / 2, 0),
        ]
        parts.append(box((0.2, 0.1, 0.32), trim, 0.03, 1).moved(side * wide * 0.28, -tall / 2 - leg, 0.05))
    return [
        *parts,
        tube([[0, tall / 2 + head * 0.8, 0], [0, tall / 2 + head * 1.2, 0]], 0.015, trim, 6),
        ellipsoid([0.04] * 3, eye).moved(y=tall / 2 + head * 1.25),
    ]


KINDS = (heap, heap, heap, stack, melted, melted, melted, ball, knot, robot, robot)


def solid(rng: np.random.Generator) -> list[Part]:
    """Any shape without a name."""
    return KINDS[rng.integers(len(KINDS))](rng)
