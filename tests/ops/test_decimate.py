"""Decimation keeps a closed manifold mesh closed, manifold, outward and in shape, however nasty it is."""

import pytest
import torch

from img23d.errors import FitError
from img23d.ops.decimate import decimate
from img23d.ops.edges import edge_table, face_pairs
from img23d.ops.march import marching_tetrahedra
from img23d.ops.mesh_losses import face_normals
from img23d.ops.tetgrid import tet_grid
from img23d.ops.topology import components, euler_characteristic, face_areas, is_closed_manifold, largest_components, volume
from img23d.scene import Mesh


def sphere(points, radius=0.7):
    return points.norm(dim=-1) - radius


def box(points, half):
    beyond = points.abs() - points.new_tensor(half)
    return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(-1).clamp(max=0)


def torus(points):
    return ((points[:, [0, 2]].norm(dim=-1) - 0.55).square() + points[:, 1].square()).sqrt() - 0.2


def touching_spheres(points):
    aside = points.new_tensor([0.3, 0, 0])
    return torch.minimum(sphere(points - aside, 0.295), sphere(points + aside, 0.295))


def lattice(points):
    return torch.maximum(box(points, [0.8, 0.8, 0.08]), -(torch.cos(points[:, 0] * 8) + torch.cos(points[:, 1] * 8) - 0.5) * 0.1)


def hollow(points):
    return torch.maximum(sphere(points), -sphere(points, 0.5))


def noise(points):
    rough = torch.randn(len(points), generator=torch.Generator().manual_seed(0), dtype=points.dtype)
    return sphere(points, 0.6) + 0.1 * rough


SHAPES = {
    "sphere": (sphere, 100, 0.09),
    "box on grid planes": (lambda points: box(points, [0.5, 0.5, 0.5]), 100, 0.01),  # thousands of specks and needles
    "rounded to steps": (lambda points: (sphere(points) * 16).round() / 16, 400, 0.05),
    "thin plate": (lambda points: box(points, [0.7, 0.06, 0.7]), 100, 0.05),
    "torus": (torus, 150, 0.15),
    "touching": (touching_spheres, 400, 0.05),
    "lattice": (lattice, 600, 0.1),
    "hollow": (hollow, 200, 0.1),
}


def marched(shape, resolution=20):
    grid = tet_grid(resolution)
    return Mesh(*marching_tetrahedra(grid.vertices, grid.tets, shape(grid.vertices))[:2])


@pytest.mark.parametrize("name", SHAPES)
def test_shape_and_topology_survive(name):
    shape, least, tolerance = SHAPES[name]
    mesh = marched(shape)
    for faces in (2000, least):
        if faces >= len(mesh.faces):
            continue
        reduced = decimate(mesh, faces)
        assert len(reduced.faces) <= faces
        assert len(reduced.faces) >= faces - 2, "no more than asked for is taken away"
        assert is_closed_manifold(reduced)
        assert euler_characteristic(reduced) == euler_characteristic(mesh)
        assert int(components(reduced).max()) == int(components(mesh).max())
        assert volume(reduced) == pytest.approx(volume(mesh), rel=tolerance if faces == least else 0.02)
        assert reduced.vertices.dtype == mesh.vertices.dtype and torch.isfinite(reduced.vertices).all()


def test_where_deviations_count_more_there_are_more_faces_and_smaller_errors():
    mesh = marched(sphere, 24)
    worth = torch.where(mesh.vertices[:, 2] > 0, 16.0, 1.0)
    even, front = decimate(mesh, 300), decimate(mesh, 300, worth)
    assert is_closed_manifold(front) and abs(len(front.faces) - len(even.faces)) <= 2

    def told(reduced):
        ahead = reduced.vertices[reduced.faces].mean(1)[:, 2] > 0
        off = (reduced.vertices[reduced.faces].mean(1).norm(dim=-1) - 0.7).abs()
        return int(ahead.sum()), float(off[ahead].mean()), float(off[~ahead].mean())

    assert told(front)[0] > 1.25 * told(even)[0] and told(front)[1] < 0.8 * told(even)[1] < told(front)[2]
    assert told(decimate(mesh, 300, torch.full_like(worth, 3.0)))[1] == pytest.approx(told(even)[1], rel=0.15)


