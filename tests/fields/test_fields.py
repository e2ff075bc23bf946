"""Fields against analytic shapes."""

import pytest
import torch

from img23d.fields.analytic import Box, Sphere, Torus
from img23d.fields.grid import FrozenGrid, GridField, gradient, sample_grid, upsample
from img23d.ops.volume import volume_points


def sampled(shape, resolution, dtype=torch.float32):
    points = volume_points(resolution).reshape(-1, 3).to(dtype)
    return shape.sdf(points).reshape(resolution, resolution, resolution)


@pytest.mark.parametrize("shape", [Sphere(), Box(), Torus()])
def test_analytic_shapes_are_distances(shape):
    torch.manual_seed(0)
    points = (torch.rand(500, 3, dtype=torch.float64) * 2 - 1).requires_grad_(True)
    (slope,) = torch.autograd.grad(shape.sdf(points).sum(), points)
    assert torch.allclose(slope.norm(dim=-1), torch.ones(500, dtype=torch.float64), atol=1e-9)


def test_a_volume_is_indexed_z_y_x():
    points = volume_points(9)
    for axis in range(3):
        volume = points.reshape(9, 9, 9, 3)[..., axis]
        place = torch.tensor([[0.1, -0.35, 0.7]])
        assert float(sample_grid(volume[None], place)[0, 0]) == pytest.approx(float(place[0, axis]), abs=1e-6)


def test_interpolation_converges_at_second_order():
    torch.manual_seed(0)
    points = torch.rand(2000, 3) - 0.5
    truth = Sphere(0.3).sdf(points + 0.0)
    away = (points.norm(dim=-1) > 0.15).float()
    errors = [
        float(((FrozenGrid(sampled(Sphere(0.3), n), torch.zeros(3, 2, 2, 2)).sdf(points) - truth).abs() * away).mean())
        for n in (17, 33, 65)
    ]
    assert errors[0] / errors[1] > 3.3 and errors[1] / errors[2] > 3.3


@pytest.mark.parametrize("sizes", [(5, 9), (6, 16), (9, 5), (4, 4)])
def test_a_grid_is_resampled_as_torch_does_with_corners_in_place(sizes):
    old, new = sizes
    volume = torch.randn(2, old, old, old, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = torch.nn.functional.interpolate(volume[None], size=(new, new, new), mode="trilinear", align_corners=True)[0]
    torch.testing.assert_close(upsample(volume, new), truth)
    torch.testing.assert_close(upsample(volume.float(), new), truth.float())


def test_gradient_is_in_object_units_and_in_x_y_z_order():
    points = volume_points(17).reshape(17, 17, 17, 3)
    slope = gradient(2 * points[..., 0] - 3 * points[..., 1] + 0.5 * points[..., 2])
    assert torch.allclose(slope.reshape(3, -1).mean(1), torch.tensor([2.0, -3.0, 0.5]), atol=1e-4)


def test_a_fresh_field_is_its_start():
    start = sampled(Torus(), 33)
    field = GridField(start, torch.rand(3, 8, 8, 8) * 0.8 + 0.1, 33, 3)
    points = torch.rand(100, 3) * 1.6 - 0.8
    assert torch.allclose(field.sdf(points), FrozenGrid(start, torch.zeros(3, 2, 2, 2)).sdf(points), atol=1e-6)
    normal = torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)
    ball = GridField(sampled(Sphere(0.5), 33), torch.full((3, 8, 8, 8), 0.5), 33, 3)
    assert float((ball.normal(normal * 0.5) * normal).sum(-1).detach().min()) > 0.995


def test_every_level_of_the_pyramid_learns():
    field = GridField(sampled(Sphere(), 33), torch.full((3, 4, 4, 4), 0.5), 33, 3)
    field.sdf(torch.rand(500, 3) - 0.5).square().sum().backward()
    assert [tuple(r.shape[1:]) for r in field.residuals] == [(33,) * 3, (16,) * 3, (8,) * 3]
    assert all(float(r.grad.abs().max()) > 0 for r in field.residuals)
