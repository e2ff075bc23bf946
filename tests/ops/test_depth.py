"""Depth maps against a sphere."""

import math

import pytest
import torch

from img23d.ops.depth import align_depth, depth_to_normal, depth_to_points
from img23d.scene.cameras import orbit_degrees


def sphere_depth(cameras, size, radius=0.7):
    """Exact z-depth and mask of a sphere round the origin."""
    origins, directions = cameras.rays(size, size)
    a = (directions**2).sum(-1)
    b = (origins * directions).sum(-1)
    c = (origins**2).sum(-1) - radius**2
    root = b * b - a * c
    return (-b - root.clamp_min(0).sqrt()) / a, root > 0


def test_points_lie_on_the_sphere():
    cameras = orbit_degrees([20.0, 110.0], 25.0, 3.0, 40.0)
    depth, mask = sphere_depth(cameras, 65)
    assert torch.allclose(depth_to_points(depth, cameras)[mask].norm(dim=-1), torch.tensor(0.7), atol=1e-4)


@pytest.mark.parametrize("azimuth", [0.0, 135.0])
def test_normals_converge_to_the_sphere_and_face_the_camera(azimuth):
    cameras = orbit_degrees([azimuth], -15.0, 3.0, 40.0)
    errors = []
    for size in (64, 128):
        depth, mask = sphere_depth(cameras, size)
        points = depth_to_points(depth, cameras)
        truth = points / 0.7
        facing = (truth * (cameras.position[0] - points)).sum(-1) / (cameras.position[0] - points).norm(dim=-1) > 0.6
        error = (depth_to_normal(depth, cameras) - truth).norm(dim=-1)[mask & facing]
        errors.append(float(error.mean()))
    assert errors[1] < 0.01
    assert math.log2(errors[0] / errors[1]) > 1.5  # central differences: second order


def test_alignment_finds_scale_and_shift_in_spite_of_outliers():
    torch.manual_seed(0)
    truth = torch.rand(400) + 2
    relative = (truth - 0.7) / 3.5
    relative[:60] = torch.rand(60) * 5
    scale, shift = align_depth(relative, truth, torch.ones(400)).tolist()
    assert (scale, shift) == (pytest.approx(3.5, rel=0.03), pytest.approx(0.7, abs=0.05))


def test_alignment_never_turns_a_map_over():
    depth = torch.linspace(2, 3, 50)
    assert float(align_depth(-depth, depth, torch.ones(50))[0]) > 0
