"""The README's commands are real: each parses, the cheap ones run, and CI runs the very command that the README names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from img23d.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHEAP = ("presets", "--version", "--help")


def blocks() -> list[str]:
    """Contents of the fenced blocks."""
    return [block.strip() for block in re.findall(r"^```[a-z]*\n(.*?)^```", README, re.S | re.M)]


def commands() -> list[list[str]]:
    """Every img23d command line of the README, as a shell would split it, without the environment's path."""
    found = []
    for block in blocks():
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||;|\|", line.partition(" #")[0]):
                words = shlex.split(part.strip().removeprefix("$ "))
                if words and Path(words[0]).name == "img23d":
                    found.append(words[1:])
    return found


def test_the_readme_has_commands() -> None:
    assert any(command[:1] == ["generate"] for command in commands())


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_parses(command: list[str]) -> None:
    """Its name, options and number of arguments are known; nothing is run."""
    node, words = typer.main.get_command(app), list(command)
    while words and words[0] in getattr(node, "commands", {}):
        node = node.commands[words.pop(0)]  # type: ignore[attr-defined]
    if {"--help", "--version"} & set(words):
        return
    context = node.make_context("img23d", words, resilient_parsing=True)
    unknown = [argument for argument in context.args if argument.startswith("-")]
    assert not unknown
    options = {name for parameter in node.params for name in parameter.opts + parameter.secondary_opts}
    assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= options
    presets = [words[index + 1] for index, word in enumerate(words) if word in ("--preset", "-p")]
    settings = [words[index + 1] for index, word in enumerate(words) if word in ("--set", "-s")]
    from img23d import config

    config.load(presets[0] if presets else "standard", settings)


@pytest.mark.parametrize("command", [command for command in commands() if command[0] in CHEAP], ids=" ".join)
def test_cheap_commands_run(run: Any, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert run(*command).exit_code == 0


@pytest.mark.parametrize("command", [command for command in commands() if command[:1] == ["generate"]], ids=" ".join)
def test_photos_in_commands_are_in_the_repository(command: list[str]) -> None:
    named = [word for word in command if word.startswith("examples/")]
    assert all(list(ROOT.glob(name)) for name in named)


def test_ci_runs_the_command_that_the_readme_names() -> None:
    tests = [block for block in blocks() if "-m pytest" in block]
    assert len(tests) == 1, "one block installs and runs the tests"
    assert re.search(r"torch==\d+\.\d+", tests[0]) and ".[test]" in tests[0] and "-m venv .venv" in tests[0]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script and "-m pytest" in script and "pip install" not in script, "it has no install command of its own"


def test_the_package_promises_what_the_readme_needs() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^img23d = "img23d\.__main__:main"$', project, re.M) and re.search(r"^test = \[", project, re.M)
