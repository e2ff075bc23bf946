"""Downloads, only when asked for: one file by its address, or a repository's snapshot through huggingface_hub."""

from __future__ import annotations

import importlib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from img23d.backends import model_files
from img23d.backends.hub import Found, cache_dir, check_licence, hub_cache, is_offline, missing, rembg_files
from img23d.errors import BackendError, WeightsError
from img23d.io.files import claimed
from img23d.weights import Weights

Progress = Callable[[int, int], None]
_CHUNK = 1 << 18
_TIMEOUT = 30.0


def no_progress(done: int, total: int) -> None:
    """Shows nothing."""


def fetch(entry: Weights, offline: bool = False, commercial_ok: bool = False, mirror: str = "", progress: Progress = no_progress) -> Found:
    """Download a model's safetensors or ONNX files, check them and record their sha256.

    Args:
        mirror: address of another hub for a repository, or of another folder for a single file.
        progress: called with bytes done and in all (0 when unknown); single files only.

    Returns:
        Where it lies now.

    Raises:
        WeightsError: offline, not allowed, unreachable, pickled, or not the published file.
        BackendError: huggingface_hub is missing.
    """
    check_licence(entry, commercial_ok)
    if entry.kind == "embedded":
        raise WeightsError("the embedded networks come with img23d", "pip install --force-reinstall img23d")
    if entry.by_hand:
        raise missing(entry)
    if is_offline(offline):
        error = missing(entry)
        raise WeightsError(f"offline: {entry.name} cannot be fetched", error.hint.partition("offline, ")[2])
    if entry.single_file:
        target, source, revision = rembg_files(entry.name)[0], _address(entry, mirror), ""
        _download(source, target, entry, progress)
    else:
        target, source = _snapshot(entry, mirror)
        revision = target.name
    files = model_files.model_files(target)
    with claimed(cache_dir(), wait=True):
        _record(entry, source, revision, target, files)
    place = "Hugging Face cache" if source == entry.repo else f"Hugging Face cache, from {source}, which is not pinned"
    return Found(target, "rembg's folder" if entry.single_file else place, revision)


def _record(entry: Weights, source: str, revision: str, target: Path, files: list[Path]) -> None:
    """Write down what was fetched.

    Raises:
        WeightsError: a revision that was fetched before has other files now.
    """
    known = model_files.read_lock(cache_dir()).get(entry.name, {})
    if entry.revision and known.get("revision") == revision and (changed := _changed(target, known["files"])):
        raise WeightsError(f"{entry.name}: {changed[0]}, though the revision is the same", "do not use it; ask the publisher what happened")
    model_files.record(cache_dir(), entry.name, source, revision, target, files)


def _changed(target: Path, recorded: dict[str, str]) -> list[str]:
    return model_files.differences(target, recorded)


def _address(entry: Weights, mirror: str) -> str:
    return f"{mirror.rstrip('/')}/{entry.files[0]}" if mirror else entry.repo


def _download(address: str, target: Path, entry: Weights, progress: Progress) -> None:
    """One file, whole or not at all, compared with its published checksum before it takes its place."""
    if not address.startswith(("https://", "http://")):
        raise WeightsError(f"{address} is not a web address", "--mirror https://...; for a local folder use img23d models import")
    target.parent.mkdir(parents=True, exist_ok=True)
    before = _changed_at(target)
    with claimed(target, wait=True):
        if _changed_at(target) == before:  # or another process has just fetched it
            _download_alone(address, target, entry, progress)


def _changed_at(target: Path) -> int:
    return target.stat().st_mtime_ns if target.is_file() else 0


def _download_alone(address: str, target: Path, entry: Weights, progress: Progress) -> None:
    """`_download` while no other process does."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer, partial.open("wb") as out:
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while chunk := answer.read(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                progress(done, total)
        if done < total:
            raise WeightsError(f"{entry.name}: the download ended after {done} of {total} bytes", "run the same command again")
        model_files.check_published(partial, entry.checksum, entry.name)
        partial.replace(target)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(f"{address} cannot be reached: {reason}", _other_ways(entry)) from error
    finally:
        partial.unlink(missing_ok=True)


def _snapshot(entry: Weights, mirror: str) -> tuple[Path, str]:
    """The repository's snapshot folder and the id it came from; fall-back ids are tried in order."""
    try:
        hub = importlib.import_module("huggingface_hub")
        errors = importlib.import_module("huggingface_hub.errors")
    except ImportError as error:
        raise BackendError("huggingface_hub is not installed", "pip install 'img23d[diffusion]'") from error
    failures = []
    for repo in (entry.repo, *entry.fallbacks):
        # A fall-back has a history of its own; the revision belongs to the first id.
        revision = (entry.revision or None) if repo == entry.repo else None
        try:
            path = hub.snapshot_download(
                # The library reads the environment once, at its import; we look where it says now.
                repo,
                revision=revision,
                allow_patterns=list(entry.files),
                endpoint=mirror or None,
                cache_dir=hub_cache(),
            )
        except errors.GatedRepoError:
            failures.append(f"{repo}: gated; accept its licence on its page, then hf auth login")
        except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.RevisionNotFoundError, OSError, ValueError) as error:
            failures.append(f"{repo}: {(str(error).strip().splitlines() or [type(error).__name__])[0]}")
            if not _is_gone(error, errors.RepositoryNotFoundError):
                break  # the publisher's own is there but does not answer: nobody else's takes its place
        else:
            return Path(path), repo
    raise WeightsError(f"{entry.name} cannot be fetched: {'; '.join(failures)}", _other_ways(entry))


def _is_gone(error: BaseException, not_found: type[BaseException]) -> bool:
    """Whether a hub says that it has no such repository."""
    answers = [error, *([error.__cause__] if error.__cause__ else [])]
    return any(isinstance(one, not_found) or getattr(getattr(one, "response", None), "status_code", 0) == 404 for one in answers)


def _other_ways(entry: Weights) -> str:
    option = "--mirror ADDRESS" if entry.single_file else "--mirror ADDRESS or HF_ENDPOINT"
    return f"check the network, name another hub with {option}, or img23d models import {entry.name} PATH"
