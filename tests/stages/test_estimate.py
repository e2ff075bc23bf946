"""The classical guess, and maps given by the user."""

import pytest
import torch

from img23d.config import Estimate, Prior
from img23d.scene import Views
from img23d.stages.cameras import REACH, chosen_elevation
from img23d.stages.estimate import estimate

INFLATE = Prior(kind="inflate", resolution=49)


def seen(ball, size=128):
    full = ball.views(size)
    return Views(full.cameras, full.rgb, full.mask)


def test_a_ball_is_guessed_as_a_ball(ball, context):
    views, prior = estimate(seen(ball), True, INFLATE, Estimate(), context)
    line = torch.linspace(-1, 1, 49)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    inside = prior.sdf < 0
    radius = (x**2 + y**2 + z**2).sqrt()
    best = torch.stack([((radius < r) & inside).sum() / ((radius < r) | inside).sum() for r in torch.linspace(0.7, 1.0, 31)]).max()
    assert float(best) > 0.93
    assert float((x[inside].max() + z[inside].max()) / 2) == pytest.approx(REACH - 0.05, abs=0.08)
    truth = ball.views(128)
    inner = truth.mask[0] > 0.99
    local = views.normal[0] @ views.cameras.cam_to_world[0, :3, :3]
    true_local = truth.normal[0] @ truth.cameras.cam_to_world[0, :3, :3]
    assert float((local * true_local).sum(-1)[inner].mean()) > 0.97


def test_the_camera_looks_from_the_elevation_asked_for(ball, context):
    views, _ = estimate(seen(ball), True, INFLATE, Estimate(elevation_deg=40.0), context)
    position = views.cameras.position[0]
    assert float(torch.rad2deg(torch.asin(position[1] / position.norm()))) == pytest.approx(40.0, abs=0.01)
    assert float(position[0]) == pytest.approx(0.0, abs=1e-6) and float(position[2]) > 0


def test_a_given_elevation_wins():
    assert chosen_elevation(Estimate(), 40.0) == 40.0
    assert chosen_elevation(Estimate(elevation_deg=-5.0), 40.0) == -5.0
    assert chosen_elevation(Estimate(elevation_deg=-500.0), 40.0) == 40.0


@pytest.mark.parametrize("convention", ["depth", "disparity"])
def test_given_depth_is_scaled_to_the_guess(ball, context, convention):
    truth, plain = ball.views(128), seen(ball)
    guess, _ = estimate(plain, True, INFLATE, Estimate(elevation_deg=0.0), context)
    relative = 0.1 * truth.depth + 5 if convention == "depth" else 0.3 / truth.depth + 2
    given = Views(plain.cameras, plain.rgb, plain.mask, depth=relative)
    views, _ = estimate(given, True, INFLATE, Estimate(elevation_deg=0.0, depth_convention=convention), context)
    inner = truth.mask > 0.99
    # the guess is no exact ball, and so the offset of its disparities is not exact either; taken for negative depth they reach .9988
    assert float(torch.corrcoef(torch.stack([views.depth[inner], truth.depth[inner]]))[0, 1]) > (
        0.99999 if convention == "depth" else 0.9995
    )
    assert float((views.depth - guess.depth)[inner].abs().mean()) < 0.05
    assert float(views.confidence[inner].min()) > float(guess.confidence[inner].max())


def test_given_normals_are_turned_into_the_object_frame(ball, context):
    plain = seen(ball)
    normal = torch.zeros(1, 128, 128, 3)
    normal[..., 2] = 1  # towards the viewer
    views, _ = estimate(Views(plain.cameras, plain.rgb, plain.mask, normal=normal), True, INFLATE, Estimate(elevation_deg=30.0), context)
    towards = torch.nn.functional.normalize(views.cameras.position[0], dim=0)
    assert torch.allclose(views.normal[0, 64, 64], towards, atol=1e-5)


