"""``img23d models``: what it prints, what it refuses, where things go."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from img23d.weights import TABLE

ONNX = b"\x08\x07" + b"an onnx file of sorts" * 50


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Every cache in a folder of this test."""
    for name in ("IMG23D_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in {"IMG23D_CACHE": "own", "HF_HOME": "hf", "U2NET_HOME": "u2net"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def test_list_names_every_model_and_says_what_is_here(run: Any, tmp_path: Path) -> None:
    (tmp_path / "u2net").mkdir()
    (tmp_path / "u2net" / "u2netp.onnx").write_bytes(ONNX)
    for arguments in (("models",), ("models", "list")):
        lines = {line.split()[0]: line for line in run(*arguments).stdout.splitlines()}
        assert set(lines) == {entry.name for entry in TABLE}
        assert lines["u2netp"].split()[1] == "here" and lines["u2net"].split()[1] == "-"
        assert "99 MB" in lines["depth-anything-small"] and "Apache-2.0" in lines["depth-anything-small"]
    allowed = [line.split()[0] for line in run("models", "list", "--commercial-ok").stdout.splitlines()]
    assert "depth-anything-large" not in allowed and "depth-anything-small" in allowed
    parsed = [json.loads(line) for line in run("models", "list", "--json").stdout.splitlines()]
    assert [entry["name"] for entry in parsed] == [entry.name for entry in TABLE]


def test_show(run: Any) -> None:
    shown = run("models", "show", "depth-anything-small").stdout
    assert "870a35c76c2bc1d82fbde922d95015496cb7dd6c" in shown and "img23d models fetch depth-anything-small" in shown
    assert "main, not pinned" in run("models", "show", "depth-anything-large").stdout
    assert json.loads(run("models", "show", "bria-rmbg", "--json").stdout)["commercial"] == "no"
    assert run("models", "show", "prs-eth/marigold-depth-v1-1").stdout.startswith("name        marigold-depth")


def test_unknown_names_are_guessed(run: Any) -> None:
    result = run("models", "show", "depth-anything-smal")
    assert result.exit_code == 2 and "did you mean depth-anything-small?" in result.stderr


def test_import_show_verify(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file.onnx").write_bytes(ONNX)
    refused = run("models", "import", "u2netp", tmp_path / "file.onnx")
    assert refused.exit_code == 5 and "not the published u2netp" in refused.stderr and "--unverified" in refused.stderr
    done = run("models", "import", "u2netp", tmp_path / "file.onnx", "--unverified")
    place = tmp_path / "u2net" / "u2netp.onnx"
    assert done.exit_code == 0 and done.stdout.strip() == str(place) and place.read_bytes() == ONNX
    assert hashlib.sha256(ONNX).hexdigest() in done.stderr
    assert hashlib.sha256(ONNX).hexdigest() in run("models", "show", "u2netp").stdout
    assert run("models", "verify").stdout.splitlines()[-1] == "u2netp: ok"
    place.write_bytes(ONNX + b"!")
    changed = run("models", "verify", "u2netp")
    assert changed.exit_code == 5 and "changed since it was recorded" in changed.stdout + changed.stderr


def test_a_repository_that_the_table_does_not_know(run: Any, tmp_path: Path) -> None:
    """It can be brought here and checked like the others; that its licence is not known is said."""
    (tmp_path / "repo" / "unet").mkdir(parents=True)
    weights = tmp_path / "repo" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert run("models", "import", "org/model", tmp_path / "repo").exit_code == 0
    assert "not known to img23d" in run("models", "show", "org/model").stdout
    assert run("models", "verify").stdout.splitlines()[-1] == "org/model: ok"
    copied = next((tmp_path / "own").rglob(weights.name))
    copied.chmod(0o644)
    copied.write_bytes(b"\x03\0\0\0\0\0\0\0{ }")
    assert run("models", "verify", "org/model").exit_code == 5
    assert run("models", "import", "org/model", tmp_path / "repo", "--commercial-ok").exit_code == 5


def test_pickles_are_refused_in_one_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04\x95anything")
    result = run("models", "import", "u2netp", tmp_path / "model.ckpt")
    assert result.exit_code == 5 and len(result.stderr.strip().splitlines()) == 2 and "is a pickle" in result.stderr


@pytest.mark.parametrize("arguments", [["depth-anything-small"], ["u2netp"], ["someone/something"]])
def test_fetch_offline_says_what_to_do(run: Any, arguments: list[str]) -> None:
    result = run("models", "fetch", *arguments, "--offline")
    assert result.exit_code == 5 and f"offline: {arguments[0]} cannot be fetched" in result.stderr
    assert f"img23d models import {arguments[0]}" in result.stderr


def test_fetch_of_what_may_not_be_used_commercially(run: Any) -> None:
    result = run("models", "fetch", "depth-anything-large", "--commercial-ok")
    assert result.exit_code == 5 and "may not be used commercially, as far as is known: CC-BY-NC-4.0" in result.stderr


def test_verify_of_what_is_not_here(run: Any) -> None:
    assert run("models", "verify", "u2netp").exit_code == 5


def test_licenses(run: Any) -> None:
    lines = {line.split()[0]: line for line in run("models", "licenses").stdout.splitlines()}
    assert "NOT commercial" in lines["bria-rmbg"] and "NOT" not in lines["isnet-general-use"]
    assert "bria-rmbg" not in run("models", "licenses", "--commercial-ok").stdout
