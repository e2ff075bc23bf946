"""In which numbers networks compute that are asked and not taught."""

from __future__ import annotations

import torch

HALF_ON = ("cuda",)  # kinds of devices on which float16 is fast


def precision(device: str) -> torch.dtype:
    """The dtype of a network's weights on a device of that name."""
    return torch.float16 if device.split(":")[0] in HALF_ON else torch.float32
