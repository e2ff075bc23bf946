"""The report of a batch: one entry for each photo, rewritten whole after every change."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from img23d.errors import OutputError

# A report of ten thousand photos takes a second to write: then it is not written for so many times as long. Quick ones always are.
PAUSE, QUICK = 20.0, 0.05
Status = Literal["waiting", "running", "done", "skipped", "failed", "stopped"]


@dataclass(frozen=True)
class Entry:
    """What became of one photo.

    Args:
        name: of the item.
        photo: path as it was found.
        status: waiting and running; done; skipped: finished by an earlier run; failed; stopped: interrupted while running.
        key: hash of the photo, its maps and all options; the same key needs no second run.
        seconds: that it took.
        outputs: file to its size in bytes; paths relative to the report's folder where they are inside it.
        warnings: lines that the stages wrote.
        error: class of the exception.
        line: what is wrong, one line.
        hint: what to try.
        owner: absolute path of the photo that a batch made the files of this name from; no other photo may replace them.
    """

    name: str
    photo: str
    status: Status = "waiting"
    key: str = ""
    seconds: float = 0.0
    outputs: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    line: str = ""
    hint: str = ""
    owner: str = ""


class Report:
    """All entries, kept on disk as ``report.json``.

    Args:
        path: of the JSON file.
        entries: in the order of the items.
        facts: what applies to the whole batch: version, preset, options.
        others: what batches of other photos have written down before; kept while their files are.
    """

    def __init__(self, path: Path, entries: Iterable[Entry], facts: dict[str, Any], others: Iterable[Entry] = ()) -> None:
        self.path = path
        self.entries = {entry.name: entry for entry in entries}
        self.others = tuple(others)
        self.facts = facts
        self.state: Literal["running", "finished", "interrupted"] = "running"
        self._started = time.monotonic()
        self._written = self._pause = 0.0

    def update(self, name: str, **changes: Any) -> Entry:
        """Change an entry and rewrite the file."""
        self.entries[name] = replace(self.entries[name], **changes)
        if self._pause < time.monotonic() - self._written:  # what is not on disk yet at a crash is found done by the next run
            self.write()
        return self.entries[name]

    def close(self, state: Literal["finished", "interrupted"]) -> None:
        """Write the last state; what was running when the batch was interrupted is stopped."""
        self.state = state
        for name, entry in self.entries.items():
            if entry.status == "running":
                self.entries[name] = replace(entry, status="stopped")
        self.write()

    def totals(self) -> dict[str, int]:
        """How many entries have each status."""
        return dict(Counter(entry.status for entry in self.entries.values()))

    def with_status(self, *statuses: Status) -> list[Entry]:
        """The entries that have one of these statuses."""
        return [entry for entry in self.entries.values() if entry.status in statuses]

    @property
    def seconds(self) -> float:
        """Wall time since the batch began."""
        return time.monotonic() - self._started

    def write(self) -> None:
        """Replace the file in one rename.

        Raises:
            OutputError: it cannot be written.
        """
        items = [asdict(entry) for entry in self.entries.values()]
        others = [asdict(entry) for entry in self.others if self.entries.get(entry.name, entry).owner == entry.owner]
        content = {**self.facts, "state": self.state, "seconds": round(self.seconds, 2), "totals": self.totals(), "items": items}
        content["others"] = others
        begun = time.monotonic()
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(_text(content))
            os.replace(partial, self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}", "free some space or choose another --out") from error
        self._written = time.monotonic()
        took = self._written - begun
        self._pause = PAUSE * took if took > QUICK else 0.0


def _text(content: dict[str, Any]) -> bytes:
    """Readable where every name is proper text; names with bytes that are no UTF-8 need JSON's own way to write them."""
    try:
        return json.dumps(content, indent=1, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return json.dumps(content, indent=1, default=str).encode()


def finished_before(folder: Path) -> dict[tuple[str, str], Entry]:
    """Entries by (key, name) that earlier runs finished and whose files are all still there, whole.

    Args:
        folder: of the batch; the reports of all shards in it are read, and files that are no reports are passed over.
    """
    entries = (entry for entry in entries_before(folder) if entry.status in ("done", "skipped") and entry.key and entry.outputs)
    return {(entry.key, entry.name): entry for entry in entries if intact(entry, folder)}


def owners_before(folder: Path) -> dict[str, str]:
    """The owner of each name that earlier batches finished at least once, whatever became of it since.

    A file that has another size than the batch gave it comes from elsewhere, and is nobody's.
    """
    owned = (entry for entry in entries_before(folder) if entry.owner)
    return {entry.name: entry.owner for entry in owned if intact(entry, folder, missing_too=True)}


def others_before(path: Path, photos: dict[str, str]) -> list[Entry]:
    """What a report that will be replaced says of files of other photos, one entry for each name.

    Args:
        path: of the report.
        photos: located path of each photo that the new report is about, by name.
    """
    found = {entry.name: entry for entry in _read(path) if entry.owner and photos.get(entry.name) != entry.owner}
    return list(found.values())


def entries_before(folder: Path) -> Iterator[Entry]:
    """All entries of the reports in a folder, the newest report last; files that are no reports are passed over."""
    for path in sorted(folder.glob("report*.json"), key=os.path.getmtime):
        yield from _read(path)


def _read(path: Path) -> Iterator[Entry]:
    """The entries of a report, those of other photos last; none where it is missing or no report."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = [Entry(**{**item, "warnings": tuple(item["warnings"])}) for item in [*content["items"], *content.get("others", [])]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for entry in entries:  # reports of earlier versions name no owner
        finished = entry.status in ("done", "skipped") and not entry.owner
        yield replace(entry, owner=located(entry.photo)) if finished else entry


def located(photo: Path | str) -> str:
    """The one way to write a photo's path: absolute, through no linked folder; a link that is the photo itself is a photo of its own."""
    folder, name = os.path.split(photo)
    return os.path.join(os.path.realpath(folder), name)


def intact(entry: Entry, folder: Path, missing_too: bool = False) -> bool:
    """Are all files of an entry there with the size that was written down? With ``missing_too``, those that are there at all."""
    try:
        return all(
            (missing_too and not (folder / name).exists()) or (folder / name).stat().st_size == size for name, size in entry.outputs.items()
        )
    except OSError:
        return False
