"""Marching tetrahedra against shapes whose surface is known."""

import math

import pytest
import torch

from img23d.ops.march import interpolate_edges, marching_tetrahedra, move_zeros
from img23d.ops.tetgrid import grid_edges, tet_grid, unique_edges
from img23d.ops.topology import area, euler_characteristic, face_areas, is_closed_manifold, volume
from img23d.scene import Mesh


def sphere(points, radius=0.7):
    return points.norm(dim=-1) - radius


def torus(points, large=0.6, small=0.22):
    return ((points[:, [0, 2]].norm(dim=-1) - large).square() + points[:, 1].square()).sqrt() - small


def box(points, half=(0.52, 0.61, 0.43)):
    beyond = points.abs() - points.new_tensor(half)
    return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(-1).clamp(max=0)


def surface(shape, resolution):
    grid = tet_grid(resolution)
    vertices = grid.vertices.double()
    return Mesh(*marching_tetrahedra(vertices, grid.tets, shape(vertices))[:2])


TRUTH = {
    "sphere": (sphere, 4 / 3 * math.pi * 0.7**3, 4 * math.pi * 0.7**2, 2),
    "torus": (torus, 2 * math.pi**2 * 0.6 * 0.22**2, 4 * math.pi**2 * 0.6 * 0.22, 0),
    "box": (box, 8 * 0.52 * 0.61 * 0.43, 8 * (0.52 * 0.61 + 0.61 * 0.43 + 0.52 * 0.43), 2),
}


@pytest.mark.parametrize("name", TRUTH)
def test_surfaces_are_closed_outward_and_have_the_right_size_and_genus(name):
    shape, true_volume, true_area, euler = TRUTH[name]
    mesh = surface(shape, 20)
    assert is_closed_manifold(mesh)
    assert euler_characteristic(mesh) == euler
    assert volume(mesh) == pytest.approx(true_volume, rel=0.02)  # positive: the faces look outwards
    assert area(mesh) == pytest.approx(true_area, rel=0.04 if name == "box" else 0.02)  # a box loses its sharp edges


def test_the_error_falls_with_the_square_of_the_resolution():
    _, true_volume, true_area, _ = TRUTH["sphere"]
    coarse, fine = surface(sphere, 12), surface(sphere, 24)
    for measure, truth in ((volume, true_volume), (area, true_area)):
        order = math.log2(abs(measure(coarse) - truth) / abs(measure(fine) - truth))
        assert 1.7 < order < 2.3


def test_faces_look_the_way_the_distance_grows():
    mesh = surface(torus, 16)
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    centre = ((a + b + c) / 3).requires_grad_()
    (outward,) = torch.autograd.grad(torus(centre).sum(), centre)
    normal = torch.linalg.cross(b - a, c - a)
    large = normal.norm(dim=-1) > 1e-6
    assert ((normal * outward).sum(-1)[large] > 0).all()


def test_a_flipped_sign_turns_the_surface_inside_out():
    grid = tet_grid(10)
    sdf = sphere(grid.vertices)
    mesh = Mesh(*marching_tetrahedra(grid.vertices, grid.tets, sdf)[:2])
    flipped = Mesh(*marching_tetrahedra(grid.vertices, grid.tets, -sdf)[:2])
    swapped = Mesh(*marching_tetrahedra(grid.vertices, grid.tets[:, [1, 0, 2, 3]], sdf)[:2])
    assert volume(flipped) == pytest.approx(-volume(mesh))
    assert volume(swapped) == pytest.approx(-volume(mesh), rel=1e-5)


def test_vertices_lie_on_the_zero_of_a_linear_distance_and_on_their_edges():
    grid = tet_grid(5)
    vertices = grid.vertices.double()
    normal = torch.tensor([0.48, 0.6, 0.64], dtype=torch.float64)
    plane = vertices @ normal - 0.123
    surface_vertices, faces, edges = marching_tetrahedra(vertices, grid.tets, plane)
    assert torch.allclose(surface_vertices @ normal, torch.full((len(surface_vertices),), 0.123, dtype=torch.float64), atol=1e-12)
    assert (edges[:, 0] < edges[:, 1]).all()
    keys = edges[:, 0] * len(vertices) + edges[:, 1]
    assert (keys[1:] > keys[:-1]).all()
    assert ((plane[edges] > 0).sum(1) == 1).all()
    assert torch.equal(torch.unique(faces), torch.arange(len(edges)))
    # Attributes follow the same edges: carrying the positions gives the positions.
    assert torch.allclose(interpolate_edges(vertices, plane, edges), surface_vertices)


