"""Procedural paints: small pictures that make generated objects look printed, woven, grown or machined.

Every paint is a (size, size, 3) uint8 picture drawn from a `numpy` generator alone, so a seed is an object.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Paint = np.ndarray
WORDS = [
    "SUN",
    "MILK",
    "TEA",
    "OATS",
    "NORD",
    "ALPHA",
    "SOAP",
    "FRESH",
    "PURE",
    "MAX",
    "SUPER",
    "CRISP",
    "LUNA",
    "TOYS",
    "PLUS",
    "GOLD",
    "MINT",
    "KIWI",
    "ROCKET",
    "CLASSIC",
    "ORIGINAL",
    "500g",
    "250ml",
    "No.7",
    "NEW",
    "100%",
    "delicious",
    "natural",
    "since",
    "1987",
    "premium",
    "recipe",
    "pieces",
]


def random_color(rng: np.random.Generator, vivid: float = 0.5) -> np.ndarray:
    """(3,) sRGB 0..255 float colour; ``vivid`` is the chance of a saturated one, the others are whites, greys, blacks and earths."""
    draw = rng.random()
    if draw < vivid:
        rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.45, 1.0), rng.uniform(0.45, 1.0))
    elif draw < vivid + (1 - vivid) * 0.35:
        rgb = colorsys.hsv_to_rgb(rng.uniform(0.05, 0.15), rng.uniform(0.0, 0.12), rng.uniform(0.8, 1.0))
    elif draw < vivid + (1 - vivid) * 0.65:
        rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, 0.15), rng.uniform(0.06, 0.7))
    else:
        rgb = colorsys.hsv_to_rgb(rng.uniform(0.02, 0.13), rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.85))
    return np.array(rgb) * 255


def palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) colours that go together: one hue with neighbours or its opposite, or unrelated ones."""
    if rng.random() < 0.4:
        return np.stack([random_color(rng) for _ in range(count)])
    hue, spread = rng.random(), rng.choice([0.04, 0.1, 0.33, 0.5])
    saturation, out = rng.uniform(0.2, 0.9), []
    for index in range(count):
        shade = colorsys.hsv_to_rgb((hue + spread * index) % 1, saturation * rng.uniform(0.3, 1.1) % 1.0001, rng.uniform(0.25, 1.0))
        out.append(np.array(shade) * 255)
    return np.stack(out)


def value_noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4) -> np.ndarray:
    """(size, size) smooth fractal noise in 0..1, seamless from left to right so that it wraps around lathed parts."""
    total = np.zeros((size, size), np.float32)
    weight, norm = 1.0, 0.0
    for _ in range(octaves):
        if cells > size:
            break
        grid = rng.random((cells + 1, cells), dtype=np.float32)
        at_row = np.linspace(0, cells, size, endpoint=False, dtype=np.float32)
        low = at_row.astype(np.int64)
        part = at_row - low
        part = part * part * (3 - 2 * part)
        rows = grid[low] * (1 - part)[:, None] + grid[low + 1] * part[:, None]
        total += weight * (rows[:, low] * (1 - part) + rows[:, (low + 1) % cells] * part)
        norm, weight, cells = norm + weight, weight * 0.5, cells * 2
    return total / norm


def plain(color: np.ndarray) -> Paint:
    """A single colour, 2 x 2 pixels."""
    return np.broadcast_to(np.clip(color, 0, 255), (2, 2, 3)).astype(np.uint8)


