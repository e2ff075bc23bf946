"""Guidance by a model that knows a ball: which sides it is shown, how it pulls, and what becomes of shape and colours."""

import math
from dataclasses import replace

import pytest
import torch
import trimesh

from img23d import config
from img23d.config import Fit, Refine
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError
from img23d.fields.grid import FrozenGrid
from img23d.ops.volume import volume_points
from img23d.options import Ramp
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees
from img23d.scores.schedule import noise_schedule
from img23d.stages.fit import fit
from img23d.stages.guidance_checks import check_guidance
from img23d.stages.guide import ByText, ByView, Guide, draw_mesh, open_guide, resized
from img23d.stages.imagine import Side, elevation_of
from img23d.stages.paint import RING, SIZE, painted
from img23d.stages.refine import pulling, refine

PHOTO = orbit_degrees([0.0], 20.0, 2.4, 40.0)


class Knowing:
    """A model whose latents are pictures, and which wants one thing from every side: pictures (V, S, S, 3) of cameras."""

    betas = ("scaled_linear", 0.00085, 0.012)
    sees, against = "colors", "noise"

    def __init__(self, draw, size=48):
        self.model = self
        self.draw, self.size, self.schedule, self.told = draw, size, noise_schedule(*self.betas), []

    def latents(self, pictures):
        assert pictures.shape[1:] == (self.size, self.size, 3)
        return pictures.permute(0, 3, 1, 2) * 2 - 1

    def noise(self, noisy, step, sides):
        self.told.append((step, sides))
        wanted = self.latents(self.draw(guided_cameras(sides), self.size))
        left = float(self.schedule.alphas_cumprod[step])
        return (noisy - left**0.5 * wanted) / (1 - left) ** 0.5

    def pictures(self, latents):
        return (latents / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


def guided_cameras(sides):
    return orbit_degrees([side.azimuth for side in sides], [side.elevation for side in sides], 2.4, 40.0)


def on_white(ball, color):
    """Pictures of a ball of one colour."""

    def draw(cameras, size):
        cover = ball.views(size, cameras).mask[..., None]
        return torch.tensor(color) * cover + 1 - cover

    return draw


def ball_mesh():
    made = trimesh.creation.icosphere(3, 0.6)
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def guide_of(model, **options):
    options = Guidance(view_model="a model", **options)
    return Guide(PHOTO, ((model, options.view_weight),), options)


def test_sides_spread_from_the_photos_to_all():
    guide, generator = guide_of(None, batch=16, widening=0.5), torch.Generator().manual_seed(0)
    assert {(round(side.azimuth, 3), round(side.elevation, 3)) for side in guide.sides(0.0, generator)} == {(0.0, 20.0)}
    half = [side for _ in range(40) for side in guide.sides(0.25, generator)]
    assert 80 < max(abs(side.azimuth) for side in half) <= 90 and 5 <= min(side.elevation for side in half) < 6
    whole = [side for _ in range(40) for side in guide.sides(0.5, generator)]
    assert 175 < max(side.azimuth for side in whole) <= 180 and -180 <= min(side.azimuth for side in whole) < -175
    assert -10 <= min(side.elevation for side in whole) < -8 and 43 < max(side.elevation for side in whole) <= 45
    assert {len(guide_of(None, widening=0.0, batch=3).sides(0.0, generator))} == {3}


def test_its_cameras_are_as_far_away_as_the_photos_and_as_wide():
    cameras = guide_of(None).cameras([Side(0.0, 20.0), Side(90.0, 0.0)])
    torch.testing.assert_close(cameras.cam_to_world[0], PHOTO.cam_to_world[0])
    torch.testing.assert_close(cameras.focal[1], PHOTO.focal[0])
    torch.testing.assert_close(cameras.position[1], torch.tensor([2.4, 0.0, 0.0]), atol=1e-5, rtol=0)


def test_the_pull_leads_to_what_the_model_wants(ball):
    guide = guide_of(Knowing(on_white(ball, [1.0, 0.0, 0.0])), widening=0.0, view_weight=Ramp(0.7, 0.7))
    shown = torch.rand(1, 32, 32, 3, requires_grad=True)
    loss = guide.pull(lambda cameras, size: {"colors": shown}, 32, 0.5, torch.Generator().manual_seed(4))
    loss.backward()
    ((step, sides),) = guide.pullers[0][0].told
    with torch.no_grad():
        latents = resized(shown, 48) * 2 - 1
        left = float(noise_schedule(*Knowing.betas).alphas_cumprod[step])
        wanted = on_white(ball, [1.0, 0.0, 0.0])(guided_cameras(sides), 48) * 2 - 1
    again = shown.detach().clone().requires_grad_(True)
    ((resized(again, 48) * 2 - 1) * 0.7 * (left * (1 - left)) ** 0.5 * (latents - wanted)).sum().div(latents.numel()).backward()
    torch.testing.assert_close(shown.grad, again.grad, atol=1e-7, rtol=1e-3)


def test_each_model_sees_what_it_is_to_see_and_noise_stays_in_its_bounds(ball):
    seen = {"colors": [], "normals": []}

    class Shown(Knowing):
        def latents(self, pictures):
            seen[self.sees].append(pictures.detach())
            return super().latents(pictures)

    models = [Shown(on_white(ball, [1.0, 0.0, 0.0])), Shown(on_white(ball, [0.0, 0.0, 1.0]))]
    models[1].sees = "normals"
    options = Guidance(least=Ramp(0.3, 0.1), most=Ramp(0.8, 0.2))
    guide, generator = Guide(PHOTO, ((models[0], Ramp(1.0, 1.0)), (models[1], Ramp(0.5, 0.5))), options), torch.Generator().manual_seed(0)
    colors, normals = torch.rand(1, 48, 48, 3), torch.rand(1, 48, 48, 3)
    for now in (0.0, 1.0):
        for _ in range(20):
            guide.pull(lambda cameras, size: {"colors": colors, "normals": normals}, 48, now, generator)
    torch.testing.assert_close(seen["colors"][0], colors, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen["normals"][0], normals, atol=1e-5, rtol=0)
    steps = [step for step, _ in models[0].told]
    early, late = steps[:20], steps[20:]
    assert min(early) >= 300 and max(early) <= 799 and min(late) >= 100 and max(late) <= 200
    guide.pull(lambda cameras, size: {"colors": colors}, 48, 0.5, generator)  # fit shows colours to both
    torch.testing.assert_close(seen["normals"][-2], colors, atol=1e-5, rtol=0)  # the last is what the model wants


def test_a_mesh_is_drawn_on_white_with_normals_that_face_the_camera(ball, context):
    mesh, cameras = ball_mesh(), orbit_degrees([70.0], 10.0, 2.4, 40.0)
    seen = draw_mesh(mesh, lambda points: torch.tensor([0.2, 0.4, 0.6]).expand(len(points), 3), context)(cameras, 64)
    torch.testing.assert_close(seen["colors"][0, 32, 32], torch.tensor([0.2, 0.4, 0.6]), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen["colors"][0, 0, 0], torch.ones(3))
    torch.testing.assert_close(seen["normals"][0, 32, 32], torch.tensor([0.5, 0.5, 1.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(seen["normals"][0, 0, 0], torch.tensor([0.5, 0.5, 1.0]))
    inside = seen["normals"][0][(seen["colors"][0] < 0.99).any(-1)]
    assert float(inside[:, 0].min()) < 0.15 and float(inside[:, 0].max()) > 0.85  # left and right


class Words:
    """A text model that answers with what it is told."""

    betas, picture = ("scaled_linear", 0.00085, 0.012), 64

    def noise(self, noisy, step, told):
        return told.mean((1, 2))[:, None, None, None].expand_as(noisy)


def text_guide(perpendicular):
    told = torch.tensor([1.0, 2.0, 4.0, 8.0])[:, None, None].expand(4, 3, 5)
    return ByText(Words(), torch.zeros(1, 3, 5), told, 10.0, perpendicular, "colors")


def test_words_are_those_of_each_side():
    noise = text_guide(False).noise(torch.zeros(4, 4, 2, 2), 500, [Side(0.0, 0.0), Side(100.0, 0.0), Side(-170.0, 0.0), Side(0.0, 70.0)])
    assert noise[:, 0, 0, 0].tolist() == [10.0, 20.0, 40.0, 80.0]
    # What is not wanted lies in the same direction here: nothing of it is left, and what is wanted is a mixture of sides.
    noise = text_guide(True).noise(torch.zeros(3, 4, 2, 2), 500, [Side(45.0, 0.0), Side(135.0, 0.0), Side(10.0, 70.0)])
    assert noise[:, 0, 0, 0].tolist() == pytest.approx([15.0, 30.0, 80.0])


def test_a_view_model_is_told_turn_and_elevation():
    class Turned(Knowing):
        def noise(self, noisy, step, known, turns):
            self.told.extend(turns)
            return torch.zeros_like(noisy), torch.ones_like(noisy)

    model = Turned(None)
    noise = ByView(model, None, Side(0.0, 20.0), 5.0, 48).noise(torch.zeros(2, 3, 2, 2), 500, [Side(90.0, 20.0), Side(-30.0, -5.0)])
    assert [tuple(turn) for turn in model.told] == [(90.0, 0.0, 20.0), (-30.0, -25.0, 20.0)] and noise[0, 0, 0, 0] == 5.0


def test_a_guided_fit_takes_shape_and_colour_of_what_the_model_knows(ball, context):
    photo, prior = ball.views(64, PHOTO), ball.prior(0.6, confidence=0.8)
    flat = replace(prior, sdf=stretched_ball(len(prior.sdf), 0.35))  # as the photo sees it, but too shallow
    guide = guide_of(Knowing(on_white(ball, [1.0, 0.0, 0.0]), 24), size=24, widening=0.0, least=Ramp(0.02, 0.02), most=Ramp(0.4, 0.4))
    guide = replace(guide, pullers=((guide.pullers[0][0], Ramp(8.0, 8.0)),))
    options = Fit(resolution=24, steps=40, rays=128, samples=24, volume=Ramp(0.5, 0.5), learning_rate=0.02, color_learning_rate=0.4)
    alone, led = fit(photo, flat, options, context), fit(photo, flat, options, context, guide=guide)
    behind = torch.tensor([[0.0, 0.0, -0.52], [0.0, 0.0, -0.4]])
    assert bool((led.sdf(behind) < alone.sdf(behind) - 0.03).all())
    surface = torch.tensor([[0.0, 0.0, -0.5]])
    (red, green, blue), grey = led.color(surface)[0].tolist(), alone.color(surface)[0]
    assert red > 0.7 and green < 0.3 and blue < 0.3
    assert float((grey - 0.5).abs().max()) < 0.05  # as the prior has it


def stretched_ball(resolution, depth):
    """(R, R, R) roughly the distance from a ball of radius .6 that is only so deep."""
    points = volume_points(resolution) / torch.tensor([0.6, 0.6, depth])
    return (points.norm(dim=-1) - 1) * depth


def test_a_guided_refine_grows_to_the_outlines_that_the_model_knows(ball, context):
    photo = ball.views(64, PHOTO)
    field = FrozenGrid(stretched_ball(48, 0.45), torch.full((3, 4, 4, 4), 0.2))
    guide = guide_of(Knowing(on_white(ball, [0.2, 0.2, 0.2]), 64), size=16, widening=0.0, least=Ramp(0.02, 0.02), most=Ramp(0.4, 0.4))
    guide = replace(guide, pullers=((guide.pullers[0][0], Ramp(8.0, 8.0)),))
    options = Refine(resolution=16, steps=40, image_size=64, anchor=Ramp(0.02, 0.02), smooth_unseen=3, subdivisions=0, learning_rate=0.01)
    alone, led = refine(photo, field, options, context), refine(photo, field, options, context, guide=guide)
    depths = [float(mesh.vertices[:, 2].max() - mesh.vertices[:, 2].min()) for mesh in (alone, led)]
    assert depths[0] < 1.0 and depths[1] > depths[0] + 0.015


def test_paintings_go_round_and_can_be_drawn_anew(ball, context):
    field, mesh = FrozenGrid(stretched_ball(32, 0.6), torch.full((3, 4, 4, 4), 0.2)), ball_mesh()
    model = Knowing(on_white(ball, [0.0, 1.0, 0.0]))
    plain = painted(field, mesh, guide_of(model), context)
    assert len(plain) == RING + 2 and plain.rgb.shape == (RING + 2, SIZE, SIZE, 3) and not model.told
    assert math.isclose(elevation_of(plain.cameras[:1]), 20.0, abs_tol=1e-3)
    middle = SIZE // 2
    torch.testing.assert_close(plain.rgb[:, middle, middle], torch.full((RING + 2, 3), 0.2), atol=1e-4, rtol=0)
    assert not plain.depth.any() and not plain.confidence.any()
    anew = painted(field, mesh, guide_of(model, repaint=0.5, repaint_steps=10), context)
    torch.testing.assert_close(anew.rgb[:, middle, middle], torch.tensor([[0.0, 1.0, 0.0]]).expand(RING + 2, 3), atol=0.05, rtol=0)
    torch.testing.assert_close(anew.mask, plain.mask)
    assert max(step for step, _ in model.told) <= 500 and len(model.told) == (RING + 2) * 5


@pytest.mark.parametrize(
    ("own", "bounds"),
    [
        ({}, [(700, 849), (200, 499)]),  # the same course anew
        ({"refine_least": Ramp(0.1, 0.3), "refine_most": Ramp(0.4, 0.35)}, [(100, 399), (300, 349)]),
        ({"refine_most": Ramp(0.9, 0.2)}, [(700, 899), (200, 200)]),
    ],
)
def test_refine_has_bounds_of_the_noise_of_its_own_where_they_are_given(ball, own, bounds):
    options = {"least": Ramp(0.7, 0.2), "most": Ramp(0.85, 0.5), **own}
    for refining, expected in ((False, [(700, 849), (200, 499)]), (True, bounds)):
        guide = replace(guide_of(Knowing(on_white(ball, [1.0, 0.0, 0.0]), 8), **options), refining=refining)
        for now, (low, high) in zip((0.0, 1.0), expected):
            guide.pullers[0][0].told.clear()
            for seed in range(60):
                guide.pull(lambda cameras, size: {"colors": torch.rand(1, 8, 8, 3)}, 8, now, torch.Generator().manual_seed(seed))
            steps = [step for step, _ in guide.pullers[0][0].told]
            assert low - 1 <= min(steps) <= low + 30 and high - 30 <= max(steps) <= high + 1


def test_in_refine_models_pull_as_strongly_as_is_asked_and_are_not_loaded_for_nothing(ball, context):
    mesh, field = ball_mesh(), FrozenGrid(stretched_ball(24, 0.6), torch.full((3, 4, 4, 4), 0.2))

    def pull(**options):
        guide = replace(guide_of(Knowing(on_white(ball, [1.0, 0.0, 0.0]), 64), size=16, widening=0.0, **options), refining=True)
        return float(pulling(guide, field, context)(mesh, None, 0.5, torch.Generator().manual_seed(0)))

    assert pull(refine_weight=0.5) == pytest.approx(0.5 * pull()) and pull() > 0
    options = Guidance(view_model="a model that nobody has", refine_weight=0.0)
    assert open_guide(ball.views(64, PHOTO), ball.prior(0.6), options, context, refining=True) is None


def test_presets_go_on_in_refine_as_their_papers_do():
    def ends(name):
        guidance = config.load(name, ["guidance.prompt=a ball"]).guidance
        check_guidance(replace(guidance, geometry_model=""))
        return [(least.at(now), most.at(now)) for least, most in [guidance.noise(True)] for now in (0.0, 1.0)]

    assert ends("dreamcraft3d") == [(0.2, 0.5), (0.2, 0.5)]  # the bounds of its NeuS and of its DMTet
    assert ends("mvdream") == ends("imagedream") == [(0.02, 0.5), (0.02, 0.5)]  # the noise falls once
    assert ends("sweetdreamer") == [(0.02, 0.98), (0.02, 0.5)]  # its fine stage begins anew
    assert ends("magic123") == ends("consistent123") == [(0.2, 0.6), (0.2, 0.6)]
    assert config.load("dreamgaussian").guidance.refine_weight == 0  # its second stage only paints
    assert config.load("sweetdreamer").guidance.noise(True)[1].at(0.4) == 0.5


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ConfigError, match=r"refine_least=0.2 and guidance.refine_most=0.1 do not rise"):
        check_guidance(Guidance(view_model="x", refine_most=Ramp(0.5, 0.1)))
    with pytest.raises(ConfigError, match=r"guidance.refine_most=-1 do not rise"):
        check_guidance(Guidance(view_model="x", refine_most=Ramp(-1.0, 0.5)))
    with pytest.raises(ConfigError, match="what the object is"):
        check_guidance(Guidance(text_model="stable-diffusion-1-5"))
    with pytest.raises(ConfigError, match="least"):
        check_guidance(Guidance(view_model="x", least=Ramp(0.1, 0.6), most=Ramp(0.8, 0.5)))
    check_guidance(Guidance(text_model="stable-diffusion-1-5", prompt="a mug"))


def test_without_a_model_there_is_no_guide(ball, context):
    assert open_guide(ball.views(64, PHOTO), ball.prior(0.6), Guidance(), context) is None
