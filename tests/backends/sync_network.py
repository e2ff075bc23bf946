"""SyncDreamer written from its published layout: weights by the names of its checkpoint, no modules, cameras as matrices.

A second opinion on `img23d.backends.syncdreamer` and all that it is made of; weights are drawn at random when they are first asked for.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from ldm_unet import LdmUNet

from img23d.backends.sync_checkpoint import SPARE, Published
from img23d.backends.sync_volume import Sizes

TINY = Published(64, (32, 64, 64, 64), 8, 16, (32, 32, 32, 32), (16, 2, 2, 56), Sizes(16, 8, (8, 16, 16, 24), 8, 8))
UNET, VOLUME, VAE, CLIP = "model.diffusion_model", "spatial_volume", "first_stage_model", "clip_image_encoder.model.visual"


class Asked(NamedTuple):
    """What a network is asked: noisy latents, a step, the photo (3, S, S) from -1 to 1, and its elevation in degrees."""

    noisy: Tensor
    step: int
    photo: Tensor
    elevation: float


def asked(sizes: Published = TINY, elevation: float = 12.0) -> Asked:
    generator = torch.Generator().manual_seed(3)
    side = sizes.picture // 8
    noisy, photo = torch.randn(16, 4, side, side, generator=generator), torch.rand(3, sizes.picture, sizes.picture, generator=generator)
    return Asked(noisy, 500, photo * 2 - 1, elevation)


def poses() -> Tensor:
    """(16, 3, 4) world-to-camera of the sides: x right, y down, z ahead; the world's z up, the first side on its x."""
    rows, e = [], math.radians(30)
    for number in range(16):
        a = number * math.pi / 8
        right = torch.tensor([-math.sin(a), math.cos(a), 0.0])
        ahead = -torch.tensor([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)])
        rotation = torch.stack([right, torch.linalg.cross(ahead, right), ahead])
        rows.append(torch.cat([rotation, torch.tensor([[0.0], [0.0], [1.5]])], 1))
    return torch.stack(rows)


def projection(number: int, size: int) -> Tensor:
    """(3, 4) from the world to samples of a picture of ``size`` samples a side, times depth."""
    intrinsics = torch.tensor([[280.0, 0.0, 128.0], [0.0, 280.0, 128.0], [0.0, 0.0, 256.0 / size]]) * size / 256
    return intrinsics @ poses()[number]


