"""What a model that knows only words is told of the side that it sees, so that no face looks out of every side."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SIDES = ("front", "side", "back", "overhead")
OVERHEAD_DEG = 60.0
FRONT_DEG, BACK_DEG = 45.0, 135.0
# Height, speed and shift of a exp(-b r) + c, the weight of what is not to be seen, where r is the share of the front, or of the side.
FRONT_OR_SIDE, SIDE_OR_BACK, FRONT_FROM_BEHIND = (4.0, 0.5, -2.426), (1.0, 0.5, -0.606), (1.0, 0.5, 0.967)


def side_prompts(prompt: str) -> list[str]:
    """The prompt for each of `SIDES`.

    Reference: Poole et al., DreamFusion (2023), view-dependent conditioning.
    """
    return [f"{prompt}, {side} view" for side in SIDES]


def side_of(azimuth_deg: float, elevation_deg: float) -> int:
    """Which of `SIDES` a camera sees, 0 degrees of azimuth being the front."""
    turned = abs((azimuth_deg + 180.0) % 360.0 - 180.0)
    if elevation_deg > OVERHEAD_DEG:
        return SIDES.index("overhead")
    return SIDES.index("front" if turned < FRONT_DEG else "back" if turned > BACK_DEG else "side")


def mixed_sides(azimuth_deg: float) -> tuple[Tensor, list[tuple[int, float]]]:
    """What is to be seen from a side, and what is not.

    Args:
        azimuth_deg: of the camera; 0 sees the front.

    Returns:
        (4,) how much of each of `SIDES` is seen, adding up to 1; and numbers of `SIDES` that are not, each with its weight, at most 0.

    Reference: Armandpour et al., Re-imagine the Negative Prompt Algorithm (Perp-Neg, 2023); constants of DreamCraft3D's
        released settings.
    """
    front, side, back, _ = range(4)
    turned = abs((azimuth_deg + 180.0) % 360.0 - 180.0) / 90.0
    share = torch.zeros(4)
    if turned < 1:
        share[front], share[side] = 1 - turned, turned
        unwanted = [(front, _decay(FRONT_OR_SIDE, 1 - turned)), (side, _decay(FRONT_OR_SIDE, turned))]
    else:
        share[side], share[back] = 2 - turned, turned - 1
        unwanted = [(side, _decay(SIDE_OR_BACK, 2 - turned)), (front, _decay(FRONT_FROM_BEHIND, 2 - turned))]
    return share, [(number, -max(0.0, weight)) for number, weight in unwanted]


def _decay(constants: tuple[float, float, float], place: float) -> float:
    height, speed, shift = constants
    return height * math.exp(-speed * place) + shift


def without_unwanted(nothing: Tensor, wanted: Tensor, unwanted: list[tuple[Tensor, float]], scale: float) -> Tensor:
    """Guided noise from which what is not wanted is taken, as far as it does not speak of what is.

    Args:
        nothing: (C, h, w) noise that a network sees when it is told nothing.
        wanted: when it is told what is wanted.
        unwanted: when it is told what is not, each with its weight, at most 0.
        scale: of the guidance; 1 takes ``wanted``.

    Reference: Perp-Neg: what is taken away is perpendicular to what is wanted.
    """
    towards = wanted - nothing
    total, size = towards, towards.square().sum().clamp(min=1e-12)
    for noise, weight in unwanted:
        away = noise - nothing
        total = total + weight * (away - (away * towards).sum() / size * towards)
    return nothing + scale * total
