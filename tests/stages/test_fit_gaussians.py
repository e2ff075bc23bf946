"""A cloud of Gaussians as the coarse field: where it begins, what corrects it, and what keeps it where nothing looks."""

import json
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from img23d import config, pipeline
from img23d.config import Cloud, Fit
from img23d.errors import ConfigError, FitError
from img23d.fields.densify import Watch, densified
from img23d.fields.gaussians import Gaussians
from img23d.io.images import save_image
from img23d.io.meshes import load_mesh
from img23d.io.splats import load_splats
from img23d.options import Ramp
from img23d.run import MANIFEST
from img23d.scene import Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.artifacts import CLOUD, load_field, save_field
from img23d.stages.cloud import INSIDE, Learnt, cloud_of, filling
from img23d.stages.coarse import fit
from img23d.stages.fit import fit as fit_neus
from img23d.stages.fit_gaussians import Observed, Solid, cloud_surface, draw_cloud, due, field_of, fit_gaussians
from img23d.stages.splats import fastest

sys.path.insert(0, str(Path(__file__).parent))  # stand-ins of the neighbouring tests
from test_guide import PHOTO, Knowing, guide_of, on_white
from test_imagine import SMALL as SMALL_RUN

OFF = Ramp(0.0, 0.0)
QUICK = {"field": "gaussians", "resolution": 32, "steps": 25}
SMALL = Cloud(count=600, size=48)


def radii(field, directions):
    """Where the field's surface lies along rays from the centre."""
    line = torch.linspace(0.2, 0.95, 301)
    values = field.sdf((directions[:, None] * line[:, None]).reshape(-1, 3)).reshape(len(directions), -1)
    return line[(values > 0).float().argmax(1)]


def ways(count=60):
    return F.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=-1)


def rim():
    angle = torch.linspace(0, 6.28, 40)
    return torch.stack([angle.cos(), angle.sin(), torch.zeros(40)], -1)


def test_a_fresh_cloud_fills_the_priors_solid(ball):
    color = torch.rand(3, 4, 4, 4)
    cloud = cloud_of(ball.prior(resolution=64).sdf, color, Cloud(count=2000), torch.Generator())
    assert 2000 < len(cloud) < 3200, "those at the surface are partly in it"
    dense, _ = cloud.density_grid(33)
    assert float(dense[16, 16, 16]) == pytest.approx(INSIDE, rel=0.03)
    at_surface = cloud.density_at(ways() * 0.6)
    assert float((at_surface - 1).abs().mean()) < 0.12 and float((at_surface - 1).mean().abs()) < 0.08
    torch.testing.assert_close(cloud.rgb[0], color_at(color, cloud.points[:1])[0])


def color_at(color, points):
    return F.grid_sample(color[None], points[None, None, None], align_corners=True)[0, :, 0, 0].T


def test_a_thin_solid_gets_as_many(ball):
    sheet = ball.prior(resolution=64).sdf.maximum((torch.linspace(-1, 1, 64).abs() - 0.05)[:, None, None])
    cloud = filling(sheet, torch.rand(3, 4, 4, 4), 2000)
    assert 1500 < len(cloud) < 5000 and float(cloud.points[:, 2].abs().max()) < 0.1


def test_without_a_solid_or_by_the_options_it_begins_as_a_ball(ball):
    prior = ball.prior()
    for sdf, options in ((prior.sdf.abs() + 0.1, Cloud(count=300)), (prior.sdf, Cloud(count=300, fill="ball"))):
        cloud = cloud_of(sdf, torch.rand(3, 4, 4, 4), options, torch.Generator().manual_seed(0))
        assert len(cloud) == 300 and 0.4 < float(cloud.points.norm(dim=1).max()) <= 0.5
        assert float(cloud.opacity.max()) == pytest.approx(0.1)


def test_what_is_learnt_goes_on_with_what_was_known_about_those_that_stay():
    prior = torch.full((5, 5, 5), -1.0)
    learnt = Learnt(filling(prior, torch.rand(3, 4, 4, 4), 100), 10)
    learnt.cloud.points.sum().backward()
    learnt.adam.step()
    before = learnt.cloud
    remembered = learnt.adam.averages[learnt.leaves["points"]][0]
    cloud, origin = densified(before, torch.tensor([9.0] + [0.0] * (len(before) - 1)), 1.0, 9, torch.Generator().manual_seed(0))
    learnt.replace(cloud, origin)
    first, second = learnt.adam.averages[learnt.leaves["points"]]
    assert torch.equal(first[:-2], remembered[origin[:-2]]) and first[-2:].abs().sum() == second[-2:].abs().sum() == 0
    learnt.cloud.points.sum().backward()
    moved = learnt.leaves["points"].detach().clone()
    learnt.adam.step()
    assert float((learnt.leaves["points"].detach() - moved).abs().min()) > 0, "the new ones too"


