"""A whole run whose shape and colours are guided, and what it keeps."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from img23d import config, pipeline
from img23d.convert import convert
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError, WeightsError
from img23d.fields.grid import FrozenGrid
from img23d.io.images import save_image
from img23d.io.meshes import load_mesh
from img23d.options import Ramp
from img23d.record import reopen
from img23d.refinement import refine_run
from img23d.run import digest
from img23d.scene.cameras import orbit_degrees
from img23d.stages import paint
from img23d.stages.guide import draw_mesh, open_guide
from img23d.stages.options import guided_options

sys.path.insert(0, str(Path(__file__).parent))  # stand-ins and tiny models of the neighbouring tests
sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))
from test_imagine import PICTURE, SMALL, Painter

GUIDED = [
    *SMALL, "guidance.view_model=a model", "guidance.size=16", "guidance.widening=0", "guidance.repaint=0.4", "guidance.repaint_steps=5",
]  # fmt: skip


class Guiding(Painter):
    """The painter of the drawn views' tests, which can be asked what its pictures are as latents."""

    def latents(self, pictures):
        assert pictures.shape[1:] == (PICTURE, PICTURE, 3)
        return F.pad(pictures.permute(0, 3, 1, 2) * 2 - 1, (0, 0, 0, 0, 0, 1))

    def noise(self, noisy, step, known, turns):
        nothing, told = super().noise(noisy, step, known, turns)
        return nothing, told * 3 / 5  # so that guidance by 5 is needed


@pytest.fixture
def painted(ball, monkeypatch):
    """A model by name that knows the ball, whatever machine this is."""
    import img23d.backends.hub
    import img23d.backends.zero123

    model = Guiding(ball, 12.0, 2.4, 45.0)
    monkeypatch.setattr(img23d.backends.hub, "require", lambda name, offline, commercial_ok: name)
    monkeypatch.setattr(img23d.backends.zero123, "load", lambda path, device, said: model)
    return model


@pytest.fixture
def photo(ball, tmp_path):
    views = ball.views(200, orbit_degrees([0.0], 12.0, 2.4, 40.0))
    save_image(tmp_path / "ball.png", torch.cat([views.rgb[0], views.mask[0, ..., None]], -1))
    return tmp_path / "ball.png"


