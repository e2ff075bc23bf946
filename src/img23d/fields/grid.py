"""A signed distance and colour field on dense grids, coarse to fine.

Measured on two CPU cores, a pyramid of dense grids is an order of magnitude cheaper than hash grids with an MLP: one composition
and one trilinear look-up serve every sample of a step. The same code runs on CUDA.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img23d.fields.gaussians import Gaussians
from img23d.ops.volume import sample_volume


class SdfField(Protocol):
    """What `refine` needs of a field; analytic shapes satisfy it too."""

    def sdf(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N,)."""
        ...


def sample_grid(volume: Tensor, points: Tensor) -> Tensor:
    """Trilinear look-up.

    Args:
        volume: (C, D, H, W) over [-1, 1]^3, samples on the faces.
        points: (..., 3) x, y, z.

    Returns:
        (..., C); points outside take the value at the border.
    """
    return sample_volume(volume, points.reshape(-1, 3)).reshape(*points.shape[:-1], volume.shape[0])


def upsample(volume: Tensor, size: int) -> Tensor:
    """(C, D, D, D) resampled to (C, size, size, size), samples on the faces.

    Axis by axis as matrix products: torch's own way back from a finer grid goes sample by sample, on one thread for each channel.
    """
    if volume.shape[-1] == size:
        return volume
    at, there = (torch.arange(n, dtype=torch.float64, device=volume.device) for n in (size, volume.shape[-1]))
    weight = (1 - (at[:, None] * ((len(there) - 1) / (size - 1)) - there).abs()).clamp(min=0).to(volume.dtype)  # (size, D)
    channels, old = volume.shape[:2]
    tall = weight @ volume.reshape(channels, old, old * old)
    wide = weight @ tall.reshape(channels, size, old, old)
    return wide @ weight.T


def gradient(volume: Tensor) -> Tensor:
    """(D, D, D) -> (3, D, D, D): d/dx, d/dy, d/dz by central differences in object units (one-sided at the faces)."""
    spacing = 2.0 / (volume.shape[0] - 1)
    z, y, x = torch.gradient(volume, spacing=spacing)
    return torch.stack([x, y, z])


class GridField(nn.Module):
    """Signed distance = start + sum of residual grids; colour = a grid of its own.

    Args:
        start: (D, D, D) signed distance to begin with.
        color: (3, C, C, C) colours to begin with, 0..1.
        resolution: samples along each side of the finest residual grid.
        levels: grids in the pyramid, each half as fine as the next.
    """

    def __init__(self, start: Tensor, color: Tensor, resolution: int, levels: int) -> None:
        super().__init__()
        self.start: Tensor
        self.register_buffer("start", upsample(start[None], resolution)[0])
        sizes = [max(4, resolution >> level) for level in range(levels)]
        self.residuals = nn.ParameterList([nn.Parameter(torch.zeros(1, n, n, n, device=start.device)) for n in sizes])
        self.color_logit = nn.Parameter(torch.logit(color.clamp(0.02, 0.98)))

    @property
    def resolution(self) -> int:
        """Samples along each side of the finest grid."""
        return self.start.shape[0]

    def dense_sdf(self) -> Tensor:
        """(R, R, R) the whole field, differentiable in the residual grids."""
        total = self.start
        for residual in self.residuals:
            total = total + upsample(residual, self.resolution)[0]
        return total

    def dense_color(self) -> Tensor:
        """(3, C, C, C) colours 0..1."""
        return torch.sigmoid(self.color_logit)

    def sdf(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N,) signed distance."""
        return sample_grid(self.dense_sdf()[None], x)[..., 0]

    def normal(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N, 3) unit outward normals."""
        return F.normalize(sample_grid(gradient(self.dense_sdf()), x), dim=-1)

    def color(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N, 3) sRGB 0..1."""
        return sample_grid(self.dense_color(), x)


class FrozenGrid:
    """A finished field: what `fit` hands on and the run folder stores.

    Args:
        sdf_volume: (R, R, R).
        color_volume: (3, C, C, C).
        settled: share of the steps of its fit after which its shape had settled, where that was watched.
        known: (R, R, R) bool, where it is known for sure and stays as it is; or None.
        cloud: the Gaussians that it was made of, in the object frame, where it was; kept for those who want them, nothing here asks it.
    """

    def __init__(
        self, sdf_volume: Tensor, color_volume: Tensor, settled: float | None = None, known: Tensor | None = None,
        cloud: Gaussians | None = None,
    ) -> None:  # fmt: skip
        self.sdf_volume, self.color_volume, self.settled, self.known, self.cloud = sdf_volume, color_volume, settled, known, cloud

    def sdf(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N,) signed distance."""
        return sample_grid(self.sdf_volume[None], x)[..., 0]

    def color(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N, 3) sRGB 0..1."""
        return sample_grid(self.color_volume, x)
