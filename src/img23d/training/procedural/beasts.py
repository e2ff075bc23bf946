"""Creatures on legs: four-legged animals, dinosaurs, people and dolls; heads towards +Z."""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

import numpy as np

from img23d.training.procedural.bodies import eyes, hide
from img23d.training.procedural.implicit import Limb, blend
from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import cylinder, ellipsoid, tube
from img23d.training.textures import plain, quiet_paint, random_paint


def quadruped(rng: np.random.Generator) -> list[Part]:
    """A horse, cow, dog, cat, pig, rhino, giraffe, fox: one body plan, many proportions."""
    long, fat, leg = rng.uniform(0.5, 0.95), rng.uniform(0.1, 0.28), rng.uniform(0.2, 0.75)
    belly = rng.uniform(0.8, 1.15)
    paints = [hide(rng), quiet_paint(rng), quiet_paint(rng)]
    hip, chest = np.array([0, leg + fat, -long / 2]), np.array([0, leg + fat * rng.uniform(0.95, 1.25), long / 2])
    limbs = [
        Limb(hip, chest, fat, fat * rng.uniform(0.85, 1.2), 0, (1, 1, 1)),
        Limb((0, leg + fat * 0.9, 0), (0, leg + fat * 0.9, 0), fat * belly, fat * belly, 0),
    ]
    neck, rise = rng.uniform(0.1, 0.65) if rng.random() < 0.85 else rng.uniform(0.7, 1.1), rng.uniform(0.1, 1.3)
    head = chest + neck * np.array([0, np.sin(rise), np.cos(rise)]) + np.array([0, fat * 0.3, fat * 0.6])
    skull = fat * rng.uniform(0.45, 0.9)
    limbs.append(Limb(chest, head, fat * 0.75, skull * rng.uniform(0.6, 0.95), 0))
    muzzle, droop = rng.uniform(0.1, 0.32), rng.uniform(-0.1, 0.8)
    nose = head + muzzle * np.array([0, -np.sin(droop), np.cos(droop)])
    limbs += [
        Limb(head, head, skull, skull, 0),
        Limb(head, nose, skull * 0.75, skull * rng.uniform(0.35, 0.7), 0 if rng.random() < 0.6 else 1),
    ]
    thick, step = rng.uniform(0.035, 0.1), rng.uniform(0, 0.14)
    for z, upper in ((-long / 2, fat * 0.75), (long / 2, fat * 0.6)):
        for side in (-1, 1):
            swing = step * rng.uniform(-1, 1)
            top = np.array([side * fat * 0.55, leg + fat * 0.6, z])
            knee, foot = (
                np.array([side * fat * 0.6, leg * 0.5, z + swing * 0.5 - 0.03]),
                np.array([side * fat * 0.6, thick * 0.9, z + swing]),
            )
            limbs += [Limb(top, knee, max(upper * 0.8, thick), thick, 0), Limb(knee, foot, thick, thick * rng.uniform(0.8, 1.1), 0)]
            limbs.append(Limb(foot, foot + [0, 0, 0.03], thick * 1.15, thick * 1.1, 2))
    parts = [*eyes(rng, head + [skull * 0.72, skull * 0.4, skull * 0.5], skull * 0.16)]
    ear = rng.uniform(0.06, 0.22)
    up = rng.uniform(-0.3, 1)
    for side in (-1, 1):
        root = head + np.array([side * skull * 0.7, skull * 0.7, -skull * 0.2])
        limbs.append(Limb(root, root + ear * np.array([side * 0.6, up, -0.1]), 0.035, 0.02, 1, (1, 1, 0.7)))
        if rng.random() < 0.22:
            horn = smooth_outline([root, root + np.array([side * 0.1, 0.1, 0.02]), root + np.array([side * 0.12, 0.26, 0.1])], 4, False)
            parts.append(tube(horn, np.linspace(0.035, 0.01, len(horn)), plain(np.array([225.0, 215, 190])), 8))
    tail = smooth_outline(
        [
            hip + [0, fat * 0.5, -fat * 0.7],
            hip + [0, fat * rng.uniform(-0.5, 1.5), -fat - 0.15],
            hip + [0, rng.uniform(-leg, 0.2), -fat - rng.uniform(0.1, 0.4)],
        ],
        5,
        False,
    )
    parts.append(tube(tail, np.linspace(rng.uniform(0.02, 0.06), rng.uniform(0.01, 0.06), len(tail)), paints[rng.integers(3)], 8))
    if rng.random() < 0.25:
        mane = smooth_outline(
            [head + [0, skull, 0], (head + chest) / 2 + [0, skull * 0.9 + 0.05, -0.06], chest + [0, fat * 0.9, -0.1]], 4, False
        )
        parts.append(tube(mane, 0.05, paints[1], 8, aspect=0.5))
    return [blend(limbs, paints, rng.uniform(0.015, 0.04), 44), *parts]


