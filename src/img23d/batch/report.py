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
    """

    def __init__(self, path: Path, entries: Iterable[Entry], facts: dict[str, Any]) -> None:
        self.path = path
        self.entries = {entry.name: entry for entry in entries}
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
        content = {**self.facts, "state": self.state, "seconds": round(self.seconds, 2), "totals": self.totals(), "items": items}
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
    """The owner of each name that earlier batches finished at least once, whatever became of it since."""
    return {entry.name: entry.owner for entry in entries_before(folder) if entry.owner}


def entries_before(folder: Path) -> Iterator[Entry]:
    """All entries of the reports in a folder, in the order of their names; files that are no reports are passed over."""
    for path in sorted(folder.glob("report*.json")):
        try:
            items = json.loads(path.read_text(encoding="utf-8"))["items"]
            entries = [Entry(**{**item, "warnings": tuple(item["warnings"])}) for item in items]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        for entry in entries:  # reports of earlier versions name no owner
            finished = entry.status in ("done", "skipped") and not entry.owner
            yield replace(entry, owner=os.path.abspath(entry.photo)) if finished else entry


def intact(entry: Entry, folder: Path) -> bool:
    """Are all files of an entry there with the size that was written down?"""
    try:
        return all((folder / name).stat().st_size == size for name, size in entry.outputs.items())
    except OSError:
        return False
