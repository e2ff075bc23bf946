"""``img23d refine`` with a pretended refinement: meshes, photos, reopened runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from img23d import config
from img23d.config import changed
from img23d.record import Given, Targets, keep


@pytest.fixture
def refined(monkeypatch: pytest.MonkeyPatch, photos: Path) -> list[Any]:
    """`img23d.refinement` replaced; what it is asked for."""
    calls: list[Any] = []

    def result(path: Path) -> Any:
        path.write_bytes(b"mesh")
        told = {"warnings": ("thin",), "seconds": {"refine": 2.0}, "figures": {}, "backends": {}}
        return SimpleNamespace(path=path, paths=(path,), run_folder=Path("x.run"), **told)

    def refine_mesh(mesh: Path, out: Path, options: Any, photo: Any, given: Any, formats: Any, force: bool, *rest: Any) -> Any:
        rest[-1]("refine", 1.0, "")
        calls.append(SimpleNamespace(mesh=mesh, out=out, options=options, photo=photo, given=given, formats=formats, force=force))
        return result(Path("x.glb"))

    def refine_run(run: Any, options: Any, context: Any, report: Any) -> Any:
        calls.append(SimpleNamespace(run=run, options=options))
        return result(run.targets.files[0])

    module = ModuleType("img23d.refinement")
    module.refine_mesh, module.refine_run = refine_mesh, refine_run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "img23d.refinement", module)
    monkeypatch.setattr("img23d.refinement", module, raising=False)
    Path("vase.obj").write_text("o vase")
    options = config.load("draft", ["fit.steps=7", "refine.learning_rate=0.00001"])
    Path("mug.run").mkdir()
    keep(Targets(Path("mug.run"), (Path("mug.glb"),)), Path("mug.png"), Given(fov_deg=40.0), "key", options)
    return calls


def test_a_mesh_alone(refined: list[Any], run: Any) -> None:
    result = run("refine", "vase.obj", "--out", "x.glb", "--faces", 900, "--size-mm", 30, "--up", "z", "--force")
    assert result.exit_code == 0
    asked = refined[0]
    assert (asked.mesh, asked.out, asked.photo, asked.given, asked.formats, asked.force) == (
        Path("vase.obj"), Path("x.glb"), None, Given(), ("glb",), True,
    )  # fmt: skip
    options = asked.options
    assert (options.preset, options.texture.faces, options.export.size_mm, options.export.up) == ("standard", 900, 30, "z")
    assert result.stdout == "x.glb  4 B\n" and "warning: thin" in result.stderr and "2.0 s: refine 2.0" in result.stderr


def test_a_mesh_with_a_photo(refined: list[Any], run: Any) -> None:
    camera = ["--photo", "mug.png", "--mask", "m.png", "--fov", 30]
    result = run("refine", "vase.obj", *camera, "-p", "draft", "-f", "obj", "--out", "new", "-q")
    assert result.exit_code == 0 and result.stdout == "x.glb\n" and result.stderr == ""
    asked = refined[0]
    assert (asked.photo, asked.given.mask, asked.given.fov_deg, asked.formats) == (Path("mug.png"), Path("m.png"), 30.0, ("obj",))
    assert asked.options.preset == "draft" and Path("new").is_dir()


def test_a_run_keeps_its_options_but_for_the_changed_ones(refined: list[Any], run: Any) -> None:
    assert run("refine", "mug.run", "--set", "refine.steps=33").exit_code == 0
    options = refined[0].options
    assert (options.preset, options.fit.steps, options.refine.steps, options.refine.learning_rate) == ("draft", 7, 33, 0.00001)
    assert refined[0].run.given.fov_deg == 40.0
    assert run("refine", "mug.run", "--preset", "fine").exit_code == 0
    assert refined[1].options == config.load("fine")


def test_changed_options_are_equal_but_for_the_change() -> None:
    options = replace(config.load("fine"), seed=5)
    assert changed(options, []) == options
    assert changed(options, ["texture.size=256"]) == replace(options, texture=replace(options.texture, size=256))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.obj"], 3, "there is no mesh or run folder gone.obj"),
        (["vase.obj", "--mask", "m.png"], 2, "--mask, --fov and --elevation describe a photo"),
        (["vase.obj", "--set", "refine.stps=3"], 2, "--set: unknown key 'refine.stps'"),
        (["vase.obj", "--out", "x.fbx"], 2, "--out x.fbx: unknown format '.fbx'"),
        (["mug.run", "--out", "x.glb"], 2, "a run keeps its photo and its files"),
        (["mug.run", "--set", "texture.faces=1"], 2, "texture.faces=1 is outside 100..2e+06"),
        (["."], 3, ". is not a run folder (no run.json)"),
    ],
)
def test_mistakes(refined: list[Any], run: Any, arguments: list[str], code: int, message: str) -> None:
    result = run("refine", *arguments, "-q")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (code, f"error: {message}")
    assert not refined