def dinosaur(rng: np.random.Generator) -> list[Part]:
    """A two- or four-legged dinosaur, dragon or lizard with a long tail."""
    fat, upright = rng.uniform(0.14, 0.26), rng.random() < 0.6
    paints = [hide(rng), quiet_paint(rng)]
    leg = rng.uniform(0.25, 0.5)
    hip = np.array([0, leg + fat, 0.0])
    chest = hip + np.array([0, 0.25 if upright else 0.05, rng.uniform(0.3, 0.5)])
    head = chest + np.array([0, rng.uniform(0.15, 0.7), rng.uniform(0.1, 0.45)])
    skull = fat * rng.uniform(0.45, 0.8)
    limbs = [
        Limb(hip, chest, fat, fat * 0.8),
        Limb(chest, head, fat * 0.6, skull * 0.8),
        Limb(head, head + [0, -0.04, skull * rng.uniform(1, 2)], skull, skull * 0.6),
    ]
    tail = smooth_outline(
        [
            hip,
            hip + [0, -0.08, -0.4],
            hip + [rng.uniform(-0.2, 0.2), rng.uniform(-0.25, 0.2), -0.8],
            hip + [rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), -1.1],
        ],
        3,
        False,
    )
    radii = np.linspace(fat * 0.85, 0.025, len(tail))
    limbs += [Limb(a, b, ra, rb) for a, b, ra, rb in zip(tail, tail[1:], radii, radii[1:])]
    thick = rng.uniform(0.06, 0.1)
    for side in (-1, 1):
        swing = rng.uniform(-0.15, 0.15)
        for centre, top in ((hip, fat * 0.6), *(() if upright else ((chest, fat * 0.5),))):
            foot = np.array([side * fat * 0.9, thick * 0.7, centre[2] + swing])
            knee = np.array([side * fat, leg * 0.55, centre[2] + 0.06])
            limbs += [
                Limb(centre + [side * fat * 0.6, 0, 0], knee, top, thick),
                Limb(knee, foot, thick, thick * 0.8),
                Limb(foot, foot + [0, 0, 0.1], thick * 0.8, thick * 0.6, 1),
            ]
        if upright:
            shoulder = chest + np.array([side * fat * 0.6, -0.05, 0.08])
            hand = shoulder + np.array([side * 0.06, -rng.uniform(0.05, 0.2), rng.uniform(0.1, 0.25)])
            limbs.append(Limb(shoulder, hand, 0.05, 0.03))
    parts = [blend(limbs, paints, 0.025, 44), *eyes(rng, head + [skull * 0.75, skull * 0.4, skull * 0.5], skull * 0.17)]
    if rng.random() < 0.45:
        spine = smooth_outline(
            [head + [0, skull, -0.1], chest + [0, fat * 0.8, 0], hip + [0, fat, -0.05], tail[4] + [0, radii[4], 0]], 3, False
        )
        size = rng.uniform(0.06, 0.2)
        for place in spine[1::2]:
            plate = extrude([[-size / 2, -size * 0.4], [size / 2, -size * 0.4], [0.0, size]], 0.03, (paints[1], paints[1])).turned(
                "y", np.pi / 2
            )
            parts.append(plate.moved(*place))
    return parts


