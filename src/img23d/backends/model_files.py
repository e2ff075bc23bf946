"""What may be loaded: safetensors and ONNX only, hashed and remembered. A pickle is refused by its first bytes, never opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from img23d.errors import WeightsError
from img23d.io.files import atomic_write

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz")
LOADABLE = (".safetensors", ".onnx")
COMPANIONS = (".json", ".txt", ".model", ".onnx_data")
LOCK = "models.lock.json"
_CHUNK = 1 << 20


def check_safe(path: Path) -> None:
    """Refuse a weight file that could run code when loaded, whatever its name says.

    Raises:
        WeightsError: a pickle, or not what its suffix says.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        head = stream.read(16)
    if suffix in PICKLES or head[:2] == b"PK" or (head[:1] == b"\x80" and 2 <= head[1] <= 5):
        raise WeightsError(f"{path.name} is a pickle, which can run any code when it is loaded", "use this model's .safetensors or .onnx")
    if suffix == ".safetensors":
        length = int.from_bytes(head[:8], "little")
        if len(head) < 9 or head[8:9] != b"{" or length > path.stat().st_size - 8:
            raise WeightsError(f"{path} is not a whole safetensors file", "download or copy it again")
    # An ONNX file is a protobuf whose first field is ir_version (tag 8) or, from some writers, producer_name (tag 18).
    if suffix == ".onnx" and head[:1] not in (b"\x08", b"\x12"):
        raise WeightsError(f"{path} is not an ONNX file", "download or copy it again")


def model_files(path: Path) -> list[Path]:
    """The files of a model that may be used: a file itself, or what a folder holds besides pickles and pictures.

    Raises:
        WeightsError: none of them holds weights that may be loaded.
    """
    if path.is_file():
        check_safe(path)
        if path.suffix.lower() not in LOADABLE:
            raise WeightsError(f"{path.name} is neither .safetensors nor .onnx", "only these two kinds of weights are loaded")
        return [path]
    found = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in (*LOADABLE, *COMPANIONS))
    weights = [file for file in found if file.suffix.lower() in LOADABLE]
    if not weights:
        pickled = next((file.name for file in sorted(path.rglob("*")) if file.suffix.lower() in PICKLES), "")
        if pickled:
            raise WeightsError(
                f"{path} holds only pickled weights ({pickled}), which are never loaded", "find or convert this model to safetensors"
            )
        raise WeightsError(f"{path} holds no weights", "a folder with .safetensors or .onnx files is needed")
    for file in weights:
        check_safe(file)
    return found


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """Hex digest of a file's bytes by any algorithm of hashlib."""
    total = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def check_published(path: Path, checksum: str, name: str) -> None:
    """Compare a file with its publisher's ``algorithm:hex``; an empty one passes.

    Raises:
        WeightsError: they differ.
    """
    if not checksum:
        return
    algorithm, _, want = checksum.partition(":")
    have = digest(path, algorithm)
    if have != want:
        raise WeightsError(
            f"{path.name} is not the published {name}: {algorithm} {have}, not {want}",
            "fetch it again; a converted copy is taken with img23d models import --unverified",
        )


def read_lock(folder: Path) -> dict[str, Any]:
    """What was recorded at import and fetch: name to source, revision, path and sha256 of each file.

    Raises:
        WeightsError: the file is damaged.
    """
    path = folder / LOCK
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}", "delete it, then img23d models verify records everything anew") from error
    return content if isinstance(content, dict) else {}


def record(folder: Path, name: str, source: str, revision: str, path: Path, files: Iterable[Path]) -> dict[str, str]:
    """Write the sha256 of a model's files to the lock.

    Returns:
        Path below ``path`` to sha256.
    """
    base = path if path.is_dir() else path.parent
    hashes = {file.relative_to(base).as_posix(): sha256(file) for file in files}
    lock = read_lock(folder)
    lock[name] = {"source": source, "revision": revision, "path": str(path), "files": hashes}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(lock, indent=1, sort_keys=True) + "\n"
    atomic_write(folder / LOCK, lambda partial: Path(partial).write_text(text, encoding="utf-8"), True)
    return hashes


def differences(path: Path, recorded: dict[str, str]) -> list[str]:
    """One line for each file that is missing or not as recorded."""
    base, found = (path if path.is_dir() else path.parent), []
    for name, want in sorted(recorded.items()):
        file = base / name
        if not file.is_file():
            found.append(f"{name}: missing")
        elif sha256(file) != want:
            found.append(f"{name}: changed since it was recorded")
    return found
