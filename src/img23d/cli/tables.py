"""Tables on stdout: rich on a terminal, aligned plain text in a pipe or a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import typer


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], colors: Mapping[str, str] | None = None) -> None:
    """Print rows under their column names.

    Args:
        columns: names.
        rows: cells; a line break inside a cell is kept.
        colors: rich style of the cells that hold exactly this text.
    """
    if not sys.stdout.isatty():
        for line in plain_lines(columns, rows):
            typer.echo(line)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        grid.add_row(*(Text(cell, style=(colors or {}).get(cell, "")) for cell in row))
    Console(highlight=False).print(grid)


def plain_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The same table as lines of text; columns are two spaces apart."""
    split = [[cell.split("\n") for cell in row] for row in [columns, *rows]]
    widths = [max(len(line) for row in split for line in row[index]) for index in range(len(columns))]
    lines = []
    for row in split:
        for level in range(max(map(len, row))):
            cells = [cell[level] if level < len(cell) else "" for cell in row]
            lines.append("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths)).rstrip())
    return lines
