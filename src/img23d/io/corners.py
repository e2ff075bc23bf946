"""A textured mesh as graphics hardware wants it: one vertex per position, texture coordinate and normal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from img23d.ops.normal_map import tangents
from img23d.ops.normals import TINY, area_vectors, vertex_normals
from img23d.scene import Mesh, TexturedMesh, brought_near

Floats = NDArray[np.float32]
Int = NDArray[np.int64]
EQUAL = 2**19  # steps from 0 to 1 in which normals that are to be equal are counted: a few times float32's own


@dataclass(frozen=True)
class Corners:
    """Vertices split on the seams of the atlas and, where the mesh has normals per corner, on its hard edges.

    Args:
        positions: (K, 3) float32, from the origin.
        normals: (K, 3) float32, unit.
        uv: (K, 2) float32, (0, 0) top left, or None without an atlas.
        tangents: (K, 4) float32, unit direction of growing u and the sign of the bitangent, or None without a normal map.
        faces: (F, 3) int64 into these.
        vertex: (K,) int64, which vertex of the mesh each is a copy of.
        origin: where the positions are counted from: zero, or the middle of a mesh in float64.
    """

    positions: Floats
    normals: Floats
    uv: Floats | None
    tangents: Floats | None
    faces: Int
    vertex: Int
    origin: tuple[float, ...] = (0.0, 0.0, 0.0)


def split(asset: TexturedMesh | Mesh) -> Corners:
    """Split the vertices on seams and hard edges."""
    near, middle = brought_near(asset)
    return replace(_split(near), origin=tuple(middle.tolist()))


def _split(asset: TexturedMesh | Mesh) -> Corners:
    """`split` of a mesh near the origin."""
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    faces = mesh.faces.cpu().numpy()
    vertices = mesh.vertices.detach().cpu().to(torch.float32).numpy()
    normals, normal_faces = numbered_normals(asset)
    if isinstance(asset, Mesh):
        if mesh.corner_normals is None:
            return Corners(vertices, normals, None, None, faces, np.arange(len(vertices)))
        first, split_faces = _distinct(faces, normal_faces)
        vertex = faces.reshape(-1)[first]
        return Corners(vertices[vertex], normals[normal_faces.reshape(-1)[first]], None, None, split_faces, vertex)
    uv_faces = asset.uv_faces.cpu().numpy()
    first, split_faces = _distinct(faces, uv_faces)
    if mesh.corner_normals is not None:
        first, split_faces = _distinct(split_faces, normal_faces)
    vertex, normals = faces.reshape(-1)[first], normals[normal_faces.reshape(-1)[first]]
    uv = asset.uv.detach().cpu().to(torch.float32).numpy()[uv_faces.reshape(-1)[first]]
    frames = None
    if asset.normal_map is not None:
        # The very frame that normal maps are baked in. On split vertices, because charts of a loaded file may share coordinates.
        cut = Mesh(torch.from_numpy(vertices[vertex]), torch.from_numpy(split_faces))
        frames = tangents(cut, torch.from_numpy(normals), torch.from_numpy(uv), cut.faces).numpy()
    return Corners(vertices[vertex], normals, uv, frames, split_faces, vertex)


def numbered_normals(asset: TexturedMesh | Mesh) -> tuple[Floats, Int]:
    """Normals as a list, and which of them each corner of a face has.

    Returns:
        (K, 3) float32, unit, and (F, 3) int64 into it: those of the mesh's corners, each once, or else one per vertex.
    """
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    faces = mesh.faces.cpu().numpy()
    if mesh.corner_normals is None:
        return shading_normals(asset), faces
    normals = mesh.corner_normals.detach().cpu().to(torch.float32).numpy()
    unknown = np.abs(normals).max(-1) == 0
    if unknown.any():
        normals = np.where(unknown[..., None], shading_normals(asset)[faces], normals)
    # Equal but for rounding is equal: three numbers of 21 bits make one that is quickly sorted.
    steps = np.rint(normals.reshape(-1, 3).astype(np.float64) * EQUAL).astype(np.int64) + EQUAL
    _, first, inverse = np.unique(steps @ (1 << np.array([42, 21, 0])), return_index=True, return_inverse=True)
    return normals.reshape(-1, 3)[first], inverse.reshape(-1, 3).astype(np.int64)


def shading_normals(asset: TexturedMesh | Mesh) -> Floats:
    """(N, 3) unit vertex normals: the stored ones, or area-weighted means of the faces or corners around; never zero."""
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    stored = asset.vertex_normals if isinstance(asset, TexturedMesh) else None
    given = _mean_normals(mesh) if stored is None else stored.detach().to(torch.float64)
    normals = given.cpu().numpy()
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-9, normals / np.maximum(length, 1e-9), [0.0, 0.0, 1.0]).astype(np.float32)


def _mean_normals(mesh: Mesh) -> torch.Tensor:
    """(N, 3) float64 means at the vertices, weighted by area: of the corners' normals, of the faces' where there are none."""
    bare = Mesh(mesh.vertices.detach().to(torch.float64), mesh.faces)
    if mesh.corner_normals is None:
        return vertex_normals(bare)
    areas = torch.stack(area_vectors(bare.vertices, bare.faces), -1)
    normals = mesh.corner_normals.detach().to(torch.float64)
    unknown = (normals == 0).all(-1, keepdim=True)
    weighted = torch.where(unknown, areas[:, None], normals * areas.norm(dim=-1).clamp_min(TINY)[:, None, None])
    total = torch.zeros_like(bare.vertices).index_add(0, mesh.faces.reshape(-1), weighted.reshape(-1, 3))
    return torch.nn.functional.normalize(total, dim=-1, eps=TINY)


def _distinct(one: Int, other: Int) -> tuple[Int, Int]:
    """Different pairs of two numbers per corner, (F, 3) each, sorted: (K,) a corner that has each, and (F, 3) which of them each has."""
    keys = one.reshape(-1) * np.int64(other.max() + 1) + other.reshape(-1)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1, 3).astype(np.int64)
