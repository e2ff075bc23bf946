"""Vessels: plates, bowls, mugs, pitchers, teapots, bottles, jars, vases, pans and glasses, with real walls and cavities."""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

import numpy as np

from img23d.training.procedural.outlines import smooth_outline
from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import cylinder, ellipsoid, lathe, tube
from img23d.training.textures import decal, label, plain, quiet_paint, random_color, random_paint

Profile = np.ndarray


def walled(outer: Profile, thickness: float, floor: float, paints: list[np.ndarray], **shape: float) -> Part:
    """A vessel from its outer profile (radius, height; from the foot up to the rim): the wall is offset inwards and closed over a floor."""
    outer = np.asarray(outer, float)
    inner = outer.copy()
    inner[:, 0] = np.maximum(outer[:, 0] - thickness, 1e-3)
    keep = inner[:, 1] > outer[0, 1] + floor
    bottom = outer[0, 1] + floor
    radius = float(np.interp(bottom, outer[:, 1], inner[:, 0])) if np.all(np.diff(outer[:, 1]) > 0) else float(inner[keep][0, 0])
    rim = [[(outer[-1, 0] + inner[-1, 0]) / 2, outer[-1, 1] + thickness * 0.4]]
    profile = np.concatenate([[[0, outer[0, 1]]], outer, rim, inner[keep][::-1], [[radius, bottom], [0, bottom]]])
    rows = np.full(len(profile) - 1, 1)
    rows[0] = 0
    rows[len(outer) + 1 :] = 2
    return lathe(profile, paints, rows, **shape)  # type: ignore[arg-type]


def ear(rng: np.random.Generator, radius: float, low: float, high: float, paint: np.ndarray, side: float = 1.0) -> Part:
    """A handle in the x-y plane whose ends sink into a wall at ``radius``."""
    reach = (high - low) * rng.uniform(0.35, 0.75)
    points = [[radius, low, 0], [radius + reach * 0.75, low + (high - low) * rng.uniform(0.0, 0.25), 0]]
    points += [
        [radius + reach, (low + high) / 2 + (high - low) * rng.uniform(0, 0.2), 0],
        [radius + reach * rng.uniform(0.5, 0.9), high, 0],
        [radius, high - 0.02, 0],
    ]
    path = smooth_outline(np.array(points) * [side, 1, 1], 5, closed=False)
    return tube(path, rng.uniform(0.03, 0.06), paint, 10, aspect=rng.uniform(0.8, 2.2), up=(0, 0, 1), squareness=rng.choice([2.0, 3.5]))


def bowl_profile(rng: np.random.Generator, height: float, foot: float, rim: float, curve: float) -> Profile:
    """A convex or flaring side from foot to rim."""
    t = np.linspace(0, 1, 12)
    radius = foot + (rim - foot) * t**curve
    profile = np.stack([radius, height * t], -1)
    if rng.random() < 0.3:
        profile[-2:, 0] += 0.04 * rng.random()
    return profile


def plate(rng: np.random.Generator) -> list[Part]:
    """A plate or saucer."""
    height, well = rng.uniform(0.06, 0.22), rng.uniform(0.5, 0.8)
    outer = np.array([[well * 0.9, 0], [well, 0.01], [well + 0.04, height * 0.5], [0.97, height * 0.95], [1, height]])
    return [
        walled(
            smooth_outline(outer, 4, False),
            rng.uniform(0.03, 0.06),
            rng.uniform(0.03, 0.05),
            [quiet_paint(rng), quiet_paint(rng), random_paint(rng)],
            segments=48,
        )
    ]


def bowl(rng: np.random.Generator) -> list[Part]:
    """A bowl, ramekin or basin."""
    height, foot = rng.uniform(0.3, 1.1), rng.uniform(0.35, 0.9)
    outer = bowl_profile(rng, height, foot, 1.0, rng.choice([rng.uniform(0.3, 0.8), rng.uniform(0.8, 1.5), 0.12]))
    outside = random_paint(rng)
    inside = outside if rng.random() < 0.4 else quiet_paint(rng)
    squareness = rng.choice([2.0, 2.0, 4.0])
    return [walled(outer, rng.uniform(0.04, 0.1), rng.uniform(0.05, 0.12), [outside, outside, inside], segments=48, squareness=squareness)]


