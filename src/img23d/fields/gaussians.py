"""A cloud of coloured 3D Gaussians, in the numbers that are learnt and stored.

Reference: Kerbl et al., 3D Gaussian Splatting for Real-Time Radiance Field Rendering (2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from img23d.ops.density import density_at, density_grid
from img23d.ops.splat import Composite, splat
from img23d.scene import Cameras
from img23d.scene.shapes import check_shape

CONSTANT_HARMONIC = 0.28209479177387814
"""The spherical harmonic of degree 0, half the root of 1 / pi."""


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians of one colour each, the same from all sides.

    Args:
        points: (N, 3) centres, object frame.
        log_scales: (N, 3) logarithms of the standard deviations along their own axes, object units.
        rotations: (N, 4) quaternions w, x, y, z of any length but 0, from their own axes to the object frame.
        opacity_logits: (N,) opacity before the logistic function.
        harmonics: (N, 3) coefficients of the constant spherical harmonic; sRGB is 0.5 + `CONSTANT_HARMONIC` times them.
    """

    points: Tensor
    log_scales: Tensor
    rotations: Tensor
    opacity_logits: Tensor
    harmonics: Tensor

    def __post_init__(self) -> None:
        count = len(self.points)
        check_shape("points", self.points, None, 3)
        check_shape("log_scales", self.log_scales, count, 3)
        check_shape("rotations", self.rotations, count, 4)
        check_shape("opacity_logits", self.opacity_logits, count)
        check_shape("harmonics", self.harmonics, count, 3)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: Tensor | slice) -> Gaussians:
        return Gaussians(*(value[chosen] for value in vars(self).values()))

    @property
    def scales(self) -> Tensor:
        """(N, 3) standard deviations, object units."""
        return self.log_scales.exp()

    @property
    def opacity(self) -> Tensor:
        """(N,) 0..1."""
        return torch.sigmoid(self.opacity_logits)

    @property
    def rgb(self) -> Tensor:
        """(N, 3) sRGB, not below 0."""
        return (0.5 + CONSTANT_HARMONIC * self.harmonics).clamp(min=0)

    def moved(self, scale: float, shift: Tensor) -> Gaussians:
        """The same cloud made larger by a factor, then shifted by (3,)."""
        points = self.points * scale + shift.to(self.points)
        return Gaussians(points, self.log_scales + math.log(scale), self.rotations, self.opacity_logits, self.harmonics)

    def draw(self, cameras: Cameras, height: int, width: int, composite: Composite | None = None) -> tuple[Tensor, Tensor]:
        """(V, H, W, 3) colours on black and (V, H, W) coverage; see `img23d.ops.splat.splat`."""
        return splat(self.points, self.scales, self.rotations, self.opacity, self.rgb, cameras, height, width, composite)

    def density_grid(self, resolution: int) -> tuple[Tensor, Tensor]:
        """(D, D, D) density and (3, D, D, D) mean colours; see `img23d.ops.density.density_grid`."""
        return density_grid(self.points, self.scales, self.rotations, self.opacity, self.rgb, resolution)

    def density_at(self, places: Tensor) -> Tensor:
        """(P,) density at places (P, 3), differentiable; see `img23d.ops.density.density_at`."""
        return density_at(self.points, self.scales, self.rotations, self.opacity, places)


def to_harmonics(rgb: Tensor) -> Tensor:
    """Coefficients of the constant spherical harmonic that show sRGB colours."""
    return (rgb - 0.5) / CONSTANT_HARMONIC


def quaternion(matrix: Tensor) -> Tensor:
    """(..., 4) unit quaternions w, x, y, z of rotation matrices (..., 3, 3); w is not negative.

    The largest of the four is found first and the others divided by it, so that none is a difference of nearly equal numbers.
    """
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    squares = torch.stack([1 + trace] + [1 - trace + 2 * m[..., i, i] for i in range(3)], -1).clamp(min=0)
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 2, 0] + m[..., 0, 2], m[..., 2, 1] + m[..., 1, 2]
    # Four times the products of each with all four, one row for each that may be the largest.
    rows = torch.stack(
        [
            torch.stack([squares[..., 0], wx, wy, wz], -1),
            torch.stack([wx, squares[..., 1], xy, xz], -1),
            torch.stack([wy, xy, squares[..., 2], yz], -1),
            torch.stack([wz, xz, yz, squares[..., 3]], -1),
        ],
        -2,
    )
    largest = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    found = torch.nn.functional.normalize(rows.gather(-2, largest)[..., 0, :], dim=-1)
    return torch.where(found[..., :1] < 0, -found, found)
