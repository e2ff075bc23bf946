"""``img23d doctor``: a table of the libraries that are there and of those that could be."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from img23d.cli.tables import print_table
from img23d.errors import BackendError

if TYPE_CHECKING:
    from img23d.backends.doctor import Finding

COLUMNS = ("library", "version", "state", "what for", "licence", "remark, or how to install it")
COLORS = {"ready": "green", "missing": "dim", "broken": "bold red", "idle": "yellow"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False) -> None:
    """Show backends, licences, what each speeds up, how to install it."""
    from rich.console import Console

    from img23d import __version__
    from img23d.backends import doctor as backends

    findings = []
    with Console(stderr=True).status("looking for libraries") as status:
        for library in backends.LIBRARIES:
            status.update(f"loading {library.name}")
            findings.append(backends.probe(library))
    facts = {"img23d": __version__, **backends.machine()}
    if as_json:
        import json

        typer.echo(json.dumps({**facts, "libraries": [plain(finding) for finding in findings]}, indent=1))
    else:
        typer.echo("  ".join(f"{name} {value}" for name, value in facts.items()) + "\n")
        print_table(COLUMNS, [row(finding) for finding in findings], COLORS)
    lost = [finding.library for finding in findings if finding.library.required and finding.state != "ready"]
    if lost:
        raise BackendError(f"img23d cannot run without {', '.join(library.name for library in lost)}", lost[0].install)


def row(finding: Finding) -> list[str]:
    """One line of the table; the last cell says how to get the library, or what is to be said about it."""
    library = finding.library
    remark = library.install if finding.state == "missing" else finding.detail
    return [library.name, finding.version or "-", finding.state, library.role, library.licence, remark]


def plain(finding: Finding) -> dict[str, object]:
    """A finding as JSON can hold it."""
    library = {key: value for key, value in asdict(finding.library).items() if key not in ("check", "function", "package", "hint")}
    return {**library, "state": finding.state, "version": finding.version, "detail": finding.detail}
