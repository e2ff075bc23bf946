"""Furniture: tables, chairs, stools, shelves, cabinets, sofas, beds, lamps and benches."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.training.textures import Paint, quiet_paint, random_paint, wood


def material(rng: np.random.Generator) -> Paint:
    """Wood half the time, else any calm paint."""
    return wood(rng) if rng.random() < 0.55 else quiet_paint(rng)


def legs(rng: np.random.Generator, wide: float, deep: float, height: float, paint: Paint) -> list[Part]:
    """Four legs under a rectangle centred at the origin, from y = 0 up to ``height``: square, round, turned or splayed."""
    style, thick, splay = rng.integers(3), rng.uniform(0.03, 0.08), rng.choice([0.0, 0.0, rng.uniform(0, 0.2)])
    out = []
    for x in (-1, 1):
        for z in (-1, 1):
            foot, top = (
                (x * (wide / 2 - thick + splay * height), 0.0, z * (deep / 2 - thick + splay * height)),
                (x * (wide / 2 - thick), height, z * (deep / 2 - thick)),
            )
            if style == 0 and splay == 0:
                out.append(box((2 * thick, height, 2 * thick), paint).moved(top[0], height / 2, top[2]))
            else:
                radii = np.linspace(thick * rng.uniform(0.5, 1.0), thick, 5)
                out.append(tube(np.linspace(foot, top, 5), radii, paint, 8, rounded=False, squareness=2.0 if style == 1 else 5.0))
    return out


def table(rng: np.random.Generator) -> list[Part]:
    """A table or desk, round or square, on legs or a column."""
    wide, deep, height, thick = rng.uniform(0.7, 1.6), rng.uniform(0.6, 1.0), rng.uniform(0.35, 1.0), rng.uniform(0.03, 0.1)
    top_paint, leg_paint = (random_paint(rng), material(rng)) if rng.random() < 0.3 else (material(rng), material(rng))
    if rng.random() < 0.3:
        parts = [cylinder(wide / 2, thick, top_paint, 0.01, 40).moved(y=height)]
        if rng.random() < 0.5:
            parts += [cylinder(0.06, height, leg_paint).moved(y=height / 2), cylinder(wide * 0.3, 0.06, leg_paint, 0.02).moved(y=0.03)]
        else:
            parts += legs(rng, wide * 0.65, wide * 0.65, height, leg_paint)
        return parts
    parts = [box((wide, thick, deep), top_paint, 0.01, 1).moved(y=height), *legs(rng, wide * 0.95, deep * 0.95, height, leg_paint)]
    if rng.random() < 0.35:
        parts.append(box((wide * 0.85, 0.03, deep * 0.85), leg_paint).moved(y=height * rng.uniform(0.2, 0.4)))
    if rng.random() < 0.3:
        parts.append(box((wide * 0.3, height * 0.6, deep * 0.85), top_paint).moved(x=wide * 0.3, y=height * 0.68))
    return parts


def chair(rng: np.random.Generator) -> list[Part]:
    """A chair, armchair or stool."""
    wide, deep, seat, thick = rng.uniform(0.45, 0.6), rng.uniform(0.4, 0.6), rng.uniform(0.35, 0.6), rng.uniform(0.03, 0.12)
    paint, cushion = material(rng), random_paint(rng) if rng.random() < 0.5 else material(rng)
    parts = [box((wide, thick, deep), cushion, min(0.04, thick / 2), 2).moved(y=seat), *legs(rng, wide, deep, seat, paint)]
    if rng.random() < 0.15:
        return parts
    tall, lean = rng.uniform(0.35, 0.7), rng.uniform(0, 0.25)
    back: list[Part] = []
    style = rng.integers(3)
    if style == 0:
        back.append(box((wide, tall, 0.05), cushion, 0.02, 2).moved(y=tall / 2))
    else:
        back += [box((0.05, tall, 0.05), paint).moved(x=side * (wide / 2 - 0.025), y=tall / 2) for side in (-1, 1)]
        count = int(rng.integers(2, 6))
        for index in range(count):
            if style == 1:
                back.append(box((wide - 0.05, tall / count * 0.5, 0.03), paint).moved(y=tall * (index + 0.6) / count))
            else:
                back.append(
                    tube(
                        [[(index + 0.5) / count * wide - wide / 2, 0, 0], [(index + 0.5) / count * wide - wide / 2, tall, 0]],
                        0.02,
                        paint,
                        6,
                    )
                )
        back.append(box((wide, 0.08, 0.05), paint, 0.02, 1).moved(y=tall))
    parts += [part.turned("x", -lean).moved(y=seat, z=-deep / 2 + 0.03) for part in back]
    if rng.random() < 0.35:
        for side in (-1, 1):
            parts.append(box((0.06, 0.04, deep), paint, 0.015, 1).moved(side * wide / 2, seat + 0.22))
            parts.append(box((0.04, 0.22, 0.04), paint).moved(side * wide / 2, seat + 0.11, deep / 2 - 0.05))
    return parts


def sofa(rng: np.random.Generator) -> list[Part]:
    """A sofa or padded armchair."""
    wide, deep, seat = rng.uniform(0.6, 2.0), rng.uniform(0.6, 0.9), rng.uniform(0.25, 0.4)
    paint, second = random_paint(rng), quiet_paint(rng)
    soft = rng.uniform(0.03, 0.1)
    back, arm = rng.uniform(0.35, 0.6), rng.uniform(0.1, 0.2)
    parts = [
        box((wide, seat, deep), paint, soft, 3).moved(y=seat / 2),
        box((wide, back + seat, 0.22), paint, soft, 3).moved(y=(back + seat) / 2, z=-deep / 2),
    ]
    parts += [box((arm, seat + 0.22, deep), paint, soft, 3).moved(side * wide / 2, (seat + 0.22) / 2) for side in (-1, 1)]
    count = max(1, int(wide / 0.6))
    for index in range(count):
        x = (index + 0.5) / count * (wide - arm) - (wide - arm) / 2
        parts.append(box(((wide - arm) / count * 0.97, 0.16, deep * 0.85), second, 0.05, 3).moved(x, seat + 0.05, 0.05))
    return parts + [
        box((0.06, 0.12, 0.06), second).moved(x * (wide / 2 - 0.08), -0.05, z * (deep / 2 - 0.08)) for x in (-1, 1) for z in (-1, 1)
    ]


def shelf(rng: np.random.Generator) -> list[Part]:
    """Shelves, bookcases and cabinets with doors or drawers."""
    wide, tall, deep, board = rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.8), rng.uniform(0.25, 0.5), rng.uniform(0.02, 0.05)
    paint, front = material(rng), material(rng)
    rows = int(rng.integers(2, 6))
    parts = [box((board, tall, deep), paint).moved(side * (wide - board) / 2, tall / 2) for side in (-1, 1)]
    parts += [box((wide, board, deep), paint).moved(y=(tall - board) * row / rows + board / 2) for row in range(rows + 1)]
    if rng.random() < 0.7:
        parts.append(box((wide, tall, board), paint).moved(y=tall / 2, z=-deep / 2 + board / 2))
    for row in range(rows):
        y, space = tall * (row + 0.5) / rows, tall / rows - board
        draw = rng.random()
        if draw < 0.35:
            parts.append(box((wide - 2.2 * board, space * 0.95, deep * 0.95), front, 0.01, 1).moved(y=y, z=0.02))
            parts.append(ellipsoid([0.025] * 3, quiet_paint(rng), segments=10).moved(0, y, deep / 2 + 0.03))
        elif draw < 0.7:
            x = -wide / 2 + board * 1.5
            while x < wide / 2 - 0.15:
                thick, high = rng.uniform(0.03, 0.12), space * rng.uniform(0.5, 0.9)
                parts.append(
                    box((thick * 0.95, high, deep * rng.uniform(0.5, 0.8)), quiet_paint(rng)).moved(x + thick / 2, y - space / 2 + high / 2)
                )
                x += thick + rng.choice([0.0, 0.0, 0.15])
    return parts


def bed(rng: np.random.Generator) -> list[Part]:
    """A bed or crib with pillow and blanket."""
    wide, long, seat = rng.uniform(0.6, 1.2), rng.uniform(1.2, 1.6), rng.uniform(0.2, 0.4)
    frame, cloth, pillow = material(rng), random_paint(rng), quiet_paint(rng)
    parts = [box((wide, 0.12, long), frame).moved(y=seat), box((wide * 0.95, 0.18, long * 0.96), pillow, 0.06, 3).moved(y=seat + 0.12)]
    parts.append(box((wide, 0.14, long * 0.6), cloth, 0.05, 3).moved(y=seat + 0.17, z=long * 0.2))
    parts += [
        box((wide, high, 0.06), frame, 0.01, 1).moved(y=high / 2, z=end * long / 2)
        for end, high in ((-1, rng.uniform(0.6, 1.0)), (1, rng.uniform(0.3, 0.6)))
    ]
    parts.append(box((wide * 0.5, 0.12, 0.28), pillow, 0.05, 3).moved(y=seat + 0.27, z=-long * 0.36))
    return parts + legs(rng, wide, long, seat, frame)


def lamp(rng: np.random.Generator) -> list[Part]:
    """A table or floor lamp, with shade or a jointed arm."""
    height, shade = rng.uniform(0.6, 1.6), rng.uniform(0.2, 0.4)
    metal, cloth = quiet_paint(rng), random_paint(rng)
    parts = [cylinder(rng.uniform(0.15, 0.3), 0.05, metal, 0.015)]
    if rng.random() < 0.65:
        top = shade * rng.uniform(0.4, 0.95)
        wall = [[shade, 0], [top, 0.35], [top - 0.03, 0.35], [shade - 0.03, 0], [shade, 0]]
        parts += [tube([[0, 0, 0], [0, height + 0.2, 0]], rng.uniform(0.015, 0.05), metal, 10)]
        outline = np.array(wall)
        parts.append(lathe(outline, cloth, segments=36).moved(y=height))
        parts.append(ellipsoid((0.09, 0.12, 0.09), quiet_paint(rng)).moved(y=height + 0.2))
    else:
        knee = np.array([rng.uniform(-0.3, -0.1), height * 0.55, 0])
        head = np.array([rng.uniform(0.2, 0.45), height * 0.9, 0])
        parts += [tube([[0, 0, 0], knee], 0.02, metal, 8), tube([knee, head], 0.02, metal, 8), ellipsoid([0.035] * 3, metal).moved(*knee)]
        parts.append(cylinder(0.16, 0.22, cloth, 0.02, 28, taper=0.4).turned("z", 0.6).moved(head[0] + 0.05, head[1] - 0.05))
    return parts


def bench(rng: np.random.Generator) -> list[Part]:
    """A bench, ladder, crate or clothes horse: planks and bars."""
    wide, height = rng.uniform(0.7, 1.5), rng.uniform(0.3, 0.5)
    paint = material(rng)
    count = int(rng.integers(2, 5))
    parts = [box((wide, 0.04, 0.1), paint).moved(y=height, z=(index - (count - 1) / 2) * 0.12) for index in range(count)]
    deep = count * 0.12
    parts += [box((0.06, height, deep), paint).moved(side * wide * 0.42, height / 2) for side in (-1, 1)]
    if rng.random() < 0.6:
        rows = int(rng.integers(1, 4))
        parts += [box((wide, 0.09, 0.03), paint).moved(y=height + 0.13 * (index + 1), z=-deep / 2 - 0.03 * index) for index in range(rows)]
        parts += [
            tube(
                [
                    [side * wide * 0.42, height - 0.05, -deep / 2 + 0.05],
                    [side * wide * 0.42, height + 0.13 * rows + 0.04, -deep / 2 - 0.03 * rows],
                ],
                0.025,
                paint,
                6,
            )
            for side in (-1, 1)
        ]
    return parts


KINDS = (table, table, chair, chair, chair, sofa, shelf, shelf, bed, lamp, lamp, bench)


def piece(rng: np.random.Generator) -> list[Part]:
    """Any piece of furniture."""
    return KINDS[rng.integers(len(KINDS))](rng)
