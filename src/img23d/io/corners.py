"""A textured mesh as graphics hardware wants it: one vertex per position and texture coordinate, with normal and tangent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from img23d.ops.normals import vertex_normals
from img23d.scene import Mesh, TexturedMesh

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Corners:
    """Vertices split on the seams of the atlas; copies of one vertex share position and normal.

    Args:
        positions: (K, 3) float32.
        normals: (K, 3) float32, unit.
        uv: (K, 2) float32, (0, 0) top left, or None without an atlas.
        tangents: (K, 4) float32, unit direction of growing u and the sign of the bitangent, or None without a normal map.
        faces: (F, 3) int64 into these.
        vertex: (K,) int64, which vertex of the mesh each is a copy of.
    """

    positions: Floats
    normals: Floats
    uv: Floats | None
    tangents: Floats | None
    faces: NDArray[np.int64]
    vertex: NDArray[np.int64]


def split(asset: TexturedMesh | Mesh) -> Corners:
    """Split the vertices on seams."""
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    faces = mesh.faces.cpu().numpy()
    vertices = mesh.vertices.detach().cpu().to(torch.float32).numpy()
    normals = shading_normals(asset)
    if isinstance(asset, Mesh):
        return Corners(vertices, normals, None, None, faces, np.arange(len(vertices)))
    uv_faces = asset.uv_faces.cpu().numpy()
    keys, inverse = np.unique(faces.reshape(-1) * np.int64(len(asset.uv)) + uv_faces.reshape(-1), return_inverse=True)
    vertex, coordinate = keys // len(asset.uv), keys % len(asset.uv)
    split_faces = inverse.reshape(-1, 3).astype(np.int64)
    uv = asset.uv.detach().cpu().to(torch.float32).numpy()[coordinate]
    tangents = None if asset.normal_map is None else tangent_frames(vertices[vertex], normals[vertex], uv, split_faces)
    return Corners(vertices[vertex], normals[vertex], uv, tangents, split_faces, vertex)


def shading_normals(asset: TexturedMesh | Mesh) -> Floats:
    """(N, 3) unit vertex normals: the stored ones, or area-weighted means of the faces around; never zero."""
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    stored = asset.vertex_normals if isinstance(asset, TexturedMesh) else None
    given = (
        vertex_normals(Mesh(mesh.vertices.detach().to(torch.float64), mesh.faces)) if stored is None else stored.detach().to(torch.float64)
    )
    normals = given.cpu().numpy()
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-9, normals / np.maximum(length, 1e-9), [0.0, 0.0, 1.0]).astype(np.float32)


def tangent_frames(positions: Floats, normals: Floats, uv: Floats, faces: NDArray[np.int64]) -> Floats:
    """Tangents per split vertex: the direction in which u grows on the faces around, weighted by their angle.

    Args:
        positions: (K, 3) split on seams.
        normals: (K, 3) unit.
        uv: (K, 2), (0, 0) top left.
        faces: (F, 3) into these.

    Returns:
        (K, 4): unit tangent, at right angles to the normal, and the sign w of the bitangent ``w * cross(normal, tangent)``, which
        points to the top of the texture (glTF's normal maps have +Y up).

    Reference:
        Mikkelsen, Simulation of wrinkled surfaces revisited (2008), section 2.3; glTF 2.0, section 3.7.2.1 (TANGENT).
    """
    corner, texture = positions[faces].astype(np.float64), uv[faces].astype(np.float64)
    edge, step = corner[:, 1:] - corner[:, :1], texture[:, 1:] - texture[:, :1]
    area = step[:, 0, 0] * step[:, 1, 1] - step[:, 0, 1] * step[:, 1, 0]
    sign = np.where(area < 0, -1.0, 1.0)
    along = (edge[:, 0] * step[:, 1, 1:] - edge[:, 1] * step[:, 0, 1:]) * sign[:, None]
    total, handed = np.zeros((len(positions), 3)), np.zeros(len(positions))
    for index in range(3):
        vertex = faces[:, index]
        first, second = corner[:, (index + 1) % 3] - corner[:, index], corner[:, (index + 2) % 3] - corner[:, index]
        angle = np.arctan2(np.linalg.norm(np.cross(first, second), axis=1), (first * second).sum(1))
        normal = normals[vertex]
        flat = along - normal * (normal * along).sum(1, keepdims=True)
        flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-20)
        for axis in range(3):
            total[:, axis] += np.bincount(vertex, flat[:, axis] * angle, len(positions))
        # v grows downwards in the texture, so a face whose texture is not mirrored has negative area here.
        handed += np.bincount(vertex, -sign * angle, len(positions))
    return np.concatenate([_orthonormal(total, normals), np.where(handed < 0, -1.0, 1.0)[:, None]], 1).astype(np.float32)


def _orthonormal(direction: NDArray[np.float64], normals: Floats) -> NDArray[np.float64]:
    """Unit vectors at right angles to the normals; any such vector where there is no direction."""
    axis = np.eye(3)[np.abs(normals).argmin(1)]
    weak = np.linalg.norm(direction, axis=1, keepdims=True) < 1e-9
    direction = np.where(weak, axis, direction)
    direction = direction - normals * (normals * direction).sum(1, keepdims=True)
    return direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-20)