class SyncNetwork(LdmUNet):
    """Answers, and knows afterwards which weights it used."""

    def __init__(self, sizes: Published = TINY, meta: bool = False) -> None:
        super().__init__({"model_channels": sizes.channels[0]}, meta)
        self.sizes = sizes

    # layers

    def norm(self, name: str, x: Tensor, groups: int = 8, eps: float = 1e-5) -> Tensor:
        return F.group_norm(x, groups, self.weight(f"{name}.weight", x.shape[1]), self.weight(f"{name}.bias", x.shape[1]), eps)

    def conv_nd(self, name: str, x: Tensor, out: int, size: int = 3, stride: int = 1, bias: bool = True) -> Tensor:
        kernel = self.weight(f"{name}.weight", out, x.shape[1], *[size] * (x.dim() - 2))
        convolve = F.conv2d if x.dim() == 4 else F.conv3d
        return convolve(x, kernel, self.weight(f"{name}.bias", out) if bias else None, stride, size // 2)

    def up_3d(self, name: str, x: Tensor, out: int) -> Tensor:
        kernel = self.weight(f"{name}.weight", x.shape[1], out, 3, 3, 3)
        return F.conv_transpose3d(x, kernel, self.weight(f"{name}.bias", out), 2, 1, 1)

    # the volume

    def time(self) -> int:
        return self.sizes.volume.time

    def encoded(self, name: str, x: Tensor, told: Tensor, side: Tensor) -> Tensor:
        width = self.sizes.volume.features
        x = self.conv_nd(f"{name}.init_conv", x, width)
        for block in (f"{name}.out_conv{number}" for number in range(3)):
            h = x + self.conv_nd(f"{block}.time_embed", told[..., None, None], width, 1)
            h = h + self.conv_nd(f"{block}.view_embed", side[..., None, None], width, 1)
            for number in (0, 3):
                h = self.conv_nd(f"{block}.conv.{number + 2}", F.silu(self.norm(f"{block}.conv.{number}", h)), width)
            x = x + h
        return self.conv_nd(f"{name}.final_out.2", F.silu(self.norm(f"{name}.final_out.0", x)), width)

    def told_3d(self, name: str, x: Tensor, out: int, told: Tensor, side: Tensor | None = None, stride: int = 1, up: bool = False):
        x = x + self.conv_nd(f"{name}.t_conv", told.reshape(1, -1, 1, 1, 1), x.shape[1], 1) + (
            0 if side is None else self.conv_nd(f"{name}.v_conv", side.reshape(1, 4, 1, 1, 1), x.shape[1], 1)
        )  # fmt: skip
        if up:
            return self.up_3d(f"{name}.conv", F.silu(self.norm(f"{name}.norm", x)), out)
        return self.conv_nd(f"{name}.conv", F.silu(self.norm(f"{name}.bn", x)), out, 3, stride)

    def together(self, noisy: Tensor, told: Tensor, sides: Tensor) -> Tensor:
        """(1, C, v, v, v), along z, y and x of the world."""
        voxels, size = self.sizes.volume.voxels, noisy.shape[-1]
        line = torch.linspace(-0.5, 0.5, voxels)
        points = torch.stack([torch.stack([x, y, z]) for z in line for y in line for x in line], 1)
        parts = []
        for number in range(16):
            matrix = projection(number, size)
            at = matrix[:, :3] @ points + matrix[:, 3:]
            grid = (at[:2] / at[2:] / ((size - 1) / 2) - 1).T[None, None]
            seen = self.encoded(f"{VOLUME}.target_encoder", noisy[number : number + 1], told, sides[number : number + 1])
            parts.append(F.grid_sample(seen, grid, align_corners=True).reshape(1, -1, voxels, voxels, voxels))
        name, (a, b, c, d) = f"{VOLUME}.spatial_volume_feats", self.sizes.volume.levels
        fine = self.told_3d(f"{name}.conv0", self.conv_nd(f"{name}.init_conv", torch.cat(parts, 1), a), a, told)
        x, kept = fine, []
        for (first, *others), out in (
            (("conv1", "conv2_0", "conv2_1"), b), (("conv3", "conv4_0", "conv4_1"), c), (("conv5", "conv6_0", "conv6_1"), d)
        ):  # fmt: skip
            x = self.told_3d(f"{name}.{first}", x, out, told, stride=2)
            for other in others:
                x = self.told_3d(f"{name}.{other}", x, out, told)
            kept.append(x)
        x = kept[1] + self.told_3d(f"{name}.conv7", x, c, told, up=True)
        x = kept[0] + self.told_3d(f"{name}.conv8", x, b, told, up=True)
        return fine + self.told_3d(f"{name}.conv9", x, a, told, up=True)

    def frustum(self, number: int, volume: Tensor, told: Tensor, side: Tensor, size: int) -> dict[int, Tensor]:
        """What one side looks into, by how many places it has across."""
        depths = torch.linspace(1.5 - 0.86603, 1.5 + 0.86603, self.sizes.volume.depths)
        matrix = projection(number, size)
        j, i = torch.meshgrid(torch.arange(size, dtype=torch.float32), torch.arange(size, dtype=torch.float32), indexing="ij")
        rays = torch.stack([i, j, torch.ones(size, size)])[:, None] * depths[:, None, None]
        points = torch.inverse(matrix[:, :3]) @ (rays.reshape(3, -1) - matrix[:, 3:])
        grid = points.T.reshape(1, self.sizes.volume.depths, size, size, 3) / 0.5
        name, (a, b, c, d) = f"{VOLUME}.frustum_volume_feats", self.sizes.volume.levels
        x0 = self.conv_nd(f"{name}.conv0", F.grid_sample(volume, grid, align_corners=True), a)
        x1 = self.told_3d(f"{name}.conv2", self.told_3d(f"{name}.conv1", x0, b, told, side, 2), b, told, side)
        x2 = self.told_3d(f"{name}.conv4", self.told_3d(f"{name}.conv3", x1, c, told, side, 2), c, told, side)
        x3 = self.told_3d(f"{name}.conv6", self.told_3d(f"{name}.conv5", x2, d, told, side, 2), d, told, side)
        x2 = self.told_3d(f"{name}.up0", x3, c, told, side, up=True) + x2
        x1 = self.told_3d(f"{name}.up1", x2, b, told, side, up=True) + x1
        x0 = self.told_3d(f"{name}.up2", x1, a, told, side, up=True) + x0
        return {size: x0, size // 2: x1, size // 4: x2, size // 8: x3}

    # the U-Net

    def attention(self, name: str, x: Tensor, seen: Tensor) -> Tensor:
        self.config["num_head_channels"] = x.shape[-1] // 8
        return super().attention(name, x, seen)

    def transformer(self, name: str, x: Tensor, context: Tensor, together: int = 1) -> Tensor:
        h = self.conv(f"{name}.proj_in", self.norm(f"{name}.norm", x, 32, 1e-6), x.shape[1], 1)
        rows, block = h.flatten(2).transpose(1, 2), f"{name}.transformer_blocks.0"
        normed = self.layer_norm(f"{block}.norm1", rows)
        rows = rows + self.attention(f"{block}.attn1", normed, normed)
        rows = rows + self.attention(f"{block}.attn2", self.layer_norm(f"{block}.norm2", rows), context)
        value, gate = self.linear(f"{block}.ff.net.0.proj", self.layer_norm(f"{block}.norm3", rows), 8 * x.shape[1]).chunk(2, -1)
        rows = rows + self.linear(f"{block}.ff.net.2", value * F.gelu(gate), x.shape[1])
        return x + self.conv(f"{name}.proj_out", rows.transpose(1, 2).reshape(x.shape), x.shape[1], 1)

    def looked(self, name: str, x: Tensor, volume: Tensor) -> Tensor:
        """Attention to depth."""
        features = volume.shape[1]
        width, (batch, _, h, w) = 2 * features, x.shape
        seen = F.silu(self.norm(f"{name}.proj_in.1", self.conv_nd(f"{name}.proj_in.0", x, width, 1)))
        context = F.relu(self.norm(f"{name}.proj_context.1", self.conv_nd(f"{name}.proj_context.0", volume, features, 1, bias=False)))
        q = self.conv_nd(f"{name}.depth_attn.to_q", seen, width, 1, bias=False).reshape(batch, 4, -1, 1, h, w)
        k, v = (
            self.conv_nd(f"{name}.depth_attn.{part}", context, width, 1, bias=False).reshape(batch, 4, width // 4, -1, h, w)
            for part in ("to_k", "to_v")
        )
        share = torch.einsum("bncohw,bncdhw->bndhw", q, k) * (width // 4) ** -0.5
        seen = torch.einsum("bndhw,bncdhw->bnchw", share.softmax(2), v).reshape(batch, width, h, w)
        seen = self.conv_nd(f"{name}.depth_attn.to_out", seen, width, 1, bias=False)
        seen = self.conv_nd(f"{name}.proj_out.2", F.relu(self.norm(f"{name}.proj_out.0", seen)), width, bias=False)
        return x + self.conv_nd(f"{name}.proj_out.5", F.relu(self.norm(f"{name}.proj_out.3", seen)), x.shape[1], bias=False)

    def unet(self, x: Tensor, step: int, context: Tensor, volumes: dict[int, Tensor]) -> Tensor:
        channels, number, kept = self.sizes.channels, 1, []
        half = channels[0] // 2
        waves = step * torch.exp(-math.log(10_000) * torch.arange(half, device=x.device) / half)
        told = self.two_layers(f"{UNET}.time_embed", torch.cat([waves.cos(), waves.sin()])[None])
        h = self.conv(f"{UNET}.input_blocks.0.0", x, channels[0])
        kept.append(h)
        for level in range(4):
            for _ in range(2):
                h = self.residual(f"{UNET}.input_blocks.{number}.0", h, told, channels[level])
                h = self.transformer(f"{UNET}.input_blocks.{number}.1", h, context) if level < 3 else h
                kept.append(h)
                number += 1
            if level < 3:
                h = self.conv(f"{UNET}.input_blocks.{number}.0.op", h, h.shape[1], stride=2)
                kept.append(h)
                number += 1
        h = self.residual(f"{UNET}.middle_block.0", h, told, h.shape[1])
        h = self.residual(f"{UNET}.middle_block.2", self.transformer(f"{UNET}.middle_block.1", h, context), told, h.shape[1])
        h = self.looked(f"{UNET}.middle_conditions", h, volumes[h.shape[-1]])
        for number in range(12):
            level = 3 - number // 3
            h = self.residual(f"{UNET}.output_blocks.{number}.0", torch.cat([h, kept.pop()], 1), told, channels[level])
            h = self.transformer(f"{UNET}.output_blocks.{number}.1", h, context) if level < 3 else h
            if number in (2, 5, 8):
                h = F.interpolate(h, scale_factor=2, mode="nearest")
                h = self.conv(f"{UNET}.output_blocks.{number}.{1 if number == 2 else 2}.conv", h, h.shape[1])
            if number > 2:
                h = self.looked(f"{UNET}.output_conditions.{number - 3}", h, volumes[h.shape[-1]])
        return self.conv(f"{UNET}.out.2", F.silu(self.norm(f"{UNET}.out.0", h, 32)), 4)

    # the photo

    def meaning(self, photo: Tensor) -> Tensor:
        """(1, C) by OpenAI's network."""
        width, layers, heads, patch = self.sizes.encoder
        shown = F.interpolate(photo[None], (224, 224), mode="bicubic", align_corners=True) / 2 + 0.5
        shown = (shown - torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]) / torch.tensor(
            [0.26862954, 0.26130258, 0.27577711]
        )[:, None, None]
        x = F.conv2d(shown, self.weight(f"{CLIP}.conv1.weight", width, 3, patch, patch), stride=patch).flatten(2).transpose(1, 2)
        x = torch.cat([self.weight(f"{CLIP}.class_embedding", width).expand(1, 1, -1), x], 1)
        x = self.layer_norm(f"{CLIP}.ln_pre", x + self.weight(f"{CLIP}.positional_embedding", x.shape[1], width))
        for block in (f"{CLIP}.transformer.resblocks.{number}" for number in range(layers)):
            rows = F.linear(
                self.layer_norm(f"{block}.ln_1", x),
                self.weight(f"{block}.attn.in_proj_weight", 3 * width, width), self.weight(f"{block}.attn.in_proj_bias", 3 * width),
            )  # fmt: skip
            q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in rows.chunk(3, -1))
            seen = ((q @ k.transpose(-1, -2) / math.sqrt(width // heads)).softmax(-1) @ v).transpose(1, 2).flatten(2)
            x = x + self.linear(f"{block}.attn.out_proj", seen, width)
            h = self.linear(f"{block}.mlp.c_fc", self.layer_norm(f"{block}.ln_2", x), 4 * width)
            x = x + self.linear(f"{block}.mlp.c_proj", h * torch.sigmoid(1.702 * h), width)
        return self.layer_norm(f"{CLIP}.ln_post", x[:, 0]) @ self.weight(f"{CLIP}.proj", width, self.sizes.context)

    def vae_block(self, name: str, x: Tensor, out: int) -> Tensor:
        h = self.conv(f"{name}.conv1", F.silu(self.norm(f"{name}.norm1", x, 32, 1e-6)), out)
        h = self.conv(f"{name}.conv2", F.silu(self.norm(f"{name}.norm2", h, 32, 1e-6)), out)
        return h + (x if x.shape[1] == out else self.conv(f"{name}.nin_shortcut", x, out, 1))

    def vae_middle(self, name: str, x: Tensor) -> Tensor:
        out = x.shape[1]
        x, attention = self.vae_block(f"{name}.block_1", x, out), f"{name}.attn_1"
        h = self.norm(f"{attention}.norm", x, 32, 1e-6)
        q, k, v = (self.conv(f"{attention}.{part}", h, out, 1).flatten(2).transpose(1, 2) for part in "qkv")
        seen = ((q @ k.transpose(1, 2)) / math.sqrt(out)).softmax(-1) @ v
        x = x + self.conv(f"{attention}.proj_out", seen.transpose(1, 2).reshape(x.shape), out, 1)
        return self.vae_block(f"{name}.block_2", x, out)

    def encode(self, photo: Tensor) -> Tensor:
        """(1, 4, h, w): the mean of the autoencoder's answer."""
        levels, name = self.sizes.autoencoder, f"{VAE}.encoder"
        x = self.conv(f"{name}.conv_in", photo[None], levels[0])
        for level, channels in enumerate(levels):
            for block in range(2):
                x = self.vae_block(f"{name}.down.{level}.block.{block}", x, channels)
            if level < len(levels) - 1:
                kernel = self.weight(f"{name}.down.{level}.downsample.conv.weight", channels, channels, 3, 3)
                x = F.conv2d(F.pad(x, (0, 1, 0, 1)), kernel, self.weight(f"{name}.down.{level}.downsample.conv.bias", channels), 2)
        x = self.vae_middle(f"{name}.mid", x)
        x = self.conv(f"{name}.conv_out", F.silu(self.norm(f"{name}.norm_out", x, 32, 1e-6)), 8)
        return self.conv(f"{VAE}.quant_conv", x, 8, 1)[:, :4]

    def decode(self, latents: Tensor) -> Tensor:
        """(B, 3, S, S) of latents without the scaling factor."""
        levels, name = self.sizes.autoencoder, f"{VAE}.decoder"
        x = self.conv(f"{name}.conv_in", self.conv(f"{VAE}.post_quant_conv", latents, 4, 1), levels[-1])
        x = self.vae_middle(f"{name}.mid", x)
        for level in reversed(range(len(levels))):
            for block in range(3):
                x = self.vae_block(f"{name}.up.{level}.block.{block}", x, levels[level])
            if level:
                x = self.conv(f"{name}.up.{level}.upsample.conv", F.interpolate(x, scale_factor=2, mode="nearest"), x.shape[1])
        return self.conv(f"{name}.conv_out", F.silu(self.norm(f"{name}.norm_out", x, 32, 1e-6)), 3)

    def sides(self, elevation: float) -> Tensor:
        """(16, 4) what is told of the sides."""
        azimuth = torch.arange(16) * (math.pi / 8)
        change = torch.full((16,), math.radians(elevation - 30.0))
        return torch.stack([change, azimuth.sin(), azimuth.cos(), torch.zeros(16)], -1)

    def __call__(self, asked: Asked, numbers: tuple[int, ...] = tuple(range(16))) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """The noise that these sides see: told nothing, and told all."""
        size, half = asked.noisy.shape[-1], self.time() // 2
        waves = asked.step * torch.exp(-math.log(10_000) * torch.arange(half) / half)
        told = self.linear("time_embed.0", torch.cat([waves.cos(), waves.sin()])[None], self.time())
        told = self.linear("time_embed.2", F.silu(told), self.time())
        sides = self.sides(asked.elevation)
        volume, photo, meaning = self.together(asked.noisy, told, sides), self.encode(asked.photo), self.meaning(asked.photo)
        answers = []
        for number in numbers:
            seen, own = self.frustum(number, volume, told, sides[number], size), asked.noisy[number : number + 1]
            context = self.linear("cc_projection", torch.cat([meaning, sides[number : number + 1]], -1)[:, None], self.sizes.context)
            nothing = {places: torch.zeros_like(one) for places, one in seen.items()}
            blank = self.unet(torch.cat([own, torch.zeros_like(photo)], 1), asked.step, torch.zeros_like(context), nothing)
            answers.append((blank, self.unet(torch.cat([own, photo], 1), asked.step, context, seen)))
        return torch.cat([blank for blank, _ in answers]), torch.cat([all_told for _, all_told in answers])


def spare() -> dict[str, torch.Tensor]:
    """What the checkpoint holds besides, which nobody needs."""
    return {**{name: torch.zeros(2) for name in SPARE}, "poses": poses()}


def saved_as(folder: Path, tensors: dict[str, torch.Tensor], files: int = 1) -> Path:
    """A folder with such tensors, as a user converts a checkpoint."""
    from safetensors.torch import save_file

    folder.mkdir()
    names = sorted(tensors)
    for number in range(files):
        part = {name: tensors[name].contiguous() for name in names[number::files]}
        save_file(part, str(folder / f"syncdreamer-{number}.safetensors"))
    return folder


def whole_network() -> SyncNetwork:
    """A tiny one that has used all of its weights."""
    network = SyncNetwork()
    network(asked(), (0,))
    network.decode(torch.zeros(1, 4, 8, 8))
    return network
