"""A second, closer look at objects that fill little of a photo: where it lies, and how both answers are put together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

MARGIN = 0.35  # of the object's longest side, kept on every side: the network wants to see what is around
WORTH = 0.95  # of the photo's longest side: a part that is hardly smaller shows nothing new
WEIGHT = 0.6  # of the closer answer where there are two
FEWEST = 20  # pixels that must have been found
LARGEST = 640  # pixels of the longest side of what both are put together on: a speck of a large photo must not cost minutes


class Part(NamedTuple):
    """A part of a photo, in its pixels; right and bottom are just outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def longest(self) -> int:
        """The longest side."""
        return max(self.right - self.left, self.bottom - self.top)


def part_about(found: Tensor, height: int, width: int) -> Part | None:
    """The part of a photo that deserves a closer look, or None where the object fills it or nothing was found.

    Args:
        found: (h, w) probability of foreground at any resolution.
        height: of the photo, pixels.
        width: of the photo, pixels.
    """
    inside = found > 0.5
    if int(inside.sum()) < FEWEST:
        return None
    rows, columns = (torch.nonzero(inside.any(axis))[:, 0] for axis in (1, 0))
    down, across = height / found.shape[0], width / found.shape[1]
    top, bottom = float(rows[0]) * down, float(rows[-1] + 1) * down
    left, right = float(columns[0]) * across, float(columns[-1] + 1) * across
    margin = MARGIN * max(bottom - top, right - left)
    part = Part(int(max(left - margin, 0)), int(max(top - margin, 0)), int(min(right + margin, width)), int(min(bottom + margin, height)))
    return part if part.longest <= WORTH * max(height, width) else None


def with_closer(odds: Tensor, closer: Tensor, part: Part, height: int, width: int) -> Tensor:
    """Log odds of the whole photo at the resolution of a closer look (at most `LARGEST` pixels), with its answer weighed in.

    Args:
        odds: (h, w) of the whole photo.
        closer: (a, b) of the part.
        part: where that is.
        height: of the photo, pixels.
        width: of the photo, pixels.

    Returns:
        (H, W) in the photo's shape.
    """
    scale = min(max(closer.shape) / part.longest, LARGEST / max(height, width))
    whole = resized(odds, max(round(height * scale), 1), max(round(width * scale), 1))
    top, left = round(part.top * scale), round(part.left * scale)
    place = whole[top : max(round(part.bottom * scale), top + 1), left : max(round(part.right * scale), left + 1)]
    place.copy_(WEIGHT * resized(closer, *place.shape) + (1 - WEIGHT) * place)
    return whole


def resized(odds: Tensor, height: int, width: int) -> Tensor:
    """(height, width) of any (h, w)."""
    return interpolate(odds[None, None], (height, width), mode="bilinear", antialias=True)[0, 0]
