"""Relief that bends normals: against planes and waves whose slopes are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from img23d.training.relief import STEEPEST, Relief, corrugation, random_field, random_relief, smooth_noise


def flat(count: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random places of the plane z = 0, its normals, and an eye right before it."""
    points = torch.from_numpy(np.random.default_rng(seed).uniform(-0.4, 0.4, (count, 3))).float()
    points[:, 2] = 0.0
    ahead = torch.tensor([0.0, 0.0, 1.0]).expand(count, 3)
    return points, ahead, ahead


def test_a_ramp_bends_all_normals_by_its_slope():
    points, normals, views = flat()
    slope = 0.3
    bent, _ = Relief(lambda places: 5.0 * places[:, 0], slope, 0.0).bend(points, normals, views, torch.eye(3))
    kept = slope * STEEPEST / (STEEPEST + slope)
    assert torch.allclose(bent, torch.nn.functional.normalize(torch.tensor([-kept, 0.0, 1.0]), dim=0).expand_as(bent), atol=1e-3)


def test_what_rises_along_the_normal_bends_nothing():
    points, normals, views = flat()
    bent, _ = Relief(lambda places: places[:, 2], 0.5, 0.0).bend(points, normals, views, torch.eye(3))
    assert torch.allclose(bent, normals, atol=1e-3)


def test_slopes_follow_the_turn_of_the_object():
    points, normals, views = flat()
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # the object's x is the camera's y
    bent, _ = Relief(lambda places: places[:, 0], 0.3, 0.0).bend(points, normals, views, turn)
    assert bent[:, 0].abs().max() < 1e-3 and (bent[:, 1] < -0.2).all()


def test_gradients_are_those_of_the_heights():
    points = flat(200)[0]
    wave = Relief(lambda places: torch.sin(9.0 * places[:, 0]) + 0.2 * places[:, 1], 0.2, 0.0)
    found, height = wave.gradient(points)
    truth = torch.stack([9.0 * torch.cos(9.0 * points[:, 0]), torch.full((200,), 0.2), torch.zeros(200)], -1)
    assert torch.nn.functional.cosine_similarity(found, truth, dim=-1).median() > 0.999
    assert abs(float(height.mean())) < 1e-4 and abs(float(height.std(correction=0)) - 1) < 1e-3


@pytest.mark.parametrize("seed", range(12))
def test_random_relief_is_seen_from_the_eye_and_repeats(seed):
    points, normals, views = flat(300, seed)
    views = torch.nn.functional.normalize(torch.tensor([0.95, 0.0, 0.3]), dim=0).expand_as(points)
    bent, light = random_relief(np.random.default_rng(seed)).bend(points, normals, views, torch.eye(3))
    assert torch.allclose(bent.norm(dim=-1), torch.ones(300), atol=1e-4)
    assert (bent * views).sum(-1).min() > 0 and light.min() >= 0.35 and light.max() <= 1.0
    assert torch.equal(bent, random_relief(np.random.default_rng(seed)).bend(points, normals, views, torch.eye(3))[0])


def test_smooth_noise_has_no_kinks_between_its_cells():
    noise = smooth_noise(np.random.default_rng(3), 6.0)
    line = torch.zeros(4001, 3)
    line[:, 0] = torch.linspace(-0.45, 0.45, 4001)
    slope = noise(line).diff()
    assert slope.diff().abs().max() < 0.02 * slope.abs().max()


def test_every_kind_of_field_bends_something():
    points = flat(500)[0]
    spread = [float(random_field(np.random.default_rng(seed))(points).std()) for seed in range(30)]
    assert min(spread) > 1e-3
    assert float(corrugation(np.random.default_rng(1), 10.0)(points).abs().max()) <= 1.0 and math.isfinite(max(spread))


@pytest.mark.parametrize("count", [0, 1])
def test_pictures_that_show_next_to_nothing_are_bent_too(count):
    up = torch.tensor([[0.0, 0.0, 1.0]]).expand(count, 3)
    bent, light = random_relief(np.random.default_rng(3)).bend(torch.full((count, 3), 0.2), up, up, torch.eye(3))
    assert bent.shape == (count, 3) and light.shape == (count,) and bool(torch.isfinite(torch.cat([bent.flatten(), light])).all())
