"""The run folder: numbered steps, each written once, checked on reuse, and resumed after a crash.

A step's key is a hash of (previous key, name, version, that step's options). A step is computed into ``NN_name.partial`` and
moved into place in one rename; its result is then read back from disk, so that a resumed run continues from the very same
numbers as an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from img23d.errors import OutputError

Artifact = TypeVar("Artifact")
MANIFEST = "step.json"


def digest(*parts: Any) -> str:
    """A short hash of plain values, dataclasses and bytes."""
    state = hashlib.sha256()
    for part in parts:
        if is_dataclass(part) and not isinstance(part, type):
            part = asdict(part)
        state.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode())
        state.update(b"\0")
    return state.hexdigest()[:24]


def file_digest(path: Path) -> str:
    """A short hash of a file's content."""
    state = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            state.update(block)
    return state.hexdigest()[:24]


def model_digests(names: str) -> list[str]:
    """Hashes of the models among comma-separated names that are files or folders here; what is only a repository's id has none."""
    found: list[str] = []
    for path in (Path(name.strip()) for name in names.split(",") if name.strip()):
        parts = [path, path.with_suffix(".json")] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
        found.extend(file_digest(part) for part in parts if part.is_file() and part.suffix in (".onnx", ".json", ".safetensors"))
    return found


def readable_stem(path: Path) -> str:
    """A file's name without suffix; bytes that are no UTF-8, which neither JSON nor glTF can hold, become underscores."""
    return re.sub("[\ud800-\udfff]", "_", path.stem)


def stage_seed(seed: int, name: str) -> int:
    """The seed of one stage: it depends on nothing but the run's seed and the stage's name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "little") & 0x7FFFFFFF


class Run:
    """A run folder.

    Args:
        folder: where the steps are kept; made when missing.
        source_key: hash of the inputs (photo, maps) and of what applies to all steps (seed, device kind).
        announce: called with (step name, "reused" or "computing") before each step.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, source_key: str, announce: Callable[[str, str], None] | None = None) -> None:
        self.folder = folder
        self.key = source_key
        self.count = 0
        self._announce = announce or (lambda name, state: None)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the run folder {folder}: {error.strerror}", "choose another --out") from error

    def step(
        self,
        name: str,
        version: int,
        options: Any,
        compute: Callable[[], Artifact],
        save: Callable[[Artifact, Path], None],
        load: Callable[[Path], Artifact],
        warnings: list[str] | None = None,
    ) -> Artifact:
        """Run one step, or read its result when the folder already holds it.

        Args:
            name: the stage's name; part of the folder name and of the key.
            version: raised whenever the stage's meaning changes.
            options: the stage's options, a dataclass or plain values.
            compute: makes the artifact.
            save: writes it into a folder.
            load: reads it from that folder.
            warnings: what the computation adds to it is kept, and added again whenever the step is reused.

        Raises:
            OutputError: the result cannot be written.
        """
        self.count += 1
        self.key = digest(self.key, name, version, options)
        target = self.folder / f"{self.count:02d}_{name}"
        warnings = [] if warnings is None else warnings
        kept = self._kept(target)
        if kept is not None:
            self._announce(name, "reused")
            warnings.extend(kept.get("warnings", []))
            return load(target)
        self._announce(name, "computing")
        already = len(warnings)
        artifact = compute()
        partial = target.with_name(target.name + ".partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            save(artifact, partial)
            hashes = {p.name: file_digest(p) for p in sorted(partial.iterdir())}
            facts = {"key": self.key, "step": name, "version": version, "files": hashes, "warnings": warnings[already:]}
            (partial / MANIFEST).write_text(json.dumps(facts, indent=1))
            self._clear()
            os.replace(partial, target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise OutputError(f"cannot write {target}: {error.strerror or error}", "free some space or choose another --out") from error
        return load(target)

    def _clear(self) -> None:
        """Take away what a step replaces, and what was made from that: later steps, and other steps of its number."""
        for folder in self.folder.glob("[0-9][0-9]_*"):
            number = int(folder.name[:2])
            ours = folder.suffix == ".partial" or (folder / MANIFEST).is_file()  # else it is somebody's own
            if ours and (number > self.count or (number == self.count and folder.suffix != ".partial")):
                shutil.rmtree(folder)

    def _kept(self, folder: Path) -> dict[str, Any] | None:
        """The manifest of this step's result, where the folder holds it whole and for the same key."""
        try:
            manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
            whole = manifest["key"] == self.key and all(file_digest(folder / f) == h for f, h in manifest["files"].items())
            return manifest if whole else None
        except (OSError, ValueError, KeyError):
            return None
