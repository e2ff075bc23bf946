"""Every mistake a user can make: one clear line, what to try, and an exit code by kind.

Programmer mistakes are `ValueError`s and are not listed here.
"""

from __future__ import annotations


class Img23dError(Exception):
    """Something the user can act on.

    Args:
        message: one line saying what is wrong.
        hint: one line saying what to try, shown after ``try:``.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  try: {self.hint}" if self.hint else self.message


class ConfigError(Img23dError):
    """An unknown preset, key or value."""

    exit_code = 2


class InputError(Img23dError):
    """A photo, mesh, map or path that cannot be used."""

    exit_code = 3


class BackendError(Img23dError):
    """A library or device that was named by the user and cannot be used."""

    exit_code = 4


class WeightsError(Img23dError):
    """Model weights that are missing, damaged or not allowed."""

    exit_code = 5


class FitError(Img23dError):
    """An optimisation that ended without a usable surface."""

    exit_code = 6


class OutputError(Img23dError):
    """A result that cannot be written: no permission, no space, already there."""

    exit_code = 7


BATCH_FAILED = 1
INTERRUPTED = 130
