"""Wonder3D: an object's colours and normals from six sides, drawn at once by diffusion. Loaded by parts; no remote code runs.

Reference: Long et al., Wonder3D: Single Image to 3D using Cross-Domain Diffusion (2024), and what its released code and weights say.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.diffusion_parts import AGAIN, Known, decode, encode, libraries, load_part, meaning, placed, read_betas
from img23d.backends.domain_attention import join_domains
from img23d.backends.exact_weights import bare_network, fill, read_tensors
from img23d.backends.joint_attention import join_views
from img23d.errors import WeightsError

PICTURE = 256  # pixels along each side of what it was trained on
LATENT_CHANNELS = 4
CLASS = "UNetMV2DConditionModel"  # as the network's own config calls it
PICKLED = "the repository's main branch has a pickle, never opened: fetch wonder3d"
FAMILY = "wonder3d is needed (img23d models show wonder3d)"
AZIMUTHS_DEG = (0.0, 45.0, 90.0, 180.0, -90.0, -45.0)
"""Of the six views, to the right of the known one, about the upward axis of its camera."""
VIEWS, DOMAINS = len(AZIMUTHS_DEG), 2
# What the network is told of the six cameras: angle from the zenith and azimuth, less those of the known one, in the frame of its training
# data, where the known camera is 15 degrees high and leans. It knows the views by these numbers, rounded to half precision.
FROM_ZENITH = (0.0, -0.2362, -0.1686, 0.5220, 0.6904, 0.3733)
AZIMUTH = (0.0, 0.8125, 1.6934, 3.1406, 4.8359, 5.5859)
CAMERA_NUMBERS = 10
OTHER_KINDS = ("cd_attention_last", "joint_attention", "cross_domain_attention", "sparse_mv_attention", "mvcd_attention")


def camera_numbers() -> Tensor:
    """(12, 10) what the network is told of each picture: six normals, then six colours.

    Sines, then cosines, of: elevation of the known camera (always 0), both angles of the view, and a one for normals and a one for colours.
    """
    rows = [(0.0, zenith, azimuth, *domain) for domain in ((1.0, 0.0), (0.0, 1.0)) for zenith, azimuth in zip(FROM_ZENITH, AZIMUTH)]
    angles = torch.tensor(rows, dtype=torch.float16).float()
    return torch.cat([angles.sin(), angles.cos()], -1)


@dataclass(frozen=True)
class Wonder3D:
    """A network that draws six normal maps and six pictures of an object, in orthographic projection.

    Args:
        unet, vae, encoder: of diffusers and transformers; the first with attention over views and between domains.
        betas: kind of noise schedule and its first and last beta.
    """

    unet: Any
    vae: Any
    encoder: Any
    betas: tuple[str, float, float]

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
        # The mode, and times the scaling factor, unlike Zero-1-to-3's.
        return Known(meaning(self.encoder, planes), encode(self.vae, whole.permute(0, 2, 3, 1)))

    @torch.no_grad()
    def noise(self, noisy: Tensor, step: int, known: Known, both: bool = True) -> tuple[Tensor, Tensor]:
        """The noise in latents (12, 4, h, w) at a step: told only which view is which, and told the picture too.

        Args:
            noisy: six of normals, then six of colours, in the order of `AZIMUTHS_DEG`.
            step: of the noise schedule.
            known: the picture, from `look`.
            both: else the second is given twice, for half of the work.
        """
        weight = next(self.unet.parameters())
        told = (0.0, 1.0) if both else (1.0,)
        # The order in the batch is domain, what it is told, view: the attention between domains joins the two halves of the batch, and
        # must not join what is told nothing with what is told all.
        shape = (DOMAINS, len(told), VIEWS)

        def each(value: Tensor, domains: int, views: int) -> Tensor:
            parts = value.reshape(domains, 1, views, *value.shape[1:])
            return parts.expand(*shape, *value.shape[1:]).flatten(0, 2).to(weight)

        share = torch.tensor(told).to(weight).repeat_interleave(VIEWS).repeat(DOMAINS)
        beside = each(known.latent, 1, 1) * share[:, None, None, None]
        context = each(known.meaning, 1, 1) * share[:, None, None]
        seen = torch.cat([each(noisy, DOMAINS, VIEWS), beside], 1)
        found = self.unet(seen, step, encoder_hidden_states=context, class_labels=each(camera_numbers(), DOMAINS, VIEWS)).sample
        answers = found.to(noisy.dtype).reshape(*shape, *noisy.shape[1:])
        return answers[:, 0].flatten(0, 1), answers[:, -1].flatten(0, 1)

    def pictures(self, latents: Tensor) -> Tensor:
        """(12, S, S, 3) 0..1 of latents (12, 4, h, w): normals coded as colours, and colours."""
        return decode(self.vae, latents)


def is_wonder3d(path: str | Path) -> bool:
    """Whether a folder's network draws normals and colours in sets, by what its own config says."""
    try:
        said = json.loads((Path(path) / "unet" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and said.get("_class_name") == CLASS


@functools.lru_cache(maxsize=1)
def load(path: Path, device: str) -> Wonder3D:
    """The network on its device, loaded once in a process; float16 on CUDA, but for the autoencoder.

    Args:
        path: folder with unet, vae, image_encoder and scheduler.
        device: where to compute.

    Raises:
        BackendError: diffusers or transformers is missing.
        WeightsError: the folder holds something else, or not all of it.
    """
    diffusers, transformers = libraries()
    betas = read_betas(path, FAMILY)
    unet = placed(read_unet(diffusers.UNet2DConditionModel, path / "unet"), "unet", device)
    vae = load_part(diffusers.AutoencoderKL, path, "vae", device)
    encoder = load_part(transformers.CLIPVisionModelWithProjection, path, "image_encoder", device)
    if encoder.config.projection_dim != unet.config.cross_attention_dim:
        raise WeightsError(f"the image encoder in {path} does not fit its unet", AGAIN)
    return Wonder3D(unet, vae, encoder, betas)


def read_unet(kind: Any, folder: Path) -> Any:
    """The network: diffusers' own class, with the attentions that its config asks for, and every tensor of the file in its place.

    Args:
        kind: diffusers' UNet2DConditionModel.
        folder: with config.json and one safetensors file.

    Raises:
        WeightsError: another kind of network, or tensors that are missing, superfluous or of another shape.
    """
    said = read_config(folder / "config.json")
    unet = bare_network(kind, said, folder)
    join_domains(unet)
    join_views(unet, VIEWS)
    fill(unet, read_tensors(folder, PICKLED), f"the network in {folder}")
    return unet


def read_config(path: Path) -> dict[str, Any]:
    """What a network's config says, in the words of diffusers' own class.

    Raises:
        WeightsError: it is not readable, or of another kind of network.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {(str(error).splitlines() or ['?'])[0]}", AGAIN) from error
    if not isinstance(said, dict) or said.get("_class_name") != CLASS:
        raise WeightsError(f"{path} describes another network than {CLASS}", FAMILY)
    wrong = [name for name in OTHER_KINDS if said.get(name)] + [name for name in ("multiview_attention",) if said.get(name) is False]
    needed = {"in_channels": 2 * LATENT_CHANNELS, "num_views": VIEWS, "class_embed_type": "projection"}
    needed["projection_class_embeddings_input_dim"] = CAMERA_NUMBERS
    wrong += [name for name, value in needed.items() if said.get(name) != value]
    if wrong:
        raise WeightsError(f"{path} describes another network: {wrong[0]} is {said.get(wrong[0])}", FAMILY)
    # Blocks differ from diffusers' own by their attention alone.
    plain: dict[str, Any] = json.loads(json.dumps(said).replace("BlockMV2D", "Block2D"))
    return plain
