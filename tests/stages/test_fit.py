"""NeuS fitting: the photo corrects a wrong prior."""

import pytest
import torch

from img23d.config import Fit, Ramp
from img23d.errors import FitError
from img23d.priors.tunnels import tunnel_count
from img23d.scene import Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.fit import HEAVIEST, fit, occupied_interval, outline_weight, render_rays, without_tunnels

QUICK = Fit(resolution=40, levels=3, steps=40, rays=400, samples=24, learning_rate=0.02, volume=Ramp(0.1, 0.1))
GUESSED = 0.8  # the confidence of a prior that is not known for sure


def radii(field, directions):
    """Where the field's surface lies along rays from the centre."""
    line = torch.linspace(0.2, 0.95, 151)
    values = field.sdf((directions[:, None] * line[:, None]).reshape(-1, 3)).reshape(len(directions), -1)
    return line[(values > 0).float().argmax(1)]


@pytest.mark.parametrize("radius", [0.5, 0.7])
def test_the_outline_corrects_the_prior(ball, context, radius):
    field = fit(ball.views(), ball.prior(radius, confidence=GUESSED), QUICK, context)
    angle = torch.linspace(0, 6.28, 40)
    rim = torch.stack([angle.cos(), angle.sin(), torch.zeros(40)], -1)
    assert float((radii(field, rim) - ball.radius).abs().mean()) < 0.35 * abs(radius - ball.radius)


def test_the_outline_counts_more_the_thinner_the_object_is():
    line = (torch.arange(160) + 0.5) / 160
    away = torch.hypot(*torch.meshgrid(line - 0.5, line - 0.5, indexing="ij"))
    disc = (away < 0.4).float()
    wire = ((away - 0.3).abs() < 0.01).float()
    rod = ((line[:, None] - 0.5).abs() < 0.03).float() * ((line - 0.5).abs() < 0.4)
    assert outline_weight(disc[None]) == 1.0
    assert outline_weight(wire[None]) == HEAVIEST
    assert 1.0 < outline_weight(rod[None]) < HEAVIEST
    coarse = torch.nn.functional.avg_pool2d(rod[None], 2)
    assert outline_weight(coarse) == pytest.approx(outline_weight(rod[None]), rel=0.1)  # whatever the photo's size


def test_without_the_photo_the_prior_stays(ball, context):
    off = Ramp(0.0, 0.0)
    options = Fit(resolution=40, steps=10, rgb=off, mask=off, depth=off, normal=off, eikonal=off, smooth=off)
    field = fit(ball.views(), ball.prior(0.5), options, context)
    directions = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    assert float((radii(field, directions) - 0.5).abs().max()) < 0.02


def test_the_same_seed_gives_the_same_field(ball, context):
    options = Fit(resolution=32, steps=4, rays=200, samples=16)
    first, second = (fit(ball.views(), ball.prior(), options, context).sdf_volume for _ in range(2))
    assert torch.equal(first, second)


def test_a_lost_surface_is_an_error(ball, context):
    prior = ball.prior()
    empty = type(prior)(prior.sdf.abs() + 0.1, prior.confidence, prior.back_rgb, prior.back_confidence)
    with pytest.raises(FitError, match="lost its surface"):
        fit(ball.views(), empty, Fit(resolution=24, steps=1, mask=Ramp(0.0, 0.0)), context)


def test_rendered_rays_see_the_ball(ball):
    views, prior = ball.views(48), ball.prior(resolution=80)
    origins, directions = (rays.reshape(-1, 3) for rays in views.cameras.rays(48, 48))
    from img23d.fields.grid import gradient

    color = torch.rand(3, 4, 4, 4)
    seen = render_rays(prior.sdf, gradient(prior.sdf), color, origins, directions, 64, 300.0, torch.Generator().manual_seed(0))
    mask = views.mask.reshape(-1)
    assert float((seen["opacity"] - mask).abs().mean()) < 0.02
    inner = mask > 0.99
    assert float((seen["depth"] - views.depth.reshape(-1)).abs()[inner].mean()) < 0.01
    normal = torch.nn.functional.normalize(seen["normal"], dim=-1)
    assert float((normal * views.normal.reshape(-1, 3)).sum(-1)[inner].mean()) > 0.99


def test_empty_space_is_skipped_but_never_the_surface(ball):
    prior = ball.prior(resolution=80)
    views = ball.views(48)
    origins, directions = (rays.reshape(-1, 3) for rays in views.cameras.rays(48, 48))
    near, far = occupied_interval(prior.sdf, origins, directions, 0.05)
    assert bool((far > near).all())
    inner = views.mask.reshape(-1) > 0.99
    depth = views.depth.reshape(-1)
    assert bool(((near < depth) & (depth < far))[inner].all())
    assert float((far - near)[inner].mean()) < 1.6  # of the cube's 2


def test_tunnels_that_no_silhouette_shows_are_closed(ball):
    axis = torch.linspace(-1, 1, 48)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    solid = (x**2 + y**2 + z**2).sqrt() - 0.6
    drilled = torch.maximum(solid, 0.12 - (x**2 + z**2).sqrt())
    assert tunnel_count((drilled < 0).numpy()) == 1
    views = ball.views(64)
    closed = without_tunnels(drilled, views)
    assert tunnel_count((closed < 0).numpy()) == 0 and bool((closed[solid > 0.1] > 0).all())
    assert without_tunnels(solid, views) is solid


def test_drawn_outlines_carve_what_the_photo_cannot_show(ball, context):
    # the prior says a ball that is too large; from the side it was drawn as it is
    photo, around = ball.views(64), ball.views(64, orbit_degrees([60.0, 120.0, 180.0, 240.0, 300.0], 0.0, 2.4, 40.0))
    nothing = torch.zeros_like(around.mask)
    drawn = Views(around.cameras, around.rgb, around.mask, nothing, torch.zeros_like(around.rgb), nothing.clone())
    prior, options = ball.prior(0.75, confidence=GUESSED), Fit(resolution=32, steps=30, rays=256, samples=24, learning_rate=0.04)
    far = torch.tensor([[0.0, 0.0, -0.68], [0.48, 0.0, -0.48]])  # behind, out of the true ball
    alone, told = fit(photo, prior, options, context), fit(photo, prior, options, context, drawn)
    assert float(alone.sdf(far).max()) < 0.02 < 0.04 < float(told.sdf(far).min())
    assert float(told.sdf(torch.tensor([[0.0, 0.0, -0.5]]))) < 0
