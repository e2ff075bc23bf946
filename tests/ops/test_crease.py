"""Crease normals: what is round stays round, what is sharp stays sharp, whatever the triangles look like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from torch.nn.functional import normalize

from img23d.ops.crease import CREASE_DEG, crease_normals
from img23d.ops.normals import face_normals
from img23d.scene import Mesh


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(torch.from_numpy(np.array(shape.vertices)), torch.from_numpy(np.array(shape.faces, np.int64)))


def cylinder(sections: int) -> Mesh:
    """Radius 1, along z."""
    return mesh_of(trimesh.creation.cylinder(1.0, 3.0, sections=sections))


def different(mesh: Mesh, normals: torch.Tensor) -> int:
    """Vertices that a renderer needs."""
    return len(torch.unique(torch.cat([mesh.faces.reshape(-1, 1), normals.reshape(-1, 3)], 1), dim=0))


def test_a_cube_has_the_normals_of_its_sides() -> None:
    mesh = mesh_of(trimesh.creation.box())
    normals = crease_normals(mesh)
    assert normals.shape == (12, 3, 3) and normals.dtype == mesh.vertices.dtype and different(mesh, normals) == 24
    torch.testing.assert_close(normals, face_normals(mesh)[:, None].expand(12, 3, 3))


def test_a_sphere_is_smooth_everywhere() -> None:
    mesh = mesh_of(trimesh.creation.icosphere(3))
    normals = crease_normals(mesh)
    assert different(mesh, normals) == len(mesh.vertices)
    torch.testing.assert_close(normals, mesh.vertices[mesh.faces], atol=0.01, rtol=0)


@pytest.mark.parametrize("sections", [8, 32])
def test_a_cylinder_has_round_sides_and_hard_rims(sections: int) -> None:
    mesh = cylinder(sections)
    normals, cap = crease_normals(mesh), face_normals(mesh)[:, 2].abs() > 0.5
    torch.testing.assert_close(normals[cap], face_normals(mesh)[cap][:, None].expand(-1, 3, 3))
    radial = normalize(mesh.vertices[mesh.faces[~cap]] * torch.tensor([1.0, 1.0, 0.0]), dim=-1)
    torch.testing.assert_close(normals[~cap], radial, msg="however the quads of the side are cut into triangles")
    assert different(mesh, normals) == 4 * sections + 2


def test_the_sides_of_a_hexagon_are_flat() -> None:
    mesh = cylinder(6)
    torch.testing.assert_close(crease_normals(mesh), face_normals(mesh)[:, None].expand(-1, 3, 3))


def test_the_angle_decides() -> None:
    for turn, shared in ((CREASE_DEG - 1, True), (CREASE_DEG + 1, False)):
        sine, cosine = np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn))
        mesh = Mesh(torch.tensor([[0.0, 0, 0], [0, 1, 0], [-1, 0, 0], [cosine, 0, -sine]]), torch.tensor([[0, 1, 2], [1, 0, 3]]))
        normals = crease_normals(mesh)
        assert torch.equal(normals[0, 0], normals[1, 1]) == shared and torch.equal(normals[0, 1], normals[1, 0]) == shared
    assert different(mesh, crease_normals(mesh, 60.0)) == 4


def test_both_sides_of_a_sheet_and_a_fin_on_it() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]])
    front = [[0, 1, 2], [0, 2, 3]]
    sheet = Mesh(vertices, torch.tensor([front[0], [2, 1, 0], front[1], [3, 2, 0]]))
    assert crease_normals(sheet)[..., 2].tolist() == [[1.0] * 3, [-1.0] * 3, [1.0] * 3, [-1.0] * 3]
    bent = vertices.clone()
    bent[3, 2] = 0.3
    normals = crease_normals(Mesh(bent, torch.tensor([front[0], [0, 4, 2], front[1]])))
    assert torch.equal(normals[0, 0], normals[2, 0]) and torch.equal(normals[0, 2], normals[2, 1]), "past the fin between them"
    assert not torch.equal(normals[0, 0], normals[1, 0])


def with_sliver(mesh: Mesh, edge: tuple[int, int]) -> Mesh:
    """The same surface with a vertex on an edge, used by the face on one side only: a face without area fills what opens."""
    start, end = edge
    faces, middle = mesh.faces.tolist(), len(mesh.vertices)
    place = next(f for f, face in enumerate(faces) if edge in list(zip(face, face[1:] + face[:1])))
    apex = next(vertex for vertex in faces[place] if vertex not in edge)
    faces[place : place + 1] = [[start, middle, apex], [middle, end, apex], [start, end, middle]]
    return Mesh(torch.cat([mesh.vertices, mesh.vertices[list(edge)].mean(0, keepdim=True)]), torch.tensor(faces))


def test_faces_without_area_part_nothing_and_join_nothing() -> None:
    box = mesh_of(trimesh.creation.box())
    face = box.faces[0].tolist()
    for edge in zip(face, face[1:] + face[:1]):
        mesh = with_sliver(box, edge)
        flat, whole = crease_normals(mesh), face_normals(mesh).norm(dim=1) > 0.5
        assert int((~whole).sum()) == 1
        torch.testing.assert_close(flat[whole], face_normals(mesh)[whole][:, None].expand(-1, 3, 3))
        torch.testing.assert_close(flat.norm(dim=-1), torch.ones(len(flat), 3, dtype=flat.dtype))
    ball = mesh_of(trimesh.creation.icosphere(2))
    mesh = with_sliver(with_sliver(ball, (int(ball.faces[0, 0]), int(ball.faces[0, 1]))), (int(ball.faces[9, 0]), int(ball.faces[9, 1])))
    assert different(mesh, crease_normals(mesh)) == len(mesh.vertices)


def test_size_does_not_matter_and_what_has_no_area_has_no_normal() -> None:
    mesh = cylinder(12)
    torch.testing.assert_close(crease_normals(Mesh(mesh.vertices * 1e-6, mesh.faces)), crease_normals(mesh))
    nothing = Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]))
    assert not crease_normals(nothing).any() and crease_normals(Mesh(torch.zeros(0, 3), mesh.faces[:0])).shape == (0, 3, 3)