def mug(rng: np.random.Generator) -> list[Part]:
    """A mug or cup, mostly with a handle."""
    height, foot = rng.uniform(0.7, 1.5), rng.uniform(0.6, 1.0)
    outer = bowl_profile(rng, height, foot * 0.6, 0.6, rng.uniform(0.1, 1.5))
    outside = label(rng) if rng.random() < 0.4 else random_paint(rng)
    inside = plain(random_color(rng, 0.3))
    parts = [walled(outer, 0.05, 0.06, [inside, outside, inside], segments=40)]
    if rng.random() < 0.85:
        low, high = height * rng.uniform(0.1, 0.3), height * rng.uniform(0.7, 0.92)
        radius = float(np.interp((low + high) / 2, outer[:, 1], outer[:, 0])) - 0.03
        side = rng.choice([-1.0, 1.0])
        parts.append(ear(rng, radius, low, high, inside if rng.random() < 0.5 else quiet_paint(rng), side))
    return parts


def vase(rng: np.random.Generator) -> list[Part]:
    """A vase, urn, jug or pitcher: any swelling profile, sometimes with one or two handles and a spout."""
    count = int(rng.integers(4, 7))
    radii = rng.uniform(0.18, 0.75, count)
    heights = np.linspace(0, rng.uniform(1.2, 2.4), count)
    outer = smooth_outline(np.stack([radii, heights], -1), 5, closed=False)
    outer[:, 0] = np.maximum(outer[:, 0], 0.14)
    body = random_paint(rng)
    parts = [walled(outer, 0.05, 0.08, [body, body, quiet_paint(rng)], segments=40, squareness=rng.choice([2.0, 2.0, 2.0, 4.0]))]
    for side in ([1.0], [1.0, -1.0], [])[rng.choice(3, p=[0.35, 0.15, 0.5])]:
        low, high = heights[-1] * rng.uniform(0.15, 0.45), heights[-1] * rng.uniform(0.7, 0.92)
        radius = float(np.interp(low, outer[:, 1], outer[:, 0])) - 0.03
        parts.append(ear(rng, min(radius, float(np.interp(high, outer[:, 1], outer[:, 0]))), low, high, body, side))
    return parts


def pitcher(rng: np.random.Generator) -> list[Part]:
    """A jug with one large handle and a pulled lip."""
    height = rng.uniform(1.2, 2.0)
    outer = bowl_profile(rng, height, rng.uniform(0.4, 0.65), rng.uniform(0.45, 0.65), rng.uniform(0.5, 2.0))
    paint = random_paint(rng)
    body = walled(outer, 0.05, 0.08, [paint, paint, quiet_paint(rng)], segments=40)
    vertices = body.vertices.copy()
    lift = np.clip((vertices[:, 1] / height - 0.7) / 0.3, 0, 1) ** 2
    front = np.clip(-vertices[:, 0] / 0.5, 0, 1) ** 4
    vertices[:, 0] -= lift * front * rng.uniform(0.1, 0.3)
    radius = float(outer[:, 0].min()) - 0.03
    return [body.placed(vertices), ear(rng, radius, height * 0.15, height * 0.9, quiet_paint(rng) if rng.random() < 0.5 else paint)]


