"""Shoes with soles, linings and openings for the foot: trainers, boots, loafers, pumps, slippers; toes towards +Z, longest about 1."""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

import numpy as np

from img23d.training.procedural.outlines import smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.shoe_styles import Style, random_style
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, project_box, tube
from img23d.training.textures import Paint, decal, mottled, plain, quiet_paint, random_color, random_paint, woven

AROUND = 44  # corners of every ring: number 0 is the middle of the heel, AROUND / 2 that of the toe
ANGLE = np.arange(AROUND) * (2 * np.pi / AROUND)
TOEWARDS = (1 - np.cos(ANGLE)) / 2  # 0 at the heel, 1 at the toe
INSOLE = 0.02
EDGE = 11  # number of the upper's ring that is the edge of the opening, from the sole up


def footprint(style: Style) -> np.ndarray:
    """(AROUND, 2) outline of a right foot, x across and z towards the toe."""
    z = -0.5 * np.cos(ANGLE)
    half = np.interp(
        z, [-0.5, -0.25, -0.05, 0.22, 0.4, 0.5], [0.72, 0.76, 0.76, 1.0, 0.93 - 0.3 * style.pointed, 0.75 - 0.3 * style.pointed]
    )
    round_ = np.abs(np.sin(ANGLE)) ** np.interp(z, [-0.5, 0.1, 0.5], [0.62, 0.6, 0.6 + 0.3 * style.pointed])
    bend = 0.07 * style.wide * (np.cos(2.5 * z) - 0.8) - 0.08 * style.wide * np.clip(z - 0.2, 0, 1) / 0.3
    return np.stack([np.sign(np.sin(ANGLE)) * half * round_ * style.wide / 2 + bend, z], -1)


def mouth(style: Style) -> np.ndarray:
    """(AROUND, 3) the edge of the opening, heights above the sole."""
    low, high = style.opening
    x = np.sign(np.sin(ANGLE)) * np.abs(np.sin(ANGLE)) ** 0.85 * style.mouth * style.wide / 2
    x = x * (1 - 0.35 * TOEWARDS**3)
    z = (low + high) / 2 - (high - low) / 2 * np.cos(ANGLE)
    y = style.collar + style.back * (1 - TOEWARDS) ** 3 + style.tongue * TOEWARDS**3
    return np.stack([x, y, z], -1)


def outer_rings(style: Style) -> np.ndarray:
    """(K, AROUND, 3) the upper from the sole to the edge of the opening, and a boot's leg."""
    foot, edge = footprint(style), mouth(style)
    rings = []
    for t in np.linspace(0, 1, EDGE + 1):
        front = TOEWARDS**2
        power = 2 / (2.0 + 1.2 * (1 - front))  # sides rise steeply and turn in at the top; the toe is round
        out, up = np.cos(t * np.pi / 2) ** power, np.sin(t * np.pi / 2) ** power
        ramp = style.toe * up + (1 - style.toe) * (1 - out) ** 1.6
        x = edge[:, 0] + (foot[:, 0] - edge[:, 0]) * out
        z = edge[:, 2] + (foot[:, 1] - edge[:, 2]) * out
        rings.append(np.stack([x, edge[:, 1] * (up * (1 - front) + ramp * front), z], -1))
    middle = rings[-1].mean(0)
    for t in np.linspace(0, 1, 7)[1:] if style.shaft else ():
        grow = 1 + 0.35 * min(style.shaft, 0.6) * np.sin(t * 2.2)
        rings.append((rings[EDGE] - middle) * [grow, 1, grow] + middle + [0, style.shaft * t, 0.02 * t])
    return np.stack(rings)


def inner_rings(style: Style, outer: np.ndarray, reach: float) -> np.ndarray:
    """(K, AROUND, 3) the lining from the edge of the opening down to the insole.

    Args:
        style: of the shoe.
        outer: from `outer_rings`.
        reach: how far the hollow goes on towards the toe, 0..1 of the way.
    """
    leg = outer[EDGE:][::-1]  # the edge of the opening and what is above it, from the top
    rings = []
    for ring in leg:
        middle, span = ring.mean(0), np.ptp(ring, axis=0)
        shrink = np.clip(1 - 2 * style.wall / np.maximum(span, 1e-6), 0.3, 1)
        rings.append((ring - middle) * [shrink[0], 1, shrink[2]] + middle - [0, 0.004, 0])
    foot = footprint(style)
    inner = np.stack([foot[:, 0] * (1 - 2.6 * style.wall / style.wide), foot[:, 1] * (1 - 2.6 * style.wall)], -1)
    limit = style.opening[1] + reach * 0.6 * (0.5 - style.opening[1])
    inner[:, 1] = np.minimum(inner[:, 1], limit)
    edge = rings[len(leg) - 1]
    for down in (0.5, 0.8, 1.0):
        x, z = edge[:, 0] + (inner[:, 0] - edge[:, 0]) * down**0.8, edge[:, 2] + (inner[:, 1] - edge[:, 2]) * down**0.8
        rings.append(np.stack([x, edge[:, 1] * (1 - down) + INSOLE * down, z], -1))
    return np.stack(rings)


