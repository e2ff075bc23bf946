"""Guidance by geometry: a diffusion model that knows canonical coordinate maps of objects pulls at shape alone.

Reference: Li et al., SweetDreamer: Aligning Geometric Priors in 2D Diffusion for Consistent Text-to-3D (2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from img23d.diffusion_options import Guidance
from img23d.ops.coordinates import cameras_about, coordinate_maps, mesh_bounds, mesh_points, told_cameras, unit_cameras
from img23d.ops.edges import EdgeTable
from img23d.scene import Cameras, Mesh
from img23d.scores.distillation import Against
from img23d.scores.samplers import guided
from img23d.stages.context import Context
from img23d.stages.imagine import Side

Points = Callable[[Cameras, int], tuple[Tensor, Tensor]]
"""Cameras and a size to points (B, S, S, 3), multiplied by their coverage, and coverage (B, S, S)."""


@dataclass(frozen=True)
class Surface:
    """An object's surface, to be seen from anywhere.

    Args:
        bounds: (2, 3) its lowest and highest coordinates, object frame.
        points: draws where it lies.
    """

    bounds: Tensor
    points: Points


@dataclass(frozen=True)
class ByCoordinates:
    """A model that knows coordinate maps: `img23d.backends.coordinates`.

    Its cameras are its own, as it was trained: round the middle of the object's box, at a distance in the box's diagonals.

    Args:
        model: the network.
        nothing: (1, L, C) the negative prompt.
        told: (1, L, C) the prompt, the same for each side, since the network is told the cameras.
        scale: of the guidance.
        against: what its pull is measured by.
    """

    model: Any
    nothing: Tensor
    told: Tensor
    scale: float
    against: Against = "noise"

    @property
    def size(self) -> int:
        return self.model.size  # type: ignore[no-any-return]

    def latents(self, surface: Surface, sides: list[Side]) -> Tensor:
        """(B, 4, S, S) maps of a surface from these sides, differentiable in it."""
        points, cover = surface.points(cameras_about(cameras_of(sides), surface.bounds), self.size)
        return self.model.latents(coordinate_maps(points, cover, surface.bounds))  # type: ignore[no-any-return]

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        """The guided noise in latents (B, 4, S, S), each seen from its side."""
        cameras, count = told_cameras(cameras_of(sides)), len(sides)
        if self.scale == 1 or torch.equal(self.nothing, self.told):  # one pass says it all
            return self.model.noise(noisy, step, self.told.expand(count, -1, -1), cameras)  # type: ignore[no-any-return]
        words = torch.cat([told.expand(count, -1, -1) for told in (self.nothing, self.told)])
        nothing, told = self.model.noise(torch.cat([noisy, noisy]), step, words, torch.cat([cameras, cameras])).chunk(2)
        return guided(nothing, told, self.scale)


def cameras_of(sides: list[Side]) -> Cameras:
    """The model's own cameras: the photo's side is the front."""
    return unit_cameras([side.azimuth for side in sides], [side.elevation for side in sides])


def mesh_surface(mesh: Mesh, context: Context, table: EdgeTable | None = None) -> Surface:
    """A mesh as `ByCoordinates` looks at it."""

    def points(cameras: Cameras, size: int) -> tuple[Tensor, Tensor]:
        return mesh_points(mesh, cameras, size, context.rasterizer, table)

    return Surface(mesh_bounds(mesh), points)


def geometry_puller(path: Path, options: Guidance, device: str) -> ByCoordinates:
    """The model that knows coordinate maps, told the prompt if it knows words.

    Raises:
        WeightsError, BackendError: see `img23d.backends.coordinates.load`.
    """
    from img23d.backends import coordinates

    model = coordinates.load(path, device)
    words = model.read([options.negative_prompt, options.prompt])
    return ByCoordinates(model, words[:1], words[1:], options.geometry_scale)