def test_a_model_s_doubts_become_the_view_s(ball, context, monkeypatch):
    from img23d.backends import monocular

    depth = ball.views(128).depth[0]
    sure = torch.linspace(0.2, 1.0, 128)[:, None].expand(128, 128)
    options, found = Estimate(geometry="depth-anything", elevation_deg=0.0), []
    for answer in (monocular.Geometry(depth), monocular.Geometry(depth, confidence=sure), monocular.Geometry(depth, from_disparity=True)):
        monkeypatch.setattr(monocular, "estimate_geometry", lambda *a, answer=answer, **k: answer)
        found.append(estimate(seen(ball), True, INFLATE, options, context)[0].confidence[0])
    inner = ball.views(128).mask[0] > 0.99
    torch.testing.assert_close(found[1][inner], (found[0] * sure)[inner])
    torch.testing.assert_close(found[2][inner], 0.6 * found[0][inner])


def test_a_model_s_maps_are_used_like_given_ones_and_the_user_s_win(ball, context, monkeypatch):
    from img23d.backends import monocular

    truth = ball.views(128)
    away = torch.zeros(128, 128, 3)
    away[..., 2] = 1
    monkeypatch.setattr(monocular, "estimate_geometry", lambda *a, **k: monocular.Geometry(0.2 * truth.depth[0] + 3, away))
    options = Estimate(geometry="depth-anything", elevation_deg=0.0)
    views, _ = estimate(seen(ball), True, INFLATE, options, context)
    inner = truth.mask > 0.99
    assert float(torch.corrcoef(torch.stack([views.depth[inner], truth.depth[inner]]))[0, 1]) > 0.999
    assert torch.allclose(views.normal[0, 64, 64], torch.tensor([0.0, 0.0, 1.0]), atol=1e-5)
    plain = seen(ball)
    mine = torch.zeros(1, 128, 128, 3)
    mine[..., 1] = 1
    views, _ = estimate(Views(plain.cameras, plain.rgb, plain.mask, normal=mine), True, INFLATE, options, context)
    assert torch.allclose(views.normal[0, 64, 64], torch.tensor([0.0, 1.0, 0.0]), atol=1e-5)


def test_given_maps_are_believed_more_than_the_guessed_front(ball, context):
    plain = seen(ball)
    depth = Views(plain.cameras, plain.rgb, plain.mask, depth=plain.mask)
    (_, without), (_, told) = (estimate(given, True, INFLATE, Estimate(elevation_deg=0.0), context) for given in (plain, depth))
    ratio = told.confidence / without.confidence
    size = len(ratio)
    assert float(ratio[-1, size // 2, size // 2]) == pytest.approx(0.15)  # towards the camera
    assert float(ratio[0, size // 2, size // 2]) == 1.0


def test_what_a_given_depth_map_holds_outside_of_the_object_does_not_matter(ball, context):
    plain = seen(ball)
    first, _ = estimate(plain, True, INFLATE, Estimate(elevation_deg=0.0), context)
    told = first.depth + 100.0
    found = []
    for outside in (0.0, 500.0):
        depth = torch.where(plain.mask > 0.5, told, torch.full_like(told, outside))
        views, _ = estimate(Views(plain.cameras, plain.rgb, plain.mask, depth=depth), True, INFLATE, Estimate(elevation_deg=0.0), context)
        assert views.depth is not None
        rim = (plain.mask > 0) & (plain.mask <= 0.9)
        assert float((views.depth - first.depth)[rim].abs().max()) < 0.2
        found.append(views.depth)
    assert torch.equal(*found)


@pytest.mark.parametrize("convention", ["depth", "disparity"])
def test_given_depth_of_a_translucent_object(ball, context, convention):
    """Its mask is .6 all over: that is the object, and no rim."""
    plain = seen(ball)
    whole, _ = estimate(plain, True, INFLATE, Estimate(elevation_deg=0.0), context)
    relative = whole.depth if convention == "depth" else 1 / whole.depth
    faint = Views(plain.cameras, plain.rgb, 0.6 * plain.mask, depth=relative)
    views, _ = estimate(faint, True, INFLATE, Estimate(elevation_deg=0.0, depth_convention=convention), context)
    assert views.depth is not None and bool(views.depth.isfinite().all())
    assert float((views.depth - whole.depth)[plain.mask > 0.9].abs().median()) < 0.1
