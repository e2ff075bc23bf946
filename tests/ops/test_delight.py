"""Light on painted balls that is known exactly: it is found, it goes, and even light stays as it is."""

from __future__ import annotations

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops.delight import find_light, find_lobe, relit, seen_normals, without_light
from img23d.ops.normals import vertex_normals
from img23d.ops.srgb import to_linear, to_srgb
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees

SIZE = 160
CAMERA = orbit_degrees([0.0], 10.0, 3.0, 36.0)
RASTERIZER = choose_rasterizer("numba")
LOBE = torch.tensor([-0.3, 0.6, 0.2])
PLAIN = torch.tensor([0.35, 0.22, 0.12])  # linear


@pytest.fixture(scope="module")
def ball() -> Mesh:
    made = trimesh.creation.icosphere(4, 0.8)
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def photo_of(ball: Mesh, light, albedo=lambda n: PLAIN.expand_as(n)) -> Views:
    """The ball under a light that is a function of its normals, before magenta."""
    normals, covered = seen_normals(CAMERA, ball, vertex_normals(ball), RASTERIZER, SIZE, SIZE)
    rgb = to_srgb(albedo(normals) * light(normals)[..., None])
    mask = covered.float()
    return Views(CAMERA, torch.where(covered[..., None], rgb, torch.tensor([1.0, 0.0, 1.0]))[None], mask[None])


def evened(ball: Mesh, views: Views, share: float = 1.0) -> torch.Tensor:
    """(P, 3) linear colours of the ball in its photo without light."""
    made = without_light(views, ball, vertex_normals(ball), RASTERIZER, share, 0)
    return to_linear(made.rgb[0][views.mask[0] > 0])


def lobe_light(normals):
    return (normals @ LOBE).exp()


def even_light(normals):
    return torch.ones_like(normals[..., 0])


def window_light(normals):
    """A lamp with Lambert's cosine, and what the room sends back."""
    towards = torch.nn.functional.normalize(torch.tensor([-0.6, 0.7, 0.5]), dim=0)
    return 0.5 + 0.9 * (normals @ towards).clamp(min=0)


def stripes(normals):
    """Light and dark wedges of one hue, whichever way they face."""
    return PLAIN * torch.where(torch.sin(18 * torch.atan2(normals[..., 0], normals[..., 1])) > 0, 1.0, 0.25)[..., None]


def spread(colours: torch.Tensor) -> float:
    """Standard deviation of log brightness."""
    return float(colours.mean(-1).clamp(min=1e-3).log().std())


def test_the_light_of_a_plain_ball_is_found_and_goes(ball):
    views = photo_of(ball, lobe_light)
    light, _ = find_light(views, ball, vertex_normals(ball), RASTERIZER, 0)
    torch.testing.assert_close(light.lobe, LOBE, atol=0.05, rtol=0)
    assert spread(evened(ball, views)) < 0.02 < 0.2 < spread(evened(ball, views, share=0.0))


def test_mean_brightness_is_kept(ball):
    views = photo_of(ball, lobe_light)
    before, after = evened(ball, views, share=0.0), evened(ball, views)
    assert float(after.mean(-1).log().mean()) == pytest.approx(float(before.mean(-1).log().mean()), abs=0.01)


def test_half_of_it_goes_when_asked(ball):
    views = photo_of(ball, lobe_light)
    assert spread(evened(ball, views, share=0.5)) == pytest.approx(0.5 * spread(evened(ball, views, share=0.0)), rel=0.1)


def test_paint_of_the_same_hue_is_not_taken_for_shade(ball):
    views = photo_of(ball, lobe_light, stripes)
    light, _ = find_light(views, ball, vertex_normals(ball), RASTERIZER, 0)
    torch.testing.assert_close(light.lobe, LOBE, atol=0.1, rtol=0)


@pytest.mark.parametrize("albedo", [lambda n: PLAIN.expand_as(n), stripes], ids=["plain", "stripes"])
def test_what_is_lit_evenly_stays(ball, albedo):
    views = photo_of(ball, even_light, albedo)
    before, after = evened(ball, views, share=0.0), evened(ball, views)
    assert float((before - after).abs().mean() / before.mean()) < 0.04


def test_a_lamp_that_is_no_lobe_loses_most_of_its_shade(ball):
    views = photo_of(ball, window_light)
    assert spread(evened(ball, views)) < 0.4 * spread(evened(ball, views, share=0.0))


def test_another_hue_below_is_paint(ball):
    """A dark blue lower half under even light: all of the step lies between hues."""
    two = torch.tensor([[0.5, 0.3, 0.1], [0.02, 0.03, 0.12]])
    views = photo_of(ball, even_light, lambda n: two[(n[..., 1] < 0).long()])
    light, _ = find_light(views, ball, vertex_normals(ball), RASTERIZER, 0)
    assert float(light.lobe.norm()) < 0.05


def test_the_shade_goes_on_beyond_the_mesh(ball):
    """The mesh ends before the photo's outline does: what lies between is evened as what is beside it."""
    views = photo_of(ball, lobe_light)
    smaller = Mesh(ball.vertices * 0.9, ball.faces)
    _, shading = find_light(views, smaller, vertex_normals(smaller), RASTERIZER, 0)
    rim = shading[views.mask[0] > 0]
    assert bool((rim != 0).all())


def test_too_little_to_tell_leaves_the_photo(ball):
    views = photo_of(ball, lobe_light)
    empty = Views(CAMERA, views.rgb, torch.zeros_like(views.mask))
    assert without_light(empty, ball, vertex_normals(ball), RASTERIZER, 1.0, 0) is empty
    assert without_light(views, ball, vertex_normals(ball), RASTERIZER, 0.0, 0) is views


def test_turning_everything_turns_the_light():
    """About the vertical, along which more light is expected."""
    generator = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=-1)
    rgb = to_srgb(PLAIN * (normals @ LOBE).exp()[:, None])
    turn = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    torch.testing.assert_close(find_lobe(rgb, normals @ turn.T, 3), turn @ find_lobe(rgb, normals, 3), atol=1e-5, rtol=0)


def test_light_can_be_put_back(ball):
    views = photo_of(ball, lobe_light)
    _, shading = find_light(views, ball, vertex_normals(ball), RASTERIZER, 0)
    again = relit(without_light(views, ball, vertex_normals(ball), RASTERIZER, 1.0, 0).rgb[0], shading)
    inside = views.mask[0] > 0
    torch.testing.assert_close(again[inside], views.rgb[0][inside], atol=2e-3, rtol=0)
