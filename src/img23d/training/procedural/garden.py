"""What grows: potted plants, trees, cacti, flowers, mushrooms, fruit, vegetables and things baked."""

from __future__ import annotations

import colorsys

import numpy as np

from img23d.training.procedural.implicit import Limb, blend
from img23d.training.procedural.outlines import extrude, smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import cylinder, ellipsoid, lathe, tube
from img23d.training.procedural.vessels import bowl_profile, walled
from img23d.training.textures import Paint, dots, leafy, mottled, plain, quiet_paint, random_paint, stripes


def ripe(rng: np.random.Generator, low: float, high: float, value: tuple[float, float] = (0.55, 0.95)) -> Paint:
    """A mottled natural colour with its hue between two fractions of the circle."""
    color = np.array(colorsys.hsv_to_rgb(rng.uniform(low, high) % 1, rng.uniform(0.6, 0.95), rng.uniform(*value))) * 255
    return mottled(rng, 64, color, rng.uniform(0.05, 0.25))


def leaf(long: float, wide: float, droop: float, paint: Paint) -> Part:
    """A leaf along +x that bends down, thin but solid."""
    t = np.linspace(-1, 1, 9)
    outline = np.concatenate(
        [np.stack([(t + 1) / 2, wide / 2 * (1 - t**2) ** 0.8], -1), np.stack([(1 - t) / 2, -wide / 2 * (1 - t**2) ** 0.8], -1)[1:-1]]
    )
    flat = extrude(outline * [long, 1], 0.012, (paint, paint)).turned("x", np.pi / 2)
    vertices = flat.vertices.copy()
    along = vertices[:, 0] / long
    vertices[:, 1] += np.abs(vertices[:, 2]) * 0.4 - droop * along**2 * long
    return flat.placed(vertices)


def potted(rng: np.random.Generator) -> list[Part]:
    """A pot with leaves, blades, a bush or a cactus."""
    height = rng.uniform(0.3, 0.6)
    outer = bowl_profile(rng, height, rng.uniform(0.22, 0.34), rng.uniform(0.32, 0.42), rng.uniform(0.6, 1.2))
    clay = random_paint(rng) if rng.random() < 0.5 else mottled(rng, 64, np.array([186.0, 102, 66]), 0.12)
    earth = mottled(rng, 32, np.array([70.0, 50, 36]), 0.3)
    radius = float(outer[-1, 0])
    parts = [walled(outer, 0.04, height * 0.82, [clay, clay, earth], segments=32)]
    green, kind = leafy(rng), rng.integers(4)
    if kind == 0:
        for index in range(int(rng.integers(7, 16))):
            one = leaf(rng.uniform(0.35, 0.8), rng.uniform(0.1, 0.28), rng.uniform(0.1, 0.7), green)
            one = one.moved(x=0.02).turned("z", rng.uniform(0.2, 1.35)).turned("y", index * 2.4 + rng.uniform(-0.3, 0.3))
            parts.append(one.moved(y=height * 0.85))
    elif kind == 1:
        limbs = [Limb((0, height, 0), (0, height + rng.uniform(0.4, 0.9), 0), 0.16, 0.14)]
        for side in rng.choice([-1, 1], int(rng.integers(0, 3)), replace=False) if rng.random() < 0.8 else []:
            y = height + rng.uniform(0.25, 0.4)
            limbs += [
                Limb((0, y, 0), (side * 0.3, y, 0), 0.08, 0.08),
                Limb((side * 0.3, y, 0), (side * 0.3, y + rng.uniform(0.15, 0.35), 0), 0.08, 0.07),
            ]
        parts.append(blend(limbs, [stripes(rng) if rng.random() < 0.3 else ripe(rng, 0.25, 0.4, (0.3, 0.6))], 0.02, 30))
    elif kind == 2:
        crown = radius * rng.uniform(1.0, 1.6)
        parts.append(tube([[0, height * 0.8, 0], [0, height + crown, 0]], 0.05, plain(np.array([110.0, 76, 48])), 8))
        parts.append(bush(rng, crown, ripe(rng, 0.2, 0.4, (0.25, 0.65))).moved(y=height + crown * 1.3))
    else:
        stem = plain(np.array([86.0, 130, 60]))
        for _ in range(int(rng.integers(1, 5))):
            x, z, tall = *rng.uniform(-0.18, 0.18, 2), rng.uniform(0.4, 0.8)
            parts += [
                tube([[x * 0.3, height * 0.8, z * 0.3], [x, height + tall, z]], 0.02, stem, 6),
                *blossom(rng, np.array([x, height + tall, z])),
            ]
        parts += [leaf(0.35, 0.12, 0.4, green).turned("z", 0.8).turned("y", angle).moved(y=height * 0.85) for angle in (0.5, 2.5, 4.5)]
    return parts


