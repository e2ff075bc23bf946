"""What a network of coordinate maps learns from: maps of objects from random cameras, drawn while it learns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img23d.backends.rasterizers import BackendRasterizer
from img23d.ops.coordinates import (
    cameras_about,
    coordinate_maps,
    mesh_bounds,
    mesh_points,
    told_cameras,
    unit_cameras,
)
from img23d.scene import Mesh
from img23d.training.dataset import ProceduralSource, RestingSource, VariantSource
from img23d.training.objects import Source, normalise

LOWEST_DEG, HIGHEST_DEG = -20.0, 60.0  # cameras above the horizon
NEAREST, FARTHEST = 1.4, 1.6  # of them, in diagonals of the object's box
KEPT = 512  # meshes in memory


class CoordinateSample(NamedTuple):
    """Maps of some objects, some views each.

    Args:
        maps: (B, 4, S, S) as the network sees them.
        cameras: (B, 12) what it is told of the cameras.
        words: B names of the objects, or nothing.
    """

    maps: Tensor
    cameras: Tensor
    words: list[str]


class CoordinateSource:
    """Maps of objects, of which those used last stay in memory.

    Args:
        sources: all objects.
        chosen: numbers of those to draw.
        size: pixels along each side.
        rasterizer: draws them, on the CPU.
    """

    def __init__(self, sources: Sequence[Source], chosen: Sequence[int], size: int, rasterizer: BackendRasterizer) -> None:
        self.sources, self.chosen, self.size, self.rasterizer = sources, list(chosen), size, rasterizer
        self.loaded: OrderedDict[int, Mesh] = OrderedDict()

    def mesh(self, number: int) -> Mesh:
        """An object's triangles."""
        if number not in self.loaded:
            item = normalise(self.sources[number].load())
            self.loaded[number] = Mesh(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long())
            if len(self.loaded) > KEPT:
                self.loaded.popitem(last=False)
        self.loaded.move_to_end(number)
        return self.loaded[number]

    def draw(self, random: np.random.Generator, objects: int, views: int) -> CoordinateSample:
        """Random objects, each from so many random sides."""
        numbers = random.choice(self.chosen, objects, replace=len(self.chosen) < objects).tolist()
        drawn = [self.views_of(int(number), random, views) for number in numbers]
        maps, cameras = (torch.cat(part) for part in zip(*drawn))
        return CoordinateSample(maps, cameras, [name_of(self.sources[number]) for number in numbers for _ in range(views)])

    def views_of(self, number: int, random: np.random.Generator, views: int) -> tuple[Tensor, Tensor]:
        """(V, 4, S, S) maps of an object and (V, 12) its cameras, all as far away."""
        azimuth, elevation = random.uniform(-180.0, 180.0, views), random.uniform(LOWEST_DEG, HIGHEST_DEG, views)
        cameras = unit_cameras(azimuth.tolist(), elevation.tolist(), float(random.uniform(NEAREST, FARTHEST)))
        mesh = self.mesh(number)
        bounds = mesh_bounds(mesh)
        points, cover = mesh_points(mesh, cameras_about(cameras, bounds), self.size, self.rasterizer)
        return coordinate_maps(points, cover, bounds).permute(0, 3, 1, 2).contiguous(), told_cameras(cameras)


def name_of(source: Source) -> str:
    """An object's name in words, as its file is called; nothing of one made by code."""
    if isinstance(source, (ProceduralSource, VariantSource, RestingSource)):
        return ""
    return source.family.rpartition("/")[2].replace("_", " ").strip()
