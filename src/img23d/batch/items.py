"""What a batch is made of: photos from folders, glob patterns and manifests, each with a name of its own."""

from __future__ import annotations

import csv
import difflib
import glob
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from img23d.batch.report import entries_before, located
from img23d.errors import ConfigError, InputError
from img23d.record import beside
from img23d.run import readable_stem

PHOTO_SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif", ".ppm", ".tga"]
)
MANIFEST_SUFFIXES = frozenset([".csv", ".jsonl"])
_FORBIDDEN = set('/\\:*?"<>|')


@dataclass(frozen=True)
class Item:
    """One photo of a batch and what is known about it.

    Args:
        photo: the picture; it need not exist, its absence is that item's failure.
        name: of the output, without suffix; unique in the batch, letter case aside. Empty: not yet named.
        mask: picture of what belongs to the object.
        depth: depth map.
        normal: normal map.
        fov_deg: vertical field of view of the photo, degrees.
        elevation_deg: camera above the horizon, degrees.
        sides: photos of the same object from other sides, each after how far its camera went to the right round the object, degrees.
    """

    photo: Path
    name: str = ""
    mask: Path | None = None
    depth: Path | None = None
    normal: Path | None = None
    fov_deg: float | None = None
    elevation_deg: float | None = None
    sides: tuple[tuple[float, Path], ...] = ()

    def files(self) -> dict[str, Path]:
        """The picture files that are there, by kind."""
        maps = {kind: path for kind in ("photo", "mask", "depth", "normal") if (path := getattr(self, kind)) is not None}
        return maps | {f"{_SIDE}{azimuth:g}": path for azimuth, path in self.sides}


_COLUMNS = {"photo": "photo", "name": "name", "mask": "mask", "depth": "depth", "normal": "normal"}
_COLUMNS |= {"fov": "fov_deg", "fov_deg": "fov_deg", "elevation": "elevation_deg", "elevation_deg": "elevation_deg"}
_SIDE = "view_"  # and degrees: a column of photos from there


def find_items(sources: Iterable[str | Path]) -> list[Item]:
    """List the photos of a batch.

    Args:
        sources: folders, photos, glob patterns (``**`` goes into subfolders), ``.csv`` or ``.jsonl`` manifests.

    Returns:
        Items with unique names, in a stable order; a photo that two sources name comes once.

    Raises:
        InputError: nothing found, an unreadable manifest, or a manifest row that makes no sense.
    """
    items: list[Item] = []
    for source in sources:
        items += _from_source(str(source))
    first: dict[Any, Item] = {}
    for item in items:
        files = tuple((kind, located(path)) for kind, path in item.files().items())
        first.setdefault((files, item.name, item.fov_deg, item.elevation_deg), item)
    unique = list(first.values())
    if not unique:
        raise InputError("the batch is empty", "name a folder with photos, a quoted pattern such as 'photos/*.jpg', or a manifest.csv")
    return name_items(unique)


def _from_source(source: str) -> list[Item]:
    path = Path(source)
    if path.is_dir():
        try:
            found = _photos(path.iterdir())
        except PermissionError as error:
            raise InputError(f"no permission to read the folder {source}", "check its permissions") from error
        if not found:
            endings = ", ".join(sorted(PHOTO_SUFFIXES)[:8])
            raise InputError(f"no photos in the folder {source}", f"photos end in {endings}, ...; what img23d has made is none")
        return found
    if path.suffix.lower() in MANIFEST_SUFFIXES and not glob.has_magic(source):
        return list(read_manifest(path))
    if path.is_file():
        return [Item(path)]
    if glob.has_magic(source):
        found = _photos(Path(match) for match in glob.glob(source, recursive=True))
        if not found:
            raise InputError(f"no photo matches {source}", "quote the pattern, so that the shell leaves it alone")
        return found
    raise InputError(f"there is no folder, photo, manifest or pattern {source}", "check the spelling")


def _photos(paths: Iterable[Path]) -> list[Item]:
    """Photos among paths, by suffix, sorted; hidden files and the pictures that img23d has made are skipped."""
    chosen = [p for p in paths if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith(".") and p.is_file()]
    runs = {folder for folder in {folder for path in chosen for folder in path.parents} if _is_run(folder)}
    made = {picture for folder in {path.parent for path in chosen} for picture in _made(folder)}
    chosen = [path for path in chosen if not (runs.intersection(path.parents) or path in made)]
    return [Item(path) for path in sorted(chosen, key=lambda p: (str(p.parent), p.name.casefold(), p.name))]


def _made(folder: Path) -> Iterator[Path]:
    """The textures of exported meshes that lie in a folder, and what the reports of batches into it name."""
    for mesh in folder.glob("*"):
        yield from beside(mesh)
    for entry in entries_before(folder):
        yield from (folder / name for name in entry.outputs)


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run's, by the two files that each of them has."""
    return (folder / "run.json").is_file() and any(folder.glob("source.*"))


