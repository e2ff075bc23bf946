"""Dense volumes: where their samples are, what lies between, and distance from occupancy."""

import pytest
import torch

from img23d.errors import FitError
from img23d.ops.march import marching_tetrahedra
from img23d.ops.tetgrid import tet_grid
from img23d.ops.topology import is_closed_manifold, volume
from img23d.ops.volume import WORTH_A_THREAD, sample_volume, sdf_from_occupancy, volume_points
from img23d.scene import Mesh


def test_samples_lie_on_the_cubes_faces_in_z_y_x_order():
    points = volume_points(5)
    assert points[0, 0, 0].tolist() == [-1, -1, -1] and points[4, 4, 4].tolist() == [1, 1, 1]
    assert points[1, 2, 3].tolist() == [0.5, 0.0, -0.5]
    assert volume_points(3, torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_linear_functions_are_sampled_exactly_and_clamped_outside():
    weight = torch.tensor([0.3, -1.2, 2.5], dtype=torch.float64)
    points = volume_points(6, weight)
    field = points @ weight + 0.7
    query = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.allclose(sample_volume(field, query), query @ weight + 0.7)
    stacked = torch.stack([field, points[..., 0], points[..., 2]])
    values = sample_volume(stacked, query)
    assert values.shape == (50, 3) and torch.allclose(values[:, 1:], query[:, [0, 2]])
    outside = torch.tensor([[3.0, 0.0, -7.0]], dtype=torch.float64)
    assert torch.allclose(sample_volume(field, outside), outside.clamp(-1, 1) @ weight + 0.7)


def test_sampling_is_twice_differentiable():
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(2, 2, 3, dtype=torch.float64, generator=generator).requires_grad_()
    query = (torch.rand(2, 3, dtype=torch.float64, generator=generator) * 0.9 - 0.95).requires_grad_()
    assert torch.autograd.gradcheck(sample_volume, (field, query))
    assert torch.autograd.gradgradcheck(sample_volume, (field, query))


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("count", [5, 2 * WORTH_A_THREAD, 3 * WORTH_A_THREAD + 1])
def test_several_threads_look_up_what_one_does(channels, count):
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(*channels, 4, 4, 4, generator=generator).requires_grad_()
    query = (torch.rand(count, 3, generator=generator) * 2.2 - 1.1).requires_grad_()
    told = {}
    for threads in (1, 3):
        torch.set_num_threads(threads)
        values = sample_volume(field, query)
        told[threads] = (values, *torch.autograd.grad(values.square().sum(), (field, query)))
    assert told[3][0].shape == (count, *channels)
    assert torch.equal(told[1][0], told[3][0])
    for alone, together in zip(told[1][1:], told[3][1:]):
        torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [32, 48])
def test_distance_from_occupancy_is_within_a_part_of_a_sample(size):
    truth = volume_points(size).norm(dim=-1) - 0.613
    step = 2 / (size - 1)
    smooth, rough = (sdf_from_occupancy(truth < 0, amount) for amount in (0.8, 0.0))
    near = truth.abs() < 3 * step
    for sdf, rms in ((smooth, 0.25), (rough, 0.35)):
        assert torch.equal(sdf < 0, truth < 0)
        assert float((sdf - truth)[near].square().mean().sqrt()) < rms * step
        assert abs(float((sdf - truth)[near].mean())) < 0.15 * step
    assert float((smooth - truth)[near].square().mean()) < float((rough - truth)[near].square().mean())
    soft = sdf_from_occupancy((0.5 - 5 * truth).clamp(0, 1))
    assert torch.equal(soft, smooth)


def test_thin_sheets_and_full_volumes_keep_a_closed_surface():
    sheet = torch.zeros(16, 16, 16, dtype=torch.bool)
    sheet[8, 3:13, 3:13] = True  # one sample thick
    sdf = sdf_from_occupancy(sheet)
    assert torch.equal(sdf < 0, sheet)
    grid = tet_grid(30)
    mesh = Mesh(*marching_tetrahedra(grid.vertices, grid.tets, sample_volume(sdf, grid.vertices))[:2])
    assert is_closed_manifold(mesh) and volume(mesh) > 0.01
    assert (sdf_from_occupancy(torch.ones(8, 8, 8)) < 0).all()


def test_an_empty_volume_is_refused():
    with pytest.raises(FitError, match="empty"):
        sdf_from_occupancy(torch.zeros(8, 8, 8))