def biped(rng: np.random.Generator) -> list[Part]:
    """A person, doll, action figure, robot-like toy or gnome."""
    skin = plain(np.array([[245, 205, 175], [200, 150, 115], [125, 85, 60], [240, 200, 60]][rng.integers(4)], float))
    paints = [random_paint(rng), skin, quiet_paint(rng), quiet_paint(rng)]
    leg, body, chub = rng.uniform(0.25, 0.55), rng.uniform(0.25, 0.45), rng.uniform(0.6, 1.6)
    wide, thick = 0.1 * chub, rng.uniform(0.045, 0.07) * chub
    hip, neck = np.array([0, leg, 0.0]), np.array([0, leg + body, 0.0])
    skull = rng.uniform(0.09, 0.24)
    head = neck + [0, skull * 1.05 + 0.03, 0.01]
    limbs = [
        Limb(hip, neck - [0, wide * 0.8, 0], wide * rng.uniform(0.8, 1.3), wide, 0, (1.25, 1, 0.9)),
        Limb(neck, head, thick, thick, 1),
        Limb(head, head, skull, skull, 1),
    ]
    for side in (-1, 1):
        stance, swing = rng.uniform(0.6, 1.4) * wide, rng.uniform(-0.12, 0.12)
        knee, foot = np.array([side * stance, leg * 0.5, swing * 0.5 + 0.02]), np.array([side * stance, thick * 0.8, swing])
        limbs += [
            Limb(hip + [side * wide * 0.6, 0, 0], knee, thick * 1.15, thick, 2),
            Limb(knee, foot, thick, thick * 0.85, 2),
            Limb(foot, foot + [0, 0, 0.08], thick * 0.95, thick * 0.9, 3),
        ]
        shoulder = neck + [side * wide * 1.2, -0.05, 0]
        out, lift = rng.uniform(0.1, 1.5), rng.uniform(-0.5, 0.8)
        elbow = shoulder + body * 0.5 * np.array([side * np.sin(out), -np.cos(out), lift * 0.3])
        hand = elbow + body * 0.5 * np.array([side * np.sin(out) * 0.6, -np.cos(out) + lift, lift])
        limbs += [
            Limb(shoulder, elbow, thick * 0.9, thick * 0.75, 0),
            Limb(elbow, hand, thick * 0.75, thick * 0.65, 0 if rng.random() < 0.5 else 1),
            Limb(hand, hand, thick * 0.85, thick * 0.85, 1),
        ]
    parts = [blend(limbs, paints, rng.uniform(0.012, 0.03), 46), *eyes(rng, head + [skull * 0.38, skull * 0.1, skull * 0.88], skull * 0.12)]
    if rng.random() < 0.75:
        hat = rng.integers(4)
        if hat == 0:
            parts.append(ellipsoid((skull * 1.08, skull * 0.85, skull * 1.08), paints[3]).moved(*(head + [0, skull * 0.35, -skull * 0.12])))
        elif hat == 1:
            parts += [
                cylinder(skull * 1.5, 0.03, paints[3], 0.01).moved(*(head + [0, skull * 0.6, 0])),
                cylinder(skull * 0.9, skull, paints[3], 0.02).moved(*(head + [0, skull * 1.1, 0])),
            ]
        elif hat == 2:
            parts.append(cylinder(skull * 0.95, skull * 2, paints[3], taper=0.08).moved(*(head + [0, skull * 1.3, 0])))
        else:
            parts.append(
                tube(
                    [head + [0, skull * 0.6, -skull * 0.5], head + [0, -skull, -skull * 0.9], head + [0, -skull * 2, -skull * 0.8]],
                    skull * 0.6,
                    paints[3],
                    12,
                )
            )
    return parts
