"""The edge of the program: exceptions become two lines on stderr and an exit code, never a traceback unless asked for."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from img23d.failures import describe

BROKEN_PIPE = 141
# Typer carries its parser with it in some versions and imports Click in others; both derive from the same class.
UsageProblem: Any = typer.BadParameter.__mro__[2]


class QuickGroup(TyperGroup):
    """A group whose help option is there only when it is used.

    New versions of Typer import pydantic to read an option that was not given: half of the time that --help of a command takes.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the group it is made from."""
        own = next((index for index, arg in enumerate(args) if not arg.startswith("-")), len(args))
        self.add_help_option = not args or any(name in args[:own] for name in ctx.help_option_names)
        try:
            return super().parse_args(ctx, args)
        finally:
            self.add_help_option = True


class Commands(QuickGroup):
    """The group of all commands; ``--debug`` may stand anywhere in the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move ``--debug`` to the front, where the group looks for its own options."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            args = ["--debug", *(arg for arg in args[:end] if arg != "--debug"), *args[end:]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command and turn whatever it raises into a message and an exit code."""
        debug = bool(ctx.params.get("debug"))
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
            return result
        except (typer.Exit, typer.Abort, UsageProblem):
            raise
        except BrokenPipeError:
            _silence_output()
            raise typer.Exit(BROKEN_PIPE) from None
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            raise typer.Exit(show_failure(error)) from None


def show_failure(error: BaseException, subject: str = "") -> int:
    """Print the two lines of a failure on stderr.

    Args:
        error: what was raised.
        subject: the item it belongs to, when there are several.

    Returns:
        The exit code.
    """
    failure = describe(error)
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(f"{subject}: {failure.line}" if subject else failure.line, err=True)
    if failure.hint:
        typer.secho("try: ", fg="cyan", err=True, nl=False)
        typer.echo(failure.hint, err=True)
    return failure.exit_code


def _silence_output() -> None:
    """Give the interpreter somewhere to flush to at exit, since the reader of our output is gone."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
