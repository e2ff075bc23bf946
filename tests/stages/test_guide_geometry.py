"""Guidance by a model that sees the shape alone: its maps of mesh and field, how it pulls, when it pulls, and what it cannot do."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from img23d import config, pipeline
from img23d.backends.coordinates_network import BETAS
from img23d.config import Fit
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError, WeightsError
from img23d.io.images import save_image
from img23d.ops.coordinates import MARGIN, cameras_about, canonical, coordinate_maps, told_cameras
from img23d.ops.volume import volume_points
from img23d.options import Ramp
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees
from img23d.scores.schedule import noise_schedule
from img23d.stages.coordinates import ByCoordinates, Surface, cameras_of, mesh_surface
from img23d.stages.fit import field_surface, fit
from img23d.stages.guidance_checks import check_guidance
from img23d.stages.guide import Guide, draw_mesh, open_guide
from img23d.stages.imagine import Side
from img23d.stages.options import guided_options

sys.path.insert(0, str(Path(__file__).parent))  # stand-ins and tiny models of the neighbouring tests
sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))
from test_guide import PHOTO, Knowing, ball_mesh, on_white
from test_imagine import SMALL

REACH = torch.tensor([0.6, 0.6, 0.3])  # of the ellipsoid that the model knows


def ellipsoid_points(reach: torch.Tensor):
    """Draws where an ellipsoid at the origin lies, exactly along the rays; its outline is soft over half a pixel."""

    def points(cameras, size):
        origins, directions = cameras.rays(size, size)
        o, d = origins / reach, directions / reach
        a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
        depth = (-b - (b * b - a * c).clamp_min(0).sqrt()) / a
        miss = (c + 1 - b * b / a).clamp_min(0).sqrt()
        cover = ((1 - miss) * 0.25 * size + 0.5).clamp(0, 1)
        return (origins + depth[..., None] * directions) * cover[..., None], cover

    return points


class Shapely:
    """A stand-in for the network: told something it sees the maps of an ellipsoid, from the cameras that it is told; told nothing, empty
    ones."""

    betas, size = BETAS, 32

    def __init__(self, reach=REACH):
        self.reach, self.asked = reach, []

    def read(self, texts):
        return torch.tensor([float(bool(text)) for text in texts])[:, None, None].expand(-1, 2, 3)

    def latents(self, maps):
        assert maps.shape[1:] == (self.size, self.size, 4)
        return maps.permute(0, 3, 1, 2)

    def clean(self, told, cameras):
        """(B, 4, S, S) what it sees, whatever it is shown."""
        rows = cameras.unflatten(1, (3, 4))
        poses = torch.zeros(len(cameras), 4, 4)
        poses[:, 0], poses[:, 1], poses[:, 2], poses[:, 3, 3] = rows[:, 0], rows[:, 2], -rows[:, 1], 1.0  # from the maps' frame to ours
        like = cameras_of([Side(0.0, 0.0)] * len(cameras))
        bounds = torch.stack([-self.reach, self.reach])
        about = cameras_about(replace(like, cam_to_world=poses), bounds)
        seen = self.latents(coordinate_maps(*ellipsoid_points(self.reach)(about, self.size), bounds))
        empty = torch.zeros_like(seen)
        empty[:, 3] = -1
        return torch.where((told[:, 0, 0] > 0)[:, None, None, None], seen, empty)

    def noise(self, noisy, step, told, cameras):
        assert len(noisy) == len(told) == len(cameras) and cameras.shape[1:] == (12,)
        self.asked.append((step, told[:, 0, 0], cameras))
        left = float(noise_schedule(*self.betas).alphas_cumprod[step])
        return (noisy - left**0.5 * self.clean(told, cameras)) / (1 - left) ** 0.5


def puller_of(model, scale=1.0):
    words = model.read(["", "an ellipsoid"])
    return ByCoordinates(model, words[:1], words[1:], scale)


def guide_of(model, weight=1.0, scale=1.0, pullers=(), **options):
    ramp = weight if isinstance(weight, Ramp) else Ramp(weight, weight)
    return Guide(PHOTO, pullers, Guidance(geometry_model="a model", widening=0.0, **options), geometry=(puller_of(model, scale), ramp))


def never(*_):
    raise AssertionError("asked for without need")


def stretched(mesh: Mesh, scale: torch.Tensor) -> Mesh:
    return Mesh(mesh.vertices * scale, mesh.faces)


def test_the_maps_of_a_ball_as_mesh_and_as_field_are_its_own_places(context) -> None:
    """Mesh and volume rendering against the sphere's equation, inside of the outline."""
    sides, puller = [Side(0.0, 20.0), Side(140.0, -5.0)], puller_of(Shapely())
    sdf = (volume_points(64).norm(dim=-1) - 0.6).reshape(64, 64, 64)
    slope, color = torch.stack(torch.gradient(sdf, spacing=2 / 63)[::-1]), torch.full((3, 4, 4, 4), 0.5)
    options = Fit(samples=64, sharpness=Ramp(300.0, 300.0))
    field = field_surface(sdf, slope, color, options, 0.5, context.generator())
    exact = Surface(torch.tensor([[-0.6] * 3, [0.6] * 3]), ellipsoid_points(torch.full((3,), 0.6)))
    wanted = puller.latents(exact, sides)
    inside = F.max_pool2d(-wanted[:, 3:], 5, 1, 2)[:, 0] == -1  # two pixels from the edge
    assert 0.05 < float(inside.float().mean()) < 0.5
    torch.testing.assert_close(wanted[:, :3].norm(dim=1)[inside], torch.full((int(inside.sum()),), 1 / MARGIN), atol=1e-5, rtol=0)
    for surface, exactness in ((mesh_surface(ball_mesh(), context), 0.02), (field, 0.04)):
        seen = puller.latents(surface, sides).permute(0, 2, 3, 1)
        torch.testing.assert_close(surface.bounds, exact.bounds, atol=0.002, rtol=0)
        torch.testing.assert_close(seen[inside], wanted.permute(0, 2, 3, 1)[inside], atol=exactness, rtol=0)
        torch.testing.assert_close(seen[:, 0, 0], torch.tensor([[0.0, 0.0, 0.0, -1.0]]).expand(2, 4), atol=1e-3, rtol=0)


