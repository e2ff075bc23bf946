"""A pipeline that only pretends, so that what the command line says and writes is tested in milliseconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from img23d.cli import app
from img23d.errors import InputError
from img23d.record import Given, targets_for

STAGES = ("segment", "fit", "texture")


@dataclass(frozen=True)
class PretendResult:
    path: Path
    paths: tuple[Path, ...]
    run_folder: Path
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    written: tuple[Path, ...] = ()
    backends: dict[str, str] = field(default_factory=lambda: {"device": "cpu", "raster": "numba", "tetrahedra": "torch"})


class Pretend:
    """Stands in for `img23d.pipeline`; remembers its calls and raises what a test wants raised for a photo."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.opened: list[Any] = []
        self.mistakes: dict[str, Callable[[], BaseException]] = {}
        self.warnings: tuple[str, ...] = ()

    def open_context(self, config: Any) -> str:
        self.opened.append(config)
        return "context"

    def generate(
        self, photo: Path, out: Path, config: Any, given: Given, formats: tuple[str, ...], force: bool, context: Any, report: Any
    ) -> PretendResult:
        self.calls.append({"photo": photo, "out": out, "config": config, "given": given, "formats": formats, "force": force})
        assert context == "context"
        if photo.name in self.mistakes:
            raise self.mistakes[photo.name]()
        if not photo.is_file():
            raise InputError(f"there is no photo {photo}", "check the spelling")
        for stage in STAGES:
            report(stage, 0.0, "")
            report(stage, 0.5, "half")
            report(stage, 1.0, "")
        targets = targets_for(photo, out, formats)
        targets.folder.mkdir(parents=True, exist_ok=True)
        (targets.folder / "preview.png").write_bytes(b"picture")
        for path in targets.files:
            path.write_bytes(b"mesh of " + photo.read_bytes())
        seconds, figures = {"fit": 1.25, "texture": 0.5}, {"faces": 12000.0}
        return PretendResult(targets.files[0], targets.files, targets.folder, self.warnings, seconds, figures, targets.files)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """`img23d.pipeline` replaced for one test."""
    stand_in, module = Pretend(), ModuleType("img23d.pipeline")
    module.open_context, module.generate, module.Given = stand_in.open_context, stand_in.generate, Given  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "img23d.pipeline", module)
    monkeypatch.setattr("img23d.pipeline", module, raising=False)
    return stand_in


@pytest.fixture
def run() -> Callable[..., Any]:
    """Runs the command line in this process; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    runner = CliRunner()

    def call(*arguments: object) -> Any:
        result = runner.invoke(app, [str(argument) for argument in arguments])
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three files that pass for photos."""
    monkeypatch.chdir(tmp_path)
    for name in ("mug.png", "shoe.JPG", "vase.webp"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path
