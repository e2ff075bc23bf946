"""A cloud of Gaussians: what its stored numbers mean."""

import pytest
import torch

from img23d.fields.gaussians import Gaussians, quaternion, to_harmonics
from img23d.ops.splat import rotation_matrices
from img23d.scene.cameras import orbit_degrees


def cloud(count=50, seed=0):
    draw = torch.Generator().manual_seed(seed)
    points, rotations = torch.rand(count, 3, generator=draw) - 0.5, torch.randn(count, 4, generator=draw)
    log_scales = -3 + torch.rand(count, 3, generator=draw)
    return Gaussians(points, log_scales, rotations, torch.randn(count, generator=draw), torch.randn(count, 3, generator=draw))


def test_activations_are_those_of_the_paper():
    made = Gaussians(torch.zeros(1, 3), torch.tensor([[0.0, 1, -1]]), torch.ones(1, 4), torch.zeros(1), torch.tensor([[0.0, 1, -9]]))
    assert made.scales[0].tolist() == pytest.approx([1, 2.7182818, 0.36787944])
    assert float(made.opacity[0]) == 0.5
    assert made.rgb[0].tolist() == pytest.approx([0.5, 0.78209479, 0])
    assert torch.allclose(to_harmonics(made.rgb)[0, :2], made.harmonics[0, :2])


def test_matrices_and_quaternions_are_one_rotation():
    turns = torch.nn.functional.normalize(torch.randn(500, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1)
    # Half turns, where three of the four are near zero, too.
    turns = torch.cat([turns, torch.eye(4, dtype=torch.float64), turns * torch.tensor([1e-9, 1, 1, 1])])
    matrices = rotation_matrices(turns)
    assert torch.allclose(matrices @ matrices.transpose(1, 2), torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(len(turns), dtype=torch.float64))
    assert torch.allclose(rotation_matrices(quaternion(matrices)), matrices, atol=1e-9)
    quarter = rotation_matrices(torch.tensor([[1.0, 0, 0, 1]]))[0]
    assert torch.allclose(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6), "anticlockwise about z"


def test_a_moved_cloud_looks_the_same_to_a_moved_camera():
    made, shift = cloud(), torch.tensor([0.3, -0.2, 0.1])
    before = made.draw(orbit_degrees([30.0], 20.0, 3.0, 40.0), 32, 32)
    camera = orbit_degrees([30.0], 20.0, 6.0, 40.0)
    camera.cam_to_world[:, :3, 3] += shift
    after = made.moved(2.0, shift).draw(camera, 32, 32)
    assert torch.allclose(before[0], after[0], atol=1e-4) and before[1].max() > 0.1


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="rotations"):
        Gaussians(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 3))
