"""Training samples against a ball, whose depths, normals and distances are known; and what a sample must never do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh
from tests.training.conftest import as_object

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops.inflate import inflate
from img23d.priors import frame
from img23d.training.appearance import photograph
from img23d.training.carve import carve
from img23d.training.samples import Sample, make_scene, render_sample
from img23d.training.shards import Shard, ShardFolder, pack_sample, unpack_sample, write_shard
from img23d.training.warp import identity, random_warp


@pytest.fixture(scope="module")
def ball_view(sphere) -> tuple[Sample, float]:
    """A ball in perspective, and its radius in half-widths."""
    solid = carve(torch.from_numpy(sphere.vertices), torch.from_numpy(sphere.faces).long()).sdf
    scene = make_scene(sphere, solid, identity(), frame.camera_pose(0.7, 0.4, 0.1, 0.7), 1.0)
    return render_sample(scene, np.random.default_rng(0), choose_rasterizer("auto")), scene.framed.scale * 0.5


def pixel_rays(fov: float) -> torch.Tensor:
    """(S, S, 3) crop-frame directions whose parameter is depth from the camera, z towards the camera."""
    axis = frame.pixel_axis(frame.IMAGE_SIZE) * math.tan(fov / 2)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    return torch.stack([x, y, -torch.ones_like(x)], -1)


def ball_depths(radius: float, fov: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depths from mid-depth at which the rays enter and leave a ball in the middle, and whether they meet it."""
    rays, distance = pixel_rays(fov), 1 / math.tan(fov / 2)
    a, b, c = (rays**2).sum(-1), -rays[..., 2] * distance, distance**2 - radius**2
    root = b**2 - a * c
    half = root.clamp(min=0).sqrt()
    return (b - half) / a - distance, (b + half) / a - distance, root > 0


def test_ball_has_the_depths_normals_and_silhouette_of_a_ball(ball_view):
    sample, radius = ball_view
    front, back, hit = ball_depths(radius, 0.7)
    sure = hit & torch.from_numpy(sample.hit)
    assert (hit ^ torch.from_numpy(sample.hit)).float().mean() < 0.01
    depth = torch.from_numpy(sample.depth.astype(np.float32))
    away = sure & (back - front > 0.3)
    assert (depth[0] - front)[away].abs().max() < 0.01
    assert (depth[1] - back)[away].abs().max() < 0.01
    distance = 1 / math.tan(0.35)
    place = pixel_rays(0.7) * (front + distance)[..., None] + torch.tensor([0.0, 0.0, distance])
    normal = torch.from_numpy(sample.normal.astype(np.float32)) / 127
    assert ((normal * place / radius).sum(-1)[away] > 0.98).all()


def test_ball_fills_the_frame_and_its_volume_agrees_with_its_depths(ball_view):
    sample, radius = ball_view
    columns = np.flatnonzero(sample.hit.any(0))
    assert (columns[-1] - columns[0] + 1) / frame.IMAGE_SIZE == pytest.approx(frame.FILL, abs=0.02)
    rays = frame.VOLUME_SIZE
    axis = frame.pixel_axis(rays)
    depths = frame.bin_depths()
    d, y, x = torch.meshgrid(depths, -axis, axis, indexing="ij")
    grow = 1 + d * math.tan(0.35)
    true = torch.stack([x * grow, y * grow, -d], -1).norm(dim=-1) - radius
    told = torch.from_numpy(sample.volume.astype(np.float32)) / 127 * frame.TRUNCATION
    near = true.abs() < 0.05
    assert (told - true)[near].abs().mean() < 0.015
    assert ((told < 0) == (true < 0))[true.abs() > 0.04].float().mean() > 0.999


