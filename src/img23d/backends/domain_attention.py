"""Attention between two kinds of picture of the same view: how a diffusion model draws colours and normals that belong together.

Reference: Long et al., Wonder3D: Single Image to 3D using Cross-Domain Diffusion (2024).
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn


class DomainAttention:
    """An attention processor that puts picture n of a batch's first half and picture n of its second half into one row.

    Args:
        inner: the processor that attends.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, attention: Any, hidden_states: Tensor, **given: Any) -> Tensor:
        """(B, L, C) to the same shape; B is even."""
        batch, places, width = hidden_states.shape
        pairs = hidden_states.reshape(2, batch // 2, places, width).transpose(0, 1)
        seen: Tensor = self.inner(attention, pairs.reshape(batch // 2, 2 * places, width), **given)
        return seen.reshape(batch // 2, 2, places, width).transpose(0, 1).reshape(batch, places, width)


class DomainBlock(nn.Module):
    """A transformer block with a third attention, between the one to itself and the one to what the network is told.

    Parts are named as in the published weights, so that these fit.

    Args:
        block: diffusers' BasicTransformerBlock with plain layer norms, whose parts are taken over.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.attn1 = block.norm1, block.attn1
        self.norm_joint_mid, self.attn_joint_mid = copy.deepcopy(block.norm1), copy.deepcopy(block.attn1)
        self.attn_joint_mid.set_processor(DomainAttention(self.attn_joint_mid.processor))
        self.norm2, self.attn2 = block.norm2, block.attn2
        self.norm3, self.ff = block.norm3, block.ff

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **unused: Any) -> Tensor:
        """(B, L, C) to the same shape."""
        seen = hidden_states + self.attn1(self.norm1(hidden_states))
        seen = seen + self.attn_joint_mid(self.norm_joint_mid(seen))
        seen = seen + self.attn2(self.norm2(seen), encoder_hidden_states=encoder_hidden_states)
        return seen + self.ff(self.norm3(seen))


def join_domains(unet: nn.Module) -> None:
    """Give all transformer blocks of diffusers' UNet2DConditionModel the third attention, in place."""
    for module in list(unet.modules()):
        blocks = getattr(module, "transformer_blocks", None)
        if isinstance(blocks, nn.ModuleList):
            for number, block in enumerate(blocks):
                blocks[number] = DomainBlock(block)
