"""Tangent-space normal maps: the small relief of a fine mesh, drawn on a coarse one.

The frame is the one glTF viewers derive for meshes without stored tangents (MikkTSpace): the tangent points along +u, is averaged
over the faces around a texture vertex (so it breaks at chart borders and nowhere else) and made perpendicular to the shading
normal; the bitangent is sign * cross(normal, tangent) and points up in the picture, towards smaller v.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.bake import interpolate, pad
from img23d.ops.normals import vertex_normals
from img23d.ops.smooth import taubin
from img23d.scene import Mesh

# Fine vertices that a normal is averaged over, and rounds of smoothing before: voxel and solver noise is finer than both.
NEIGHBOURS = 6
SMOOTHING = 2


def tangents(mesh: Mesh, normals: Tensor, uv: Tensor, uv_faces: Tensor) -> Tensor:
    """Tangents at the texture vertices.

    Args:
        mesh: N vertices, F faces.
        normals: (N, 3) unit shading normals.
        uv: (M, 2) glTF texture coordinates.
        uv_faces: (F, 3) int64 into ``uv``.

    Returns:
        (M, 4): unit tangent and the sign of the bitangent, as in glTF's TANGENT.

    Reference: Mikkelsen, Simulation of Wrinkled Surfaces Revisited (2008); faces are weighted by their angle at the vertex.
    """
    corner, flat = mesh.vertices[mesh.faces], uv[uv_faces]
    edge, step = corner[:, 1:] - corner[:, :1], flat[:, 1:] - flat[:, :1]
    determinant = step[:, 0, 0] * step[:, 1, 1] - step[:, 0, 1] * step[:, 1, 0]
    # d position / d u up to a positive factor; v runs down, so a face that is not mirrored has a negative determinant.
    along = F.normalize((edge[:, 0] * step[:, 1, 1:] - edge[:, 1] * step[:, 0, 1:]) * determinant.sign()[:, None], dim=-1)
    total, handedness = normals.new_zeros(len(uv), 3), normals.new_zeros(len(uv))
    normal = normals.new_zeros(len(uv), 3).index_copy_(0, uv_faces.reshape(-1), normals[mesh.faces.reshape(-1)])
    for index in range(3):
        first = F.normalize(corner[:, index - 2] - corner[:, index], dim=-1)
        second = F.normalize(corner[:, index - 1] - corner[:, index], dim=-1)
        angle = torch.acos((first * second).sum(-1).clamp(-1, 1))
        total = total.index_add(0, uv_faces[:, index], along * angle[:, None])
        handedness = handedness.index_add(0, uv_faces[:, index], -determinant.sign() * angle)
    total = F.normalize(_perpendicular(total, normal), dim=-1)
    # Where the faces' tangents cancel out any perpendicular direction will do.
    lost = total.norm(dim=-1) < 0.5
    total[lost] = any_perpendicular(normal[lost])
    return torch.cat([total, torch.where(handedness < 0, -1.0, 1.0).to(total)[:, None]], -1)


def without_noise(fine: Mesh) -> Mesh:
    """A fine mesh whose relief is worth drawing."""
    return taubin(fine, SMOOTHING)


def bake_normal_map(
    fine: Mesh,
    coarse: Mesh,
    normals: Tensor,
    tangent: Tensor,
    uv_faces: Tensor,
    face: Tensor,
    barycentric: Tensor,
    relief: Tensor | None = None,
) -> Tensor:
    """The normals of a fine mesh in the tangent frames of a coarse one.

    Args:
        fine: the mesh whose relief is drawn, see `without_noise`.
        coarse: N vertices, F faces; about as dense as the relief (its faces may be split, its shape stays coarse).
        normals: (N, 3) unit shading normals of the coarse mesh.
        tangent: (M, 4) from `tangents`.
        uv_faces: (F, 3) int64 into ``tangent``.
        face: (R, R) int64, face of the coarse mesh under each texel, -1 where none; from `texel_surface`.
        barycentric: (R, R, 3).
        relief: (P, 3) to add to the normals of the P texels with a face, in their order; relief that is too fine for any mesh.

    Returns:
        (R, R, 3) encoded 0..1: (0.5, 0.5, 1) is the coarse mesh's own normal.
    """
    covered = face >= 0
    at, weights = face[covered], barycentric[covered]
    target = nearest_normals(fine, coarse.vertices, normals)
    both = interpolate(torch.cat([normals, target], -1), coarse.faces, at, weights)
    normal, wanted = F.normalize(both[:, :3], dim=-1), F.normalize(both[:, 3:], dim=-1)
    wanted = wanted if relief is None else F.normalize(wanted + relief, dim=-1)
    frame = interpolate(tangent, uv_faces, at, weights)
    along = F.normalize(_perpendicular(frame[:, :3], normal), dim=-1)
    up = torch.linalg.cross(normal, along) * frame[:, 3:].sign()
    local = torch.stack([(wanted * axis).sum(-1) for axis in (along, up, normal)], -1)
    # A relief never turns a surface away from itself; such values are mismatches between thin walls.
    local = F.normalize(torch.cat([local[:, :2], local[:, 2:].clamp(min=0.2)], -1), dim=-1)
    image = local.new_tensor([0.5, 0.5, 1.0]).repeat(*face.shape, 1)
    image[covered] = 0.5 + 0.5 * local
    return pad(image, covered)


def nearest_normals(fine: Mesh, points: Tensor, normals: Tensor) -> Tensor:
    """Averaged normals of a fine mesh near points.

    Args:
        fine: a mesh.
        points: (P, 3) near it.
        normals: (P, 3) unit, roughly the direction that is looked for: keeps the two sides of a thin wall apart.

    Returns:
        (P, 3) unit; ``normals`` where the fine mesh has nothing that faces the same way.
    """
    from scipy.spatial import cKDTree

    smooth = vertex_normals(fine).detach().cpu().double().numpy()
    place, facing = (tensor.detach().cpu().double().numpy() for tensor in (points, normals))
    distance, index = cKDTree(fine.vertices.detach().cpu().numpy()).query(place, k=min(NEIGHBOURS, len(fine.vertices)))
    distance, index = distance.reshape(len(place), -1), index.reshape(len(place), -1)
    width = np.maximum(np.median(distance), 1e-12)
    agree = np.clip((smooth[index] * facing[:, None]).sum(-1), 0, 1)
    weight = np.exp(-0.5 * (distance / width) ** 2) * agree**2
    found = (smooth[index] * weight[..., None]).sum(1) + 1e-3 * facing
    return F.normalize(torch.from_numpy(found).to(points), dim=-1)


def any_perpendicular(direction: Tensor) -> Tensor:
    """(P, 3) unit vectors at right angles to the directions (P, 3)."""
    axis = F.one_hot(direction.abs().argmin(-1), 3).to(direction)
    return F.normalize(torch.linalg.cross(direction, axis), dim=-1)


def _perpendicular(vector: Tensor, normal: Tensor) -> Tensor:
    """The part of (P, 3) vectors at right angles to unit normals (P, 3)."""
    return vector - (vector * normal).sum(-1, keepdim=True) * normal
