"""Zero-1-to-3: an object seen from another side, by diffusion. Its parts are loaded one by one with stock classes; no remote code runs.

Reference: Liu et al., Zero-1-to-3: Zero-shot One Image to 3D Object (2023); and Stability AI's Stable-Zero123, which was trained with
    the same network and another fourth number in its pose.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.diffusion_parts import AGAIN, Known, decode, encode, libraries, load_part, meaning, read_betas
from img23d.errors import WeightsError

PICTURE = 256  # pixels along each side of what it was trained on
LATENT_CHANNELS = 4
FAMILY = "a model of the Zero-1-to-3 family is needed"
PROJECTIONS = {"clip_camera_projection": "proj", "cc_projection": "projection"}  # folder of each conversion, and its name of the layer


class Turn(NamedTuple):
    """From the camera of the known picture to that of the wanted one; the distance from the object stays."""

    azimuth_deg: float  # to the camera's right
    elevation_deg: float  # upwards
    from_elevation_deg: float  # of the known picture's camera above the horizon


@dataclass(frozen=True)
class Zero123:
    """A network that draws an object from another side.

    Args:
        unet, vae, encoder: of diffusers and transformers.
        projection: (C, C + 4) from meaning and pose to the context.
        betas: kind of noise schedule and its first and last beta.
        tells_elevation: whether the pose's fourth number is the known camera's angle from the zenith (Stable-Zero123), not a change of
            distance. The network cannot tell: a wrong choice only draws worse.
    """

    unet: Any
    vae: Any
    encoder: Any
    projection: Any
    betas: tuple[str, float, float]
    tells_elevation: bool

    @property
    def latent_size(self) -> int:
        """Latents along each side."""
        return PICTURE >> (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def look(self, picture: Tensor) -> Known:
        """What the network is told of a picture.

        Args:
            picture: (S, S, 3) sRGB 0..1, the object on white.
        """
        planes = picture.permute(2, 0, 1)[None].to(next(self.unet.parameters()).device, torch.float32)
        whole = F.interpolate(planes, (PICTURE, PICTURE), mode="bilinear", antialias=True).clamp(0, 1)
        # The mode, and not times the scaling factor: so it was trained, though every other latent is scaled.
        latent = self.vae.encode((whole * 2 - 1).to(next(self.vae.parameters()).dtype)).latent_dist.mode()
        return Known(meaning(self.encoder, planes), latent)

    @torch.no_grad()
    def meaning(self, pictures: Tensor) -> Tensor:
        """(B, 1, C) what is on pictures (B, S, S, 3), sRGB 0..1 and the object on white."""
        return meaning(self.encoder, pictures.permute(0, 3, 1, 2).to(next(self.unet.parameters()).device, torch.float32))

    @torch.no_grad()
    def noise(self, noisy: Tensor, step: int, known: Known, turns: list[Turn]) -> tuple[Tensor, Tensor]:
        """The noise in latents (B, 4, h, w) at a step: told nothing, and told the picture and each one's turn."""
        weight = next(self.unet.parameters())
        poses = torch.tensor([pose(turn, self.tells_elevation) for turn in turns]).to(weight)[:, None]
        told = self.projection(torch.cat([known.meaning.expand(len(turns), -1, -1), poses], -1))
        context = torch.cat([torch.zeros_like(told), told])
        beside = known.latent.to(weight).expand(len(turns), -1, -1, -1)
        beside = torch.cat([torch.zeros_like(beside), beside])
        both = torch.cat([noisy, noisy]).to(weight)
        found = self.unet(torch.cat([both, beside], 1), step, encoder_hidden_states=context).sample
        nothing, told_noise = found.to(noisy.dtype).chunk(2)
        return nothing, told_noise

    def latents(self, pictures: Tensor) -> Tensor:
        """(B, S, S, 3) sRGB 0..1 to (B, 4, h, w), differentiable."""
        return encode(self.vae, pictures)

    def pictures(self, latents: Tensor) -> Tensor:
        """(B, S, S, 3) sRGB 0..1 of latents (B, 4, h, w)."""
        return decode(self.vae, latents)


def pose(turn: Turn, tells_elevation: bool) -> list[float]:
    """What the network is told of a turn: change of the angle from the zenith, sine and cosine of the azimuth's, and a fourth number.

    Reference: Zero-1-to-3's code, whose fourth number is the change of distance, 0 here; Stable-Zero123 has the known camera's angle
        from the zenith there instead.
    """
    azimuth = math.radians(turn.azimuth_deg)
    fourth = math.radians(90.0 - turn.from_elevation_deg) if tells_elevation else 0.0
    return [-math.radians(turn.elevation_deg), math.sin(azimuth), math.cos(azimuth), fourth]


def tells_elevation(path: Path, said: str = "auto") -> bool:
    """Whether a model is told the known camera's elevation: as the user says, or by its name."""
    return "stable-zero123" in str(path).lower() if said == "auto" else said == "elevation"


@functools.lru_cache(maxsize=1)
def load(path: Path, device: str, said: str = "auto") -> Zero123:
    """The network on its device, loaded once in a process; float16 on CUDA, but for the autoencoder.

    Args:
        path: folder with unet, vae, image_encoder, scheduler and clip_camera_projection or cc_projection.
        device: where to compute.
        said: what the pose's fourth number is: distance, elevation, or auto by the folder's name.

    Raises:
        BackendError: diffusers or transformers is missing.
        WeightsError: the folder holds something else, or not all of it.
    """
    diffusers, transformers = libraries()
    betas = read_betas(path, FAMILY)
    unet = load_part(diffusers.UNet2DConditionModel, path, "unet", device)
    vae = load_part(diffusers.AutoencoderKL, path, "vae", device)
    encoder = load_part(transformers.CLIPVisionModelWithProjection, path, "image_encoder", device)
    if unet.config.in_channels != 2 * LATENT_CHANNELS:
        raise WeightsError(f"{path / 'unet'} takes {unet.config.in_channels} channels, not 8", FAMILY)
    projection = read_projection(path).to(device, next(unet.parameters()).dtype)
    if projection.in_features != encoder.config.projection_dim + 4 or projection.out_features != unet.config.cross_attention_dim:
        raise WeightsError(f"the camera projection in {path} does not fit its networks", AGAIN)
    return Zero123(unet, vae, encoder, projection, betas, tells_elevation(path, said))


def read_projection(path: Path) -> torch.nn.Linear:
    """The layer that joins meaning and pose, whichever way it was converted.

    Raises:
        WeightsError: there is none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for folder, name in PROJECTIONS.items():
        files = sorted((path / folder).glob("*.safetensors"))
        if not files:
            continue
        try:
            tensors = load_file(str(files[0]))
            weight, bias = tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float()
        except (SafetensorError, KeyError) as error:
            raise WeightsError(f"{files[0]} holds no camera projection: {error}", AGAIN) from error
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer.requires_grad_(False)
    raise WeightsError(f"{path} has neither {' nor '.join(PROJECTIONS)}", FAMILY)
