"""Many photos in one go: models loaded once, failures told and passed over, finished photos skipped, a report on disk.

This is the only place that survives any exception; it prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from img23d import __version__
from img23d.backends.doctor import usable_cores
from img23d.batch.items import Item, find_items, shard
from img23d.batch.report import Entry, Report, finished_before, located, others_before, owners_before
from img23d.batch.stopping import Stop, stop_signals
from img23d.batch.workers import Attempt, Made, Observer, OpenWorker, Progress, Task, Work, run_here, run_processes
from img23d.errors import ConfigError, OutputError
from img23d.io.files import claimed
from img23d.run import digest, file_digest, model_digests

__all__ = ["Entry", "Item", "Made", "Observer", "Progress", "Report", "Task", "find_items", "run_batch", "shard"]

# These change how fast a result comes, not what it is.
_SPEED_ONLY = ("preset", "threads", "device")
# Options that may name a model by its path.
_MODELS = (
    ("estimate", "geometry_model"), ("multiview", "model"),
    ("guidance", "view_model"), ("guidance", "text_model"), ("guidance", "geometry_model"),
)  # fmt: skip


def open_pipeline(config: Any) -> Work:
    """Load the models and backends once; what is returned turns one photo into a mesh."""
    from img23d import pipeline

    context = pipeline.open_context(config)

    def work(task: Task, progress: Progress) -> Made:
        item = task.item
        given = pipeline.Given(item.depth, item.normal, item.mask, item.fov_deg, item.elevation_deg, item.sides)
        out = task.out.with_name(f"{task.out.name}.{task.formats[0]}")
        result = pipeline.generate(item.photo, out, config, given, task.formats, task.force, context, progress)
        return Made(result.written, result.warnings)

    return work


def run_batch(
    items: Sequence[Item],
    out: Path,
    config: Any,
    *,
    formats: tuple[str, ...] = ("glb",),
    jobs: int = 1,
    force: bool = False,
    report_name: str = "report.json",
    observer: Observer | None = None,
    finished: Callable[[Entry], None] = lambda entry: None,
    open_worker: OpenWorker = open_pipeline,
) -> Report:
    """Turn every photo into a mesh.

    Args:
        items: photos with unique names.
        out: folder for the meshes and the report; made when missing.
        config: the options of all photos, a dataclass.
        formats: suffixes of the meshes, without the dot; at least one.
        jobs: processes, which share the threads; 1 works in this process.
        force: do all photos anew.
        report_name: file name of the report in ``out``.
        observer: told what goes on.
        finished: called with every entry that has reached its end, skipped ones too.
        open_worker: loads the models and returns what does a task; a module-level function.

    Returns:
        The report, closed; its state is ``interrupted`` after Ctrl-C or a polite kill.

    Raises:
        OutputError: the folder or the report cannot be written.
        BackendError: the models cannot be loaded.
    """
    _check(jobs, out)
    earlier, owners = {} if force else finished_before(out), owners_before(out)
    facts = {"img23d": __version__, "preset": getattr(config, "preset", ""), "options": asdict(config)}
    entries = [_first_entry(item, config, formats, earlier, owners) for item in items]
    photos = {item.name: located(item.photo) for item in items}
    report = Report(out / report_name, entries, facts, others_before(out / report_name, photos))
    waiting = [item for item in items if report.entries[item.name].status == "waiting"]
    # What this photo made under this name before may be replaced; what another made is refused, as `generate` does.
    tasks = [Task(item, out / item.name, formats, force or owners.get(item.name) == photos[item.name]) for item in waiting]
    with claimed(out / report_name), stop_signals(at_once=jobs == 1) as stop:
        try:
            report.write()
            for entry in report.with_status("skipped"):
                finished(entry)
            with closing(_attempts(tasks, config, jobs, open_worker, _telling(report, observer or Observer()), stop)) as attempts:
                for ended in attempts:
                    finished(_conclude(report, ended))
        except KeyboardInterrupt:
            report.close("interrupted")
            return report
        except BaseException:
            report.close("interrupted")
            raise
    report.close("finished")
    return report


def _check(jobs: int, out: Path) -> None:
    """Refuse what cannot work, and make the folder for the results."""
    if jobs < 1:
        raise ConfigError(f"--jobs {jobs} is less than one", "--jobs 1")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}", "choose another --out") from error


def item_key(item: Item, config: Any, formats: tuple[str, ...]) -> str:
    """Hash of everything that a photo's result depends on; empty when one of its files cannot be read."""
    options = {key: value for key, value in asdict(config).items() if key not in _SPEED_ONLY}
    try:
        files = {kind: file_digest(path) for kind, path in item.files().items()}
        models = [model_digests(options.get(stage, {}).get(key, "")) for stage, key in _MODELS]
    except OSError:
        return ""
    return digest(__version__, options, files, models, item.fov_deg, item.elevation_deg, formats)


def _first_entry(
    item: Item, config: Any, formats: tuple[str, ...], earlier: dict[tuple[str, str], Entry], owners: dict[str, str]
) -> Entry:  # fmt: skip
    """Waiting, or skipped where an earlier run made the same thing under the same name; files keep their owner until they are replaced."""
    key = item_key(item, config, formats)
    before = earlier.get((key, item.name)) if key else None
    owner = owners.get(item.name, "")
    if before is not None:  # a photo that was moved takes its files along; a copy of one that is still there does not
        return replace(before, photo=str(item.photo), owner=owner if os.path.exists(owner) else located(item.photo), status="skipped")
    return Entry(item.name, str(item.photo), key=key, owner=owner)


def _telling(report: Report, observer: Observer) -> Observer:
    """An observer that writes down what has been started before it tells the other one."""

    def started(task: Task) -> None:
        report.update(task.item.name, status="running")
        observer.started(task)

    return Observer(started, observer.progressed)


def _attempts(
    tasks: Sequence[Task], config: Any, jobs: int, open_worker: OpenWorker, observer: Observer, stop: Stop
) -> Generator[Attempt, None, None]:
    if jobs == 1:
        return run_here(tasks, open_worker, config, observer, stop)
    threads = max(1, (getattr(config, "threads", 0) or usable_cores()) // jobs)
    if hasattr(config, "threads"):
        config = replace(config, threads=threads)
    return run_processes(tasks, open_worker, config, observer, stop, jobs, threads)


def _conclude(report: Report, ended: Attempt) -> Entry:
    """Write down how a task ended."""
    name, seconds = ended.task.item.name, round(ended.seconds, 2)
    if ended.failure is not None:
        failure = ended.failure
        return report.update(name, status="failed", seconds=seconds, error=failure.kind, line=failure.line, hint=failure.hint)
    assert ended.made is not None
    folder = report.path.parent
    outputs = {str(path.relative_to(folder) if path.is_relative_to(folder) else path): path.stat().st_size for path in ended.made.files}
    owner = located(ended.task.item.photo)
    return report.update(name, status="done", seconds=seconds, owner=owner, outputs=outputs, warnings=ended.made.warnings)
