"""Normal maps: flat where nothing is added, and decoding them as a viewer does gives the fine mesh's normals back."""

import pytest
import torch
import torch.nn.functional as F
import trimesh

from img23d.ops.atlas import unwrap
from img23d.ops.bake import interpolate, texel_surface
from img23d.ops.normal_map import any_perpendicular, bake_normal_map, nearest_normals, tangents
from img23d.ops.normals import vertex_normals
from img23d.scene import Mesh

SIZE = 128


def as_mesh(made) -> Mesh:
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def square(mirrored: bool = False) -> tuple[Mesh, torch.Tensor, torch.Tensor]:
    """A square facing +Z whose texture is upright (or mirrored left to right)."""
    vertices = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    uv = torch.stack([0.5 + 0.4 * vertices[:, 0] * (-1 if mirrored else 1), 0.5 - 0.4 * vertices[:, 1]], -1)
    return Mesh(vertices, faces), uv, faces


@pytest.mark.parametrize("mirrored", [False, True])
def test_tangents_follow_u_and_bitangents_point_up(mirrored):
    mesh, uv, uv_faces = square(mirrored)
    normals = torch.tensor([0.0, 0.0, 1.0]).expand(4, 3)
    frame = tangents(mesh, normals, uv, uv_faces)
    side = -1.0 if mirrored else 1.0
    torch.testing.assert_close(frame[:, :3], torch.tensor([side, 0.0, 0.0]).expand(4, 3))
    bitangent = torch.linalg.cross(normals, frame[:, :3]) * frame[:, 3:]
    torch.testing.assert_close(bitangent, torch.tensor([0.0, 1.0, 0.0]).expand(4, 3))


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_tilted_relief_turns_red_and_green_the_right_way(mirrored):
    """Relief whose normals lean to the picture's right and up must give red and green above one half (glTF: +Y up)."""
    mesh, uv, uv_faces = square(mirrored)
    grid = torch.linspace(-1.2, 1.2, 40)
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    across = -1.0 if mirrored else 1.0
    index = torch.arange(1600).reshape(40, 40)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = torch.cat([torch.stack(corner, -1).reshape(-1, 3) for corner in ((a, b, c), (a, c, d))])
    fine = Mesh(torch.stack([x, y, -0.2 * across * x - 0.3 * y], -1).reshape(-1, 3), faces)
    face, barycentric = texel_surface(uv, uv_faces, 32)
    normals = torch.tensor([0.0, 0.0, 1.0]).expand(4, 3)
    image = bake_normal_map(fine, mesh, normals, tangents(mesh, normals, uv, uv_faces), uv_faces, face, barycentric)
    expected = 0.5 + 0.5 * F.normalize(torch.tensor([0.2, 0.3, 1.0]), dim=0)
    assert (image[face >= 0] - expected).abs().max() < 0.02


def test_relief_that_no_mesh_has_is_added():
    """The same lean as above, told for each texel instead of by a finer mesh."""
    mesh, uv, uv_faces = square(False)
    face, barycentric = texel_surface(uv, uv_faces, 32)
    normals = torch.tensor([0.0, 0.0, 1.0]).expand(4, 3)
    relief = torch.tensor([0.2, 0.3, 0.0]).expand(int((face >= 0).sum()), 3)
    image = bake_normal_map(mesh, mesh, normals, tangents(mesh, normals, uv, uv_faces), uv_faces, face, barycentric, relief)
    expected = 0.5 + 0.5 * F.normalize(torch.tensor([0.2, 0.3, 1.0]), dim=0)
    assert (image[face >= 0] - expected).abs().max() < 0.02


def test_a_mesh_on_itself_is_flat():
    mesh = as_mesh(trimesh.creation.icosphere(4, 0.8))
    normals = vertex_normals(mesh)
    uv, uv_faces = unwrap(mesh, SIZE)
    face, barycentric = texel_surface(uv, uv_faces, SIZE)
    image = bake_normal_map(mesh, mesh, normals, tangents(mesh, normals, uv, uv_faces), uv_faces, face, barycentric)
    assert (image - torch.tensor([0.5, 0.5, 1.0])).abs().max() < 0.035


def test_decoding_gives_the_fine_normals():
    """A bumpy sphere drawn on a smooth one, decoded texel by texel."""
    smooth = as_mesh(trimesh.creation.icosphere(4, 0.8))
    direction = F.normalize(smooth.vertices, dim=-1)
    bumpy = Mesh(direction * (0.8 + 0.02 * torch.sin(8 * direction).sum(-1, keepdim=True)), smooth.faces)
    uv, uv_faces = unwrap(smooth, SIZE)
    frame = tangents(smooth, direction, uv, uv_faces)
    face, barycentric = texel_surface(uv, uv_faces, SIZE, gutter=0)
    image = bake_normal_map(bumpy, smooth, direction, frame, uv_faces, face, barycentric)
    seen = face >= 0
    local = image[seen] * 2 - 1
    normal = F.normalize(interpolate(direction, smooth.faces, face[seen], barycentric[seen]), dim=-1)
    axes = interpolate(frame, uv_faces, face[seen], barycentric[seen])
    along = F.normalize(axes[:, :3] - (axes[:, :3] * normal).sum(-1, keepdim=True) * normal, dim=-1)
    up = torch.linalg.cross(normal, along) * axes[:, 3:].sign()
    decoded = F.normalize(local[:, :1] * along + local[:, 1:2] * up + local[:, 2:] * normal, dim=-1)
    truth = F.normalize(interpolate(vertex_normals(bumpy), smooth.faces, face[seen], barycentric[seen]), dim=-1)
    flat_error = (1 - (normal * truth).sum(-1)).mean()
    assert (1 - (decoded * truth).sum(-1)).mean() < 0.05 * flat_error


def test_the_two_sides_of_a_thin_wall_stay_apart():
    wall = as_mesh(trimesh.creation.box((1, 1, 0.01)).subdivide_to_size(0.05))
    points = torch.tensor([[0.1, 0.1, 0.0], [0.1, 0.1, 0.0]])
    wanted = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    assert (nearest_normals(wall, points, wanted) - wanted).abs().max() < 0.05


def test_any_perpendicular():
    direction = F.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    found = any_perpendicular(direction)
    assert (found * direction).sum(-1).abs().max() < 1e-6 and torch.allclose(found.norm(dim=-1), torch.ones(50))
