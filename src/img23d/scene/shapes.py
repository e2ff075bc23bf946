"""One function that checks tensor shapes and names the culprit."""

from __future__ import annotations

import torch


def check_shape(name: str, tensor: torch.Tensor, *shape: int | None) -> None:
    """Raise `ValueError` unless ``tensor`` has this shape; None matches any size."""
    if tensor.dim() != len(shape) or any(want is not None and have != want for have, want in zip(tensor.shape, shape)):
        want = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
        raise ValueError(f"{name} must have shape {want}, got {tuple(tensor.shape)}")


def check_index(name: str, tensor: torch.Tensor, columns: int, limit: int) -> None:
    """Raise `ValueError` unless ``tensor`` is (any, columns) int64 with entries in 0..limit-1."""
    check_shape(name, tensor, None, columns)
    if tensor.dtype != torch.int64:
        raise ValueError(f"{name} must be int64, got {tensor.dtype}")
    if not tensor.numel():
        return
    least, most = torch.stack(torch.aminmax(tensor)).tolist()  # one question to the device instead of two
    if least < 0 or most >= limit:
        raise ValueError(f"{name} has entries outside 0..{limit - 1}")
