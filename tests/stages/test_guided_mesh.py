"""A mesh that is refined with guidance: what pulls at it, what holds it, what its models are told, and what is refused."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh

import img23d.backends.hub
import img23d.backends.mvdream
from img23d import config
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError, WeightsError
from img23d.io.meshes import load_mesh, save_mesh
from img23d.ops.atlas import unwrap
from img23d.record import reopen
from img23d.refinement import refine_mesh, refine_run
from img23d.scene import Mesh, TexturedMesh
from img23d.scene.cameras import orbit_degrees
from img23d.stages import guided_mesh, observe, paint
from img23d.stages.guide import Guide
from img23d.stages.guided_mesh import bare_prior, check_mesh_guidance, colors_of, front_view, held, refine_guided
from img23d.stages.imagine import Side, azimuth_of, elevation_of, wide_camera

sys.path.insert(0, str(Path(__file__).parent))  # stand-ins of the neighbouring tests
import test_guide_group
from test_guide_geometry import ellipsoid_points
from test_guide_group import Seeing, group_folder
from test_guide_run import GUIDED, painted, photo  # noqa: F401
from test_imagine import SMALL

RADIUS, SIZE = 0.9, 16
QUICK = [
    *SMALL, "refine.resolution=12", "refine.subdivisions=0", "refine.steps=3", "refine.image_size=32", "guidance.size=16",
    "texture.faces=200", "texture.size=64", "texture.normal_map=false",
]  # fmt: skip


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Fewer pixels and samples: how well meshes are seen is tested where that is done."""
    monkeypatch.setattr(observe, "VIEW_SIZE", 64)
    monkeypatch.setattr(observe, "POSE_SIZE", 24)
    monkeypatch.setattr(guided_mesh, "COLOR_RESOLUTION", 40)
    monkeypatch.setattr(guided_mesh, "SAMPLES", 5000)


def ball_of(radius: float = RADIUS, fineness: int = 3) -> Mesh:
    made = trimesh.creation.icosphere(fineness, radius)
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def painted_ball(radius: float = RADIUS) -> TexturedMesh:
    """Red where x is positive, green elsewhere."""
    mesh = ball_of(radius, 2)
    uv, uv_faces = unwrap(mesh, 128)
    texture = torch.zeros(128, 128, 3)
    centres, corners = mesh.vertices[mesh.faces].mean(1), (uv[uv_faces] * 128).long().clamp(0, 127)
    for centre, corner in zip(centres, corners):
        low, high = corner.amin(0), corner.amax(0) + 1
        texture[low[1] : high[1], low[0] : high[0]] = torch.tensor([1.0, 0.0, 0.0] if centre[0] > 0 else [0.0, 1.0, 0.0])
    return TexturedMesh(mesh, uv, uv_faces, texture)


@pytest.fixture
def knowing(ball, context, monkeypatch, tmp_path):
    """A text model of four sides, by the name of its folder, that knows a ball of the mesh's size which is flatter from front to back."""
    front = front_view(ball_of(), context)
    field = observe.solid_field(ball_of(), 24, context)
    camera = wide_camera(front.cameras, bare_prior(field, front, 0.0))
    model = Seeing(ball, guided_mesh.DISTANCE, math.degrees(2 * math.atan(0.5 / float(camera.focal[0, 0]))))

    def draw(cameras, size):
        cover = ellipsoid_points(torch.tensor([RADIUS, RADIUS, 0.6]))(cameras, size)[1][..., None]
        return (0.75 * cover + 1 - cover).expand(-1, -1, -1, 3)

    model.draw = draw
    folder = group_folder(tmp_path / "a model")
    monkeypatch.setattr(img23d.backends.mvdream, "load", lambda path, device: model)
    assert test_guide_group.SIZE == SIZE
    return model, f"guidance.text_model={folder}"


