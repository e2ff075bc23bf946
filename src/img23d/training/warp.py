"""Invertible deformations of an object and its solid: scale per axis, shear, mirror and taper."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Warp(NamedTuple):
    """First ``linear``, then a taper: x and z grow by ``1 + taper * y``."""

    linear: Tensor  # (3, 3)
    inverse: Tensor  # (3, 3)
    taper: float

    def forward(self, points: Tensor) -> Tensor:
        """(N, 3) where points of the object go."""
        moved = points @ self.linear.T
        grow = 1.0 + self.taper * moved[:, 1:2]
        return torch.cat([moved[:, :1] * grow, moved[:, 1:2], moved[:, 2:] * grow], -1)

    def backward(self, points: Tensor) -> Tensor:
        """(N, 3) where these points of the deformed object come from."""
        grow = 1.0 + self.taper * points[:, 1:2]
        return torch.cat([points[:, :1] / grow, points[:, 1:2], points[:, 2:] / grow], -1) @ self.inverse.T

    @property
    def stretch(self) -> float:
        """The mean factor on lengths."""
        return float(torch.linalg.det(self.linear).abs() ** (1 / 3))


def identity(device: torch.device | str = "cpu") -> Warp:
    """The warp that changes nothing."""
    return Warp(torch.eye(3, device=device), torch.eye(3, device=device), 0.0)


def random_warp(random: np.random.Generator, device: torch.device | str = "cpu") -> Warp:
    """A random one: always perhaps mirrored, mostly stretched by up to 1.4 per axis, sometimes sheared and tapered."""
    scale = np.exp(random.uniform(-0.34, 0.34, 3)) if random.random() < 0.7 else np.full(3, 1.0)
    if random.random() < 0.5:
        scale[0] = -scale[0]
    linear = np.diag(scale)
    if random.random() < 0.15:
        linear[0, 1], linear[2, 1] = random.uniform(-0.2, 0.2, 2)
    taper = float(random.uniform(-0.5, 0.5)) if random.random() < 0.25 else 0.0
    as_tensor = torch.tensor(linear, dtype=torch.float32)
    return Warp(as_tensor.to(device), torch.linalg.inv(as_tensor).to(device), taper)
