"""Procedural backgrounds for learning what is in front: plain sweeps, tables before walls, outdoors, clutter, bokeh."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from img23d.training.textures import PATTERNS, mottled, palette, plain, random_color, random_paint, value_noise, woven

Picture = np.ndarray
"""(size, size, 3) float32 sRGB 0..255."""


def enlarged(paint: np.ndarray, size: int) -> Picture:
    """A paint as a picture of that size."""
    return np.asarray(Image.fromarray(paint).resize((size, size), Image.Resampling.BICUBIC), np.float32)


def blurred(picture: Picture, radius: float) -> Picture:
    """Out of focus."""
    return np.asarray(Image.fromarray(picture.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius)), np.float32)


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4) -> np.ndarray:
    """(size, size) fractal noise in 0..1, about."""
    return value_noise(rng, size, max(cells, 1), octaves)


def sweep(rng: np.random.Generator, size: int) -> Picture:
    """A plain or softly shaded backdrop, as in product photos."""
    base = random_color(rng, 0.3) if rng.random() < 0.6 else np.full(3, rng.uniform(200, 255))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0, 0.7)
    spot = -((x - rng.uniform(-0.3, 0.3)) ** 2 + (y - rng.uniform(-0.3, 0.3)) ** 2) * rng.uniform(0, 0.9)
    other = random_color(rng, 0.3) if rng.random() < 0.25 else base
    weight = np.clip(0.5 + ramp, 0, 1)[..., None]
    return (base * weight + other * (1 - weight)) * (1 + ramp + spot)[..., None]


def cloudy(rng: np.random.Generator, size: int) -> Picture:
    """Two or three colours mixed by noise: walls, rocks, foliage, cloth, skies."""
    colors = palette(rng, 3)
    first, second = (noise(rng, size, int(rng.integers(1, 14)), int(rng.integers(2, 6)))[..., None] for _ in range(2))
    contrast = rng.uniform(0.5, 3)
    first = np.clip((first - 0.5) * contrast + 0.5, 0, 1)
    picture = colors[0] * (1 - first) + colors[1] * first
    second = np.clip((second - 0.6) * 4, 0, 1) * rng.uniform(0, 1)
    return picture * (1 - second) + colors[2] * second


def patterned(rng: np.random.Generator, size: int) -> Picture:
    """A printed, woven, wooden or tiled surface seen from above."""
    paint = PATTERNS[rng.integers(len(PATTERNS))](rng)
    repeat = int(rng.integers(1, 4))
    picture = enlarged(np.tile(paint, (repeat, repeat, 1)), size)
    return picture * (0.7 + 0.6 * noise(rng, size, 2, 2)[..., None])


def surface_colors(rng: np.random.Generator) -> np.ndarray:
    """A picture for a table, floor or wall."""
    kind = rng.random()
    if kind < 0.3:
        return plain(random_color(rng, 0.2))
    if kind < 0.6:
        return mottled(rng, 96, random_color(rng, 0.25), rng.uniform(0.05, 0.35))
    return PATTERNS[rng.integers(len(PATTERNS))](rng) if rng.random() < 0.7 else woven(rng)


def room(rng: np.random.Generator, size: int) -> Picture:
    """A table or floor in perspective before a wall, perhaps with a skirting, shelves, pictures or a window."""
    horizon = rng.uniform(0.12, 0.75)
    wall = enlarged(surface_colors(rng), size)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    depth = np.clip(y - horizon + rng.uniform(0.08, 0.5), 0.02, None)
    turn = rng.uniform(-1, 1)
    across, along = (x - 0.5) / depth, rng.uniform(0.5, 1.5) / depth
    u, v = across * np.cos(turn) - along * np.sin(turn), across * np.sin(turn) + along * np.cos(turn)
    table = surface_colors(rng)
    tile = rng.uniform(0.4, 1.6)
    columns, rows = ((u * tile) % 1 * table.shape[1]).astype(int), ((v * tile) % 1 * table.shape[0]).astype(int)
    floor = table[rows.clip(0, table.shape[0] - 1), columns.clip(0, table.shape[1] - 1)].astype(np.float32)
    floor *= (1 + rng.uniform(-0.4, 0.4) * (y - horizon))[..., None]
    edge = horizon + rng.uniform(-0.1, 0.1) * (x - 0.5)
    below = (y > edge)[..., None]
    picture = np.where(below, floor, things_on_wall(rng, wall, horizon))
    dark = np.exp(-np.abs(y - edge) * rng.uniform(10, 80)) * rng.uniform(0, 0.5)
    picture = picture * (1 - dark)[..., None]
    light = 0.75 + 0.5 * noise(rng, size, 2, 1)[..., None]
    return picture * light


def things_on_wall(rng: np.random.Generator, wall: Picture, horizon: float) -> Picture:
    """Frames, windows, shelves, books and furniture fronts as flat rectangles above the horizon."""
    size = len(wall)
    if rng.random() < 0.45:
        return wall
    picture = Image.fromarray(wall.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    if rng.random() < 0.3:  # a row of books or boxes
        x, base = rng.uniform(-0.1, 0.3) * size, horizon * size
        while x < size * rng.uniform(0.5, 1.2):
            wide, tall = rng.uniform(0.02, 0.1) * size, rng.uniform(0.1, 0.4) * size
            draw.rectangle((x, base - tall, x + wide, base), fill=tuple(int(c) for c in random_color(rng)))
            x += wide + 1
    for _ in range(rng.integers(1, 5)):
        x, y, wide, tall = rng.uniform(-0.2, 0.9) * size, rng.uniform(-0.2, horizon) * size, *(rng.uniform(0.1, 0.6, 2) * size)
        box = (x, y, x + wide, min(y + tall, max(horizon * size, y + 2)))
        if rng.random() < 0.5:
            patch = Image.fromarray(random_paint(rng)).resize((max(1, int(box[2] - box[0])), max(1, int(box[3] - box[1]))))
            picture.paste(patch, (int(x), int(y)))
        else:
            inside, frame = (tuple(int(c) for c in random_color(rng, vivid)) for vivid in (0.3, 0.2))
            draw.rectangle(box, fill=inside, outline=frame, width=2)
    return np.asarray(picture, np.float32)


def outdoors(rng: np.random.Generator, size: int) -> Picture:
    """Sky, far hills or buildings, and grass, sand or road."""
    y, _ = np.mgrid[0:size, 0:size].astype(np.float32) / size
    blue = np.array([rng.uniform(110, 220), rng.uniform(150, 230), rng.uniform(190, 255)])
    sky = blue * (1 - y[..., None]) + 240 * y[..., None]
    picture = sky * (0.85 + 0.3 * noise(rng, size, 3, 4)[..., None])
    x = np.arange(size) / size
    for _ in range(int(rng.integers(0, 4))):
        crest = rng.uniform(0.2, 0.6) + 0.15 * noise(rng, size, 3, 4)[0] * rng.uniform(0.3, 2) + 0.05 * np.sin(6 * x)
        color = random_color(rng, 0.3) * (0.5 + 0.8 * noise(rng, size, 12, 4)[..., None])
        picture = np.where((y > crest[None])[..., None], color, picture)
    horizon = rng.uniform(0.3, 0.8)
    green = np.array([rng.uniform(50, 150), rng.uniform(70, 170), rng.uniform(30, 110)]) if rng.random() < 0.6 else random_color(rng, 0.1)
    rough = noise(rng, size, 24, 3) * rng.uniform(0.2, 1.2) + noise(rng, size, 4, 2) * 0.4
    return np.where((y > horizon)[..., None], green * (0.5 + rough[..., None]), picture)


def clutter(rng: np.random.Generator, size: int) -> Picture:
    """A heap of overlapping flat shapes in all paints."""
    picture = Image.fromarray(cloudy(rng, size).clip(0, 255).astype(np.uint8))
    for _ in range(int(rng.integers(4, 22))):
        reach = int(rng.uniform(0.08, 0.5) * size)
        patch = Image.fromarray(random_paint(rng)).resize((reach, max(2, int(reach * rng.uniform(0.3, 1.5)))))
        stencil = Image.new("L", patch.size, 0)
        draw = ImageDraw.Draw(stencil)
        if rng.random() < 0.4:
            draw.ellipse((0, 0, *patch.size), fill=255)
        else:
            draw.rounded_rectangle((0, 0, patch.size[0] - 1, patch.size[1] - 1), radius=rng.uniform(0, 0.3) * reach, fill=255)
        turn = rng.uniform(0, 360)
        patch, stencil = patch.rotate(turn, expand=True), stencil.rotate(turn, expand=True)
        picture.paste(patch, (int(rng.uniform(-0.2, 1) * size), int(rng.uniform(-0.2, 1) * size)), stencil)
    return np.asarray(picture, np.float32)


def bokeh(rng: np.random.Generator, size: int) -> Picture:
    """Blurred discs of light on a dark or bright ground."""
    picture = Image.fromarray(blurred(cloudy(rng, size), size / 12).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture, "RGBA")
    reach = rng.uniform(0.02, 0.12) * size
    for _ in range(int(rng.integers(5, 40))):
        x, y, radius = *(rng.random(2) * size), reach * rng.uniform(0.6, 1.3)
        color = tuple(int(c) for c in random_color(rng, 0.8))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*color, int(rng.uniform(60, 200))))
    return blurred(np.asarray(picture, np.float32), rng.uniform(1, 4))


KINDS = ((sweep, 0.24), (cloudy, 0.12), (patterned, 0.12), (room, 0.26), (outdoors, 0.1), (clutter, 0.1), (bokeh, 0.06))


def random_background(rng: np.random.Generator, size: int) -> Picture:
    """A background of a random kind.

    Args:
        rng: the only source of chance.
        size: pixels along each side.

    Returns:
        (size, size, 3) float32 sRGB 0..255.
    """
    weights = np.array([weight for _, weight in KINDS])
    picture = KINDS[rng.choice(len(KINDS), p=weights / weights.sum())][0](rng, size)
    if rng.random() < 0.4:
        picture = blurred(picture, float(np.exp(rng.uniform(-1, 2.3))) * size / 192)
    if rng.random() < 0.3:
        picture = picture + rng.normal(0, rng.uniform(2, 14), (size, size, 1))
    return np.clip(picture, 0, 255).astype(np.float32)
