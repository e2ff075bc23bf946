"""A solid from any triangle mesh, closed or not: a point is outside if some view from outside sees past it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from img23d.backends.rasterizers import BackendRasterizer, choose_rasterizer
from img23d.priors.layers import surface_hits

HALF_SIZE = 0.55  # half the side of the carved cube, for objects whose longest side is 1
TRUNCATION = 0.1  # largest distance kept, same units
PREFERENCE = 0.15  # voxels: of two points this close, the one in front of which a sample lies counts (both sides of a sheet are seen)
THICKNESS = 0.6  # voxels: half the thickness given to sheets that enclose nothing


class Solid(NamedTuple):
    """A carved object: ``sdf`` is (D, D, D) int8, [z, y, x], 127 = `TRUNCATION`, samples on the faces of the cube of `HALF_SIZE`."""

    sdf: Tensor


def view_directions(count: int, device: torch.device) -> Tensor:
    """(V, 3, 3) rows right, up, back of views spread evenly over the sphere."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    polar, around = torch.arccos(1 - 2 * index / count), index * (math.pi * (3 - math.sqrt(5)))
    back = torch.stack([around.sin() * polar.sin(), polar.cos(), around.cos() * polar.sin()], -1)
    right = torch.linalg.cross(torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64).expand_as(back), back)
    right = right / right.norm(dim=-1, keepdim=True)
    return torch.stack([right, torch.linalg.cross(back, right), back], 1).to(device, torch.float32)


def carve(
    vertices: Tensor, faces: Tensor, resolution: int = 80, views: int = 42, size: int = 144, rasterizer: BackendRasterizer | None = None
) -> Solid:
    """The solid that is left when every view from outside has carved away what it sees past.

    Cavities that no view reaches are solid, bowls and cups are hollow, sheets get a thickness of about a voxel. Near the surface
    the distance is exact: it is measured to the surface points that the views see, on the side that their normals tell.

    Args:
        vertices: (N, 3) with bounding box inside [-0.5, 0.5]^3.
        faces: (F, 3) int64.
        resolution: samples along each side of the cube.
        views: parallel views from all around.
        size: pixels along each side of a view.
        rasterizer: the one for the device of ``vertices``; chosen when None.

    Reference:
        Kutulakos and Seitz, A theory of shape by space carving (2000), with depth maps in place of photo-consistency.
    """
    rasterizer = rasterizer or choose_rasterizer("auto", vertices.device)
    step = 2 * HALF_SIZE / (resolution - 1)
    axis = torch.linspace(-HALF_SIZE, HALF_SIZE, resolution, device=vertices.device)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")[::-1], -1).reshape(-1, 3)
    normals = torch.linalg.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    normals = normals / normals.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    # What lies outside of the bounding box is seen past by views along the axes.
    boxed = ((grid >= vertices.amin(0) - 0.5 * step) & (grid <= vertices.amax(0) + 0.5 * step)).all(-1)
    standing = torch.nonzero(boxed)[:, 0]
    views_of = view_directions(views, vertices.device)
    see_past = carve_views if vertices.device.type == "cpu" else carve_views_reference
    solid, points, sides = see_past(vertices, faces, normals, views_of, standing, grid, step, size, rasterizer)
    inside = torch.zeros(resolution**3, dtype=torch.bool, device=grid.device)
    inside[solid] = True
    near, sign = surface_distance(points, sides, resolution, step)
    return Solid(combine(inside, near, sign, resolution, step))


def project_views(vertices: Tensor, rotations: Tensor) -> Tensor:
    """(V, N, 3) fractions of the picture and depths of vertices (N, 3) in parallel views (V, 3, 3) of the whole cube."""
    local = vertices @ rotations.transpose(-1, -2)
    span = HALF_SIZE * math.sqrt(3.0)
    # Inverse depths, which are what a rasteriser compares, must be linear in the picture and far from zero.
    return torch.stack([0.5 + local[..., 0] / (2 * span), 0.5 - local[..., 1] / (2 * span), 1.0 / (2.0 + local[..., 2])], -1)


