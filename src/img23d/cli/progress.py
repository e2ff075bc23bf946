"""How far it is: moving bars on a terminal, one plain line for each finished stage elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


class StageProgress:
    """Shows the stages of one photo or mesh on stderr; called with (stage, fraction of the stage 0..1, text).

    Args:
        quiet: show nothing, only measure.
        title: what is being worked on; shown above the stages.
    """

    def __init__(self, quiet: bool = False, title: str = "") -> None:
        self.quiet = quiet
        self.title = title
        self.seconds: dict[str, float] = {}
        self._stage = ""
        self._since = 0.0
        self._bars: Bars | None = None
        self._rows: dict[str, Any] = {}

    def __enter__(self) -> StageProgress:
        if self.quiet:
            return self
        if sys.stderr.isatty():
            self._bars = open_bars()
            self._bars.start()
        if self.title:
            self._line(self.title)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_stage(completed=kind is None)
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, fraction: float, text: str = "") -> None:
        """Show how far a stage is; a new name ends the stage before it."""
        if stage != self._stage:
            self._close_stage(completed=True)
            self._stage, self._since = stage, time.monotonic()
            if self._bars is not None:
                self._rows[stage] = self._bars.add_task(stage, total=1.0, text="")
        if self._bars is not None:
            self._bars.update(self._rows[stage], completed=min(fraction, 1.0), text=text)

    def _close_stage(self, completed: bool) -> None:
        if not self._stage:
            return
        spent = time.monotonic() - self._since
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + spent
        if self._bars is not None and completed:
            self._bars.update(self._rows[self._stage], completed=1.0, text="")
        elif self._bars is None and not self.quiet and completed:
            typer.echo(f"  {self._stage:<10} {spent:6.1f} s", err=True)
        self._stage = ""

    def _line(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            typer.echo(text, err=True)


def open_bars() -> Bars:
    """Rich's bars on stderr: name, bar, elapsed time, text."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("  {task.description:<10}"), BarColumn(24), TimeElapsedColumn(), TextColumn("{task.fields[text]}", style="dim")
    return Progress(*columns, console=Console(stderr=True))
