"""What an option is: a default with its text, range and unit, or a weight that moves while a stage runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
