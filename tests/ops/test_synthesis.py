"""Patches of what the photo shows, painted where nothing shows: what recurs goes on at its height, what is there once does not."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops import synthesis
from img23d.ops.fill import Layer
from img23d.ops.synthesis import FINE, MARGIN, Known, Subject, closer_to_guess, framed, guide_values, turned, with_synthesis
from img23d.ops.unseen import Points, photo_layer
from img23d.scene.cameras import orbit_degrees


def filled(vase, paint, guess, seed: int = 0, told: float | None = None, **shape):
    """The scene, the trust in its photo, and the vase painted over a guess (3,)."""
    scene, shown = vase(paint, **shape)
    photo = photo_layer(scene.photo, scene.vertices, scene.texels)
    below = torch.tensor(guess)
    painted = Layer(
        torch.lerp(below.expand_as(photo.vertex_rgb), photo.vertex_rgb, shown[:, None]), shown,
        torch.lerp(below.expand_as(photo.texel_rgb), photo.texel_rgb, photo.texel_trust[:, None]), photo.texel_trust,
    )  # fmt: skip
    known = Known(shown, photo.texel_trust)
    if told is not None:
        known = Known(torch.full_like(shown, told), torch.full_like(photo.texel_trust, told))
    ras = choose_rasterizer("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesis, "FINE", 96)  # enough for a vase
        made = with_synthesis(scene.surface, scene.surface.mesh, scene.photo, scene.vertices, scene.texels, painted, known, ras, seed)
    return scene, painted, made


def belts(points):
    """Dark belts round the vase, a third of its height apart."""
    dark = torch.sin(2 * math.pi * points[..., 1] / 0.5) > 0
    return torch.where(dark[..., None], torch.tensor([0.2, 0.1, 0.1]), torch.tensor([0.8, 0.7, 0.3]))


def eye(points):
    """One dark spot on its front."""
    spot = points[..., 0].square() + points[..., 1].square() < 0.012
    return torch.where((spot & (points[..., 2] > 0))[..., None], torch.tensor([0.1, 0.1, 0.1]), torch.tensor([0.8, 0.7, 0.3]))


@pytest.fixture(scope="module")
def belted(vase):
    """Of a vase with belts."""
    return filled(vase, belts, (0.5, 0.4, 0.2))


def test_belts_go_round_at_their_heights(belted):
    scene, _, layer = belted
    place = scene.texels.position
    behind = (place[:, 2] < -0.2) & (place[:, 1].abs() < 0.7)
    truth, red = belts(place)[behind][:, 0], layer.texel_rgb[behind][:, 0]
    assert float(torch.corrcoef(torch.stack([truth, red]))[0, 1]) > 0.6
    assert red.std() > 0.6 * truth.std()


def test_what_is_there_once_is_not_copied(vase):
    scene, _, layer = filled(vase, eye, (0.78, 0.68, 0.3))
    behind = scene.vertices.position[:, 2] < -0.1
    assert layer.vertex_rgb[behind].amin(0)[0] > 0.6
    assert (scene.vertices.position[:, 2] > 0.3).any() and layer.vertex_rgb.isfinite().all()


def test_belts_stay_outside_of_a_cup(vase):
    """The photo shows the far wall's inside down to some depth, white; below, at the height of the belts, nothing shows."""
    cup = [(0.0, -0.5), (0.6, -0.5), (0.6, 0.5), (0.5, 0.5), (0.5, -0.4), (0.0, -0.4)]

    def painted(points):
        inside = (points[..., [0, 2]].norm(dim=-1) < 0.55) | (points[..., 1] > 0.48)
        return torch.where(inside[..., None], torch.tensor([0.9, 0.9, 0.9]), belts(points))

    scene, below, layer = filled(vase, painted, (0.6, 0.5, 0.4), profile=cup, elevation_deg=25.0)
    place, normal = scene.vertices.position, scene.vertices.normal
    wall = (place[:, [0, 2]].norm(dim=-1) < 0.55) & (normal[:, 1].abs() < 0.3) & (place[:, 1] < 0.3) & (below.vertex_trust < 0.1)
    assert wall.sum() > 100
    # Blue is what the inside has and the belts lack; the guess had 0.4 of it.
    assert layer.vertex_rgb[wall].mean(0)[2] > 0.4


def test_what_is_known_stays(belted):
    _, painted, layer = belted
    sure, well = painted.vertex_trust > 0.99, painted.texel_trust > 0.99
    assert sure.any() and torch.allclose(layer.vertex_rgb[sure], painted.vertex_rgb[sure], atol=0.02)
    assert torch.allclose(layer.texel_rgb[well], painted.texel_rgb[well], atol=0.02)
    assert layer.texel_trust.min() >= 0 and layer.texel_trust.max() <= 1


