"""A mesh as splats: on its surface, in its colours, and closer to its pictures after the fit."""

import math

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.backends.splat_numba import composite
from img23d.fields.gaussians import Gaussians
from img23d.ops.splat import rotation_matrices
from img23d.scene import Mesh, TexturedMesh
from img23d.scene.cameras import orbit_degrees
from img23d.stages.splats import SIGHTS, Splatting, all_sides, flat_on, on, pictures_of, splats_of, visible, window

RASTERIZER = choose_rasterizer("numba")
SMALL = Splatting(count=400, steps=100, views=8, size=64, window=48)


def ball(radius=1.0, shift=(0.0, 0.0, 0.0)) -> TexturedMesh:
    """A sphere, its texture laid on from the front and the back: two wide stripes with a soft edge."""
    made = trimesh.creation.icosphere(subdivisions=3)
    vertices = torch.tensor(made.vertices, dtype=torch.float32)
    mesh = Mesh(vertices * radius + torch.tensor(shift), torch.tensor(made.faces, dtype=torch.int64))
    stripes = ((torch.arange(64) - 31.5) / 4).sigmoid()
    texture = torch.stack([stripes[None].expand(64, 64), stripes[:, None].expand(64, 64), torch.full((64, 64), 0.3)], -1)
    return TexturedMesh(mesh, vertices[:, :2] * torch.tensor([0.5, -0.5]) + 0.5, mesh.faces, texture)


def error(cloud: Gaussians, asset: TexturedMesh, first: float = 0.2) -> float:
    """Mean square difference to the mesh's pictures from sides that the fit has not seen, before grey."""
    cameras, grey = all_sides(5, first), torch.tensor([0.5, 0.5, 0.5])
    truth = pictures_of(asset, cameras, 64, RASTERIZER)
    picture = on(grey, *cloud.draw(cameras, 64, 64, composite))
    return float((picture - on(grey, truth.rgb, truth.mask)).square().mean())


def test_fresh_gaussians_lie_flat_on_the_surface_in_its_colours():
    asset = ball()
    cloud = flat_on(asset, 400)
    assert len(cloud) == 400
    outward = torch.nn.functional.normalize(cloud.points, dim=1)
    assert cloud.points.norm(dim=1).min() > 0.98
    thin = rotation_matrices(cloud.rotations)[:, :, cloud.log_scales[0].argmin()]
    assert (thin * outward).sum(1).abs().min() > 0.97, "the short axis is the normal"
    spacing = math.sqrt(4 * math.pi / 400)
    assert cloud.scales[:, 0].median() == pytest.approx(0.6 * spacing, rel=0.25)
    assert torch.allclose(cloud.rgb[:, 0], (cloud.points[:, 0] * 8).sigmoid(), atol=0.05)
    assert torch.allclose(cloud.rgb[:, 1], (cloud.points[:, 1] * -8).sigmoid(), atol=0.05)


def test_the_fit_brings_the_cloud_closer_to_the_mesh_from_sides_it_has_not_seen():
    asset, told = ball(), []
    before, after = flat_on(asset, SMALL.count), splats_of(asset, SMALL, RASTERIZER, lambda part, text: told.append(part))
    assert error(after, asset) < 0.8 * error(before, asset)
    assert error(after, asset) < error(after, ball(0.9)) / 2, "the measure sees another size"
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1
    distance = (after.points.norm(dim=1) - 1).abs()
    assert distance.max() < 0.1, "none floats about"


def test_a_cloud_is_where_its_mesh_is_and_the_same_every_time():
    quick = Splatting(count=200, steps=4, views=2, size=48, window=32)
    first, again = (splats_of(ball(), quick, RASTERIZER) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(vars(first).values(), vars(again).values()))
    moved = splats_of(ball(20.0, (5.0, 7.0, -3.0)), quick, RASTERIZER)
    assert (moved.points.amax(0) + moved.points.amin(0)).tolist() == pytest.approx([10, 14, -6], abs=3)
    assert float(moved.scales.median() / first.scales.median()) == pytest.approx(20, rel=0.1)


def test_what_no_view_shows_is_left_out():
    """A ball within a ball: only the outer one is written."""
    outer, inner = ball(), ball(0.5)
    count = len(outer.mesh.vertices)
    both = TexturedMesh(
        Mesh(torch.cat([outer.mesh.vertices, inner.mesh.vertices]), torch.cat([outer.mesh.faces, inner.mesh.faces + count])),
        torch.cat([outer.uv, inner.uv]), torch.cat([outer.uv_faces, inner.uv_faces + count]), outer.base_color,
    )  # fmt: skip
    cloud = splats_of(both, Splatting(count=1000, steps=2, views=6, size=48, window=48), RASTERIZER)
    fresh = flat_on(both, 1000)
    assert int((fresh.points.norm(dim=1) < 0.6).sum()) > 150
    assert cloud.points.norm(dim=1).min() > 0.8
    assert 950 <= len(cloud) <= 1000, "the share of the inner ball goes to the outer one"


def test_the_floor_of_a_deep_cup_is_seen():
    """It shows only to eyes within 18 degrees of the axis."""
    wall = trimesh.creation.annulus(0.5, 0.6, 1.6)
    floor = trimesh.creation.cylinder(0.55, 0.05)
    floor.apply_translation((0, 0, -0.7))
    made = trimesh.util.concatenate([wall, floor])
    made.apply_transform(trimesh.transformations.rotation_matrix(0.7, (1, 0.3, 0)))
    mesh = Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))
    middle = torch.tensor(
        trimesh.transform_points([[0.1, 0, -0.675], [0, 0, -0.7]], trimesh.transformations.rotation_matrix(0.7, (1, 0.3, 0)))
    )
    assert visible(middle.float(), mesh, all_sides(SIGHTS), RASTERIZER).tolist() == [True, False], "its top, and not its inside"


def test_a_window_is_a_part_of_the_picture():
    cloud, camera = flat_on(ball(), 300), orbit_degrees([25.0], 10.0, 3.2, 40.0)
    whole = cloud.draw(camera, 60, 60)
    part = cloud.draw(window(camera, 60, 21, 8, 32), 32, 32)
    assert torch.allclose(part[0][0], whole[0][0, 8:40, 21:53], atol=2e-3)
    assert torch.allclose(part[1][0], whole[1][0, 8:40, 21:53], atol=2e-3)


def test_cameras_look_from_all_sides():
    positions = torch.nn.functional.normalize(all_sides(24).position, dim=1)
    ways = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    assert (ways @ positions.T).amax(1).min() > math.cos(math.radians(35))
