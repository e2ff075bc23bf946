"""Losses on meshes and tets: known values, slow references, gradients, and invariance."""

import math

import pytest
import torch

from img23d.ops.edges import edge_table
from img23d.ops.march import marching_tetrahedra
from img23d.ops.mesh_losses import (
    amips,
    equivolume,
    face_normals,
    laplacian_loss,
    normal_consistency,
    sdf_sign_regularizer,
    tet_volumes,
    uniform_laplacian,
)
from img23d.ops.tetgrid import tet_grid, unique_edges

CUBE = torch.tensor([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], dtype=torch.float64)
CUBE_FACES = torch.tensor(
    [[0, 2, 3], [0, 3, 1], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 6, 7], [2, 7, 3], [0, 4, 6], [0, 6, 2], [1, 3, 7], [1, 7, 5]]
)


def rotation(seed=0):
    q, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))
    return q * torch.linalg.det(q)


def blob(resolution=6):
    grid = tet_grid(resolution)
    return marching_tetrahedra(grid.vertices.double(), grid.tets, grid.vertices.double().norm(dim=-1) - 0.7)[:2]


def test_cube_normals_point_outwards():
    normals = face_normals(CUBE, CUBE_FACES)
    assert ((normals * CUBE[CUBE_FACES].mean(1)).sum(-1) > 0).all()
    assert torch.allclose(normals.norm(dim=-1), torch.ones(12, dtype=torch.float64))
    flat = torch.tensor([[0, 0, 1]])
    assert torch.equal(face_normals(CUBE, flat), torch.zeros(1, 3, dtype=torch.float64))


def test_normal_consistency_of_a_cube_counts_its_right_angles():
    # 18 edges: 12 right angles (1 - cos = 1) and 6 flat diagonals.
    assert float(normal_consistency(CUBE, CUBE_FACES)) == pytest.approx(12 / 18)
    fold = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -math.cos(0.3), math.sin(0.3)]], dtype=torch.float64)
    assert float(normal_consistency(fold, torch.tensor([[0, 1, 2], [1, 0, 3]]))) == pytest.approx(1 - math.cos(0.3))


def test_mesh_losses_do_not_change_when_the_mesh_is_moved_or_its_faces_shuffled():
    vertices, faces = blob()
    moved = vertices @ rotation().T + torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))
    for loss in (normal_consistency, laplacian_loss):
        assert float(loss(moved, faces[order])) == pytest.approx(float(loss(vertices, faces)), rel=1e-9)


def test_laplacian_agrees_with_a_loop_and_pulls_towards_the_neighbours():
    vertices, faces = blob(3)
    neighbours = {i: set() for i in range(len(vertices))}
    table = edge_table(faces, len(vertices))
    for a, b in zip(table.low.tolist(), table.high.tolist()):
        neighbours[a].add(b)
        neighbours[b].add(a)
    slow = torch.stack([vertices[sorted(neighbours[i])].mean(0) - vertices[i] for i in range(len(vertices))])
    assert torch.allclose(uniform_laplacian(vertices, faces), slow)
    assert torch.equal(uniform_laplacian(vertices, faces, table), uniform_laplacian(vertices, faces))
    spike = vertices.clone()
    spike[0] *= 1.5
    assert float(laplacian_loss(spike, faces)) > float(laplacian_loss(vertices, faces))
    stray = torch.cat([vertices, torch.ones(1, 3, dtype=torch.float64)])
    assert torch.equal(uniform_laplacian(stray, faces)[-1], torch.zeros(3, dtype=torch.float64))


def test_sign_regularizer_is_the_cross_entropy_of_the_crossing_edges_only():
    sdf = torch.tensor([-1.0, 2.0, 3.0], dtype=torch.float64)
    edges = torch.tensor([[0, 1], [1, 2]])
    # BCE(logit -1, target 1) + BCE(logit 2, target 0)
    assert float(sdf_sign_regularizer(sdf, edges)) == pytest.approx(math.log(1 + math.e) + math.log(1 + math.exp(2)))
    assert float(sdf_sign_regularizer(sdf.abs(), edges)) == 0
    sdf.requires_grad_()
    (gradient,) = torch.autograd.grad(sdf_sign_regularizer(sdf, edges), sdf)
    assert gradient[0] < 0 < gradient[1] and gradient[2] == 0  # both ends of the crossing are pushed towards the other's sign