def test_the_course_is_in_shares_of_the_steps():
    assert [done for done in range(1, 501) if due(done, 500, 0.2, 0.2)] == [100, 200, 300, 400, 500]
    assert [done for done in range(1, 61) if due(done, 60, 0.2, 0.2)] == [12, 24, 36, 48, 60]
    assert not [done for done in range(1, 501) if due(done, 500, 1.4, 1.4)]  # 700 of 500 steps
    assert [done for done in range(1, 1001) if due(done, 1000, 0.7, 0.7)] == [700]
    assert sum(due(done, 3, 0.0, 0.01) for done in range(1, 4)) == 3


@pytest.mark.parametrize("radius", [0.5, 0.7])
def test_the_outline_corrects_the_prior(ball, context, radius):
    options = Fit(**QUICK, volume=Ramp(0.3, 0.3), cloud=SMALL)
    field = fit_gaussians(ball.views(), ball.prior(radius), options, context)
    begun = fit_gaussians(ball.views(), ball.prior(radius), Fit(**{**QUICK, "steps": 1}, mask=OFF, rgb=OFF, cloud=SMALL), context)
    before, after = (float((radii(made, rim()) - ball.radius).abs().mean()) for made in (begun, field))
    assert before > 0.07 and after < 0.75 * before


def test_what_no_view_shows_stays_with_the_prior(ball, context):
    field = fit_gaussians(ball.views(), ball.prior(0.6), Fit(**QUICK, cloud=SMALL), context)
    behind = ways(200)
    behind = behind[behind[:, 2] < -0.4]
    assert float((radii(field, behind) - 0.6).abs().mean()) < 0.02
    torch.testing.assert_close(field.color(0.6 * behind), torch.full((len(behind), 3), 0.5), atol=0.15, rtol=0)  # the prior's grey
    front = torch.tensor([[0.3, 0.2, 0.48]])
    torch.testing.assert_close(field.color(front), 0.5 + 0.4 * F.normalize(front, dim=-1), atol=0.08, rtol=0)


def test_the_prior_holds_against_the_outline_as_much_as_it_weighs(ball, context):
    loose, held = (fit_gaussians(ball.views(), ball.prior(0.7), Fit(**QUICK, volume=Ramp(w, w), cloud=SMALL), context) for w in (0.0, 24.0))
    assert float(radii(held, rim()).mean()) > float(radii(loose, rim()).mean()) + 0.03


def test_the_same_seed_gives_the_same_field(ball, context):
    options = Fit(field="gaussians", resolution=24, steps=4, cloud=Cloud(count=200, size=32, densify_every=0.3, densify_above=0.0))
    first, second = (fit_gaussians(ball.views(), ball.prior(), options, context).sdf_volume for _ in range(2))
    assert torch.equal(first, second)


def test_a_cloud_that_has_thinned_out_is_an_error(ball, context):
    with pytest.raises(FitError, match="thinned out"):
        fit_gaussians(
            ball.views(), ball.prior(), Fit(field="gaussians", resolution=16, steps=1, cloud=Cloud(count=100, size=16, level=50.0)), context
        )


def test_a_random_ball_becomes_the_object_of_a_few_pictures(ball, context):
    """No prior: from five sides, of which the fit alone knows that the ball is red on its right and not grey."""
    around = ball.views(64, orbit_degrees([0.0, 72.0, 144.0, 216.0, 288.0], 15.0, 2.4, 40.0))
    cloud = cloud_of(ball.prior().sdf, torch.rand(3, 4, 4, 4), Cloud(count=500, fill="ball"), torch.Generator().manual_seed(0))
    learnt, seen, watch = Learnt(cloud, 120), Observed(around, 40), fastest(cloud)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(120):
        alike, covered = seen.losses(learnt.cloud, watch, generator)
        learnt.adam.zero_grad()
        (alike + covered).backward()
        learnt.adam.step()
        losses.append(float(alike.detach() + covered.detach()))
    assert sum(losses[:3]) / 3 > 0.05 and sum(losses[-10:]) / 10 < 0.006
    between = orbit_degrees([36.0], 10.0, 2.4, 40.0)
    shown, truth = draw_cloud(learnt.cloud, watch)(between, 40)["colors"], ball.views(40, between)
    wanted = truth.rgb * truth.mask[..., None] + 1 - truth.mask[..., None]
    assert float((shown - wanted).square().mean().detach()) < 0.01 < float((wanted - wanted.mean((1, 2))).square().mean()) / 3


