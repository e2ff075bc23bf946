"""How far to believe what the network says of the camera's elevation.

Of pictures unlike those it learnt from, and of what looks alike from many heights, it says something near the middle of all elevations it
has seen, and its own expected error tells which these are. Such a picture mostly was taken from about as high as the thing itself, which
stands upright: what was told is drawn towards that, the more the greater the doubt and the taller the thing.
"""

from __future__ import annotations

import math

from torch import Tensor

from img23d.priors import frame
from img23d.priors.embedded import Prediction

# Fitted to views of held-out objects, half of them counted as if seen from 6 +- 8 degrees and half as if from 0 to 40: see the model card.
DOUBTFUL = math.radians(10.0)  # expected error
GENTLE, STEEP, TALL = -1.2, 3.4, 2.0  # log odds of not believing it at that doubt; their growth with its logarithm and the aspect's
EYE_LEVEL, UPRIGHT = math.radians(5.0), 0.4  # what it is drawn to then, and how much of the elevation at which the solid stands upright
LEANS = math.radians(-20.0), math.radians(40.0)  # elevations at which solids are taken to stand upright
WIDEST = 0.6  # logarithm of the aspect from which on it makes no difference


def settled_elevation(said: Prediction) -> float:
    """The camera's elevation, radians: as told where that is not doubted.

    Args:
        said: the network's answer.
    """
    inside = said.mask > 0.5
    if not bool(inside.any()):
        return said.elevation
    taller = min(max(math.log(aspect(inside)), -WIDEST), WIDEST)
    odds = GENTLE + STEEP * math.log(max(said.elevation_doubt, 1e-6) / DOUBTFUL) + TALL * taller
    usual = EYE_LEVEL + UPRIGHT * min(max(upright_elevation(said), LEANS[0]), LEANS[1])
    return said.elevation + (usual - said.elevation) / (1 + math.exp(-odds))


def aspect(inside: Tensor) -> float:
    """Height over width of what is inside (H, W)."""
    rows, columns = (inside.any(axis).nonzero()[:, 0] for axis in (1, 0))
    return float(rows[-1] - rows[0] + 1) / float(columns[-1] - columns[0] + 1)


def upright_elevation(said: Prediction) -> float:
    """The elevation, radians, at which the solid stands upright: the middle between front and back neither leans to the camera nor away."""
    axis, middle = frame.pixel_axis(said.mask.shape[-1], said.mask.device), 1 / math.tan(said.fov / 2)
    depth = 0.5 * (said.front_depth + said.back_depth)
    height = -axis[:, None] * (middle + depth) / middle
    weight = (said.back_depth - said.front_depth).clamp(min=0) * (said.mask > 0.5)
    total = weight.sum().clamp(min=1e-9)
    height, depth = (values - (values * weight).sum() / total for values in (height, depth))
    across, along = (weight * height * depth).sum(), (weight * height.square()).sum()
    return math.atan2(-float(across), max(float(along), 1e-9))
