"""The embedded shape network: a compact 2D U-Net whose volume head answers one channel per depth bin."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from img23d.priors import frame
from img23d.priors.view_head import ViewHead, view_planes

INPUTS = 10  # rgb, mask, edge distance, inflated half-thickness, x, y, fov, fov known
PLANES = 12  # depths 2, normal 3, back colour 3, scales 4
DEPTH_SCALE = 0.5  # outputs of 1 mean this many half-widths
FOV_MIDDLE, FOV_SPREAD = 0.55, 0.25  # radians: fov goes in and out as (fov - middle) / spread
ELEVATION_MIDDLE, ELEVATION_SPREAD = 0.35, 0.35
# Elevation from which on the camera's head is believed, and the error it may expect of itself; otherwise what was there before errs less.
FROM_ABOVE, DOUBTED = math.radians(45.0), math.radians(13.0)
ROLL_SPREAD = 0.1
SCALE_MIDDLE = 1.5  # scales of elevation, roll and fov come out as logarithms of radians, so much higher
VIEWED = (0, 1, 3)  # of what is told of the pose: elevation, roll, and the scale of the elevation


class Answer(NamedTuple):
    """What the network says about B crops; S pixels, D bins. Scales are those of Laplace distributions, as logarithms."""

    volume: Tensor  # (B, D, h, w) signed distance over the truncation, not clamped
    depth: Tensor  # (B, 2, S, S) first and last surface from mid-depth
    normal: Tensor  # (B, 3, S, S) unit, camera frame
    back_rgb: Tensor  # (B, 3, S, S)
    log_scale: Tensor  # (B, 4, S, S) of first depth, last depth, 1 - cosine of the normal, back colour
    pose: Tensor  # (B, 3) elevation, roll, fov in radians
    pose_log_scale: Tensor  # (B, 3)


class Block(nn.Module):
    """Two convolutions with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.middle = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        y = self.first(torch.relu(self.norm(x)))
        return x + self.second(torch.relu(self.middle(y)))


def row(width: int, count: int) -> nn.Sequential:
    """``count`` blocks, one after the other."""
    return nn.Sequential(*(Block(width) for _ in range(count)))


class Attention(nn.Module):
    """Self-attention over all places, for what distant parts tell about each other."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        batch, width, rows, columns = x.shape
        parts = self.mix(self.norm(x)).reshape(batch, 3, self.heads, width // self.heads, rows * columns).transpose(-1, -2)
        mixed = attend(*parts.unbind(1))
        return x + self.out(mixed.transpose(-1, -2).reshape(batch, width, rows, columns))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention of (B, heads, places, C).

    Where a CPU learns, as plain matrix products: torch's own kernel takes five times as long there on its way back in bfloat16 (150 and
    27 ms of one core for 64 samples of 64 places, 29 November 2026).
    """
    if query.device.type != "cpu" or not torch.is_grad_enabled():
        return nn.functional.scaled_dot_product_attention(query, key, value)
    return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2), -1) @ value