def test_drawn_outlines_carve_what_the_photo_cannot_show(ball, context):
    photo, around = ball.views(64), ball.views(64, orbit_degrees([60.0, 120.0, 180.0, 240.0, 300.0], 0.0, 2.4, 40.0))
    nothing = torch.zeros_like(around.mask)
    drawn = Views(around.cameras, around.rgb, around.mask, nothing, torch.zeros_like(around.rgb), nothing.clone())
    options = Fit(**QUICK, volume=Ramp(2.0, 2.0), cloud=SMALL)
    far = torch.tensor([[0.0, 0.0, -0.68], [0.48, 0.0, -0.48]])  # behind, out of the true ball
    alone, told = fit_gaussians(photo, ball.prior(0.75), options, context), fit_gaussians(photo, ball.prior(0.75), options, context, drawn)
    assert float(alone.sdf(far).max()) < 0.0 < float(told.sdf(far).min())
    assert float(told.sdf(torch.tensor([[0.0, 0.0, -0.5]]))) < 0


def test_a_guide_pulls_at_shape_and_colours(ball, context):
    views = ball.views(64, PHOTO)
    options = Fit(**QUICK, volume=Ramp(0.3, 0.3), cloud=SMALL)
    guide = guide_of(Knowing(on_white(ball, [1.0, 0.2, 0.2])), widening=0.0, size=48, view_weight=Ramp(10.0, 10.0))
    alone, guided = (fit_gaussians(views, ball.prior(0.72), options, context, None, pull) for pull in (None, guide))
    behind = ways(200)
    behind = behind[behind[:, 2] < -0.5]
    assert len(guide.pullers[0][0].told) == 25
    assert float((radii(guided, behind) - ball.radius).abs().mean()) < 0.7 * float((radii(alone, behind) - ball.radius).abs().mean())
    red = torch.tensor([1.0, 0.2, 0.2])
    far, near = (float((made.color(0.6 * behind) - red).abs().mean()) for made in (alone, guided))
    assert near < 0.9 * far


def test_a_model_of_coordinates_sees_where_the_cloud_lies(ball):
    cloud = cloud_of(ball.prior(resolution=64).sdf, torch.rand(3, 4, 4, 4), Cloud(count=4000), torch.Generator())
    cloud = Gaussians(**{name: value.clone().requires_grad_() for name, value in vars(cloud).items()})
    surface = cloud_surface(cloud, fastest(cloud))
    points, cover = surface.points(orbit_degrees([0.0, 90.0], 0.0, 2.4, 40.0), 33)
    seen = points / cover.clamp(min=1e-6)[..., None]
    expected = torch.tensor([[0.0, 0.0, ball.radius], [ball.radius, 0.0, 0.0]])
    torch.testing.assert_close(seen[:, 16, 16], expected, atol=0.12, rtol=0)  # a little inside: splats are soft
    assert float(surface.bounds.abs().min()) == pytest.approx(ball.radius, abs=0.1)
    points[0, 16, 16, 2].backward()
    assert float(cloud.points.grad[:, 2].abs().sum()) > 0.3, "it can be moved"


def test_a_guide_sees_the_cloud_on_white(ball):
    cloud = cloud_of(ball.prior().sdf, torch.full((3, 2, 2, 2), 0.25), Cloud(count=1500), torch.Generator())
    shown = draw_cloud(cloud, fastest(cloud))(ball.cameras, 32)["colors"]
    torch.testing.assert_close(shown[0, 16, 16], torch.full((3,), 0.25), atol=0.01, rtol=0)
    torch.testing.assert_close(shown[0, 0, 0], torch.ones(3))


def test_the_priors_term_counts_what_moved_and_not_what_is_denser(ball):
    prior = ball.prior(0.6, resolution=64)
    solid = Solid(prior, 0.04)

    def loss(cloud):
        return float(solid.loss(cloud, torch.Generator().manual_seed(0)))

    as_it_is, larger = (filling(ball.prior(radius, resolution=64).sdf, torch.zeros(3, 2, 2, 2), 3000) for radius in (0.6, 0.7))
    twice = Gaussians(*(torch.cat([value, value]) for value in vars(as_it_is[as_it_is.points.norm(dim=1) < 0.45]).values()))
    assert loss(as_it_is) < 0.2 * loss(larger)
    assert loss(Gaussians(*(torch.cat(both) for both in zip(vars(as_it_is).values(), vars(twice).values())))) < 1.5 * loss(as_it_is) + 1e-3
    weak = Solid(type(prior)(prior.sdf, torch.where(prior.sdf < 0.0, 1.0, 0.0), prior.back_rgb, prior.back_confidence), 0.04)
    missing = larger[larger.points.norm(dim=1) > 0.5]
    told = [float(weak.loss(cloud, torch.Generator().manual_seed(0))) for cloud in (larger, missing)]
    assert told[1] > 3 * told[0], "where the prior is not trusted it is not asked"


