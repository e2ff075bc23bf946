"""Fixed numbers as tensors: sent to each device once, because every copy from the host makes an accelerator wait."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor


def constant(values: Any, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The same tensor at every call; not to be written to.

    Args:
        values: nested tuples of numbers.
        like: gives the device, and the dtype where none is given.
        dtype: of the result.
    """
    return _constant(values, dtype or like.dtype, like.device)


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)
def _constant(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)