class Mixer(nn.Module):
    """Attention over all places, then two layers for each place alone; changes nothing at first."""

    def __init__(self, width: int, expand: int = 4) -> None:
        super().__init__()
        self.attention = Attention(width)
        self.norm = nn.BatchNorm2d(width)
        self.first = nn.Conv2d(width, expand * width, 1)
        self.second = nn.Conv2d(expand * width, width, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        x = self.attention(x)
        return x + self.second(nn.functional.gelu(self.first(self.norm(x))))


class ShapeNetwork(nn.Module):
    """From a crop to volume, layered depths, normals, back colour and pose.

    A U-Net works on patches of 4 x 4 pixels, where nearly all its arithmetic is; a thin branch at half size adds what is finer.
    Depths and volume are corrections of the inflated silhouette, so that an untrained network answers plain inflation.

    Args:
        widths: channels at 1/4, 1/8, ... of the picture.
        blocks: residual blocks at these sizes, on the way down.
        up_blocks: residual blocks on the way up, at all these sizes but the last.
        volume_width: channels from which the bins are computed.
        fine_width: channels of the branch at 1/2 of the picture.
        mixers: blocks of attention at the second smallest size, on the way up.
        view: whether views from above are told from its own answer (`img23d.priors.view_head`).
    """

    def __init__(
        self, widths: tuple[int, ...] = (48, 96, 192), blocks: tuple[int, ...] = (1, 1, 2), up_blocks: tuple[int, ...] = (1, 1),
        volume_width: int = 96, fine_width: int = 16, mixers: int = 0, view: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sizes = {
            "widths": tuple(widths), "blocks": tuple(blocks), "up_blocks": tuple(up_blocks),
            "volume_width": volume_width, "fine_width": fine_width, "mixers": mixers, "view": view,
        }  # fmt: skip
        self.picture_size = frame.IMAGE_SIZE  # pixels along each side of the pictures it was last trained on
        self.stem = nn.Conv2d(16 * INPUTS, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(row(width, count) for width, count in zip(widths, blocks))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.attention = Attention(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in itertools.pairwise(widths))
        self.up_blocks = nn.ModuleList(row(width, count) for width, count in zip(widths[:-1], up_blocks))
        self.mixers = nn.Sequential(*(Mixer(widths[-2]) for _ in range(mixers)))
        self.norm = nn.BatchNorm2d(widths[0])
        bins = nn.Conv2d(volume_width, frame.DEPTH_BINS, 1)
        self.volume = nn.Sequential(nn.Conv2d(widths[0], volume_width, 3, padding=1), nn.ReLU(), bins)
        self.fine_stem = nn.Conv2d(4 * INPUTS, fine_width, 3, padding=1)
        self.to_fine = nn.Conv2d(widths[0], 4 * fine_width, 1)
        self.fine_block = Block(fine_width)
        self.fine_volume = nn.Conv2d(fine_width, frame.DEPTH_BINS, 1)
        self.planes = nn.Conv2d(fine_width, 4 * PLANES, 3, padding=1)
        pose = nn.Linear(64, 6)
        self.pose = nn.Sequential(nn.Linear(widths[-1], 64), nn.ReLU(), pose)
        self.view = ViewHead(widths[-1]) if view else None
        for last in (bins, self.fine_volume, self.planes, pose):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def inner(self) -> list[nn.Module]:
        """The modules between the first and the last layers."""
        return [self.down_blocks, self.down, self.attention, self.up, self.up_blocks, self.mixers, self.fine_block]

    def forward(self, inputs: Tensor) -> Answer:
        """Answer for inputs (B, INPUTS, S, S) made by `network_inputs`."""
        x = self.stem(nn.functional.pixel_unshuffle(inputs, 4))
        kept = []
        for level, blocks in enumerate(self.down_blocks):
            x = blocks(x)
            if level < len(self.down):
                kept.append(x)
                x = self.down[level](x)
        x = self.attention(x)
        whole = x.mean((2, 3))
        told = self.pose(whole).float()
        for level in reversed(range(len(self.up))):
            x = self.up_blocks[level](kept[level] + nn.functional.interpolate(self.up[level](x), scale_factor=2.0, mode="nearest"))
            if level == len(self.up) - 1:
                x = self.mixers(x)
        x = torch.relu(self.norm(x))
        fine = self.fine_block(self.fine_stem(nn.functional.pixel_unshuffle(inputs, 2)) + nn.functional.pixel_shuffle(self.to_fine(x), 2))
        fine = torch.relu(fine)
        change = nn.functional.interpolate(self.volume(x), scale_factor=2.0, mode="bilinear", align_corners=False) + self.fine_volume(fine)
        height = inputs[:, 5:6]
        out = nn.functional.pixel_shuffle(self.planes(fine), 2).float()
        depth = DEPTH_SCALE * out[:, :2] + torch.cat([-height, height], 1)
        facing = torch.cat([out[:, 2:4], out[:, 4:5] + 1.0], 1)
        normal, log_scale = nn.functional.normalize(facing, dim=1, eps=1e-4), (out[:, 8:12] - 2.0).clamp(-6.0, 2.0)
        if self.view is not None:  # it learns from the answer, which does not change for its sake
            more = self.view(view_planes(inputs[:, 3:4], normal, depth, log_scale[:, 2:3]).detach(), whole.detach()).float()
            seen = told.index_add(1, torch.tensor(VIEWED, device=told.device), more)
            above = (seen[:, :1] > (FROM_ABOVE - ELEVATION_MIDDLE) / ELEVATION_SPREAD) & (seen[:, 3:4] < math.log(DOUBTED) + SCALE_MIDDLE)
            # Of the error to expect only the head knows anything.
            told = seen if self.view.training else torch.cat([torch.where(above, seen, told)[:, :3], seen[:, 3:]], 1)
        pose = told[:, :3] * told.new_tensor([ELEVATION_SPREAD, ROLL_SPREAD, FOV_SPREAD])
        pose = pose + told.new_tensor([ELEVATION_MIDDLE, 0.0, FOV_MIDDLE])
        return Answer(
            change.float() + inflated_volume(height, inputs[:, 3:4]), depth, normal, out[:, 5:8] + inputs[:, :3].float(), log_scale,
            pose, (told[:, 3:] - SCALE_MIDDLE).clamp(-5.0, 2.0),
        )  # fmt: skip


def inflated_volume(height: Tensor, mask: Tensor) -> Tensor:
    """(B, D, S/2, S/2) signed distance along the rays, over the truncation and clamped, of the inflated silhouette (B, 1, S, S)."""
    height = nn.functional.avg_pool2d(height.float(), 2)
    inside = nn.functional.avg_pool2d(mask.float(), 2)
    depths = frame.bin_depths(frame.DEPTH_BINS, height.device)[:, None, None]
    volume = ((depths.abs() - height) / frame.TRUNCATION + (1.0 - inside)).clamp(-1.0, 1.0)
    return volume.contiguous(memory_format=torch.channels_last)  # as the network's own part: mixed layouts add up at a fifth of the speed


def network_inputs(rgb: Tensor, mask: Tensor, thickness: Tensor, fov: Tensor) -> Tensor:
    """Stack what the network sees.

    Args:
        rgb: (B, 3, S, S) 0..1, multiplied by the mask.
        mask: (B, 1, S, S) 0..1.
        thickness: (B, 2, S, S) edge distance and inflated half-thickness from `img23d.ops.inflate.inflate`.
        fov: (B,) radians of the crop, nan where it is not known.

    Returns:
        (B, INPUTS, S, S) float32.
    """
    batch, _, size, _ = rgb.shape
    axis = frame.pixel_axis(size, rgb.device)
    x, y = axis[None, :].expand(size, size), -axis[:, None].expand(size, size)
    known = ~fov.isnan()
    told = torch.stack([torch.where(known, (fov - FOV_MIDDLE) / FOV_SPREAD, torch.zeros_like(fov)), known.to(fov.dtype)], -1)
    planes = torch.stack([x, y]).expand(batch, 2, size, size)
    return torch.cat([rgb, mask, thickness, planes, told[:, :, None, None].expand(batch, 2, size, size)], 1)