def bush(rng: np.random.Generator, reach: float, paint: Paint) -> Part:
    """A lumpy crown of leaves about the origin."""
    places = rng.normal(0, 0.42, (int(rng.integers(6, 14)), 3)) * reach
    limbs = [Limb(place, place, radius, radius) for place in places for radius in [reach * rng.uniform(0.35, 0.6)]]
    return blend([*limbs, Limb((0, 0, 0), (0, 0, 0), reach * 0.6, reach * 0.6)], [paint], 0.03 * reach, 26)


def blossom(rng: np.random.Generator, place: np.ndarray) -> list[Part]:
    """A flower head with petals around a middle, facing up and forwards."""
    petal, count = quiet_paint(rng), int(rng.integers(5, 11))
    long = rng.uniform(0.09, 0.18)
    one = ellipsoid((long * 0.4, 0.012, long * 0.5), petal, segments=10).moved(z=long * 0.6)
    parts = [one.turned("y", 2 * np.pi * index / count) for index in range(count)]
    parts.append(ellipsoid([long * 0.3] * 3, ripe(rng, 0.1, 0.16), segments=10))
    lean = rng.uniform(0, 1.2)
    return [part.turned("x", lean).moved(*place) for part in parts]


def tree(rng: np.random.Generator) -> list[Part]:
    """A broad-leaved tree, fir or palm."""
    bark, green = mottled(rng, 48, np.array([104.0, 74, 50]), 0.25), ripe(rng, 0.18, 0.42, (0.25, 0.65))
    tall = rng.uniform(0.5, 1.1)
    lean = rng.uniform(-0.1, 0.1)
    parts = [tube([[0, 0, 0], [lean, tall * 0.5, 0], [lean * 1.5, tall, 0]], [0.1, 0.075, 0.06], bark, 10, rounded=False)]
    kind = rng.integers(3)
    if kind == 0:
        reach = rng.uniform(0.35, 0.6)
        parts.append(bush(rng, reach, green).moved(lean * 1.5, tall + reach * 0.6, 0))
    elif kind == 1:
        count = int(rng.integers(2, 5))
        parts += [
            cylinder(0.5 - 0.1 * index, 0.5, green, segments=18, taper=0.12).moved(0, tall * 0.6 + 0.3 * index, 0) for index in range(count)
        ]
    else:
        frond = leafy(rng)
        parts += [
            leaf(0.6, 0.16, 0.6, frond).turned("z", 0.5).turned("y", angle).moved(lean * 1.5, tall, 0) for angle in np.arange(8) * 0.785
        ]
    return parts


def mushroom(rng: np.random.Generator) -> list[Part]:
    """A mushroom or a lamp-like cap on a stem."""
    wide, tall = rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.9)
    cap, stem = dots(rng) if rng.random() < 0.4 else ripe(rng, -0.05, 0.12), mottled(rng, 48, np.array([232.0, 222, 204]), 0.1)
    dome = smooth_outline([[wide, tall], [wide * 0.85, tall + 0.22], [0.04, tall + rng.uniform(0.3, 0.5)]], 7, False)
    profile = np.concatenate(
        [[[0, 0], [0.16, 0.01], [0.12, tall * 0.5], [0.1, tall * 0.97], [wide * 0.9, tall - 0.03]], dome, [[0, dome[-1, 1]]]]
    )
    return [lathe(profile, (stem, cap), [0, 0, 0, 0] + [1] * (len(profile) - 5), 32)]


def fruit(rng: np.random.Generator) -> list[Part]:
    """An apple, pear, orange, lemon, tomato, pumpkin, plum or egg."""
    stem = plain(np.array([92.0, 70, 40]))
    kind = rng.integers(5)
    t = np.linspace(0, np.pi, 22)
    if kind == 0:  # apple: a torus-like dimple at both ends
        radius = 0.5 * np.sin(t) ** 0.85 + 0.02
        profile = np.stack([radius, -0.45 * np.cos(t) * (1 - 0.35 * np.exp(-((radius / 0.16) ** 2)))], -1)
        body = lathe(np.concatenate([[[0, profile[0, 1]]], profile, [[0, profile[-1, 1]]]]), ripe(rng, -0.05, 0.3), segments=32)
        return [body, tube([[0, 0.25, 0], [0.03, 0.55, 0]], 0.022, stem, 6)]
    if kind == 1:  # pear
        outline = smooth_outline([[0.05, 0], [0.38, 0.12], [0.42, 0.4], [0.22, 0.75], [0.14, 0.95], [0.04, 1.02]], 5, False)
        pear = lathe(np.concatenate([[[0, 0]], outline, [[0, 1.02]]]), ripe(rng, 0.12, 0.25), segments=30)
        return [pear, tube([[0, 1.0, 0], [0.05, 1.15, 0]], 0.02, stem, 6)]
    if kind == 2:  # citrus and eggs
        stretch, ends = rng.uniform(0.9, 1.5), rng.choice([0.0, 0.08])
        parts = [ellipsoid((0.4, 0.4 * stretch, 0.4), ripe(rng, 0.05, 0.17) if rng.random() < 0.8 else quiet_paint(rng), segments=30)]
        return parts + [ellipsoid((0.1, 0.1, 0.1), ripe(rng, 0.12, 0.16)).moved(y=side * 0.38 * stretch) for side in (-1, 1) if ends > 0]
    if kind == 3:  # pumpkin and tomato: ribs
        body = ellipsoid((0.5, rng.uniform(0.32, 0.45), 0.5), ripe(rng, -0.03, 0.12), segments=48)
        ribs, deep = int(rng.integers(5, 13)), rng.uniform(0.02, 0.1)
        angle = np.arctan2(body.vertices[:, 0], body.vertices[:, 2])
        grow = 1 - deep * np.abs(np.sin(angle * ribs / 2)) ** 0.3 + deep
        return [
            body.placed(body.vertices * np.stack([grow, np.ones_like(grow), grow], -1)),
            tube([[0, 0.25, 0], [0.06, 0.55, 0]], [0.07, 0.04], stem, 8),
        ]
    return [
        part.moved(x, 0, z)
        for x, z in ((0, 0), (0.36, 0.1), (0.14, 0.36))
        for part in [ellipsoid([rng.uniform(0.17, 0.2)] * 3, ripe(rng, -0.06, 0.05))]
    ]


