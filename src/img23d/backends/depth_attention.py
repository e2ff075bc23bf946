"""Attention along lines of sight: how each place of a picture in a diffusion U-Net reads the volume that it looks into.

Reference: Liu et al., SyncDreamer: Generating Multiview-consistent Images from a Single-view Image (2024), and its released code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

HEADS = 4
GROUPS = 8  # of the norms


class DepthAttention(nn.Module):
    """Attention from each place of a picture to the places of a volume that lie behind it, and to no others.

    Args:
        width: numbers of a place of the picture.
        features: of a place of the volume.
    """

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.to_q = nn.Conv2d(width, width, 1, bias=False)
        self.to_k, self.to_v = (nn.Conv3d(features, width, 1, bias=False) for _ in range(2))
        self.to_out = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, places: Tensor, volume: Tensor) -> Tensor:
        """(B, width, h, w) of places (B, width, h, w) and a volume (B, features, D, h, w)."""
        asked = self.to_q(places).unflatten(1, (HEADS, -1))
        keys, values = (layer(volume).unflatten(1, (HEADS, -1)) for layer in (self.to_k, self.to_v))
        share = (asked[:, :, :, None] / math.sqrt(asked.shape[2]) * keys).sum(2, keepdim=True).softmax(3)
        seen: Tensor = self.to_out((share * values).sum(3).flatten(1, 2))
        return seen


class DepthBlock(nn.Module):
    """What `DepthAttention` sees, added to a picture's places. Parts are named as in the published weights.

    Args:
        channels: of the picture.
        features: of the volume.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        width = HEADS * (features // 2)
        self.proj_in = nn.Sequential(nn.Conv2d(channels, width, 1), nn.GroupNorm(GROUPS, width), nn.SiLU())
        self.proj_context = nn.Sequential(nn.Conv3d(features, features, 1, bias=False), nn.GroupNorm(GROUPS, features), nn.ReLU())
        self.depth_attn = DepthAttention(width, features)
        self.proj_out = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(GROUPS, width), nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, picture: Tensor, volume: Tensor) -> Tensor:
        """(B, channels, h, w) to the same shape, by a volume (B, features, D, h, w)."""
        added: Tensor = self.proj_out(self.depth_attn(self.proj_in(picture), self.proj_context(volume)))
        return picture + added


class Place(NamedTuple):
    """Where in diffusers' network a block stands: behind which part, as wide as which level, and which level of the volumes it reads."""

    part: str
    width: int
    volume: int


MIDDLE = Place("mid_block", 3, 3)
# On the way up, but for the coarsest level, which has no attention at all. Behind the last block of a level it stands behind the upsampler.
UPWARDS = (
    Place("up_blocks.1.attentions.0", 2, 2), Place("up_blocks.1.attentions.1", 2, 2), Place("up_blocks.1.upsamplers.0", 2, 1),
    Place("up_blocks.2.attentions.0", 1, 1), Place("up_blocks.2.attentions.1", 1, 1), Place("up_blocks.2.upsamplers.0", 1, 0),
    *(Place(f"up_blocks.3.attentions.{number}", 0, 0) for number in range(3)),
)  # fmt: skip


class DepthBlocks(nn.Module):
    """All such blocks of a U-Net of four levels, each of two residual blocks on the way down.

    Args:
        channels: of the network's levels, finest first.
        features: of the volumes' levels, finest first.
    """

    def __init__(self, channels: tuple[int, ...], features: tuple[int, ...]) -> None:
        super().__init__()
        self.middle_conditions = DepthBlock(channels[MIDDLE.width], features[MIDDLE.volume])
        self.output_conditions = nn.ModuleList(DepthBlock(channels[place.width], features[place.volume]) for place in UPWARDS)
        self._volumes: tuple[Tensor, ...] = ()

    def attach(self, unet: nn.Module) -> None:
        """Put the blocks into diffusers' UNet2DConditionModel, which then answers only within `looking`."""
        for place, block in zip((MIDDLE, *UPWARDS), (self.middle_conditions, *self.output_conditions)):
            unet.get_submodule(place.part).register_forward_hook(self._behind(block, place.volume))

    def _behind(self, block: nn.Module, level: int) -> Any:
        def hook(part: nn.Module, given: Any, answer: Any) -> Any:
            if isinstance(answer, tuple):  # as attention's are
                return (block(answer[0], self._volumes[level]), *answer[1:])
            return block(answer, self._volumes[level])

        return hook

    @contextmanager
    def looking(self, volumes: tuple[Tensor, ...]) -> Iterator[None]:
        """Let the network see volumes (B, features, D, h, w), finest first, each half as large as the one before, while this lasts."""
        weight = next(self.parameters())
        self._volumes = tuple(volume.to(weight) for volume in volumes)
        try:
            yield
        finally:
            self._volumes = ()


def told_nothing(volumes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same volumes with as many empty ones before each: what the half of the guidance sees that is told nothing."""
    return tuple(torch.cat([torch.zeros_like(volume), volume]) for volume in volumes)
