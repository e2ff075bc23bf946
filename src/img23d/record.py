"""What a run folder remembers of its inputs: enough to check that a re-run is the same run, and to reopen it later."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from img23d import __version__
from img23d.config import Config
from img23d.errors import InputError, OutputError
from img23d.run import file_digest

RECORD = "run.json"
SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")


@dataclass(frozen=True)
class Given:
    """Files and numbers that the user knows about a photo.

    Args:
        depth, normal, mask: picture files of the photo's size.
        fov_deg: vertical field of view of the whole photo.
        elevation_deg: camera above the horizon.
    """

    depth: Path | None = None
    normal: Path | None = None
    mask: Path | None = None
    fov_deg: float | None = None
    elevation_deg: float | None = None

    def files(self) -> dict[str, Path]:
        """The picture files that are there, by role."""
        return {name: path for name, path in (("mask", self.mask), ("depth", self.depth), ("normal", self.normal)) if path is not None}


@dataclass(frozen=True)
class Targets:
    """Where a run works and what it writes.

    Args:
        folder: the run folder.
        files: the assets, by suffix.
    """

    folder: Path
    files: tuple[Path, ...]


def targets_for(source: Path, out: Path, formats: tuple[str, ...] = ()) -> Targets:
    """The run folder and the files to write.

    ``out`` with a mesh suffix is the asset itself and the run folder lies beside it (mug.glb, mug.run); any other ``out`` is a
    folder in which each source gets a run folder of its own name that holds the assets too.
    """
    if out.suffix.lower() in SUFFIXES:
        others = [out.with_suffix(f".{name}") for name in formats if f".{name}" != out.suffix.lower()]
        return Targets(out.with_suffix(".run"), (out, *others))
    folder = out / source.stem
    return Targets(folder, tuple(folder / f"{source.stem}.{name}" for name in formats or ("glb",)))


def check_existing(targets: Targets, source_key: str, force: bool) -> None:
    """Refuse to replace the result of another source unless ``force`` is given.

    The same source with other options is the same run: steps whose options changed are computed again, the others reused.

    Raises:
        OutputError: a file is in the way.
    """
    if force or _recorded(targets.folder).get("source_key") == source_key:
        return
    for target in targets.files:
        if target.exists():
            raise OutputError(f"{target} already exists and comes from another run", "--force replaces it, or choose another --out")


def keep(targets: Targets, source: Path, given: Given, source_key: str, config: Config) -> None:
    """Copy the inputs into the run folder and write down the resolved options.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        names = {
            "source": f"source{source.suffix.lower()}",
            **{role: f"given_{role}{p.suffix.lower()}" for role, p in given.files().items()},
        }
        for role, path in {"source": source, **given.files()}.items():
            copy = targets.folder / names[role]
            if not copy.exists() or file_digest(copy) != file_digest(path):
                partial = copy.with_name(copy.name + ".partial")
                shutil.copyfile(path, partial)
                os.replace(partial, copy)
        record = {
            "version": __version__,
            "source_key": source_key,
            "name": source.name,
            "inputs": names,
            "fov_deg": given.fov_deg,
            "elevation_deg": given.elevation_deg,
            "files": [os.path.relpath(path, targets.folder) for path in targets.files],
            "config": asdict(config),
        }
        partial = targets.folder / (RECORD + ".partial")
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(partial, targets.folder / RECORD)
    except OSError as error:
        raise OutputError(f"cannot write {targets.folder}: {error.strerror or error}", "free some space or choose another --out") from error


@dataclass(frozen=True)
class Reopened:
    """A run folder read back: everything `pipeline.generate` needs to go on."""

    source: Path
    name: str
    given: Given
    targets: Targets
    config: Config


def reopen(folder: Path) -> Reopened:
    """Read a run folder.

    Raises:
        InputError: it is none, or an input is gone.
    """
    record = _recorded(folder)
    if not record:
        raise InputError(f"{folder} is not a run folder (no {RECORD})", "name the folder that img23d generate made, or a mesh file")
    inputs = {role: folder / name for role, name in record["inputs"].items()}
    for path in inputs.values():
        if not path.is_file():
            raise InputError(f"{path} is gone, so the run cannot be reopened", "run img23d generate again")
    given = Given(inputs.get("depth"), inputs.get("normal"), inputs.get("mask"), record["fov_deg"], record["elevation_deg"])
    targets = Targets(folder, tuple(Path(os.path.normpath(folder / name)) for name in record["files"]))
    return Reopened(inputs["source"], record["name"], given, targets, restored(Config(), record["config"]))


def restored(default: Any, values: dict[str, Any]) -> Any:
    """A dataclass tree with recorded values; options that a newer version added keep their defaults."""
    known = {entry.name: getattr(default, entry.name) for entry in fields(default)}
    return replace(
        default,
        **{name: restored(known[name], value) if is_dataclass(known[name]) else value for name, value in values.items() if name in known},
    )


def _recorded(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return record if isinstance(record, dict) and "source_key" in record else {}
    except (OSError, ValueError):
        return {}
