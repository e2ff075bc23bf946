"""From texels to the surface and back: which point of the mesh each texel shows, and what lies between the charts."""

from __future__ import annotations

import torch
from torch import Tensor

# Candidate texels examined at once: bounds the memory, long thin triangles have large boxes.
CANDIDATES = 1 << 21


def texel_surface(uv: Tensor, uv_faces: Tensor, size: int, gutter: float = 2.0) -> tuple[Tensor, Tensor]:
    """The surface point under every texel.

    Texels just outside a chart continue the plane of the nearest face, so that bilinear lookups on both sides of a seam meet.

    Args:
        uv: (M, 2) glTF texture coordinates.
        uv_faces: (F, 3) int64 into ``uv``.
        size: texels along one side.
        gutter: how far outside the charts the surface is continued, texels.

    Returns:
        face (R, R) int64, -1 away from every chart, and barycentric (R, R, 3), some entries outside 0..1 in the gutter.
    """
    corner = uv.detach()[uv_faces].to(torch.float64) * size - 0.5
    face = _cover(corner, size)
    inside = face >= 0
    row, column = torch.meshgrid(torch.arange(size, device=uv.device), torch.arange(size, device=uv.device), indexing="ij")
    if gutter > 0 and bool(inside.any()):
        distance, near_row, near_column = _nearest(inside)
        near = distance <= gutter
        face = torch.where(near, face[near_row, near_column], face)
    barycentric = torch.zeros(size, size, 3, dtype=corner.dtype, device=uv.device)
    known = face >= 0
    points = torch.stack([column, row], -1)[known].to(corner.dtype)
    barycentric[known] = _barycentric(corner[face[known]], points)
    if gutter > 0 and bool(inside.any()):
        # Slivers continue without bound: there the nearest inner texel's own point is the better answer.
        wild = known & ~inside & (barycentric.abs().amax(-1) > 3)
        barycentric[wild] = barycentric[near_row[wild], near_column[wild]]
    return face, barycentric.to(uv.dtype)


def interpolate(values: Tensor, faces: Tensor, face: Tensor, barycentric: Tensor) -> Tensor:
    """Values per vertex carried to points on faces.

    Args:
        values: (N, C) per vertex.
        faces: (F, 3) int64 into ``values``.
        face: (P,) int64, which face each point lies on.
        barycentric: (P, 3) weights of the face's corners.

    Returns:
        (P, C).
    """
    corners = faces[face]
    result = values[corners[:, 0]] * barycentric[:, :1]
    for index in (1, 2):
        result = result + values[corners[:, index]] * barycentric[:, index : index + 1]
    return result


def pad(texture: Tensor, covered: Tensor, pixels: float | None = None) -> Tensor:
    """Continue a texture outside its charts with the nearest covered texel, so that filtering and mip maps pick up no foreign colour.

    Args:
        texture: (R, R, C).
        covered: (R, R) bool, texels that hold a value.
        pixels: how far to continue, texels; None fills everything.

    Returns:
        (R, R, C).
    """
    if not bool(covered.any()) or bool(covered.all()):
        return texture
    distance, row, column = _nearest(covered)
    reach = torch.ones_like(covered) if pixels is None else distance <= pixels
    return torch.where(reach[..., None], texture[row, column], texture)


def _cover(corner: Tensor, size: int) -> Tensor:
    """(R, R) int64 face whose triangle holds the texel's centre, -1 for none; corner (F, 3, 2) in texel units, centres on integers."""
    low = corner.amin(1).ceil().long().clamp(0, size)
    high = corner.amax(1).floor().long().clamp(-1, size - 1)
    span = (high - low + 1).clamp(min=0)
    count = span.prod(1)
    image = torch.full((size * size,), -1, dtype=torch.int64, device=corner.device)
    for chosen in _batches(count):
        owner = torch.repeat_interleave(chosen, count[chosen])
        before = count[chosen].cumsum(0) - count[chosen]
        local = torch.arange(len(owner), device=corner.device) - torch.repeat_interleave(before, count[chosen])
        x = low[owner, 0] + local % span[owner, 0]
        y = low[owner, 1] + local // span[owner, 0]
        weights = _barycentric(corner[owner], torch.stack([x, y], -1).to(corner.dtype))
        hit = (weights >= -1e-9).all(-1)
        # Centres on a shared edge belong to the face with the higher number: the same on every device.
        image.scatter_reduce_(0, (y * size + x)[hit], owner[hit], "amax")
    return image.reshape(size, size)


def _batches(count: Tensor) -> list[Tensor]:
    """Consecutive face indices with at most about CANDIDATES texels each."""
    used = torch.nonzero(count > 0)[:, 0]
    group = (count[used].cumsum(0) - 1) // CANDIDATES
    return list(torch.split(used, torch.unique_consecutive(group, return_counts=True)[1].tolist())) if len(used) else []


def _barycentric(corner: Tensor, point: Tensor) -> Tensor:
    """(P, 3) barycentric coordinates of point (P, 2) in the triangles corner (P, 3, 2); of flat triangles, the first corner."""
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    offset = point - corner[:, 0]
    determinant = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    flat = determinant.abs() < 1e-12
    inverse = torch.where(flat, torch.zeros_like(determinant), 1.0 / torch.where(flat, torch.ones_like(determinant), determinant))
    u = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) * inverse
    v = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) * inverse
    return torch.stack([1 - u - v, u, v], -1)


def _nearest(covered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to, row and column of the nearest covered texel, (R, R) each."""
    from scipy.ndimage import distance_transform_edt

    distance, (row, column) = distance_transform_edt(~covered.cpu().numpy(), return_indices=True)
    device = covered.device
    return torch.from_numpy(distance).to(device), torch.from_numpy(row).long().to(device), torch.from_numpy(column).long().to(device)
