"""A diffusion model of canonical coordinate maps: which shapes there are, seen from where.

A stock U-Net whose latents are the maps themselves, three coordinates and the mask, and which is told the camera as of a class.

Reference: Li et al., SweetDreamer: Aligning Geometric Priors in 2D Diffusion for Consistent Text-to-3D (2024).
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from img23d.backends.diffusion_parts import AGAIN, libraries, placed, read_betas
from img23d.backends.exact_weights import bare_network, fill, read_tensors
from img23d.backends.stable_diffusion import load_text
from img23d.errors import WeightsError
from img23d.ops.coordinates import CHANNELS

CAMERA = 12  # numbers that it is told of a side
CLASSES = ("UNet2DConditionModel", "MyUNet2DConditionModel")  # diffusers' own, and the published code's
EMBEDDINGS = ("projection", "simple_projection")
FAMILY = "img23d train coordinates makes such a model; SweetDreamer's own was never released"
PUBLISHED = "camera_embedding.models."  # before the names of the published code's camera layers
NORM_EPS = 1e-5


@dataclass(frozen=True)
class CoordinateModel:
    """A network that knows coordinate maps, perhaps by their texts.

    Args:
        unet: of diffusers.
        encoder, tokenizer: of transformers; None where it knows no words.
        betas: kind of noise schedule and its first and last beta.
    """

    unet: Any
    encoder: Any
    tokenizer: Any
    betas: tuple[Any, float, float]

    @property
    def size(self) -> int:
        """Pixels along each side of the maps that it was trained on."""
        return int(self.unet.config.sample_size)

    @torch.no_grad()
    def read(self, texts: list[str]) -> Tensor:
        """(P, L, C) what the network is told of texts; zeros where it knows no words."""
        if self.encoder is None:
            return torch.zeros(len(texts), 1, 1)
        words = self.tokenizer(
            texts, padding="max_length", max_length=self.tokenizer.model_max_length, truncation=True, return_tensors="pt"
        ).input_ids
        return self.encoder(words.to(self.encoder.device))[0]  # type: ignore[no-any-return]

    def latents(self, maps: Tensor) -> Tensor:
        """(B, S, S, 4) maps of `img23d.ops.coordinates` as (B, 4, S, S): nothing is encoded."""
        return maps.permute(0, 3, 1, 2)

    @torch.no_grad()
    def noise(self, noisy: Tensor, step: int, told: Tensor, cameras: Tensor) -> Tensor:
        """The noise in latents (B, 4, S, S) at a step, each told its text of (B, L, C) and its camera of (B, 12)."""
        weight = next(self.unet.parameters())
        return answer(self.unet, noisy.to(weight), step, told.to(weight), cameras.to(weight)).to(noisy.dtype)


def answer(unet: Any, noisy: Tensor, steps: int | Tensor, told: Tensor, cameras: Tensor) -> Tensor:
    """(B, 4, S, S) what the network itself says, differentiable in its weights."""
    return unet(noisy, steps, encoder_hidden_states=told, class_labels=cameras).sample  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=1)
def load(path: Path, device: str) -> CoordinateModel:
    """The network on its device, loaded once in a process; float16 on CUDA.

    Args:
        path: folder with unet and scheduler, and with text_encoder and tokenizer where the network knows words.
        device: where to compute.

    Raises:
        BackendError: diffusers or transformers is missing.
        WeightsError: the folder holds something else, or not all of it.
    """
    config = check_network(path)
    diffusers, _ = libraries()
    betas = read_betas(path, FAMILY)
    unet = bare_network(diffusers.UNet2DConditionModel, config, path / "unet")
    tensors = stock_tensors(read_tensors(path / "unet"))
    fill(unet, tensors, f"the network in {path / 'unet'}")
    unet = placed(unet, "unet", device)
    encoder, tokenizer = load_text(path, device, unet) if knows_words(unet) else (None, None)
    return CoordinateModel(unet, encoder, tokenizer, betas)


def check_network(path: Path) -> dict[str, Any]:
    """What a folder's U-Net says of itself, as diffusers' own class takes it.

    Raises:
        WeightsError: it is another network than one of coordinate maps.
    """
    file = path / "unet" / "config.json"
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        name = said.get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{file} cannot be read: {(str(error).splitlines() or ['?'])[0]}", FAMILY) from error
    if said.get("addition_embed_type") == "camera":  # the published code's word; its layers are folded into one of diffusers' own
        said = {**said, "addition_embed_type": None, "class_embed_type": "simple_projection"}
        said["projection_class_embeddings_input_dim"] = CAMERA
    wrong = [key for key in ("in_channels", "out_channels") if said.get(key, CHANNELS) != CHANNELS]
    if name not in CLASSES or wrong:
        seen = f"{wrong[0]} is {said[wrong[0]]}" if wrong else f"a {name}"
        raise WeightsError(f"{file} describes no network of coordinate maps: {seen}", FAMILY)
    if said.get("class_embed_type") not in EMBEDDINGS or said.get("projection_class_embeddings_input_dim") != CAMERA:
        raise WeightsError(f"the network in {path / 'unet'} is not told cameras of {CAMERA} numbers", FAMILY)
    return dict(said)


def knows_words(unet: Any) -> bool:
    """Whether a network looks at what it is told in words."""
    return any(name.endswith("attn2.to_k.weight") for name in unet.state_dict())


def stock_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by diffusers' names: the published code's camera layers, linear, batch norm and linear, are one linear layer.

    Raises:
        WeightsError: some of these layers are missing.
    """
    theirs = {name.removeprefix(PUBLISHED): tensor.float() for name, tensor in tensors.items() if name.startswith(PUBLISHED)}
    if not theirs:
        return tensors
    try:
        spread = theirs["1.weight"] / (theirs["1.running_var"] + NORM_EPS).sqrt()
        first = theirs["0.weight"] * spread[:, None]
        shift = (theirs["0.bias"] - theirs["1.running_mean"]) * spread + theirs["1.bias"]
        weight, bias = theirs["2.weight"] @ first, theirs["2.weight"] @ shift + theirs["2.bias"]
    except KeyError as error:
        raise WeightsError(f"the network lacks {PUBLISHED}{error.args[0]}", AGAIN) from error
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(PUBLISHED)}
    return {**kept, "class_embedding.weight": weight, "class_embedding.bias": bias}