def test_sign_regularizer_removes_a_floater():
    grid = tet_grid(6)
    edges = unique_edges(grid.tets, len(grid.vertices))
    clean = (grid.vertices.norm(dim=-1) - 0.6).double()
    speck = clean.clone()
    speck[len(speck) // 9] = -0.05  # a lone inside vertex outside the sphere
    assert float(clean[len(speck) // 9]) > 0.1
    sdf = speck.requires_grad_()
    (gradient,) = torch.autograd.grad(sdf_sign_regularizer(sdf, edges), sdf)
    assert float(gradient[len(speck) // 9]) < 0  # descending raises it to the outside


def test_tet_volumes_add_up_and_change_sign_when_corners_swap():
    grid = tet_grid(2)
    volumes = tet_volumes(grid.vertices.double(), grid.tets)
    assert float(volumes.sum()) == pytest.approx(8.0)
    assert torch.allclose(tet_volumes(grid.vertices.double(), grid.tets[:, [1, 0, 2, 3]]), -volumes)


def test_equivolume_is_zero_for_equal_tets_only():
    grid = tet_grid(4)
    inner = grid.tets[(grid.vertices[grid.tets].abs() < 1).all(-1).all(-1)]
    vertices = grid.vertices.double()
    assert float(equivolume(vertices, inner)) < 1e-30
    two = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -3]], dtype=torch.float64)
    tets = torch.tensor([[0, 1, 2, 3], [0, 2, 1, 4]])  # volumes 1/6 and 3/6
    assert float(equivolume(two, tets)) == pytest.approx((1 / 6) ** 4)
    assert float(equivolume(two, tets, power=2)) == pytest.approx((1 / 6) ** 2)


def test_amips_is_three_for_rigid_and_scaled_grids_and_grows_with_distortion():
    grid = tet_grid(2)
    rest = grid.vertices.double()
    for vertices in (rest, rest @ rotation(4).T + 0.3, rest * 2.5):
        assert float(amips(vertices, grid.tets, rest)) == pytest.approx(3.0, rel=1e-6)
    stretched = rest * torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64)
    assert float(amips(stretched, grid.tets, rest)) == pytest.approx((4 + 1 + 1) / 2 ** (2 / 3), rel=1e-6)
    assert float(amips(rest * torch.tensor([-1.0, 1, 1], dtype=torch.float64), grid.tets, rest)) == 0  # inverted: not counted


def test_gradients_are_those_of_the_finite_differences():
    generator = torch.Generator().manual_seed(5)
    vertices = (CUBE + 0.1 * torch.randn(8, 3, dtype=torch.float64, generator=generator)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: normal_consistency(v, CUBE_FACES), (vertices,))
    assert torch.autograd.gradcheck(lambda v: laplacian_loss(v, CUBE_FACES), (vertices,))
    tets = torch.tensor([[0, 1, 2, 4], [1, 2, 3, 7]])
    rest = CUBE.clone()
    tets = torch.where((tet_volumes(rest, tets) > 0)[:, None], tets, tets[:, [1, 0, 2, 3]])
    assert torch.autograd.gradcheck(lambda v: equivolume(v, tets, power=2), (vertices,))
    assert torch.autograd.gradcheck(lambda v: amips(v, tets, rest), (vertices,))
    sdf = torch.randn(9, dtype=torch.float64, generator=generator).requires_grad_()
    edges = unique_edges(tet_grid(1).tets, 9)
    assert torch.autograd.gradcheck(lambda s: sdf_sign_regularizer(s, edges), (sdf,))


def test_meshes_without_neighbours_cost_nothing_but_keep_their_gradient():
    vertices = torch.eye(3, dtype=torch.float64).requires_grad_()
    loss = normal_consistency(vertices, torch.tensor([[0, 1, 2]]))
    loss.backward()
    assert float(loss.detach()) == 0 and torch.equal(vertices.grad, torch.zeros(3, 3, dtype=torch.float64))
