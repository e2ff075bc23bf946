"""A U-Net of the first latent diffusion code with MVDream's two changes, written from its layout: weights by name, no modules.

A second opinion on `img23d.backends.ldm_keys` and diffusers' network; weights are drawn at random when they are first asked for.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class LdmUNet:
    """Answers, and knows afterwards which weights it used."""

    def __init__(self, config: dict, meta: bool = False) -> None:
        """On torch's meta device it only knows names and shapes: the real sizes, too, in a second."""
        self.config, self.weights, self.meta, self.generator = config, {}, meta, torch.Generator().manual_seed(0)

    def weight(self, name: str, *shape: int) -> Tensor:
        if self.meta:
            self.weights[name] = torch.empty(shape, device="meta")
        elif name not in self.weights:
            spread = 0.5 / math.sqrt(max(1, math.prod(shape[1:])))
            level = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0  # of a norm
            self.weights[name] = level + (0.2 if len(shape) == 1 else 2 * spread) * torch.randn(shape, generator=self.generator)
        assert self.weights[name].shape == shape
        return self.weights[name]

    def linear(self, name: str, x: Tensor, out: int, bias: bool = True) -> Tensor:
        return F.linear(x, self.weight(f"{name}.weight", out, x.shape[-1]), self.weight(f"{name}.bias", out) if bias else None)

    def conv(self, name: str, x: Tensor, out: int, size: int = 3, stride: int = 1) -> Tensor:
        kernel = self.weight(f"{name}.weight", out, x.shape[1], size, size)
        return F.conv2d(x, kernel, self.weight(f"{name}.bias", out), stride, size // 2)

    def group_norm(self, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
        return F.group_norm(x, 32, self.weight(f"{name}.weight", x.shape[1]), self.weight(f"{name}.bias", x.shape[1]), eps)

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        width = x.shape[-1]
        return F.layer_norm(x, (width,), self.weight(f"{name}.weight", width), self.weight(f"{name}.bias", width))

    def two_layers(self, name: str, x: Tensor) -> Tensor:
        wide = 4 * self.config["model_channels"]
        return self.linear(f"{name}.2", F.silu(self.linear(f"{name}.0", x, wide)), wide)

    def residual(self, name: str, x: Tensor, told: Tensor, out: int) -> Tensor:
        h = self.conv(f"{name}.in_layers.2", F.silu(self.group_norm(f"{name}.in_layers.0", x)), out)
        h = h + self.linear(f"{name}.emb_layers.1", F.silu(told), out)[..., None, None]
        h = self.conv(f"{name}.out_layers.3", F.silu(self.group_norm(f"{name}.out_layers.0", h)), out)
        return h + (x if x.shape[1] == out else self.conv(f"{name}.skip_connection", x, out, 1))

    def attention(self, name: str, x: Tensor, seen: Tensor) -> Tensor:
        width = x.shape[-1]
        heads = width // self.config["num_head_channels"]
        asked, keys, values = (
            self.linear(f"{name}.{part}", of, width, bias=False).unflatten(-1, (heads, -1)).transpose(1, 2)
            for part, of in (("to_q", x), ("to_k", seen), ("to_v", seen))
        )
        share = (asked @ keys.transpose(-1, -2) / math.sqrt(asked.shape[-1])).softmax(-1)
        return self.linear(f"{name}.to_out.0", (share @ values).transpose(1, 2).flatten(2), width)

    def cross(self, name: str, x: Tensor, context: Tensor) -> Tensor:
        return self.attention(name, x, context)

    def transformer(self, name: str, x: Tensor, context: Tensor, together: int) -> Tensor:
        height, width = x.shape[-2:]
        rows = self.group_norm(f"{name}.norm", x, 1e-6).flatten(2).transpose(1, 2)
        rows = self.linear(f"{name}.proj_in", rows, x.shape[1])
        block = f"{name}.transformer_blocks.0"
        joint = rows.unflatten(0, (-1, together)).flatten(1, 2)
        normed = self.layer_norm(f"{block}.norm1", joint)
        rows = (joint + self.attention(f"{block}.attn1", normed, normed)).unflatten(1, (together, -1)).flatten(0, 1)
        rows = rows + self.cross(f"{block}.attn2", self.layer_norm(f"{block}.norm2", rows), context)
        value, gate = self.linear(f"{block}.ff.net.0.proj", self.layer_norm(f"{block}.norm3", rows), 8 * x.shape[1]).chunk(2, -1)
        rows = rows + self.linear(f"{block}.ff.net.2", value * F.gelu(gate), x.shape[1])
        return x + self.linear(f"{name}.proj_out", rows, x.shape[1]).transpose(1, 2).unflatten(2, (height, width))

    def __call__(self, x: Tensor, step: int, context: Tensor, cameras: Tensor, together: int = 4) -> Tensor:
        model, levels = self.config["model_channels"], self.config["channel_mult"]
        attends = [2**level in self.config["attention_resolutions"] for level in range(len(levels))]
        waves = step * torch.exp(-math.log(10_000) * torch.arange(model // 2, device=x.device) / (model // 2))
        told = self.two_layers("time_embed", torch.cat([waves.cos(), waves.sin()])[None]) + self.two_layers("camera_embed", cameras)
        h = self.conv("input_blocks.0.0", x, model)
        kept, number = [h], 1
        for level, factor in enumerate(levels):
            for _ in range(self.config["num_res_blocks"]):
                h = self.residual(f"input_blocks.{number}.0", h, told, model * factor)
                h = self.transformer(f"input_blocks.{number}.1", h, context, together) if attends[level] else h
                kept.append(h)
                number += 1
            if level < len(levels) - 1:
                h = self.conv(f"input_blocks.{number}.0.op", h, h.shape[1], stride=2)
                kept.append(h)
                number += 1
        h = self.residual("middle_block.0", h, told, h.shape[1])
        h = self.residual("middle_block.2", self.transformer("middle_block.1", h, context, together), told, h.shape[1])
        number = 0
        for level in reversed(range(len(levels))):
            for block in range(self.config["num_res_blocks"] + 1):
                h = self.residual(f"output_blocks.{number}.0", torch.cat([h, kept.pop()], 1), told, model * levels[level])
                h = self.transformer(f"output_blocks.{number}.1", h, context, together) if attends[level] else h
                if level and block == self.config["num_res_blocks"]:
                    h = F.interpolate(h, scale_factor=2, mode="nearest")
                    h = self.conv(f"output_blocks.{number}.{2 if attends[level] else 1}.conv", h, h.shape[1])
                number += 1
        return self.conv("out.2", F.silu(self.group_norm("out.0", h)), 4)
