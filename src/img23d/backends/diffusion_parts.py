"""Parts of diffusion models, loaded one by one with stock classes from folders in diffusers' layout; no remote code runs."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.precision import precision
from img23d.errors import BackendError, WeightsError

AGAIN = "fetch or import the model again"
CLIP_SIZE = 224
CLIP_MEAN, CLIP_SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Known:
    """A known picture as a network sees it: its meaning (1, 1, C) and its latent (1, 4, h, w)."""

    meaning: Tensor
    latent: Tensor


def libraries() -> tuple[Any, Any]:
    """diffusers and transformers.

    Raises:
        BackendError: one of them is missing.
    """
    try:
        diffusers, transformers = importlib.import_module("diffusers"), importlib.import_module("transformers")
        for library, name in ((diffusers, "UNet2DConditionModel"), (diffusers, "AutoencoderKL"), (transformers, "CLIPTextModel"),
                              (transformers, "CLIPVisionModelWithProjection")):  # fmt: skip
            getattr(library, name)  # a lazy library fails here, not at its import
    except (ImportError, AttributeError, RuntimeError) as error:
        raise BackendError(f"diffusers does not load: {str(error).splitlines()[0]}", "pip install 'img23d[diffusion]'") from error
    return diffusers, transformers


def load_part(kind: Any, path: Path, name: str, device: str) -> Any:
    """One network of a model on its device, not to be trained; float16 on CUDA, but for autoencoders.

    Gradients go back through these, divided by how many numbers a latent has: too small for float16.

    Args:
        kind: class with ``from_pretrained``.
        path: folder of the model.
        name: folder of the part in it.

    Raises:
        WeightsError: it cannot be loaded.
    """
    variant = "fp16" if any((path / name).glob("*.fp16.safetensors")) else None
    try:
        part = kind.from_pretrained(path / name, variant=variant, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path / name} cannot be loaded: {reason}", AGAIN) from error
    return placed(part, name, device)


def placed(part: Any, name: str, device: str) -> Any:
    """A network on its device, not to be trained; float16 on CUDA, but for what is named vae."""
    return part.to(device, torch.float32 if name == "vae" else precision(device)).eval().requires_grad_(False)


def read_betas(path: Path, needed: str) -> tuple[str, float, float]:
    """Kind, first and last beta of a folder's noise schedule.

    Args:
        path: folder of the model.
        needed: what to try where it predicts something else than the noise.

    Raises:
        WeightsError: no such file, or another kind of model.
    """
    try:
        said = json.loads((path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        betas = str(said["beta_schedule"]), float(said["beta_start"]), float(said["beta_end"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} has no readable scheduler/scheduler_config.json", "a folder in diffusers' layout is needed") from error
    predicts = said.get("prediction_type", "epsilon")
    if predicts != "epsilon" or betas[0] not in ("linear", "scaled_linear"):
        raise WeightsError(f"{path} predicts {predicts} with {betas[0]} betas", needed)
    return betas


def meaning(encoder: Any, planes: Tensor) -> Tensor:
    """(B, 1, C) what transformers' CLIPVisionModelWithProjection makes of pictures (B, 3, S, S), sRGB 0..1."""
    seen: Tensor = encoder(clip_pixels(planes, CLIP_SIZE).to(next(encoder.parameters()).dtype)).image_embeds[:, None]
    return seen


def encode(vae: Any, pictures: Tensor) -> Tensor:
    """Latents of pictures, differentiable: (B, S, S, 3) sRGB 0..1 to (B, 4, S / 8, S / 8), scaled as the network sees them.

    The mean of the encoder's answer, not a sample of it: one source of noise less in what is distilled.
    """
    weight = next(vae.parameters())
    planes = (pictures * 2 - 1).permute(0, 3, 1, 2).to(weight.dtype)
    return (vae.encode(planes).latent_dist.mean * vae.config.scaling_factor).to(pictures.dtype)


def clip_pixels(planes: Tensor, size: int) -> Tensor:
    """(B, 3, size, size) of pictures (B, 3, S, S) sRGB 0..1, as CLIP sees them."""
    small = F.interpolate(planes, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, spread = (small.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_SPREAD))
    return (small - mean) / spread


@torch.no_grad()
def decode(vae: Any, latents: Tensor) -> Tensor:
    """(B, S, S, 3) sRGB 0..1 of latents (B, 4, h, w)."""
    weight = next(vae.parameters())
    drawn = vae.decode((latents / vae.config.scaling_factor).to(weight)).sample
    return (drawn.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