def teapot(rng: np.random.Generator) -> list[Part]:
    """A round pot with lid, spout and handle, closed."""
    height, wide = rng.uniform(0.8, 1.3), rng.uniform(0.55, 0.8)
    body = smooth_outline(
        [[0.3, 0], [wide * 0.95, height * 0.25], [wide, height * 0.5], [wide * 0.75, height * 0.8], [wide * 0.45, height]], 6, False
    )
    paint, trim = random_paint(rng), quiet_paint(rng)
    rim = wide * 0.45
    lid = smooth_outline(
        [
            [rim * 1.05, height],
            [rim * 0.9, height * 1.08],
            [0.08, height * 1.14],
            [0.06, height * 1.18],
            [0.12, height * 1.25],
            [0.04, height * 1.32],
        ],
        4,
        False,
    )
    pot = lathe(np.concatenate([[[0, 0]], body, lid, [[0, lid[-1, 1]]]]), (paint, trim), [0] * (len(body) + 1) + [1] * len(lid), 36)
    spout = smooth_outline(
        [
            [-wide * 0.8, height * 0.3, 0],
            [-wide * 1.25, height * 0.45, 0],
            [-wide * 1.35, height * 0.75, 0],
            [-wide * 1.65, height * 0.95, 0],
        ],
        5,
        False,
    )
    thick = np.linspace(0.17, 0.06, len(spout)) * rng.uniform(0.8, 1.2)
    return [pot, tube(spout, thick, paint, 14, rounded=False), ear(rng, wide * 0.85, height * 0.2, height * 0.8, trim)]


def bottle(rng: np.random.Generator) -> list[Part]:
    """A bottle, flask, spray or shampoo bottle with a label and a cap."""
    height, wide, neck = rng.uniform(1.4, 2.4), rng.uniform(0.3, 0.55), rng.uniform(0.1, 0.22)
    shoulder, top = height * rng.uniform(0.5, 0.75), height * 0.88
    curve = smooth_outline([[wide, shoulder], [wide * 0.9, shoulder + 0.12], [neck * 1.3, top - 0.1], [neck, top]], 4, False)
    low, high = shoulder * rng.uniform(0.1, 0.3), shoulder * rng.uniform(0.75, 0.97)
    profile = np.concatenate([[[0, 0.02], [wide * 0.9, 0], [wide, 0.05], [wide, low], [wide, high]], curve, [[neck, top + 0.02]]])
    rows = [0, 0, 0, 1] + [0] * (len(profile) - 5)
    cap_at = profile[-1, 1]
    cap = neck * rng.uniform(1.1, 1.5)
    profile = np.concatenate([profile, [[cap, cap_at], [cap, height], [cap * 0.8, height + 0.03], [0, height + 0.03]]])
    body = quiet_paint(rng)
    shape = {"squareness": rng.choice([2.0, 2.0, 4.0]), "squash": rng.choice([1.0, 1.0, rng.uniform(0.45, 0.8)])}
    return [lathe(profile, (body, label(rng, 192, random_color(rng, 0.3)), quiet_paint(rng)), rows + [2, 2, 2, 2], 36, **shape)]


def can(rng: np.random.Generator) -> list[Part]:
    """A tin, jar or tub with a printed side."""
    height, bevel = rng.uniform(0.5, 2.4), rng.uniform(0.02, 0.08)
    metal = plain(np.array([190.0, 190, 195]) * rng.uniform(0.7, 1.1)) if rng.random() < 0.6 else quiet_paint(rng)
    parts = [cylinder(0.5, height, (metal, label(rng, 224), metal), bevel, 44, taper=rng.choice([1.0, 1.0, rng.uniform(0.8, 1.25)]))]
    if rng.random() < 0.35:
        parts.append(cylinder(0.53, 0.16, quiet_paint(rng), 0.02, 44).moved(y=height / 2))
    return parts