def test_pose_moves_the_camera_as_an_orbit_does():
    from img23d.scene import orbit

    azimuth, elevation = torch.tensor([0.6]), torch.tensor([0.3])
    ours = frame.camera_pose(0.6, 0.3, 0.0, 0.5).rotation
    theirs = orbit(azimuth, elevation, torch.tensor([2.0]), torch.tensor([0.5])).cam_to_world[0, :3, :3].T
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_samples_of_deformed_objects_keep_depths_and_volume_together(box):
    solid = carve(torch.from_numpy(box.vertices), torch.from_numpy(box.faces).long()).sdf
    rasterizer = choose_rasterizer("auto")
    for seed in range(3):
        random = np.random.default_rng(seed)
        scene = make_scene(box, solid, random_warp(random), frame.camera_pose(0.5 + seed, 0.3, 0.0, 0.6), 0.0)
        sample = render_sample(scene, random, rasterizer)
        inside = sample.volume < 0
        first = frame.bin_depths().numpy()[inside.argmax(0)]
        depth = sample.depth[0].astype(np.float32)[1::2, 1::2]
        both = inside.any(0) & sample.hit[1::2, 1::2]
        assert np.median(np.abs(first - depth)[both]) < 0.045


def test_what_is_seen_may_all_lie_before_the_volume():
    head, tail = trimesh.creation.box((0.04, 0.04, 0.04)), trimesh.creation.box((1e-4, 1e-4, 1e-4))
    pole = as_object(trimesh.util.concatenate(head.apply_translation((0.48, 0, 0)), tail.apply_translation((-0.5, 0, 0))))
    solid = carve(torch.from_numpy(pole.vertices), torch.from_numpy(pole.faces).long()).sdf
    scene = make_scene(pole, solid, identity(), frame.camera_pose(math.pi / 2, 0.0, 0.0, 0.5), 0.0)
    sample = render_sample(scene, np.random.default_rng(0), choose_rasterizer("auto"))
    assert sample.hit.any() and (sample.depth[:, sample.hit] < -frame.DEPTH_RANGE - frame.TRUNCATION).all()
    assert (sample.volume == 127).all()


def test_warp_is_undone(sphere):
    points = torch.from_numpy(sphere.vertices)
    for seed in range(5):
        warp = random_warp(np.random.default_rng(seed))
        assert torch.allclose(warp.backward(warp.forward(points)), points, atol=1e-5)


def test_inflated_disc_is_a_ball_and_distance_is_that_to_the_edge():
    axis = frame.pixel_axis(96)
    radius = torch.hypot(*torch.meshgrid(axis, axis, indexing="ij"))
    distance, height = inflate((radius < 0.7).float()[None])
    inside = radius < 0.65
    assert (distance[0] - (0.7 - radius))[inside].abs().max() < 0.03
    assert (height[0] - (0.49 - radius**2).clamp(min=0).sqrt())[inside].abs().max() < 0.06
    assert (height[0][radius > 0.72] == 0).all()


def test_samples_come_back_from_disk_as_they_were(ball_view, tmp_path):
    sample, _ = ball_view
    again = unpack_sample(pack_sample(sample))
    assert all(np.array_equal(getattr(sample, name), getattr(again, name)) for name in Sample._fields)
    write_shard(tmp_path / "a.shard", [sample, sample], [3, 5])
    write_shard(tmp_path / "b.shard", [sample._replace(view=sample.view + 1)], [7])
    folder = ShardFolder(tmp_path)
    assert len(folder) == 3 and folder.objects().tolist() == [3, 5, 7]
    assert np.array_equal(folder[2].view, sample.view + 1)
    assert np.array_equal(Shard(tmp_path / "a.shard")[1].volume, sample.volume)


def test_a_photo_of_half_the_size_is_degraded_as_one_of_full_size_made_smaller():
    def spread(size: int) -> float:
        """Mean deviation of grey pictures, reduced to half of full size, from their own means: noise and JPEG."""
        pictures = [photograph(np.random.default_rng(seed), np.full((size, size, 3), 0.5)).astype(np.float64) for seed in range(60)]
        half = [picture.reshape(64, size // 64, 64, size // 64, 3).mean((1, 3)) for picture in pictures]
        return float(np.mean([(picture - picture.mean((0, 1))).std() for picture in half]))

    assert spread(64) == pytest.approx(spread(frame.IMAGE_SIZE), rel=0.15)
