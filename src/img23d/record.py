"""What a run folder remembers of its inputs: enough to check that a re-run is the same run, and to reopen it later."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from img23d import __version__
from img23d.config import Config
from img23d.errors import ConfigError, InputError, OutputError
from img23d.io.beside import Beside
from img23d.io.files import plain_stem
from img23d.run import file_digest, readable_stem

RECORD = "run.json"
WRITTEN = ("source.*", "preview.png", "viewer.html")  # beside it, besides steps and assets
FOV_DEG, ELEVATION_DEG = (1.0, 120.0), (-90.0, 90.0)
SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
# What names another file in a mesh file, or in its material library.
NAMING = {".obj": rb"^mtllib[ \t]+(\S.*)", ".mtl": rb"^\s*map_Kd[ \t]+(\S.*)", ".ply": rb"^comment TextureFile[ \t]+(\S.*)"}
NAMING |= dict.fromkeys((".gltf", ".glb"), rb'"uri"\s*:\s*"(?!data:)([^"]+)"')


@dataclass(frozen=True)
class Given:
    """Files and numbers that the user knows about a photo.

    Args:
        depth, normal, mask: picture files of the photo's size.
        fov_deg: vertical field of view of the whole photo.
        elevation_deg: camera above the horizon.
        sides: photos of the same object from other sides, each after how far its camera went to the right round the object, degrees.

    Raises:
        ConfigError: an angle that no camera has, or two photos from one side.
    """

    depth: Path | None = None
    normal: Path | None = None
    mask: Path | None = None
    fov_deg: float | None = None
    elevation_deg: float | None = None
    sides: tuple[tuple[float, Path], ...] = ()

    def __post_init__(self) -> None:
        turns = [azimuth % 360 for azimuth, _ in self.sides]
        if not all(abs(azimuth) <= 360 for azimuth, _ in self.sides) or len({0.0, *turns}) <= len(turns):
            told = ", ".join(f"{azimuth:g}" for azimuth, _ in self.sides)
            raise ConfigError(
                f"photos from other sides must each have their own angle within 360 degrees, got {told}", "--view 180=back.png"
            )
        for name, value, low, high in (("field of view", self.fov_deg, *FOV_DEG), ("elevation", self.elevation_deg, *ELEVATION_DEG)):
            if value is not None and not low <= value <= high:
                near = min(max(value, low), high) if math.isfinite(value) else 40
                raise ConfigError(f"{name} {value:g} is outside {low:g}..{high:g} degrees", f"the nearest that makes sense is {near:g}")

    def digests(self) -> dict[str, str]:
        """Hashes of the picture files, by role."""
        return {role: file_digest(path) for role, path in self.files().items()}

    def files(self) -> dict[str, Path]:
        """The picture files that are there, by role."""
        maps = {name: path for name, path in (("mask", self.mask), ("depth", self.depth), ("normal", self.normal)) if path is not None}
        return maps | {f"view_{number}": path for number, (_, path) in enumerate(self.sides, 1)}


@dataclass(frozen=True)
class Place:
    """How a mesh was moved into the cube [-1, 1]^3: ``inside = (point - middle) * scale``; `TexturedMesh.moved` takes it back."""

    middle: tuple[float, ...]
    scale: float


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
    if out.suffix.lower() in SUFFIXES and not out.is_dir():
        others = [out.with_suffix(f".{name}") for name in formats if f".{name}" != out.suffix.lower()]
        return Targets(out.with_suffix(".run"), (out, *others))
    stem = readable_stem(source)
    folder = out / stem
    return Targets(folder, tuple(folder / f"{stem}.{name}" for name in formats or ("glb",)))


def check_existing(targets: Targets, source_key: str, force: bool) -> None:
    """Refuse to replace the result of another source unless ``force`` is given.

    The same source with other options is the same run: steps whose options changed are computed again, the others reused.

    Raises:
        OutputError: a file is in the way.
    """
    before = _recorded(targets.folder)
    if force or before.get("source_key") == source_key:
        return
    theirs = [targets.folder / name for name in before.get("files", [])]
    for path in (*targets.files, *(path for target in targets.files for path in beside(target)), *theirs):
        if path.exists():
            raise OutputError(f"{path} already exists and comes from another run", "--force replaces it, or choose another --out")
    # Without a record the folder may be somebody's own.
    for path in [] if before else (one for pattern in WRITTEN for one in targets.folder.glob(pattern)):
        raise OutputError(f"{path} already exists and comes from no run", "--force replaces it, or choose another --out")


def beside(target: Path) -> list[Path]:
    """The files beside a mesh of a text format that would be replaced with it."""
    picture, smaller, normal = "_base_color.png", "_base_color.jpg", "_normal.png"
    endings = {".obj": (".mtl", picture, normal), ".gltf": (".bin", picture, smaller, normal), ".ply": (picture,)}
    return [target.with_name(plain_stem(target) + ending) for ending in endings.get(target.suffix.lower(), ())]


def keep(
    targets: Targets, source: Path, given: Given, source_key: str, config: Config, photo: Path | None = None, place: Place | None = None,
    name: str = "", content: str = "",
) -> None:  # fmt: skip
    """Copy the inputs into the run folder and write down the resolved options.

    Args:
        targets: of the run.
        source: the photo, or the mesh that is refined.
        given: what is known of the photo.
        source_key: hash of all inputs.
        config: the resolved options.
        photo: of the mesh that is refined.
        place: where that mesh was, for a run that refines one.
        name: of the source, where it is a copy that another run kept.
        content: hash of that mesh and its colours, whatever files they were read from.

    Raises:
        OutputError: the folder cannot be written.
    """
    old = _recorded(targets.folder).get("inputs", {}).values()
    try:
        files = {"source": source, **({} if photo is None else {"photo": photo}), **given.files()}
        names = {role: f"{role if role in ('source', 'photo') else f'given_{role}'}{path.suffix.lower()}" for role, path in files.items()}
        for role, path in files.items():
            copy = targets.folder / names[role]
            if not copy.exists() or file_digest(copy) != file_digest(path):
                partial = copy.with_name(copy.name + ".partial")
                shutil.copyfile(path, partial)
                os.replace(partial, copy)
        record = {
            "version": __version__,
            "source_key": source_key,
            "kind": "photo" if place is None else "mesh",
            "name": name or readable_stem(source) + source.suffix,
            "origin": "" if place is None else os.path.abspath(source),
            "place": None if place is None else asdict(place),
            "content": content,
            "inputs": names,
            "fov_deg": given.fov_deg,
            "elevation_deg": given.elevation_deg,
            "sides_deg": [azimuth for azimuth, _ in given.sides],
            "files": [os.path.relpath(path, targets.folder) for path in targets.files],
            "config": asdict(config),
        }
        partial = targets.folder / (RECORD + ".partial")
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(partial, targets.folder / RECORD)
        for name in set(old) - set(names.values()):  # such as source.jpg, where a PNG has taken its place
            if Path(name).name == name:
                (targets.folder / name).unlink(missing_ok=True)
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
    photo: Path | None = None
    place: Place | None = None
    content: str = ""


def reopen(folder: Path) -> Reopened:
    """Read a run folder.

    Raises:
        InputError: it is none, or an input is gone.
    """
    record = _recorded(folder)
    if not record:
        raise InputError(f"{folder} is not a run folder (no {RECORD})", "name the folder that img23d generate made, or a mesh file")
    # A folder may come from anybody: what it names must lie in it or, assets, beside it.
    strays = [name for name in record["inputs"].values() if Path(name).name != name]
    strays += [name for name in record["files"] if Path(os.path.normpath(name)).parent not in (Path(), Path(os.pardir))]
    if strays:
        raise InputError(f"{folder / RECORD} names {strays[0]}, which is no file of this run", "run img23d generate again")
    inputs = {role: folder / name for role, name in record["inputs"].items()}
    for path in inputs.values():
        if not path.is_file():
            raise InputError(f"{path} is gone, so the run cannot be reopened", "run img23d generate again")
    sides = tuple((azimuth, inputs[f"view_{number}"]) for number, azimuth in enumerate(record.get("sides_deg", []), 1))
    given = Given(inputs.get("depth"), inputs.get("normal"), inputs.get("mask"), record["fov_deg"], record["elevation_deg"], sides)
    targets = Targets(folder, tuple(Path(os.path.normpath(folder / name)) for name in record["files"]))
    place = record.get("place")
    source = with_companions(inputs["source"], Path(record.get("origin", ""))) if place else inputs["source"]
    content = record.get("content", "")
    if place and not content and not complete(source):
        content = "unknown"  # as runs were recorded before: a mesh that may have lost its colours is not to pass for their source
    return Reopened(
        source, record["name"], given, targets, restored(Config(), record["config"]), inputs.get("photo"),
        None if place is None else Place(tuple(place["middle"]), place["scale"]), content,
    )  # fmt: skip


def with_companions(copy: Path, origin: Path) -> Path:
    """The copied mesh, or the original, beside which its materials and pictures lie, while that is the same."""
    same = copy.suffix in NAMING and origin.is_file() and file_digest(origin) == file_digest(copy)
    return origin if same else copy


def named_files(mesh: Path) -> list[str]:
    """What a mesh file, or a material library, names of other files, as it is written."""
    written = re.findall(NAMING.get(mesh.suffix.lower(), b"(?!)"), mesh.read_bytes(), re.MULTILINE | re.IGNORECASE)
    return [os.fsdecode(name).strip() for name in written]


def complete(mesh: Path) -> bool:
    """Whether all files are there that a mesh file, or a material library beside it, names."""
    beside = Beside(mesh)
    for name in named_files(mesh):
        found = beside.find(name) or beside.find(name.split()[-1])  # what stands before it may be options or other names
        library = found is not None and found.suffix.lower() == ".mtl" != mesh.suffix.lower()
        if found is None or (library and not complete(found)):
            return False
    return True


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
