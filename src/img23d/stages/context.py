"""What a stage may use besides its inputs and options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


def no_progress(fraction: float, text: str = "") -> None:
    """A progress callback that shows nothing."""


@dataclass(frozen=True)
class Context:
    """Everything ambient, in one frozen place.

    Args:
        device: where tensors live.
        rasterizer: object with ``name`` and ``face_ids(points, faces, height, width)``; see `img23d.backends.rasterizers`.
        tetrahedra: object with ``marching_tetrahedra`` and ``subdivide``; see `img23d.backends.tetrahedra`.
        seed: seed of this stage.
        progress: called with (fraction 0..1, text) during long loops.
        offline: never reach for the network.
        commercial_ok: refuse models that may not be used commercially.
        warnings: lines that the user should read; stages append to it.
    """

    device: torch.device
    rasterizer: Any
    tetrahedra: Any = None
    seed: int = 0
    progress: Callable[[float, str], None] = no_progress
    offline: bool = False
    commercial_ok: bool = False
    warnings: list[str] = field(default_factory=list)

    def generator(self) -> torch.Generator:
        """A fresh random generator on the CPU: the same numbers on every device."""
        return torch.Generator().manual_seed(self.seed)