def sole_rings(style: Style) -> np.ndarray:
    """(K, AROUND, 3) the sole from the ground up to the upper."""
    foot = footprint(style)
    levels = [(0.0, 0.97), (0.12, 1.0), (0.6, 1.0), (0.95, 0.985), (1.0, 0.96)]
    return np.stack(
        [
            np.stack(
                [
                    foot[:, 0] * style.flare * grow,
                    np.full(AROUND, -style.sole * (1 - up)),
                    foot[:, 1] * (1 + (style.flare - 1) * 0.5) * grow,
                ],
                -1,
            )
            for up, grow in levels
        ]
    )


def loft(rings: np.ndarray, material: np.ndarray, paints: tuple[Paint, ...]) -> Part:
    """A closed surface through K rings (K, AROUND, 3) with a paint for each of its (K - 1, AROUND) quads; fans close both ends."""
    count = len(rings)
    vertices = np.concatenate([rings.reshape(-1, 3), rings[:1].mean(1), rings[-1:].mean(1)])
    index = np.arange(count * AROUND).reshape(count, AROUND)
    turned = np.roll(index, -1, 1)
    quads = np.stack([index[:-1], turned[:-1], turned[1:], index[1:]], -1).reshape(-1, 4)
    first, last = count * AROUND, count * AROUND + 1
    ends = [
        np.stack([np.full(AROUND, first), turned[0], index[0]], -1),
        np.stack([np.full(AROUND, last), index[-1], turned[-1]], -1),
    ]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], *ends])
    flat = material.reshape(-1)
    chosen = np.concatenate([flat, flat, material[0], material[-1]])
    return Part(vertices, faces, project_box(vertices, faces), chosen, paints).outward()


def upper(rng: np.random.Generator, style: Style) -> tuple[Part, np.ndarray]:
    """The upper with its lining, and its outer rings."""
    outer = outer_rings(style)
    inner = inner_rings(style, outer, rng.uniform(0, 0.6))
    material = np.zeros((len(outer) + len(inner) - 1, AROUND), np.int64)
    row, toe = np.arange(len(outer) - 1)[:, None] / EDGE, TOEWARDS[None]
    main = material[: len(outer) - 1]
    lateral = np.abs(np.sin(ANGLE))[None]
    if rng.random() < 0.5:
        main[(toe > 0.75) & (row < rng.uniform(0.2, 0.6))] = 1  # toe cap
    if rng.random() < 0.4:
        main[(toe < 0.2) & (row < 0.7)] = 2  # counter
    if rng.random() < 0.5:
        main[np.broadcast_to(row > rng.uniform(0.6, 0.9), main.shape)] = 3  # collar and facing
    if rng.random() < 0.3:
        main[(lateral > 0.85) & (np.abs(row - 0.45) < rng.uniform(0.1, 0.3))] = 4  # side panel
    if rng.random() < 0.3:
        main[np.broadcast_to(row < 0.15, main.shape)] = 2  # foxing
    material[len(outer) - 1 :] = 5
    body = plain(random_color(rng)) if rng.random() < 0.4 else woven(rng) if rng.random() < 0.2 else random_paint(rng)
    body = decal(rng, body) if rng.random() < 0.4 else body
    lining = mottled(rng, color=random_color(rng, 0.25) * rng.uniform(0.3, 0.9))
    paints = (body, quiet_paint(rng), quiet_paint(rng), quiet_paint(rng), random_paint(rng), lining)
    return loft(np.concatenate([outer, inner]), material, paints), outer