def test_a_ball_becomes_what_a_text_model_knows_without_a_photo(knowing, context):
    """It knows an ellipsoid. How far the ball goes there is what the options say of how it is held."""
    model, named = knowing
    told = ["guidance.prompt=a ball", "guidance.text_scale=1", "guidance.text_rescale=0", "guidance.text_weight=20", named]
    steps = ["refine.steps=24", "refine.learning_rate=0.05"]
    field, own = observe.solid_field(ball_of(), 32, context), observe.look_around(ball_of(), context)
    depths = {}
    for hold in (0.0, 1.0):
        options = config.load("mvdream", [*QUICK, *told, *steps, f"guidance.hold={hold}"])
        made = refine_guided(ball_of(), field, own, None, options, context)
        wide, high, depths[hold] = ((made.vertices.amax(0) - made.vertices.amin(0)) / 2).tolist()
        assert wide == pytest.approx(RADIUS, abs=0.05) and high == pytest.approx(RADIUS, abs=0.05)
    assert len(model.asked) == 48 and all(step <= 0.5 * 1000 for step, _, _ in model.asked)  # the bounds of refine, not of fit
    assert depths[0.0] < depths[1.0] - 0.03 < RADIUS - 0.03


def test_sides_are_counted_from_the_photos_wherever_it_stands():
    camera = orbit_degrees([70.0], 20.0, 2.4, 40.0)
    guide = Guide(camera, (), Guidance())
    torch.testing.assert_close(guide.cameras([Side(0.0, 20.0)]).cam_to_world, camera.cam_to_world, atol=1e-5, rtol=0)
    torch.testing.assert_close(guide.cameras([Side(-70.0, 0.0)]).position[0], torch.tensor([0.0, 0.0, 2.4]), atol=1e-5, rtol=0)
    (about,) = guide.about([Side(30.0, 5.0)])
    assert about == (pytest.approx(100.0, abs=1e-4), 5.0)
    front = orbit_degrees([0.0], 20.0, 2.4, 40.0)
    assert azimuth_of(front) == 0.0, "a photo's run is as it was"


def test_what_holds_the_mesh_weighs_as_much_as_is_asked():
    options = config.load("standard").refine
    both, anchor = held(options, 0.1, True), held(options, 0.1, False)
    for name in ("mask", "depth", "normal"):
        assert getattr(both, name).at(0.3) == pytest.approx(0.1 * getattr(options, name).at(0.3))
        assert getattr(anchor, name) == getattr(options, name)
    assert both.anchor == anchor.anchor and both.anchor.at(0.5) == pytest.approx(0.1) and both.steps == options.steps


def test_with_a_photo_its_outline_counts_in_full_and_the_meshs_own_pictures_do_not(ball, context, monkeypatch):
    asked = {}
    monkeypatch.setattr(guided_mesh, "refine", lambda *given, **named: asked.update(given=given, **named))
    monkeypatch.setattr(guided_mesh, "open_guide", lambda *given, **named: asked.update(told=given, **named))
    mesh, views = ball_of(), ball.views(64, orbit_degrees([70.0], 10.0, 2.4, 60.0))
    field, own = observe.solid_field(mesh, 24, context), observe.look_around(mesh, context)
    options = config.load("standard", [*QUICK, "guidance.view_model=a model", "guidance.hold=0.3"])
    refine_guided(mesh, field, own, views, options, context)
    posed, colored, refining, _, drawn = asked["given"]
    assert torch.equal(posed.mask, views.mask) and not posed.confidence.any(), "its depth and normals are the mesh's own"
    assert drawn is own and asked["drawn_weight"] == 0.3 and asked["refining"] and asked["parts_known"]
    assert asked["told"][0] is views and refining.mask == options.refine.mask
    assert torch.equal(colored.sdf_volume, field.sdf_volume) and colored.color_volume.shape[1] > 2


