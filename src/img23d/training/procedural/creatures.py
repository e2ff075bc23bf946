"""Creatures: four-legged animals, dinosaurs, bipeds, figurines, birds, fish and whales, teddies, snakes and insects; heads towards +Z."""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

import numpy as np

from img23d.training.procedural.beasts import biped, dinosaur, quadruped
from img23d.training.procedural.bodies import eyes, hide
from img23d.training.procedural.figurines import figurine
from img23d.training.procedural.implicit import Limb, blend
from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import ellipsoid, tube
from img23d.training.textures import mottled, palette, plain, quiet_paint, random_paint


def teddy(rng: np.random.Generator) -> list[Part]:
    """A sitting plush animal: bear, rabbit, monkey, elephant."""
    fur, pale = mottled(rng, strength=0.2), quiet_paint(rng)
    body, head = rng.uniform(0.26, 0.36), rng.uniform(0.2, 0.3)
    top = np.array([0, body * 1.7 + head * 0.6, 0.03])
    limbs = [
        Limb((0, body, 0), (0, body * 1.35, 0), body, body * 0.8),
        Limb(top, top, head, head, 0, (1.1, 1, 0.95)),
        Limb(top + [0, -head * 0.25, head * 0.7], top + [0, -head * 0.25, head * 0.9], head * 0.45, head * 0.38, 1),
    ]
    thick, ear, high = rng.uniform(0.09, 0.14), rng.uniform(0.06, 0.12), rng.choice([0.0, 0.0, rng.uniform(0.15, 0.4)])
    for side in (-1, 1):
        hand, spread = np.array([side * rng.uniform(0.4, 0.6), body * rng.uniform(0.6, 1.7), rng.uniform(0, 0.3)]), rng.uniform(0.15, 0.35)
        limbs += [Limb((side * body * 0.75, body * 1.5, 0), hand, thick, thick * 1.05), Limb(hand, hand, thick * 1.1, thick * 1.1, 1)]
        limbs += [
            Limb((side * spread, thick * 1.2, 0.1), (side * spread * 1.3, thick * 1.1, 0.5), thick * 1.2, thick * 1.15),
            Limb((side * spread * 1.3, thick * 1.2, 0.53), (side * spread * 1.3, thick * 1.35, 0.55), thick * 1.2, thick * 1.2, 1),
        ]
        root = top + np.array([side * head * 0.75, head * 0.75, -0.02])
        limbs.append(Limb(root, root + [side * high * 0.2, high, 0], ear, ear * 0.9, 0, (1, 1, 0.6)))
    nose = ellipsoid((head * 0.16, head * 0.11, head * 0.1), plain(np.full(3, 20.0)), segments=12).moved(
        *(top + [0, -head * 0.12, head * 1.3])
    )
    parts = [blend(limbs, [fur, pale], 0.02, 34), nose, *eyes(rng, top + [head * 0.42, head * 0.2, head * 0.85], head * 0.11)]
    if rng.random() < 0.3:
        parts.append(tube([top + [-0.12, -head, head * 0.5], top + [0.12, -head, head * 0.5]], 0.05, random_paint(rng), 8))
    return parts


def bird(rng: np.random.Generator) -> list[Part]:
    """A bird, duck, penguin, owl or flamingo."""
    fat, long, stand = rng.uniform(0.16, 0.3), rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.6)
    paints = [hide(rng), quiet_paint(rng), plain(np.array([235.0, rng.uniform(110, 190), 30]))]
    tilt = rng.uniform(0, 1.2)
    low = np.array([0, stand + fat, -long * 0.4])
    high = low + long * np.array([0, np.sin(tilt), np.cos(tilt)])
    neck, skull = rng.choice([0.08, 0.12, rng.uniform(0.2, 0.6)]), fat * rng.uniform(0.45, 0.8)
    head = high + np.array([0, fat * 0.6 + neck, fat * 0.35])
    limbs = [Limb(low, high, fat * 0.85, fat), Limb(high, head, fat * 0.5, skull * 0.7), Limb(head, head, skull, skull)]
    limbs.append(Limb(low, low + [0, rng.uniform(-0.1, 0.15), -fat - rng.uniform(0.05, 0.4)], fat * 0.45, 0.04, 1, (1.4, 0.6, 1)))
    for side in (-1, 1):
        shoulder = high + [side * fat * 0.9, 0.02, -0.04]
        if rng.random() < 0.8:
            limbs.append(Limb(shoulder, low + [side * fat * 0.95, 0.02, -fat * 0.6], 0.12 * fat / 0.25, 0.04, 1, (0.45, 1, 1)))
        parts_leg = np.array([side * fat * 0.4, 0.0, low[2] * 0.3 + high[2] * 0.3])
        limbs += [
            Limb(parts_leg + [0, stand + fat * 0.4, 0], parts_leg + [0, 0.02, 0.02], 0.03, 0.022, 2),
            Limb(parts_leg + [0, 0.015, -0.02], parts_leg + [0, 0.015, 0.12], 0.025, 0.03, 2, (1.8, 1, 1)),
        ]
    bill, broad = rng.uniform(0.08, 0.3), rng.choice([1.0, 1.0, 2.0])
    limbs.append(
        Limb(head + [0, 0, skull * 0.8], head + [0, -bill * rng.uniform(0, 0.5), skull + bill], skull * 0.3, 0.02, 2, (broad, 1 / broad, 1))
    )
    return [blend(limbs, paints, 0.02, 44), *eyes(rng, head + [skull * 0.8, skull * 0.25, skull * 0.45], skull * 0.16)]