def test_the_same_seed_paints_the_same(vase, belted):
    first, again = belted[2], filled(vase, belts, (0.5, 0.4, 0.2))[2]
    assert torch.equal(first.texel_rgb, again.texel_rgb)
    assert not torch.equal(first.texel_rgb, filled(vase, belts, (0.5, 0.4, 0.2), seed=1)[2].texel_rgb)


def test_nothing_to_paint(vase):
    _, painted, layer = filled(vase, belts, (0.5, 0.4, 0.2), told=1.0)
    assert torch.allclose(layer.texel_rgb, painted.texel_rgb, atol=1e-4)


def test_nothing_to_copy_from(vase):
    """The cut-out is empty."""
    scene, shown = vase(belts)
    photo = replace(scene.photo, sharp=replace(scene.photo.sharp, trust=torch.zeros_like(scene.photo.sharp.trust)))
    painted = photo_layer(scene.photo, scene.vertices, scene.texels)
    known, ras = Known(shown, painted.texel_trust), choose_rasterizer("numba")
    made = with_synthesis(scene.surface, scene.surface.mesh, photo, scene.vertices, scene.texels, painted, known, ras, 0)
    assert made is painted


def test_a_turned_camera_sees_the_other_side_from_the_same_height():
    camera, points = orbit_degrees([20.0], 15.0, 3.0, 40.0), torch.tensor([[-0.3, -0.5, -0.2], [0.3, 0.5, 0.2]])
    behind = turned(camera, points, 180.0)
    assert torch.allclose(behind.position, camera.position * torch.tensor([-1.0, 1.0, -1.0]), atol=1e-5)
    assert torch.allclose(turned(behind, points, 180.0).cam_to_world, camera.cam_to_world, atol=1e-5)
    middle = points.mean(0, keepdim=True)
    assert torch.allclose(behind.project(middle)[0, 0], camera.project(middle)[0, 0], atol=1e-5)


def test_a_frame_holds_the_object_with_pixels_of_the_pitch():
    points = torch.tensor([[-0.4, -0.5, 0.0], [0.4, 0.5, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, -0.1]])
    camera, size = framed(orbit_degrees([0.0], 0.0, 3.0, 30.0), points, 1.0 / FINE)
    place = camera.project(points)[0, :, :2] * size
    assert size % 8 == 0 and FINE + 2 * MARGIN <= size <= FINE + 2 * MARGIN + 8
    assert place.min() >= MARGIN - 1 and place.max() <= size - MARGIN + 1
    assert float(place[1, 0] - place[0, 0]) == pytest.approx(0.8 * FINE, rel=0.01)


@pytest.mark.parametrize(("texels", "pixels"), [(400, 48), (10_000, 80), (4_000_000, FINE)])
def test_pictures_are_hardly_finer_than_the_texture(texels, pixels):
    """A square of one object unit."""
    surface = SimpleNamespace(membrane=SimpleNamespace(mass=np.full(4, 0.25)))
    vertices = Points(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]), torch.zeros(2, 3))
    subject = Subject(surface, None, vertices, Points(torch.zeros(texels, 3), torch.zeros(texels, 3)), torch.zeros(2, 6), None)
    assert subject.pixels == pytest.approx(pixels)


def test_guides_tell_heights_and_insides():
    points = Points(torch.tensor([[0.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, -0.5]]), torch.tensor([[0.0, 0.0, 1.0]] * 3))
    guide = guide_values(points, torch.zeros(3, 3))
    assert guide[1, 3] - guide[0, 3] == pytest.approx(1.0) and guide[0, 5] > 0 > guide[2, 5]


def test_copies_follow_the_guess_but_not_over_edges():
    size = 32
    guess = torch.full((size, size, 3), 0.5)
    loose = torch.ones(size, size, dtype=torch.bool)
    near, edged = torch.full((size, size, 3), 0.45), torch.full((size, size, 3), 0.45)
    edged[:, 16:] = 0.95
    fine = torch.full((2 * size, 2 * size, 3), float("nan"))
    sharp, soft = closer_to_guess((near.numpy(), fine.numpy()), guess, guess, loose, 4.0)
    assert torch.allclose(soft, torch.tensor(0.45 + 0.9 * 0.05 / (1 + 3 * 0.05**2 / 0.2**2)), atol=1e-3)
    assert torch.equal(sharp, torch.full_like(sharp, 0.5))
    _, soft = closer_to_guess((edged.numpy(), fine.numpy()), guess, guess, loose, 4.0)
    assert abs(float(soft[:, 15].mean()) - 0.45) < 0.06 and float(soft[:, 16].mean()) > 0.8
