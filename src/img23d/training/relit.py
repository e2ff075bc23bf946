"""Parts of drawn pictures lit anew, with relief that their meshes do not have: fresh at every step, for the price of shading.

A network that has seen each bump in one light only hardly learns what bumps look like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from img23d.ops.shading import FITTED, fitted_light
from img23d.priors import frame
from img23d.training.appearance import photograph
from img23d.training.fine_normals_samples import PLACE, SIZE, NormalSample
from img23d.training.lighting import Lights, random_lights, shade, to_linear, to_srgb
from img23d.training.relief import Relief, random_relief, smooth_noise

SHADED = 0.3  # share of pictures that other things cast soft shadows on
PAINTED = 0.3  # share of pictures of which all is of one colour: much of what has relief is of one material
EXPOSED, EXPOSURE = 0.95, 0.7  # as in `img23d.training.samples.colour_picture`
Change = Callable[[Tensor], Tensor]


class Part(NamedTuple):
    """A square part of a picture of `SIZE` pixels a side, or all of it; the maps are those of `NormalSample`."""

    rgb: np.ndarray
    mask: np.ndarray
    hit: np.ndarray
    normal: np.ndarray
    said_normal: np.ndarray
    said_depth: np.ndarray
    light: np.ndarray  # (3,) float32 of the whole picture, from `fitted_light`


class Window(NamedTuple):
    """Where a part begins, in multiples of 16 as the patches of pictures do, and how many pixels it has along each side."""

    top: int = 0
    left: int = 0
    side: int = SIZE

    def cut(self, array: np.ndarray) -> np.ndarray:
        """This part of a map; of one with half as many pixels half as many."""
        first, start, side = (round(edge * len(array) / SIZE) for edge in self)
        return array[first : first + side, start : start + side]


def as_drawn(sample: NormalSample, window: Window) -> Part:
    """A part of a picture as it was drawn."""
    return with_light(sample, window, sample.rgb, window.cut(sample.rgb), window.cut(sample.normal))


def relit(sample: NormalSample, window: Window, random: np.random.Generator) -> Part:
    """A part of a picture, drawn without relief, with random relief in random light."""
    rotation = torch.from_numpy(sample.turns[9:18].copy()).reshape(3, 3)
    lights, paint, shadow = random_lights(random, rotation[2]), random_paint(random), random_shadow(random)
    behind = np.full(3, float(random.choice([0.0, 1.0]))) if random.random() < 0.5 else random.uniform(0, 1, 3)
    whole, _, bright = lit(sample, every_other, lights, paint, shadow, None, behind, None)
    picture, truth, _ = lit(sample, window.cut, lights, paint, shadow, random_relief(random), behind, bright)
    seen = photograph(random, picture, SIZE) * (window.cut(sample.mask).astype(np.float32)[..., None] / 255)
    return with_light(sample, window, (whole * 255).astype(np.uint8), (seen + 0.5).astype(np.uint8), truth)


def with_light(sample: NormalSample, window: Window, whole: np.ndarray, rgb: np.ndarray, normal: np.ndarray) -> Part:
    """The part of a picture (P, P, 3) with these normals, and the light of the whole picture (S, S, 3), of any size."""
    maps = [torch.from_numpy(array.astype(np.float32)) for array in (whole / 255, sample.mask[..., None] / 255, sample.said_normal / 127)]
    light = fitted_light(*(array.permute(2, 0, 1)[None] for array in maps))[0].numpy()
    cut = window.cut
    return Part(rgb, cut(sample.mask), cut(sample.hit), normal, cut(sample.said_normal), cut(sample.said_depth), light)


def every_other(array: np.ndarray) -> np.ndarray:
    """A few pixels of a map, enough to fit light to."""
    step = len(array) // FITTED
    return array[step // 2 :: step, step // 2 :: step]


def lit(
    sample: NormalSample, cut: Callable[[np.ndarray], np.ndarray], lights: Lights, paint: Change, shadow: Change, relief: Relief | None,
    behind: np.ndarray, bright: float | None,
) -> tuple[np.ndarray, np.ndarray, float]:  # fmt: skip
    """Shade some pixels of a sample.

    Args:
        sample: drawn without relief.
        cut: chooses pixels of its maps.
        lights: the lamps.
        paint: changes colours.
        shadow: of the first lamp, by places.
        relief: on top, or None.
        behind: (3,) colour of the background.
        bright: linear light that comes close to white, or None for that of nearly the brightest of these pixels.

    Returns:
        the picture sRGB 0..1, its normals as int8, and ``bright``.
    """
    hit = cut(sample.hit)
    places = torch.from_numpy(cut(sample.place)[hit]).float() * (PLACE / 32767)
    normals = normalize(torch.from_numpy(cut(sample.normal)[hit]).float(), dim=-1)
    turn, rotation = torch.from_numpy(sample.turns[:18].copy()).reshape(2, 3, 3)
    views = torch.from_numpy(cut(eye_rays(float(sample.turns[18])))[hit])
    sky = torch.from_numpy(cut(sample.open)[hit]).float() / 255
    if relief is not None:
        normals, light = relief.bend(places, normals, views, turn)
        sky = sky * light
    albedo = to_linear(paint(torch.from_numpy(cut(sample.albedo)[hit]).float() / 255))
    colour = shade(albedo, normals @ rotation, views @ rotation, sky, shadow(places), lights)
    if bright is None:
        bright = max(float(torch.quantile(colour.amax(-1), EXPOSED)), 0.05) if len(colour) else 1.0
    picture, truth = np.broadcast_to(behind, (*hit.shape, 3)).astype(np.float32), np.zeros((*hit.shape, 3), np.int8)
    picture[hit] = to_srgb(colour * bright**-EXPOSURE).numpy()
    truth[hit] = (normals * 127).round().to(torch.int8).numpy()
    return picture, truth, bright


def random_shadow(random: np.random.Generator) -> Change:
    """Places (N, 3) to (N,) 0..1: how much of the first lamp comes past other things, mostly all of it."""
    if random.random() >= SHADED:
        return lambda places: torch.ones(len(places))
    edge, level, noise = float(random.uniform(2.0, 30.0)), float(random.uniform(-0.4, 0.4)), smooth_noise(random, random.uniform(1.0, 6.0))
    return lambda places: torch.sigmoid(edge * (noise(places) - level))


def random_paint(random: np.random.Generator) -> Change:
    """Colours (N, 3) sRGB to others: mostly as they are, now and then nearly one."""
    if random.random() >= PAINTED:
        return lambda albedo: albedo
    one = torch.tensor(random.uniform(0.1, 0.95, 3) if random.random() < 0.5 else np.full(3, random.uniform(0.15, 0.95))).float()
    kept = float(random.uniform(0.0, 0.15))
    return lambda albedo: (one + kept * (albedo - 0.5)).clamp(0, 1)


def eye_rays(distance: float) -> np.ndarray:
    """(S, S, 3) float32 unit vectors from what pixels show towards the camera, camera frame."""
    axis = frame.pixel_axis(SIZE)
    across, down = axis[None, :].expand(SIZE, SIZE), axis[:, None].expand(SIZE, SIZE)
    return normalize(torch.stack([-across, down, torch.full_like(across, distance)], -1), dim=-1).numpy()
