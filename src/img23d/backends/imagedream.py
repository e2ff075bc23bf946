"""ImageDream: what an object looks like from four sides at once, by its photo and its name. Loaded as MVDream is; no remote code runs.

Reference: Wang and Shi, ImageDream: Image-Prompt Multi-view Diffusion for 3D Generation (2023), its variant that sees the photo's pixels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.diffusion_parts import AGAIN, clip_pixels, libraries, load_part, read_betas
from img23d.backends.joint_attention import join_views
from img23d.backends.mvdream import TOGETHER, load_unet
from img23d.backends.picture_prompts import HEAD, Resampler
from img23d.backends.stable_diffusion import StableDiffusion, with_text
from img23d.errors import WeightsError

FAMILY = "a conversion of ImageDream in diffusers' layout is needed: ashawkey/imagedream-ipmv-diffusers"


@dataclass(frozen=True)
class Known:
    """The photo as the network sees it, first when it is told nothing: as words (2, T, C) and as latents (2, 4, h, w)."""

    words: Tensor
    latents: Tensor


@dataclass(frozen=True)
class ImageDream:
    """A network that knows an object by its photo.

    Args:
        network: it, its autoencoder and its text encoder.
        encoder: of the photo; transformers' CLIPVisionModel.
        resampler: from that to words.
    """

    network: StableDiffusion
    encoder: Any
    resampler: Resampler

    @property
    def betas(self) -> tuple[str, float, float]:
        """Kind of noise schedule, and its first and last beta."""
        return self.network.betas

    @property
    def picture(self) -> int:
        """Pixels along each side of what it was trained on."""
        return self.network.picture

    def read(self, texts: list[str]) -> Tensor:
        """See `StableDiffusion.read`."""
        return self.network.read(texts)

    def latents(self, pictures: Tensor) -> Tensor:
        """See `StableDiffusion.latents`."""
        return self.network.latents(pictures)

    def pictures(self, latents: Tensor) -> Tensor:
        """See `StableDiffusion.pictures`."""
        return self.network.pictures(latents)

    @torch.no_grad()
    def look(self, picture: Tensor) -> Known:
        """What the network is told of a picture.

        Args:
            picture: (S, S, 3) sRGB 0..1, the object on one colour.
        """
        weight = next(self.network.unet.parameters())
        planes = picture.permute(2, 0, 1)[None].to(weight.device, torch.float32)
        shown = clip_pixels(planes, self.encoder.config.image_size).to(weight.dtype)
        places = self.encoder(shown, output_hidden_states=True).hidden_states[-2]  # before the last layer, as it was trained
        whole = F.interpolate(planes, (self.picture, self.picture), mode="bilinear", antialias=True).clamp(0, 1)
        latent = self.latents(whole.permute(0, 2, 3, 1))
        # Told nothing, it is told of a picture whose places are all zeros, which the resampler does not leave zero.
        return Known(self.resampler(torch.cat([torch.zeros_like(places), places])), torch.cat([torch.zeros_like(latent), latent]))

    @torch.no_grad()
    def noise(self, noisy: Tensor, step: int, told: Tensor, cameras: Tensor, known: Known) -> Tensor:
        """The noise in latents (B, 4, h, w) at a step: half of them told nothing, and then the others told of the photo.

        Args:
            told: (B, L, C) of texts.
            cameras: (B, 16); see `img23d.backends.mvdream.told_cameras`.
            known: the photo, which each four see as a fifth picture, without noise or camera.
        """
        groups = len(noisy) // TOGETHER
        photo, words = (part.repeat_interleave(groups // 2, 0)[:, None] for part in (known.latents, known.words))
        noisy, told, cameras = (rows.unflatten(0, (groups, TOGETHER)) for rows in (noisy, told, cameras))
        five = torch.cat([noisy, photo.to(noisy)], 1).flatten(0, 1)
        text = torch.cat([told, told[:, :1]], 1)
        context = torch.cat([text, words.to(text).expand(-1, TOGETHER + 1, -1, -1)], 2).flatten(0, 1)
        places = torch.cat([cameras, torch.zeros_like(cameras[:, :1])], 1).flatten(0, 1)
        return self.network.noise(five, step, context, places).unflatten(0, (groups, TOGETHER + 1))[:, :TOGETHER].flatten(0, 1)


@functools.lru_cache(maxsize=1)
def load(path: Path, device: str) -> ImageDream:
    """The network on its device, loaded once in a process; float16 on CUDA, but for the autoencoder.

    Args:
        path: folder with unet, vae, text_encoder, tokenizer, image_encoder and scheduler.
        device: where to compute.

    Raises:
        BackendError: diffusers or transformers is missing.
        WeightsError: the folder holds something else, or not all of it.
    """
    _, transformers = libraries()
    read_betas(path, FAMILY)
    unet, beside = load_unet(path, device, FAMILY)
    if not beside:
        raise WeightsError(f"{path / 'unet'} is not told of a picture", FAMILY)
    join_views(unet, TOGETHER + 1)
    encoder = load_part(transformers.CLIPVisionModel, path, "image_encoder", device)
    resampler = make_resampler(path, beside).to(next(unet.parameters()))
    if (
        resampler.proj_in.in_features != encoder.config.hidden_size
        or resampler.norm_out.normalized_shape[0] != unet.config.cross_attention_dim
    ):
        raise WeightsError(f"the image encoder in {path} does not fit its unet", AGAIN)
    return ImageDream(with_text(path, device, unet, FAMILY), encoder, resampler)


def make_resampler(path: Path, weights: dict[str, Tensor]) -> Resampler:
    """The resampler of these weights, whose sizes they tell.

    Raises:
        WeightsError: they are those of another network.
    """
    try:
        _, words, width = weights["latents"].shape
        places, inside = weights["proj_in.weight"].shape[1], weights["layers.0.0.to_q.weight"].shape[0]
        rounds = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
        if inside % HEAD:
            raise ValueError(f"{inside} numbers in heads of {HEAD}")
        resampler = Resampler(places, width, words, inside, rounds)
        resampler.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path / 'unet'} has no readable image_embed: {str(error).splitlines()[-1].strip()}", AGAIN) from error
    return resampler.eval().requires_grad_(False)
