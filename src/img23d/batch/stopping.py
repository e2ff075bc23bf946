"""Ctrl-C and a cluster's SIGTERM, so that neither is ever lost.

Python drops an exception that is raised while a destructor runs, and a signal's handler may run there. So a signal is first written down.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the user or the system has asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if so."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def stop_signals(at_once: bool) -> Iterator[Stop]:
    """Write down SIGINT and SIGTERM while this lasts; in other threads than the main one nothing changes.

    Args:
        at_once: raise KeyboardInterrupt where the program is, too, as long computations of this process need; otherwise only the second
            signal does, and whoever waits for other processes asks `Stop.check`.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def write_down(number: int, frame: Any) -> None:
        impatient = stop.asked
        stop.asked = True
        if at_once or impatient:
            raise KeyboardInterrupt

    # What a parent has told this process to ignore (nohup, a shell's background job) stays ignored, and what is not Python's is left alone.
    before = {number: signal.getsignal(number) for number in SIGNALS}
    taken = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]
    for number in taken:
        signal.signal(number, write_down)
    try:
        yield stop
    finally:
        for number in taken:
            signal.signal(number, before[number])


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started here never get Ctrl-C, from their first moment; the parent gets it afterwards and alone decides what it means."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where nothing of the kind is handed down
        yield
        return
    with suppress(ImportError, AttributeError):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # its first start would take the mask off again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