def test_the_error_falls_as_faces_are_added():
    mesh = marched(sphere, 24)
    errors = [float((decimate(mesh, faces).vertices.norm(dim=-1) - 0.7).abs().mean()) for faces in (80, 320, 1280)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.002


def test_flat_sides_stay_flat():
    reduced = decimate(marched(lambda points: box(points, [0.52, 0.61, 0.43])), 200)
    centre = reduced.vertices[reduced.faces].mean(1)
    normal = torch.linalg.cross(*(reduced.vertices[reduced.faces[:, i]] - reduced.vertices[reduced.faces[:, 0]] for i in (1, 2)))
    sides = normal.abs().amax(-1) > 0.999 * normal.norm(dim=-1)
    distance = (centre[sides].abs() - centre.new_tensor([0.52, 0.61, 0.43])).abs().amin(-1)
    weight = face_areas(reduced)[sides]
    assert float((distance * weight).sum() / weight.sum()) < 5e-4
    assert float(weight.sum()) > 0.8 * float(face_areas(reduced).sum())


def test_faces_do_not_fold_over():
    reduced = decimate(marched(sphere), 300)
    a, b, c = reduced.vertices[reduced.faces].unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    outward = torch.nn.functional.normalize(a + b + c, dim=-1)
    assert float((normal * outward).sum(-1).min()) > 0.8


@pytest.mark.parametrize("name", ["rounded to steps", "lattice"])
def test_neighbours_never_lie_back_to_back(name):
    reduced = decimate(marched(SHAPES[name][0], 24), 600)
    normals, pairs = face_normals(reduced.vertices.double(), reduced.faces), face_pairs(edge_table(reduced.faces, len(reduced.vertices)))
    assert float((normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(-1).min()) > -0.8


def test_small_parts_of_a_rough_mesh_keep_their_side():
    mesh = marched(noise, 16)
    parts = int(components(mesh).max()) + 1
    assert parts > 15
    reduced = decimate(mesh, len(mesh.faces) // 4)
    assert is_closed_manifold(reduced) and int(components(reduced).max()) + 1 == parts

    def outward(m):
        return sum(volume(Mesh(m.vertices, m.faces[components(m) == part])) > 0 for part in range(parts))

    assert outward(reduced) == outward(mesh)


def test_what_cannot_be_reached_is_said_and_how():
    mesh = marched(noise, 16)
    with pytest.raises(FitError, match="cannot keep its shape") as caught:
        decimate(mesh, 100)
    reachable = int("".join(filter(str.isdigit, caught.value.hint.split("faces")[0])))
    assert 100 < reachable < len(mesh.faces)
    assert len(decimate(mesh, reachable).faces) <= reachable
    assert len(decimate(largest_components(mesh, 1.0), 400).faces) <= 400


def test_meshes_with_few_faces_are_returned_as_they_are():
    mesh = marched(sphere, 4)
    assert decimate(mesh, len(mesh.faces)) is mesh
    with pytest.raises(ValueError, match="at least 4"):
        decimate(mesh, 3)


def test_scale_and_place_do_not_matter():
    mesh = marched(torus, 12)
    far = Mesh(mesh.vertices.double() * 1e-3 + 5, mesh.faces)
    near, moved = decimate(Mesh(mesh.vertices.double(), mesh.faces), 200), decimate(far, 200)
    assert volume(moved) == pytest.approx(volume(near) * 1e-9, rel=0.01)


def test_a_tetrahedron_is_the_least():
    assert len(decimate(marched(sphere, 6), 4).faces) == 4


def test_open_meshes_reach_the_count():
    mesh = marched(sphere, 12)
    half = Mesh(mesh.vertices, mesh.faces[mesh.vertices[mesh.faces].mean(1)[:, 0] > 0])
    reduced = decimate(half, 300)
    assert 100 < len(reduced.faces) <= 300
