"""``img23d export``: names of the files, and mistakes that are told before anything is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """`img23d.convert` replaced; what it is asked for."""
    calls: list[Any] = []

    def convert(source: Path, targets: list[Path], **options: Any) -> list[Path]:
        options.pop("report")("write", 1.0, "")
        calls.append((str(source), [path.as_posix() for path in targets], options))
        for path in targets:
            path.write_bytes(b"12345")
        return targets

    module = ModuleType("img23d.convert")
    module.convert = convert  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "img23d.convert", module)
    monkeypatch.setattr("img23d.convert", module, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("mug.v2.glb").touch()
    Path("mug.run").mkdir()
    Path("results/cup").mkdir(parents=True)
    return calls


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        (["mug.v2.glb", "-f", "obj,stl"], ["mug.v2.obj", "mug.v2.stl"]),
        (["mug.v2.glb", "-o", "x.ply"], ["x.ply"]),
        (["mug.v2.glb", "-o", "x.ply", "-f", "obj"], ["x.ply", "x.obj"]),
        (["mug.v2.glb", "-o", "results", "-f", "obj"], ["results/mug.v2.obj"]),
        (["mug.run", "-f", "stl"], ["mug.stl"]),
        (["mug.run"], ["mug.glb"]),
        (["mug.run", "-f", "splat,splat.ply,glb"], ["mug.splat", "mug.splat.ply", "mug.glb"]),
        (["mug.v2.glb", "-o", "x.v3.splat.ply", "-f", "splat"], ["x.v3.splat.ply", "x.v3.splat"]),
        (["mug.v2.glb", "-o", "x.SPLAT"], ["x.splat"]),
        (["results/cup", "-f", "obj"], ["results/cup/cup.obj"]),
    ],
)
def test_files_go_beside_the_source_unless_told_otherwise(run: Any, converted: list[Any], arguments: list[str], targets: list[str]) -> None:
    result = run("export", *arguments, "-q")
    assert result.exit_code == 0, result.stderr
    assert converted[0][:2] == (arguments[0], targets)
    assert result.stdout.split() == [str(Path(target)) for target in targets]


def test_options_are_handed_on(run: Any, converted: list[Any]) -> None:
    arguments = ["--faces", 900, "--texture-size", 512, "--size-mm", 80, "--up", "z", "--splats", 500, "--force"]
    result = run("export", "mug.run", "-o", "x.splat", *arguments)
    assert converted[0][2] == {"faces": 900, "texture_size": 512, "size_mm": 80.0, "up": "z", "splats": 500, "force": True, "warnings": []}
    assert result.stdout == "x.splat  5 B\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.glb"], 3, "there is no run folder or mesh gone.glb"),
        (["mug.run", "--up", "x"], 2, "--up x: not an axis"),
        (["mug.run", "--size-mm", "0"], 2, "--size-mm 0 is not a length up to a kilometre"),
        (["mug.run", "--faces", "3"], 2, "--faces 3 is less than any closed mesh has"),
        (["mug.run", "--format", "fbx"], 2, "unknown format 'fbx'"),
        (["mug.run", "-f", "splat", "--splats", "99"], 2, "--splats 99 is outside 100..1000000"),
        (["mug.run", "--splats", "500"], 2, "--splats is of a format that is not asked for"),
        (["mug.v2.glb"], 2, "mug.v2.glb would be replaced by itself"),
    ],
)
def test_mistakes(run: Any, converted: list[Any], arguments: list[str], code: int, message: str) -> None:
    result = run("export", *arguments)
    assert result.exit_code == code and result.stderr.splitlines()[0] == f"error: {message}" and not converted


@pytest.mark.parametrize("option", [["--size-mm", "nan"], ["--size-mm", "inf"], ["--texture-size", "8"], ["--texture-size", "100000"]])
def test_absurd_sizes(run: Any, converted: list[Any], option: list[str]) -> None:
    assert run("export", "mug.run", *option).exit_code == 2 and not converted
