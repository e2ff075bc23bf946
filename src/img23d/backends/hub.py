"""Where pretrained weights lie on this machine, and how a model named by the user becomes a local path.

Looked for in this order: a path; what `img23d models import` put in img23d's own cache; rembg's folder or the Hugging Face cache.
The environment is read when asked, never at import. No torch in here.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from img23d.backends import model_files
from img23d.errors import InputError, WeightsError
from img23d.weights import DEFAULT_REVISION, Weights, find, unlisted

OFFLINE = ("HF_HUB_OFFLINE", "IMG23D_OFFLINE")
_TRUE = {"1", "true", "yes", "on"}


def cache_dir() -> Path:
    """img23d's own cache: ``$IMG23D_CACHE``, else the system's place for caches."""
    if chosen := os.environ.get("IMG23D_CACHE"):
        return Path(chosen).expanduser()
    if local := os.environ.get("LOCALAPPDATA"):
        return Path(local) / "img23d"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "img23d"


def hub_cache() -> Path:
    """The Hugging Face cache, shared with every other program."""
    if chosen := os.environ.get("HF_HUB_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def rembg_home() -> Path:
    """The flat folder that every version of rembg looks into: ``$U2NET_HOME``, else ``.u2net`` in the data or home folder."""
    if chosen := os.environ.get("U2NET_HOME"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~").expanduser() / ".u2net"


def rembg_files(name: str) -> list[Path]:
    """Every place where rembg takes a model from: the flat folder, and newer versions' folder for each model."""
    data = os.environ.get("XDG_DATA_HOME")
    newer = Path(os.environ.get("REMBG_HOME") or (Path(data) / "rembg" if data else "~/.rembg")).expanduser()
    homes = [rembg_home()] if os.environ.get("U2NET_HOME") else [rembg_home(), newer]
    return [rembg_home() / f"{name}.onnx", *(home / "models" / name / f"{name}.onnx" for home in homes)]


def is_offline(asked: bool = False) -> bool:
    """Whether the network is out of bounds: asked for, or by ``HF_HUB_OFFLINE`` or ``IMG23D_OFFLINE``."""
    return asked or any(os.environ.get(name, "").strip().lower() in _TRUE for name in OFFLINE)


@dataclass(frozen=True)
class Found:
    """Where a model lies.

    Args:
        path: a file or a folder.
        place: in words: inside img23d, imported, Hugging Face cache, rembg's folder.
        revision: commit of the hub's repository, or empty.
    """

    path: Path
    place: str
    revision: str = ""


def own_folder(name: str) -> Path:
    """The folder of an imported model."""
    return cache_dir() / "models" / name.replace("/", "--")


def locate(entry: Weights) -> Found | None:
    """Where a model's files are on this machine, or None."""
    if entry.kind == "embedded":
        inside = Path(__file__).parents[1] / "priors"
        return Found(inside, "inside img23d") if any(inside.rglob("*.safetensors")) else None
    if entry.single_file:
        return next((Found(path, "rembg's folder") for path in rembg_files(entry.name) if path.is_file()), None)
    if (own := own_folder(entry.name)).is_dir():
        return Found(own, "imported")
    for repo in filter(None, (entry.repo, *entry.fallbacks)):
        if found := _snapshot(repo, entry.revision if repo == entry.repo else ""):
            return found
    return None


def _snapshot(repo: str, revision: str) -> Found | None:
    """A complete-looking snapshot in the Hugging Face cache: of the revision wanted, else the one that ``main`` pointed to."""
    folder = hub_cache() / f"models--{repo.replace('/', '--')}"
    reference = folder / "refs" / (revision or DEFAULT_REVISION)
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    path = folder / "snapshots" / commit
    weights = commit and path.is_dir() and any(file.suffix in model_files.LOADABLE for file in path.rglob("*"))
    return Found(path, "Hugging Face cache", commit) if weights else None


def check_licence(entry: Weights, commercial_ok: bool) -> None:
    """Refuse a model that may not be used commercially, when asked to.

    Raises:
        WeightsError: its licence forbids that, or is not known.
    """
    if commercial_ok and not entry.commercial:
        raise WeightsError(
            f"{entry.name} may not be used commercially, as far as is known: {entry.licence}", "img23d models licenses lists those that may"
        )