def test_every_sign_pattern_of_one_tet_gives_a_sheet_between_its_sides():
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    tets = torch.tensor([[0, 1, 2, 3]])
    for pattern in range(16):
        outside = torch.tensor([bool(pattern >> corner & 1) for corner in range(4)])
        sdf = torch.where(outside, 1.0, -1.0).double()
        vertices, faces, _ = marching_tetrahedra(corners, tets, sdf)
        assert len(faces) == (0, 1, 2, 1, 0)[int(outside.sum())]
        if len(faces):
            a, b, c = vertices[faces].unbind(1)
            normal = torch.linalg.cross(b - a, c - a)
            towards = corners[outside].mean(0) - corners[~outside].mean(0)
            assert (normal @ towards > 0).all()


def test_the_order_of_the_tets_does_not_matter():
    grid = tet_grid(8)
    sdf = torus(grid.vertices)
    order = torch.randperm(len(grid.tets), generator=torch.Generator().manual_seed(0))
    vertices, faces, edges = marching_tetrahedra(grid.vertices, grid.tets, sdf)
    other_vertices, other_faces, other_edges = marching_tetrahedra(grid.vertices, grid.tets[order], sdf)
    assert torch.equal(vertices, other_vertices) and torch.equal(edges, other_edges)
    assert sorted(faces.tolist()) == sorted(other_faces.tolist())


def test_exact_zeros_give_faces_with_an_area():
    grid = tet_grid(8)
    sdf = box(grid.vertices, half=(0.5, 0.5, 0.5))  # passes through grid vertices
    assert int((sdf == 0).sum()) == 98
    mesh = Mesh(*marching_tetrahedra(grid.vertices, grid.tets, sdf)[:2])
    assert is_closed_manifold(mesh) and euler_characteristic(mesh) == 2
    assert float(face_areas(mesh).min()) > 0
    assert len(torch.unique(mesh.vertices, dim=0)) == len(mesh.vertices)
    assert volume(mesh) == pytest.approx(1.0, rel=1e-3)
    assert torch.equal(move_zeros(sdf)[sdf != 0], sdf[sdf != 0])


def test_nothing_inside_gives_an_empty_mesh():
    grid = tet_grid(3)
    for sdf in (torch.ones(len(grid.vertices)), -torch.ones(len(grid.vertices))):
        vertices, faces, edges = marching_tetrahedra(grid.vertices, grid.tets, sdf)
        assert vertices.shape == (0, 3) and faces.shape == (0, 3) and edges.shape == (0, 2)


def test_gradients_are_those_of_the_finite_differences():
    grid = tet_grid(1)
    generator = torch.Generator().manual_seed(1)
    vertices = grid.vertices.double().requires_grad_()
    sdf = torch.randn(len(vertices), generator=generator, dtype=torch.float64).requires_grad_()
    assert float(sdf.detach().abs().min()) > 1e-3  # no sign changes within the differences
    assert len(marching_tetrahedra(vertices, grid.tets, sdf)[1]) > 10
    assert torch.autograd.gradcheck(lambda place, distance: marching_tetrahedra(place, grid.tets, distance)[0], (vertices, sdf))


def test_growing_the_distance_moves_the_surface_against_its_normal():
    grid = tet_grid(12)
    vertices = grid.vertices.double()
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    surface_vertices, faces, _ = marching_tetrahedra(vertices, grid.tets, sphere(vertices) + shift)
    a, b, c = surface_vertices[faces].unbind(1)
    enclosed = (torch.linalg.cross(a, b) * c).sum() / 6
    (change,) = torch.autograd.grad(enclosed, shift)
    assert float(change) == pytest.approx(-4 * math.pi * 0.7**2, rel=0.02)  # the volume shrinks by the area


def test_a_grid_whose_edges_are_known_gives_the_same_surface():
    grid = tet_grid(5)
    known = grid_edges(grid.tets, len(grid.vertices))
    assert torch.equal(known.ends, unique_edges(grid.tets, len(grid.vertices)))
    for sdf in (
        sphere(grid.vertices),
        torch.randn(len(grid.vertices), generator=torch.Generator().manual_seed(4)),
        torch.ones(len(grid.vertices)),
    ):
        found, again = marching_tetrahedra(grid.vertices, grid.tets, sdf), marching_tetrahedra(grid.vertices, grid.tets, sdf, known)
        assert all(torch.equal(one, other) for one, other in zip(found, again))
