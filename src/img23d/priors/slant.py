"""Depths told by a network that is unsure are flatter than the truth; this makes them as deep as objects are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.priors.solid import spread_blur

STEEPER = 1.1
SMOOTH = 6.0  # pixels of the crop


def steepen(
    layers: tuple[Tensor, Tensor], volume: Tensor, depths: Tensor, mask: Tensor, factor: float = STEEPER
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Move what lies before the object's middle nearer and what lies behind it farther, every ray as a whole.

    The median depth of a ray, which the network tells, lies nearer to the mean of all when it is not sure which way a part slants: on
    held-out objects its extent in depth was 0.86 of the truth in the median, while thicknesses were right (1.03). So the surface midway
    between first and last is steepened about its mean, and thicknesses stay.

    Args:
        layers: (S, S) first and last surface.
        volume: (D, h, w) signed distances along the rays.
        depths: (D,) of the volume's samples, evenly spaced.
        mask: (S, S) coverage.
        factor: on the slant; 1 changes nothing.

    Returns:
        The layers and the volume, moved.
    """
    inside = mask > 0.5
    if factor == 1.0 or not bool(inside.any()):
        return layers, volume
    middle = (layers[0] + layers[1]) / 2
    middle = spread_blur(torch.where(inside, middle, torch.zeros_like(middle)), inside, SMOOTH)
    shift = (factor - 1.0) * (middle - middle[inside].mean())
    coarse = F.interpolate(shift[None, None], size=volume.shape[1:], mode="area")[0, 0]
    source = (depths[:, None, None] - coarse - depths[0]) / (depths[1] - depths[0])
    low = source.floor().clamp(0, len(depths) - 2)
    share, index = (source - low).clamp(0, 1), low.long()
    moved = volume.gather(0, index) * (1 - share) + volume.gather(0, index + 1) * share
    return (layers[0] + shift, layers[1] + shift), moved