def require(model: str, offline: bool = False, commercial_ok: bool = False) -> Path:
    """The local path of a model that the user named, fetched first if it is not here.

    Args:
        model: short name, repository id, or path of a folder or .onnx file.
        offline: never reach for the network.
        commercial_ok: refuse what may not be used commercially; a path is the user's own business.

    Returns:
        A folder or file whose weights are safetensors or ONNX.

    Raises:
        WeightsError: missing and not to be fetched, damaged, pickled, or not allowed.
    """
    path = Path(model).expanduser()
    entry = find(model)
    if entry is None and path.exists():
        model_files.model_files(path)
        return path
    if entry is None and (model.endswith((".onnx", ".safetensors")) or model.count("/") != 1 or model.startswith((".", "/", "~"))):
        raise WeightsError(f"no model {model!r}: neither a known name nor a path that exists", "img23d models lists the names")
    entry = entry or unlisted(model)
    check_licence(entry, commercial_ok)
    found = locate(entry)
    if found is None:
        if is_offline(offline):
            raise missing(entry)
        from img23d.backends.fetching import fetch

        found = fetch(entry)
    model_files.model_files(found.path)
    return found.path


def missing(entry: Weights) -> WeightsError:
    """The error that says what to do for weights that are not here."""
    where = rembg_files(entry.name)[0] if entry.single_file else own_folder(entry.name)
    size = f" ({entry.size_mb} MB)" if entry.size_mb else ""
    if entry.by_hand:
        return WeightsError(
            f"the weights of {entry.name} are not on this machine, and are published as a pickle alone",
            f"convert them as docs/models.md says, then img23d models import {entry.name} FOLDER (they go to {where})",
        )
    return WeightsError(
        f"the weights of {entry.name} are not on this machine{size}",
        f"img23d models fetch {entry.name}; or, offline, img23d models import {entry.name} PATH (they go to {where})",
    )


def import_model(entry: Weights, source: Path, unverified: bool = False) -> tuple[Found, dict[str, str]]:
    """Copy a model from a local file or folder to where img23d looks for it, and record its sha256.

    Args:
        source: an .onnx file, or a folder in the repository's own layout.
        unverified: take a file whose checksum is not the published one, as a converted copy has.

    Returns:
        Where it lies now, and sha256 by file.

    Raises:
        InputError: no such file or folder.
        WeightsError: pickled, damaged, or not the published file.
    """
    if not source.exists():
        raise InputError(f"there is no file or folder {source}", "name the downloaded .onnx file or the model's folder")
    if entry.kind == "embedded":
        raise WeightsError("the embedded networks come with img23d", "pip install --force-reinstall img23d")
    if entry.single_file != source.is_file():
        kind = "one .onnx file" if entry.single_file else "a folder"
        raise WeightsError(f"{entry.name} is {kind}, {source} is not", f"look at img23d models show {entry.name}")
    files = model_files.model_files(source)
    if entry.single_file and not unverified:
        model_files.check_published(source, entry.checksum, entry.name)
    target = rembg_files(entry.name)[0] if entry.single_file else own_folder(entry.name)
    if source.resolve() != target.resolve():
        _copy(files, source, target)
    kept = model_files.model_files(target)
    hashes = model_files.record(cache_dir(), entry.name, str(source), entry.revision, target, kept)
    return Found(target, "imported"), hashes


def _copy(files: list[Path], source: Path, target: Path) -> None:
    """Copy whole or not at all: into a neighbour first, then one rename."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, partial)
    else:
        for file in files:
            place = partial / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        if target.exists():
            shutil.rmtree(target)
    partial.replace(target)


def verify(entry: Weights) -> list[str]:
    """Check a model's files against their record, or record them when there is none.

    Returns:
        One line for each problem; empty when all is well.

    Raises:
        WeightsError: the model is not here.
    """
    found = locate(entry)
    if found is None:
        raise missing(entry)
    try:
        files = model_files.model_files(found.path)
    except WeightsError as error:
        return [error.message]
    known = model_files.read_lock(cache_dir()).get(entry.name)
    if known and known["path"] == str(found.path):
        return model_files.differences(found.path, known["files"])
    if entry.kind != "embedded":
        model_files.record(cache_dir(), entry.name, entry.repo, found.revision, found.path, files)
    return []
