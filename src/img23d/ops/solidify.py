"""The solid that a mesh means, whatever its faces are like: closed or not, crossing, doubled, one-sided or with walls inside.

A point is outside when some view from outside sees past it. Only faces that are seen count for distances, so hidden rooms are
solid and hidden walls leave no trace; what is thinner than a given thickness gets that thickness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor

from img23d.errors import InputError
from img23d.ops.closest import closest_on_triangles
from img23d.ops.raster import Rasterizer
from img23d.ops.volume import volume_points
from img23d.scene import Cameras, Mesh, orbit

DISTANCE = 4.0  # of the viewing cameras from the origin
REACH = math.sqrt(3.0)  # the cube [-1, 1]^3 lies in this sphere, which every view shows whole
PROBES = 4  # steps in which a thickness is measured
THICKNESS = 1.5  # sample distances: least thickness of a solid on a dense grid, so that the grid can hold it
GAP = 1.6  # sample distances: narrower gaps between faces are taken for damage and closed
NEAR = 2.5  # sample distances from the surface within which a dense grid's values are exact


@dataclass(frozen=True)
class Sight:
    """What views from all around see of a mesh.

    Args:
        cameras: V cameras.
        nearest: (V, S + 1, S + 1) least z-depth of the four pixels around each of their common corners, infinite where nothing is seen.
        points: (P, 3) seen surface points.
        face: (P,) the faces that they lie on.
        pixel: size of a pixel at the origin, object units.
    """

    cameras: Cameras
    nearest: Tensor
    points: Tensor
    face: Tensor
    pixel: float


def solidify(mesh: Mesh, resolution: int, rasterizer: Rasterizer, views: int = 48, size: int = 320) -> Tensor:
    """Signed distance of the solid that a mesh means, on a dense grid.

    Args:
        mesh: any mesh inside [-1, 1]^3.
        resolution: samples along each side of the cube.
        rasterizer: says which face each pixel sees.
        views: number of views.
        size: pixels along each side of a view.

    Returns:
        (D, D, D) signed distance, negative inside, object units: exact within 2.5 samples of the surface, to a part of a sample
        further off. Solids thinner than 1.5 samples get that thickness, holes and gaps narrower than 1.6 samples are closed.

    Raises:
        InputError: when nothing of the mesh can be seen.
        ValueError: when the mesh reaches out of the cube.

    Reference: Kutulakos and Seitz, A Theory of Shape by Space Carving (2000), with depths in place of photo-consistency.
    """
    step = 2 / (resolution - 1)
    sight = look(mesh, rasterizer, GAP * step, views, size)
    grid = volume_points(resolution, mesh.vertices)
    touched = torch.zeros(resolution, resolution, resolution, dtype=torch.bool, device=grid.device)
    z, y, x = ((sight.points.flip(-1) + 1) / step).round().long().clamp(0, resolution - 1).unbind(-1)
    touched[z, y, x] = True
    near = distance_transform_edt(~touched.cpu().numpy()) <= NEAR
    nearest_near = distance_transform_edt(~near, return_distances=False, return_indices=True)
    is_near = torch.from_numpy(near).to(grid.device)
    surface, exact = _exact(mesh, sight, grid[is_near], THICKNESS * step)
    feet, values = torch.zeros_like(grid), torch.zeros_like(grid[..., 0])
    feet[is_near], values[is_near] = surface, exact
    far = grid[~is_near]
    foot = feet[tuple(torch.from_numpy(index).to(grid.device) for index in nearest_near)][~is_near]
    distance = (far - foot).norm(dim=-1)
    values[~is_near] = torch.where(sees_past(sight, far), distance, -distance)
    return values


def signed_distance(
    mesh: Mesh, points: Tensor, rasterizer: Rasterizer, thickness: float = 0.0, gap: float = 0.0, views: int = 48, size: int = 320
) -> Tensor:
    """Signed distance of the solid that a mesh means, at given points.

    Args:
        mesh: any mesh inside [-1, 1]^3.
        points: (N, 3).
        rasterizer: says which face each pixel sees.
        thickness: least thickness that the solid is given, object units.
        gap: holes and gaps narrower than this are closed, object units.
        views: number of views.
        size: pixels along each side of a view; features below 3.5 / size are not resolved.

    Returns:
        (N,) negative inside, object units.

    Raises:
        InputError: when nothing of the mesh can be seen.
        ValueError: when the mesh reaches out of the cube.
    """
    return _exact(mesh, look(mesh, rasterizer, gap, views, size), points, thickness)[1]


def look(mesh: Mesh, rasterizer: Rasterizer, gap: float, views: int, size: int) -> Sight:
    """Look at a mesh from all around; see `solidify`."""
    if len(mesh.vertices) and float(mesh.vertices.abs().max()) > 1 + 1e-4:
        raise ValueError("the mesh must lie inside [-1, 1]^3")
    cameras = around(views).to(mesh.vertices.device)
    corners = mesh.vertices[mesh.faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    depths, points, faces = [], [], []
    for index in range(views):
        camera = cameras[[index]]
        projected = camera.project(mesh.vertices)
        ids = rasterizer.face_ids(projected, mesh.faces, size, size)[0]
        seen = ids >= 0
        face = ids[seen]
        origins, directions = (rays[0][seen] for rays in camera.rays(size, size))
        slope, height = (normals[face] * directions).sum(-1), (normals[face] * (corners[face, 0] - origins)).sum(-1)
        reach = projected[0, :, 2][mesh.faces[face]]
        # A face seen edge on has no certain depth; no point of it is nearer or farther than its corners.
        depth = (height / torch.where(slope == 0, torch.ones_like(slope), slope)).clamp(reach.amin(-1), reach.amax(-1))
        image = torch.full(ids.shape, torch.inf, dtype=depth.dtype, device=depth.device)
        image[seen] = depth
        depths.append(without_gaps(image, gap * size / (2 * REACH)))
        points.append(origins + depth[:, None] * directions)
        faces.append(face)
    if not sum(len(face) for face in faces):
        raise InputError("the mesh has no face that can be seen from outside", "check that the file holds triangles with an area")
    return Sight(cameras, nearest_of_four(torch.stack(depths)), torch.cat(points), torch.cat(faces), 2 * REACH / size)


def without_gaps(depth: Tensor, pixels: float) -> Tensor:
    """(S, S) depths with all that is narrower than so many pixels and lies deeper than its surroundings brought up to them.

    Reference: a grey opening with a flat square, Serra, Image Analysis and Mathematical Morphology (1982).
    """
    window = 2 * int(pixels / 2 + 0.5) + 1
    if window <= 1:
        return depth
    return largest_within(-largest_within(-depth, window), window)


def largest_within(image: Tensor, window: int) -> Tensor:
    """(S, S) the largest value in a square of so many pixels, odd, about each: down the columns, then along the rows."""
    upright = F.max_pool2d(image[None], (window, 1), 1, (window // 2, 0))
    return F.max_pool2d(upright, (1, window), 1, (0, window // 2))[0]


def nearest_of_four(depth: Tensor) -> Tensor:
    """(V, S + 1, S + 1) the least of the four pixels (V, S, S) that meet at each corner; outside the picture nothing is near."""
    wide = F.pad(depth, (1, 1, 1, 1), value=torch.inf)
    upright = torch.minimum(wide[:, 1:], wide[:, :-1])
    return torch.minimum(upright[:, :, 1:], upright[:, :, :-1])


def around(views: int) -> Cameras:
    """Cameras spread evenly over the sphere (Fibonacci lattice), each of which shows the whole cube [-1, 1]^3."""
    index = torch.arange(views, dtype=torch.float32) + 0.5
    elevation = torch.asin(1 - 2 * index / views)
    azimuth = (index * math.pi * (3 - math.sqrt(5))).remainder(2 * math.pi)
    full = torch.ones(views)
    return orbit(azimuth, elevation, DISTANCE * full, 2.04 * math.asin(REACH / DISTANCE) * full)


def sees_past(sight: Sight, points: Tensor) -> Tensor:
    """(N,) bool: whether some view sees past these points, by all four pixels around them: they are outside for certain."""
    size = sight.nearest.shape[-1] - 1
    outside = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    left = torch.arange(len(points), device=points.device)
    for view, nearest in enumerate(sight.nearest):
        x, y, depth = sight.cameras[[view]].project(points[left])[0].unbind(-1)
        column, row = ((fraction * size).round().long().clamp(0, size) for fraction in (x, y))
        past = depth < nearest[row, column] - 0.25 * sight.pixel
        outside[left[past]] = True
        left = left[~past]
    return outside


def _exact(mesh: Mesh, sight: Sight, points: Tensor, thickness: float) -> tuple[Tensor, Tensor]:
    """Nearest seen surface points (N, 3) and signed distances (N,), with a least thickness."""
    foot = nearest_seen(mesh, sight, points)
    away = points - foot
    distance = away.norm(dim=-1)
    away = away / distance.clamp(min=1e-12)[:, None]
    # A point nearer than some pixels cannot be told from the surface; one further off on the same side can.
    clear = torch.maximum(distance, torch.full_like(distance, 2.0 * sight.pixel))
    outside = sees_past(sight, foot + away * clear[:, None])
    signed = torch.where(outside, distance, -distance)
    if thickness <= 0:
        return foot, signed
    inwards = torch.where(outside[:, None], -away, away)
    missing = torch.zeros_like(distance)
    for probe in range(PROBES, 0, -1):
        depth = thickness * probe / PROBES
        emerged = sees_past(sight, foot + inwards * depth)
        missing = torch.where(emerged, thickness - depth + thickness / PROBES, missing)
    return foot, signed - missing / 2


def nearest_seen(mesh: Mesh, sight: Sight, points: Tensor, candidates: int = 6) -> Tensor:
    """(N, 3) the nearest point of the seen surface: exact on the faces of the nearest seen points."""
    cell = (sight.points / (2 * sight.pixel)).round().long() + (1 << 9)
    key = ((sight.face * (1 << 10) + cell[:, 0]) * (1 << 10) + cell[:, 1]) * (1 << 10) + cell[:, 2]
    _, first = np.unique(key.cpu().numpy(), return_index=True)
    samples, face = sight.points[torch.from_numpy(first)], sight.face[torch.from_numpy(first)]
    tree = cKDTree(samples.cpu().numpy())
    candidates = min(candidates, len(first))
    _, found = tree.query(points.cpu().numpy(), k=candidates)
    found = torch.from_numpy(np.asarray(found).reshape(len(points), candidates)).to(points.device)
    feet = closest_on_triangles(points[:, None], mesh.vertices[mesh.faces[face[found]]])
    best = (feet - points[:, None]).square().sum(-1).argmin(-1)
    return feet[torch.arange(len(points), device=points.device), best]
