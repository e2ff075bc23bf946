"""Triangle meshes, bare and textured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from img23d.scene.shapes import check_index, check_shape


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Args:
        vertices: (N, 3) object frame.
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
        return replace(self, mesh=replace(self.mesh, vertices=vertices * scale + vertices.new_tensor(shift)))

    def to(self, device: torch.device | str) -> TexturedMesh:
        """The same asset on another device."""
        maps: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, mesh=self.mesh.to(device), **maps)
