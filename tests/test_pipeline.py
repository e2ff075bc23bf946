"""End to end on a small picture: files, resume after a crash, changed options, seeds."""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from img23d import config, pipeline
from img23d.errors import InputError, OutputError, WeightsError
from img23d.io.meshes import load_mesh
from img23d.record import Given, keep, reopen, targets_for
from img23d.refinement import content, place_of, refine_mesh, refine_run

SMALL = [
    "threads=1",
    "prior.kind=inflate",
    "prior.resolution=32",
    "fit.resolution=32",
    "fit.steps=3",
    "fit.rays=128",
    "refine.resolution=16",
    "refine.steps=4",
    "refine.image_size=64",
    "texture.faces=600",
    "texture.size=128",
    "texture.synthesis=false",
]


@cache
def small(*more):
    """Options of a run that takes seconds; read once, since reading them takes as long as a stage here."""
    return config.load("draft", [*SMALL, "export.viewer=false", *more])


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A red and green ball on nothing."""
    y, x = np.meshgrid(np.linspace(-1, 1, 160), np.linspace(-1, 1, 160), indexing="ij")
    alpha = np.clip((0.7 - np.hypot(x, y * 1.2)) * 80, 0, 1)
    rgba = np.stack([0.8 - 0.5 * (x > 0), 0.3 + 0.5 * (x > 0), 0.3 + 0.2 * y, alpha], -1)
    path = tmp_path_factory.mktemp("photo") / "ball.png"
    Image.fromarray((rgba * 255).round().astype(np.uint8), "RGBA").save(path)
    return path


@pytest.fixture(scope="module")
def finished(photo, tmp_path_factory):
    return pipeline.generate(photo, tmp_path_factory.mktemp("out"), small("export.viewer=true"))


def test_what_is_on_disk(finished):
    folder = finished.run_folder
    assert finished.path == folder / "ball.glb"
    for name in ("ball.glb", "preview.png", "viewer.html", "run.json", "source.png", "01_segment/mask.png", "02_estimate/normal.png"):
        assert (folder / name).stat().st_size > 0, name
    assert not list(folder.rglob("*.partial"))
    assert set(finished.seconds) == {*pipeline.STAGES, "export"}
    assert json.loads((folder / "run.json").read_text())["config"]["fit"]["steps"] == 3


def test_the_asset_is_closed_upright_and_looks_like_the_photo(finished):
    scene = trimesh.load(finished.path)
    mesh = scene.to_geometry()
    assert len(mesh.faces) <= 600
    welded = trimesh.Trimesh(mesh.vertices, mesh.faces)
    welded.merge_vertices(merge_tex=True, merge_norm=True)
    assert welded.is_watertight and welded.is_winding_consistent and welded.volume > 0 and welded.body_count == 1
    width, height, _ = mesh.extents
    assert width / height == pytest.approx(1.2, abs=0.12)
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"), float) / 255
    uv = mesh.visual.uv
    color = texture[np.clip(((1 - uv[:, 1]) * 128).astype(int), 0, 127), np.clip((uv[:, 0] * 128).astype(int), 0, 127)]
    front = mesh.vertices[:, 2] > 0.4
    left, right = front & (mesh.vertices[:, 0] < -0.15), front & (mesh.vertices[:, 0] > 0.15)
    assert color[left].mean(0)[0] > 0.6 > color[left].mean(0)[1]
    assert color[right].mean(0)[1] > 0.6 > color[right].mean(0)[0]


def test_a_second_run_reuses_every_step(photo, finished, monkeypatch):
    monkeypatch.setattr(pipeline, "fit", lambda *a: pytest.fail("fit ran again"))
    again = pipeline.generate(photo, finished.run_folder.parent, small())
    assert set(again.seconds) == {"export"}


class Killed(BaseException):
    """What ends a run at a stage of the test's choice."""


def killed(*arguments, **named):
    raise Killed


