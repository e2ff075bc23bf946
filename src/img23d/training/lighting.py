"""Random light on surface points: sky and ground, up to three lamps, soft shadow and ambient occlusion from the carved solid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img23d.training.carve import HALF_SIZE, TRUNCATION


class Lights(NamedTuple):
    """Lamps in the object frame, linear light."""

    sky: Tensor  # (3,) from above
    ground: Tensor  # (3,) from below
    direction: Tensor  # (L, 3) towards each lamp
    colour: Tensor  # (L, 3)
    wrap: float  # 0 hard Lambert .. 1 light from half the space
    gloss: float  # strength of the highlight
    shininess: float
    shadow: bool


def random_lights(random: np.random.Generator, back: Tensor) -> Lights:
    """Lamps mostly above and not behind the object.

    Args:
        random: numbers.
        back: (3,) direction from the object to the camera.
    """

    def tint(strength: float) -> Tensor:
        return torch.tensor(strength * np.exp(random.normal(0.0, 0.08, 3)), dtype=torch.float32, device=back.device)

    directions, colours = [], []
    camera = np.arctan2(float(back[0]), float(back[2]))
    for number in range(int(random.integers(1, 4))):
        azimuth = camera + random.uniform(-2.2, 2.2) if number else camera + random.uniform(-1.6, 1.6)
        elevation = random.uniform(0.15, 1.35)
        directions.append([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
        colours.append(tint(random.uniform(0.3, 1.2) if number == 0 else random.uniform(0.0, 0.5)))
    direction = torch.tensor(np.array(directions), dtype=torch.float32, device=back.device)
    ambient = random.uniform(0.2, 0.9)
    gloss = random.uniform(0.0, 0.6) if random.random() < 0.4 else 0.0
    return Lights(
        tint(ambient), tint(ambient * random.uniform(0.3, 1.0)), direction, torch.stack(colours), float(random.uniform(0.0, 0.4)),
        float(gloss), float(np.exp(random.uniform(1.5, 4.5))), bool(random.random() < 0.6),
    )  # fmt: skip


def distance_at(solid: Tensor, points: Tensor) -> Tensor:
    """(N,) carved distance at object points (N, 3), from the (D, D, D) solid in object units; grows by the distance outside the cube."""
    inside = points.clamp(-HALF_SIZE, HALF_SIZE)
    grid = (inside / HALF_SIZE)[None, None, None]
    value = torch.nn.functional.grid_sample(solid[None, None], grid, align_corners=True, padding_mode="border")[0, 0, 0, 0]
    return value + (points - inside).norm(dim=-1)


def visibility(solid: Tensor, points: Tensor, normals: Tensor, lights: Lights) -> tuple[Tensor, Tensor]:
    """How much of the sky and of the first lamp reaches surface points.

    Args:
        solid: (D, D, D) carved distance, object units.
        points: (N, 3) object frame, undeformed.
        normals: (N, 3) outward.
        lights: the lamps.

    Returns:
        (N,) ambient occlusion and (N,) soft shadow of the first lamp, both 0 dark .. 1 open.
    """
    start = points + 0.02 * normals
    occlusion = torch.ones(len(points), device=points.device)
    for reach in (0.03, 0.07):
        occlusion = occlusion - 0.5 * (1.0 - distance_at(solid, points + reach * normals) / reach).clamp(0.0, 1.2)
    occlusion = occlusion.clamp(0.15, 1.0)
    shadow = torch.ones_like(occlusion)
    if lights.shadow:
        travelled = 0.04
        for _ in range(7):
            near = distance_at(solid, start + travelled * lights.direction[0])
            shadow = torch.minimum(shadow, (0.5 + 6.0 * near / (travelled + 0.05)).clamp(0.0, 1.0))
            travelled *= 1.55
    return occlusion, shadow


def shade(albedo: Tensor, normals: Tensor, views: Tensor, occlusion: Tensor, shadow: Tensor, lights: Lights) -> Tensor:
    """(N, 3) linear light towards the camera.

    Args:
        albedo: (N, 3) linear.
        normals: (N, 3) unit, towards the camera's side.
        views: (N, 3) unit, towards the camera.
        occlusion: (N,) from `visibility`.
        shadow: (N,) from `visibility`.
        lights: the lamps.

    Reference:
        Blinn, Models of light reflection for computer synthesized pictures (1977), with Lambert's cosine wrapped around.
    """
    sky = (0.5 + 0.5 * normals[:, 1:2]) * occlusion[:, None]
    light = lights.sky * sky + lights.ground * (1.0 - (0.5 + 0.5 * normals[:, 1:2])) * occlusion[:, None]
    highlight = torch.zeros_like(albedo)
    for number, (direction, colour) in enumerate(zip(lights.direction, lights.colour)):
        cosine = ((normals @ direction + lights.wrap) / (1.0 + lights.wrap)).clamp(min=0.0)
        if number == 0:
            cosine = cosine * shadow
        light = light + colour * cosine[:, None]
        if lights.gloss:
            half = torch.nn.functional.normalize(views + direction, dim=-1)
            highlight = highlight + colour * (lights.gloss * cosine * (normals * half).sum(-1).clamp(min=0.0) ** lights.shininess)[:, None]
    return albedo * light + highlight


def to_linear(colour: Tensor) -> Tensor:
    """sRGB 0..1 to linear light, by the power 2.2."""
    return colour.clamp(min=0.0) ** 2.2


def to_srgb(light: Tensor) -> Tensor:
    """Linear light to sRGB 0..1, by the power 1 / 2.2."""
    return light.clamp(0.0, 1.0) ** (1.0 / 2.2)


SOLID_SCALE = TRUNCATION / 127.0  # int8 of a carved solid to object units
