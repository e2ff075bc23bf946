"""Guidance by a model that sees four sides at once: which sides they are, what it is told, how it pulls, and what it cannot do."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import img23d.backends.mvdream
from img23d import config, pipeline
from img23d.backends.mvdream import told_cameras
from img23d.config import Fit
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError
from img23d.io.images import save_image
from img23d.options import Ramp
from img23d.scene import Cameras
from img23d.scene.cameras import orbit_degrees
from img23d.scores.rescaling import rescaled
from img23d.scores.schedule import noise_schedule
from img23d.stages import paint
from img23d.stages.fit import fit
from img23d.stages.guidance_checks import check_models
from img23d.stages.guide import Guide, draw_mesh, open_guide, resized
from img23d.stages.imagine import Side
from img23d.stages.pullers import ByGroup, ByText, ByView

sys.path.insert(0, str(Path(__file__).parent))  # stand-ins and tiny models of the neighbouring tests
sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))
from test_guide import PHOTO, ball_mesh, guided_cameras, on_white, stretched_ball
from test_imagine import SMALL

SIZE = 16


class Seeing:
    """A stand-in for the network, whose latents are pictures: told something it sees the ball, from the cameras that it is told, in red;
    told nothing it sees grey, lighter where it is nearer to the front."""

    betas, picture = ("scaled_linear", 0.00085, 0.012), SIZE

    def __init__(self, ball, distance=2.4, fov=40.0):
        self.draw, self.distance, self.fov, self.asked = on_white(ball, [1.0, 0.0, 0.0]), distance, fov, []

    def read(self, texts):
        return torch.tensor([float("3d asset" in text) for text in texts])[:, None, None].expand(-1, 2, 3)

    def latents(self, pictures):
        assert pictures.shape[1:] == (SIZE, SIZE, 3)
        return pictures.permute(0, 3, 1, 2) * 2 - 1

    def clean(self, told, cameras):
        """What it sees, whatever it is shown: (B, 3, S, S)."""
        poses = cameras.unflatten(1, (4, 4))[:, [1, 2, 0, 3]].clone()  # from its frame to ours
        poses[:, :3, 3] *= self.distance
        like = orbit_degrees([0.0] * len(poses), 0.0, self.distance, self.fov)
        red = self.latents(self.draw(Cameras(poses, like.focal, like.center), SIZE))
        grey = (0.1 + 0.9 * cameras[:, 3])[:, None, None, None].expand_as(red)
        return torch.where((told[:, 0, 0] > 0)[:, None, None, None], red, grey)

    def noise(self, noisy, step, told, cameras):
        assert len(noisy) == len(told) == len(cameras) and len(noisy) % 8 == 0
        self.asked.append((step, told[:, 0, 0], cameras))
        left = float(noise_schedule(*self.betas).alphas_cumprod[step])
        return (noisy - left**0.5 * self.clean(told, cameras)) / (1 - left) ** 0.5


def guide_of(model, scale=1.0, rescale=0.0, against="clean", weight=1.0, **options):
    nothing, told = model.read(["", "a ball, 3d asset"])[:, None]
    puller = ByGroup(model, nothing, told, scale, rescale, against)
    return Guide(PHOTO, ((puller, Ramp(weight, weight)),), Guidance(text_model="a model", **options), together=4)


def test_groups_go_round_the_object_and_turn_from_the_photos_own_sides(ball):
    guide, generator = guide_of(Seeing(ball), batch=3, widening=0.5), torch.Generator().manual_seed(0)
    assert guide.sides(0.0, generator) == [Side(azimuth, pytest.approx(20.0)) for azimuth in (0.0, 90.0, 180.0, 270.0)] * 3
    sides = [guide.sides(0.5, generator) for _ in range(60)]
    for drawn in sides:
        assert len(drawn) == 12
        for group in (drawn[:4], drawn[4:8], drawn[8:]):
            assert [side.azimuth - group[0].azimuth for side in group] == pytest.approx([0.0, 90.0, 180.0, 270.0])
            assert len({side.elevation for side in group}) == 1
        assert len({side.elevation for side in drawn}) == 3
    first = [drawn[0] for drawn in sides]
    assert -45 <= min(side.azimuth for side in first) < -38 and 38 < max(side.azimuth for side in first) <= 45
    assert 0 <= min(side.elevation for side in first) < 3 and 27 < max(side.elevation for side in first) <= 30


def test_it_is_told_the_cameras_twice_with_and_without_the_words(ball):
    model = Seeing(ball)
    guide = guide_of(model, scale=7.0)
    sides = [Side(10.0 + 90.0 * number, 15.0) for number in range(4)]
    noisy = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    noise = guide.pullers[0][0].noise(noisy, 500, sides)
    ((step, words, cameras),) = model.asked
    assert step == 500 and words.tolist() == [0.0] * 4 + [1.0] * 4
    wanted = told_cameras(guided_cameras(sides))
    torch.testing.assert_close(cameras, torch.cat([wanted, wanted]), atol=1e-6, rtol=0)
    nothing, told = Seeing(ball).noise(torch.cat([noisy, noisy]), 500, words[:, None, None].expand(-1, 2, 3), cameras).chunk(2)
    torch.testing.assert_close(noise, nothing + 7 * (told - nothing), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("against", ["clean", "noise"])
def test_the_pull_is_the_distance_from_what_four_sides_are_seen_as(ball, against):
    model = Seeing(ball)
    guide = guide_of(model, 50.0, 0.9, against, weight=0.7, widening=0.0, batch=2)
    shown = torch.rand(8, 32, 32, 3, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    guide.pull(lambda cameras, size: {"colors": shown}, 32, 0.5, torch.Generator().manual_seed(4)).backward()
    ((step, told, cameras),) = model.asked
    grey, red = model.clean(told[:, None, None], cameras).chunk(2)
    wild = grey + 50 * (red - grey)
    factors = [red[group].std() / wild[group].std() for group in (slice(0, 4), slice(4, 8))]
    seen = torch.cat([wild[:4] * (0.9 * factors[0] + 0.1), wild[4:] * (0.9 * factors[1] + 0.1)])
    left = float(noise_schedule(*model.betas).alphas_cumprod[step])
    weight = 0.7 if against == "clean" else 0.7 * (left * (1 - left)) ** 0.5
    again = shown.detach().clone().requires_grad_(True)
    latents = resized(again, SIZE).permute(0, 3, 1, 2) * 2 - 1
    (latents * weight * (latents.detach() - seen)).sum().div(latents.numel()).backward()
    torch.testing.assert_close(shown.grad, again.grad, atol=1e-6, rtol=2e-3)


def test_a_guided_fit_takes_shape_and_colour_of_what_the_model_knows(ball, context):
    photo, flat = ball.views(64, PHOTO), replace(ball.prior(0.6, confidence=0.8), sdf=stretched_ball(40, 0.35))  # too shallow
    guide = guide_of(Seeing(ball), size=SIZE, widening=0.0, least=Ramp(0.02, 0.02), most=Ramp(0.4, 0.4))
    options = Fit(resolution=24, steps=30, rays=128, samples=24, volume=Ramp(0.5, 0.5), learning_rate=0.02, color_learning_rate=0.4)
    alone, led = fit(photo, flat, options, context), fit(photo, flat, options, context, guide=guide)
    behind = torch.tensor([[0.0, 0.0, -0.52], [0.0, 0.0, -0.4]])
    assert bool((led.sdf(behind) < alone.sdf(behind) - 0.03).all())
    (red, green, blue), grey = led.color(torch.tensor([[0.0, 0.0, -0.5]]))[0].tolist(), alone.color(torch.tensor([[0.0, 0.0, -0.5]]))[0]
    assert red > 0.7 and green < 0.3 and blue < 0.3 and float((grey - 0.5).abs().max()) < 0.05


def group_folder(folder, words=0):
    """What such a model is known by, and a file of weights that nobody reads here."""
    from safetensors.torch import save_file

    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "config.json").write_text(json.dumps({"_class_name": "MultiViewUNetModel", "ip_dim": words}))
    save_file({"nothing": torch.zeros(1)}, folder / "unet" / "diffusion_pytorch_model.safetensors")
    return folder


def test_a_whole_run_with_the_presets_loss(ball, tmp_path, monkeypatch):
    model = Seeing(ball, fov=45.0)
    monkeypatch.setattr(paint, "SIZE", 64)
    monkeypatch.setattr(paint, "RING", 2)
    monkeypatch.setattr(img23d.backends.mvdream, "load", lambda path, device: model)
    views = ball.views(200, orbit_degrees([0.0], 12.0, 2.4, 40.0))
    save_image(tmp_path / "ball.png", torch.cat([views.rgb[0], views.mask[0, ..., None]], -1))
    folder = group_folder(tmp_path / "no name that tells")
    options = [
        *SMALL,
        "guidance.size=16",
        f"guidance.text_model={folder}",
        "guidance.prompt=a ball",
        "fit.steps=3",
        "refine.steps=2",
        "texture.faces=200",
        "refine.image_size=32",
        "texture.size=64",
    ]
    made = pipeline.generate(tmp_path / "ball.png", tmp_path / "out", config.load("mvdream", options))
    assert made.path.is_file() and {"fit", "refine", "paint", "texture"} <= set(made.seconds)
    assert len(model.asked) == 5 and all(len(cameras) == 8 for _, _, cameras in model.asked)  # each step, told nothing and all
    assert max(step for step, _, _ in model.asked[:1]) == round(0.98 * 999)
    for _, _, cameras in model.asked:
        places = cameras[:4].unflatten(1, (4, 4))[:, :3, 3]
        assert float(places[:, :2].sum(0).norm()) < 1e-5  # four sides evenly round the upright axis
    again = pipeline.generate(tmp_path / "ball.png", tmp_path / "out", config.load("mvdream", options))
    assert not {"fit", "refine", "paint"} & set(again.seconds)


@pytest.mark.parametrize(
    ("kinds", "changes", "reason"),
    [
        ((None, "mv"), ["guidance.repaint=0.4"], "single pictures"),
        (("image", None), ["guidance.repaint=0.4"], "single pictures"),
        ((None, "mv"), ["guidance.text_sees=normals"], "not normals"),
        (("mv", None), [], "does not know the photo"),
        ((None, "image"), [], "told of the photo"),
        ((None, "mv"), ["guidance.prompt="], "what the object is"),
    ],
)
def test_what_it_cannot_do_is_refused_before_any_work(ball, context, tmp_path, kinds, changes, reason):
    folders, photo, steps = {"mv": group_folder(tmp_path / "one"), "image": group_folder(tmp_path / "two", 16)}, tmp_path / "ball.png", []
    save_image(photo, torch.rand(64, 64, 3))
    named = [f"guidance.{option}={folders.get(kind, '')}" for option, kind in zip(("view_model", "text_model"), kinds)]
    options = config.load("mvdream", [*named, "guidance.prompt=a ball", *changes])
    with pytest.raises(ConfigError, match=reason):
        pipeline.generate(photo, tmp_path / "out", options, report=lambda *told: steps.append(told))
    assert not steps
    if options.guidance.prompt:
        with pytest.raises(ConfigError, match=reason):
            open_guide(ball.views(64, PHOTO), ball.prior(0.6), options.guidance, context)


def test_what_others_can_do_beside_it_is_not_refused(tmp_path):
    several, single = group_folder(tmp_path / "group", 16), tmp_path
    check_models(Guidance(repaint=0.4, text_sees="normals"), several, single)  # the text model paints and sees normals
    check_models(Guidance(repaint=0.4), single, None)
    check_models(Guidance(), several, None)


def test_the_network_pulls_at_a_mesh_beside_a_view_model_that_sees_the_same_sides(ball, context, tmp_path):
    from test_mvdream import tiny_mvdream
    from test_zero123 import tiny_zero123

    models = tiny_zero123(tmp_path / "zero123"), tiny_mvdream(tmp_path / "mv")
    preset = config.load("mvdream", ["guidance.prompt=a ball"]).guidance
    guide = open_guide(
        ball.views(96, PHOTO), ball.prior(0.6), replace(preset, view_model=str(models[0]), text_model=str(models[1])), context
    )
    assert guide.together == 4 and [type(puller).__name__ for puller, _ in guide.pullers] == ["ByView", "ByGroup"]
    told = []
    for puller, _ in guide.pullers:
        noise = type(puller).noise
        object.__setattr__(puller, "noise", lambda noisy, step, sides, n=noise, p=puller: told.append(sides) or n(p, noisy, step, sides))
    mesh = ball_mesh()
    mesh.vertices.requires_grad_(True)
    loss = guide.pull(draw_mesh(mesh, lambda points: 0.5 + 0.4 * points, context), 64, 0.5, context.generator())
    loss.backward()
    assert float(loss.detach()) > 0 and bool(mesh.vertices.grad.isfinite().all()) and bool((mesh.vertices.grad != 0).any())
    assert told[0] == told[1] and len(told[0]) == 4


def test_a_model_that_is_told_the_photo_and_four_cameras_pulls_at_a_mesh(ball, context, tmp_path):
    from test_imagedream import tiny_imagedream

    preset = replace(config.load("imagedream").guidance, view_model=str(tiny_imagedream(tmp_path / "image")), batch=2)
    mesh = ball_mesh()
    mesh.vertices.requires_grad_(True)

    def loss(photo, options):
        guide = open_guide(photo, ball.prior(0.6), options, context)
        assert guide.together == 4 and guide.pullers[0][0].size == 64
        return guide.pull(draw_mesh(mesh, lambda points: 0.5 + 0.4 * points, context), 64, 0.5, context.generator())

    views = ball.views(96, PHOTO)
    first = loss(views, preset)
    first.backward()
    assert bool(mesh.vertices.grad.isfinite().all()) and bool((mesh.vertices.grad != 0).any())
    with torch.no_grad():
        torch.testing.assert_close(loss(views, preset), first)
        assert not torch.isclose(loss(replace(views, rgb=1 - views.rgb), preset), first, rtol=1e-4)
        assert not torch.isclose(loss(views, replace(preset, prompt="a ball")), first, rtol=1e-5)


def test_the_presets_have_the_papers_numbers():
    options = config.load("imagedream").guidance
    assert (options.view_model, options.view_scale, options.view_rescale, options.view_loss) == ("imagedream", 5.0, 0.2, "clean")
    options = config.load("mvdream").guidance
    assert (options.text_model, options.text_scale, options.text_rescale, options.text_loss) == ("mvdream", 50.0, 0.5, "clean")
    assert [options.least.at(now) for now in (0.0, 0.8, 1.0)] == [0.98, 0.02, 0.02]
    assert [options.most.at(now) for now in (0.0, 0.4, 1.0)] == pytest.approx([0.98, 0.74, 0.5])


class Single:
    """A stand-in for the networks of one side: told something it sees noise of its own, told nothing half of it."""

    betas, picture = ("scaled_linear", 0.00085, 0.012), SIZE

    def noise(self, noisy, step, known, turns=None):
        seen = noisy.roll(1, -1)
        return (0.5 * seen, seen) if turns else torch.cat([0.5 * seen[:1], seen[1:]])


@pytest.mark.parametrize("kind", ["view", "text"])
def test_models_of_one_side_can_take_contrast_back_too(kind):
    told = torch.zeros(4, 2, 3)
    by = {
        "view": ByView(Single(), None, Side(0.0, 20.0), 30.0, SIZE, rescale=0.8),
        "text": ByText(Single(), told[:1], told, 30.0, False, "colors", 0.8),
    }
    noisy = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 2.0, 3.0])[:, None, None, None]
    found = by[kind].noise(noisy, 500, [Side(10.0, 0.0), Side(100.0, 0.0), Side(170.0, 0.0)])
    seen = noisy.roll(1, -1)
    wanted = rescaled(15.5 * seen, seen, noisy, noise_schedule(*Single.betas), 500, 0.8)  # .5 + 30 * .5, each side by itself
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_what_is_asked_of_each_model_reaches_it(ball, context, tmp_path):
    from test_stable_diffusion import tiny_stable_diffusion
    from test_zero123 import tiny_zero123

    options = Guidance(
        view_model=str(tiny_zero123(tmp_path / "view")), text_model=str(tiny_stable_diffusion(tmp_path / "text")), prompt="a ball",
        view_rescale=0.3, view_loss="clean", text_rescale=0.6, text_loss="noise",
    )  # fmt: skip
    guide = open_guide(ball.views(96, PHOTO), ball.prior(0.6), options, context)
    assert [(puller.rescale, puller.against) for puller, _ in guide.pullers] == [(0.3, "clean"), (0.6, "noise")] and guide.together == 1
