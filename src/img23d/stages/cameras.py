"""The photo's camera: elevation, and the scale at which the object fits its cube."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.config import Estimate
from img23d.ops.depth import depth_to_points
from img23d.scene import Cameras
from img23d.scene.cameras import orbit_degrees

LOWEST = -90.0  # what is below is no elevation: it shall be estimated
DEFAULT_ELEVATION_DEG = 12.0
REACH = 0.93  # the solid fills this much of the cube [-1, 1]^3


def chosen_elevation(options: Estimate, guess_deg: float = DEFAULT_ELEVATION_DEG) -> float:
    """The user's elevation in degrees, or else a guess."""
    return guess_deg if options.elevation_deg < LOWEST else options.elevation_deg


def fitted_camera(layers: Tensor, inside: Tensor, elevation_deg: float, fov_deg: float) -> tuple[Cameras, float]:
    """The camera at the scale at which all surface points fit the cube.

    Args:
        layers: (L, S, S) z-depths in half-widths of the crop at the middle of the object, which is 1 / tan(fov / 2) away.
        inside: (S, S) bool, where they mean something.

    Returns:
        The camera (V = 1), and the object units per half-width.
    """
    cameras = orbit_degrees([0.0], elevation_deg, 1.0 / math.tan(math.radians(fov_deg) / 2), fov_deg).to(layers.device)
    points = torch.cat([depth_to_points(layer[None], cameras)[0][inside] for layer in layers])
    unit = REACH / float(points.abs().max())
    return orbit_degrees([0.0], elevation_deg, unit / math.tan(math.radians(fov_deg) / 2), fov_deg), unit


def upsample_map(maps: Tensor, size: int) -> Tensor:
    """(C, S, S) -> (C, size, size), bicubic."""
    return F.interpolate(maps[None], size=(size, size), mode="bicubic", align_corners=False)[0]
