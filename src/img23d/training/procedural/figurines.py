"""Figurines: mascots, cartoon animals and dolls whose heads are as large as their bodies; faces towards +Z.

A large head above small feet looks like anything seen from above; what has not been learnt from such figures takes them for that.
"""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

import numpy as np

from img23d.training.procedural.bodies import hide
from img23d.training.procedural.figurine_build import BODY, HAIR, SKIN, TRIM, Build, random_build
from img23d.training.procedural.figurine_heads import ears, face, hair, muzzle
from img23d.training.procedural.figurine_things import on_the_back, on_the_head, with_it
from img23d.training.procedural.implicit import Limb, blend
from img23d.training.procedural.parts import Part
from img23d.training.textures import mottled, plain, quiet_paint, random_paint

SKINS = np.array([[250, 215, 190], [225, 175, 140], [140, 95, 70], [245, 235, 225]], float)


def figurine(rng: np.random.Generator) -> list[Part]:
    """Any of them."""
    build = random_build(rng)
    animal = rng.random() < 0.5
    paints = [
        hide(rng) if animal else plain(SKINS[rng.integers(len(SKINS))]),
        random_paint(rng),
        mottled(rng, strength=0.15),
        quiet_paint(rng),
    ]
    if animal and rng.random() < 0.6:
        paints[BODY] = paints[SKIN]
    limbs = [*trunk(rng, build), *arms(rng, build), *legs(rng, build)]
    size = build.skull * np.array([build.wide, 1.0, rng.uniform(0.85, 1.05) * build.wide])
    limbs.append(Limb(build.head, build.head, build.skull, build.skull, SKIN, size / build.skull))
    limbs += [*ears(rng, build), *muzzle(rng, build), *tail(rng, build)] if animal else hair(rng, build)
    worn = [*on_the_head(rng, build), *on_the_back(rng, build), *with_it(rng, build)]
    return [blend(limbs, paints, rng.uniform(0.008, 0.025), 36), *face(rng, build, size), *worn]


def trunk(rng: np.random.Generator, build: Build) -> list[Limb]:
    """The body: a pear, a barrel, or a robe down to the feet."""
    belly, depth = build.belly, rng.uniform(0.8, 1.0)
    upper = build.neck - [0, belly * 0.3, 0]
    if rng.random() < 0.25:  # a robe or a skirt, which hides the legs
        return [Limb((0, belly * rng.uniform(0.5, 1.0), 0), upper, belly * rng.uniform(1.0, 1.4), belly * 0.55, BODY, (1, 1, depth))]
    limbs = [Limb(build.hip, upper, belly, belly * rng.uniform(0.55, 0.95), BODY, (1, 1, depth))]
    if rng.random() < 0.4:  # its pale front
        limbs.append(Limb(build.hip + [0, 0, belly * 0.35], build.hip + [0, belly * 0.4, belly * 0.35], belly * 0.72, belly * 0.6, TRIM))
    return limbs


def arms(rng: np.random.Generator, build: Build) -> list[Limb]:
    """Hanging, spread, raised or reaching forwards; often both alike."""
    limbs, thick = [], build.thick * rng.uniform(0.6, 1.0)
    long, both = rng.uniform(0.7, 1.5) * build.belly + 0.06, rng.random() < 0.65
    lift, ahead = rng.uniform(-1.2, 1.2), rng.uniform(-0.3, 1.2)
    hand_paint = SKIN if rng.random() < 0.7 else TRIM
    for side in (-1, 1):
        if not both and side == 1:
            lift, ahead = rng.uniform(-1.2, 1.3), rng.uniform(-0.3, 1.2)
        shoulder = build.neck + [side * build.belly * 0.75, -build.belly * 0.35, 0]
        way = np.array([side * np.cos(lift) * np.cos(ahead), np.sin(lift), np.cos(lift) * np.sin(ahead)])
        hand = shoulder + long * way
        limbs += [Limb(shoulder, hand, thick, thick * 0.85, BODY), Limb(hand, hand + way * thick * 0.5, thick, thick, hand_paint)]
    return limbs


def legs(rng: np.random.Generator, build: Build) -> list[Limb]:
    """Two of them with large feet, standing, striding or, where the body is low, stretched out in front."""
    limbs, thick, foot = [], build.thick, build.thick * rng.uniform(0.9, 1.4)
    stance, sits = rng.uniform(0.45, 0.8) * build.belly, build.leg < 0.1 and rng.random() < 0.6
    stride = rng.uniform(-0.2, 0.2) * build.leg
    for side in (-1, 1):
        top = build.hip + [side * stance, -build.belly * 0.3, 0]
        if sits:
            end = np.array([side * stance * rng.uniform(1.0, 1.8), foot, build.belly * rng.uniform(1.0, 1.6)])
            limbs += [Limb(top, end, thick, thick, BODY), Limb(end, end + [0, foot * 0.6, 0], foot, foot * 0.9, TRIM)]
        else:
            end = np.array([side * stance, foot * 0.8, side * stride])
            limbs += [Limb(top, end, thick, thick * 0.9, BODY), Limb(end, end + [0, 0, foot * 0.7], foot * 0.9, foot * 0.8, TRIM)]
    return limbs


def tail(rng: np.random.Generator, build: Build) -> list[Limb]:
    """A tail that bends upwards, or none."""
    if rng.random() >= 0.5:
        return []
    root, way = build.hip + [0, 0, -build.belly * 0.8], np.array([rng.uniform(-1.2, 1.2), rng.uniform(-0.3, 1.2), rng.uniform(-1.2, -0.4)])
    bend, tip, fat = root + build.belly * way, root + build.belly * (way * 1.5 + [0, 0.4, 0]), rng.uniform(0.15, 0.6) * build.belly
    return [Limb(root, bend, fat * 0.6, fat, HAIR), Limb(bend, tip, fat, fat * 0.3, HAIR)]
