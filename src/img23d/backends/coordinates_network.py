"""Networks of coordinate maps to be trained: made afresh or begun from Stable Diffusion, and written for `img23d.backends.coordinates`.

Reference: Li et al., SweetDreamer: Aligning Geometric Priors in 2D Diffusion for Consistent Text-to-3D (2024).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from img23d.backends.coordinates import CAMERA, CoordinateModel
from img23d.backends.diffusion_parts import libraries, read_betas
from img23d.backends.exact_weights import bare_network, fill, read_tensors
from img23d.backends.model_files import COMPANIONS, LOADABLE
from img23d.backends.stable_diffusion import load_text
from img23d.errors import ConfigError, WeightsError
from img23d.ops.coordinates import CHANNELS

BETAS = ("scaled_linear", 0.00085, 0.012)  # Stable Diffusion's
TOLD = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": CAMERA}
ATTENDS = 2  # levels, the coarsest, on which pixels look at each other
BASE = "--base FOLDER of stable-diffusion-2-1-base or stable-diffusion-1-5"
PARTS = ("text_encoder", "tokenizer")


def fresh_model(widths: Sequence[int], size: int, device: str) -> CoordinateModel:
    """A small network of diffusers' stock blocks, which knows no words.

    Args:
        widths: channels of each level, multiples of 16; each level has half the pixels of the one before it.
        size: pixels along each side of the maps, a multiple of 2 to the number of levels less one.
        device: where it learns.

    Raises:
        ConfigError: these numbers make no network.
    """
    diffusers, _ = libraries()
    levels = len(widths)
    if not widths or any(width < 16 or width % 16 for width in widths) or size < 8 or size % 2 ** (levels - 1):
        raise ConfigError(f"widths={list(widths)} and size={size} make no network", "--set widths=[32,64,96,128] --set size=64")
    down = ["AttnDownBlock2D" if level >= levels - ATTENDS else "DownBlock2D" for level in range(levels)]
    unet = diffusers.UNet2DConditionModel(
        sample_size=size, in_channels=CHANNELS, out_channels=CHANNELS, block_out_channels=tuple(widths), layers_per_block=1,
        down_block_types=tuple(down), up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
        mid_block_type="UNetMidBlock2D", attention_head_dim=16, cross_attention_dim=16, **TOLD,
        # Added before a norm of few channels, step and camera would be taken out again.
        norm_num_groups=8, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    return CoordinateModel(unet.to(device), None, None, BETAS)


def begun_model(path: Path, device: str) -> CoordinateModel:
    """A Stable Diffusion 1 or 2 that is told cameras, which say nothing yet: at first it answers as it did.

    Args:
        path: its folder, with unet, text_encoder, tokenizer and scheduler.
        device: where it learns.

    Raises:
        WeightsError: the folder holds something else, or not all of it.
    """
    diffusers, _ = libraries()
    betas, folder, needed = read_betas(path, BASE), path / "unet", {"_class_name": "UNet2DConditionModel", "in_channels": CHANNELS}
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        wrong = [key for key, value in {**needed, "class_embed_type": None}.items() if config.get(key) != value]
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{folder / 'config.json'} cannot be read: {str(error).splitlines()[0]}", BASE) from error
    if wrong:
        raise WeightsError(f"{folder} is not Stable Diffusion's network: {wrong[0]} is {config.get(wrong[0])}", BASE)
    unet = bare_network(diffusers.UNet2DConditionModel, {**config, **TOLD}, folder)
    camera = type(unet.class_embedding)(CAMERA, unet.class_embedding.linear_2.out_features)
    nn.init.zeros_(camera.linear_2.weight)
    nn.init.zeros_(camera.linear_2.bias)
    tensors = read_tensors(folder, BASE) | {f"class_embedding.{name}": value for name, value in camera.state_dict().items()}
    fill(unet, tensors, f"the network in {folder}")
    unet = unet.to(device, torch.float32).requires_grad_(True)
    return CoordinateModel(unet, *load_text(path, device, unet), betas)


def write_model(model: CoordinateModel, unet: Any, folder: Path, base: Path | None, facts: dict[str, Any]) -> None:
    """Write what `img23d.backends.coordinates.load` reads, in half precision and in one rename.

    Args:
        model: noise schedule and words.
        unet: the weights to write.
        folder: the model's folder; one that is there is replaced.
        base: whose text encoder and tokenizer are copied beside them; None where the network knows no words.
        facts: for ``training.json``: what it was measured to do, and what it learnt from.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    from safetensors.torch import save_file

    (partial / "unet").mkdir()
    tensors = {name: value.detach().half().cpu().contiguous() for name, value in unet.state_dict().items()}
    save_file(tensors, partial / "unet" / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    unet.save_config(partial / "unet")
    kind, first, last = model.betas
    (partial / "scheduler").mkdir()
    said = {"_class_name": "DDIMScheduler", "beta_schedule": kind, "beta_start": first, "beta_end": last, "num_train_timesteps": 1000,
            "prediction_type": "epsilon", "clip_sample": False}  # fmt: skip
    (partial / "scheduler" / "scheduler_config.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    if base is not None:
        for part in PARTS:
            copy_part(base / part, partial / part)
    (partial / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.replace(folder)


def copy_part(source: Path, target: Path) -> None:
    """Copy what of a folder may be loaded: safetensors and texts."""
    target.mkdir()
    for file in sorted(source.iterdir()):
        if file.suffix in (*LOADABLE, *COMPANIONS):
            shutil.copyfile(file, target / file.name)
