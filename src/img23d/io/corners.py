"""A textured mesh as graphics hardware wants it: one vertex per position and texture coordinate, with normal and tangent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from img23d.ops.normal_map import tangents
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
    frames = None
    if asset.normal_map is not None:
        # The very frame that normal maps are baked in. On split vertices, because charts of a loaded file may share coordinates.
        cut = Mesh(torch.from_numpy(vertices[vertex]), torch.from_numpy(split_faces))
        frames = tangents(cut, torch.from_numpy(normals[vertex]), torch.from_numpy(uv), cut.faces).numpy()
    return Corners(vertices[vertex], normals[vertex], uv, frames, split_faces, vertex)


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
