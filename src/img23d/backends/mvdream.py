"""MVDream: what an object looks like by its name, from four sides at once. Its weights, which have names of their own, go into diffusers'
stock network; no remote code runs.

Reference: Shi et al., MVDream: Multi-view Diffusion for 3D Generation (2024).
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from img23d.backends.diffusion_parts import libraries, read_betas
from img23d.backends.exact_weights import fill, read_tensors
from img23d.backends.joint_attention import join_views
from img23d.backends.ldm_keys import module_names, renamed
from img23d.backends.picture_prompts import decouple
from img23d.backends.precision import precision
from img23d.backends.stable_diffusion import LATENT_CHANNELS, StableDiffusion, with_text
from img23d.errors import WeightsError
from img23d.scene import Cameras

TOGETHER = 4  # sides that it sees at once, a quarter turn apart
SUFFIX = ", 3d asset"  # of the prompts that it was trained with
CAMERA = 16  # numbers that it is told of a side
NETWORK = "MultiViewUNetModel"  # as a folder's unet/config.json calls it
RESAMPLER = "image_embed."  # before the names of what makes words of a picture, in ImageDream
FAMILY = "a conversion of MVDream in diffusers' layout is needed: ashawkey/mvdream-sd2.1-diffusers"
# What the network may do otherwise, and what stands for "not so": such a one has layers that the stock network does not have.
OTHERWISE = {
    "use_scale_shift_norm": (False,), "resblock_updown": (False,), "conv_resample": (True,), "dims": (2,), "num_classes": (None,),
    "n_embed": (None,), "num_attention_blocks": (None,), "adm_in_channels": (None,), "ip_weight": (1,),
}  # fmt: skip


def told_cameras(cameras: Cameras) -> Tensor:
    """(V, 16) what the network is told of cameras: where they are and how they look, in its own frame, one unit away.

    Its world is Blender's, z up, and the side that its samples show as the front is on +x, where ours, y up, has the photo's on +z; so x,
    y, z there are z, x, y here. The rows of that camera-to-world matrix follow each other.
    """
    poses = cameras.cam_to_world[:, [2, 0, 1, 3]].clone()
    poses[:, :3, 3] /= poses[:, :3, 3].norm(dim=-1, keepdim=True)
    return poses.flatten(1)


def kind_of(path: Path) -> Literal["", "mvdream", "imagedream"]:
    """Whether a folder holds such a network, or one that is told of a picture too, by what its configuration says."""
    try:
        config = _read_config(Path(path))
        if config.get("_class_name") != NETWORK:
            return ""
    except (OSError, ValueError, AttributeError):
        return ""
    return "imagedream" if config.get("ip_dim") else "mvdream"


@functools.lru_cache(maxsize=1)
def load(path: Path, device: str) -> StableDiffusion:
    """The network on its device, loaded once in a process; float16 on CUDA, but for the autoencoder.

    Its `noise` must be told `told_cameras`, and sees `TOGETHER` neighbouring latents of a batch at once.

    Args:
        path: folder with unet, vae, text_encoder, tokenizer and scheduler.
        device: where to compute.

    Raises:
        BackendError: diffusers or transformers is missing.
        WeightsError: the folder holds something else, or not all of it.
    """
    read_betas(path, FAMILY)
    unet, beside = load_unet(path, device, FAMILY)
    if beside:
        raise WeightsError(f"{path / 'unet'} is told of a picture: it is ImageDream's", FAMILY)
    join_views(unet, TOGETHER)
    return with_text(path, device, unet, FAMILY)


def load_unet(path: Path, device: str, needed: str) -> tuple[Any, dict[str, Tensor]]:
    """Diffusers' UNet2DConditionModel with the weights of ``path/unet``, told of a camera as of a class.

    Args:
        path: folder of the model.
        device: where to compute.
        needed: what to try where it is another network.

    Returns:
        The network; and, of one that is told of a picture, the weights of what makes words of it.

    Raises:
        WeightsError: its configuration or its weights are those of another network, or not there.
    """
    diffusers, _ = libraries()
    try:
        config = _read_config(path)
        blocks, attends = layout(config)
        with torch.device("meta"):  # its weights come from the file: no memory or time for random ones
            unet = diffusers.UNet2DConditionModel(**stock_config(config))
            if config.get("ip_dim"):
                decouple(unet, int(config["ip_dim"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise WeightsError(f"{path / 'unet' / 'config.json'} describes no such network: {error!r}", needed) from error
    wanted = {**OTHERWISE, "_class_name": (NETWORK,), "in_channels": (LATENT_CHANNELS,), "camera_dim": (CAMERA,)}
    other = [f"{key}={config[key]}" for key, plain in wanted.items() if config.get(key, plain[0]) not in plain]
    if other:
        raise WeightsError(f"{path / 'unet'} is another network: {', '.join(other)}", needed)
    stored = read_tensors(path / "unet")
    beside = {
        name.removeprefix(RESAMPLER): stored.pop(name) for name in list(stored) if config.get("ip_dim") and name.startswith(RESAMPLER)
    }
    tensors = renamed(stored, module_names(blocks, attends))
    fill(unet, tensors, f"the network in {path / 'unet'}")
    return unet.to(device, precision(device)).eval().requires_grad_(False), beside


def layout(config: dict[str, Any]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Residual blocks of each level, and whether they have attention, which is given by how much smaller the level is than the latents."""
    levels, blocks = len(config["channel_mult"]), config["num_res_blocks"]
    counts = (blocks,) * levels if isinstance(blocks, int) else tuple(blocks)
    return counts, tuple(2**level in config["attention_resolutions"] for level in range(levels))


def stock_config(config: dict[str, Any]) -> dict[str, Any]:
    """The numbers of an LDM network as diffusers' UNet2DConditionModel takes them."""
    blocks, attends = layout(config)
    channels = tuple(config["model_channels"] * factor for factor in config["channel_mult"])
    width = config.get("num_head_channels", -1)
    # diffusers takes the number of heads by the name of their width.
    heads = tuple(count // width if width != -1 else config["num_heads"] for count in channels)
    return {
        "sample_size": config["image_size"],
        "in_channels": config["in_channels"],
        "out_channels": config["out_channels"],
        "down_block_types": tuple("CrossAttnDownBlock2D" if attend else "DownBlock2D" for attend in attends),
        "up_block_types": tuple("CrossAttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)),
        "block_out_channels": channels,
        "layers_per_block": blocks,
        "attention_head_dim": heads,
        "transformer_layers_per_block": config.get("transformer_depth", 1),
        "cross_attention_dim": config["context_dim"],
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": config["camera_dim"],
    }


def _read_config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((path / "unet" / "config.json").read_text(encoding="utf-8"))
    return config
