"""SyncDreamer: an object from sixteen sides, drawn together by diffusion. Loaded into stock networks and our own; no remote code runs.

Reference: Liu et al., SyncDreamer: Generating Multiview-consistent Images from a Single-view Image (2024), and its released code.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.depth_attention import DepthBlocks, told_nothing
from img23d.backends.diffusion_parts import CLIP_MEAN, CLIP_SIZE, CLIP_SPREAD, decode, placed
from img23d.backends.sync_checkpoint import Published, read
from img23d.backends.sync_volume import AZIMUTHS_DEG, ELEVATION_DEG, SIDES, SyncVolume
from img23d.backends.zero123 import Turn, pose

PUBLISHED = Published()


@dataclass(frozen=True)
class Told:
    """What the network is told of a photo: its meaning (1, 1, C), its latent (1, 4, h, w), and the turn to each side (16, 4)."""

    meaning: Tensor
    latent: Tensor
    sides: Tensor


def told_sides(elevation_deg: float) -> Tensor:
    """(16, 4) the turn from a photo to each side: as Zero-1-to-3 is told, with no change of distance.

    Args:
        elevation_deg: of the photo's camera above the horizon.
    """
    turns = (Turn(azimuth, ELEVATION_DEG - elevation_deg, elevation_deg) for azimuth in AZIMUTHS_DEG)
    return torch.tensor([pose(turn, False) for turn in turns])


def step_waves(step: int, count: int) -> Tensor:
    """(1, count) cosines and then sines of a step, as the network's first layer takes it."""
    frequencies = torch.exp(-math.log(10_000) * torch.arange(count // 2) / (count // 2))
    return torch.cat([(step * frequencies).cos(), (step * frequencies).sin()])[None]


@dataclass(frozen=True)
class SyncDreamer:
    """A network that draws an object from sixteen sides, each of which sees the others in a volume.

    Args:
        unet, vae, encoder: of diffusers and transformers; ``depth`` is attached to the first.
        depth: the U-Net's attention to the volume.
        volume: the networks of the volume.
        time: (T, T) of what these are told of the step.
        projection: (C + 4, C) from meaning and turn to the context.
        picture: pixels along each side of what it was trained on.
    """

    unet: Any
    vae: Any
    encoder: Any
    depth: DepthBlocks
    volume: SyncVolume
    time: Any
    projection: Any
    picture: int

    @property
    def betas(self) -> tuple[Any, float, float]:
        """Kind of noise schedule, and its first and last beta; they stand in the code and not in the checkpoint's layout."""
        return "scaled_linear", 0.00085, 0.012

    @property
    def latent_size(self) -> int:
        """Latents along each side."""
        return self.picture >> (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def look(self, picture: Tensor, elevation_deg: float) -> Told:
        """What the network is told of a picture.

        Args:
            picture: (S, S, 3) sRGB 0..1, the object on white.
            elevation_deg: of its camera above the horizon.
        """
        device = next(self.unet.parameters()).device
        planes = picture.permute(2, 0, 1)[None].to(device, torch.float32)
        whole = F.interpolate(planes, (self.picture, self.picture), mode="bilinear", antialias=True).clamp(0, 1)
        # Not filtered, and corner on corner: so its code shows a picture to CLIP.
        shown = F.interpolate(whole, (CLIP_SIZE, CLIP_SIZE), mode="bicubic", align_corners=True)
        mean, spread = (shown.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_SPREAD))
        seen = self.encoder(((shown - mean) / spread).to(next(self.encoder.parameters()).dtype)).image_embeds[:, None]
        # The mode, and not times the scaling factor: the code multiplies by it and divides again, as Zero-1-to-3 was trained without.
        latent = self.vae.encode((whole * 2 - 1).to(next(self.vae.parameters()).dtype)).latent_dist.mode()
        return Told(seen, latent, told_sides(elevation_deg).to(device))

    @torch.no_grad()
    def noise(self, noisy: Tensor, step: int, told: Told, batch: int, both: bool = True) -> tuple[Tensor, Tensor]:
        """The noise in latents (16, 4, h, w) at a step: told nothing, and told the photo and what the sides have in common.

        Args:
            noisy: in the order of `AZIMUTHS_DEG`.
            step: of the noise schedule.
            told: from `look`.
            batch: sides that are looked at at once; changes nothing but memory and time.
            both: else the second is given twice, for half of the work.
        """
        waves = self.time(step_waves(step, self.volume.sizes.time).to(noisy.device))
        together = self.volume.together(noisy.float(), waves, told.sides)
        answers = []
        for first in range(0, SIDES, batch):
            chosen = list(range(first, min(first + batch, SIDES)))
            frustums = self.volume.frustums(together, waves, told.sides[chosen], chosen, noisy.shape[-1])
            answers.append(self._seen(noisy[chosen], step, told, told.sides[chosen], frustums, both))
        nothing, all_told = zip(*answers)
        return torch.cat(nothing), torch.cat(all_told)

    def _seen(self, noisy: Tensor, step: int, told: Told, sides: Tensor, frustums: tuple[Tensor, ...], both: bool) -> tuple[Tensor, Tensor]:
        """`noise` of some sides, by what they look into. Told nothing, one sees zeros for context, photo and volume, and its own noise."""
        weight = next(self.unet.parameters())
        parts = torch.cat([told.meaning.expand(len(noisy), -1, -1).to(weight), sides[:, None].to(weight)], -1)
        context, beside, seen = self.projection(parts), told.latent.to(weight).expand(len(noisy), -1, -1, -1), noisy.to(weight)
        if both:
            context, beside = (torch.cat([torch.zeros_like(one), one]) for one in (context, beside))
            seen, frustums = torch.cat([seen, seen]), told_nothing(frustums)
        with self.depth.looking(frustums):
            found = self.unet(torch.cat([seen, beside], 1), step, encoder_hidden_states=context).sample.to(noisy.dtype)
        return found[: len(noisy)], found[-len(noisy) :]

    def pictures(self, latents: Tensor) -> Tensor:
        """(16, S, S, 3) sRGB 0..1 of latents (16, 4, h, w), one after the other."""
        return torch.cat([decode(self.vae, latents[number : number + 1]) for number in range(len(latents))])


@functools.lru_cache(maxsize=1)
def load(path: Path, device: str) -> SyncDreamer:
    """The network on its device, loaded once in a process; float16 on CUDA, but for autoencoder and volume.

    Args:
        path: a .safetensors file with the published checkpoint's tensors, or a folder with such files.
        device: where to compute.

    Raises:
        BackendError, WeightsError: see `img23d.backends.sync_checkpoint.read`.
    """
    networks = read(Path(path), PUBLISHED)
    for part, network in networks.items():
        whole = part in ("vae", "volume", "time")
        networks[part] = placed(network, "vae" if whole else part, device)
    networks["depth"].attach(networks["unet"])
    return SyncDreamer(**networks, picture=PUBLISHED.picture)
