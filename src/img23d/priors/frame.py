"""The frame in which the embedded networks see and answer: a recentred square crop and its own camera.

The object's bounding box in the picture is centred and its longest side is `FILL` of the picture. Lengths are half-widths of the crop at
mid-depth, the middle of the object's extent in depth, so that the picture alone fixes the scale: x runs over -1..1 to the right, y over
-1..1 upwards, and depth counts from mid-depth, positive away from the camera. The camera is ``1 / tan(fov / 2)`` before mid-depth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

IMAGE_SIZE = 128  # pixels along each side of the crop
PIXELS_PER_RAY = 2
VOLUME_SIZE = IMAGE_SIZE // PIXELS_PER_RAY  # rays along each side of the volume
DEPTH_BINS = 64
DEPTH_RANGE = 1.25  # the volume's samples lie at mid-depth -DEPTH_RANGE .. DEPTH_RANGE, ends included
TRUNCATION = 0.12  # largest signed distance told, in half-widths
FILL = 0.85
FOV_RANGE = (math.radians(8.0), math.radians(58.0))


class Pose(NamedTuple):
    """How the camera of the crop sees the object."""

    rotation: Tensor  # (3, 3) rows right, up, back of the camera in the object frame
    fov: float  # radians, of the crop
    elevation: float  # radians above the horizon
    roll: float  # radians


class Framed(NamedTuple):
    """An object's points in the frame of the crop: ``scale * rotation @ point - offset``."""

    local: Tensor  # (N, 3) x right, y up, z towards the camera
    scale: float
    offset: Tensor  # (3,)
    distance: float  # camera to mid-depth


def camera_pose(azimuth: float, elevation: float, roll: float, fov: float, device: torch.device | str = "cpu") -> Pose:
    """The pose of a camera at some azimuth and elevation around +Y, turned about its own axis by ``roll`` (all radians)."""
    ca, sa, ce, se, cr, sr = *both(azimuth), *both(elevation), *both(roll)
    axes = torch.tensor([[ca, 0.0, -sa], [-sa * se, ce, -ca * se], [sa * ce, se, ca * ce]])
    turn = torch.tensor([[cr, sr, 0.0], [-sr, cr, 0.0], [0.0, 0.0, 1.0]])
    return Pose((turn @ axes).to(device), fov, elevation, roll)


def both(angle: float) -> tuple[float, float]:
    """Cosine and sine."""
    return math.cos(angle), math.sin(angle)


def frame(points: Tensor, pose: Pose, fill: float = FILL, shift: tuple[float, float] = (0.0, 0.0)) -> Framed:
    """Move and scale an object until its picture's bounding box is centred with longest side ``fill`` of the picture.

    Args:
        points: (N, 3) object frame.
        pose: the camera.
        fill: longest side of the bounding box as a fraction of the picture.
        shift: where the box's centre goes, -1..1 across the picture.
    """
    turned = points @ pose.rotation.T
    distance = 1.0 / math.tan(pose.fov / 2)
    scale = 2.0 * fill / float((turned[:, :2].amax(0) - turned[:, :2].amin(0)).max().clamp(min=1e-9))
    offset = (turned.amax(0) + turned.amin(0)) * (scale / 2)
    for _ in range(8):
        local = scale * turned - offset
        xy = local[:, :2] * (distance / (distance - local[:, 2:]).clamp(min=0.05 * distance))
        low, high = xy.amin(0), xy.amax(0)
        change = min(max(2.0 * fill / float((high - low).max().clamp(min=1e-9)), 0.5), 2.0)
        scale, offset = scale * change, offset * change
        centre = torch.cat([((low + high) / 2 - low.new_tensor(shift)) * change, low.new_zeros(1)])
        offset = offset + centre
    return Framed(scale * turned - offset, scale, offset, distance)


def project(local: Tensor, distance: float) -> tuple[Tensor, Tensor]:
    """Where points of the crop's frame appear.

    Args:
        local: (N, 3) x, y, z towards the camera.
        distance: camera to mid-depth.

    Returns:
        (N, 2) x, y as fractions of the picture (0, 0 top left), and (N,) z-depth from the camera.
    """
    depth = distance - local[:, 2]
    xy = local[:, :2] * (distance / depth.clamp(min=1e-6))[:, None]
    return 0.5 + xy * xy.new_tensor([0.5, -0.5]), depth


def pixel_axis(size: int, device: torch.device | str = "cpu") -> Tensor:
    """(size,) pixel centres over -1..1."""
    return (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (2.0 / size) - 1.0


def bin_depths(bins: int = DEPTH_BINS, device: torch.device | str = "cpu") -> Tensor:
    """(bins,) depths of the volume's samples from mid-depth, from near to far."""
    return torch.linspace(-DEPTH_RANGE, DEPTH_RANGE, bins, device=device)


def ray_points(distance: float, size: int, depths: Tensor) -> Tensor:
    """(D, size, size, 3) points at depths (D,) from mid-depth along the rays of a picture, with the camera at ``distance``."""
    line = pixel_axis(size, depths.device)
    depth, y, x = torch.meshgrid(depths, -line, line, indexing="ij")
    grow = (distance + depth) / distance
    return torch.stack([x * grow, y * grow, -depth], -1)
