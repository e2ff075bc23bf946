"""Stable Diffusion 1 and 2: what an object looks like by its name.

Reference: Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from img23d.backends.diffusion_parts import AGAIN, decode, encode, libraries, load_part, read_betas
from img23d.errors import WeightsError

LATENT_CHANNELS = 4
FAMILY = "a Stable Diffusion 1 or 2 model that predicts the noise is needed: stable-diffusion-2-1-base, stable-diffusion-1-5"


@dataclass(frozen=True)
class StableDiffusion:
    """A network that knows pictures by their texts.

    Args:
        unet, vae, encoder, tokenizer: of diffusers and transformers.
        betas: kind of noise schedule and its first and last beta.
    """

    unet: Any
    vae: Any
    encoder: Any
    tokenizer: Any
    betas: tuple[str, float, float]

    @property
    def picture(self) -> int:
        """Pixels along each side of what it was trained on."""
        return int(self.unet.config.sample_size) << (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def read(self, texts: list[str]) -> Tensor:
        """(P, L, C) what the network is told of texts; what is longer than L words or parts of words is cut off."""
        length = self.tokenizer.model_max_length
        words = self.tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
        return self.encoder(words.to(self.encoder.device))[0]

    def latents(self, pictures: Tensor) -> Tensor:
        """(B, S, S, 3) sRGB 0..1 to (B, 4, h, w), differentiable."""
        return encode(self.vae, pictures)

    @torch.no_grad()
    def noise(self, noisy: Tensor, step: int, told: Tensor, cameras: Tensor | None = None) -> Tensor:
        """The noise in latents (B, 4, h, w) at a step, each told its text of (B, L, C).

        Args:
            cameras: (B, 16) for a network that is told where each is seen from: `img23d.backends.mvdream`.
        """
        weight = next(self.unet.parameters())
        places = None if cameras is None else cameras.to(weight)
        return self.unet(noisy.to(weight), step, encoder_hidden_states=told.to(weight), class_labels=places).sample.to(noisy.dtype)

    def pictures(self, latents: Tensor) -> Tensor:
        """(B, S, S, 3) sRGB 0..1 of latents (B, 4, h, w)."""
        return decode(self.vae, latents)


@functools.lru_cache(maxsize=1)
def load(path: Path, device: str) -> StableDiffusion:
    """The network on its device, loaded once in a process; float16 on CUDA, but for the autoencoder.

    Args:
        path: folder with unet, vae, text_encoder, tokenizer and scheduler.
        device: where to compute.

    Raises:
        BackendError: diffusers or transformers is missing.
        WeightsError: the folder holds something else, or not all of it.
    """
    diffusers, _ = libraries()
    read_betas(path, FAMILY)  # before the large files
    unet = load_part(diffusers.UNet2DConditionModel, path, "unet", device)
    if unet.config.in_channels != LATENT_CHANNELS:
        raise WeightsError(f"{path / 'unet'} takes {unet.config.in_channels} channels, not {LATENT_CHANNELS}", FAMILY)
    return with_text(path, device, unet, FAMILY)


def with_text(path: Path, device: str, unet: Any, needed: str) -> StableDiffusion:
    """A network with the parts that stand beside it in a folder.

    Args:
        path: folder with vae, text_encoder, tokenizer and scheduler.
        device: where to compute.
        unet: on that device.
        needed: what to try where the folder holds another kind of model.

    Raises:
        BackendError, WeightsError: see `load`.
    """
    diffusers, _ = libraries()
    betas = read_betas(path, needed)
    vae = load_part(diffusers.AutoencoderKL, path, "vae", device)
    encoder, tokenizer = load_text(path, device, unet)
    return StableDiffusion(unet, vae, encoder, tokenizer, betas)


def load_text(path: Path, device: str, unet: Any) -> tuple[Any, Any]:
    """The text encoder and the tokenizer that stand beside a network.

    Raises:
        BackendError, WeightsError: see `load`.
    """
    _, transformers = libraries()
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path / 'tokenizer'} cannot be loaded: {(str(error).splitlines() or ['?'])[0]}", AGAIN) from error
    encoder = load_part(transformers.CLIPTextModel, path, "text_encoder", device)
    if encoder.config.hidden_size != unet.config.cross_attention_dim:
        raise WeightsError(f"the text encoder in {path} does not fit its unet", AGAIN)
    return encoder, tokenizer