def test_a_run_killed_at_one_stage_after_another_continues_to_the_same_result(photo, finished, tmp_path, monkeypatch):
    before = "segment"
    for stage in ("estimate", "refine", "texture"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(pipeline, stage, killed)
            pipeline.generate(photo, tmp_path, small())
        assert not (tmp_path / "ball" / "ball.glb").exists()
        monkeypatch.setattr(pipeline, before, lambda *a: pytest.fail("a finished stage ran again"))
        before = stage
    resumed = pipeline.generate(photo, tmp_path, small())
    assert set(resumed.seconds) == {"texture", "export"}
    assert resumed.path.read_bytes() == finished.path.read_bytes()


def test_threads_add_up_in_the_same_order_in_every_stage(photo, tmp_path, monkeypatch):
    order = {}

    def noting(stage, real):
        def noted(*arguments, **named):
            order[stage] = torch.get_num_threads(), torch.get_deterministic_debug_mode()
            return real(*arguments, **named)

        return noted

    for stage in pipeline.STAGES:
        monkeypatch.setattr(pipeline, stage, noting(stage, getattr(pipeline, stage)))
    monkeypatch.setattr(pipeline, "write_result", killed)  # only the steps are compared
    for name in "ab":
        with pytest.raises(Killed):
            pipeline.generate(photo, tmp_path / name, small("threads=2", "refine.steps=2"))
    assert order == dict.fromkeys(pipeline.STAGES, (2, 1))
    assert torch.get_num_threads() == 2 and torch.get_deterministic_debug_mode() == 0
    first, second = (sorted((tmp_path / name).rglob("*.safetensors")) for name in "ab")
    assert len(first) >= len(pipeline.STAGES) and [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_changed_options_recompute_only_what_follows(finished, tmp_path):
    run = reopen(finished.run_folder)
    changed = config.replace(run.config, texture=config.replace(run.config.texture, size=64))
    result = refine_run(run, changed)
    assert set(result.seconds) == {"texture", "export"}
    back = refine_run(reopen(finished.run_folder), run.config)
    assert set(back.seconds) == {"texture", "export"}


def test_another_photo_does_not_overwrite(photo, finished, tmp_path):
    other = tmp_path / "ball.png"
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other)
    before = finished.path.read_bytes()
    with pytest.raises(OutputError, match="already exists"):
        pipeline.generate(other, finished.run_folder.parent, small())
    assert finished.path.read_bytes() == before


def test_a_file_and_several_formats(photo, finished, tmp_path):
    # the steps are those of the folder: only where the results go and in which formats is new here
    shutil.copytree(finished.run_folder, tmp_path / "x.run", ignore=shutil.ignore_patterns("preview.png", "ball.glb"))
    result = pipeline.generate(photo, tmp_path / "x.obj", small(), formats=("obj", "stl"))
    assert [path.name for path in result.paths] == ["x.obj", "x.stl"] and all(path.is_file() for path in result.paths)
    assert set(result.seconds) == {"export"}
    assert (tmp_path / "x.run" / "preview.png").exists()


def test_wrong_maps_leave_nothing(photo, tmp_path):
    wrong = tmp_path / "depth.png"
    Image.new("L", (50, 90)).save(wrong)
    with pytest.raises(InputError, match="50"):
        pipeline.generate(photo, tmp_path / "out", small(), Given(depth=wrong))
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def improved(finished, tmp_path_factory):
    """A result that was moved and made larger where it lay, what its run knew of itself, and that result refined into the same folder."""
    out = tmp_path_factory.mktemp("improved")
    folder = shutil.copytree(finished.run_folder, out / "ball")
    source = trimesh.load(finished.path).to_geometry()
    source.apply_scale(50.0)
    source.apply_translation([100.0, 0.0, -20.0])
    source.export(folder / "ball.glb")
    before = (folder / "run.json").read_bytes()
    return source, before, folder, refine_mesh(folder / "ball.glb", out, small())


def test_a_mesh_is_refined_in_place_and_size(improved):
    source, _, _, result = improved
    made = trimesh.load(result.path).to_geometry()
    assert np.allclose(made.bounds, source.bounds, atol=0.08 * 50)
    assert made.visual.material.baseColorTexture is not None


def test_the_device_that_is_not_there():
    from img23d.errors import BackendError

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(BackendError, match="cuda"):
        pipeline.choose_device("cuda")


def test_apples_gpu_is_refused_before_any_work_is_done():
    from img23d.errors import BackendError

    with pytest.raises(BackendError, match="double precision"):
        pipeline.choose_device("mps")


@pytest.fixture(scope="module")
def rings(tmp_path_factory):
    """Two rings that hang in each other, in millimetres, far from the origin."""
    one, other = (trimesh.creation.torus(10.0, 3.0, major_sections=24, minor_sections=12) for _ in range(2))
    other.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    other.apply_translation([10.0, 0.0, 0.0])
    both = trimesh.util.concatenate([one, other])
    both.apply_translation([50.0, 0.0, 0.0])
    path = tmp_path_factory.mktemp("rings") / "rings.stl"
    both.export(path)
    return path


def test_parts_size_and_place_of_a_mesh_are_kept_and_its_run_can_be_used_again(rings, tmp_path):
    from img23d.convert import convert

    settings = small("refine.resolution=24")
    result = refine_mesh(rings, tmp_path / "better.stl", settings)
    source, made = trimesh.load(rings), trimesh.load(result.path)
    assert len(made.split()) == 2
    assert np.allclose(made.bounds, source.bounds, atol=1.5)
    convert(result.run_folder, [tmp_path / "again.ply"])
    assert np.allclose(trimesh.load(tmp_path / "again.ply").bounds, made.bounds, atol=1e-3)
    convert(rings, [tmp_path / "copy.stl"])
    assert np.allclose(trimesh.load(tmp_path / "copy.stl").bounds, source.bounds, atol=1e-3)
    run = reopen(result.run_folder)
    again = refine_run(run, config.replace(run.config, texture=config.replace(run.config.texture, size=64)))
    assert set(again.seconds) == {"retexture", "export"} and again.path == result.path
    assert reopen(result.run_folder).name == "rings.stl"


def test_a_mesh_whose_textures_are_gone_is_not_reopened_without_them(rings, tmp_path):
    """Its run knows what colours it was made with; nothing is replaced by a grey copy."""
    settings = small()
    source = tmp_path / "inbox" / "rings.obj"
    source.parent.mkdir()
    shape = trimesh.load(rings)
    uv = np.random.default_rng(0).random((len(shape.vertices), 2))
    shape.visual = trimesh.visual.TextureVisuals(uv, image=Image.new("RGB", (8, 8), (200, 30, 30)))
    shape.export(source)
    made, targets = load_mesh(source), targets_for(source, tmp_path / "out", ())
    targets.folder.mkdir(parents=True)
    keep(targets, source, Given(), "key", settings, place=place_of(made.mesh), content=content(made))
    assert content(load_mesh(reopen(targets.folder).source)) == reopen(targets.folder).content
    source.parent.rename(tmp_path / "archive")
    with pytest.raises(InputError, match="colours of"):  # as in runs of versions that kept the mesh file alone
        refine_run(reopen(targets.folder), settings)
    assert not targets.files[0].exists()


def test_a_run_goes_on_when_the_textures_of_its_mesh_have_moved(rings, tmp_path, monkeypatch):
    settings, seen = small(), []

    def improve(source, *_):
        seen.append(source.to("cpu"))
        raise InputError("seen enough")

    monkeypatch.setattr("img23d.refinement.improve", improve)
    source = tmp_path / "inbox" / "rings.obj"
    source.parent.mkdir()
    shape = trimesh.load(rings)
    uv = np.random.default_rng(0).random((len(shape.vertices), 2))
    shape.visual = trimesh.visual.TextureVisuals(uv, image=Image.effect_noise((8, 8), 90).convert("RGB"))
    shape.export(source)
    with pytest.raises(InputError, match="seen enough"):
        refine_mesh(source, tmp_path / "out", settings)
    source.parent.rename(tmp_path / "archive")
    run = tmp_path / "out" / "rings"
    with pytest.raises(InputError, match="seen enough"):
        refine_run(reopen(run), settings)
    assert content(seen[0]) == content(seen[1]), "to the last bit"
    kept = run / "source_mesh.safetensors"
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(InputError, match="colours of"):
        refine_run(reopen(run), settings)


def test_refining_a_result_leaves_the_run_that_made_it(improved):
    _, before, folder, result = improved
    assert (folder / "run.json").read_bytes() == before
    assert result.path == folder.parent / "ball_refined" / "ball_refined.glb"


def test_a_run_reopened_with_another_seed_keeps_its_photo(photo, finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished.run_folder, tmp_path / "ball")
    run = reopen(folder)
    monkeypatch.setattr(pipeline, "segment", killed)  # by then the run has been written down anew
    with pytest.raises(Killed):
        refine_run(run, config.replace(run.config, seed=7))
    again = reopen(folder)
    assert again.config.seed == 7 and again.targets.files == (folder / "ball.glb",)
    assert again.source.read_bytes() == photo.read_bytes()


def test_the_role_of_a_given_map_is_part_of_the_run(photo, tmp_path, monkeypatch):
    grey = tmp_path / "map.png"
    Image.fromarray(np.tile(np.linspace(0, 255, 160, dtype=np.uint8), (160, 1))).save(grey)
    monkeypatch.setattr(pipeline, "fit", killed)
    with pytest.raises(Killed):
        pipeline.generate(photo, tmp_path / "out", small(), Given(mask=grey))
    made = tmp_path / "out" / "ball" / "ball.glb"
    made.write_bytes(b"what that run would have made")
    with pytest.raises(OutputError, match="comes from another run"):
        pipeline.generate(photo, tmp_path / "out", small(), Given(depth=grey))
    assert made.is_file()


@pytest.mark.parametrize("settings", [["multiview.model=zero123-xl"], ["estimate.geometry=marigold"]])
def test_weights_that_are_missing_are_told_before_any_work(photo, tmp_path, monkeypatch, settings):
    monkeypatch.setenv("IMG23D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(pipeline, "segment", lambda *a: pytest.fail("work began"))
    with pytest.raises(WeightsError, match="not on this machine"):
        pipeline.generate(photo, tmp_path / "out", small("offline=true", *settings))
    assert not any((tmp_path / "out").rglob("*"))


def test_a_model_that_no_option_asks_is_not_looked_for(photo, tmp_path, monkeypatch):
    asked = ("offline=true", "estimate.geometry_model=marigold-depth")  # but estimate.geometry=auto
    monkeypatch.setattr(pipeline, "fit", killed)  # by then depth and normals are there
    with pytest.raises(Killed):
        pipeline.generate(photo, tmp_path, small(*asked))
