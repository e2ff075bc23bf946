"""Face and vertex normals."""

import torch
import trimesh
from torch.nn.functional import normalize

from img23d.ops.normals import face_normals, vertex_normals
from img23d.scene.mesh import Mesh


def sphere(subdivisions, dtype=torch.float64):
    shape = trimesh.creation.icosphere(subdivisions)
    return Mesh(torch.tensor(shape.vertices, dtype=dtype), torch.tensor(shape.faces, dtype=torch.int64))


def test_face_normals_of_a_box_point_outward_along_the_axes():
    box = trimesh.creation.box()
    mesh = Mesh(torch.tensor(box.vertices), torch.tensor(box.faces, dtype=torch.int64))
    normal = face_normals(mesh)
    middle = mesh.vertices[mesh.faces].mean(1)
    axis = middle.abs().argmax(1)
    expected = torch.zeros_like(normal).scatter(1, axis[:, None], middle.gather(1, axis[:, None]).sign())
    torch.testing.assert_close(normal, expected)


def test_vertex_normals_of_a_sphere_converge_to_the_radius():
    error = [(vertex_normals(mesh) - mesh.vertices).norm(dim=1).max() for mesh in (sphere(2), sphere(3), sphere(4))]
    assert error[0] < 0.03
    assert error[0] / error[1] > 1.9 and error[1] / error[2] > 1.9


def test_vertex_normals_are_weighted_by_area():
    generator = torch.Generator().manual_seed(0)
    mesh = Mesh(torch.randn(12, 3, dtype=torch.float64, generator=generator), torch.randint(0, 12, (30, 3), generator=generator))
    expected = torch.zeros_like(mesh.vertices)
    for a, b, c in mesh.faces.tolist():
        for corner in (a, b, c):
            expected[corner] += torch.linalg.cross(mesh.vertices[b] - mesh.vertices[a], mesh.vertices[c] - mesh.vertices[a])
    torch.testing.assert_close(vertex_normals(mesh), normalize(expected, dim=-1))


def test_gradients():
    mesh = sphere(0)
    faces = mesh.faces
    scale = torch.linspace(0.8, 1.2, len(mesh.vertices), dtype=torch.float64)[:, None]
    vertices = (mesh.vertices * scale).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(Mesh(v, faces)), vertices)
    assert torch.autograd.gradcheck(lambda v: face_normals(Mesh(v, faces)), vertices)


def test_turning_the_mesh_turns_its_normals():
    mesh = sphere(2)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)
    torch.testing.assert_close(vertex_normals(Mesh(mesh.vertices @ turn.T, mesh.faces)), vertex_normals(mesh) @ turn.T)


def test_unused_vertices_and_flat_faces_give_zero_and_no_nan():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]], requires_grad=True)
    mesh = Mesh(vertices, torch.tensor([[0, 1, 2], [1, 1, 2]]))
    normal = vertex_normals(mesh)
    torch.testing.assert_close(normal, torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]))
    torch.testing.assert_close(face_normals(mesh)[1], torch.zeros(3))
    normal[:, 0].sum().backward()
    assert vertices.grad.isfinite().all()


def test_tiny_meshes_keep_their_normals():
    mesh = sphere(1, torch.float32)
    torch.testing.assert_close(vertex_normals(Mesh(mesh.vertices * 1e-6, mesh.faces)), vertex_normals(mesh), atol=1e-5, rtol=0)
