"""Triangle meshes, bare and textured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from img23d.scene.shapes import check_index, check_shape

FAR = 1e-5  # of a mesh's size: what single precision may round its vertices by
STEP = 2.0**-23  # of float32, as a share of a number


def lies_far(vertices: Tensor, share: float = FAR) -> bool:
    """Whether vertices (N, 3) are so far from the origin that single precision would round them by that share of their extent."""
    if not len(vertices):
        return False
    return float(vertices.abs().max()) * STEP > share * float((vertices.amax(0) - vertices.amin(0)).max())


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Args:
        vertices: (N, 3) object frame; float64 in files of meshes that `lies_far`, as surveyed coordinates do.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        corner_normals: (F, 3, 3) unit shading normals per face and corner, with which hard edges are hard, zero where none is known; or
            None, as of all meshes that operations make. Whoever turns the vertices turns them too.
    """

    vertices: Tensor
    faces: Tensor
    corner_normals: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("vertices", self.vertices, None, 3)
        check_index("faces", self.faces, 3, len(self.vertices))
        if self.corner_normals is not None:
            check_shape("corner_normals", self.corner_normals, len(self.faces), 3, 3)

    def to(self, device: torch.device | str) -> Mesh:
        """The same mesh on another device."""
        normals = None if self.corner_normals is None else self.corner_normals.to(device)
        return Mesh(self.vertices.to(device), self.faces.to(device), normals)


@dataclass(frozen=True)
class TexturedMesh:
    """A mesh with an atlas and its pictures.

    Args:
        mesh: the geometry; vertices on seams are shared here and split only in ``uv``.
        uv: (M, 2) glTF texture coordinates, (0, 0) top left.
        uv_faces: (F, 3) int64 into ``uv``, one row per face of ``mesh``.
        base_color: (R, R, 3) sRGB-encoded 0..1.
        normal_map: (R, R, 3) tangent-space normals encoded 0..1 (glTF: +Y up), or None.
        metallic_roughness: (metallic, roughness) factors of the material.
        vertex_normals: (N, 3) unit shading normals that the normal map refers to, or None for none stored; those of the mesh's corners go
            before them.
    """

    mesh: Mesh
    uv: Tensor
    uv_faces: Tensor
    base_color: Tensor
    normal_map: Tensor | None = None
    metallic_roughness: tuple[float, float] = (0.0, 0.9)
    vertex_normals: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("uv", self.uv, None, 2)
        check_index("uv_faces", self.uv_faces, 3, len(self.uv))
        check_shape("uv_faces", self.uv_faces, len(self.mesh.faces), 3)
        check_shape("base_color", self.base_color, None, None, 3)
        if self.normal_map is not None:
            check_shape("normal_map", self.normal_map, None, None, 3)
        if self.vertex_normals is not None:
            check_shape("vertex_normals", self.vertex_normals, len(self.mesh.vertices), 3)

    def moved(self, scale: float, shift: Sequence[float]) -> TexturedMesh:
        """The same mesh larger by a factor, then shifted by (x, y, z)."""
        vertices = self.mesh.vertices
        moved = vertices * scale + vertices.new_tensor(shift)
        if lies_far(moved):
            moved = vertices.double() * scale + torch.tensor(shift, dtype=torch.float64, device=vertices.device)
        return replace(self, mesh=replace(self.mesh, vertices=moved))

    def to(self, device: torch.device | str) -> TexturedMesh:
        """The same asset on another device."""
        maps: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, mesh=self.mesh.to(device), **maps)


def brought_near(asset: TexturedMesh | Mesh) -> tuple[TexturedMesh | Mesh, Tensor]:
    """A mesh in single precision, and what was subtracted for that, (3,) float64: the middle of one in float64 that lies far, else zero."""
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    if mesh.vertices.dtype != torch.float64 or not lies_far(mesh.vertices):
        return asset, torch.zeros(3, dtype=torch.float64)
    middle = (mesh.vertices.amin(0) + mesh.vertices.amax(0)) / 2
    near = replace(mesh, vertices=(mesh.vertices - middle).float())
    return replace(asset, mesh=near) if isinstance(asset, TexturedMesh) else near, middle


def put_back(asset: TexturedMesh | Mesh, middle: Tensor) -> TexturedMesh | Mesh:
    """What `brought_near` has brought near where it was, whatever was done to it there; with a zero ``middle`` as it is."""
    if not bool(middle.any()):
        return asset
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    far = replace(mesh, vertices=mesh.vertices.double() + middle.to(mesh.vertices.device))
    return replace(asset, mesh=far) if isinstance(asset, TexturedMesh) else far
