"""``img23d eval`` and ``img23d view``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trimesh


def test_eval_of_a_mesh_against_itself(run: Any, tmp_path: Path) -> None:
    trimesh.creation.icosphere(2, 0.5).export(tmp_path / "ball.ply")
    result = run("eval", tmp_path / "ball.ply", tmp_path / "ball.ply", "--protocol", "syncdreamer", "--json")
    scores = json.loads(result.stdout)
    assert scores["chamfer"] == 0 and scores["iou"] == 1 and scores["f0.05"] == 1 and scores["protocol"] == "syncdreamer"


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["a.glb", "b.glb"], 3, "there is no mesh a.glb"),
    (["a.glb", "b.glb", "--protocol", "tripo"], 2, "no such protocol"),
])  # fmt: skip
def test_eval_mistakes(run: Any, arguments: list[str], code: int, message: str) -> None:
    result = run("eval", *arguments)
    assert result.exit_code == code and message in result.stderr


def test_view_without_a_display_points_to_the_page(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    trimesh.creation.icosphere(1).export(tmp_path / "ball.glb")
    result = run("view", tmp_path / "ball.glb")
    assert result.exit_code == 4 and "viewer.html" in result.stderr
    assert run("view", tmp_path / "none.glb").exit_code == 3
    (tmp_path / "empty.run").mkdir()
    assert run("view", tmp_path / "empty.run").exit_code == 3


def test_view_of_a_run_shows_its_own_mesh(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from img23d.backends import open3d_view

    shown: list[str] = []
    monkeypatch.setattr(open3d_view, "check_display", lambda: None)
    monkeypatch.setattr(open3d_view, "view", lambda mesh, name: shown.append(name))
    (tmp_path / "mug[1].run").mkdir()
    for name in ("mug[1].glb", "mug[1]-old.glb"):
        trimesh.creation.icosphere(1).export(tmp_path / name)
    assert run("view", tmp_path / "mug[1].run").exit_code == 0
    assert shown == ["mug[1].glb"]
