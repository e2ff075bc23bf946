"""Compiled loops that do without a cache where none can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop, signature: str | None = None) -> Loop:
    """The function compiled by numba, without the interpreter's lock: from numba's cache on disk, else anew in seconds.

    Args:
        function: of arrays and numbers.
        signature: types of its arguments; None compiles at the first call.
    """
    types = () if signature is None else (signature,)
    njit: Any = numba.njit
    try:
        return njit(*types, nogil=True, cache=True)(function)  # type: ignore[no-any-return]
    except (RuntimeError, OSError):  # no writable cache folder (read-only install, full disk): the cache is only a saving
        return njit(*types, nogil=True)(function)  # type: ignore[no-any-return]