def fish(rng: np.random.Generator) -> list[Part]:
    """A fish, shark, whale, orca or dolphin."""
    long, tall, broad = rng.uniform(1.0, 1.6), rng.uniform(0.16, 0.42), rng.uniform(0.12, 0.3)
    t = np.linspace(-1, 1, 19)
    shape = np.clip((1 - np.abs(t) ** rng.uniform(1.8, 4)), 0.04, 1) * (1 + rng.uniform(0.1, 0.7) * t).clip(0.15) / 1.3
    sway = rng.uniform(-0.12, 0.12) * np.sin(t * rng.uniform(1, 3))
    back = hide(rng)
    body = tube(
        np.stack([sway, np.abs(t - 0.2) ** 2 * rng.uniform(-0.1, 0.15), t * long / 2], -1), shape * tall, back, 20, aspect=broad / tall
    )
    trim = quiet_paint(rng)
    size = rng.uniform(0.18, 0.4)
    flat = rng.random() < 0.4  # whales and dolphins carry their flukes level
    fluke = smooth_outline([[0.1, 0], [-size * 0.6, size], [-size * 0.35, 0], [-size * 0.6, -size]], 4)
    tail = extrude(fluke, 0.04, (trim, trim), 0.012).turned("y", -np.pi / 2)
    tail = (tail.turned("z", np.pi / 2) if flat else tail).moved(float(sway[0]), float(np.abs(t[0] - 0.2) ** 2 * 0.02), -long * 0.47)
    fin = extrude([[0.12, -0.05], [-0.12, -0.05], [-0.22, size * 0.8], [-0.08, size * 0.7]], 0.035, (trim, trim), 0.01).turned(
        "y", -np.pi / 2
    )
    parts = [body, tail, fin.moved(y=tall * 0.85, z=rng.uniform(-0.1, 0.15))]
    for side in (-1, 1):
        parts.append(fin.scaled(1, 0.9, 1).turned("z", -side * rng.uniform(1.2, 2.2)).moved(side * broad * 0.75, -tall * 0.35, long * 0.15))
    if rng.random() < 0.4:
        parts.append(ellipsoid((broad * 0.8, tall * 0.55, long * 0.36), quiet_paint(rng)).moved(y=-tall * 0.42, z=long * 0.05))
    place = float(np.interp(0.7, t, shape))
    return [*parts, *eyes(rng, np.array([broad * place * 0.9, tall * 0.1, long * 0.35]), 0.035)]


def snake(rng: np.random.Generator) -> list[Part]:
    """A snake, worm, snail or caterpillar: a winding tube."""
    t = np.linspace(0, 1, 44)
    turns, wide = rng.uniform(0.7, 2.5), rng.uniform(0.15, 0.4)
    if rng.random() < 0.5:
        path = np.stack([wide * np.sin(2 * np.pi * turns * t), 0.09 + 0.2 * np.clip(t - 0.8, 0, 1) ** 0.7, 1.3 * (t - 0.5)], -1)
    else:
        reach = 0.5 - 0.35 * t
        path = np.stack([reach * np.sin(2 * np.pi * turns * t), 0.09 + 0.45 * t, reach * np.cos(2 * np.pi * turns * t)], -1)
    radii = rng.uniform(0.05, 0.1) * np.clip(np.minimum(t * 5, 1), 0.15, 1) * np.where(t > 0.94, 1.3, 1)
    body = tube(path, radii, hide(rng), 14)
    return [body, *[part.moved(*path[-1]) for part in eyes(rng, np.array([0.06, 0.05, 0.05]), 0.025)]]


def insect(rng: np.random.Generator) -> list[Part]:
    """A beetle, bee, spider, crab, ladybird or turtle: a shell on many legs."""
    wide, tall, long = rng.uniform(0.25, 0.5), rng.uniform(0.15, 0.35), rng.uniform(0.3, 0.6)
    shell, trim = hide(rng), quiet_paint(rng)
    lift = rng.uniform(0.05, 0.25)
    parts = [
        ellipsoid((wide, tall, long), shell, rng.choice([2.0, 2.6])).moved(y=lift + tall * 0.6),
        ellipsoid([rng.uniform(0.1, 0.22)] * 3, trim).moved(y=lift + tall * 0.6, z=long + 0.05),
    ]
    for side in (-1, 1):
        for z in np.linspace(-0.6, 0.6, int(rng.integers(2, 5))) * long:
            knee = np.array([side * (wide + 0.12), lift + tall * rng.uniform(0.6, 1.2), z * 1.2])
            path = np.array([[side * wide * 0.6, lift + tall * 0.4, z], knee, [side * (wide + rng.uniform(0.15, 0.4)), 0.02, z * 1.4]])
            parts.append(tube(path, np.array([0.05, 0.04, 0.02]), trim, 8))
        if rng.random() < 0.4:
            parts.append(tube([[side * 0.06, lift + tall, long], [side * 0.15, lift + tall + 0.25, long + 0.25]], [0.02, 0.012], trim, 6))
    if rng.random() < 0.25:
        tint = plain(palette(rng, 1)[0])
        parts += [
            ellipsoid((0.35, 0.02, 0.18), tint).turned("z", side * 0.4).moved(side * wide * 0.9, lift + tall * 1.6, -0.05)
            for side in (-1, 1)
        ]
    return [*parts, *eyes(rng, np.array([0.08, lift + tall * 0.85, long + 0.14]), 0.035)]


KINDS = (
    quadruped,
    quadruped,
    quadruped,
    quadruped,
    dinosaur,
    dinosaur,
    biped,
    biped,
    biped,
    figurine,
    figurine,
    figurine,
    figurine,
    figurine,
    figurine,
    teddy,
    teddy,
    bird,
    bird,
    fish,
    fish,
    snake,
    insect,
)


def creature(rng: np.random.Generator) -> list[Part]:
    """Any creature."""
    return KINDS[rng.integers(len(KINDS))](rng)