def test_it_is_told_its_own_cameras_and_guided_by_words() -> None:
    model, sides = Shapely(), [Side(10.0, 15.0), Side(200.0, 0.0)]
    noisy = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = puller_of(model, 7.0).noise(noisy, 500, sides)
    ((step, words, cameras),) = model.asked
    assert step == 500 and words.tolist() == [0.0, 0.0, 1.0, 1.0]
    torch.testing.assert_close(cameras, told_cameras(cameras_of(sides)).repeat(2, 1))
    torch.testing.assert_close(cameras_of(sides).position.norm(dim=-1), torch.full((2,), 1.5))
    nothing, told = Shapely().noise(torch.cat([noisy, noisy]), 500, words[:, None, None].expand(-1, 2, 3), cameras).chunk(2)
    torch.testing.assert_close(seen, nothing + 7 * (told - nothing), atol=1e-5, rtol=1e-4)
    model.asked.clear()
    puller_of(model, 1.0).noise(noisy, 500, sides)
    wordless = ByCoordinates(model, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), 20.0)
    wordless.noise(noisy, 500, sides)
    assert [len(cameras) for _, _, cameras in model.asked] == [2, 2]  # nothing to be guided by: half as many


def test_the_pull_is_towards_what_the_model_sees(context) -> None:
    model, mesh = Shapely(), ball_mesh()
    guide = guide_of(model, 0.7, batch=2)
    scale = torch.ones(3, requires_grad=True)
    guide.pull(never, 32, 0.5, torch.Generator().manual_seed(4), lambda: mesh_surface(stretched(mesh, scale), context)).backward()
    ((step, told, cameras),) = model.asked
    again = torch.ones(3, requires_grad=True)
    sides = guide.sides(0.5, torch.Generator().manual_seed(4))
    torch.testing.assert_close(told_cameras(cameras_of(sides)), cameras)
    latents = puller_of(model).latents(mesh_surface(stretched(mesh, again), context), sides)
    left = float(noise_schedule(*BETAS).alphas_cumprod[step])
    weight = 0.7 * (left * (1 - left)) ** 0.5
    (latents * weight * (latents.detach() - model.clean(told[:, None, None], cameras))).sum().div(latents.numel()).backward()
    torch.testing.assert_close(scale.grad, again.grad, atol=1e-6, rtol=2e-3)


