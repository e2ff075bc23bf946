"""``img23d batch`` with a pretended pipeline: the table, the report, the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from img23d.errors import InputError


def report(name: str = "report.json") -> Any:
    return json.loads((Path("out") / name).read_text(encoding="utf-8"))


def test_a_folder_becomes_meshes_a_table_and_a_report(pretend: Any, run: Any, photos: Path) -> None:
    pretend.warnings = ("the background is not plain",)
    result = run("batch", ".", "--preset", "draft", "--out", "out", "--faces", 700, "--seed", 3)
    assert result.exit_code == 0
    assert sorted(path.name for path in Path("out").glob("*.glb")) == ["mug.glb", "shoe.glb", "vase.glb"]
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["photo", "status", "seconds", "result"]
    assert [(row[0], row[1], row[3]) for row in rows if len(row) == 4 and row[1] == "done"] == [
        ("mug", "done", "mug.glb"),
        ("shoe", "done", "shoe.glb"),
        ("vase", "done", "vase.glb"),
    ]
    assert "warning: the background is not plain" in result.stdout
    assert "3 done in " in result.stdout and "report.json" in result.stdout
    assert "[3/3] vase: done" in result.stderr
    assert report()["preset"] == "draft" and report()["options"]["texture"]["faces"] == 700
    assert len(pretend.opened) == 1 and pretend.calls[0]["config"].seed == 3


def test_one_failure_is_told_and_the_exit_code_is_one(pretend: Any, run: Any, photos: Path) -> None:
    pretend.mistakes["shoe.JPG"] = lambda: InputError("shoe.JPG is damaged", "copy it again")
    result = run("batch", ".", "--out", "out")
    assert result.exit_code == 1
    assert "[2/3] shoe: failed: shoe.JPG is damaged" in result.stderr
    assert "InputError: shoe.JPG is damaged" in result.stdout and "2 done, 1 failed" in result.stdout
    assert report()["totals"] == {"done": 2, "failed": 1}


def test_a_second_run_does_the_failed_ones_alone(pretend: Any, run: Any, photos: Path) -> None:
    pretend.mistakes["shoe.JPG"] = lambda: InputError("shoe.JPG is damaged")
    run("batch", ".", "--out", "out", "-q")
    pretend.mistakes.clear()
    pretend.calls.clear()
    result = run("batch", ".", "--out", "out")
    assert result.exit_code == 0
    assert [call["photo"].name for call in pretend.calls] == ["shoe.JPG"]
    assert "1 done, 2 skipped" in result.stdout and "mug: skipped, already there" in result.stderr


def test_ctrl_c_ends_with_130_and_a_whole_report(pretend: Any, run: Any, photos: Path) -> None:
    pretend.mistakes["shoe.JPG"] = lambda: KeyboardInterrupt()
    result = run("batch", ".", "--out", "out")
    assert result.exit_code == 130
    assert result.stderr.endswith("interrupted; the same command continues\n")
    assert report()["state"] == "interrupted" and report()["totals"] == {"done": 1, "stopped": 1, "waiting": 1}


def test_quiet_tells_only_of_failures(pretend: Any, run: Any, photos: Path) -> None:
    pretend.mistakes["mug.png"] = lambda: InputError("mug.png is damaged")
    result = run("batch", ".", "--out", "out", "--quiet")
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == "[1/3] mug: failed: mug.png is damaged" and lines[1].startswith("2 done, 1 failed in ") and len(lines) == 2


def test_a_manifest_sets_each_photos_own_options(pretend: Any, run: Any, photos: Path) -> None:
    Path("list.csv").write_text("photo,name,mask,fov,elevation\nmug.png,cup,mask.png,35,10\nvase.webp,,,,\n")
    Path("mask.png").write_bytes(b"mask")
    result = run("batch", "list.csv", "--out", "out", "--format", "obj,stl")
    assert result.exit_code == 0, result.stderr
    first, second = pretend.calls
    assert (first["given"].mask, first["given"].fov_deg, first["given"].elevation_deg) == (Path("mask.png"), 35.0, 10.0)
    assert second["given"].files() == {} and second["given"].fov_deg is None
    assert sorted(path.name for path in Path("out").glob("*.*")) == [
        "cup.obj", "cup.run", "cup.stl", "report.json", "vase.obj", "vase.run", "vase.stl",
    ]  # fmt: skip


def test_shards_write_reports_of_their_own(pretend: Any, run: Any, photos: Path) -> None:
    assert run("batch", ".", "--out", "out", "--shard", "1/2", "-q").exit_code == 0
    assert run("batch", ".", "--out", "out", "--shard", "2/2", "-q").exit_code == 0
    assert [item["name"] for item in report("report-1of2.json")["items"]] == ["mug", "vase"]
    assert [item["name"] for item in report("report-2of2.json")["items"]] == ["shoe"]


def test_mistakes_end_before_any_work(pretend: Any, run: Any, photos: Path) -> None:
    for arguments, code, message in [
        (["nowhere"], 3, "there is no folder, photo, manifest or pattern nowhere"),
        (["*.tga"], 3, "no photo matches *.tga"),
        ([".", "--jobs", "0"], 2, "--jobs 0 is less than one"),
        ([".", "--shard", "3/2"], 2, "--shard '3/2'"),
        ([".", "--format", "usd"], 2, "unknown format 'usd'"),
        ([".", "--preset", "drafty"], 2, "unknown preset 'drafty'"),
    ]:
        result = run("batch", *arguments, "--out", "out")
        assert result.exit_code == code and f"error: {message}" in result.stderr.splitlines()[0]
    assert not pretend.opened
