"""A photographer's light: softboxes and a sky, as a bundle of small lamps that cast shadows and as something that gloss reflects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Softbox(NamedTuple):
    """A bright rectangle far away."""

    azimuth: float  # radians, 0 is +Z
    elevation: float  # radians above the horizon
    half_width: float  # radians
    half_height: float  # radians
    colour: tuple[float, float, float]  # radiance, linear


class Studio(NamedTuple):
    """All light of a photo, linear."""

    softboxes: tuple[Softbox, ...]
    zenith: tuple[float, float, float]  # radiance of the sky above
    horizon: tuple[float, float, float]  # radiance of the sky low down
    bounce: tuple[float, float, float]  # radiance from below


class Lamps(NamedTuple):
    """The light as L far lamps."""

    direction: Tensor  # (L, 3) towards the lamp, unit
    power: Tensor  # (L, 3) irradiance over pi on a surface that faces the lamp


def unit(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """(N, 3) directions from angles."""
    return np.stack([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], -1)


def lamps_of(studio: Studio, per_softbox: int, for_sky: int, rng: np.random.Generator) -> Lamps:
    """Sample the light: jittered grids over the softboxes, an even spiral over the upper half of the sky.

    Args:
        studio: the light.
        per_softbox: lamps for each softbox; more make smoother shadows.
        for_sky: lamps for the sky.
        rng: the jitter.
    """
    directions, power = [], []
    for number, softbox in enumerate(studio.softboxes):
        index = np.arange(per_softbox)
        u = (index + rng.random(per_softbox)) / per_softbox * 2 - 1
        v = ((index * 0.618034 + 0.5 * number + rng.random()) % 1) * 2 - 1
        directions.append(unit(softbox.azimuth + u * softbox.half_width, np.clip(softbox.elevation + v * softbox.half_height, 0.05, 1.56)))
        solid_angle = 4 * softbox.half_width * softbox.half_height * max(np.cos(softbox.elevation), 0.2)
        power.append(np.tile(np.array(softbox.colour) * solid_angle / np.pi / per_softbox, (per_softbox, 1)))
    step = np.arange(for_sky) + 0.5
    height = 1 - step / max(for_sky, 1) * 0.97
    directions.append(unit(step * 2.399963 + rng.random() * 6.28, np.arcsin(height)))
    sky = np.array(studio.horizon) * (1 - height[:, None]) + np.array(studio.zenith) * height[:, None]
    power.append(sky * 2 / max(for_sky, 1))
    as_tensors = (torch.tensor(np.concatenate(part), dtype=torch.float32) for part in (directions, power))
    return Lamps(*as_tensors)


def reflected(studio: Studio, direction: Tensor, blur: float) -> Tensor:
    """(P, 3) radiance that comes from unit directions (P, 3), softboxes blurred by ``blur`` radians."""
    up = direction[:, 1:2]
    zenith, horizon, bounce = (direction.new_tensor(value) for value in (studio.zenith, studio.horizon, studio.bounce))
    sky = horizon + (zenith - horizon) * up.clamp(0, 1) ** 0.5
    total = bounce + (sky - bounce) * torch.sigmoid(up / max(blur, 0.03))
    azimuth, elevation = torch.atan2(direction[:, 0], direction[:, 2]), torch.asin(up[:, 0].clamp(-1, 1))
    for box in studio.softboxes:
        turn = torch.remainder(azimuth - box.azimuth + np.pi, 2 * np.pi) - np.pi
        across = torch.sigmoid((box.half_width - (turn * torch.cos(elevation)).abs()) / (0.4 * blur + 0.01))
        along = torch.sigmoid((box.half_height - (elevation - box.elevation).abs()) / (0.4 * blur + 0.01))
        total = total + (across * along)[:, None] * direction.new_tensor(box.colour)
    return total


def random_studio(rng: np.random.Generator) -> Studio:
    """Any everyday light: a window, lamps, an overcast or blue sky, a photo box."""

    def tinted(strength: float, spread: float = 0.07) -> tuple[float, float, float]:
        warm = rng.normal(0, spread)
        return (strength * float(np.exp(warm)), strength, strength * float(np.exp(-warm)))

    softboxes = []
    for number in range(int(rng.integers(1, 4))):
        reach = rng.uniform(0.05, 0.5)
        strength = rng.uniform(1.0, 3.0) * (1.0 if number == 0 else rng.uniform(0.1, 0.7)) / (4 * reach * reach * 1.3)
        softboxes.append(Softbox(rng.uniform(-2.2, 2.2), rng.uniform(0.4, 1.3), reach, reach * rng.uniform(0.6, 1.6), tinted(strength)))
    sky = rng.uniform(0.25, 0.9)
    return Studio(tuple(softboxes), tinted(sky), tinted(sky * rng.uniform(0.5, 1.1)), tinted(sky * rng.uniform(0.15, 0.6)))
