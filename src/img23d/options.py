"""What an option is: a default with its text, range and unit, or a weight that moves while a stage runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from img23d.errors import ConfigError


def option(default: Any, text: str, low: float | None = None, high: float | None = None, unit: str = "") -> Any:
    """A dataclass field with help text, inclusive range and unit."""
    return field(default=default, metadata={"text": text, "low": low, "high": high, "unit": unit})


@dataclass(frozen=True)
class Ramp:
    """A weight that moves linearly from ``start`` to ``end`` between two fractions of a stage's steps."""

    start: float = option(0.0, "value before the ramp")
    end: float = option(0.0, "value after the ramp")
    begin: float = option(0.0, "where the ramp begins, as a fraction of the stage's steps", 0, 1)
    finish: float = option(1.0, "where the ramp ends, as a fraction of the stage's steps", 0, 1)

    def at(self, fraction: float) -> float:
        """The value after this fraction (0..1) of the steps."""
        if fraction <= self.begin:
            return self.start
        if fraction >= self.finish:
            return self.end
        return self.start + (self.end - self.start) * (fraction - self.begin) / (self.finish - self.begin)


def constant(value: float, text: str) -> Any:
    """A ramp that stays at one value."""
    return field(default_factory=lambda: Ramp(value, value), metadata={"text": text})


def ramp(text: str, start: float, end: float, begin: float = 0.0, finish: float = 1.0) -> Any:
    """A field holding a `Ramp`."""
    return field(default_factory=lambda: Ramp(start, end, begin, finish), metadata={"text": text})


def keys(node: Any, prefix: str = "") -> Iterable[str]:
    """Dotted keys of all options below a dataclass."""
    for entry in fields(node):
        value = getattr(node, entry.name)
        yield from keys(value, f"{prefix}{entry.name}.") if is_dataclass(value) else (f"{prefix}{entry.name}",)


def check_ranges(node: Any, prefix: str = "") -> None:
    """Raise `ConfigError` when a number is outside its option's range."""
    for entry in fields(node):
        value, name = getattr(node, entry.name), f"{prefix}{entry.name}"
        if is_dataclass(value):
            check_ranges(value, f"{name}.")
        low, high = (-1e30, 1e30) if entry.metadata.get("low") is None else (entry.metadata["low"], entry.metadata["high"])
        if isinstance(value, int | float) and not low <= value <= high:  # nor is what is not a number
            near = type(value)(min(max(value if value == value else 0, low), high))
            unit = f" {entry.metadata['unit']}" if entry.metadata.get("unit") else ""
            raise ConfigError(f"{name}={value} is outside {low:g}..{high:g}{unit}", f"--set {name}={near}")


def check_key(key: str, known: list[str], where: str) -> None:
    """Raise `ConfigError` when a key is not among the known ones; ``where`` it stands is told."""
    if key not in known:
        near = difflib.get_close_matches(key, known, 1, 0.5) or [k for k in known if k.split(".")[-1] == key.split(".")[-1]]
        hint = f"did you mean {near[0]}?" if near else "img23d presets show standard lists all keys"
        raise ConfigError(f"{where}: unknown key {key!r}", hint)