def curved(rng: np.random.Generator) -> list[Part]:
    """A banana, cucumber, carrot, aubergine, chilli, baguette or sausage."""
    bow, long = rng.uniform(0, 1.6), rng.uniform(0.9, 1.3)
    t = np.linspace(-0.5, 0.5, 15)
    reach = long / max(bow, 0.05)
    path = (
        np.stack([reach * np.sin(t * bow), reach * (1 - np.cos(t * bow)), 0 * t], -1)
        if bow > 0.05
        else np.stack([t * long, 0 * t, 0 * t], -1)
    )
    fat, tip = rng.uniform(0.07, 0.16), rng.uniform(0.1, 1.0)
    radii = fat * (1 - (1 - tip) * np.clip(t + 0.5, 0, 1) ** 1.5) * np.clip(1 - np.abs(2 * t) ** 6 * 0.75, 0.15, 1)
    body = tube(path, radii, ripe(rng, -0.02, 0.45), 14, squareness=rng.choice([2.0, 2.4]))
    parts = [body]
    if rng.random() < 0.4:
        parts.append(tube([path[0], path[0] + (path[0] - path[2]) * 0.9], float(radii[0]) * 0.6, ripe(rng, 0.1, 0.35), 8))
    elif rng.random() < 0.4:
        green = leafy(rng)
        parts += [leaf(0.3, 0.08, 0.2, green).turned("z", np.pi + rng.uniform(-0.5, 0.5)).moved(*path[0]) for _ in range(4)]
    if rng.random() < 0.3:
        parts += [part.turned("z", 0.08).moved(0.02, 0.02, fat * 1.9) for part in parts]
    return [part.turned("y", rng.choice([0.0, 0.0, 0.7])) for part in parts]


def baked(rng: np.random.Generator) -> list[Part]:
    """A cake, burger, doughnut, muffin, pie or loaf."""
    kind = rng.integers(4)
    crust, cream = mottled(rng, 64, np.array([196.0, 138, 72]) * rng.uniform(0.6, 1.15), 0.2), random_paint(rng)
    if kind == 0:
        parts, low = [], 0.0
        for _ in range(int(rng.integers(2, 6))):
            thick = rng.uniform(0.05, 0.2)
            parts.append(cylinder(0.5 * rng.uniform(0.9, 1.08), thick, quiet_paint(rng), min(0.03, thick / 3), 36).moved(y=low + thick / 2))
            low += thick * 0.97
        return [*parts, ellipsoid((0.48, 0.25, 0.48), crust).moved(y=low)] if rng.random() < 0.5 else parts
    if kind == 1:
        angle = np.linspace(0, 2 * np.pi, 41)
        ring = np.stack([0.35 * np.sin(angle), 0 * angle, 0.35 * np.cos(angle)], -1)
        return [tube(ring, 0.17, crust, 18, rounded=False), tube(ring + np.array([0, 0.03, 0]), 0.165, cream, 18, rounded=False)]
    if kind == 2:
        cup = cylinder(0.28, 0.35, stripes(rng), segments=40, taper=1.3)
        return [cup, ellipsoid((0.42, 0.28, 0.42), crust).moved(y=0.24), ellipsoid([0.07] * 3, cream).moved(y=0.5)]
    loaf = [Limb((x, 0, 0), (x, 0.02, 0), 0.26, 0.26, 0, (1, 0.8, 1)) for x in np.linspace(-0.4, 0.4, int(rng.integers(3, 6)))]
    return [blend(loaf, [crust], 0.06, 30)]


KINDS = (potted, potted, potted, tree, tree, mushroom, fruit, fruit, curved, curved, baked)


def growth(rng: np.random.Generator) -> list[Part]:
    """Any plant, fruit or food."""
    return KINDS[rng.integers(len(KINDS))](rng)
