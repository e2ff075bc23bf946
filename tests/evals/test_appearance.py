"""Likeness of what the photo does not show: nothing between equal pictures, and a smear is further away than a wrong print."""

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.evals.appearance import appearance, turned_views
from img23d.scene import Mesh, TexturedMesh
from img23d.scene.cameras import orbit_degrees

RASTERIZER = choose_rasterizer("numba")


def ball(texture: torch.Tensor) -> TexturedMesh:
    """A ball whose longitude and latitude are the texture's axes."""
    made = trimesh.creation.uv_sphere(0.8, count=[24, 48])
    points = torch.tensor(made.vertices, dtype=torch.float32)[:, [1, 2, 0]]
    around = torch.atan2(points[:, 0], points[:, 2]) / (2 * torch.pi) + 0.5
    up = torch.acos((points[:, 1] / 0.8).clamp(-1, 1)) / torch.pi
    faces = torch.tensor(made.faces, dtype=torch.int64)
    uv = torch.stack([around, up], -1)[faces]
    seam = (uv[..., 0].amax(1) - uv[..., 0].amin(1)) > 0.5
    uv[seam] = torch.where(uv[seam] < 0.5, uv[seam] + torch.tensor([1.0, 0.0]), uv[seam]).clamp(max=1.0)
    return TexturedMesh(Mesh(points, faces), uv.reshape(-1, 2), torch.arange(3 * len(faces)).reshape(-1, 3), texture)


def stripes(shift: float, blur: bool = False) -> torch.Tensor:
    """Twelve upright stripes; on the back half plain when blurred."""
    x = torch.linspace(0, 1, 256)
    value = 0.5 + 0.3 * torch.sign(torch.sin(24 * torch.pi * (x + shift)))
    if blur:
        value = torch.where((x - 0.5).abs() > 0.3, torch.full_like(value, 0.5), value)
    return value[None, :, None].expand(256, 256, 3)


def views(texture: torch.Tensor) -> torch.Tensor:
    return turned_views(ball(texture), orbit_degrees([0.0], 0.0, 3.0, 40.0), (0.0, 150.0, 180.0), RASTERIZER)


@pytest.fixture(scope="module")
def true() -> torch.Tensor:
    return views(stripes(0.0))


def test_the_same_pictures_are_no_distance_apart(true):
    found = appearance(true, true)
    assert found.colour == 0 and found.detail == 0


def test_the_camera_goes_round_anticlockwise():
    """A quarter turn shows the right side; atan2(x, z) grows towards it."""
    x = torch.linspace(0, 1, 256)
    right = ((x - 0.75).abs() < 0.1).float()[None, :, None].expand(256, 256, 3)
    shown = turned_views(ball(right), orbit_degrees([0.0], 0.0, 3.0, 40.0), (90.0, 270.0), RASTERIZER)
    assert shown[0, 64, 64, 0] > 0.9 and shown[1, 64, 64, 0] < 0.1


def test_nothing_is_cut_off_from_any_side():
    """A long box whose photo, of its narrow front, was taken from close by."""
    made = trimesh.creation.box((0.5, 0.5, 1.8))
    mesh = Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))
    corners = torch.zeros(3 * len(mesh.faces), 2)
    box = TexturedMesh(mesh, corners, torch.arange(len(corners)).reshape(-1, 3), torch.full((8, 8, 3), 0.5))
    side = turned_views(box, orbit_degrees([0.0], 0.0, 2.0, 40.0), (90.0,), RASTERIZER)[0, ..., 3] > 0.5
    width, height = int(side.any(0).sum()), int(side.any(1).sum())
    assert 115 < width < 125 and 2.9 < width / height < 3.8


def test_a_smear_is_further_from_a_print_than_the_same_print_elsewhere(true):
    smear, moved = appearance(views(stripes(0.0, blur=True)), true), appearance(views(stripes(0.02)), true)
    assert moved.detail < 0.5 * smear.detail


def test_exposure_is_made_up_for_and_other_colours_are_told(true):
    darker = torch.cat([true[..., :3] * 0.7, true[..., 3:]], -1)
    assert appearance(darker, true).colour < 0.01
    wrong = true.clone()
    wrong[1:, ..., 0] = 1 - wrong[1:, ..., 0]
    tinted = wrong.clone()
    tinted[1:, ..., :3] = torch.tensor([0.9, 0.3, 0.2])
    assert appearance(tinted, true).colour > 0.2


def test_nothing_in_sight_is_no_number():
    empty = torch.zeros(3, 128, 128, 4)
    found = appearance(empty, empty)
    assert found.colour != found.colour and found.detail != found.detail
