"""Self-attention over several views at once: how diffusion models that draw a whole set of views keep them alike.

Reference: Shi et al., MVDream (2024); Long et al., Wonder3D (2024).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


class JointAttention:
    """An attention processor that puts the places of neighbouring pictures of a batch into one row before another processor sees them.

    Args:
        together: pictures that look at each other: those with numbers 0 .. together - 1 of the batch, then the next ones.
        inner: the processor that attends.
    """

    def __init__(self, together: int, inner: Any) -> None:
        self.together, self.inner = together, inner

    def __call__(self, attention: Any, hidden_states: Tensor, **given: Any) -> Tensor:
        """(B, L, C) to the same shape; B is a multiple of ``together``."""
        batch, places, width = hidden_states.shape
        row = hidden_states.reshape(batch // self.together, self.together * places, width)
        seen: Tensor = self.inner(attention, row, **given)
        return seen.reshape(batch, places, width)


def join_views(unet: Any, together: int) -> None:
    """Let the self-attention of all transformer blocks of a U-Net see ``together`` pictures at once; what reads the prompt stays as it is.

    Args:
        unet: diffusers' UNet2DConditionModel, changed in place.
        together: pictures in a set.
    """
    own = ".attn1.processor"
    unet.set_attn_processor(
        {name: JointAttention(together, found) if name.endswith(own) else found for name, found in unet.attn_processors.items()}
    )
