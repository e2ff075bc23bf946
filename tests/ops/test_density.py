"""The density of a cloud: its formula, on a grid and at points, and the solid that it fills."""

import math

import pytest
import torch
import trimesh

from img23d.errors import FitError
from img23d.ops.density import LEAST, density_at, density_grid, distance_to_level, spread_out
from img23d.ops.march import marching_tetrahedra
from img23d.ops.splat import rotation_matrices
from img23d.ops.tetgrid import tet_grid
from img23d.ops.volume import sample_volume, volume_points

ONE = torch.tensor([[0.1, -0.2, 0.05]]), torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[2.0, 0.4, -0.6, 1.0]]), torch.tensor([0.8])


def cloud(count=40, seed=0):
    """Random Gaussians: points, scales, rotations, opacity, colours."""
    random = torch.Generator().manual_seed(seed)
    points, scales = torch.rand(count, 3, generator=random) * 1.6 - 0.8, 0.02 + 0.2 * torch.rand(count, 3, generator=random)
    rotations, opacity = torch.randn(count, 4, generator=random), torch.rand(count, generator=random)
    return points, scales, rotations, opacity, torch.rand(count, 3, generator=random)


def formula(points, scales, rotations, opacity, places):
    """(P, N) each Gaussian's part, by the covariance itself."""
    spread = rotation_matrices(rotations) * scales[:, None]
    away = places[:, None] - points
    distance = torch.einsum("pni,nij,pnj->pn", away, torch.linalg.inv(spread @ spread.transpose(1, 2)), away)
    return opacity * (-0.5 * distance).exp()


def test_one_gaussian_is_as_dense_as_its_formula_says():
    dense, mean = density_grid(*ONE, torch.tensor([[0.2, 0.4, 0.6]]), 21)
    wanted = formula(*ONE, volume_points(21).reshape(-1, 3))[:, 0].reshape(21, 21, 21)
    torch.testing.assert_close(dense, torch.where(wanted < LEAST, 0.0, wanted), atol=2e-6, rtol=1e-4)
    assert int((dense > 0).sum()) > 500 and int((dense == 0).sum()) > 500
    torch.testing.assert_close(mean[:, dense > 0.01][:, 0], torch.tensor([0.2, 0.4, 0.6]))
    # one standard deviation along its own first axis
    end = ONE[0] + 0.3 * rotation_matrices(ONE[2])[:, :, 0]
    assert float(density_at(*ONE, end)) == pytest.approx(0.8 * math.exp(-0.5), rel=1e-5)


def test_a_cloud_is_the_sum_of_its_gaussians_wherever_blocks_begin():
    *numbers, values = cloud()
    dense, mean = density_grid(*numbers, values, 19)
    parts = formula(*numbers, volume_points(19).reshape(-1, 3))
    torch.testing.assert_close(dense.reshape(-1), parts.sum(1), atol=len(values) * LEAST, rtol=0)
    sure = dense > 0.1
    torch.testing.assert_close(mean[:, sure], ((parts @ values) / parts.sum(1, True)).T.reshape(3, 19, 19, 19)[:, sure], atol=0.02, rtol=0)


def test_at_points_it_is_the_same_and_can_be_learnt_by():
    *numbers, _ = cloud(20)
    places = torch.rand(50, 3) * 2 - 1
    torch.testing.assert_close(density_at(*numbers, places), formula(*numbers, places).sum(1))
    exact = [number.double().requires_grad_() for number in cloud(5)[:4]]
    assert torch.autograd.gradcheck(lambda *given: density_at(*given, places[:6].double()), exact)
    *many, _ = cloud(200)
    assert bool((density_at(*many, places) <= formula(*many, places).sum(1) + 1e-5).all()), "only the nearest are asked"


def ball_of_gaussians(radius=0.6, step=0.06):
    """A lattice that fills a ball, with density 2 inside."""
    axis = (torch.arange(41) - 20) * step
    points = torch.cartesian_prod(axis, axis, axis)
    points = points[points.norm(dim=1) < radius]
    width = step * (2 / 0.9) ** (1 / 3) / math.sqrt(2 * math.pi)
    return (
        points,
        torch.full((len(points), 3), width),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(len(points), 1),
        torch.full_like(points[:, 0], 0.9),
    )


def surface(sdf):
    """The mesh of a distance on a dense grid."""
    grid = tet_grid(32)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, sample_volume(sdf, grid.vertices))
    return trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)


def test_a_ball_of_gaussians_is_a_closed_ball():
    points, *others = ball_of_gaussians()
    dense, _ = density_grid(points, *others, points, 48)
    mesh = surface(distance_to_level(dense, 1.0))
    radii = torch.from_numpy(mesh.vertices).norm(dim=1)
    assert mesh.is_watertight and mesh.body_count == 1 and mesh.volume > 0
    assert float((radii - 0.6).abs().mean()) < 0.012 and float((radii - 0.6).abs().max()) < 0.045, "lattice sites are .06 apart"


def test_the_distance_is_a_distance():
    points = volume_points(40)
    truth = points.norm(dim=-1) - 0.6
    found = distance_to_level(2 * torch.special.ndtr(-truth / 0.05), 1.0)
    step = 2 / 39
    assert float((found - truth)[truth.abs() < 2 * step].abs().max()) < 0.2 * step
    assert float((found - truth).abs().max()) < 0.5 * step and bool(((found < 0) == (truth < 0)).all())


def test_rooms_inside_belong_to_the_solid_and_holes_through_it_do_not():
    x, y, z = volume_points(40).unbind(-1)
    away = (x**2 + y**2 + z**2).sqrt()
    shell = 2 * torch.special.ndtr((0.08 - (away - 0.6).abs()) / 0.03)
    assert float(distance_to_level(shell, 1.0)[20, 20, 20]) < -0.5
    drilled = torch.where((x**2 + y**2).sqrt() < 0.2, 0.0, shell)
    assert float(distance_to_level(drilled, 1.0)[20, 20, 20]) > 0.3
    with pytest.raises(FitError, match="thinned out"):
        distance_to_level(0.4 * shell, 1.0)


def test_a_solid_that_fills_the_cube_ends_at_its_sides():
    found = distance_to_level(torch.full((12, 12, 12), 3.0), 1.0)
    assert bool((found < 0).all()) and float(found[6, 6, 6]) < -0.8


def test_colours_spread_from_where_they_are_known():
    known = torch.zeros(6, 6, 6, dtype=torch.bool)
    known[0, 0, 0] = known[5, 5, 5] = True
    mean = torch.zeros(3, 6, 6, 6)
    mean[:, 0, 0, 0], mean[:, 5, 5, 5] = 0.25, 0.75
    spread = spread_out(mean, known)
    assert spread[:, 1, 1, 0].tolist() == [0.25] * 3 and spread[:, 5, 4, 4].tolist() == [0.75] * 3
