"""The volume in which SyncDreamer's sixteen sides meet: made of all noisy pictures, and looked into from each side.

Reference: Liu et al., SyncDreamer: Generating Multiview-consistent Images from a Single-view Image (2024), and its released code for the
    layers and for where samples lie.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img23d.scene import Cameras
from img23d.scene.cameras import orbit_degrees

SIDES = 16
AZIMUTHS_DEG = tuple(360.0 / SIDES * number for number in range(SIDES))
"""Of the sides, to the right of the photo's, about the upward axis of the world."""
ELEVATION_DEG = 30.0  # of them all, above the horizon, whatever the photo's is
DISTANCE = 1.5  # of their cameras from the middle of the object, which fits into a cube with sides of 1
FOCAL = 280 / 256  # of the picture's width
HALF = 0.5  # the volume reaches from -HALF to HALF
REACH = 0.86603  # how far behind and before the middle a side's frustum begins and ends: half of the cube's diagonal, rounded as published
CHANNELS, SIDE = 4, 4  # of the noisy pictures, and numbers that the networks are told of a side
GROUPS = 8  # of the norms


class Sizes(NamedTuple):
    """Of the networks.

    Args:
        time: numbers of what they are told of the step.
        features: of a picture's place, before it goes into the volume.
        levels: features of the volumes' levels, finest first.
        voxels: of the volume along each side.
        depths: of a frustum.
    """

    time: int = 256
    features: int = 16
    levels: tuple[int, int, int, int] = (64, 128, 256, 512)
    voxels: int = 32
    depths: int = 48


def cameras() -> Cameras:
    """The sixteen, in a frame as ours: y up, the first side's azimuth on +z."""
    return orbit_degrees(list(AZIMUTHS_DEG), ELEVATION_DEG, DISTANCE, math.degrees(2 * math.atan(0.5 / FOCAL)))


def in_pictures(seen_by: Cameras, voxels: int, size: int) -> Tensor:
    """Where each voxel is in pictures of ``size`` samples a side, in `grid_sample`'s coordinates with aligned corners.

    Returns:
        (V, voxels, voxels², 2); voxels along z, y, x of the network's world, whose z is up and whose first side is on +x: z, x, y of ours.
    """
    line = torch.linspace(-HALF, HALF, voxels, device=seen_by.focal.device)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    # The networks take sample n for the place n / size of the picture, half a sample beside its middle: so they were trained.
    at = seen_by.project(torch.stack([y, z, x], -1).reshape(-1, 3))[..., :2] * size
    return (at * 2 / (size - 1) - 1).reshape(len(seen_by), voxels, voxels**2, 2)


def in_volume(seen_by: Cameras, depths: int, size: int) -> Tensor:
    """Where each place of the cameras' frustums is in the volume, in `grid_sample`'s coordinates with aligned corners.

    Returns:
        (V, depths, size, size, 3): x, y, z of the network's world.
    """
    line = torch.arange(size, device=seen_by.focal.device) / size
    xy = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(1, -1, 2).expand(len(seen_by), -1, -1)
    depth = torch.linspace(DISTANCE - REACH, DISTANCE + REACH, depths, device=line.device)
    points = seen_by.position[:, None, None] + depth[:, None, None] * seen_by.directions(xy)[:, None]
    return (points[..., [2, 0, 1]] / HALF).reshape(len(seen_by), depths, size, size, 3)


class ToldPicture(nn.Module):
    """A residual block of a picture that is told the step and the side."""

    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.time_embed, self.view_embed = nn.Conv2d(time, channels, 1), nn.Conv2d(SIDE, channels, 1)
        parts = [(nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)) for _ in range(2)]
        self.conv = nn.Sequential(*parts[0], *parts[1])

    def forward(self, picture: Tensor, time: Tensor, side: Tensor) -> Tensor:
        added: Tensor = self.conv(picture + self.time_embed(time) + self.view_embed(side))
        return picture + added