def mix(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> Paint:
    """Blend two colours by a (h, w) weight in 0..1."""
    weight = np.clip(weight, 0, 1)[..., None]
    return np.clip(first * (1 - weight) + second * weight, 0, 255).astype(np.uint8)


def mottled(rng: np.random.Generator, size: int = 64, color: np.ndarray | None = None, strength: float = 0.25) -> Paint:
    """One colour with soft variations of brightness, as on stone, skin, clay or worn plastic."""
    base = random_color(rng) if color is None else color
    noise = value_noise(rng, size, int(rng.integers(2, 9))) - 0.5
    return np.clip(base * (1 + 2 * strength * noise[..., None]), 0, 255).astype(np.uint8)


def gradient(rng: np.random.Generator, size: int = 64) -> Paint:
    """A vertical run from one colour to another."""
    first, second = palette(rng, 2)
    return mix(first, second, np.linspace(0, 1, size)[:, None].repeat(size, 1) ** rng.uniform(0.5, 2))


def stripes(rng: np.random.Generator, size: int = 96) -> Paint:
    """Straight or wavy bands, along, across or diagonal."""
    first, second = palette(rng, 2)
    y, x = np.mgrid[0:size, 0:size] / size
    across, along = [(1, 0), (0, 1), (1, 1), (0, 1)][rng.integers(4)]
    wave = rng.choice([0.0, 0.0, 0.05]) * np.sin(2 * np.pi * x * rng.integers(1, 4))
    phase = (x * across + (y + wave) * along) * rng.integers(2, 13)
    return mix(first, second, (phase % 1 < rng.uniform(0.15, 0.7)).astype(np.float32))


def checks(rng: np.random.Generator, size: int = 96) -> Paint:
    """A chequered, tartan or tiled pattern."""
    first, second = palette(rng, 2)
    count = int(rng.integers(2, 10))
    line = (np.arange(size) * count / size) % 1 < rng.uniform(0.2, 0.6)
    if rng.random() < 0.5:
        return mix(first, second, line[:, None] * 0.5 + line[None] * 0.5)
    return mix(first, second, (line[:, None] ^ line[None]).astype(np.float32))


def dots(rng: np.random.Generator, size: int = 96) -> Paint:
    """Polka dots on a staggered grid."""
    first, second = palette(rng, 2)
    count = int(rng.integers(2, 8))
    y, x = np.mgrid[0:size, 0:size] * (count / size)
    x = x + 0.5 * (np.floor(y) % 2)
    radius = np.hypot(x % 1 - 0.5, y % 1 - 0.5)
    return mix(first, second, (radius < rng.uniform(0.18, 0.42)).astype(np.float32))


def patches(rng: np.random.Generator, size: int = 96) -> Paint:
    """Cow-like or camouflage patches: noise cut at a level."""
    colors = palette(rng, 3)
    noise = value_noise(rng, size, int(rng.integers(2, 7)), 3)
    low, high = np.quantile(noise, [rng.uniform(0.3, 0.6), rng.uniform(0.6, 0.95)])
    return np.where((noise > high)[..., None], colors[2], np.where((noise > low)[..., None], colors[1], colors[0])).astype(np.uint8)


def cells(rng: np.random.Generator, size: int = 64) -> Paint:
    """Scales, giraffe or mosaic: the distance to the nearest and second nearest of some seeds."""
    seeds = rng.random((int(rng.integers(12, 40)), 2)).astype(np.float32)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    gap_x = np.abs(x[..., None] - seeds[:, 0])
    distance = np.minimum(gap_x, 1 - gap_x) ** 2 + (y[..., None] - seeds[:, 1]) ** 2
    nearest = np.argmin(distance, -1)
    two = np.sqrt(np.partition(distance, 1, -1)[..., :2])
    border = two[..., 1] - two[..., 0] < rng.uniform(0.01, 0.05)
    colors = palette(rng, 2)
    shade = rng.uniform(0.8, 1.15, len(seeds))[nearest][..., None]
    return np.clip(np.where(border[..., None], colors[1], colors[0] * shade), 0, 255).astype(np.uint8)


def wood(rng: np.random.Generator, size: int = 128) -> Paint:
    """Boards with grain along the rows' direction."""
    light = np.array(colorsys.hsv_to_rgb(rng.uniform(0.05, 0.11), rng.uniform(0.3, 0.65), rng.uniform(0.4, 0.9))) * 255
    x = np.linspace(0, 1, size, endpoint=False)[None].repeat(size, 0)
    grain = value_noise(rng, size, int(rng.integers(2, 5)), 3)
    rings = np.sin((x * rng.uniform(3, 9) + grain * rng.uniform(2, 6)) * 2 * np.pi)
    fine = rng.random((1, size)) * 0.25 + value_noise(rng, size, 16, 2) * 0.2
    out = mix(light, light * rng.uniform(0.45, 0.75), 0.5 + 0.35 * rings + fine - 0.2)
    if rng.random() < 0.4:
        joint = (x * rng.integers(2, 6)) % 1 < 0.03
        out = np.where(joint[..., None], (out * 0.45).astype(np.uint8), out)
    return out if rng.random() < 0.5 else out.transpose(1, 0, 2).copy()


def marble(rng: np.random.Generator, size: int = 96) -> Paint:
    """Veins in stone or glaze."""
    first, second = palette(rng, 2)
    noise = value_noise(rng, size, 3, 5)
    x = np.linspace(0, 1, size)[None]
    veins = np.abs(np.sin((x * rng.integers(1, 4) + noise * rng.uniform(1.5, 4)) * np.pi)) ** rng.uniform(0.3, 1.5)
    return mix(first, second, 1 - veins)


def woven(rng: np.random.Generator, size: int = 96) -> Paint:
    """Cloth: crossing threads over a soft tint."""
    base = random_color(rng)
    count = rng.integers(8, 24)
    y, x = np.mgrid[0:size, 0:size] * (count / size)
    over = (np.floor(x) + np.floor(y)) % 2
    shade = np.where(over > 0, np.abs(np.sin(np.pi * x)), np.abs(np.sin(np.pi * y)))
    tint = value_noise(rng, size, 4, 3)
    return np.clip(base * (0.7 + 0.3 * shade + 0.25 * (tint - 0.5))[..., None], 0, 255).astype(np.uint8)


def leafy(rng: np.random.Generator, size: int = 48) -> Paint:
    """A leaf: green, with a lighter midrib and side veins."""
    green = np.array(colorsys.hsv_to_rgb(rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.65), rng.uniform(0.25, 0.65))) * 255
    y, x = np.mgrid[0:size, 0:size] / size
    side = np.abs(x - 0.5)
    veins = (((y + side) * rng.integers(6, 14)) % 1 < 0.18) * 0.35
    return mix(green, np.minimum(green * 1.5 + 25, 255), np.maximum(veins, (side < 0.04) * 0.8) + 0.3 * value_noise(rng, size, 4, 2))