def test_the_default_is_neus(ball, context):
    options = Fit(resolution=24, steps=2, rays=64, samples=12)
    first, second = (made(ball.views(), ball.prior(confidence=0.8), options, context) for made in (fit, fit_neus))
    assert torch.equal(first.sdf_volume, second.sdf_volume) and torch.equal(first.color_volume, second.color_volume)
    assert config.load().fit.field == "neus" and first.cloud is None


def test_the_cloud_that_the_field_was_made_of_is_kept_for_other_programs(ball, context, tmp_path):
    options = Fit(**{**QUICK, "steps": 5}, cloud=SMALL)
    field = fit_gaussians(ball.views(), ball.prior(), options, context)
    save_field(field, tmp_path)
    kept_cloud, again = load_splats(tmp_path / CLOUD), load_field(tmp_path)
    for name, value in vars(kept_cloud).items():
        assert torch.equal(value, getattr(field.cloud, name)), name
    inside, solid = field_of(kept_cloud, options).dense_sdf() < 0, again.sdf_volume < 0  # of which tunnels were closed
    assert int((inside != solid).sum()) < 0.09 * int(solid.sum())
    (tmp_path / "before").mkdir()
    save_field(again, tmp_path / "before")  # as before: there is none, and none is asked for
    assert again.cloud is None and load_field(tmp_path / "before").cloud is None and not (tmp_path / "before" / CLOUD).exists()


def test_watching_changes_nothing(ball):
    cloud = cloud_of(ball.prior().sdf, torch.rand(3, 4, 4, 4), Cloud(count=200), torch.Generator())
    together = fastest(cloud)
    watched, plain = (cloud.draw(ball.cameras, 24, 24, way)[0] for way in (Watch(together, len(cloud)), together))
    assert torch.equal(watched, plain)


def test_bad_options_are_one_clear_line():
    for setting, message in (
        ("fit.field=splats", "neus"),
        ("fit.cloud.count=3", "outside 100..1e+06"),
        ("fit.cloud.fill=cube", "prior"),
        ("fit.cloud.size=4", "outside 16..1024 px"),
        ("fit.cloud.cuont=5", "fit.cloud.cuont"),
    ):
        with pytest.raises(ConfigError, match=message.replace("+", r"\+")):
            config.load("standard", [setting])


def test_the_preset_is_dreamgaussians():
    made = config.load("dreamgaussian")
    assert made.fit.field == "gaussians" and made.guidance.view_model == "zero123-xl" and made.fit.steps == 500
    for now, noise in ((0.0, 0.98), (0.5, 0.5), (1.0, 0.02)):
        assert made.guidance.least.at(now) == made.guidance.most.at(now) == pytest.approx(noise)


def test_a_whole_run(ball, tmp_path):
    views = ball.views(120, orbit_degrees([0.0], 12.0, 2.4, 40.0))
    save_image(tmp_path / "ball.png", torch.cat([views.rgb[0], views.mask[0, ..., None]], -1))
    options = config.load("standard", [*SMALL_RUN, "fit.field=gaussians", "fit.cloud.count=500", "fit.cloud.size=48"])
    made = pipeline.generate(tmp_path / "ball.png", tmp_path / "out", options)
    mesh = load_mesh(made.path).mesh
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    assert len(mesh.faces) <= 600 and float((high - low)[:2].min() / (high - low)[:2].max()) > 0.85
    again = pipeline.generate(tmp_path / "ball.png", tmp_path / "out", options)
    assert "fit" not in again.seconds
    folder = made.run_folder / "03_fit"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert CLOUD in manifest["files"]
    (folder / CLOUD).unlink()  # as in a folder of before
    del manifest["files"][CLOUD]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    once_more = pipeline.generate(tmp_path / "ball.png", tmp_path / "out", options)
    assert "fit" not in once_more.seconds and once_more.path.read_bytes() == again.path.read_bytes() and not (folder / CLOUD).exists()


def test_fit_gaussians_is_what_the_option_names(ball, context, monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules["img23d.stages.coarse"].FIELDS, "gaussians", lambda *given: asked.append(given))
    fit(ball.views(), ball.prior(confidence=0.8), Fit(field="gaussians"), context)
    assert len(asked) == 1 and fit_gaussians is not None
