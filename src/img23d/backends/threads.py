"""How many CPU threads torch uses, in which order they add up, and how the C library gives memory back."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def settle_threads(count: int) -> None:
    """Use this many threads, or all cores this process may run on for 0; and keep freed memory for the next step.

    Without the second part glibc returns every large tensor's pages to the system and faults them in again at the next step:
    a quarter of the time of a fit step on two cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(count or cores)
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
        except (OSError, AttributeError):
            return  # musl and others manage memory their own way


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Within it CPU threads add numbers up in a fixed order: the same inputs and as many threads give the same bytes every time.

    An accelerator keeps its own order, since to fix that costs it much of its speed.
    """
    settings: Any = torch.utils.deterministic  # type checkers take it for a plain module, without the setting
    before, fill = torch.get_deterministic_debug_mode(), settings.fill_uninitialized_memory
    if device.type == "cpu":
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms loads torch's compiler: 1.5 s
        settings.fill_uninitialized_memory = False  # nothing here reads what it has not written
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        settings.fill_uninitialized_memory = fill