def test_the_models_see_the_meshs_own_colours(ball, context):
    source = painted_ball()
    field = observe.solid_field(source.mesh, 48, context)
    places = torch.tensor([[0.85, 0.2, 0.2], [0.6, 0.6, -0.3], [-0.85, 0.2, 0.2], [-0.5, -0.7, 0.3], [1.0, 0.0, 0.9]])
    seen = replace_colors(field, colors_of(source, field, None)).color(places)
    torch.testing.assert_close(seen, torch.tensor([[1.0, 0, 0]] * 2 + [[0, 1.0, 0]] * 2 + [[1.0, 0, 0]]), atol=0.05, rtol=0)
    plain = replace_colors(field, colors_of(source.mesh, field, None)).color(places)
    torch.testing.assert_close(plain, torch.full((5, 3), 0.75))
    camera = orbit_degrees([90.0], 0.0, 2.4, 60.0)
    views = replace(ball.views(64, camera), rgb=torch.tensor([0.2, 0.4, 0.6]).expand(1, 64, 64, 3).contiguous())
    shown = replace_colors(field, colors_of(source.mesh, field, views)).color(places)
    torch.testing.assert_close(shown, torch.tensor([0.2, 0.4, 0.6]).expand(5, 3), atol=1e-3, rtol=0)


def replace_colors(field, colors):
    return type(field)(field.sdf_volume, colors)


@pytest.fixture
def ball_file(tmp_path):
    return save_mesh(tmp_path / "ball.glb", painted_ball()) and tmp_path / "ball.glb"


def test_a_whole_run_without_a_photo(knowing, ball_file, tmp_path):
    model, named = knowing
    options = config.load("mvdream", [*QUICK, "guidance.prompt=a ball", named])
    made = refine_mesh(ball_file, tmp_path / "out", options)
    assert len(model.asked) == 3 and not any("guidance" in line for line in made.warnings)
    assert {"solidify", "observe", "refine", "retexture"} <= set(made.seconds) and load_mesh(made.path).mesh.faces.shape[1] == 3
    again = refine_run(reopen(made.run_folder), options)
    assert set(again.seconds) == {"export"} and len(model.asked) == 3


def test_a_whole_run_with_a_photo_whose_model_draws_the_other_sides_anew(painted, photo, ball_file, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(paint, "SIZE", 64)
    monkeypatch.setattr(paint, "RING", 2)
    options = config.load("standard", [*GUIDED, *QUICK, "guidance.repaint=0.4", "estimate.elevation_deg=12"])
    made = refine_mesh(ball_file, tmp_path / "out", options, photo)
    assert {"pose", "refine", "paint", "texture"} <= set(made.seconds) and (made.run_folder / "06_paint" / "drawn.png").is_file()
    assert painted.turns and not any("guidance" in line for line in made.warnings)
    camera = wide_of(made.run_folder)
    assert elevation_of(camera) == pytest.approx(12.0, abs=0.1)


def wide_of(folder):
    from img23d.stages.artifacts import load_views

    return load_views(folder / "04_pose").cameras


def test_what_is_missing_is_told_before_any_work(ball_file, tmp_path, monkeypatch):
    monkeypatch.setenv("IMG23D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    steps = []

    def report(name, fraction, text):
        steps.append(name)

    for preset, changes, error, said in (
        ("magic123", ["guidance.prompt=a ball"], ConfigError, "guidance.view_model=zero123-xl must be told a photo"),
        ("mvdream", [], ConfigError, "must be told what the object is"),
        ("mvdream", ["guidance.prompt=a ball"], WeightsError, "mvdream"),
    ):
        with pytest.raises(error, match=said):
            refine_mesh(ball_file, tmp_path / "out", config.load(preset, [*QUICK, "offline=true", *changes]), report=report)
    assert not steps and not list((tmp_path / "out").glob("*/[0-9]*"))


def test_what_is_left_out_is_told():
    def told(*changes, photographed=False):
        return check_mesh_guidance(config.load("standard", [*changes]), photographed)

    assert told() == told("guidance.repaint=0.2") == []
    text = ["guidance.text_model=stable-diffusion-1-5", "guidance.prompt=a ball"]
    assert told(*text) == [] == told("guidance.view_model=zero123-xl", "guidance.repaint=0.2", photographed=True)
    (line,) = told(*text, "guidance.repaint=0.2")
    assert "without a photo" in line
    (line,) = told(*text, "guidance.refine_weight=0", photographed=True)
    assert "no model pulls" in line
