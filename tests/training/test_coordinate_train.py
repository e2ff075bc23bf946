"""Training of a model of coordinate maps at the smallest size: it learns, goes on where it stopped, and its folder guides."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")

from safetensors.torch import load_file

from img23d.backends.coordinates import load
from img23d.backends.rasterizers import choose_rasterizer
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError, InputError, WeightsError
from img23d.ops.coordinates import MARGIN
from img23d.scene.cameras import orbit_degrees
from img23d.stages.guide import open_guide
from img23d.training.coordinate_samples import HIGHEST_DEG, LOWEST_DEG, CoordinateSource, name_of
from img23d.training.coordinate_train import CHECKPOINT, LOG, MODEL, CoordinateOptions, CoordinateTrainer, train_coordinates
from img23d.training.dataset import ProceduralSource, held_out
from img23d.training.objects import ObjectFile, family_of, list_objects

sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))

TINY: dict[str, Any] = {
    "widths": (16, 16),
    "size": 8,
    "batch": 4,
    "views": 2,
    "procedural": 0,
    "examined": 8,
    "threads": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two objects to learn from and one that examines."""
    place = tmp_path_factory.mktemp("objects")
    names = [f"wooden_thing{a}{b}" for a in "abcdefghijklmnop" for b in "abcdefgh"]
    examined = next(name for name in names if held_out(family_of(f"{name}.glb")))
    learnt = [name for name in names if not held_out(family_of(f"{name}.glb"))][:2]
    meshes = trimesh.creation.box((1, 0.7, 0.4)), trimesh.creation.icosphere(2), trimesh.creation.cone(0.4, 1)
    for name, mesh in zip([*learnt, examined], meshes):
        mesh.export(place / f"{name}.glb")
    told = [{"file": f"{name}.glb", "licence": "CC-BY-4.0", "attribution": "A. Maker"} for name in learnt]
    (place / "manifest.json").write_text(json.dumps(told))
    return place


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / MODEL / "unet" / "diffusion_pytorch_model.safetensors")


def test_maps_are_those_of_the_objects_from_the_cameras_that_are_told(folder: Path) -> None:
    sources = list_objects(folder)
    source = CoordinateSource(sources, [0, 1, 2], 32, choose_rasterizer("numba"))
    drawn = source.draw(np.random.default_rng(3), 3, 8)
    again = source.draw(np.random.default_rng(3), 3, 8)
    assert drawn.maps.shape == (24, 4, 32, 32) and torch.equal(drawn.maps, again.maps) and torch.equal(drawn.cameras, again.cameras)
    assert all(word.startswith("wooden thing") for word in drawn.words) and len(set(drawn.words)) == 3
    assert set(drawn.maps[:, 3].flatten().unique().tolist()) >= {-1.0, 1.0}
    assert float(drawn.maps[:, :3].abs().max()) == pytest.approx(1 / MARGIN, abs=0.02)
    places = drawn.cameras.unflatten(1, (3, 4))[:, :, 3]
    assert float(places.norm(dim=1).min()) >= 1.4 and float(places.norm(dim=1).max()) <= 1.6
    heights = torch.rad2deg(torch.asin(places[:, 2] / places.norm(dim=1)))
    assert LOWEST_DEG <= float(heights.min()) < 0 and 30 < float(heights.max()) <= HIGHEST_DEG
    # The middle of a ball's map is the place that faces the camera.
    ball = next(number for number, item in enumerate(sources) if len(source.mesh(number).vertices) > 100)
    maps, cameras = source.views_of(ball, np.random.default_rng(0), 4)
    nearest = torch.nn.functional.normalize(cameras.unflatten(1, (3, 4))[:, :, 3], dim=1) / MARGIN
    torch.testing.assert_close(maps[:, :3, 15:17, 15:17].mean((2, 3)), nearest, atol=0.04, rtol=0)


def test_names_are_words_and_what_code_makes_has_none() -> None:
    assert name_of(ObjectFile(Path("x.glb"), "pack/old_chair")) == "old chair"
    assert name_of(ProceduralSource(3)) == ""