def read_manifest(path: Path) -> Iterator[Item]:
    """Items of a manifest; paths in it are relative to its folder.

    Args:
        path: CSV with a header, or one JSON object on each line; keys photo, name, mask, depth, normal, fov, elevation, and
            view_180, view_-90 and the like for photos of other sides.

    Raises:
        InputError: unreadable, unknown key, no photo, or a value of the wrong kind; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"there is no manifest {path}", "check the spelling") from error
    except OSError as error:
        raise InputError(f"the manifest {path} cannot be read: {error.strerror or error}", "check the file and its permissions") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the manifest {path} cannot be read: {error}", "save it as UTF-8 text") from error
    rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text, path)
    try:
        for line, row in rows:
            yield _item(row, path, line)
    except csv.Error as error:
        raise InputError(f"the manifest {path} is not CSV: {error}", "look for a quotation mark that is never closed") from error


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    delimiter = ";" if ";" in (header := text.partition("\n")[0]) and "," not in header else ","
    reader = csv.DictReader(text.split("\n"), delimiter=delimiter, restkey="", skipinitialspace=True)
    twice = [name for name, count in Counter(key.strip() for key in reader.fieldnames or () if key.strip()).items() if count > 1]
    if twice:
        raise InputError(f"{path} has two columns {twice[0]!r}", "one photo or number for each column: give one of them another name")
    for row in reader:
        kept = {(key or "").strip(): value.strip() for key, value in row.items() if isinstance(value, str) and value.strip()}
        if row.get("") and any(row[""]):
            kept["(more values than columns)"] = str(row[""])
        if kept:
            yield reader.line_num, kept


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), 1):  # names may hold separators that splitlines() takes for ends of lines
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} line {line} is not JSON: {error}", 'one object on each line, {"photo": "a.png"}') from error
        if not isinstance(row, dict):
            raise InputError(f"{path} line {line} is not a JSON object", '{"photo": "a.png"}')
        yield line, {key: value for key, value in row.items() if value is not None}


def _item(row: dict[str, Any], path: Path, line: int) -> Item:
    where, values = f"{path} line {line}", {}
    kinds = {entry.name: str(entry.type) for entry in fields(Item)}
    sides = []
    for key, value in row.items():
        if key.lower().startswith(_SIDE):
            azimuth = _value(key[len(_SIDE) :], "float", f"{where}: {_SIDE}DEGREES: DEGREES", path.parent)
            sides.append((azimuth, _value(value, "Path", f"{where}: {key}", path.parent)))
            continue
        if key.lower() not in _COLUMNS:
            near = difflib.get_close_matches(key.lower(), _COLUMNS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_COLUMNS)}, {_SIDE}180"
            raise InputError(f"{where}: unknown column {key!r}", hint)
        name = _COLUMNS[key.lower()]
        if name in values:
            raise InputError(f"{where} gives {name} twice", "leave one of both columns empty")
        values[name] = _value(value, kinds[name], f"{where}: {key}", path.parent)
    if "photo" not in values:
        raise InputError(f"{where} names no photo", "the first line of a CSV names its columns: photo,name,mask,fov")
    name = values["name"] = values.get("name", "").strip()
    if _FORBIDDEN & set(name) or name.startswith(".") or (name and not name.isprintable()):
        raise InputError(f"{where}: the name {values['name']!r} cannot be a file name", "letters, digits, spaces, - and _ are safe")
    return Item(**values, sides=tuple(sides))


def _value(value: Any, kind: str, where: str, folder: Path) -> Any:
    if "float" in kind:
        try:
            number = float(value)
            if not math.isfinite(number):
                raise ValueError(number)
            return number
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}={value!r} is not a number", "degrees, such as 40") from error
    if not isinstance(value, str):
        raise InputError(f"{where}={value!r} is not text", "put it in quotes")
    if "Path" not in kind:
        return value
    try:
        possible = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise InputError(f"{where}={value!r} cannot be a file name", "write it as it is on disk")
    return folder / value


def name_items(items: list[Item]) -> list[Item]:
    """Give every item a name of its own: its photo's stem, with the suffix where two photos differ in nothing else.

    Raises:
        InputError: a manifest gives one name twice.
    """
    given = Counter(item.name.casefold() for item in items if item.name)
    for name, count in given.items():
        if count > 1:
            raise InputError(f"the manifest gives the name {name!r} {count} times", "each name must be unique, whatever its letter case")
    stems = Counter(readable_stem(item.photo).casefold() for item in items if not item.name)
    taken, named = set(given), []
    for item in items:
        if item.name:
            named.append(item)
            continue
        stem = readable_stem(item.photo)
        alone = stems[stem.casefold()] == 1
        wished = stem if alone else f"{stem}_{item.photo.suffix[1:].lower()}"
        name, number = wished, 2
        while name.casefold() in taken:
            name, number = f"{wished}-{number}", number + 1
        taken.add(name.casefold())
        named.append(replace(item, name=name))
    return named


def shard(items: list[Item], which: str) -> list[Item]:
    """Every N-th item, for a cluster where machine I of N runs ``--shard I/N``.

    Args:
        items: all items, the same list on every machine.
        which: ``I/N`` with 1 <= I <= N.

    Raises:
        ConfigError: not of that form.
    """
    index, _, count = which.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ConfigError(f"--shard {which!r} is not of the form I/N with I from 1 to N", "--shard 1/4")
    return items[int(index) - 1 :: int(count)]
