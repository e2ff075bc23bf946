"""Thin parts that a solid has lost: a ball whose photo shows a rod below it."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import label

from img23d.fields.analytic import Sphere
from img23d.ops.strands import RESOLUTION, Balls, ball_distance, drawn_in, large_parts, lost_strands
from img23d.ops.volume import sample_volume, volume_points
from img23d.scene import Views
from img23d.scene.cameras import orbit_degrees

ROD = 0.02


def with_rod(x: torch.Tensor, slant: float = 0.0) -> torch.Tensor:
    """(..., 3) -> (...) a ball of radius 0.4 with a rod of half-width `ROD` down to y = -0.85, leaning away from the camera."""
    below = torch.maximum(torch.hypot(x[..., 0], x[..., 2] + slant * (-0.3 - x[..., 1])) - ROD, torch.maximum(x[..., 1], -0.85 - x[..., 1]))
    return torch.minimum(Sphere(0.4).sdf(x), below)


def photo(shape, size: int = 160) -> Views:
    """What a camera on +Z sees of a shape: silhouette and depth, by walking along the rays."""
    cameras = orbit_degrees([0.0], 0.0, 4.0, 40.0)
    origin, direction = (part.reshape(-1, 3) for part in cameras.rays(size, size))
    depth, hit = torch.full((len(origin),), 4.0), torch.zeros(len(origin), dtype=torch.bool)
    for place in torch.linspace(5.0, 3.0, 401):
        inside = shape(origin + place * direction) < 0
        depth, hit = torch.where(inside, place, depth), hit | inside
    mask = hit.float().reshape(1, size, size)
    return Views(cameras, torch.zeros(1, size, size, 3), mask, depth.reshape(1, size, size))


@pytest.fixture(scope="module")
def points() -> torch.Tensor:
    return volume_points(RESOLUTION).reshape(-1, 3)


def volume_of(shape, points: torch.Tensor) -> torch.Tensor:
    return shape(points).reshape((RESOLUTION,) * 3)


@pytest.mark.parametrize("slant", [0.0, 0.4])
def test_a_lost_rod_comes_back_where_the_photo_shows_it(points, slant):
    views = photo(lambda x: with_rod(x, slant))
    balls = lost_strands(volume_of(Sphere(0.4).sdf, points), views, 0.05, 0.01)
    assert balls is not None
    below = balls.centre[balls.centre[:, 1] < -0.5]
    assert float(below[:, 0].abs().max()) < 0.02 and float(balls.centre[:, 1].min()) < -0.8
    assert float((balls.radius - ROD).abs().max()) < 0.012
    # the ball's middle is deeper than its front by its radius, and where the rod joins is where it starts from
    assert float((below[:, 2] - slant * (-0.3 - below[:, 1]) * -1.0).abs().max()) < 0.12
    distance = ball_distance(balls)
    axis = torch.stack([torch.zeros(40), torch.linspace(-0.8, -0.3, 40), torch.zeros(40)], -1)
    if slant == 0.0:
        whole = torch.minimum(Sphere(0.4).sdf(axis), sample_volume(distance, axis))
        assert float(whole.max()) < 0, "the rod is broken"


def test_nothing_is_lost_of_a_solid_that_shows_its_silhouette(points):
    views = photo(with_rod)
    assert lost_strands(volume_of(with_rod, points), views, 0.05, 0.01) is None
    assert lost_strands(volume_of(Sphere(0.38).sdf, points), photo(Sphere(0.4).sdf), 0.05, 0.01) is None
    assert lost_strands(torch.ones((RESOLUTION,) * 3), views, 0.05, 0.01) is None


def apart_of(x: torch.Tensor) -> torch.Tensor:
    """The ball and what is left of the rod when a piece is cut out of it."""
    return torch.where((x[..., 1] < -0.38) & (x[..., 1] > -0.5), torch.ones_like(x[..., 0]), with_rod(x))


def test_what_has_come_off_counts_as_lost(points):
    apart = volume_of(apart_of, points)
    alone = large_parts(apart, 1.0)
    assert int((apart < 0).sum()) > int((alone < 0).sum()) > 0
    assert lost_strands(apart, photo(with_rod), 0.05, 0.01) is not None
    assert lost_strands(apart, photo(apart_of), 0.05, 0.01, whole=False) is None
    assert torch.equal(large_parts(alone, 1.0), alone)


def test_a_weight_that_hangs_on_a_lost_rod_stays(points):
    def weight(x):
        return Sphere(0.2).sdf(x - torch.tensor([0.0, -0.9, 0.0]))

    apart = volume_of(lambda x: torch.minimum(Sphere(0.4).sdf(x), weight(x)), points)
    assert torch.equal(large_parts(apart, 0.03), apart)
    balls = lost_strands(apart, photo(lambda x: torch.minimum(with_rod(x), weight(x))), 0.05, 0.01)
    assert balls is not None
    whole = torch.minimum(apart, ball_distance(balls))
    assert label((whole < 0).numpy())[1] == 1 < label((apart < 0).numpy())[1]


def test_a_strand_is_drawn_in_to_its_own_width():
    centre = torch.stack([torch.zeros(50), torch.linspace(-0.5, 0.5, 50), torch.zeros(50)], -1)
    balls = Balls(centre, torch.full((50,), 0.03), torch.full((50,), 0.01))
    angle = torch.rand(200, generator=torch.Generator().manual_seed(0)) * 6.28
    tube = torch.stack([0.03 * angle.cos(), torch.linspace(-0.4, 0.4, 200), 0.03 * angle.sin()], -1)
    thin = drawn_in(tube, balls, torch.ones(200))
    assert float((thin[:, [0, 2]].norm(dim=-1) - 0.01).abs().max()) < 0.001
    share = torch.linspace(0, 1, 200)
    part = drawn_in(tube, balls, share)
    assert torch.equal(part[0], tube[0]) and torch.allclose(part[-1], thin[-1], atol=1e-6)
    assert torch.equal(drawn_in(tube, balls, torch.zeros(200)), tube)