def test_it_learns_and_heeds_the_camera(folder: Path, tmp_path: Path) -> None:
    options = CoordinateOptions(**{**TINY, "batch": 8}, steps=60, rate=1e-2, ema=0.9, validate_minutes=60.0)
    trainer = CoordinateTrainer(options, list_objects(folder), [0], tmp_path)
    unseen = CoordinateSource(list_objects(folder), [0], 8, choose_rasterizer("numba"))
    before = trainer.examine(unseen)
    assert before["examined"] == pytest.approx(before["misled"], rel=0.05)  # cameras say nothing yet
    while trainer.fraction < 1:
        trainer.one_step()
    after = trainer.examine(unseen)
    assert after["examined"] < 0.3 * before["examined"] and after["misled"] > 1.01 * after["examined"]


class Stopped(BaseException):
    """What ends a training early."""


def test_one_that_was_stopped_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    options = CoordinateOptions(**TINY, steps=6, validate_minutes=0.0)  # keeps a checkpoint after each step
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    figures = train_coordinates(options, [folder], whole)
    assert figures["step"] == 6 and {"loss", "examined", "misled"} <= figures.keys()

    def stop(figures: dict[str, float]) -> None:
        if figures["step"] == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train_coordinates(options, [folder], parts, progress=stop)
    halfway = weights_of(parts)
    train_coordinates(options, [folder], parts)
    first, second = weights_of(whole), weights_of(parts)
    assert all(torch.equal(first[name], second[name]) for name in first) and not all(torch.equal(halfway[k], second[k]) for k in second)
    steps = [json.loads(line)["step"] for line in (parts / LOG).read_text().splitlines()]
    assert steps[:3] == [1, 2, 3] and steps[-1] == 6 and 4 in steps and (parts / CHECKPOINT).is_file()
    facts = json.loads((parts / MODEL / "training.json").read_text())
    assert facts["learnt from"] == [{"licence": "CC-BY-4.0", "attribution": "A. Maker", "objects": 2}] and facts["figures"]["step"] == 6


def test_its_folder_guides(folder: Path, tmp_path: Path, ball: Any, context: Any) -> None:
    from test_stable_diffusion import tiny_stable_diffusion

    base = tiny_stable_diffusion(tmp_path / "base")
    for begun in ("", str(base)):
        out = tmp_path / ("begun" if begun else "afresh")
        train_coordinates(CoordinateOptions(**TINY, steps=2, rate=1e-2, base=begun), [folder], out)
        model = load(out / MODEL, "cpu")
        assert model.size == 8 and (model.encoder is not None) == bool(begun)
        options = Guidance(geometry_model=str(out / MODEL), prompt="a ball")
        guide = open_guide(ball.views(64, orbit_degrees([0.0], 20.0, 2.4, 40.0)), ball.prior(0.6), options, context)
        assert guide is not None and guide.geometry is not None and guide.geometry[0].size == 8


def test_a_base_is_learnt_with_words_of_which_some_are_left_out(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_stable_diffusion import tiny_stable_diffusion

    options = CoordinateOptions(**{**TINY, "batch": 20}, steps=4, base=str(tiny_stable_diffusion(tmp_path / "base")), unsaid=0.5)
    trainer = CoordinateTrainer(options, list_objects(folder), [0, 1, 2], tmp_path)
    told: list[str] = []
    errors = trainer.errors
    monkeypatch.setattr(trainer, "errors", lambda network, drawn, random: told.extend(drawn.words) or errors(network, drawn, random))
    before = trainer.network.class_embedding.linear_2.weight.clone()
    for _ in range(4):
        trainer.one_step()
    assert 20 < sum(not word for word in told) < 60 and any(word.startswith("wooden") for word in told)
    assert not torch.equal(trainer.network.class_embedding.linear_2.weight, before)  # the camera is being learnt


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"batch": 6, "views": 4}, ConfigError, "no multiple of views"),
        ({"widths": (20,)}, ConfigError, "make no network"),
        ({"base": "gone"}, WeightsError, "scheduler_config"),
    ],
)
def test_what_cannot_be_trained_is_told_and_leaves_nothing(
    folder: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        train_coordinates(CoordinateOptions(**{**TINY, **changes}, steps=1), [folder], tmp_path / "out")
    with pytest.raises(InputError, match="no folder or pack"):
        train_coordinates(CoordinateOptions(**TINY, steps=1), [tmp_path / "gone"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
