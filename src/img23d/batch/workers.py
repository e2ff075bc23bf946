"""Who does the work of a batch: this process, or several that each load the models once.

A photo that fails, or that takes its process down with it, costs that photo and nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from img23d.batch.items import Item
from img23d.batch.stopping import Stop, deaf_children
from img23d.errors import BackendError
from img23d.failures import Failure, describe

Progress = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Task:
    """One photo to do.

    Args:
        item: the photo.
        out: the file to write, without suffix.
        formats: suffixes of the files to write, without the dot; at least one.
        force: replace what is there.
    """

    item: Item
    out: Path
    formats: tuple[str, ...] = ("glb",)
    force: bool = False


@dataclass(frozen=True)
class Made:
    """What a worker wrote: the files, and the lines that the user should read."""

    files: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """How a task ended: ``made`` or ``failure``, and the seconds that it took."""

    task: Task
    seconds: float
    made: Made | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Observer:
    """Who is told about the work while it goes on; every callback is called in the parent process.

    Args:
        started: a task was handed to a worker.
        progressed: (task, stage, fraction of the stage, text).
    """

    started: Callable[[Task], None] = lambda task: None
    progressed: Callable[[Task, str, float, str], None] = lambda task, stage, fraction, text: None


Work = Callable[[Task, Progress], Made]
OpenWorker = Callable[[Any], Work]
LISTEN_S = 0.2  # longest time until a stop is noticed


def attempt(work: Work, task: Task, progress: Progress) -> Attempt:
    """Do one task; whatever it raises becomes its failure. Ctrl-C passes through."""
    began = time.monotonic()
    try:
        made = work(task, progress)
    except Exception as error:  # One photo must not end the batch, whatever a library raises for it.
        return Attempt(task, time.monotonic() - began, failure=describe(error))
    return Attempt(task, time.monotonic() - began, made=made)


def run_here(tasks: Sequence[Task], open_worker: OpenWorker, config: Any, observer: Observer, stop: Stop) -> Generator[Attempt, None, None]:
    """Do the tasks one after the other in this process; a stop that got lost on its way is noticed at the next progress."""
    if not tasks:
        return
    work = open_worker(config)

    def progressed(task: Task, stage: str, fraction: float, text: str) -> None:
        stop.check()
        observer.progressed(task, stage, fraction, text)

    for task in tasks:
        stop.check()
        observer.started(task)
        yield attempt(work, task, partial(progressed, task))


@dataclass
class _Worker:
    """A process, the pipe to it, and what it is doing."""

    process: Any
    pipe: Connection
    task: Task | None = None
    since: float = field(default_factory=time.monotonic)


def run_processes(
    tasks: Sequence[Task], open_worker: OpenWorker, config: Any, observer: Observer, stop: Stop, jobs: int, threads: int
) -> Generator[Attempt, None, None]:
    """Do the tasks in several processes, in the order in which they finish.

    Args:
        tasks: what to do.
        open_worker: module-level function, called once in each process; loads the models and returns what does a task.
        config: handed to ``open_worker``.
        observer: told what goes on.
        stop: asked between any two messages; see there.
        jobs: processes.
        threads: threads of each process.

    Raises:
        KeyboardInterrupt: it was asked to stop; all processes have ended.
        BackendError: a process could not load the models; the batch cannot go on.
    """
    waiting = list(reversed(tasks))
    start = partial(_start, open_worker, config, threads)
    workers = [start() for _ in range(min(jobs, len(tasks)))]
    try:
        while workers:
            stop.check()
            for worker in [w for w in workers if w.task is None]:
                if waiting:
                    _hand_over(worker, waiting.pop(), observer)
                else:
                    _dismiss(worker)
                    workers.remove(worker)
            for pipe in wait([worker.pipe for worker in workers], timeout=LISTEN_S) if workers else ():
                worker = next(w for w in workers if w.pipe is pipe)
                ended = _listen(worker, observer)
                if ended is None:
                    continue
                if not worker.process.is_alive() and ended.failure is not None and ended.failure.kind == "WorkerDied":
                    workers.remove(worker)
                    if waiting:
                        workers.append(start())
                yield ended
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()


def _start(open_worker: OpenWorker, config: Any, threads: int) -> _Worker:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, open_worker, config, threads), daemon=True)
    with deaf_children():
        process.start()
    there.close()
    return _Worker(process, here)


def _hand_over(worker: _Worker, task: Task, observer: Observer) -> None:
    worker.task, worker.since = task, time.monotonic()
    observer.started(task)
    with suppress(OSError):  # It died between two tasks; listening to it says so.
        worker.pipe.send(task)


def _dismiss(worker: _Worker) -> None:
    with suppress(OSError):
        worker.pipe.send(None)
    worker.process.join(timeout=10)
    worker.process.terminate()
    worker.pipe.close()


def _listen(worker: _Worker, observer: Observer) -> Attempt | None:
    """Read one message of a worker that has something to say; an attempt when its task has ended."""
    task = worker.task
    assert task is not None
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        return Attempt(task, time.monotonic() - worker.since, failure=_death(worker.process.exitcode))
    if kind == "progress":
        observer.progressed(task, *content)
        return None
    if kind == "unable":
        error = BackendError(content.line, content.hint)
        error.exit_code = content.exit_code
        raise error
    worker.task = None
    return content


def _death(exit_code: int | None) -> Failure:
    """The failure of a photo whose process died: usually the system's answer to too little memory."""
    if exit_code is not None and exit_code < 0:
        reason = f"was killed by {signal.Signals(-exit_code).name}" if -exit_code in set(signal.Signals) else f"was killed ({exit_code})"
    else:
        reason = f"ended with exit code {exit_code}"
    return Failure("WorkerDied", f"its process {reason}", "fewer --jobs or --preset draft need less memory", 1)


def _serve(pipe: Connection, open_worker: OpenWorker, config: Any, threads: int) -> None:
    """Life of a worker process: load once, then one task after the other until told to stop or left alone."""
    # Ctrl-C reaches every process of the terminal, and where starting does not hand down that it is ignored, it is here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    with suppress(EOFError, OSError):  # of the pipe: nobody is left to work for; what the work raises is caught where it is done
        try:
            work = open_worker(config)
        except Exception as error:
            pipe.send(("unable", describe(error)))
            return
        while (task := pipe.recv()) is not None:
            pipe.send(("ended", attempt(work, task, lambda *content: pipe.send(("progress", content)))))
