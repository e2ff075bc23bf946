"""Help, version and usage errors: quick because nothing heavy is imported, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from img23d import __version__
from img23d.cli import app

COMMANDS = ["generate", "refine", "export", "batch", "doctor", "presets", "presets show", "models", "view", "eval"]
COMMANDS += ["train", "train prior", "train normals", "train foreground"]
# Rich and pydantic come with Typer and cost more than all of its own code; the others are the pipeline's.
SLOW = ["torch", "numpy", "scipy", "numba", "PIL", "omegaconf", "yaml", "rich", "pydantic", "trimesh", "multiprocessing"]
HELP = """
import sys
from pathlib import Path
from img23d.cli import main
sys.argv[0] = "img23d"
try:
    main()
except SystemExit as end:
    print("\\nLOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
    sys.exit(end.code)
"""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_explains_itself(run: Any, command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ") and "Options:" in result.stdout
    assert result.stdout == run(*command.split(), "-h").stdout


@pytest.mark.parametrize("arguments", [["--help"], ["generate", "--help"], ["batch", "-h"], ["presets", "show", "--help"], ["--version"]])
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", HELP, *arguments], capture_output=True, text=True, check=True)
    text, _, loaded = ended.stdout.partition("\nLOADED ")
    assert text.startswith(("Usage: ", "img23d "))
    slow = set(loaded.split()) & set(SLOW)
    if arguments in (["--help"], ["--version"]):
        slow -= {"pydantic", "yaml"}  # Typer's own, when an option of the whole program is read
    assert not slow and "typer" in loaded.split()


def test_all_commands_are_listed(run: Any) -> None:
    listed = run("--help").stdout.partition("Commands:")[2]
    assert all(f"\n  {command.split()[0]}" in listed for command in COMMANDS)
    for line in listed.strip().splitlines():
        assert not line.endswith("..."), "the first line of a command's docstring is too long for the list"


def test_every_option_has_a_help_text() -> None:
    import typer.main

    def commands(command: Any) -> Any:
        yield command
        for child in getattr(command, "commands", {}).values():
            yield from commands(child)

    for command in commands(typer.main.get_command(app)):
        assert command.help, command.name
        assert not [f"{command.name}: {option.name}" for option in command.params if not getattr(option, "help", "")]


def test_version(run: Any) -> None:
    assert run("--version").stdout == f"img23d {__version__}\n"


def test_no_command_shows_the_help(run: Any) -> None:
    result = run()
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["genrate"], "No such command 'genrate'"),
        (["generate"], "Missing argument"),
        (["generate", "a.png", "--nonsense"], "--nonsense"),
        (["batch", "folder"], "--out"),
        (["export", "a.glb", "--faces", "many"], "--faces"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_usage_errors_exit_with_two(run: Any, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr and result.stdout == ""


def test_a_reader_that_leaves_is_no_error() -> None:
    """``img23d presets show | head -1``: no traceback when the pipe breaks."""
    code = "import subprocess, sys; from img23d.cli import main; sys.argv = ['img23d', 'presets', 'show', 'standard']; main()"
    process = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(60) in (1, 141)
    assert process.stderr.read() == b""
    process.stderr.close()


def test_the_module_runs_like_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "img23d", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"img23d {__version__}\n"


def test_names_that_a_console_cannot_show_are_no_crash() -> None:
    code = "import sys; from img23d.cli import main; sys.argv = ['img23d', 'export', 'ты-茶.glb']; main()"
    environment = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env={**os.environ, **environment})
    assert ended.returncode == 3
    assert ended.stderr.startswith(b"error: there is no run folder or mesh ??-?.glb")


def test_ctrl_c_while_the_commands_are_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    from img23d import __main__, cli

    codes: list[int] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    monkeypatch.setattr("os._exit", codes.append)
    __main__.main()
    assert codes == [130]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_help_that_cannot_be_printed_is_one_line():
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-m", "img23d", "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 7 and "No space left" in ended.stderr and "Traceback" not in ended.stderr
