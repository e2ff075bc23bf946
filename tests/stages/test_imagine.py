"""Drawn views by a model that knows what it should draw: where cameras go, and what becomes of the pictures."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from img23d import config, pipeline
from img23d.backends.rasterizers import choose_rasterizer
from img23d.backends.tetrahedra import choose_tetrahedra
from img23d.convert import convert
from img23d.diffusion_options import Multiview
from img23d.errors import FitError
from img23d.io.images import save_image
from img23d.io.meshes import load_mesh
from img23d.priors import hull
from img23d.record import reopen
from img23d.refinement import refine_run
from img23d.scene.cameras import orbit_degrees
from img23d.scores.schedule import noise_schedule
from img23d.stages import imagine
from img23d.stages.context import Context
from img23d.stages.imagine import FRAME, PICTURE, Side, drawn_around, joined_up, on_white, planned, wide_camera

SMALL = [
    "threads=1", "prior.kind=inflate", "prior.resolution=32", "fit.resolution=32", "fit.steps=6", "fit.rays=128", "refine.resolution=16",
    "refine.steps=4", "refine.image_size=64", "texture.faces=600", "texture.size=128", "texture.synthesis=false", "segment.size=256",
    "export.viewer=false",
]  # fmt: skip


class Painter:
    """A model whose latents are pictures of 256 px, and which draws a ball whose colours tell its sides apart."""

    latent_size = PICTURE
    betas = ("scaled_linear", 0.00085, 0.012)

    def __init__(self, ball, elevation, distance=2.4, fov=40.0):
        self.ball, self.elevation, self.distance, self.fov = ball, elevation, distance, fov
        self.schedule, self.turns = noise_schedule(*self.betas), []

    def look(self, picture):
        assert picture.shape == (PICTURE, PICTURE, 3)
        return picture

    def noise(self, noisy, step, known, turns):
        cameras = orbit_degrees([t.azimuth_deg for t in turns], [self.elevation + t.elevation_deg for t in turns], self.distance, self.fov)
        self.turns.extend(turn for turn in turns if turn not in self.turns)
        views = self.ball.views(PICTURE, cameras)
        pictures = views.rgb * views.mask[..., None] + 1 - views.mask[..., None]
        wanted = F.pad(pictures.permute(0, 3, 1, 2) * 2 - 1, (0, 0, 0, 0, 0, 1))
        left = float(self.schedule.alphas_cumprod[step])
        noise = (noisy - left**0.5 * wanted) / (1 - left) ** 0.5
        return torch.zeros_like(noise), noise / 3.0  # so that guidance by 3 is needed

    def pictures(self, latents):
        return (latents[:, :3] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


@pytest.fixture(autouse=True)
def coarse_hull(monkeypatch):
    """Hulls of fewer samples: how well cameras are found by them is tested where they are made."""
    for name, count in (("GRID", 24), ("LOOK", 24), ("SAMPLES", 24)):
        monkeypatch.setattr(hull, name, count)


@pytest.fixture(scope="module")
def drawn_three(ball):
    """Three sides that a model drew right, of which nobody but the reader makes anything."""
    context = Context(torch.device("cpu"), choose_rasterizer("numba"), choose_tetrahedra("torch"))
    return drawn_around(photo_of(ball), ball.prior(0.6), Painter(ball, 20.0), Multiview(views=3, steps=2), context)


def photo_of(ball, elevation=20.0, size=128):
    return ball.views(size, orbit_degrees([0.0], elevation, 2.4, 40.0))


def test_a_ring_goes_evenly_round_and_stays_as_high():
    (only,) = planned(Multiview(views=7, steps=40), Side(0.0, 20.0))
    assert [side.azimuth for side in only.wanted] == [45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0]
    assert {side.elevation for side in only.wanted} == {20.0} and only.steps == 40


def test_one_2_3_45_draws_eight_sides_and_four_round_each():
    rounds = planned(Multiview(plan="one-2-3-45", steps=75), Side(0.0, 20.0))
    first, *second = rounds
    assert [side.azimuth for side in first.wanted] == [90.0, 180.0, 270.0, 30.0, 120.0, 210.0, 300.0] and first.steps == 75
    assert [side.elevation for side in first.wanted] == [20.0] * 3 + [-10.0] * 4  # polar angle 70: 30 lower
    assert [round_.known for round_ in second] == [Side(0.0, 20.0), *first.wanted] and {round_.steps for round_ in second} == {50}
    assert all(math.dist(side, round_.known) == pytest.approx(10.0) for round_ in second for side in round_.wanted)
    assert sum(len(round_.wanted) for round_ in rounds) == 39
    assert planned(Multiview(plan="one-2-3-45"), Side(0.0, 5.0))[0].wanted[3].elevation == 35.0  # polar angle 85: 30 higher


def test_the_model_is_shown_the_whole_object_on_white_where_the_photo_has_it(ball):
    photo, prior = photo_of(ball), ball.prior(0.6)
    camera = wide_camera(photo.cameras, prior)
    outline = camera.project(photo.cameras.position * 0 + torch.eye(3) * 0.6)[0, :, :2]
    assert float((outline - 0.5).abs().max()) < FRAME / 2 + 0.02
    picture = on_white(photo, camera)
    expected = ball.views(PICTURE, camera)
    wanted = expected.rgb * expected.mask[..., None] + 1 - expected.mask[..., None]
    assert float((picture - wanted).abs().mean()) < 0.01
    assert picture[0].eq(1).all() and picture[:, -1].eq(1).all()


def test_drawn_views_are_seen_by_the_cameras_they_were_asked_for(ball, context):
    photo, prior = photo_of(ball), ball.prior(0.6)
    camera = wide_camera(photo.cameras, prior)
    fov = math.degrees(2 * math.atan(0.5 / float(camera.focal[0, 0])))
    model = Painter(ball, 20.0, 2.4, fov)
    drawn = drawn_around(photo, prior, model, Multiview(views=3, steps=4, batch=2), context)
    assert [turn[:2] for turn in model.turns] == [(90.0, 0.0), (180.0, 0.0), (270.0, 0.0)]
    assert all(turn.from_elevation_deg == pytest.approx(20.0, abs=1e-3) for turn in model.turns)
    wanted = ball.views(PICTURE, drawn.cameras)
    overlap = (drawn.mask.minimum(wanted.mask).sum((1, 2)) / drawn.mask.maximum(wanted.mask).sum((1, 2))).min()
    assert float(overlap) > 0.95
    inside = (wanted.mask > 0.99) & (drawn.mask > 0.99)
    assert float((drawn.rgb - wanted.rgb)[inside].abs().mean()) < 0.02  # noise of step 0 stays
    assert not drawn.confidence.any()


def test_the_second_round_is_drawn_from_the_first(ball, context, monkeypatch):
    monkeypatch.setattr(imagine, "plain_background_alpha", lambda picture: picture.amin(-1).lt(0.9).float())  # of 39 pictures
    photo, prior = photo_of(ball), ball.prior(0.6)
    camera = wide_camera(photo.cameras, prior)
    model = Painter(ball, 20.0, 2.4, math.degrees(2 * math.atan(0.5 / float(camera.focal[0, 0]))))
    shown = []
    model.look = lambda picture: shown.append(picture) or picture
    model.noise = lambda noisy, step, known, turns: Painter.noise(model, noisy, step, known, [turns[0]] * len(turns))
    drawn_around(photo, prior, model, Multiview(plan="one-2-3-45", steps=2, batch=64), context)
    assert len(shown) == 9 and torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])


def test_pictures_without_an_object_are_left_out_and_told(ball, context):
    photo, prior = photo_of(ball), ball.prior(0.6)
    model = Painter(ball, 20.0)
    pictures = Painter.pictures
    model.pictures = lambda latents: torch.cat([pictures(model, latents)[:1], torch.ones_like(pictures(model, latents)[1:])])
    drawn = drawn_around(photo, prior, model, Multiview(views=3, steps=2, batch=4), context)
    assert len(drawn) == 1 and "2 of 3 drawn views" in context.warnings[0]
    model.pictures = lambda latents: torch.ones_like(pictures(model, latents))
    with pytest.raises(FitError, match="none of the drawn views"):
        drawn_around(photo, prior, model, Multiview(views=3, steps=2), context)


def test_views_that_hardly_agree_are_told(ball, drawn_three, context):
    photo, prior = photo_of(ball), ball.prior(0.6)
    mask = torch.stack([torch.roll(one, (rows, 40), (0, 1)) for one, rows in zip(drawn_three.mask, (-75, 0, 75))])
    guessed = replace(prior, confidence=torch.full_like(prior.sdf, 0.3))
    joined_up(photo, guessed, replace(drawn_three, mask=mask), context)
    assert "hardly agree" in context.warnings[-1]


def test_a_solid_that_is_known_is_not_bent_by_drawn_views(ball, drawn_three, context):
    photo, prior, drawn = photo_of(ball), ball.prior(0.6), drawn_three
    assert prior.known and all(kept is given for kept, given in zip(joined_up(photo, prior, drawn, context), (photo, prior, drawn)))
    guessed = replace(prior, confidence=torch.full_like(prior.sdf, 0.3))
    views, carved, _ = joined_up(photo, guessed, drawn, context)
    assert not guessed.known and not torch.equal(carved.sdf, prior.sdf) and len(views) == 1
    assert not context.warnings


@pytest.fixture
def painted(ball, monkeypatch):
    """A model by name that draws the ball, whatever machine this is."""
    import img23d.backends.hub
    import img23d.backends.zero123

    model = Painter(ball, 12.0, 2.4, 45.0)
    monkeypatch.setattr(img23d.backends.hub, "require", lambda name, offline, commercial_ok: name)
    monkeypatch.setattr(img23d.backends.zero123, "load", lambda path, device, said: model)
    return model


class Stopped(BaseException):
    """What ends a run early."""


def stopped(*arguments, **named):
    raise Stopped


def test_a_photo_becomes_a_mesh_of_all_views_and_its_run_can_be_used_again(ball, painted, tmp_path, monkeypatch):
    views = photo_of(ball, 12.0, 200)
    photo = tmp_path / "ball.png"
    save_image(photo, torch.cat([views.rgb[0], views.mask[0, ..., None]], -1))
    options = config.load("zero123", [*SMALL, "multiview.steps=2", "multiview.views=3"])
    made = pipeline.generate(photo, tmp_path / "out", options)
    folder = made.run_folder / "03_imagine"
    assert (folder / "drawn.png").is_file() and (made.run_folder / "06_texture").is_dir() and len(painted.turns) == 3
    # the back of the ball is painted from what was drawn: its colours say where each point is
    asset = load_mesh(made.path)
    points, colors = asset.mesh.vertices[asset.mesh.faces].mean(1), asset.uv[asset.uv_faces].mean(1)
    looked_up = F.grid_sample(asset.base_color.permute(2, 0, 1)[None], colors[None, None] * 2 - 1, align_corners=False)[0, :, 0].T
    behind = points[:, 2] < -0.5 * float(points.norm(dim=-1).max())
    assert int(behind.sum()) > 20
    wanted = 0.5 + 0.4 * F.normalize(points, dim=-1)
    assert float((looked_up - wanted)[behind].abs().mean()) < 0.12
    before = made.path.read_bytes()
    again = pipeline.generate(photo, tmp_path / "out", options)
    assert again.path.read_bytes() == before and "imagine" not in again.seconds
    (written,) = convert(made.run_folder, [tmp_path / "few.glb"], faces=300)
    assert len(load_mesh(written).mesh.faces) <= 300
    monkeypatch.setattr(pipeline, "refine", stopped)  # by then nothing is left of what followed from the drawn views
    with pytest.raises(Stopped):
        refine_run(reopen(made.run_folder), replace(options, multiview=replace(options.multiview, model="")))
    steps = sorted(path.name for path in made.run_folder.glob("[0-9]*"))
    assert steps == ["01_segment", "02_estimate", "03_fit"] and not folder.is_dir()


def test_presets_name_the_model_they_need():
    for name in ("zero123", "one-2-3-45"):
        assert config.load(name).multiview.model == "zero123-xl"
    assert config.load("standard").multiview.model == ""
