"""Electronics and appliances: phones, screens, laptops, cameras, mice, keyboards, speakers, controllers, headphones, clocks, toasters."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.outlines import smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.training.textures import Paint, label, plain, quiet_paint, random_color, random_paint


def case(rng: np.random.Generator) -> Paint:
    """Mostly black, white or grey plastic, sometimes bright."""
    return plain(random_color(rng, 0.25)) if rng.random() < 0.75 else quiet_paint(rng)


def screen(rng: np.random.Generator) -> Paint:
    """A dark glass, or something shown on it."""
    return plain(np.array([18.0, 20, 24]) * rng.uniform(0.6, 2)) if rng.random() < 0.5 else label(rng, 128)


def slab(rng: np.random.Generator) -> list[Part]:
    """A phone, tablet, e-reader, remote control or calculator."""
    size = (rng.uniform(0.3, 0.75), 1.0, rng.uniform(0.04, 0.12))
    body = case(rng)
    parts = [box(size, body, min(0.05, size[2] * 0.45), 3)]
    if rng.random() < 0.55:
        parts.append(box((size[0] * 0.9, 0.88, 0.01), screen(rng)).moved(z=size[2] / 2))
    else:
        rows, columns = int(rng.integers(3, 8)), int(rng.integers(2, 5))
        shown = box((size[0] * 0.8, 0.2, 0.01), screen(rng)).moved(y=0.36, z=size[2] / 2)
        key = box((size[0] * 0.62 / columns, 0.5 / rows, 0.03), quiet_paint(rng), 0.008, 1)
        parts += [shown] + [
            key.moved((c - (columns - 1) / 2) * size[0] * 0.85 / columns, 0.16 - r * 0.62 / rows, size[2] / 2)
            for r in range(rows)
            for c in range(columns)
        ]
    lean = rng.choice([0.0, -np.pi / 2, -0.3])
    return [part.turned("x", lean) for part in parts]


def laptop(rng: np.random.Generator) -> list[Part]:
    """A laptop, monitor or television."""
    wide, tall, body = 1.2, rng.uniform(0.65, 0.85), case(rng)
    panel = [box((wide, tall, 0.04), body, 0.015, 1), box((wide * 0.94, tall * 0.9, 0.01), screen(rng)).moved(z=0.02)]
    if rng.random() < 0.5:
        keys = label(rng, 96) if rng.random() < 0.2 else plain(np.full(3, 40.0))
        base = [box((wide, 0.05, tall), body, 0.015, 1), box((wide * 0.85, 0.01, tall * 0.45), keys).moved(y=0.025, z=-tall * 0.15)]
        lean = rng.uniform(0.0, 0.5)
        return base + [part.moved(y=tall / 2).turned("x", -lean).moved(z=-tall / 2) for part in panel]
    stand = [cylinder(0.05, 0.3, body).moved(y=-tall / 2 - 0.1), box((0.45, 0.03, 0.3), body, 0.01, 1).moved(y=-tall / 2 - 0.25)]
    return panel + [part.moved(z=-0.04) for part in stand]


def camera(rng: np.random.Generator) -> list[Part]:
    """A camera or projector: a block with a barrel in front."""
    size = (1.0, rng.uniform(0.55, 0.75), rng.uniform(0.25, 0.45))
    body, second, metal = case(rng), case(rng), plain(np.full(3, rng.uniform(30, 200)))
    radius, long = size[1] * rng.uniform(0.3, 0.45), rng.uniform(0.15, 0.6)
    parts = [box(size, body, 0.06, 3), box((1.01, size[1] * 0.5, size[2] * 1.01), second, 0.04, 2).moved(y=-0.05)]
    x = rng.uniform(-0.15, 0.15)
    barrel: list[list[float]] = [
        [0, 0],
        [radius, 0],
        [radius, long * 0.6],
        [radius * 0.9, long * 0.65],
        [radius * 0.95, long],
        [radius * 0.8, long],
        [radius * 0.7, long * 0.8],
        [0, long * 0.75],
    ]
    parts.append(
        lathe(barrel, (metal, plain(np.array([20.0, 24, 36]))), [0, 0, 0, 0, 0, 0, 1], 32).turned("x", np.pi / 2).moved(x, 0, size[2] / 2)
    )
    parts.append(box((0.3, 0.16, size[2] * 0.8), body, 0.04, 2).moved(x, size[1] / 2 + 0.05, 0))
    return [
        *parts,
        cylinder(0.05, 0.06, metal, 0.01).moved(0.38, size[1] / 2 + 0.02, 0),
        cylinder(0.09, 0.05, metal, 0.01).moved(-0.36, size[1] / 2 + 0.02, 0),
    ]


def mouse(rng: np.random.Generator) -> list[Part]:
    """A computer mouse, iron, stapler or soap-like rounded body."""
    body = ellipsoid((0.3, 0.2, 0.5), case(rng), rng.choice([2.0, 2.6, 3.2]), 32)
    vertices = body.vertices.copy()
    vertices[:, 1] = np.maximum(vertices[:, 1], -0.04) * (1 + 0.5 * (vertices[:, 2] < 0) * np.abs(vertices[:, 2]))
    parts = [body.placed(vertices), cylinder(0.06, 0.05, quiet_paint(rng), 0.01, 16).turned("z", np.pi / 2).moved(y=0.17, z=0.24)]
    if rng.random() < 0.5:
        path = smooth_outline([[0, 0.02, 0.48], [0.05, 0.0, 0.8], [-0.2, 0.0, 1.1], [0.1, 0, 1.3]], 6, False)
        parts.append(tube(path, 0.015, plain(np.full(3, 30.0)), 6))
    return parts


def keyboard(rng: np.random.Generator) -> list[Part]:
    """A keyboard, toy piano or mixing desk."""
    wide, deep, rows, columns = 1.4, rng.uniform(0.35, 0.5), int(rng.integers(1, 5)), int(rng.integers(7, 13))
    parts = [box((wide, 0.07, deep), case(rng), 0.02, 1)]
    key, odd = quiet_paint(rng), quiet_paint(rng)
    one = (wide * 0.85 / columns, 0.05, deep * 0.75 / rows)
    for row in range(rows):
        for column in range(columns):
            place = ((column - (columns - 1) / 2) * wide * 0.95 / columns, 0.05, (row - (rows - 1) / 2) * deep * 0.9 / rows)
            parts.append(box(one, odd if rng.random() < 0.15 else key).moved(*place))
    return [part.turned("x", rng.choice([0.0, 0.08])) for part in parts]


def speaker(rng: np.random.Generator) -> list[Part]:
    """A loudspeaker, radio, washing machine or clock: a box or drum with round fittings in front."""
    size = np.array([rng.uniform(0.4, 1.0), rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.6)])
    body, dark = random_paint(rng) if rng.random() < 0.4 else case(rng), plain(np.full(3, rng.uniform(15, 70)))
    parts = [box(size, body, rng.uniform(0.01, 0.1), 2)]
    count = int(rng.integers(1, 4))
    y = size[1] * 0.25
    for index in range(count):
        radius = min(size[0] * 0.4, size[1] * 0.42 / count * (1.2 if index else 0.8))
        profile = [[0, 0], [radius, 0], [radius, 0.03], [radius * 0.85, 0.03], [radius * 0.3, -0.02], [0, 0.01]]
        place = (0 if count < 3 else rng.uniform(-0.1, 0.1), y, size[2] / 2)
        parts.append(lathe(profile, (quiet_paint(rng), dark), [0, 0, 0, 1, 1], 28).turned("x", np.pi / 2).moved(*place))
        y -= radius * 1.2 + size[1] * 0.2
    if rng.random() < 0.4:
        parts.append(
            tube([[size[0] * 0.4, size[1] / 2 - 0.02, 0], [size[0] * 0.5, size[1] / 2 + rng.uniform(0.2, 0.6), 0]], 0.012, dark, 6)
        )
    if rng.random() < 0.4:
        parts += [
            cylinder(0.05, 0.08, dark, 0.01, 16).moved(x * size[0] * 0.38, -size[1] / 2 - 0.03, z * size[2] * 0.35)
            for x in (-1, 1)
            for z in (-1, 1)
        ]
    return parts


def controller(rng: np.random.Generator) -> list[Part]:
    """A game controller with grips, sticks and buttons."""
    body, dark = case(rng), plain(np.full(3, rng.uniform(20, 80)))
    parts = [ellipsoid((0.5, 0.12, 0.26), body, 3.0, 32)]
    for side in (-1, 1):
        path = smooth_outline([[side * 0.36, 0, 0.0], [side * 0.46, -0.03, 0.2], [side * 0.5, -0.08, 0.4]], 5, False)
        parts.append(tube(path, np.linspace(0.15, 0.1, len(path)), body, 14, aspect=1.0))
        parts += [
            cylinder(0.03, 0.1, dark).moved(side * 0.17, 0.13, 0.1),
            ellipsoid((0.075, 0.03, 0.075), dark).moved(side * 0.17, 0.19, 0.1),
        ]
    parts += [
        ellipsoid([0.04, 0.03, 0.04], quiet_paint(rng), segments=12).moved(0.34 + 0.07 * x, 0.11, -0.05 + 0.07 * z)
        for x, z in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    return [
        *parts,
        box((0.2, 0.05, 0.06), dark, 0.015, 1).moved(-0.34, 0.11, -0.05),
        box((0.06, 0.05, 0.2), dark, 0.015, 1).moved(-0.34, 0.11, -0.05),
    ]


def headphones(rng: np.random.Generator) -> list[Part]:
    """Headphones, or glasses."""
    paint, pad = case(rng), quiet_paint(rng)
    angle = np.linspace(0, np.pi, 23)
    if rng.random() < 0.65:
        arch = np.stack([0.5 * np.cos(angle), rng.uniform(0.5, 0.65) * np.sin(angle), 0 * angle], -1)
        parts = [tube(arch, 0.03, paint, 10, aspect=2.2, up=(0, 0, 1))]
        for side in (-1, 1):
            cup = cylinder(rng.uniform(0.17, 0.24), 0.13, (paint, pad, paint), 0.03, 28).turned("z", np.pi / 2)
            parts.append(cup.moved(x=side * 0.47, y=-0.06))
        return parts
    ring = np.linspace(0, 2 * np.pi, 29)
    parts = [tube([[-0.08, 0.05, 0], [0.08, 0.05, 0]], 0.025, paint, 8)]
    tint, round_ = plain(np.array([60.0, 66, 78])), rng.uniform(0.7, 1.0)
    for side in (-1, 1):
        rim = np.stack([side * 0.28 + 0.2 * np.sin(ring), 0.17 * round_ * np.cos(ring), 0 * ring], -1)
        parts += [tube(rim, 0.022, paint, 8, rounded=False), ellipsoid((0.2, 0.17 * round_, 0.01), tint).moved(x=side * 0.28)]
        parts.append(tube([[side * 0.48, 0.06, 0], [side * 0.5, 0.06, -0.6], [side * 0.5, -0.08, -0.75]], 0.02, paint, 8))
    return parts


def toaster(rng: np.random.Generator) -> list[Part]:
    """A toaster, kettle-like drum, blender or fan."""
    body, dark = quiet_paint(rng), plain(np.full(3, rng.uniform(20, 60)))
    if rng.random() < 0.5:
        parts = [box((0.9, 0.55, 0.45), body, 0.12, 4), box((0.95, 0.06, 0.48), dark, 0.02, 1).moved(y=-0.27)]
        parts += [box((0.65, 0.04, 0.07), dark).moved(y=0.27, z=z) for z in (-0.1, 0.1)]
        return [*parts, box((0.06, 0.05, 0.12), dark, 0.015, 1).moved(x=0.47, y=0.08)]
    stand = [cylinder(0.3, 0.06, body, 0.02), tube([[0, 0, 0], [0, 0.7, 0]], 0.04, body, 10)]
    angle = np.linspace(0, 2 * np.pi, 33)
    guards = [
        np.stack([reach * np.sin(angle), 0.9 + reach * np.cos(angle), np.full(33, z)], -1)
        for reach, z in ((0.4, 0.08), (0.42, 0.0), (0.25, 0.12))
    ]
    blade = ellipsoid((0.1, 0.2, 0.02), quiet_paint(rng)).moved(y=0.18)
    blades = [blade.turned("z", turn).moved(y=0.9, z=0.05) for turn in np.arange(4) * np.pi / 2]
    return [
        *stand,
        *(tube(guard, 0.015, dark, 6, rounded=False) for guard in guards),
        *blades,
        cylinder(0.1, 0.22, body, 0.03).turned("x", np.pi / 2).moved(y=0.9, z=-0.05),
    ]


KINDS = (slab, slab, laptop, camera, mouse, keyboard, speaker, speaker, controller, headphones, toaster)


def device(rng: np.random.Generator) -> list[Part]:
    """Any device."""
    return KINDS[rng.integers(len(KINDS))](rng)
