"""What is said when a mesh is finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from img23d.pipeline import Result


def show_result(result: Result, quiet: bool = False) -> None:
    """Print what was written on stdout, and what is worth knowing about it on stderr.

    Args:
        result: of the pipeline.
        quiet: print the paths only.
    """
    for path in result.paths:
        typer.echo(path if quiet else f"{path}  {file_size(path)}")
    if quiet:
        return
    show_warnings(result.warnings)
    if result.seconds:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.seconds.items())
        typer.echo(f"{sum(result.seconds.values()):.1f} s: {stages}", err=True)
    if result.backends:
        typer.echo(", ".join(f"{name} {value}" for name, value in result.backends.items()), err=True)
    if result.figures:
        typer.echo(", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in result.figures.items()), err=True)
    for line in ways_to_look(result):
        typer.echo(line, err=True)


def show_warnings(warnings: Sequence[str]) -> None:
    """One line each on stderr."""
    for warning in warnings:
        typer.secho("warning: ", fg="yellow", err=True, nl=False)
        typer.echo(warning, err=True)


def ways_to_look(result: Result) -> list[str]:
    """Lines that say how to look at the result."""
    preview, viewer = result.run_folder / "preview.png", result.run_folder / "viewer.html"
    lines = [f"look: {preview}"] if preview.is_file() else []
    if viewer.is_file():
        lines.append(f"turn: {viewer} in any browser")
    return lines


def as_json(result: Result, source: Path) -> dict[str, Any]:
    """A result as JSON can hold it."""
    return {
        "source": str(source),
        "paths": [str(path) for path in result.paths],
        "run_folder": str(result.run_folder),
        "warnings": list(result.warnings),
        "seconds": {name: round(seconds, 3) for name, seconds in result.seconds.items()},
        "figures": result.figures,
        "backends": result.backends,
    }


def file_size(path: Path) -> str:
    """Size of a file for people."""
    size = float(path.stat().st_size)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
