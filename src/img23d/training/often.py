"""How often objects are taken up in training: what people photograph more often than what fills free collections."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from img23d.errors import InputError
from img23d.training.objects import Source

HEADER = ["pattern", "times"]


class Rule(NamedTuple):
    """How often objects are taken up whose name matches a shell pattern such as ``animals/*.glb``."""

    pattern: str
    times: int


def read_rules(file: str | Path) -> list[Rule]:
    """Rules from a CSV file with the columns ``pattern`` and ``times``; 0 leaves objects out.

    Raises:
        InputError: the file is missing, has other columns, or a number in it is no whole number from 0 on.
    """
    try:
        with Path(file).open(newline="", encoding="utf-8") as lines:
            header, *rows = [*csv.reader(lines)] or [[]]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}", "a CSV file with the columns pattern and times") from error
    if header != HEADER:
        raise InputError(f"{file} has the columns {', '.join(header) or 'of an empty file'}", "the columns pattern and times")
    rules = []
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != 2 or not row[1].strip().isdecimal():
            raise InputError(f"{file}, line {number}: {','.join(row)}", "a pattern and a whole number, such as animals/*.glb,9")
        rules.append(Rule(row[0], int(row[1])))
    return rules


def times_of(source: Source, rules: Sequence[Rule]) -> int:
    """What the first rule says that matches an object's name; 1 where none does, and for objects made by code."""
    name = getattr(source, "name", "")
    return next((rule.times for rule in rules if name and fnmatchcase(name, rule.pattern)), 1)


def taken_up(sources: Sequence[Source], indices: Sequence[int], file: str | Path) -> list[int]:
    """Indices of objects, each as often as the rules of ``file`` say; all once where that is "".

    Raises:
        InputError: see `read_rules`; or the rules leave nothing.
    """
    if not str(file):
        return list(indices)
    rules = read_rules(file)
    chosen = [index for index in indices for _ in range(times_of(sources[index], rules))]
    if not chosen:
        raise InputError(f"{file} leaves no object to learn from", "a rule with a number above 0")
    return chosen
