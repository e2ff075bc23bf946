"""Pictures of single objects with exact alpha and the shadow they cast, kept in small files to be put before any background."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from img23d.errors import InputError
from img23d.scene.cameras import orbit_degrees
from img23d.training.deform import attach, random_deformation
from img23d.training.objects import Source, TrainingObject, normalise
from img23d.training.photo_lights import random_studio
from img23d.training.procedural import random_object
from img23d.training.render_photo import Floor, Placed, render_photo

SIZE = 224  # as large as the network sees them, so that they are as sharp as what is behind them


class Cutouts(NamedTuple):
    """N pictures of single objects."""

    rgb: np.ndarray  # (N, S, S, 3) uint8 sRGB; meaningless where alpha is 0
    alpha: np.ndarray  # (N, S, S) uint8
    shadow: np.ndarray  # (N, S, S) uint8 share of the light that reaches the floor, 255 where there is no shadow


def photograph_object(rng: np.random.Generator, item: TrainingObject, size: int = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One picture of an object in a random light from a random side: rgb, alpha, shadow as in `Cutouts` without N."""
    fov = rng.uniform(20, 60)
    reach = float(np.linalg.norm(item.vertices, axis=1).max())
    distance = reach / math.sin(math.radians(fov / 2)) * rng.uniform(0.8, 1.15)
    camera = orbit_degrees([rng.uniform(-180, 180)], rng.uniform(-5, 50), distance, fov)
    floor = Floor(float(item.vertices[:, 1].min()), np.full((2, 2, 3), 180, np.uint8), fade=3.0)
    gloss = rng.uniform(0, 0.9) ** 2
    placed = (Placed(item, gloss=gloss, roughness=rng.uniform(0.05, 0.5), crease=rng.uniform(0.4, 1.0)),)
    black, jitter = torch.zeros(size, size, 3), int(rng.integers(1 << 30))
    photo = render_photo(placed, camera, random_studio(rng), size, size, black, floor, (3, 4), 2, seed=jitter, shadow_size=96)
    alpha = photo.alpha.numpy()
    rgb = spread(photo.rgb.numpy(), alpha > 0.98)
    bright = float(np.quantile(rgb[alpha > 0.5], 0.95)) if (alpha > 0.5).any() else 1.0
    rgb = rgb * min(max(0.85 / max(bright, 1e-3), 0.7), 2.5) ** 0.7
    return tuple((part.clip(0, 1) * 255).round().astype(np.uint8) for part in (rgb, alpha, photo.shadow.numpy()))  # type: ignore[return-value]


def spread(rgb: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give pixels at and beyond the border, which hold some background, the colour of the nearest pixel that the object covers."""
    from scipy.ndimage import distance_transform_edt

    if not inside.any():
        return rgb
    near = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return rgb[near[0], near[1]]


def draw_object(rng: np.random.Generator, sources: Sequence[Source]) -> TrainingObject:
    """A deformed object, made by code or, two times in five, read from a file; sometimes two joined."""

    def one() -> TrainingObject:
        if not sources or rng.random() < 0.6:
            return random_object(rng)
        return normalise(sources[int(rng.integers(len(sources)))].load())

    item = one()
    if rng.random() < 0.06:
        item = attach(item, one(), rng)
    return random_deformation(item, rng)


def write_cutouts(folder: Path, sources: Sequence[Source], count: int, seed: int, told: Callable[[int], None] | None = None) -> None:
    """Render cut-outs and keep them in files of 64.

    Args:
        folder: where they go; files that are there already are kept.
        sources: objects to draw from besides the generator.
        count: how many.
        seed: every file depends on it and on its own number alone.
        told: called with the number of cut-outs done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(-(-count // 64)):
        path = folder / f"{seed:04d}-{number:05d}.npz"
        if not path.is_file():
            rng = np.random.default_rng([seed, number])
            made: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
            while len(made) < 64:
                picture = photograph_object(rng, draw_object(rng, sources))
                if (picture[1] > 128).mean() > 0.01:
                    made.append(picture)
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                rgb, alpha, shadow = (np.stack(part) for part in zip(*made))
                np.savez_compressed(file, rgb=rgb, alpha=alpha, shadow=shadow)
            partial.replace(path)
        if told is not None:
            told(64 * (number + 1))


def read_cutouts(folder: Path) -> Cutouts:
    """All cut-outs of a folder.

    Raises:
        InputError: there are none.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no cut-outs", "make them first: img23d train foreground --data FOLDER")
    loaded = [np.load(file) for file in files]
    return Cutouts(*(np.concatenate([part[name] for part in loaded]) for name in Cutouts._fields))