def _emblem(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: tuple[float, float, float, float], color: tuple[int, ...]) -> None:
    """A round, square, star-like or ring-shaped mark inside a box."""
    x0, y0, x1, y1 = box
    kind = rng.integers(4)
    if kind == 0:
        draw.ellipse(box, fill=color)
    elif kind == 1:
        draw.ellipse(box, outline=color, width=max(1, int((x1 - x0) / 6)))
    elif kind == 2:
        draw.rounded_rectangle(box, radius=(min(x1 - x0, y1 - y0)) / 4, fill=color)
    else:
        points, spikes = [], int(rng.integers(3, 9))
        for index in range(2 * spikes):
            reach = (1.0 if index % 2 == 0 else rng.uniform(0.35, 0.7)) / 2
            angle = np.pi * index / spikes
            points.append(((x0 + x1) / 2 + (x1 - x0) * reach * np.sin(angle), (y0 + y1) / 2 - (y1 - y0) * reach * np.cos(angle)))
        draw.polygon(points, fill=color)


def label(rng: np.random.Generator, size: int = 160, ground: np.ndarray | None = None) -> Paint:
    """A printed label: bands, emblems, words, lines of small print and sometimes a bar code."""
    colors = [tuple(int(c) for c in color) for color in palette(rng, 4)]
    picture = Image.new("RGB", (size, size), tuple(int(c) for c in ground) if ground is not None else colors[0])
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 3)):
        top = rng.uniform(0, size)
        draw.rectangle((0, top, size, top + rng.uniform(0.05, 0.35) * size), fill=colors[1])
    for _ in range(rng.integers(0, 4)):
        reach, x, y = rng.uniform(0.1, 0.5) * size, *(rng.uniform(0, 0.8, 2) * size)
        _emblem(draw, rng, (x, y, x + reach, y + reach * rng.uniform(0.6, 1.2)), colors[int(rng.integers(1, 4))])
    for _ in range(rng.integers(1, 4)):
        font = ImageFont.load_default(size=float(rng.uniform(0.08, 0.26) * size))
        x, y = rng.uniform(0.02, 0.5) * size, rng.uniform(0, 0.8) * size
        draw.text((x, y), str(rng.choice(WORDS)), fill=colors[int(rng.integers(1, 4))], font=font)
    if rng.random() < 0.5:
        y, x = rng.uniform(0.5, 0.85) * size, rng.uniform(0.05, 0.4) * size
        for row in range(int(rng.integers(2, 7))):
            draw.line((x, y + row * size / 40, x + rng.uniform(0.2, 0.5) * size, y + row * size / 40), fill=colors[3], width=1)
    if rng.random() < 0.2:
        x0, y0 = rng.uniform(0.1, 0.6, 2) * size
        draw.rectangle((x0, y0, x0 + size * 0.3, y0 + size * 0.18), fill=(255, 255, 255))
        for bar in range(12):
            if rng.random() < 0.6:
                draw.rectangle(
                    (x0 + size * (0.02 + bar * 0.022), y0 + 2, x0 + size * (0.03 + bar * 0.022), y0 + size * 0.15), fill=(10, 10, 10)
                )
    return np.asarray(picture)


def decal(rng: np.random.Generator, paint: Paint) -> Paint:
    """Print a few emblems or a word on an existing paint."""
    picture = Image.fromarray(paint).resize((max(96, paint.shape[1]), max(96, paint.shape[0])))
    draw, size = ImageDraw.Draw(picture), picture.width
    ink = tuple(int(c) for c in random_color(rng, 0.8))
    for _ in range(rng.integers(1, 4)):
        reach, x, y = rng.uniform(0.12, 0.4) * size, *(rng.uniform(0, 0.8, 2) * size)
        if rng.random() < 0.5:
            _emblem(draw, rng, (x, y, x + reach, y + reach), ink)
        else:
            draw.text((x, y), str(rng.choice(WORDS)), fill=ink, font=ImageFont.load_default(size=float(reach * 0.6)))
    return np.asarray(picture)


PATTERNS: tuple[Callable[[np.random.Generator], Paint], ...] = (gradient, stripes, checks, dots, patches, cells, wood, marble, woven, label)


def random_paint(rng: np.random.Generator) -> Paint:
    """Any paint: plain, mottled or patterned, sometimes with a decal."""
    draw = rng.random()
    if draw < 0.25:
        paint = plain(random_color(rng))
    elif draw < 0.55:
        paint = mottled(rng, strength=rng.uniform(0.03, 0.3))
    else:
        paint = PATTERNS[rng.integers(len(PATTERNS))](rng)
    return decal(rng, paint) if rng.random() < 0.12 else paint


def quiet_paint(rng: np.random.Generator) -> Paint:
    """A calm paint for bodies of one material: plain or mottled."""
    return plain(random_color(rng)) if rng.random() < 0.5 else mottled(rng, strength=rng.uniform(0.03, 0.2))
