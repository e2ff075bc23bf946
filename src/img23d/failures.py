"""What an exception means to a person: one line, what to try, an exit code. Torch-free, shared by the command line and batch runs."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from img23d.errors import INTERRUPTED, FitError, Img23dError, OutputError

UNEXPECTED = 70
_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True)
class Failure:
    """A mistake, told in two lines.

    Args:
        kind: class of the exception, for reports that a program reads.
        line: what is wrong, one line.
        hint: what to try, one line, may be empty.
        exit_code: of the process.
    """

    kind: str
    line: str
    hint: str
    exit_code: int


def describe(error: BaseException) -> Failure:
    """Say in one line what went wrong.

    Args:
        error: anything that was raised.

    Returns:
        The user's mistakes with their own hint and exit code; a full disk and a full memory likewise; anything else is
        a fault of the program, with exit code 70.
    """
    kind = type(error).__name__
    if isinstance(error, Img23dError):
        return Failure(kind, error.message, error.hint, error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return Failure("Interrupted", "interrupted", "the same command continues where it stopped", INTERRUPTED)
    if isinstance(error, OSError) and error.errno in _WRITING:
        where = f"{error.filename}: " if error.filename else ""
        hint = "free some space or choose another --out" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another --out"
        return Failure(kind, f"{where}{error.strerror}", hint, OutputError.exit_code)
    if _out_of_memory(error):
        return Failure("OutOfMemory", "not enough memory", "--preset draft, a smaller --texture-size, or fewer --jobs", FitError.exit_code)
    text = " ".join(str(error).split())
    line = f"unexpected {kind}: {_shorten(text)}" if text else f"unexpected {kind}"
    return Failure(kind, line, "--debug shows the traceback", UNEXPECTED)


def _out_of_memory(error: BaseException) -> bool:
    """Is it Python's, CUDA's or the CPU allocator's way of saying that memory ran out? (torch is not imported to ask.)"""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _shorten(text: str, limit: int = 240) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
