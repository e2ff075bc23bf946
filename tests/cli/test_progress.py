"""Progress: bars on a terminal, one line for each stage elsewhere, times measured either way."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable

import pytest

from img23d.cli.progress import StageProgress
from img23d.cli.tables import plain_lines, print_table


class Terminal(io.StringIO):
    """A stderr or stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Puts a terminal in the place of stdout and stderr; called inside the test, since pytest sets them anew before it."""

    def replace() -> Terminal:
        made = Terminal()
        monkeypatch.setattr(sys, "stderr", made)
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "100")
        return made

    return replace


def test_bars_show_every_stage_and_end_full(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with StageProgress(title="mug.png") as progress:
        for stage in ("segment", "fit"):
            progress(stage, 0.0)
            progress(stage, 0.5, "loss 0.123")
    shown = screen.getvalue()
    assert "mug.png" in shown and "segment" in shown and "fit" in shown and "\x1b[" in shown
    assert shown.count("━" * 24) >= 2


def test_an_error_leaves_the_terminal_as_it_was(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with pytest.raises(ZeroDivisionError), StageProgress() as progress:
        progress("fit", 0.3)
        raise ZeroDivisionError
    assert screen.getvalue().rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


def test_a_stage_that_failed_is_not_told_as_finished(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), StageProgress() as progress:
        progress("segment", 1.0)
        progress("fit", 0.3)
        raise ZeroDivisionError
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].split()[0] == "segment"


def test_quiet_measures_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress(quiet=True) as progress:
        progress("fit", 0.0)
        time.sleep(0.02)
        progress("texture", 0.0)
        progress("fit", 0.0)
        time.sleep(0.02)
    assert capsys.readouterr() == ("", "")
    assert progress.seconds["fit"] > 0.035 > progress.seconds["texture"], "a stage that comes twice adds up"


def test_tables_are_aligned_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("photo", "result"), [["mug", "mug.glb\nwarning: dark"], ["a long name", ""]])
    assert capsys.readouterr().out == "photo        result\nmug          mug.glb\n             warning: dark\na long name\n"
    assert plain_lines(("a",), []) == ["a"]


def test_tables_are_coloured_on_a_terminal(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    print_table(("photo", "status"), [["mug [bold]", "failed"]], {"failed": "bold red"})
    assert "mug [bold]" in screen.getvalue() and "\x1b[1;31mfailed" in screen.getvalue()