def carve_views(
    vertices: Tensor, faces: Tensor, normals: Tensor, rotations: Tensor, standing: Tensor, grid: Tensor, step: float, size: int,
    rasterizer: BackendRasterizer,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """As `carve_views_reference`, compiled for the CPU."""
    from img23d.training import carve_compiled

    projected = project_views(vertices, rotations)
    ids = rasterizer.face_ids(projected, faces, size, size)
    solid, resolution = standing.clone().numpy(), round(len(grid) ** (1 / 3))
    # All in the same order in memory: for another one everything would be compiled once more.
    given = (ids, projected[..., :2].double() * size, rotations.double(), vertices.double(), faces, normals.double())
    seen, place, turned, corners, triangles, facing = (part.contiguous().numpy() for part in given)
    count, points, sides = carve_compiled.carve_views(
        seen, place, turned, corners, triangles, facing, solid, -HALF_SIZE, step, resolution, HALF_SIZE * math.sqrt(3.0), 0.5 * step
    )
    return torch.from_numpy(solid[:count]), torch.from_numpy(points).float(), torch.from_numpy(sides).float()


def carve_views_reference(
    vertices: Tensor, faces: Tensor, normals: Tensor, rotations: Tensor, standing: Tensor, grid: Tensor, step: float, size: int,
    rasterizer: BackendRasterizer,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Carve away what each of the views sees past.

    Args:
        vertices: (N, 3).
        faces: (F, 3).
        normals: (F, 3) unit.
        rotations: (V, 3, 3) of `view_directions`.
        standing: (M,) numbers of the samples that may be solid.
        grid: (D^3, 3) all samples.
        step: distance between them.
        size: pixels along each side of a view.
        rasterizer: finds face ids.

    Returns:
        The numbers of the samples that no view sees past, the (P, 3) surface points seen, and their outward normals.
    """
    span, left, points, sides = HALF_SIZE * math.sqrt(3.0), grid[standing], [], []
    for rotation in rotations:
        xy, depth = project_views(vertices, rotation).split((2, 1), -1)
        hits = surface_hits(rasterizer, xy, 1.0 / depth[:, 0], faces, size, perspective=False)
        seen = hits.interpolate(vertices[faces])
        outward = normals[hits.face]
        outward = outward * torch.sign((outward @ rotation[2])[:, None] + 1e-12)
        kept = torch.nonzero(~past(left, rotation, planes(hits.pixel, seen, outward, size), size, span, 0.5 * step))[:, 0]
        standing, left = standing[kept], left[kept]
        points.append(seen)
        sides.append(outward)
    return standing, torch.cat(points), torch.cat(sides)


def planes(pixel: Tensor, seen: Tensor, outward: Tensor, size: int) -> Tensor:
    """(size^2, 4) the plane that each pixel sees, as normal and offset; pixels that see nothing get one behind everything.

    A pixel beside the silhouette keeps what is there from being carved: its plane at infinity is never passed.
    """
    empty = torch.ones(1, 1, size, size, device=seen.device)
    empty.view(-1)[pixel] = 0.0
    background = -torch.nn.functional.max_pool2d(1.0 - empty, 3, 1, 1).reshape(-1) > -0.5
    table = torch.zeros(size * size, 4, device=seen.device)
    table[:, 3] = torch.where(background, -torch.inf, torch.inf)
    table[pixel] = torch.cat([outward, (seen * outward).sum(-1, keepdim=True)], -1)
    return table


def past(points: Tensor, rotation: Tensor, table: Tensor, size: int, span: float, slack: float) -> Tensor:
    """(P,) whether a parallel view sees past these points: they lie in front of the plane that it sees there.

    The distance to the plane, and not along the ray, is what must exceed the slack: where the view grazes a surface, half a pixel
    aside is many voxels along the ray.
    """
    local = points @ rotation[:2].T
    column = ((local[:, 0] / span + 1) * (size / 2)).long().clamp(0, size - 1)
    row = ((1 - local[:, 1] / span) * (size / 2)).long().clamp(0, size - 1)
    plane = table[row * size + column]
    return (points * plane[:, :3]).sum(-1) > plane[:, 3] + slack


def surface_distance(points: Tensor, normals: Tensor, resolution: int, step: float) -> tuple[Tensor, Tensor]:
    """Distance of the voxels next to the surface to the nearest seen surface point, and on which side of it they are.

    Compiled on the CPU, `packed_distance` elsewhere.

    Args:
        points: (P, 3) surface points.
        normals: (P, 3) outward.
        resolution: samples along the cube.
        step: distance between samples.

    Returns:
        (D^3,) distances, infinite where no point is near, and (D^3,) signs, negative inside.
    """
    if points.device.type == "cpu":
        from img23d.training import carve_compiled

        arrays = points.double().numpy(), normals.double().numpy()
        best = torch.from_numpy(carve_compiled.surface_distance(*arrays, resolution, -HALF_SIZE, step, PREFERENCE))
    else:
        best = packed_distance(points, normals, resolution, step)
    front = (best & 1) == 1
    voxels = (best >> 1).float() / (1 << 20) - torch.where(front, 0.0, PREFERENCE)
    return torch.where(best < 1 << 40, voxels * step, torch.inf), torch.where(front, 1.0, -1.0)


def packed_distance(points: Tensor, normals: Tensor, resolution: int, step: float) -> Tensor:
    """(D^3,) distances of `surface_distance` in voxels times 2^21, preference included; the last bit is 1 in front of the surface."""
    cell = ((points + HALF_SIZE) / (step / 2)).round().long()
    octant = ((normals > 0) * torch.tensor([1, 2, 4], device=points.device)).sum(-1)  # the two sides of a sheet are both kept
    key = (cell[:, 2] << 43) | (cell[:, 1] << 23) | (cell[:, 0] << 3) | octant
    order = torch.argsort(key, stable=True)
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = key[order][1:] != key[order][:-1]
    kept = order[first]  # one point per half voxel and direction is enough
    points, normals = points[kept], normals[kept]
    centre = ((points + HALF_SIZE) / step).round().long()
    best = torch.full((resolution**3,), 1 << 40, dtype=torch.int64, device=points.device)
    for dz in (-1, 0, 1):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                voxel = (centre + torch.tensor([dx, dy, dz], device=points.device)).clamp(0, resolution - 1)
                offset = voxel * step - HALF_SIZE - points
                height = (offset * normals).sum(-1)
                aside = ((offset**2).sum(-1) - height**2).clamp(min=0).sqrt()
                # The surface goes on between the points: what lies aside of one by less than their spacing lies above its neighbour.
                away = torch.hypot(height, (aside - 0.5 * step).clamp(min=0))
                front = height > 0
                packed = ((away / step + torch.where(front, 0.0, PREFERENCE)) * (1 << 20)).long() * 2 + front
                best.scatter_reduce_(0, (voxel[:, 2] * resolution + voxel[:, 1]) * resolution + voxel[:, 0], packed, "amin")
    return best


def combine(inside: Tensor, near: Tensor, sign: Tensor, resolution: int, step: float) -> Tensor:
    """(D, D, D) int8 distances: exact next to the surface, from a distance transform of the carved solid elsewhere."""
    from img23d.training.carve_compiled import capped_distance

    shape = (resolution,) * 3
    whole = np.full(shape, 127, np.int8)
    # Farther from all that matters than the truncation nothing needs to be measured.
    matters = (inside | near.isfinite()).reshape(shape).cpu().numpy()
    margin = math.ceil(TRUNCATION / step) + 1
    box = tuple(reach(np.atleast_1d(matters.any(axis=tuple({0, 1, 2} - {axis}))), margin) for axis in range(3))
    carved = np.ascontiguousarray(inside.reshape(shape).cpu().numpy()[box])  # as its inverse is: compiled once for both
    value = np.where(carved, 0.5 - capped_distance(~carved, margin), capped_distance(carved, margin) - 0.5) * step
    distance, side = near.reshape(shape).cpu().numpy()[box], sign.reshape(shape).cpu().numpy()[box]
    # A voxel that sees nothing of the solid but is on a back side belongs to a cavity or a sheet: the carving decides.
    exact = distance < 1.2 * step
    trusted = exact & ((side > 0) | carved)
    value = np.where(trusted, side * distance, value)
    value = np.where(exact & ~trusted, distance, value)
    enclosed = trusted & (side < 0) | carved & ~exact
    sheet = exact & (capped_distance(enclosed, 3) > 2.0)
    value = np.where(sheet, distance - THICKNESS * step, value)
    whole[box] = np.round(np.clip(value / TRUNCATION, -1, 1) * 127).astype(np.int8)
    return torch.from_numpy(whole).to(inside.device)


def reach(occupied: NDArray[np.bool_], margin: int) -> slice:
    """From the first to the last occupied place of a line, with a margin; everything if none is."""
    places = np.flatnonzero(occupied)
    return slice(max(int(places[0]) - margin, 0), int(places[-1]) + margin + 1) if len(places) else slice(None)
