"""Backgrounds cut from a folder of photos and panoramas, for learning what is in front of real places."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from img23d.errors import InputError
from img23d.io.images import load_photo

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
LARGEST = 2048  # pixels: longer sides of photos are reduced to this


def list_photos(folder: str | Path) -> list[Path]:
    """The pictures in a folder and below it, by name.

    Raises:
        InputError: there are none.
    """
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{folder} holds no pictures for backgrounds", f"a folder of {', '.join(SUFFIXES)} files")
    return found


def photo_backgrounds(paths: list[Path], count: int, seed: int, size: int) -> np.ndarray:
    """(count, size, size, 3) uint8 random parts of photos; panoramas, exactly twice as wide as high, are looked into by a random camera.

    Raises:
        InputError: a photo that is drawn cannot be read.
    """
    randoms = [np.random.default_rng([seed, number, 23]) for number in range(count)]
    drawn = [int(rng.integers(len(paths))) for rng in randoms]
    made = np.zeros((count, size, size, 3), np.uint8)
    for chosen in sorted(set(drawn)):  # one photo at a time in memory
        photo = (load_photo(paths[chosen], LARGEST).rgb.numpy() * 255).round().astype(np.uint8)
        look = look_into if photo.shape[1] == 2 * photo.shape[0] else part_of
        for number in (number for number, photo_number in enumerate(drawn) if photo_number == chosen):
            made[number] = look(randoms[number], photo, size)
    return made


def part_of(rng: np.random.Generator, photo: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3) a random square of a photo (H, W, 3) uint8, at least half as wide as its shorter side."""
    height, width = photo.shape[:2]
    side = rng.uniform(0.5, 1.0) * min(height, width)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(photo).resize((size, size), Image.Resampling.BICUBIC, box))


def look_into(rng: np.random.Generator, panorama: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3) what a camera with a field of view of 45 to 95 degrees sees in an equirectangular panorama (H, 2H, 3) uint8.

    It looks anywhere around, mostly a little downwards, as at something on a table or on the floor.
    """
    from scipy.ndimage import map_coordinates

    yaw, pitch, roll = rng.uniform(-math.pi, math.pi), math.radians(rng.normal(-12, 14)), math.radians(rng.normal(0, 3))
    reach = math.tan(math.radians(rng.uniform(45, 95)) / 2)
    line = np.linspace(-reach, reach, size)
    x, y = np.meshgrid(line, -line)
    x, y = x * math.cos(roll) - y * math.sin(roll), x * math.sin(roll) + y * math.cos(roll)
    up, ahead = y * math.cos(pitch) + math.sin(pitch), math.cos(pitch) - y * math.sin(pitch)
    longitude, latitude = np.arctan2(x, ahead) + yaw, np.arctan2(up, np.hypot(x, ahead))
    height, width = panorama.shape[:2]
    rows = np.clip((0.5 - latitude / math.pi) * height - 0.5, 0, height - 1)
    columns = (longitude / (2 * math.pi) + 0.5) * width - 0.5
    wrapped = np.concatenate([panorama, panorama[:, :1]], 1).astype(np.float32)
    places = [rows, columns % width]
    return np.stack([map_coordinates(wrapped[..., k], places, order=1) for k in range(3)], -1).round().astype(np.uint8)
