"""Shapes whose signed distance is known exactly: the truth of the tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sphere:
    """A sphere round the origin."""

    radius: float = 0.6

    def sdf(self, x: Tensor) -> Tensor:
        """(..., 3) -> (...) signed distance."""
        return x.norm(dim=-1) - self.radius


@dataclass(frozen=True)
class Box:
    """An axis-aligned box round the origin with these half sides."""

    half: tuple[float, float, float] = (0.5, 0.4, 0.3)

    def sdf(self, x: Tensor) -> Tensor:
        """(..., 3) -> (...) signed distance."""
        q = x.abs() - torch.tensor(self.half, dtype=x.dtype, device=x.device)
        return q.clamp_min(0).norm(dim=-1) + q.amax(-1).clamp_max(0)


@dataclass(frozen=True)
class Torus:
    """A torus round the y axis."""

    major: float = 0.55
    minor: float = 0.2

    def sdf(self, x: Tensor) -> Tensor:
        """(..., 3) -> (...) signed distance."""
        ring = torch.stack([x[..., 0], x[..., 2]], -1).norm(dim=-1) - self.major
        return torch.stack([ring, x[..., 1]], -1).norm(dim=-1) - self.minor