class TargetEncoder(nn.Module):
    """Features of noisy pictures."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.features
        self.init_conv = nn.Conv2d(CHANNELS, width, 3, padding=1)
        self.out_conv0, self.out_conv1, self.out_conv2 = (ToldPicture(width, sizes.time) for _ in range(3))
        self.final_out = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, noisy: Tensor, time: Tensor, sides: Tensor) -> Tensor:
        """(V, 4, h, w), (1, T), (V, 4) to (V, features, h, w)."""
        time, sides = time[..., None, None], sides[..., None, None]
        seen = self.init_conv(noisy)
        for block in (self.out_conv0, self.out_conv1, self.out_conv2):
            seen = block(seen, time, sides)
        features: Tensor = self.final_out(seen)
        return features


class Told(nn.Module):
    """A convolution of a volume that is told the step, and perhaps the side; with a stride of 2 or to twice the size.

    Args:
        channels, out: of the volume before and after.
        time: numbers that tell the step.
        side: numbers that tell the side, 0 for none.
        stride: 2 halves the volume.
        up: whether it doubles it.
    """

    def __init__(self, channels: int, out: int, time: int, side: int = 0, stride: int = 1, up: bool = False) -> None:
        super().__init__()
        self.t_conv, self.v_conv = nn.Conv3d(time, channels, 1), nn.Conv3d(side, channels, 1) if side else None
        self.norm_name = "norm" if up else "bn"  # as they are called in the published weights
        self.add_module(self.norm_name, nn.GroupNorm(GROUPS, channels))
        if up:
            self.conv: nn.Module = nn.ConvTranspose3d(channels, out, 3, stride=2, padding=1, output_padding=1)
        else:
            self.conv = nn.Conv3d(channels, out, 3, stride=stride, padding=1)

    def forward(self, volume: Tensor, time: Tensor, sides: Tensor | None = None) -> Tensor:
        """(B, C, d, h, w), (1, T, 1, 1, 1), (B, 4, 1, 1, 1)."""
        told = volume + self.t_conv(time)
        if self.v_conv is not None:
            told = told + self.v_conv(sides)
        answer: Tensor = self.conv(F.silu(self.get_submodule(self.norm_name)(told)))
        return answer


class SpatialNet(nn.Module):
    """A 3D U-Net of the features of all sides."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        levels, time = sizes.levels, sizes.time
        self.init_conv = nn.Conv3d(SIDES * sizes.features, levels[0], 3, padding=1)
        self.conv0 = Told(levels[0], levels[0], time)
        for level in (1, 2, 3):
            self.add_module(f"conv{2 * level - 1}", Told(levels[level - 1], levels[level], time, stride=2))
            for number in (0, 1):
                self.add_module(f"conv{2 * level}_{number}", Told(levels[level], levels[level], time))
            self.add_module(f"conv{10 - level}", Told(levels[level], levels[level - 1], time, up=True))

    def forward(self, volume: Tensor, time: Tensor) -> Tensor:
        """(1, 16 · features, v, v, v), (1, T) to (1, C, v, v, v)."""
        time = time[..., None, None, None]
        seen = [self.conv0(self.init_conv(volume), time)]
        for level in (1, 2, 3):
            here = seen[-1]
            for name in (f"conv{2 * level - 1}", f"conv{2 * level}_0", f"conv{2 * level}_1"):
                here = self.get_submodule(name)(here, time)
            seen.append(here)
        up = seen[3]
        for level in (3, 2, 1):
            up = seen[level - 1] + self.get_submodule(f"conv{10 - level}")(up, time)
        return up


class FrustumNet(nn.Module):
    """A 3D U-Net of what a side looks into."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        levels, time = sizes.levels, sizes.time
        self.conv0 = nn.Conv3d(levels[0], levels[0], 3, padding=1)
        for level in (1, 2, 3):
            self.add_module(f"conv{2 * level - 1}", Told(levels[level - 1], levels[level], time, SIDE, stride=2))
            self.add_module(f"conv{2 * level}", Told(levels[level], levels[level], time, SIDE))
            self.add_module(f"up{3 - level}", Told(levels[level], levels[level - 1], time, SIDE, up=True))

    def forward(self, volume: Tensor, time: Tensor, sides: Tensor) -> tuple[Tensor, ...]:
        """(B, C, d, h, w), (1, T), (B, 4) to four levels, finest first, each half as large as the one before."""
        time, sides = time[..., None, None, None], sides[..., None, None, None]
        seen = [self.conv0(volume)]
        for level in (1, 2, 3):
            here = self.get_submodule(f"conv{2 * level - 1}")(seen[-1], time, sides)
            seen.append(self.get_submodule(f"conv{2 * level}")(here, time, sides))
        for level in (3, 2, 1):
            seen[level - 1] = self.get_submodule(f"up{3 - level}")(seen[level], time, sides) + seen[level - 1]
        return tuple(seen)


class SyncVolume(nn.Module):
    """The networks of the volume. Parts are named as in the published weights.

    Args:
        sizes: of them.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.target_encoder = TargetEncoder(sizes)
        self.spatial_volume_feats = SpatialNet(sizes)
        self.frustum_volume_feats = FrustumNet(sizes)

    def together(self, noisy: Tensor, time: Tensor, sides: Tensor) -> Tensor:
        """The volume of all sides: (16, 4, h, h), (1, T), (16, 4) to (1, C, v, v, v)."""
        seen, voxels = self.target_encoder(noisy, time, sides), self.sizes.voxels
        places = in_pictures(cameras().to(noisy.device), voxels, noisy.shape[-1])
        inside = F.grid_sample(seen, places, mode="bilinear", padding_mode="zeros", align_corners=True)
        volume: Tensor = self.spatial_volume_feats(inside.reshape(1, -1, voxels, voxels, voxels), time)
        return volume

    def frustums(self, volume: Tensor, time: Tensor, sides: Tensor, chosen: list[int], size: int) -> tuple[Tensor, ...]:
        """What some sides look into: four levels (B, C, depths, size, size), finest first, each half as large as the one before.

        Args:
            volume: (1, C, v, v, v) of `together`.
            time: (1, T).
            sides: (B, 4) what is told of them.
            chosen: (B,) their numbers.
            size: places along each side of their pictures.
        """
        places = in_volume(cameras()[chosen].to(volume.device), self.sizes.depths, size)
        seen = F.grid_sample(volume.expand(len(chosen), -1, -1, -1, -1), places, mode="bilinear", padding_mode="zeros", align_corners=True)
        levels: tuple[Tensor, ...] = self.frustum_volume_feats(seen, time, sides)
        return levels
