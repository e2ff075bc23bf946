"""Hulls of silhouettes that are known exactly, and cameras that are found again by them."""

from dataclasses import replace

import pytest
import torch

from img23d.errors import FitError
from img23d.ops.render import render
from img23d.ops.volume import volume_points
from img23d.priors import hull
from img23d.priors.hull import APART, FLOOR, WRONG, agreeing, filling, floor_of, hull_at, hull_prior
from img23d.scene import Cameras, Mesh, Views
from img23d.scene.cameras import orbit_degrees

AROUND = [45.0 * number for number in range(8)]


@pytest.fixture
def coarse(monkeypatch):
    """Hulls of fewer samples than users get."""
    for name, count in (("GRID", 30), ("LOOK", 32), ("SAMPLES", 30)):
        monkeypatch.setattr(hull, name, count)


def box_mesh(half=(0.6, 0.3, 0.4)):
    """A box with a smaller one on one end of its top: no two sides of it look alike."""

    def box(low, high, first):
        corner = torch.tensor([[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
        return corner, torch.tensor([[q[a] for a in t] for q in quads for t in ((0, 1, 2), (0, 2, 3))]) + first

    x, y, z = half
    one, faces = box((-x, -y, -z), (x, y, z), 0)
    two, more = box((0.2 * x, y, -z), (x, y + 0.35, 0.1), 8)
    return Mesh(torch.cat([one, two]), torch.cat([faces, more]))


def seen(context, mesh, azimuths, elevation, distance=3.6, fov=34.0, size=96):
    return render(mesh, orbit_degrees(azimuths, elevation, distance, fov), size, size, context.rasterizer).views


def photo_and_drawn(context, mesh, elevation=25.0):
    whole = seen(context, mesh, AROUND, elevation)
    maps = {name: getattr(whole, name) for name in ("rgb", "mask", "depth", "normal")}
    first, rest = ({name: value[part] for name, value in maps.items()} for part in (slice(0, 1), slice(1, None)))
    return Views(whole.cameras[:1], **first), Views(whole.cameras[1:], **rest)


def test_the_hull_of_a_ball_is_a_ball(ball):
    cameras = orbit_degrees([*AROUND, 0.0, 180.0], [0.0] * 8 + [70.0, -70.0], 2.4, 40.0)
    views = ball.views(96, cameras)
    photo, drawn = (
        Views(views.cameras[part], views.rgb[part], views.mask[part], views.depth[part]) for part in (slice(0, 1), slice(1, None))
    )
    points = torch.nn.functional.normalize(torch.randn(400, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert float((hull_at(photo, drawn, 0.55 * points) < 0).float().mean()) > 0.99  # all of the ball is in it
    assert float((hull_at(photo, drawn, 0.85 * points) > 0).float().mean()) > 0.9  # and little else
    distance = hull_at(photo, drawn, torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    assert float(distance[0]) == pytest.approx(0.3, abs=0.05) and float(distance[1]) == pytest.approx(-0.6, abs=0.05)


def test_a_drawn_silhouette_in_four_may_be_wrong_but_not_the_photos(context):
    photo, drawn = photo_and_drawn(context, box_mesh())
    middle = torch.tensor([[0.0, 0.0, 0.0], [0.45, -0.2, 0.3]])
    torn = drawn.mask.clone()
    torn[2] = 0.0
    assert len(torn) // WRONG == 1
    assert (hull_at(photo, replace(drawn, mask=torn), middle) < 0).all()
    torn[5] = 0.0
    assert (hull_at(photo, replace(drawn, mask=torn), middle) > 0).all()
    assert (hull_at(replace(photo, mask=torch.zeros_like(photo.mask)), drawn, middle) > 0).all()


def test_cameras_are_found_by_which_the_silhouettes_agree(context, coarse):
    photo, drawn = photo_and_drawn(context, box_mesh(), elevation=25.0)
    right = agreeing(photo, drawn)[2]
    # 15 degrees too low, and all that was drawn lies off its middle by a thirtieth of the picture
    low = seen(context, box_mesh(), AROUND, 10.0).cameras
    shift = torch.tensor([-0.03, 0.02])
    off = Cameras(low.cam_to_world[1:], low.focal[1:], low.center[1:])
    moved = torch.nn.functional.affine_grid(
        torch.tensor([[[1.0, 0.0, 2 * float(shift[0])], [0.0, 1.0, 2 * float(shift[1])]]]).expand(7, -1, -1), (7, 1, 96, 96), False
    )
    mask = torch.nn.functional.grid_sample(drawn.mask[:, None], moved, align_corners=False)[:, 0]
    found, others, share = agreeing(replace(photo, cameras=low[:1]), replace(drawn, cameras=off, mask=mask))
    position = found.cameras.position[0]
    elevation = float(torch.rad2deg(torch.asin(position[1] / position.norm())))
    assert elevation == pytest.approx(25.0, abs=6.0)
    assert share > right - 0.04 > 0.9
    torch.testing.assert_close(others.cameras.center, 0.5 - shift.expand(7, -1), atol=0.02, rtol=0)


def test_what_a_moved_camera_sees_is_as_it_was(context, coarse):
    mesh = box_mesh()
    photo, drawn = photo_and_drawn(context, mesh, 25.0)
    wrong = seen(context, mesh, [0.0], 10.0)
    given = replace(photo, cameras=wrong.cameras)
    found, _, _ = agreeing(given, drawn)
    local = photo.normal[0] @ given.cameras.cam_to_world[0, :3, :3]
    torch.testing.assert_close(found.normal[0] @ found.cameras.cam_to_world[0, :3, :3], local, atol=1e-5, rtol=0)
    inside = photo.mask[0] > 0.99
    away = float(found.cameras.position.norm() - given.cameras.position.norm())
    torch.testing.assert_close(found.depth[0][inside] - photo.depth[0][inside], torch.full((int(inside.sum()),), away), atol=1e-5, rtol=0)


def test_the_hull_fills_the_cube_and_is_seen_as_before(context):
    mesh = box_mesh()
    small = Mesh(mesh.vertices * 0.5 + torch.tensor([0.1, -0.05, 0.08]), mesh.faces)
    photo, drawn = photo_and_drawn(context, small)
    placed, others, _ = filling(photo, drawn)
    prior = hull_prior(known(ball_prior_like=32), placed, others)
    inside = torch.nonzero(prior.sdf < 0).float() / 31 * 2 - 1
    assert float(inside.abs().max()) == pytest.approx(0.93, abs=0.08)
    # the same points, in the new frame, fall on the same pixels, at depths that grew with them
    scale = placed.depth[0][placed.mask[0] > 0.99].mean() / photo.depth[0][photo.mask[0] > 0.99].mean()
    position = photo.cameras.position[0] * scale - placed.cameras.position[0]  # where the old origin's middle went
    points = small.vertices * scale - position
    torch.testing.assert_close(placed.cameras.project(points)[0, :, :2], photo.cameras.project(small.vertices)[0, :, :2], atol=1e-4, rtol=0)


def known(ball_prior_like):
    from img23d.scene import ShapePrior

    volume = torch.ones(ball_prior_like, ball_prior_like, ball_prior_like)
    return ShapePrior(volume, volume, torch.zeros(8, 8, 3), torch.zeros(8, 8))


def test_no_cone_is_left_under_what_is_seen_from_above(context):
    mesh = box_mesh()
    photo, drawn = photo_and_drawn(context, mesh, 40.0)
    points = volume_points(40).reshape(-1, 3)
    half = torch.tensor([0.6, 0.3, 0.4])
    solid = replace(known(40), sdf=(points.abs() - half).amax(-1).reshape(40, 40, 40))  # the larger box; its ground is at -0.3
    floor = floor_of(solid, photo.cameras, photo.cameras)
    assert floor == pytest.approx(-0.3 - FLOOR, abs=0.04)
    free, cut = (hull_prior(solid, photo, drawn, ground).sdf for ground in (-9.0, floor))
    under = (points[:, 1] < -0.45).reshape(free.shape)
    assert int((free[under] < 0).sum()) > 20 and not bool((cut[under] < 0).any())
    above = (points[:, 1] > floor + 0.05).reshape(free.shape)
    assert torch.equal((free < 0)[above], (cut < 0)[above])
    tilted = orbit_degrees([0.0], 25.0, 3.6, 34.0)
    assert floor_of(solid, photo.cameras, tilted) != pytest.approx(floor, abs=0.02)


def test_the_photos_depth_takes_away_what_silhouettes_cannot(context):
    photo, drawn = photo_and_drawn(context, box_mesh())
    dented = replace(photo, depth=torch.where(photo.mask > 0.99, photo.depth + 0.4, photo.depth))
    full, hollow = (hull_prior(known(40), view, drawn) for view in (photo, dented))
    assert int((full.sdf < 0).sum()) > int((hollow.sdf < 0).sum()) > 0


def test_silhouettes_that_have_nothing_in_common_are_no_solid(context):
    photo, drawn = photo_and_drawn(context, box_mesh())
    with pytest.raises(FitError, match="do not agree"):
        filling(photo, replace(drawn, mask=torch.zeros_like(drawn.mask)))


def test_a_photos_height_is_found_by_drawn_views_whose_own_is_known(context, coarse):
    maps = seen(context, box_mesh(), [22.5 * number for number in range(16)], 30.0)
    drawn, photo = Views(maps.cameras, maps.rgb, maps.mask), photo_and_drawn(context, box_mesh(), elevation=25.0)[0]
    wrong = replace(photo, cameras=seen(context, box_mesh(), [0.0], 35.0).cameras)
    moved, others, share = agreeing(wrong, drawn, APART)
    height = float(torch.rad2deg(torch.asin(moved.cameras.position[0, 1] / moved.cameras.position[0].norm())))
    assert height == pytest.approx(25.0, abs=4.0) and share > 0.94
    torch.testing.assert_close(others.cameras.cam_to_world, drawn.cameras.cam_to_world)