def test_what_the_model_draws_is_on_the_mesh_and_the_run_can_be_used_again(painted, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(paint, "SIZE", 128)
    monkeypatch.setattr(paint, "RING", 5)
    options = config.load("standard", GUIDED)
    made = pipeline.generate(photo, tmp_path / "out", options)
    assert (made.run_folder / "05_paint" / "drawn.png").is_file() and (made.run_folder / "06_texture").is_dir()
    asset = load_mesh(made.path)
    points, corners = asset.mesh.vertices[asset.mesh.faces].mean(1), asset.uv[asset.uv_faces].mean(1)
    looked_up = F.grid_sample(asset.base_color.permute(2, 0, 1)[None], corners[None, None] * 2 - 1, align_corners=False)[0, :, 0].T
    behind = points[:, 2] < -0.5 * float(points.norm(dim=-1).max())
    wanted = 0.5 + 0.4 * F.normalize(points, dim=-1)
    assert int(behind.sum()) > 20 and float((looked_up - wanted)[behind].abs().mean()) < 0.12
    before = made.path.read_bytes()
    again = pipeline.generate(photo, tmp_path / "out", options)
    assert again.path.read_bytes() == before and not {"fit", "refine", "paint"} & set(again.seconds)
    (written,) = convert(made.run_folder, [tmp_path / "few.glb"], faces=300)
    assert len(load_mesh(written).mesh.faces) <= 300
    anew = refine_run(reopen(made.run_folder), replace(options, guidance=replace(options.guidance, repaint=0.2)))
    assert {"paint", "texture"} <= set(anew.seconds) and not {"fit", "refine"} & set(anew.seconds)  # hours on a large model
    plain = refine_run(reopen(made.run_folder), replace(options, guidance=Guidance()))
    assert {"fit", "refine", "texture"} <= set(plain.seconds) and not (made.run_folder / "05_paint").is_dir()


def test_fit_and_refine_depend_on_all_that_guides_them_but_not_on_what_paints(tmp_path):
    plain = config.load("standard")
    assert guided_options(plain, plain.fit) is plain.fit  # runs of before are still good
    model = tmp_path / "unet.safetensors"
    model.write_bytes(b"one")

    def key(**changes):
        options = replace(plain, guidance=Guidance(view_model=str(tmp_path), **changes))
        return digest(guided_options(options, options.fit))

    first = key()
    assert key() == key(repaint=0.5, repaint_steps=7) == first
    assert len({first, key(view_weight=Ramp(9.0, 9.0)), key(prompt="a mug"), key(size=32), key(text_model="x")}) == 5
    model.write_bytes(b"two")
    assert key() != first


@pytest.mark.parametrize("change", [{"refine_least": Ramp(0.1, 0.1)}, {"refine_most": Ramp(0.6, 0.3)}, {"refine_weight": 2.0}])
def test_what_guides_refine_alone_does_not_make_fit_anew(change):
    plain = replace(config.load("standard"), guidance=Guidance(view_model="a model"))
    other = replace(plain, guidance=replace(plain.guidance, **change))
    fit, refine = ([digest(guided_options(options, getattr(options, stage))) for options in (plain, other)] for stage in ("fit", "refine"))
    assert fit[0] == fit[1] and refine[0] != refine[1]


def test_what_is_missing_is_told_before_any_work(photo, tmp_path, monkeypatch):
    monkeypatch.setenv("IMG23D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    steps = []
    for preset, changes, error in (
        ("magic123", ["offline=true", "guidance.prompt=a ball"], WeightsError),
        ("magic123", ["offline=true"], ConfigError),
        ("standard", ["offline=true", "guidance.text_model=stable-diffusion-1-5", "guidance.prompt=a ball"], WeightsError),
    ):
        with pytest.raises(error):
            pipeline.generate(photo, tmp_path / "out", config.load(preset, changes), report=lambda *told: steps.append(told))
    assert not steps


def test_both_networks_pull_at_a_mesh(ball, context, tmp_path):
    pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
    pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")
    from test_guide import PHOTO, ball_mesh
    from test_stable_diffusion import tiny_stable_diffusion
    from test_zero123 import tiny_zero123

    models = tiny_zero123(tmp_path / "zero123"), tiny_stable_diffusion(tmp_path / "stable-diffusion")
    options = Guidance(view_model=str(models[0]), text_model=str(models[1]), prompt="a ball", widening=0.0, batch=2, text_sees="normals")
    guide = open_guide(ball.views(96, PHOTO), ball.prior(0.6), options, context)
    mesh = ball_mesh()
    mesh.vertices.requires_grad_(True)
    loss = guide.pull(draw_mesh(mesh, lambda points: 0.5 + 0.4 * points, context), 64, 0.5, context.generator())
    loss.backward()
    assert float(loss.detach()) > 0 and bool(mesh.vertices.grad.isfinite().all()) and bool((mesh.vertices.grad != 0).any())
    again = guide.pull(draw_mesh(mesh, lambda points: 0.5 + 0.4 * points, context), 64, 0.5, context.generator())
    torch.testing.assert_close(again, loss)


class Stopped(BaseException):
    """What ends a run early."""


def test_what_is_not_guided_is_told(ball, painted, photo, tmp_path, monkeypatch):
    told, guides_given = [], []

    def stopped(views, prior, options, context, drawn, guide):
        guides_given.append(guide)
        told.extend(context.warnings)
        raise Stopped

    monkeypatch.setattr(pipeline, "estimate", lambda views, *others: (views, ball.prior(0.6)))  # as sure as of a box
    monkeypatch.setattr(pipeline, "fit", stopped)
    with pytest.raises(Stopped):
        pipeline.generate(photo, tmp_path / "out", config.load("standard", GUIDED))
    assert "no guidance" in told[-1] and guides_given == [None]


def test_no_model_is_loaded_to_paint_what_is_already_there(ball, context, monkeypatch):
    monkeypatch.setattr(paint, "open_guide", lambda *given: pytest.fail("a model was loaded"))
    monkeypatch.setattr(paint, "SIZE", 16)
    from test_guide import PHOTO, ball_mesh

    field = FrozenGrid(ball.prior(0.6).sdf, torch.full((3, 4, 4, 4), 0.2))
    drawn = paint.paint(ball.views(96, PHOTO), ball.prior(0.6), field, ball_mesh(), Guidance(view_model="a model"), context)
    assert drawn.rgb.shape == (paint.RING + 2, 16, 16, 3)
