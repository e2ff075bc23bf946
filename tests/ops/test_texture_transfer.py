"""A texture carried to another mesh of the same surface looks the same, also on thin walls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from img23d.ops.atlas import unwrap
from img23d.ops.bake import interpolate, texel_surface
from img23d.ops.texture_transfer import closest_barycentric, nearest_surface, transfer_texture
from img23d.scene import Mesh, TexturedMesh


def as_mesh(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces)).long())


def painted(mesh: Mesh, size: int, colour) -> TexturedMesh:
    """A mesh whose texture is a function of position."""
    uv, uv_faces = unwrap(mesh, size)
    face, weights = texel_surface(uv, uv_faces, size, 3.0)
    texture = torch.zeros(size, size, 3)
    texture[face >= 0] = colour(interpolate(mesh.vertices, mesh.faces, face[face >= 0], weights[face >= 0])).clamp(0, 1)
    return TexturedMesh(mesh, uv, uv_faces, texture, None, (0.3, 0.4))


def seen(asset: TexturedMesh, count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Random surface points (P, 3) and the texture's colours there (P, 3)."""
    generator = torch.Generator().manual_seed(1)
    face = torch.randint(len(asset.mesh.faces), (count,), generator=generator)
    weights = -torch.rand(count, 3, generator=generator).log()
    weights = weights / weights.sum(1, keepdim=True)
    uv = interpolate(asset.uv, asset.uv_faces, face, weights)
    colour = torch.nn.functional.grid_sample(asset.base_color.permute(2, 0, 1)[None], uv[None, :, None] * 2 - 1, align_corners=False)[
        0, :, :, 0
    ].T
    return interpolate(asset.mesh.vertices, asset.mesh.faces, face, weights), colour


def bands(points: torch.Tensor) -> torch.Tensor:
    return 0.5 + 0.4 * torch.sin(points * 6)


def test_a_coarser_ball_keeps_the_colours_of_the_finer() -> None:
    source = painted(as_mesh(trimesh.creation.icosphere(4)), 256, bands)
    carried = transfer_texture(source, as_mesh(trimesh.creation.icosphere(3)), 256)
    assert carried.base_color.shape == (256, 256, 3) and carried.metallic_roughness == (0.3, 0.4) and carried.normal_map is None
    points, colour = seen(carried)
    truth = bands(torch.nn.functional.normalize(points, dim=-1))
    assert float((colour - truth).abs().mean()) < 0.01 and float((colour - truth).abs().max()) < 0.12


def test_the_same_mesh_and_atlas_give_the_same_texture() -> None:
    source = painted(as_mesh(trimesh.creation.icosphere(2)), 128, bands)
    carried = transfer_texture(source, source.mesh, 128, (source.uv, source.uv_faces))
    inside = texel_surface(source.uv, source.uv_faces, 128, 0.0)[0] >= 0
    assert float((carried.base_color - source.base_color)[inside].abs().max()) < 1e-3


def test_the_sides_of_a_thin_wall_do_not_mix() -> None:
    """The target lies a little off, nearer to the wrong side than to the right one in places; the normals decide."""
    plate = trimesh.creation.box(extents=(2, 2, 0.02)).subdivide().subdivide().subdivide()
    source = painted(as_mesh(plate), 256, lambda points: (points[:, 2:] > 0).float().expand(-1, 3))
    moved = plate.copy()
    moved.vertices[:, 2] *= 0.3
    moved.vertices[:, 2] += 0.005
    points, colour = seen(transfer_texture(source, as_mesh(moved), 256))
    clear = (points[:, :2].abs() < 0.95).all(1)
    assert float(((colour[:, 0] > 0.5) == (points[:, 2] > 0.005))[clear].float().mean()) > 0.999


def test_nearest_points_agree_with_an_independent_search() -> None:
    shape = trimesh.creation.torus(1.0, 0.4, 24, 12)
    mesh = as_mesh(shape)
    generator = np.random.default_rng(0)
    places, owner = trimesh.sample.sample_surface(shape, 500, seed=0)
    queries = places + shape.face_normals[owner] * generator.uniform(-0.02, 0.02, (500, 1))
    normals = torch.from_numpy(shape.face_normals[owner]).float()
    distance = np.linalg.norm(trimesh.proximity.closest_point_naive(shape, queries)[0] - queries, axis=1)
    face, weights = nearest_surface(mesh, torch.from_numpy(queries).float(), normals, 20_000)
    ours = interpolate(mesh.vertices, mesh.faces, face, weights).numpy()
    assert np.abs(np.linalg.norm(ours - queries, axis=1) - distance).max() < 2e-3
    assert float(weights.min()) >= 0 and torch.allclose(weights.sum(1), torch.ones(500), atol=1e-5)


def test_closest_points_on_triangles_agree_with_an_independent_library() -> None:
    generator = np.random.default_rng(0)
    triangles, points = generator.normal(size=(3000, 3, 3)), generator.normal(size=(3000, 3)) * 2
    triangles[:50, 2] = triangles[:50, 1]  # degenerate: a line
    triangles[50:60] = triangles[50:60, :1]  # degenerate: a point
    weights = closest_barycentric(torch.from_numpy(triangles).permute(1, 2, 0), torch.from_numpy(points).T)
    ours = torch.einsum("ip,pij->pj", weights, torch.from_numpy(triangles)).numpy()
    theirs = trimesh.triangles.closest_point(triangles[60:], points[60:])
    assert np.abs(ours[60:] - theirs).max() < 1e-9
    ends = triangles[:50, 1] - triangles[:50, 0]
    along = (((points[:50] - triangles[:50, 0]) * ends).sum(1) / (ends**2).sum(1)).clip(0, 1)
    assert np.abs(ours[:50] - (triangles[:50, 0] + along[:, None] * ends)).max() < 1e-9
    assert np.abs(ours[50:60] - triangles[50:60, 0]).max() < 1e-12


def test_meshes_without_faces_are_a_mistake_of_the_caller() -> None:
    source = painted(as_mesh(trimesh.creation.icosphere(1)), 64, bands)
    with pytest.raises(ValueError, match="faces"):
        transfer_texture(source, Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), 64)
