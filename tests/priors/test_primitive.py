"""Boxes and solids of revolution: found again in their own silhouettes, refused where the photo shows something else."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from img23d.priors import frame
from img23d.priors.cuboid import Cuboid, cuboid_distance, find_cuboid
from img23d.priors.cuboid import outline as outline_of_box
from img23d.priors.embedded import Prediction
from img23d.priors.primitive import box_candidate, show_box, simplified
from img23d.priors.profile import PROFILE, Profile, rays_about, seen_along_rays, show, turned_profile
from img23d.priors.revolution import EXACT, REACH, WIDEST, Axis, Coverage, coverage, cylindrical, find_axis, largest_revolution, outline
from img23d.priors.shown import BINS, Candidate, Shown, fine_depths
from img23d.priors.solid import silhouette_distance
from img23d.priors.turned import BLURRED, JUDGED, nearest_told, turned_candidate, usual_wall, with_height

SIZE, THIN = 128, 0.06
CUP = Axis(math.radians(22.0), 0.0, 4.0)


def table_of(radius: float, low: float, high: float) -> torch.Tensor:
    """A cylinder as `largest_revolution` tells it: the distance of circles out of it."""
    height = torch.linspace(-REACH, REACH, 80)[:, None]
    return torch.maximum(torch.maximum(height - high, low - height), torch.linspace(0, WIDEST, 40)[None] - radius)


def cup(hollow: bool = True, axis: Axis = CUP) -> tuple[Profile, Shown]:
    profile = turned_profile(table_of(0.6, -0.55, 0.5), axis, Coverage(1.0, -0.55, 0.5), THIN if hollow else 0.0)
    return profile, show(profile, SIZE)


def soft(solid: Shown) -> torch.Tensor:
    """Coverage with an edge between pixels."""
    return torch.nn.functional.avg_pool2d(solid.solid[None].float(), 3, 1, 1)[0]


def told(shown: Shown, mask: torch.Tensor, elevation: float, fov: float) -> Prediction:
    """What a network that knows everything would say."""
    depths = frame.bin_depths()[:, None, None]
    front, back = (torch.nn.functional.avg_pool2d(layer[None], 2)[0] for layer in (shown.front, shown.back))
    sure = torch.full_like(mask, 0.8)
    return Prediction(
        mask=mask, front_depth=shown.front.clone(), back_depth=shown.back.clone(), depth_confidence=sure, back_depth_confidence=sure,
        normal=shown.normal, normal_confidence=sure, back_rgb=torch.full((SIZE, SIZE, 3), 0.5), back_confidence=sure,
        volume=(torch.maximum(front - depths, depths - back) / frame.TRUNCATION).clamp(-1, 1),
        depth_range=(-frame.DEPTH_RANGE, frame.DEPTH_RANGE), elevation=elevation, elevation_doubt=0.1, roll=0.0, fov=fov,
    )  # fmt: skip


def test_cylindrical_coordinates_agree_with_the_projection_of_circles():
    depths = torch.tensor([-0.3, 0.2])
    height, radius = cylindrical(CUP, 16, depths)
    line = frame.pixel_axis(16)
    grow = (CUP.distance + 0.2) / CUP.distance
    point = torch.tensor([float(line[5]) * grow, -float(line[9]) * grow, -0.2])
    up = CUP.directions(point)[0]
    assert float(height[1, 9, 5]) == pytest.approx(float(point @ up), abs=1e-6)
    assert float(radius[1, 9, 5]) == pytest.approx(float((point - (point @ up) * up).norm()), abs=1e-6)


@pytest.mark.parametrize("radius", [0.35, 0.6])
def test_the_largest_solid_in_a_cylinders_silhouette_has_its_radius(radius):
    shown = show(turned_profile(table_of(radius, -0.55, 0.5), CUP, Coverage(1.0, -0.55, 0.5)), SIZE)
    heights, radii = outline(largest_revolution(silhouette_distance(soft(shown)), CUP))
    middle = (heights > -0.3) & (heights < 0.3)
    assert float((radii[middle] - (radius - 0.008)).abs().max()) < 0.02


def test_the_axis_and_the_camera_are_found_again():
    axis = CUP._replace(x=0.1)
    mask = soft(cup(False, axis)[1])
    found, ends = find_axis(silhouette_distance(mask), mask, math.radians(16.0), 4.0, True)
    assert math.degrees(found.elevation) == pytest.approx(22.0, abs=5.0)
    assert found.x == pytest.approx(0.1, abs=0.03)
    assert ends.share > 0.97
    assert ends.low == pytest.approx(-0.55, abs=0.06) and ends.high == pytest.approx(0.5, abs=0.06)


def test_a_known_distance_is_kept():
    mask = soft(cup(False)[1])
    found, _ = find_axis(silhouette_distance(mask), mask, CUP.elevation, 3.0, True)
    assert found.distance == 3.0


def test_a_ball_keeps_its_round_ends():
    line = frame.pixel_axis(SIZE)
    mask = (0.5 - ((line[:, None] ** 2 + line[None] ** 2).sqrt() - 0.7) * SIZE / 2).clamp(0, 1)
    axis = Axis(math.radians(15.0), 0.0, 6.0)
    table = largest_revolution(silhouette_distance(mask), axis)
    profile = turned_profile(table, axis, coverage(table, axis, mask))
    rows = frame.pixel_axis(PROFILE) * REACH
    on_axis = profile.distance[:, PROFILE // 2]
    inside = rows[on_axis < 0]
    assert float(inside.max()) == pytest.approx(0.7, abs=0.06)
    shown = show(profile, SIZE)
    assert float(shown.front[SIZE // 2, SIZE // 2]) == pytest.approx(-0.7, abs=0.05)
    assert float(shown.solid.float().mean()) == pytest.approx(float(mask.mean()), rel=0.05)


def test_a_hollow_solid_has_a_cavity_a_wall_and_a_floor():
    profile, shown = cup()
    rows = frame.pixel_axis(PROFILE) * REACH

    def at(height: float, radius: float) -> float:
        return float(profile.distance[int((rows - height).abs().argmin()), int((rows - radius).abs().argmin())])

    assert at(0.2, 0.0) > 0.05 and at(0.49, 0.0) > 0.05  # empty to the top
    assert at(0.0, 0.6 - THIN / 2) < 0 and at(-0.52, 0.0) < 0
    assert at(-0.6, 0.0) > 0
    lid = cup(False)[1]
    deeper = (shown.front - lid.front)[(shown.solid & lid.solid)]
    assert float(deeper.max()) > 0.5  # the far wall is seen through the opening
    assert float(deeper.min()) > -0.02


def test_normals_point_at_the_camera_and_outwards():
    _, shown = cup(False)
    row = shown.normal[SIZE // 2 + 10]
    where = shown.solid[SIZE // 2 + 10]
    columns = frame.pixel_axis(SIZE)
    assert bool((row[where][:, 2] > -0.05).all())
    edge = where & (columns.abs() > 0.4)
    assert bool((row[edge][:, 0].sign() == columns[edge].sign()).all())


@cache
def found_cup(hollow: bool, thinnest: float) -> Candidate | None:
    """What a cup is told anew as when the network takes it to be seen from a little lower."""
    _, shown = cup(hollow)
    return turned_candidate(told(shown, soft(shown), math.radians(18.0), 2 * math.atan(1 / CUP.distance)), True, thinnest)


@cache
def found_dish(true: float, guess: float, thinnest: float) -> Candidate | None:
    """What a dish is told anew as that is seen from one elevation and which the network takes to be seen from another."""
    axis = Axis(math.radians(true), 0.0, 4.0)
    shown = show(turned_profile(table_of(0.8, -0.12, 0.12), axis, Coverage(1.0, -0.12, 0.12), JUDGED), SIZE)
    return turned_candidate(told(shown, soft(shown), math.radians(guess), 2 * math.atan(1 / axis.distance)), True, thinnest)


@pytest.mark.parametrize("hollow", [True, False])
def test_a_cup_is_told_anew_with_its_elevation_and_opening(hollow):
    _, shown = cup(hollow)
    found = found_cup(hollow, 0.0)
    assert found is not None and found.apart < 12
    assert math.degrees(found.elevation) == pytest.approx(22.0, abs=5.0)
    both = shown.solid & found.shown.solid
    error = (found.shown.front - shown.front)[both]
    assert float((error - error.median()).abs().mean()) < 0.1
    middle_of_the_top = error.new_zeros(SIZE, SIZE).masked_scatter(both, error - error.median())[32, SIZE // 2]
    assert float(middle_of_the_top.abs()) < 0.15  # an opening is no lid, and a lid no opening: they are .5 apart there
    assert found.volume.shape == (BINS, SIZE, SIZE)


@pytest.mark.parametrize("hollow", [True, False])
def test_where_the_inside_is_not_seen_the_networks_solid_tells_an_opening_from_a_lid(hollow):
    low = CUP._replace(elevation=math.radians(1.0))
    profile, shown = cup(hollow, low)
    assert float((shown.front - cup(not hollow, low)[1].front)[shown.solid].abs().mean()) < 0.02  # the photo cannot tell
    said = told(shown, soft(shown), low.elevation, 2 * math.atan(1 / CUP.distance))
    volume = seen_along_rays(profile, rays_about(low, said.volume.shape[-1], frame.bin_depths())) / frame.TRUNCATION
    found = turned_candidate(replace(said, volume=volume.clamp(-1, 1)), fov_known=True)
    assert found is not None
    rays = rays_about(low, SIZE, fine_depths(said))
    cavity = (seen_along_rays(cup(True, low)[0], rays) > 0.05) & (seen_along_rays(cup(False, low)[0], rays) < -0.05)
    assert float((found.volume[cavity] > 0).float().mean()) == pytest.approx(float(hollow), abs=0.2)


@pytest.mark.parametrize("elevation", [16.0, 28.0])
def test_the_normals_tell_a_shallow_dish_from_a_deep_one(elevation):
    """Much the same outline has a flat plate seen from above and a deeper one seen from lower; the outline alone does not know."""
    axis = Axis(math.radians(22.0), 0.0, 4.0)
    profile = turned_profile(table_of(0.8, -0.12, 0.12), axis, Coverage(1.0, -0.12, 0.12), THIN)
    shown = show(profile, SIZE)
    said = told(shown, soft(shown), math.radians(elevation), 2 * math.atan(1 / axis.distance))
    found = turned_candidate(said, fov_known=True, thinnest=THIN)
    assert found is not None and found.apart < 10
    assert math.degrees(found.elevation) == pytest.approx(22.0, abs=2.5)
    deep = shown.solid & found.shown.solid
    error = (found.shown.front - shown.front)[deep]
    assert float((error - error.median()).abs().mean()) < 0.04


@pytest.mark.parametrize(("true", "guess", "apart"), [(20.0, 18.0, 6.0), (26.0, 14.0, 2.6), (16.0, 28.0, 6.6)])
def test_the_last_steps_of_the_search_see_the_picture_in_full(true, guess, apart):
    """At half size alone they stop where the normals are 7.4, 3.8 and 8.1 degrees apart."""
    found = found_dish(true, guess, JUDGED)
    assert found is not None and found.apart < apart
    assert math.degrees(found.elevation) == pytest.approx(true, abs=1.0)


def test_where_the_outline_tells_no_elevation_the_networks_counts():
    """A ball looks alike from everywhere, a cup does not."""
    shown = cup(False)[1]
    line = frame.pixel_axis(SIZE)
    ball = torch.sigmoid((0.6 - torch.hypot(line[None], line[:, None])) * SIZE / 2)
    for mask, said, lowest, highest in ((ball, 30.0, 29.9, 30.1), (soft(shown), 60.0, 21.9, 30.0)):
        answer = told(shown, mask, math.radians(said), 2 * math.atan(1 / CUP.distance))
        outside = silhouette_distance(mask)
        share = coverage(largest_revolution(outside, CUP), CUP, mask, EXACT).share
        found = nearest_told(answer, outside, CUP, share)
        assert lowest < math.degrees(found.elevation) < highest
        assert found._replace(elevation=CUP.elevation) == CUP


def test_how_thick_walls_shall_be_decides_nothing_but_that():
    thin, usual = (found_dish(20.0, 18.0, thinnest) for thinnest in (0.03, 0.12))
    assert thin is not None and usual is not None
    assert (thin.elevation, thin.distance, thin.apart) == (usual.elevation, usual.distance, usual.apart)
    assert int((thin.volume < 0).sum()) < 0.9 * int((usual.volume < 0).sum())


def test_plates_are_thinner_than_cups_of_their_size():
    thinnest, mug = 0.07, cup()[0]
    plate = mug._replace(low=-0.1, high=0.1)
    assert usual_wall(mug, thinnest) == pytest.approx(thinnest) and usual_wall(plate, thinnest) == pytest.approx(0.04)
    wide = [profile._replace(radius=2.0, low=3 * profile.low, high=3 * profile.high) for profile in (mug, plate)]
    assert [usual_wall(profile, thinnest) for profile in wide] == pytest.approx([0.14, 0.1])


def test_a_hollow_wall_is_as_thick_as_asked():
    thicknesses = []
    for thinnest in (0.0, 0.15):
        found = found_cup(True, thinnest)
        assert found is not None
        rim = found.shown.back - found.shown.front  # above the near rim only the far wall is met
        thicknesses.append(float(torch.quantile(rim[found.shown.solid], 0.05)))
    assert thicknesses[1] > thicknesses[0] + 0.03


def test_what_sticks_out_is_kept_and_joined():
    _, shown = cup(False)
    mask = soft(shown)
    line = frame.pixel_axis(SIZE)
    handle = (line[None] > 0.5) & (line[None] < 0.8) & (line[:, None].abs() < 0.12) & ~shown.solid
    mask = torch.where(handle, torch.ones_like(mask), mask)
    said = told(shown, mask, CUP.elevation, 2 * math.atan(1 / CUP.distance))
    away = 0.4  # the network has the handle too far away
    said.front_depth[handle], said.back_depth[handle] = away - 0.1, away + 0.1
    depths = frame.bin_depths()[:, None, None]
    small = torch.nn.functional.max_pool2d(handle[None].float(), 2)[0] > 0
    slab = ((depths - away).abs() - 0.1).expand_as(said.volume) / frame.TRUNCATION
    said.volume[:] = torch.where(small, slab.clamp(-1, 1), said.volume)
    found = simplified(said, fov_known=True)
    assert found is not said
    assert float(found.volume.abs().max()) <= 1.0
    middle = (found.front_depth + found.back_depth)[handle] / 2
    edge = shown.solid & torch.nn.functional.max_pool2d(handle[None].float(), 3, 1, 1)[0].bool()
    assert float(middle.mean()) == pytest.approx(float((shown.front + shown.back)[edge].mean() / 2), abs=0.1)
    column, row = int((line - 0.7).abs().argmin()) // 2, SIZE // 4
    assert float(found.volume[:, row, column].min()) < 0


def test_a_rectangle_with_the_normals_of_a_flat_front_is_no_cylinder():
    line = frame.pixel_axis(SIZE)
    mask = ((line[:, None].abs() < 0.8) & (line[None].abs() < 0.5)).float()
    flat = torch.zeros(SIZE, SIZE, 3)
    flat[..., 2] = 1.0
    box = Shown(torch.full_like(mask, -0.4), torch.full_like(mask, 0.4), mask > 0.5, flat)
    assert turned_candidate(told(box, mask, math.radians(3.0), 0.3), fov_known=False) is None


def test_a_slender_cross_is_no_simple_solid():
    line = frame.pixel_axis(SIZE)
    mask = torch.maximum((line[:, None].abs() < 0.1) & (line[None].abs() < 0.8), (line[:, None].abs() < 0.8) & (line[None].abs() < 0.1))
    mask = torch.roll(mask.float(), (10, 20), (0, 1))
    said = told(cup(False)[1], mask, 0.2, 0.3)
    assert simplified(said, fov_known=False) is said


BOX = Cuboid((0.02, -0.03), (0.5, 0.6, 0.25), math.radians(35.0), math.radians(20.0), 3.5)


def test_distances_of_a_box_are_exact_and_their_gradient_is_a_unit_normal():
    points = torch.tensor([[0.02, -0.03, 0.0]], dtype=torch.float64)
    assert float(cuboid_distance(BOX, points, 0.0)[0]) == pytest.approx(-0.25)
    corner = torch.from_numpy(BOX.corners()[:1])
    outwards = (corner - points) / (corner - points).norm()
    assert float(cuboid_distance(BOX, corner, 0.0)[0]) == pytest.approx(0.0, abs=1e-9)
    away = corner + 0.3 * outwards
    assert 0.2 < float(cuboid_distance(BOX, away, 0.0)[0]) <= 0.3
    step = 1e-5
    moved = torch.cat([away + step * axis for axis in torch.eye(3, dtype=torch.float64)])
    slope = (cuboid_distance(BOX, moved, 0.0)[0] - cuboid_distance(BOX, away, 0.0)[0]) / step
    assert torch.allclose(slope, cuboid_distance(BOX, away, 0.0)[1][0], atol=1e-4)


def test_the_outline_of_a_box_is_where_its_rays_enter():
    shown = show_box(BOX, SIZE)
    covered = torch.from_numpy(outline_of_box(BOX, BOX.corners())) > 0.5
    seen = torch.nn.functional.avg_pool2d(shown.solid[None].float(), 2)[0] > 0.5
    assert float((covered != seen).float().mean()) < 0.02


def test_a_box_is_found_again():
    mask = torch.nn.functional.interpolate(torch.from_numpy(outline_of_box(BOX, BOX.corners())).float()[None, None], scale_factor=2.0)[0, 0]
    found, overlap = find_cuboid(mask, math.radians(27.0), 3.0, False, 1.0)
    assert overlap > 0.97
    assert math.degrees(found.elevation) == pytest.approx(20.0, abs=6.0)
    true = cuboid_distance(BOX, frame.ray_points(BOX.distance, 32, torch.linspace(-1, 1, 32)), 0.0)[0] < 0
    ours = cuboid_distance(found, frame.ray_points(BOX.distance, 32, torch.linspace(-1, 1, 32)), 0.0)[0] < 0
    assert float((true & ours).sum() / (true | ours).sum()) > 0.8


@pytest.mark.parametrize(("turn", "half", "elevation", "distance", "guess", "least"), [
    (0.6, (0.42, 0.75, 0.28), 15.0, 4.3, 18.0, 0.98), (0.9, (0.5, 0.6, 0.3), 12.0, 4.5, 11.0, 0.97),
])  # fmt: skip
def test_the_search_for_a_box_does_not_stop_on_the_way(turn, half, elevation, distance, guess, least):
    """From these guesses a single descent ends at overlaps of .977 and .964."""
    box = Cuboid((0.0, 0.0), half, turn, math.radians(elevation), distance)
    shown = torch.from_numpy(outline_of_box(box, box.corners())).float()
    mask = torch.nn.functional.interpolate(shown[None, None], scale_factor=2.0, mode="bilinear")[0, 0]
    depth = 0.95 * (box.corners()[:, 2].max() - box.corners()[:, 2].min())
    found, overlap = find_cuboid(mask, math.radians(guess), 3.4, False, float(depth))
    assert overlap > least and found.half == pytest.approx(half, abs=0.04)


def test_a_box_is_found_from_a_poor_guess():
    """A simplex alone ends at an overlap of .968, at a box that shares half of its volume with the true one."""
    box = Cuboid((0.0, 0.0), (0.52, 0.58, 0.18), math.radians(73.0), math.radians(19.0), 3.0)
    mask = torch.nn.functional.interpolate(torch.from_numpy(outline_of_box(box, box.corners())).float()[None, None], scale_factor=2.0)[0, 0]
    depth = 0.8 * float(box.corners()[:, 2].max() - box.corners()[:, 2].min())
    found, overlap = find_cuboid(mask, math.radians(14.0), 2.6, False, depth)
    points = frame.ray_points(box.distance, 32, torch.linspace(-1, 1, 32))
    true, ours = (cuboid_distance(solid, points, 0.0)[0] < 0 for solid in (box, found))
    assert overlap > 0.998
    assert float((true & ours).sum() / (true | ours).sum()) > 0.95


def test_a_box_takes_the_place_of_the_networks_bulging_one():
    shown = show_box(BOX, SIZE)
    mask = shown.solid.float()
    said = told(shown, mask, BOX.elevation, 2 * math.atan(1 / BOX.distance))
    said.front_depth[:] = shown.front + 0.2 * (frame.pixel_axis(SIZE)[None] ** 2 - 0.2)
    found = simplified(said, fov_known=True)
    assert found is not said
    error = (found.front_depth - shown.front)[mask > 0.5]
    assert float((error - error.median()).abs().mean()) < 0.04
    known = box_candidate(said, True)
    assert known is not None and known.distance == pytest.approx(BOX.distance)


def test_a_ball_is_no_box():
    line = frame.pixel_axis(SIZE)
    mask = ((line[:, None] ** 2 + line[None] ** 2) < 0.6).float()
    assert box_candidate(told(cup(False)[1], mask, 0.2, 0.3), fov_known=False) is None


@pytest.mark.parametrize("height", [0.05, 0.12])
def test_a_disc_seen_from_above_is_as_high_as_its_outline_could_not_show(height):
    """Its outline is the rim's alone: cut off as far as that shows nothing else, nothing or a sheet would be left of it."""
    above = Axis(math.radians(76.0), 0.0, 4.0)
    disc = turned_profile(table_of(0.7, 0.0, height), above, Coverage(1.0, 0.0, height))
    shown = show(disc, SIZE)
    mask = soft(shown)
    said = told(shown, mask, above.elevation, 2 * math.atan(1 / above.distance))
    said = replace(said, back_depth=said.back_depth + 0.8)  # whatever the network makes of what is below
    hidden, clear = Coverage(1.0, 0.2, 0.21), Coverage(1.0, -0.4, 0.21)
    assert with_height(hidden, above).low == pytest.approx(0.21 - BLURRED / math.cos(above.elevation))
    assert with_height(hidden, CUP._replace(elevation=0.0)).low == pytest.approx(0.21 - JUDGED)
    assert with_height(clear, above) == clear
    found = turned_candidate(said, True)
    assert found is not None
    assert float(found.shown.solid.float().sum()) > 0.9 * float((mask > 0.5).sum())
    points = above.directions(mask)[0] * torch.linspace(-0.6, 0.6, 241)[:, None]
    inside = (found.solid(points) < 0).float().sum() * (1.2 / 240)
    assert JUDGED - 0.01 < float(inside) < height + 2 * 2 / SIZE / math.cos(above.elevation)  # a pixel at either end