def test_a_ball_becomes_the_ellipsoid_that_the_model_knows(context) -> None:
    """By its three extents alone: the maps know no size, so the proportions are what they must come to."""
    mesh, generator = ball_mesh(), torch.Generator().manual_seed(1)
    guide = guide_of(Shapely(), least=Ramp(0.02, 0.02), most=Ramp(0.6, 0.6), batch=2)
    logarithms = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logarithms], lr=0.05, betas=(0.8, 0.95))
    for step in range(40):
        loss = guide.pull(never, 32, step / 40, generator, lambda: mesh_surface(stretched(mesh, logarithms.exp()), context))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    width, height, depth = logarithms.detach().exp().tolist()
    assert height / width == pytest.approx(1.0, abs=0.08) and depth / width == pytest.approx(0.5, abs=0.08)


def test_a_guided_fit_takes_the_depth_that_the_model_knows(ball, context) -> None:
    photo, prior = ball.views(64, PHOTO), ball.prior(0.6, confidence=0.8)
    guide = guide_of(Shapely(), 8.0, least=Ramp(0.02, 0.02), most=Ramp(0.4, 0.4))
    options = Fit(resolution=24, steps=24, rays=128, samples=24, volume=Ramp(0.5, 0.5), learning_rate=0.02)
    alone, led = fit(photo, prior, options, context), fit(photo, prior, options, context, guide=guide)
    behind = torch.tensor([[0.0, 0.0, -0.5], [0.1, 0.1, -0.45]])
    assert bool((alone.sdf(behind) < 0).all()) and bool((led.sdf(behind) > alone.sdf(behind) + 0.05).all())


