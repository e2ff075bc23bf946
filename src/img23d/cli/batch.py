"""``img23d batch``: many photos in one go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img23d.cli.options import Device, Faces, Force, Formats, Preset, Seed, Settings, TextureSize, Threads, chosen_formats, overrides
from img23d.cli.tables import print_table
from img23d.errors import BATCH_FAILED, INTERRUPTED

if TYPE_CHECKING:
    from img23d.batch import Entry, Report, Task

COLORS = {"done": "green", "skipped": "dim", "failed": "bold red", "stopped": "yellow"}


def batch(
    sources: Annotated[list[str], typer.Argument(metavar="FOLDER|GLOB|MANIFEST...", help="Folder, quoted pattern, CSV or JSONL.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the meshes and report.json.")],
    preset: Preset = "standard",
    settings: Settings = [],  # noqa: B006
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    faces: Faces = None,
    texture_size: TextureSize = None,
    formats: Formats = [],  # noqa: B006
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Processes; each loads the models once.")] = 1,
    shard: Annotated[str, typer.Option("--shard", metavar="I/N", help="Do every N-th photo, for machine I of N.")] = "",
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but failures and how many were done.")] = False,
) -> None:
    """Turn many photos into meshes.

    Failures are told and passed over, finished photos are skipped.

    A manifest has one photo in each row: photo, and if wished name, mask, depth, normal, fov, elevation, view_180 (a photo of the
    back; any angle). CSV or JSONL; paths are relative to it. The exit code is 1 when a photo failed, 130 after Ctrl-C; the same
    command continues.
    """
    from img23d import batch as batches
    from img23d import config

    flags = overrides(settings, seed=seed, device=device, threads=threads, texture__faces=faces, texture__size=texture_size)
    chosen = config.load(preset, flags)
    items = batches.find_items(sources)
    name = "report.json"
    if shard:
        items, name = batches.shard(items, shard), f"report-{shard.replace('/', 'of')}.json"
    asked = tuple(chosen_formats(formats)) or ("glb",)
    with BatchProgress(len(items), quiet) as progress:
        report = batches.run_batch(
            items, out, chosen, formats=asked, jobs=jobs, force=force, report_name=name,
            observer=batches.Observer(progress.started, progress.progressed), finished=progress.finished,
        )  # fmt: skip
    show_report(report, quiet)
    if report.state == "interrupted":
        typer.echo("interrupted; the same command continues", err=True)
        raise typer.Exit(INTERRUPTED)
    if report.with_status("failed"):
        raise typer.Exit(BATCH_FAILED)


class BatchProgress:
    """One bar for the batch and one for each photo in work; plain lines where there is no terminal.

    Args:
        count: photos.
        quiet: show nothing.
    """

    def __init__(self, count: int, quiet: bool) -> None:
        self.count, self.quiet, self.ended = count, quiet, 0
        self.bars: Any = None
        self.rows: dict[str, Any] = {}
        self.total: Any = None

    def __enter__(self) -> BatchProgress:
        if not self.quiet and sys.stderr.isatty():
            from img23d.cli.progress import open_bars

            self.bars = open_bars()
            self.bars.start()
            self.total = self.bars.add_task("photos", total=self.count, text=f"0 of {self.count}")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def started(self, task: Task) -> None:
        """A photo was begun."""
        if self.bars is not None:
            self.rows[task.item.name] = self.bars.add_task(task.item.name, total=1.0, text="")

    def progressed(self, task: Task, stage: str, fraction: float, text: str) -> None:
        """A photo has come so far in a stage."""
        if self.bars is not None:
            self.bars.update(self.rows[task.item.name], completed=min(fraction, 1.0), text=f"{stage} {text}")

    def finished(self, entry: Entry) -> None:
        """A photo has come to its end."""
        self.ended += 1
        if self.bars is not None:
            if entry.name in self.rows:
                self.bars.remove_task(self.rows.pop(entry.name))
            self.bars.update(self.total, completed=self.ended, text=f"{self.ended} of {self.count}")
        if entry.status == "failed":
            self._say(f"[{self.ended}/{self.count}] {entry.name}: failed: {entry.line}" + (f"\n  try: {entry.hint}" if entry.hint else ""))
        elif not self.quiet and self.bars is None:
            took = "already there" if entry.status == "skipped" else f"{entry.seconds:.1f} s"
            self._say(f"[{self.ended}/{self.count}] {entry.name}: {entry.status}, {took}")

    def _say(self, line: str) -> None:
        if self.bars is not None:
            self.bars.console.print(line, markup=False, highlight=False)
        else:
            typer.echo(line, err=True)


def show_report(report: Report, quiet: bool) -> None:
    """A table of all photos on stdout, then the totals and where the report is."""
    if not quiet:
        print_table(("photo", "status", "seconds", "result"), [_row(entry) for entry in report.entries.values()], COLORS)
    totals = ", ".join(f"{count} {status}" for status, count in sorted(report.totals().items()))
    typer.echo(f"{totals} in {report.seconds:.1f} s; {report.path}", err=quiet)


def _row(entry: Entry) -> list[str]:
    result = f"{entry.error}: {entry.line}" if entry.status == "failed" else ", ".join(entry.outputs)
    notes = "".join(f"\nwarning: {warning}" for warning in entry.warnings)
    return [entry.name, entry.status, f"{entry.seconds:.1f}", result + notes]