def pan(rng: np.random.Generator) -> list[Part]:
    """A frying pan, pot or wok with one long or two short handles."""
    height = rng.uniform(0.15, 0.9)
    outer = bowl_profile(rng, height, rng.uniform(0.65, 0.95), 1.0, rng.uniform(0.2, 1.0))
    paint, grip = quiet_paint(rng), quiet_paint(rng)
    parts = [walled(outer, 0.05, 0.05, [paint, paint, quiet_paint(rng)], segments=44)]
    if height < 0.5 or rng.random() < 0.4:
        path = smooth_outline(
            [[0.95, height * 0.8, 0], [1.3, height * 0.95, 0], [rng.uniform(1.8, 2.4), height + rng.uniform(0, 0.3), 0]], 5, False
        )
        parts.append(tube(path, np.linspace(0.04, rng.uniform(0.05, 0.1), len(path)), grip, 10, aspect=1.6))
    else:
        parts += [ear(rng, 0.95, height * 0.55, height * 0.85, grip, side).scaled(1, 1, 2) for side in (1.0, -1.0)]
    return parts


def glass(rng: np.random.Generator) -> list[Part]:
    """A stemmed glass, goblet, trophy or egg cup."""
    stem, foot, wide = rng.uniform(0.3, 1.0), rng.uniform(0.3, 0.45), rng.uniform(0.3, 0.55)
    cup = smooth_outline([[0.05, stem], [wide, stem + 0.35], [wide * rng.uniform(0.7, 1.2), stem + rng.uniform(0.6, 1.0)]], 6, False)
    inner = cup[::-1] - [0.04, 0]
    inner = inner[inner[:, 0] > 0.01]
    profile = np.concatenate(
        [[[0, 0], [foot, 0], [foot, 0.04], [0.07, 0.1], [0.05, stem * 0.6]], cup, inner + [0, 0.02], [[0, stem + 0.07]]]
    )
    paint = random_paint(rng)
    parts = [lathe(profile, paint, segments=36)]
    if rng.random() < 0.2:
        parts += [ear(rng, wide * 0.8, stem + 0.15, stem + 0.5, paint, side) for side in (1.0, -1.0)]
    return parts


def bucket(rng: np.random.Generator) -> list[Part]:
    """A bucket or basket with a hoop handle."""
    height = rng.uniform(0.6, 1.2)
    outer = bowl_profile(rng, height, rng.uniform(0.35, 0.5), 0.6, 1.0)
    paint = random_paint(rng)
    angle = np.linspace(0, np.pi, 17)
    hoop = np.stack([0.58 * np.cos(angle), height * 0.93 + rng.uniform(0.3, 0.7) * np.sin(angle), 0 * angle], -1)
    return [
        walled(outer, 0.04, 0.05, [paint, paint, quiet_paint(rng)], segments=36),
        tube(hoop, rng.uniform(0.02, 0.04), quiet_paint(rng), 8),
    ]


def candle(rng: np.random.Generator) -> list[Part]:
    """A closed turned solid: candlestick, chess piece, spinning top, finial or ornament."""
    count = int(rng.integers(4, 9))
    radii = np.concatenate([[rng.uniform(0.3, 0.5)], rng.uniform(0.08, 0.5, count)])
    heights = np.sort(np.concatenate([[0], rng.uniform(0.05, rng.uniform(0.6, 2.0), count)]))
    curve = smooth_outline(np.stack([radii, heights], -1), 4, False)
    curve[:, 0] = np.maximum(curve[:, 0], 0.03)
    body = lathe(np.concatenate([[[0, curve[0, 1]]], curve, [[0, curve[-1, 1]]]]), random_paint(rng), segments=32)
    return [body] if rng.random() < 0.7 else [body, ellipsoid([rng.uniform(0.1, 0.3)] * 3, quiet_paint(rng)).moved(y=float(curve[-1, 1]))]


KINDS = (plate, bowl, bowl, mug, mug, vase, vase, pitcher, teapot, bottle, bottle, can, pan, glass, bucket, candle)


def vessel(rng: np.random.Generator) -> list[Part]:
    """Any vessel."""
    parts = KINDS[rng.integers(len(KINDS))](rng)
    if rng.random() < 0.1:
        parts = [Part(p.vertices, p.faces, p.corner_uv, p.material, tuple(decal(rng, paint) for paint in p.paints)) for p in parts]
    angle = rng.uniform(-np.pi, np.pi)
    return [part.turned("y", angle) for part in parts]
