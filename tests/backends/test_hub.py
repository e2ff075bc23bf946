"""Finding, importing, fetching and checking weights, with real files and a real server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from img23d.backends import hub, model_files
from img23d.backends.fetching import fetch
from img23d.errors import InputError, WeightsError
from img23d.weights import Weights, find, unlisted

ONNX = b"\x08\x07" + b"an onnx file of sorts" * 50
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Every cache in a folder of this test."""
    for name in ("HF_HUB_OFFLINE", "IMG23D_OFFLINE", "HF_HUB_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME", "REMBG_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMG23D_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "u2net"))
    return tmp_path


def transformer_folder(folder: Path) -> Path:
    """A folder that looks like a model of transformers."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    save_file({"a": torch.arange(3.0)}, folder / "model.safetensors")
    return folder


def test_places_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert hub.cache_dir() == tmp_path / "own"
    assert hub.hub_cache() == tmp_path / "hf" / "hub"
    assert hub.rembg_files("u2net")[0] == tmp_path / "u2net" / "u2net.onnx"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert hub.hub_cache() == tmp_path / "elsewhere"
    monkeypatch.delenv("U2NET_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub.rembg_files("u2net")[0] == tmp_path / ".u2net" / "u2net.onnx"
    assert tmp_path / ".rembg" / "models" / "u2net" / "u2net.onnx" in hub.rembg_files("u2net")


@pytest.mark.parametrize("value, expected", [("1", True), ("TRUE", True), ("on", True), ("0", False), ("", False)])
def test_offline_by_environment(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert hub.is_offline() is expected and hub.is_offline(True)


def test_missing_weights_say_what_to_do() -> None:
    with pytest.raises(WeightsError) as error:
        hub.require("depth-anything-small", offline=True)
    assert "not on this machine (99 MB)" in error.value.message and error.value.exit_code == 5
    assert "img23d models fetch depth-anything-small" in error.value.hint and "\n" not in error.value.hint


def test_import_folder_then_found_and_verified(tmp_path: Path) -> None:
    source = transformer_folder(tmp_path / "downloaded")
    torch.save({"a": 1}, source / "pytorch_model.bin")
    entry = find("depth-anything-small")
    found, hashes = hub.import_model(entry, source)
    assert not (found.path / "pytorch_model.bin").exists()  # the pickle stays behind
    assert hashes["model.safetensors"] == hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
    assert hub.require("depth-anything-small", offline=True) == found.path
    assert hub.require(entry.repo, offline=True) == found.path
    assert hub.verify(entry) == []
    (found.path / "config.json").write_text("{ }")
    assert hub.verify(entry) == ["config.json: changed since it was recorded"]
    (found.path / "config.json").unlink()
    assert hub.verify(entry) == ["config.json: missing"]


def test_import_replaces_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    entry = find("dpt-large")
    first = transformer_folder(tmp_path / "first")
    (first / "extra.json").write_text("{}")
    hub.import_model(entry, first)
    found, _ = hub.import_model(entry, transformer_folder(tmp_path / "second"))
    assert sorted(file.name for file in found.path.iterdir()) == ["config.json", "model.safetensors"]
    assert not list(found.path.parent.glob("*.partial"))


def test_import_single_file_checks_the_published_checksum(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(ONNX)
    entry = find("isnet-general-use")
    with pytest.raises(WeightsError, match="not the published isnet-general-use"):
        hub.import_model(entry, file)
    found, hashes = hub.import_model(entry, file, unverified=True)
    assert found.path == tmp_path / "u2net" / "isnet-general-use.onnx" and found.path.read_bytes() == ONNX
    assert list(hashes.values()) == [hashlib.sha256(ONNX).hexdigest()]
    with pytest.raises(WeightsError, match=r"one \.onnx file"):
        hub.import_model(entry, transformer_folder(tmp_path / "folder"))
    with pytest.raises(InputError, match="no file or folder"):
        hub.import_model(entry, tmp_path / "nothing.onnx")


@pytest.mark.parametrize("suffix", [".bin", ".ckpt", ".pt", ".pth", ".safetensors", ".onnx"])
def test_pickles_are_refused_by_content_and_never_opened(tmp_path: Path, suffix: str) -> None:
    """Unpickling this would raise; so would a test that opened it."""

    class Bomb:
        def __reduce__(self) -> tuple:
            return (pytest.fail, ("a pickle was opened",))

    file = tmp_path / f"model{suffix}"
    file.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match="is a pickle"):
        model_files.model_files(file)
    torch.save({"a": torch.zeros(2)}, file)
    with pytest.raises(WeightsError, match="is a pickle"):
        model_files.model_files(file)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    folder = transformer_folder(tmp_path / "model")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:20])
    with pytest.raises(WeightsError, match="not a whole safetensors"):
        model_files.model_files(folder)
    (tmp_path / "page.onnx").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(WeightsError, match="not an ONNX file"):
        model_files.model_files(tmp_path / "page.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no weights"):
        model_files.model_files(tmp_path / "empty")


def test_hub_cache_is_read_without_its_library(tmp_path: Path) -> None:
    entry = find("marigold-depth")
    folder = tmp_path / "hf" / "hub" / "models--prs-eth--marigold-depth-v1-1"
    transformer_folder(folder / "snapshots" / COMMIT)
    assert hub.locate(entry) is None  # no reference says which snapshot main is
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    assert hub.locate(entry).revision == COMMIT
    pinned = find("dpt-large")
    transformer_folder(tmp_path / "hf" / "hub" / "models--Intel--dpt-large" / "snapshots" / pinned.revision)
    assert hub.locate(pinned).revision == pinned.revision


def test_paths_and_nonsense(tmp_path: Path) -> None:
    folder = transformer_folder(tmp_path / "mine")
    assert hub.require(str(folder), offline=True) == folder
    for name in ("no-such-model", str(tmp_path / "none"), "gone.onnx"):
        with pytest.raises(WeightsError, match="neither a known name nor a path"):
            hub.require(name, offline=True)


def test_commercial_ok() -> None:
    for name in ("depth-anything-large", "bria-rmbg", "someone/something"):
        with pytest.raises(WeightsError, match="may not be used commercially"):
            hub.require(name, offline=True, commercial_ok=True)
        with pytest.raises(WeightsError, match="may not be used commercially"):
            fetch(find(name) or unlisted(name), commercial_ok=True)
    with pytest.raises(WeightsError, match="not on this machine"):
        hub.require("depth-anything-small", offline=True, commercial_ok=True)


def test_damaged_lock_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / model_files.LOCK).write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        model_files.read_lock(hub.cache_dir())


class Hub(http.server.BaseHTTPRequestHandler):
    """The few answers of a model hub that a download needs; files come from ``server.files``."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        """A repository's list of files, or one file."""
        files: dict[str, bytes] = self.server.files  # type: ignore[attr-defined]
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        path = self.path.partition("?")[0].lstrip("/")
        if path.startswith("api/models/org/model"):
            listing = [{"rfilename": name, "size": len(data), "blobId": "0" * 40} for name, data in files.items()]
            content = json.dumps({"id": "org/model", "sha": COMMIT, "siblings": listing, "private": False, "tags": []}).encode()
            if "/tree/" in path:
                tree = [{"type": "file", "oid": "0" * 40, "size": len(data), "path": name} for name, data in files.items()]
                content = json.dumps(tree).encode()
        else:
            content = files.get(path.rpartition(f"{COMMIT}/")[2] or path, files.get(path, b""))
        if not content:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """A hub on this machine."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    started = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    started.files, started.asked = {}, []  # type: ignore[attr-defined]
    threading.Thread(target=started.serve_forever, daemon=True).start()
    yield started
    started.shutdown()
    started.server_close()


def address(server: http.server.ThreadingHTTPServer) -> str:
    """Where the hub listens."""
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_fetch_single_file(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    entry = Weights("tiny", "background", f"{address(server)}/tiny.onnx", "MIT", True, "test", files=("tiny.onnx",), checksum="")
    server.files["tiny.onnx"] = ONNX  # type: ignore[attr-defined]
    seen: list[tuple[int, int]] = []
    found = fetch(entry, progress=lambda done, total: seen.append((done, total)))
    assert found.path.read_bytes() == ONNX and seen[-1] == (len(ONNX), len(ONNX))
    assert model_files.read_lock(hub.cache_dir())["tiny"]["files"] == {"tiny.onnx": hashlib.sha256(ONNX).hexdigest()}
    assert hub.locate(entry) is not None and hub.verify(entry) == []


def test_fetching_one_file_several_times_at_once_tears_nothing(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    entry = Weights("tiny", "background", f"{address(server)}/tiny.onnx", "MIT", True, "test", files=("tiny.onnx",), checksum="")
    server.files["tiny.onnx"] = ONNX  # type: ignore[attr-defined]
    begun = threading.Barrier(4)

    def one(_: int) -> bytes:
        begun.wait()
        return fetch(entry).path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(one, range(4))) == {ONNX}


def test_fetch_refuses_another_file_and_keeps_nothing(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    server.files["isnet-general-use.onnx"] = ONNX  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match="not the published isnet-general-use"):
        fetch(find("isnet-general-use"), mirror=address(server))
    assert not list((tmp_path / "u2net").iterdir())


def test_fetch_offline_and_unreachable(server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="cannot be reached"):
        fetch(find("u2netp"), mirror=address(server))  # the server answers 404
    with pytest.raises(WeightsError, match="not a web address"):
        fetch(find("u2netp"), mirror="/somewhere")
    asked = len(server.asked)  # type: ignore[attr-defined]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="offline"):
        fetch(find("u2netp"), mirror=address(server))
    assert len(server.asked) == asked  # type: ignore[attr-defined]


def test_fetch_repository_without_its_pickles(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (pip install 'img23d[diffusion]')")
    source = transformer_folder(tmp_path / "source")
    server.files.update({file.name: file.read_bytes() for file in source.iterdir()})  # type: ignore[attr-defined]
    server.files["pytorch_model.bin"] = b"never fetched"  # type: ignore[attr-defined]
    found = fetch(unlisted("org/model"), mirror=address(server))
    assert sorted(file.name for file in found.path.iterdir()) == ["config.json", "model.safetensors"]
    assert found.revision == COMMIT and not any("pytorch_model.bin" in path for path in server.asked if "resolve" in path)  # type: ignore[attr-defined]
    assert hub.require("org/model", offline=True) == found.path
    assert hub.verify(unlisted("org/model")) == []


def test_fetch_tries_fallbacks_then_says_why(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (pip install 'img23d[diffusion]')")
    source = transformer_folder(tmp_path / "source")
    entry = Weights("gone", "depth", "org/gone", "MIT", True, "test", fallbacks=("org/model",))
    with pytest.raises(WeightsError, match=r"gone cannot be fetched: org/gone: .*; org/missing: "):
        fetch(Weights("gone", "depth", "org/gone", "MIT", True, "test", fallbacks=("org/missing",)), mirror=address(server))
    with pytest.raises(WeightsError, match=r"gone cannot be fetched: org/gone: ") as unreachable:
        fetch(entry, mirror="http://127.0.0.1:9")
    assert "org/model" not in unreachable.value.message, "nobody else's takes the place of one that does not answer"
    server.files.update({file.name: file.read_bytes() for file in source.iterdir()})  # type: ignore[attr-defined]
    found = fetch(entry, mirror=address(server))
    assert found.path.name == COMMIT and "from org/model" in found.place
