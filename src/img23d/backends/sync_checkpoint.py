"""SyncDreamer's published checkpoint, as safetensors: all of its networks in one file, by the names of its own code.

Reference: Liu et al., SyncDreamer: Generating Multiview-consistent Images from a Single-view Image (2024), and what its released code says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from img23d.backends.depth_attention import DepthBlocks
from img23d.backends.diffusion_parts import CLIP_SIZE, libraries
from img23d.backends.exact_weights import fill, read_tensors, tensor_files
from img23d.backends.ldm_keys import module_names, renamed
from img23d.backends.ldm_parts import autoencoder, picture_encoder
from img23d.backends.sync_volume import SIDE, Sizes, SyncVolume, cameras
from img23d.errors import WeightsError

AGAIN = "convert the published checkpoint as docs/models.md says"
VOLUME, UNET = "spatial_volume.", "model.diffusion_model."
# Before the names of each part, as the published code calls them.
PARTS = {
    "unet": UNET, "depth": UNET, "volume": VOLUME, "time": "time_embed.", "projection": "cc_projection.", "vae": "first_stage_model.",
    "encoder": "clip_image_encoder.model.visual.",
}  # fmt: skip
DEPTH = ("middle_conditions.", "output_conditions.")  # before the names of the attention to depth, within the U-Net's
POSES = "poses"  # world-to-camera (16, 3, 4) of the sides, x right, y down, z ahead
# What else is in the checkpoint, and not needed: the sides' other numbers, the noise schedule, CLIP's part for texts.
SPARE = (
    POSES, "Ks", "azimuth", "betas", "alphas", "alphas_cumprod", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "posterior_variance", "posterior_log_variance_clipped",
    *(f"clip_image_encoder.model.{name}" for name in ("positional_embedding", "text_projection", "logit_scale", "token_embedding.weight",
                                                       "ln_final.weight", "ln_final.bias")),
)  # fmt: skip
LATENTS, SCALING = 4, 0.18215
BLOCKS, ATTENDS = (2, 2, 2, 2), (True, True, True, False)  # of the U-Net's levels


class Published(NamedTuple):
    """Sizes of the networks, as published.

    Args:
        picture: pixels along each side of what it was trained on.
        channels: of the U-Net's levels, finest first.
        heads: of its attention.
        context: numbers of what it is told of the photo.
        autoencoder: channels of the autoencoder's levels, finest first.
        encoder: width, layers, heads and pixels of a patch of the encoder of the photo.
        volume: of the networks of the volume.
    """

    picture: int = 256
    channels: tuple[int, int, int, int] = (320, 640, 1280, 1280)
    heads: int = 8
    context: int = 768
    autoencoder: tuple[int, ...] = (128, 256, 512, 512)
    encoder: tuple[int, int, int, int] = (1024, 24, 16, 14)
    volume: Sizes = Sizes()


def is_syncdreamer(path: str | Path) -> bool:
    """Whether a file, or a folder's files, hold such a checkpoint, by the names of its tensors."""
    from safetensors import SafetensorError, safe_open

    for file in tensor_files(Path(path)):
        try:
            with safe_open(str(file), "pt") as stored:
                if any(name.startswith(VOLUME) for name in list(stored.keys())):
                    return True
        except (SafetensorError, OSError):
            continue
    return False


def read(path: Path, sizes: Published) -> dict[str, Any]:
    """All networks of a checkpoint, by the names in `PARTS`.

    Args:
        path: a .safetensors file, or a folder with one or several.
        sizes: of the networks.

    Raises:
        BackendError: diffusers or transformers is missing.
        WeightsError: a file is torn, or tensors are missing, superfluous or of another shape; or its cameras are others.
    """
    tensors = read_tensors(path, AGAIN)
    strange = sorted(name for name in tensors if name not in SPARE and not name.startswith(tuple(PARTS.values())))
    if strange:
        raise WeightsError(f"{path} is another checkpoint than SyncDreamer's: it has {strange[0]}{', ...' * (len(strange) > 1)}", AGAIN)
    _check_poses(path, tensors.get(POSES))
    networks = build(sizes)
    for part, network in networks.items():
        fill(network, found(part, tensors, sizes), f"the {part} network in {path}", AGAIN)
    embeddings = networks["encoder"].vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.position_embedding.num_embeddings)[None]  # in no checkpoint
    return networks


def build(sizes: Published) -> dict[str, Any]:
    """The networks without weights, by the names in `PARTS`: room is taken by the file's tensors alone."""
    diffusers, transformers = libraries()
    width, layers, heads, patch = sizes.encoder
    levels, time = len(sizes.autoencoder), sizes.volume.time
    down, up = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(
            sample_size=sizes.picture >> (levels - 1), in_channels=2 * LATENTS, out_channels=LATENTS, layers_per_block=BLOCKS[0],
            block_out_channels=sizes.channels, attention_head_dim=sizes.heads, cross_attention_dim=sizes.context,
            down_block_types=(down, down, down, "DownBlock2D"), up_block_types=("UpBlock2D", up, up, up),
        )  # fmt: skip
        vae = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels, latent_channels=LATENTS,
            layers_per_block=2, block_out_channels=sizes.autoencoder, scaling_factor=SCALING, sample_size=sizes.picture,
        )  # fmt: skip
        encoder = transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(
                hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads, patch_size=patch,
                image_size=CLIP_SIZE, projection_dim=sizes.context, hidden_act="quick_gelu",
            )
        )  # fmt: skip
        return {
            "unet": unet,
            "depth": DepthBlocks(sizes.channels, sizes.volume.levels),
            "volume": SyncVolume(sizes.volume),
            "time": nn.Sequential(nn.Linear(time, time), nn.SiLU(), nn.Linear(time, time)),
            "projection": nn.Linear(sizes.context + SIDE, sizes.context),
            "vae": vae,
            "encoder": encoder,
        }


def found(part: str, tensors: dict[str, Tensor], sizes: Published) -> dict[str, Tensor]:
    """The tensors of one part, by the names that our networks have."""
    before = PARTS[part]
    own = {name.removeprefix(before): tensor for name, tensor in tensors.items() if name.startswith(before)}
    if before == UNET:
        own = {name: tensor for name, tensor in own.items() if name.startswith(DEPTH) == (part == "depth")}
    if part == "unet":
        return renamed(own, module_names(BLOCKS, ATTENDS))
    if part == "vae":
        return autoencoder(own, len(sizes.autoencoder))
    return picture_encoder(own) if part == "encoder" else own


def _check_poses(path: Path, said: Tensor | None) -> None:
    """Whether the sides are where we take them to be; their names alone do not tell."""
    if said is None:
        return
    ours = cameras().cam_to_world
    # Rows of world-to-camera, from y up and z backwards to y down and z ahead; and the world from ours to theirs, whose z is up.
    rotation = ours[:, :3, :3].transpose(1, 2) * ours.new_tensor([1.0, -1.0, -1.0])[:, None]
    poses = torch.cat([rotation[..., [2, 0, 1]], -(rotation @ ours[:, :3, 3:])], -1)
    if said.shape != poses.shape or not torch.allclose(said.float(), poses, atol=1e-3):
        raise WeightsError(f"{path} was trained with other cameras than SyncDreamer's sixteen", AGAIN)
