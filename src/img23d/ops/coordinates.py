"""Canonical coordinate maps: pictures that show, in place of a colour, where on the object each pixel's surface lies.

Reference: Li et al., SweetDreamer: Aligning Geometric Priors in 2D Diffusion for Consistent Text-to-3D (2024). Axes, scale and background
    are those of its published code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from img23d.ops.edges import EdgeTable
from img23d.ops.raster import Rasterizer
from img23d.ops.render import render
from img23d.scene import Cameras, Mesh
from img23d.scene.cameras import orbit_degrees

CHANNELS = 4
DISTANCE, FOV_DEG = 1.5, 40.0  # of the cameras, in diagonals of the object's box: a ball round any box fits
MARGIN = 1.1  # coordinates of the box's sides are -1 / 1.1 and 1 / 1.1
THINNEST = 1e-3  # share of the diagonal below which a box's side is not stretched any more


def canonical(vectors: Tensor) -> Tensor:
    """(..., 3) vectors of the object's frame (y up, front on +z) in the maps' frame: z up, front on -y."""
    x, y, z = vectors.unbind(-1)
    return torch.stack([x, -z, y], -1)


def mesh_bounds(mesh: Mesh) -> Tensor:
    """(2, 3) lowest and highest coordinates of a mesh, held fixed: no gradient goes through them."""
    vertices = mesh.vertices.detach()
    return torch.stack([vertices.amin(0), vertices.amax(0)])


def volume_bounds(sdf: Tensor) -> Tensor:
    """(2, 3) lowest and highest coordinates of the surface in a signed distance volume (D, D, D), held fixed; the cube where there is none.

    Distances between samples are linear, so that bounds move as the surface does and not from sample to sample.
    """
    sdf = sdf.detach()
    line = torch.linspace(-1, 1, len(sdf), dtype=sdf.dtype, device=sdf.device)
    found = []
    for axis in (2, 1, 0):  # indexed [z, y, x]
        least = sdf.amin([other for other in range(3) if other != axis])
        inside = torch.nonzero(least < 0)[:, 0].tolist()
        if not inside:
            return sdf.new_tensor([[-1.0] * 3, [1.0] * 3])
        found.append([_crossing(least, line, inside[0], -1), _crossing(least, line, inside[-1], 1)])
    return torch.stack([torch.stack(ends) for ends in found], 1)


def _crossing(least: Tensor, line: Tensor, inside: int, towards: int) -> Tensor:
    """Where between a sample and its neighbour the distance is zero; the sample's own place at the cube's face."""
    outside = inside + towards
    if not 0 <= outside < len(line):
        return line[inside]
    share = least[inside] / (least[inside] - least[outside])
    return line[inside] + share * (line[outside] - line[inside])


def unit_cameras(azimuth_deg: list[float], elevation_deg: list[float], distance: float = DISTANCE) -> Cameras:
    """Cameras round a box at the origin whose diagonal is 1, as the maps are drawn from."""
    return orbit_degrees(azimuth_deg, elevation_deg, distance, FOV_DEG)


def cameras_about(cameras: Cameras, bounds: Tensor) -> Cameras:
    """The same cameras, round a box (2, 3) of any size at any place."""
    pose = cameras.cam_to_world.to(bounds).clone()
    pose[:, :3, 3] = pose[:, :3, 3] * _diagonal(bounds) + bounds.mean(0)
    return Cameras(pose, cameras.focal.to(bounds), cameras.center.to(bounds))


def told_cameras(cameras: Cameras) -> Tensor:
    """(V, 12) what a network is told of `unit_cameras`: the rows of the camera-to-world matrix, without the last, in the maps' frame."""
    columns = cameras.cam_to_world[:, :3].transpose(1, 2)
    return canonical(columns).transpose(1, 2).flatten(1)


def coordinate_maps(points: Tensor, cover: Tensor, bounds: Tensor) -> Tensor:
    """Coordinates and mask of what pictures show.

    Args:
        points: (V, H, W, 3) object frame, multiplied by the coverage: what a ray accumulates.
        cover: (V, H, W) coverage 0..1.
        bounds: (2, 3) lowest and highest coordinates of the object.

    Returns:
        (V, H, W, 4): coordinates multiplied by the coverage, which on the surface fill -1 / `MARGIN` .. 1 / `MARGIN` along each axis, the
        axes stretched each by itself; and the coverage, -1 .. 1. Empty pixels hold 0, 0, 0, -1.
    """
    half = ((bounds[1] - bounds[0]) / 2).clamp(min=float(THINNEST * _diagonal(bounds)))
    placed = (points - cover[..., None] * bounds.mean(0)) / (MARGIN * half)
    return torch.cat([canonical(placed), cover[..., None] * 2 - 1], -1)


def mesh_points(mesh: Mesh, cameras: Cameras, size: int, rasterizer: Rasterizer, table: EdgeTable | None = None) -> tuple[Tensor, Tensor]:
    """What `coordinate_maps` wants of a mesh: points (V, S, S, 3) and coverage (V, S, S), differentiable in the vertices."""
    seen = render(mesh, cameras, size, size, rasterizer, mesh.vertices, table=table)
    assert seen.attributes is not None
    return seen.attributes * seen.views.mask[..., None], seen.views.mask


def _diagonal(bounds: Tensor) -> Tensor:
    return (bounds[1] - bounds[0]).norm().clamp(min=1e-9)