def fastenings(rng: np.random.Generator, style: Style, outer: np.ndarray) -> list[Part]:
    """Tongue, laces and straps over the instep."""
    paint, parts, toe = quiet_paint(rng), [], AROUND // 2
    edge = outer[EDGE, toe]
    if style.laces or style.strap or rng.random() < 0.2:
        lean = rng.uniform(0.2, 0.7)
        high = rng.uniform(0.03, 0.1)
        path = smooth_outline([outer[9, toe] - [0, 0.02, 0], edge + [0, -0.005, -0.02], edge + [0, high, -0.03 - lean * high]], 4, False)
        parts.append(tube(path, rng.uniform(0.01, 0.018), quiet_paint(rng), 8, aspect=rng.uniform(3.5, 6), up=(0, 1, 0.6), squareness=3.0))
    spread = int(rng.integers(2, 4))
    for index in range(style.laces):
        row = 10.8 - index * min(1.0, 5.0 / style.laces)
        low, share = int(row), row - int(row)
        across = outer[low] * (1 - share) + outer[min(low + 1, EDGE)] * share
        ends = [across[toe - spread], across[toe] + [0, 0.012, 0.004], across[toe + spread]]
        parts.append(tube(smooth_outline(ends, 3, False), rng.uniform(0.008, 0.014), paint, 6, aspect=1.5))
    if style.laces and rng.random() < 0.5:
        knot = outer[EDGE, toe] + [0, 0.01, 0.03]
        for side in (-1, 1):
            loop = smooth_outline(
                [knot, knot + [side * 0.07, 0.01, 0.02], knot + [side * 0.1, -0.04, 0.03], knot + [side * 0.04, -0.03, 0.03]], 4, False
            )
            parts.append(tube(loop, 0.009, paint, 6))
    for index in range(style.strap):
        row = 9 - 2 * index
        if row < 4:
            break
        place = [toe + step for step in (-9, -6, -3, 0, 3, 6, 9)]
        path = np.stack([outer[min(row, EDGE), k] for k in place]) + [0, 0.008, 0]
        parts.append(tube(smooth_outline(path, 3, False), 0.012, paint, 8, aspect=rng.uniform(2, 3.5), up=(0, 1, 0.3)))
    return parts


def lifted(style: Style, part: Part, keep_ground: bool = False) -> Part:
    """A part of a flat shoe moved to where heel and toes are really."""
    vertices = part.vertices.copy()
    z = vertices[:, 2]
    heel = np.clip((0.22 - z) / 0.5, 0, 1)
    lift = style.rise * heel**2 * (3 - 2 * heel) + style.spring * np.clip((z - 0.15) / 0.35, 0, 1.2) ** 2
    vertices[:, 1] += lift * (np.clip(vertices[:, 1] / style.sole + 1, 0, 1) if keep_ground else 1.0)
    return part.placed(vertices)


def shoe(rng: np.random.Generator) -> list[Part]:
    """A shoe or a pair."""
    style = random_style(rng)
    body, outer = upper(rng, style)
    rings = sole_rings(style)
    layers = (np.arange(len(rings) - 1)[:, None] > rng.choice([-1, 0, 1])).astype(np.int64) * np.ones((1, AROUND), np.int64)
    sole = loft(rings, layers, (quiet_paint(rng), random_paint(rng) if rng.random() < 0.15 else quiet_paint(rng)))
    parts = [lifted(style, part) for part in (body, *fastenings(rng, style, outer))]
    parts.append(lifted(style, sole, keep_ground=style.wedge or style.rise < 0.06))
    if style.rise >= 0.06 and not style.wedge:
        thin, paint = rng.uniform(0.03, 0.12), quiet_paint(rng)
        high = style.rise + 0.02
        if rng.random() < 0.5:
            heel = cylinder(thin, high, paint, taper=style.wide * 0.33 / thin)
        else:
            heel = box((style.wide * rng.uniform(0.4, 0.66), high, rng.uniform(0.12, 0.26)), paint, 0.01, 1)
        parts.append(heel.moved(y=high / 2 - style.sole, z=-0.36))
    if rng.random() < 0.08:
        parts.append(ellipsoid((0.04, 0.04, 0.04), random_paint(rng)).moved(*(outer[9, AROUND // 2] + [0, 0.02, 0])))
    if rng.random() < 0.5:
        parts = [part.mirrored() for part in parts]
    if rng.random() < 0.25:
        shift = style.wide * rng.uniform(1.1, 1.5)
        parts = [*parts, *(part.mirrored().moved(x=shift, z=rng.uniform(-0.1, 0.1)) for part in list(parts))]
    return parts
