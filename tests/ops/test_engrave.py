"""Relief raised from normals: heights are integrated as they should be, what is not seen stays, thin walls are not pierced."""

from __future__ import annotations

import math

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops.engrave import engrave, integrated
from img23d.ops.normals import unit
from img23d.ops.render import render
from img23d.ops.thickness import thickness
from img23d.ops.topology import is_closed_manifold
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees

RASTERIZER, CAMERA, SIZE, RADIUS = choose_rasterizer("auto"), orbit_degrees([0.0], 10.0, 3.0, 40.0), 256, 0.8


def ball() -> Mesh:
    made = trimesh.creation.icosphere(6, RADIUS)
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def ball_sdf(points: torch.Tensor) -> torch.Tensor:
    return points.norm(dim=-1) - RADIUS


def waves(points: torch.Tensor) -> torch.Tensor:
    return 0.02 * torch.sin(14 * points[:, 0]) * torch.cos(10 * points[:, 1])


def seen(mesh: Mesh) -> Views:
    views = render(mesh, CAMERA, SIZE, SIZE, RASTERIZER).views
    return Views(CAMERA, views.rgb, views.mask, views.depth, views.normal, (views.mask > 0.9).float())


def angle(mesh: Mesh, views: Views) -> float:
    """Mean angle between a mesh's normals and those of views, well inside the silhouette."""
    ours = render(mesh, CAMERA, SIZE, SIZE, RASTERIZER).views
    inner = (ours.mask[0] > 0.9) & (views.mask[0] > 0.9)
    cosine = (unit(ours.normal[0], -1) * unit(views.normal[0], -1)).sum(-1).clamp(-1, 1)
    return float(torch.rad2deg(torch.arccos(cosine))[inner].mean())


@pytest.fixture(scope="module")
def raised() -> tuple[Mesh, Views, Mesh]:
    """A ball, pictures of it with waves, and the ball after them."""
    plain = ball()
    wavy = Mesh(plain.vertices + waves(plain.vertices)[:, None] * unit(plain.vertices, -1), plain.faces)
    views = seen(wavy)
    return plain, views, engrave(plain, views, ball_sdf, RASTERIZER)


def test_the_height_of_waves_is_found_from_their_slopes():
    axis = (torch.arange(96) + 0.5) / 96 * 2 - 1
    x, y = axis[None, :].expand(96, 96), -axis[:, None].expand(96, 96)
    height, places = 0.03 * torch.sin(9 * x) * torch.cos(7 * y), torch.stack([x, y, torch.zeros_like(x)], -1)
    slope = torch.stack([0.27 * torch.cos(9 * x) * torch.cos(7 * y), -0.21 * torch.sin(9 * x) * torch.sin(7 * y), torch.zeros_like(x)], -1)
    found, whole = integrated(-slope, places, torch.ones(96, 96), 200.0)
    off = (found - found.mean()) - (height - height.mean())
    assert float(off.abs().max()) < 0.03 * float(height.abs().max())
    assert whole.all()


def test_heights_do_not_go_on_across_a_tear():
    line = torch.linspace(-1, 1, 64)
    places = torch.stack([line[None, :].expand(64, 64), line[:, None].expand(64, 64), torch.zeros(64, 64)], -1)
    places[:, 32:, 2] = 1.0
    change = torch.zeros(64, 64, 3)
    change[:, :32, 0] = -0.2
    found, whole = integrated(change, places, torch.ones(64, 64), 30.0)
    assert float(found[:, :32].std()) > 0.02 and float(found[:, 32:].abs().max()) < 1e-6
    assert not whole[:, 31].any() and not whole[:, 32].any() and whole[:, 30].all()


def test_waves_that_the_normals_show_are_raised(raised):
    plain, views, after = raised
    assert angle(plain, views) > 8 and angle(after, views) < 0.55 * angle(plain, views)
    moved = ((after.vertices - plain.vertices) * unit(plain.vertices, -1)).sum(-1)
    middle = plain.vertices[:, 2] > 0.55
    assert float(torch.corrcoef(torch.stack([moved[middle], waves(plain.vertices)[middle]]))[0, 1]) > 0.9
    assert is_closed_manifold(after)


def test_what_the_photo_does_not_see_has_not_moved(raised):
    plain, _, after = raised
    behind = plain.vertices[:, 2] < -0.05
    assert torch.equal(plain.vertices[behind], after.vertices[behind])


def test_normals_like_the_meshs_own_raise_nothing():
    plain = ball()
    after = engrave(plain, seen(plain), ball_sdf, RASTERIZER)
    assert float((after.vertices - plain.vertices).norm(dim=-1).max()) < 2e-3


def test_less_strength_raises_less(raised):
    plain, views, after = raised
    faint = engrave(plain, views, ball_sdf, RASTERIZER, strength=0.3)
    assert float((faint.vertices - plain.vertices).norm(dim=-1).mean()) < 0.6 * float((after.vertices - plain.vertices).norm(dim=-1).mean())


def test_where_normals_are_not_known_nothing_is_raised(raised):
    plain, views, _ = raised
    unknown = Views(CAMERA, views.rgb, views.mask, views.depth, views.normal, torch.zeros_like(views.mask))
    assert torch.equal(engrave(plain, unknown, ball_sdf, RASTERIZER).vertices, plain.vertices)
    empty = Views(CAMERA, views.rgb, torch.zeros_like(views.mask), views.depth, views.normal, views.confidence)
    assert torch.equal(engrave(plain, empty, ball_sdf, RASTERIZER).vertices, plain.vertices)
    half = Views(CAMERA, views.rgb, views.mask, views.depth, views.normal, views.confidence * (torch.arange(SIZE) < SIZE // 2))
    moved = (engrave(plain, half, ball_sdf, RASTERIZER).vertices - plain.vertices).norm(dim=-1)
    front = plain.vertices[:, 2] > 0.5
    assert float(moved[front & (plain.vertices[:, 0] < -0.2)].mean()) > 0.002
    assert float(moved[front & (plain.vertices[:, 0] > 0.2)].max()) < 1e-3


def test_thin_plates_are_not_pierced():
    half = 0.01
    made = trimesh.creation.box((1.2, 1.2, 2 * half)).subdivide_to_size(0.02)
    plate = Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))

    def sdf(points):
        return (points.abs() - torch.tensor([0.6, 0.6, half])).amax(-1)

    views = seen(plate)
    tilt = 0.5 * torch.sin(torch.arange(SIZE) / SIZE * math.tau * 6)[None, None, :, None] * torch.tensor([1.0, 0.0, 0.0])
    views = Views(CAMERA, views.rgb, views.mask, views.depth, unit(views.normal + tilt, -1), views.confidence)
    after = engrave(plate, views, sdf, RASTERIZER)
    front = (plate.vertices[:, 2] > 0.9 * half) & (plate.vertices[:, :2].abs().amax(-1) < 0.5)
    assert float(after.vertices[front, 2].min()) > 0.0 and float(after.vertices[front, 2].max()) > half + 0.005


def test_thickness_is_twice_the_way_to_the_middle():
    points, normals = torch.tensor([[0.0, 0.0, 0.03], [0.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0]] * 2)
    thin = thickness(points, normals, lambda x: x[:, 2].abs() - 0.03, 0.3)
    assert float(thin[1]) == 0 and 0.02 < float(thin[0]) <= 0.06 + 1e-6
