"""Pinhole cameras: where each photo was taken from, and how it projects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from img23d.scene.shapes import check_shape


@dataclass(frozen=True)
class Cameras:
    """V pinhole cameras.

    Args:
        cam_to_world: (V, 4, 4) rigid transform from camera frame (x right, y up, looks along -z) to object frame.
        focal: (V, 2) focal length divided by image width and height.
        center: (V, 2) principal point divided by image width and height; (0.5, 0.5) is the middle.
    """

    cam_to_world: Tensor
    focal: Tensor
    center: Tensor

    def __post_init__(self) -> None:
        views = self.cam_to_world.shape[0]
        check_shape("cam_to_world", self.cam_to_world, None, 4, 4)
        check_shape("focal", self.focal, views, 2)
        check_shape("center", self.center, views, 2)

    def __len__(self) -> int:
        return self.cam_to_world.shape[0]

    def __getitem__(self, index: slice | list[int]) -> Cameras:
        return Cameras(self.cam_to_world[index], self.focal[index], self.center[index])

    def to(self, device: torch.device | str) -> Cameras:
        """The same cameras on another device."""
        return Cameras(self.cam_to_world.to(device), self.focal.to(device), self.center.to(device))

    def joined(self, others: Cameras) -> Cameras:
        """These cameras and then others."""
        pairs = ((self.cam_to_world, others.cam_to_world), (self.focal, others.focal), (self.center, others.center))
        return Cameras(*(torch.cat(pair) for pair in pairs))

    @property
    def position(self) -> Tensor:
        """(V, 3) camera centres in the object frame."""
        return self.cam_to_world[:, :3, 3]

    def project(self, points: Tensor) -> Tensor:
        """Project points to the image.

        Args:
            points: (N, 3) or (V, N, 3), object frame.

        Returns:
            (V, N, 3): x and y as fractions of the image (0, 0 top left; 1, 1 bottom right) and z-depth in object units.
            Points at or behind the camera have depth <= 0 and meaningless x, y.
        """
        rotation, position = self.cam_to_world[:, :3, :3], self.position
        points = points if points.dim() == 3 else points[None].expand(len(self), -1, -1)
        local = (points - position[:, None]) @ rotation
        depth = -local[..., 2]
        safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
        x = self.center[:, None, 0] + self.focal[:, None, 0] * local[..., 0] / safe
        y = self.center[:, None, 1] - self.focal[:, None, 1] * local[..., 1] / safe
        return torch.stack([x, y, depth], -1)

    def directions(self, xy: Tensor) -> Tensor:
        """Ray directions through image points, scaled so that the ray parameter is z-depth.

        Args:
            xy: (V, N, 2) image fractions.

        Returns:
            (V, N, 3) object-frame directions; ``position + depth * direction`` has z-depth ``depth``.
        """
        local = torch.cat(
            [(xy - self.center[:, None]) / self.focal[:, None] * xy.new_tensor([1.0, -1.0]), -torch.ones_like(xy[..., :1])], -1
        )
        return local @ self.cam_to_world[:, :3, :3].transpose(1, 2)

    def rays(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Rays through all pixel centres.

        Returns:
            origins (V, H, W, 3) and directions (V, H, W, 3); the ray parameter is z-depth.
        """
        xy = pixel_centers(height, width, self.focal).reshape(1, -1, 2).expand(len(self), -1, -1)
        directions = self.directions(xy).reshape(len(self), height, width, 3)
        return self.position[:, None, None].expand_as(directions), directions


def pixel_centers(height: int, width: int, like: Tensor) -> Tensor:
    """(H, W, 2) x, y image fractions of the pixel centres, with the dtype and device of ``like``."""
    y = (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5) / height
    x = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5) / width
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def orbit(azimuth: Tensor, elevation: Tensor, distance: Tensor, fov: Tensor) -> Cameras:
    """Cameras on a sphere, looking at the origin with +Y up.

    Args:
        azimuth: (V,) radians; 0 is on +Z, positive turns towards +X.
        elevation: (V,) radians above the horizon.
        distance: (V,) object units from the origin.
        fov: (V,) full field of view in radians, the same across and down (square images).
    """
    back = torch.stack([azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()], -1)
    right = torch.stack([azimuth.cos(), torch.zeros_like(azimuth), -azimuth.sin()], -1)
    up = torch.linalg.cross(back, right)
    pose = torch.zeros(len(azimuth), 4, 4, dtype=azimuth.dtype, device=azimuth.device)
    pose[:, :3, 0], pose[:, :3, 1], pose[:, :3, 2] = right, up, back
    pose[:, :3, 3], pose[:, 3, 3] = back * distance[:, None], 1.0
    focal = 0.5 / torch.tan(fov / 2)
    return Cameras(pose, focal[:, None].expand(-1, 2).contiguous(), torch.full_like(pose[:, 0, :2], 0.5))


def orbit_degrees(azimuth_deg: list[float], elevation_deg: float | list[float], distance: float, fov_deg: float) -> Cameras:
    """`orbit` from plain numbers in degrees; one elevation may serve all azimuths."""
    azimuth = torch.tensor(azimuth_deg, dtype=torch.float32) * (math.pi / 180)
    elevation = torch.as_tensor(elevation_deg, dtype=torch.float32).expand(len(azimuth)) * (math.pi / 180)
    full = torch.ones(len(azimuth))
    return orbit(azimuth, elevation, full * distance, full * math.radians(fov_deg))