def test_it_pulls_when_its_weight_says_so_and_looks_are_not_drawn_before_they_count(ball, context) -> None:
    model, looks = Shapely(), Knowing(on_white(ball, [1.0, 0.0, 0.0]), 16)
    ramps = [Ramp(20.0, 1.0, 0.25, 0.25), Ramp(0.0, 1.0, 0.25, 0.25)]
    guide = guide_of(model, ramps[0], pullers=((looks, ramps[1]),), weights_once=True)
    mesh, generator = ball_mesh(), torch.Generator().manual_seed(0)
    surface, drawn = partial(mesh_surface, mesh, context), []

    def draw(cameras, size):
        drawn.append(size)
        return {"colors": torch.zeros(len(cameras), size, size, 3)}

    def asked(now, guide=guide, surface=surface):
        before = len(model.asked), len(looks.told), len(drawn)
        guide.pull(draw, 16, now, generator, surface)
        return len(model.asked) - before[0], len(looks.told) - before[1], len(drawn) - before[2]

    assert asked(0.1) == asked(0.25) == (1, 0, 0) and asked(0.26) == (1, 1, 1)
    assert asked(0.1, replace(guide, refining=True)) == (1, 1, 1)  # the course was run in fit
    again = replace(guide, refining=True, options=replace(guide.options, weights_once=False))
    assert asked(0.1, again) == (1, 0, 0)
    idle = replace(guide, geometry=(guide.geometry[0], Ramp(0.0, 0.0)))
    assert asked(0.5, idle, never) == (0, 1, 1)
    level = {"least": Ramp(0.5, 0.5), "most": Ramp(0.5, 0.5)}
    alone = guide_of(Shapely(), ramps[0], **level)
    strong, weak = (float(alone.pull(never, 16, now, torch.Generator().manual_seed(2), surface)) for now in (0.2, 0.3))
    assert strong == pytest.approx(20 * weak)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny network of coordinate maps that knows words, and the Stable Diffusion that it began from."""
    pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
    pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")
    from test_coordinates import tiny_coordinates
    from test_stable_diffusion import tiny_stable_diffusion

    place = tmp_path_factory.mktemp("models")
    base = tiny_stable_diffusion(place / "stable-diffusion")
    return tiny_coordinates(place / "coordinates", base), base


def test_the_networks_pull_at_a_mesh_beside_each_other(ball, context, folders) -> None:
    geometry, text = folders
    options = Guidance(geometry_model=str(geometry), text_model=str(text), prompt="a ball", widening=0.0, batch=2, geometry_scale=3.0)
    views, mesh = ball.views(96, PHOTO), ball_mesh()

    def loss(options, seed=0):
        guide = open_guide(views, ball.prior(0.6), options, context)
        draw = draw_mesh(mesh, lambda points: 0.5 + 0.4 * points, context)
        return guide.pull(draw, 64, 0.5, torch.Generator().manual_seed(seed), partial(mesh_surface, mesh, context))

    mesh.vertices.requires_grad_(True)
    first = loss(options)
    first.backward()
    assert bool(mesh.vertices.grad.isfinite().all()) and bool((mesh.vertices.grad != 0).any())
    alone = replace(options, text_model="", prompt="")
    with torch.no_grad():
        torch.testing.assert_close(loss(options), first)
        assert open_guide(views, ball.prior(0.6), alone, context).pullers == ()
        assert not torch.isclose(loss(alone), loss(replace(alone, prompt="a ball")), rtol=1e-5)  # words reach it, if there are some


def test_a_whole_run_with_the_preset(ball, tmp_path, folders) -> None:
    views = ball.views(200, orbit_degrees([0.0], 12.0, 2.4, 40.0))
    save_image(tmp_path / "ball.png", torch.cat([views.rgb[0], views.mask[0, ..., None]], -1))
    geometry, text = folders
    options = [
        *SMALL, "guidance.size=16", f"guidance.geometry_model={geometry}", f"guidance.text_model={text}", "guidance.prompt=a ball",
        "fit.steps=5", "refine.steps=2", "refine.image_size=32", "texture.faces=200", "texture.size=64", "fit.resolution=24",
    ]  # fmt: skip
    alone = [*options, "guidance.text_model=", "guidance.prompt="]
    made = pipeline.generate(tmp_path / "ball.png", tmp_path / "out", config.load("sweetdreamer", alone))
    assert made.path.is_file() and {"fit", "refine", "texture"} <= set(made.seconds)
    assert "paint" not in made.seconds  # colours were not guided
    again = pipeline.generate(tmp_path / "ball.png", tmp_path / "out", config.load("sweetdreamer", alone))
    assert not {"fit", "refine"} & set(again.seconds)


def test_fit_and_refine_depend_on_its_weights(tmp_path) -> None:
    model = tmp_path / "unet.safetensors"
    model.write_bytes(b"one")
    options = replace(config.load("standard"), guidance=Guidance(geometry_model=str(tmp_path)))
    first = guided_options(options, options.fit)
    assert first != options.fit and first == guided_options(options, options.fit)
    model.write_bytes(b"two")
    assert guided_options(options, options.fit) != first


def test_what_cannot_be_is_refused_before_any_work(ball, tmp_path, folders, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    geometry, text = folders
    save_image(tmp_path / "ball.png", torch.rand(64, 64, 3))
    steps, alone = [], "guidance.text_model="
    for changes, error, reason in (
        ([alone], ConfigError, "never released: train your own"),
        ([alone, f"guidance.geometry_model={text}"], WeightsError, "not told cameras"),
        ([alone, f"guidance.geometry_model={tmp_path / 'gone'}"], WeightsError, "neither a known name nor a path"),
        ([alone, f"guidance.geometry_model={geometry}", "guidance.repaint=0.4"], ConfigError, "draw pictures anew"),
        ([f"guidance.geometry_model={geometry}", f"guidance.text_model={text}", "guidance.prompt="], ConfigError, "what the object is"),
    ):
        options = config.load("sweetdreamer", ["offline=true", "guidance.prompt=a ball", *changes])
        with pytest.raises(error, match=reason):
            pipeline.generate(tmp_path / "ball.png", tmp_path / "out", options, report=lambda *told: steps.append(told))
    assert not steps
    (tmp_path / "sweetdreamer").mkdir()
    check_guidance(Guidance(geometry_model="sweetdreamer"))  # a folder of that name is one's own


def test_the_preset_has_the_papers_numbers() -> None:
    options = config.load("sweetdreamer").guidance
    assert [options.geometry_weight.at(now) for now in (0.0, 0.25, 0.26, 1.0)] == [20.0, 20.0, 1.0, 1.0]
    assert [options.text_weight.at(now) for now in (0.0, 0.25, 0.26, 1.0)] == [0.0, 0.0, 1.0, 1.0]
    assert options.least.at(0.5) == 0.02 and [options.most.at(now) for now in (0.0, 0.83, 1.0)] == pytest.approx([0.98, 0.5, 0.5])
    assert (options.geometry_scale, options.text_scale, options.weights_once) == (20.0, 100.0, True)


def test_our_frame_and_the_maps_agree() -> None:
    torch.testing.assert_close(canonical(torch.tensor([[1.0, 2.0, 3.0]])), torch.tensor([[1.0, -3.0, 2.0]]))
