"""``img23d generate`` with a pretended pipeline: what is asked of it, what is printed, and every exit code."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from img23d.errors import BackendError, ConfigError, FitError, InputError, OutputError, WeightsError


def test_writes_a_folder_named_after_the_photo(pretend: Any, run: Any, photos: Path) -> None:
    result = run("generate", "mug.png")
    assert result.exit_code == 0
    assert (photos / "mug" / "mug.glb").read_bytes() == b"mesh of mug.png"
    assert result.stdout == f"{Path('mug/mug.glb')}  15 B\n"
    assert "fit 1.2, texture 0.5" in result.stderr and "faces 12000" in result.stderr
    assert f"look: {Path('mug/preview.png')}" in result.stderr
    assert pretend.calls[0]["config"].preset == "standard"


def test_progress_is_plain_lines_without_a_terminal(pretend: Any, run: Any, photos: Path) -> None:
    lines = run("generate", "mug.png").stderr.splitlines()
    stages = [line.split()[0] for line in lines if line.endswith(" s") and ":" not in line]
    assert stages == ["load", "segment", "fit", "texture"]
    assert not any("\x1b" in line for line in lines)


def test_quiet_prints_the_path_alone(pretend: Any, run: Any, photos: Path) -> None:
    result = run("generate", "mug.png", "--quiet", "--out", "cup.obj")
    assert (result.stdout, result.stderr) == ("cup.obj\n", "")


def test_json_prints_one_object_for_each_photo(pretend: Any, run: Any, photos: Path) -> None:
    pretend.warnings = ("the background is not plain",)
    result = run("generate", "mug.png", "vase.webp", "--json", "--out", "results")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["paths"] == [str(Path("results/mug/mug.glb"))] and second["source"] == "vase.webp"
    assert first["backends"] == {"device": "cpu", "raster": "numba", "tetrahedra": "torch"}
    assert first["warnings"] == ["the background is not plain"] and first["figures"] == {"faces": 12000.0}
    assert result.stderr == ""


def test_it_is_said_who_computed(pretend: Any, run: Any, photos: Path) -> None:
    assert "device cpu, raster numba, tetrahedra torch" in run("generate", "mug.png").stderr.splitlines()


def test_warnings_are_shown(pretend: Any, run: Any, photos: Path) -> None:
    pretend.warnings = ("the background is not plain",)
    assert "warning: the background is not plain" in run("generate", "mug.png").stderr


def test_options_reach_the_configuration(pretend: Any, run: Any, photos: Path) -> None:
    (photos / "d.png").touch()
    result = run(
        "generate", "mug.png", "--preset", "draft", "--set", "fit.steps=7", "--set", "texture.faces=900", "--seed", 5, "--device", "cpu",
        "--faces", 500, "--texture-size", 256, "--threads", 1, "--depth", "d.png", "--fov", 35, "--elevation", 12.5, "--force",
    )  # fmt: skip
    assert result.exit_code == 0
    call = pretend.calls[0]
    config, given = call["config"], call["given"]
    assert (config.preset, config.fit.steps, config.seed, config.device, config.threads) == ("draft", 7, 5, "cpu", 1)
    assert (config.texture.faces, config.texture.size) == (500, 256), "a flag wins over --set"
    assert (given.depth, given.normal, given.mask, given.fov_deg, given.elevation_deg) == (Path("d.png"), None, None, 35.0, 12.5)
    assert call["force"] is True


def test_photos_of_other_sides_may_lie_at_home(pretend: Any, run: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos))
    monkeypatch.setenv("USERPROFILE", str(photos))
    assert run("generate", "mug.png", "--view", "180=~/vase.webp", "--view", "-90=shoe.JPG").exit_code == 0
    assert pretend.calls[0]["given"].sides == ((180.0, photos / "vase.webp"), (-90.0, Path("shoe.JPG")))


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ([], ["mug/mug.glb"]),
        (["--format", "obj,stl"], ["mug/mug.obj", "mug/mug.stl"]),
        (["--format", "OBJ", "--format", ".ply"], ["mug/mug.obj", "mug/mug.ply"]),
        (["--out", "x.stl"], ["x.stl"]),
        (["--out", "x.glb", "--format", "obj", "--format", "glb"], ["x.glb", "x.obj"]),
        (["--out", "new/folder", "--format", "gltf"], ["new/folder/mug/mug.gltf"]),
    ],
)
def test_out_and_format_choose_the_files(pretend: Any, run: Any, photos: Path, arguments: list[str], files: list[str]) -> None:
    result = run("generate", "mug.png", "-q", *arguments)
    assert result.stdout.split() == [str(Path(name)) for name in files], result.stderr
    assert all((photos / name).is_file() for name in files)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["mug.png", "--out", "x.fbx"], "unknown format '.fbx'", "end it in .glb"),
        (["mug.png", "--out", "x.splat.ply"], "splats are made of a finished result", "img23d export RUN --out x.splat.ply"),
        (["mug.png", "--format", "splat"], "splat is made of a finished result", "img23d export RUN --format splat"),
        (["mug.png", "--format", "usd"], "unknown format 'usd'", "--format glb or gltf"),
        (["mug.png", "shoe.JPG", "--out", "x.glb"], "is one file for 2 photos", "--out results"),
        (["mug.png", "shoe.JPG", "--mask", "m.png"], "belong to one photo", "img23d batch"),
        (["mug.png", "shoe.JPG", "--view", "180=back.png"], "belong to one photo", "img23d batch"),
        (["mug.png", "--view", "back.png"], "not of the form DEGREES=PHOTO", "--view 180=back.png"),
        (["mug.png", "--view", "behind=back.png"], "not of the form DEGREES=PHOTO", "--view 180=back.png"),
        (["mug.png", "--view", "360=back.png"], "must each have their own angle within 360 degrees, got 360", "--view 180=back.png"),
        (["mug.png", "sub/MUG.jpg"], "would get the same name", "img23d batch"),
        (["mug.png", "--preset", "standrad"], "unknown preset 'standrad'", "did you mean standard?"),
        (["mug.png", "--set", "fit.stps=3"], "unknown key 'fit.stps'", "did you mean fit.steps?"),
        (["mug.png", "--set", "nonsense"], "not of the form key.path=value", "--set fit.steps=200"),
        (["mug.png", "--set", "fit.steps=many"], "fit.steps", "img23d presets show standard"),
        (["mug.png", "--faces", "5"], "texture.faces=5 is outside 100..", "--set texture.faces=100"),
        (["mug.png", "--device", "gpu"], "device", "img23d presets show standard"),
    ],
)
def test_mistakes_in_the_options_fail_before_any_work(
    pretend: Any, run: Any, photos: Path, arguments: list[str], message: str, hint: str
) -> None:
    result = run("generate", *arguments)
    assert result.exit_code == ConfigError.exit_code == 2
    error, tried = result.stderr.splitlines()
    assert error.startswith("error: ") and message in error
    assert tried.startswith("try: ") and hint in tried
    assert not pretend.opened and result.stdout == ""


def test_a_word_where_a_number_belongs_is_a_usage_error(pretend: Any, run: Any, photos: Path) -> None:
    result = run("generate", "mug.png", "--seed", "lucky")
    assert result.exit_code == 2 and "--seed" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError, 2), (InputError, 3), (BackendError, 4), (WeightsError, 5), (FitError, 6), (OutputError, 7)],
)
def test_each_kind_of_mistake_has_its_exit_code(pretend: Any, run: Any, photos: Path, error: Any, code: int) -> None:
    pretend.mistakes["mug.png"] = lambda: error("this is wrong", "do that")
    result = run("generate", "mug.png", "-q")
    assert result.exit_code == code
    assert result.stderr == "error: this is wrong\ntry: do that\n"


@pytest.mark.parametrize(
    ("error", "code", "message", "hint"),
    [
        (ZeroDivisionError("division\nby zero"), 70, "unexpected ZeroDivisionError: division by zero", "--debug"),
        (OSError(errno.ENOSPC, "No space left on device", "x.glb"), 7, "x.glb: No space left on device", "free some space"),
        (MemoryError(), 6, "not enough memory", "--preset draft"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 6, "not enough memory", "--preset draft"),
        (KeyboardInterrupt(), 130, "interrupted", "the same command continues"),
    ],
)
def test_everything_else_is_one_line_too(
    pretend: Any, run: Any, photos: Path, error: BaseException, code: int, message: str, hint: str
) -> None:
    pretend.mistakes["mug.png"] = lambda: error
    result = run("generate", "mug.png", "-q")
    assert result.exit_code == code
    first, second = result.stderr.splitlines()
    assert first == f"error: {message}" and second.startswith(f"try: {hint}")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_shows_the_traceback_wherever_it_stands(pretend: Any, photos: Path, place: int) -> None:
    from typer.testing import CliRunner

    from img23d.cli import app

    pretend.mistakes["mug.png"] = lambda: ZeroDivisionError("division by zero")
    arguments = ["generate", "mug.png"]
    arguments.insert(place, "--debug")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 70
    assert "Traceback" in result.stderr and "conftest.py" in result.stderr


def test_several_photos_outlive_the_mistake_in_one(pretend: Any, run: Any, photos: Path) -> None:
    pretend.mistakes["shoe.JPG"] = lambda: InputError("shoe.JPG is damaged", "copy it again")
    result = run("generate", "mug.png", "shoe.JPG", "vase.webp", "-q")
    assert result.exit_code == InputError.exit_code
    assert result.stdout.split() == [str(Path("mug/mug.glb")), str(Path("vase/vase.glb"))]
    assert "error: shoe.JPG: shoe.JPG is damaged" in result.stderr
    assert len(pretend.opened) == 1, "models are loaded once"


def test_a_folder_that_cannot_be_made(pretend: Any, run: Any, photos: Path) -> None:
    result = run("generate", "mug.png", "--out", "vase.webp/results")
    assert result.exit_code == OutputError.exit_code
    assert "cannot make the folder" in result.stderr and not pretend.opened
