"""``img23d train``: options reach the training, mistakes are told before it, and a tiny training really runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from img23d.cli.train import changed
from img23d.training.options import TrainOptions
from img23d.training.pack import pack_objects


def test_settings_and_flags_change_the_options() -> None:
    options = changed(TrainOptions(), ["rate=0.01", "size=gpu", "minutes=3"], minutes=5.0, seed=None)
    assert (options.rate, options.size, options.minutes, options.seed) == (0.01, "gpu", 5.0, TrainOptions().seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "rtae=1"], "--set 'rtae=1': no such option"),
        (["--set", "rate"], "--set 'rate': no such option"),
        (["--set", "rate=fast"], "rate: "),
        (["--size", "huge"], "size: "),
    ],
)
def test_mistakes_are_told_before_any_work(run: Any, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("train", "prior", "--out", tmp_path / "weights", *arguments)
    assert result.exit_code == 2 and result.stderr.startswith(f"error: {message}")
    assert not (tmp_path / "weights").exists()


def test_no_objects_to_learn_from(run: Any, tmp_path: Path) -> None:
    result = run("train", "prior", "--out", tmp_path / "weights", "--data", tmp_path / "gone", "--size", "tiny")
    assert result.exit_code == 3 and "there is no folder or pack" in result.stderr


def test_the_cut_out_network_learns_from_pictures_that_do_not_examine_it(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rendering and the training are tested with the networks; here: what they are asked for."""
    from img23d.training import cutouts, foreground_train

    asked: dict[str, Any] = {}
    draw_object = cutouts.draw_object
    (tmp_path / "objects").mkdir()
    trimesh.creation.box((1.0, 0.5, 0.2)).export(tmp_path / "objects" / "box.glb")
    pack_objects(tmp_path / "objects", tmp_path / "objects.pack")

    def write(folder: Path, sources: Any, count: int, seed: int, told: Any) -> None:
        asked[f"{folder.name} pictures"] = (count, seed)
        asked[f"{folder.name} objects"] = [draw_object(np.random.default_rng(seed), [source]) for source in sources]
        told(count)
        folder.mkdir(parents=True)
        picture = np.full((2, 8, 8), seed % 251, np.uint8)
        np.savez(folder / "0.npz", rgb=np.stack([picture] * 3, -1), alpha=picture, shadow=picture)

    def train(options: Any, learning: Any, examination: Any, out: Path, resume: bool, progress: Any) -> dict[str, float]:
        asked.update(options=options, learning=learning, examination=examination, resume=resume)
        return {"iou": 0.9375}

    monkeypatch.setattr(cutouts, "write_cutouts", write)
    monkeypatch.setattr(foreground_train, "train_foreground", train)
    given = ("--data", tmp_path / "objects.pack", "--data", tmp_path / "objects", "--set", "examined=64", "--seed", 5, "--afresh")
    result = run("train", "foreground", "--out", tmp_path, "--pictures", 128, "--steps", 2, *given)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'foreground.safetensors'}  iou 0.9375\n"
    assert result.stderr == "learning pictures 128\nexamination pictures 64\n"
    assert (asked["options"].steps, asked["options"].seed, asked["resume"]) == (2, 5, False)
    assert asked["learning pictures"][0] == 128 and asked["examination pictures"][0] == 64
    assert len(asked["learning objects"] + asked["examination objects"]) == 2, "a pack and a folder"
    assert not np.array_equal(asked["learning"].alpha, asked["examination"].alpha), "other pictures examine"
    refused = run("train", "foreground", "--out", tmp_path, "--pictures", 128, "--data", tmp_path / "objects")
    assert refused.exit_code == 3 and "holds samples of other objects than these" in refused.stderr


def test_a_model_of_coordinate_maps_is_trained_and_named(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
    tiny = [f"--set={pair}" for pair in ("widths=[16,16]", "size=8", "batch=2", "views=1", "procedural=2", "threads=1", "device=cpu")]
    result = run("train", "coordinates", "--out", tmp_path, "--steps", 2, "--seed", 3, *tiny)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{tmp_path / 'coordinates'}  step 2, ")
    assert (tmp_path / "coordinates" / "unet" / "diffusion_pytorch_model.safetensors").is_file()
    refused = run("train", "coordinates", "--out", tmp_path / "other", "--base", tmp_path / "gone", *tiny)
    assert refused.exit_code == 5 and refused.stderr.startswith("error: ") and not (tmp_path / "other").exists()
