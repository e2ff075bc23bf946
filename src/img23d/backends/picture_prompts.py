"""A picture as part of a prompt: it becomes a few more words, which cross-attention reads with keys and values of their own.

Reference: Ye et al., IP-Adapter (2023), whose finer variant this is; Wang and Shi, ImageDream (2023), who took it over.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 64  # numbers in a head of the resampler
WIDER = 4  # its middle layers


class Resampler(nn.Module):
    """A few questions, learned, that are put to all places of a picture in turn. Its weights have the names of ImageDream's code.

    Args:
        places: numbers that each place of a picture has.
        width: numbers of a word.
        words: that the picture becomes.
        inside: numbers in all heads.
        rounds: of questions.
    """

    def __init__(self, places: int, width: int, words: int, inside: int, rounds: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(1, words, width))
        self.proj_in, self.proj_out, self.norm_out = nn.Linear(places, width), nn.Linear(width, width), nn.LayerNorm(width)
        self.layers = nn.ModuleList(nn.ModuleList([_Asking(width, inside), _deeper(width)]) for _ in range(rounds))

    def forward(self, places: Tensor) -> Tensor:
        """(B, P, C) of pictures' places to (B, words, width)."""
        shown, asked = self.proj_in(places), self.latents.expand(len(places), -1, -1)
        for layer in self.layers:
            asking, deeper = layer.children()
            asked = asked + asking(shown, asked)
            asked = asked + deeper(asked)
        return self.norm_out(self.proj_out(asked))  # type: ignore[no-any-return]


class _Asking(nn.Module):
    """Attention from the questions to the picture and to each other."""

    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q, self.to_kv = nn.Linear(width, inside, bias=False), nn.Linear(width, 2 * inside, bias=False)
        self.to_out = nn.Linear(inside, width, bias=False)

    def forward(self, shown: Tensor, asked: Tensor) -> Tensor:
        asked = self.norm2(asked)
        keys, values = self.to_kv(torch.cat([self.norm1(shown), asked], 1)).chunk(2, -1)
        heads = self.to_q.out_features // HEAD
        return self.to_out(_attended(self.to_q(asked), keys, values, heads))  # type: ignore[no-any-return]


def _deeper(width: int) -> nn.Sequential:
    wide = WIDER * width
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, wide, bias=False), nn.GELU(), nn.Linear(wide, width, bias=False))


class DecoupledAttention(nn.Module):
    """An attention processor that reads words, and beside them what a picture became, which comes last in what it is told.

    Args:
        attention: diffusers' Attention to words, from which it takes its sizes.
        words: that the picture became.
    """

    def __init__(self, attention: Any, words: int) -> None:
        super().__init__()
        self.words = words
        self.to_k_ip, self.to_v_ip = copy.deepcopy(attention.to_k), copy.deepcopy(attention.to_v)

    def __call__(self, attention: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **given: Any) -> Tensor:
        """(B, L, C) to the same shape; told (B, words of the text and then of the picture, C)."""
        text, picture = encoder_hidden_states[:, : -self.words], encoder_hidden_states[:, -self.words :]
        asked, heads = attention.to_q(hidden_states), attention.heads
        seen = _attended(asked, attention.to_k(text), attention.to_v(text), heads)
        seen = seen + _attended(asked, self.to_k_ip(picture), self.to_v_ip(picture), heads)
        return attention.to_out[0](seen)  # type: ignore[no-any-return]


def decouple(unet: Any, words: int) -> None:
    """Let all cross-attention of diffusers' UNet2DConditionModel, changed in place, read a picture of so many words after the text."""
    processors = dict(unet.attn_processors)
    for name in processors:
        if name.endswith(".attn2.processor"):
            processors[name] = DecoupledAttention(unet.get_submodule(name.removesuffix(".processor")), words)
    unet.set_attn_processor(processors)


def _attended(asked: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """(B, L, C) of queries (B, L, C) and of keys and values (B, S, C)."""
    parts = (rows.unflatten(-1, (heads, -1)).transpose(1, 2) for rows in (asked, keys, values))
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
