"""Boxes and solids of revolution at full precision: exact distances, straight sides, parts that hang together with them."""

import math

import pytest
import torch
from scipy import ndimage

from img23d.ops.volume import volume_points
from img23d.priors import frame
from img23d.priors.exact_profile import TUBE, best_profile, exact_profile, smoothest
from img23d.priors.known_solid import FINER, KnownSolid, in_crop, known_on_grid
from img23d.priors.profile import at_points
from img23d.priors.revolution import HEIGHTS, RADII, REACH, WIDEST, Axis, Coverage
from img23d.priors.solid import SURE
from img23d.scene.cameras import orbit_degrees

UPRIGHT = Axis(0.0, 0.1, 4.0)
LOW, HIGH, RADIUS, WALL = -0.55, 0.5, 0.6, 0.1
ENDS = Coverage(1.0, LOW, HIGH)
SIZE = 64


def table(wobble: float = 0.0) -> torch.Tensor:
    """A cylinder as `largest_revolution` tells it, with wrong radii at every third height."""
    height = torch.linspace(-REACH, REACH, HEIGHTS)[:, None]
    radius = RADIUS + wobble * (torch.arange(HEIGHTS) % 3 - 1)[:, None]
    return torch.maximum(torch.maximum(height - HIGH, LOW - height), torch.linspace(0, WIDEST, RADII)[None] - radius)


def cylinder(height: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Exact signed distance of the capped cylinder in the half-plane."""
    along, across = torch.maximum(height - HIGH, LOW - height), radius - RADIUS
    return torch.hypot(along.clamp(min=0), across.clamp(min=0)) + torch.maximum(along, across).clamp(max=0)


def test_distances_of_a_cylinder_are_exact():
    profile = exact_profile(table(), UPRIGHT, ENDS)
    random = torch.Generator().manual_seed(3)
    points = torch.rand(2000, 3, generator=random) * 2 - 1
    radius = torch.hypot(points[:, 0] - 0.1, points[:, 2])
    true = cylinder(points[:, 1], radius)
    error = (at_points(profile, points) - true).abs()
    assert float(error.quantile(0.99)) < 0.007 and float(error.max()) < 0.02  # half a sample of the table; at its corners more
    assert (profile.low, profile.high) == (pytest.approx(LOW), pytest.approx(HIGH)) and profile.radius == pytest.approx(RADIUS, abs=0.01)


def test_the_inside_of_something_open_is_a_wall_away_from_its_outside():
    profile = exact_profile(table(), UPRIGHT, ENDS, WALL)

    def at(height: float, radius: float) -> float:
        return float(at_points(profile, torch.tensor([[0.1 + radius, height, 0.0]])))

    assert at(0.0, 0.0) > 0.3  # the cavity
    assert at(0.0, RADIUS - WALL / 2) == pytest.approx(-WALL / 2, abs=0.01)
    assert at(0.0, RADIUS - WALL) == pytest.approx(0.0, abs=0.01)
    assert at(LOW + WALL, 0.0) == pytest.approx(0.0, abs=0.01)
    assert at(HIGH - 0.01, 0.0) > 0 > at(HIGH - 0.02, RADIUS - WALL / 2)


def test_traces_of_pixels_are_no_furrows():
    profile = exact_profile(table(0.005), UPRIGHT, ENDS)
    height = torch.linspace(LOW + 0.15, HIGH - 0.15, 60)
    side = torch.stack([torch.full_like(height, 0.1 + RADIUS), height, torch.zeros_like(height)], -1)
    off = at_points(profile, side)
    assert float(off.std()) < 0.001 and float(off.abs().max()) < 0.005


def test_the_smoothest_line_stays_within_the_tube_and_keeps_steps():
    random = torch.Generator().manual_seed(0)
    stepped = 0.5 + 0.05 * (torch.linspace(0, 1, 120) > 0.7)
    noisy = stepped + 0.003 * torch.randn(120, generator=random)
    found = smoothest(noisy)
    assert float((found - noisy).abs().max()) <= TUBE + 1e-6
    assert float(torch.diff(found[:80], n=2).norm()) < 0.05 * float(torch.diff(noisy[:80], n=2).norm())
    assert float(found[90:].mean() - found[:80].mean()) == pytest.approx(0.05, abs=TUBE)
    assert torch.equal(smoothest(noisy[:2]), noisy[:2])


def test_the_profile_is_as_wide_as_the_silhouette():
    """What fits into an outline with notches is too narrow."""
    line = frame.pixel_axis(SIZE)
    away = UPRIGHT.distance
    wide = 1.025 * RADIUS * away / math.sqrt(away**2 - RADIUS**2)
    mask = ((line[None] - 0.1).abs() < wide) & (-line[:, None] < 0.57) & (-line[:, None] > -0.63)
    assert 1.01 * RADIUS < best_profile(mask.float(), table(), UPRIGHT, ENDS).radius < 1.04 * RADIUS


def test_points_of_the_object_are_found_in_the_crop():
    camera = orbit_degrees([0.0], 25.0, 3.0, 30.0)
    local, unit = in_crop(torch.tensor([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]]), camera)
    assert torch.allclose(local[0], torch.zeros(3), atol=1e-6)
    assert unit == pytest.approx(3.0 * math.tan(math.radians(15.0)))
    assert float(local[1, 0]) * unit == pytest.approx(0.2, abs=1e-6)
    up = in_crop(torch.tensor([[0.0, 0.3, 0.0]]), camera)[0][0] * unit
    assert up.tolist() == pytest.approx([0.0, 0.3 * math.cos(math.radians(25.0)), 0.3 * math.sin(math.radians(25.0))], abs=1e-6)


def test_a_known_solid_is_exact_and_its_handle_hangs_together_with_it():
    camera = orbit_degrees([0.0], 0.0, 4.0, 30.0)
    _, unit = in_crop(torch.zeros(1, 3), camera)
    ball = 0.5
    line = frame.pixel_axis(SIZE)
    bar = (line[None] > ball) & (line[None] < 0.8) & (line[:, None].abs() < 0.1)  # sticks out to the right
    known = KnownSolid(lambda points: points.norm(dim=-1) - ball, bar)
    alone, sure = known_on_grid(known._replace(parts=torch.zeros_like(bar)), camera, 40)
    points = volume_points(round(FINER * 40))
    assert alone.shape == (64, 64, 64) and bool((sure == SURE).all())
    assert torch.allclose(alone, points.norm(dim=-1) - ball * unit, atol=1e-5)
    coarse = volume_points(40)
    handle = (coarse.abs() - coarse.new_tensor([0.8, 0.1, 0.1]) * unit).amax(-1)  # the network has it going on to the left
    joined, trust = known_on_grid(known, camera, 40, (handle, torch.full_like(handle, 0.4)))
    assert ndimage.label((joined < 0).numpy())[1] == 1
    inside, left, far = joined < 0, points[..., 0] < -0.1, points[..., 0] > 0.65 * unit
    assert torch.equal(joined[left], alone[left])  # nothing of the guess but what sticks out
    assert bool((inside & far).any()) and float(trust[inside & far].max()) < 0.5 and float(trust[left].min()) == pytest.approx(SURE)
