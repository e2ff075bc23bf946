"""The command line: parse, one call, print. Nothing heavy is imported before a command really runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from img23d import __version__
from img23d.cli.batch import batch
from img23d.cli.boundary import Commands, QuickGroup, show_failure
from img23d.cli.doctor import doctor
from img23d.cli.eval import evaluate
from img23d.cli.export import export
from img23d.cli.generate import generate
from img23d.cli.models import models
from img23d.cli.presets import presets
from img23d.cli.refine import refine
from img23d.cli.train import train
from img23d.cli.view import view

__all__ = ["app", "main"]

app = typer.Typer(
    name="img23d",
    help="Turn one photo into a textured 3D mesh.",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command()(generate)
app.command()(refine)
app.command()(export)
app.command()(batch)
app.command(short_help="Show a mesh in an interactive window.")(view)
app.command("eval", short_help="Score a mesh against the truth.")(evaluate)
app.command()(doctor)
app.add_typer(presets, name="presets")
app.add_typer(train, name="train")
app.add_typer(models, name="models", cls=QuickGroup)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"img23d {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere in the line.")] = False,
) -> None:
    """Turn one photo into a textured 3D mesh."""


def main() -> None:
    """Entry point of the ``img23d`` command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # An old Windows console cannot show every character of a file name; a replacement beats a crash.
            stream.reconfigure(errors="replace")
    # Waiting threads that spin make two busy processes slower than one; OpenMP reads this when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except OSError as error:
        # Help is printed while the line is still being read, outside of what `Commands.invoke` guards.
        sys.exit(show_failure(error))
