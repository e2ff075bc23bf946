"""Batches: finding photos, outliving failures, skipping what is finished, stopping cleanly. No pipeline is involved."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from img23d.batch import Entry, Item, Made, Observer, Progress, Report, Task, find_items, item_key, run_batch, shard
from img23d.batch.stopping import deaf_children, stop_signals
from img23d.errors import BackendError, ConfigError, InputError, OutputError


@pytest.fixture(autouse=True)
def interruptible() -> Any:
    """Ctrl-C raises, also where the tests were started in the background and inherited that it be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Options:
    """Stands in for the configuration."""

    preset: str = "draft"
    threads: int = 0
    steps: int = 5


class Maker:
    """A worker in this process: copies the photo; fails, stops or writes as its name says."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.opened = 0
        self.on: dict[str, Callable[[], None]] = {}

    def __call__(self, config: Options) -> Callable[[Task, Progress], Made]:
        self.opened += 1
        return self.work

    def work(self, task: Task, progress: Progress) -> Made:
        progress("fit", 0.5, "half")
        self.on.get(task.item.name, lambda: None)()
        files = tuple(task.out.with_name(f"{task.out.name}.{suffix}") for suffix in task.formats)
        for path in files:
            path.write_bytes(task.item.photo.read_bytes())
        self.made.append(task.item.name)
        return Made(files, (f"made {task.item.name}",))


def fail(error: BaseException) -> Callable[[], None]:
    def raising() -> None:
        raise error

    return raising


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a", "b", "c"):
        (photos / f"{name}.png").write_bytes(name.encode() * 10)
    return photos


def batch(folder: Path, maker: Any, config: Any = Options(), **options: Any) -> Report:
    return run_batch(find_items([folder]), folder.parent / "out", config, open_worker=maker, **options)


def statuses(report: Report) -> str:
    """First letters of the statuses, in order: dsfw."""
    return "".join(entry.status[0] for entry in report.entries.values())


# --- finding photos ---------------------------------------------------------------------------------------------------------------


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


def test_a_folder_gives_its_photos_by_suffix_sorted_and_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "C.webp", ".hidden.png", "notes.txt", "d.TIFF"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert names(find_items([tmp_path])) == ["a", "b", "C", "d"]


def test_patterns_go_into_subfolders_and_sources_add_up_without_doubles(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "deep/b.png", "deep/c.jpg", "deep/x.txt"):
        (tmp_path / name).touch()
    assert names(find_items([f"{tmp_path}/**/*"])) == ["a", "b", "c"]
    assert names(find_items([tmp_path / "a.png", tmp_path, f"{tmp_path}/*.png"])) == ["a"]


def test_equal_names_are_told_apart_whatever_their_letter_case(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("cup.png", "Cup.jpg", "plate.png", "deep/cup.png", "cup_png.webp"):
        (tmp_path / name).touch()
    found = names(find_items([f"{tmp_path}/**/*"]))
    assert sorted(found) == ["Cup_jpg", "cup_png", "cup_png-2", "cup_png-3", "plate"]
    assert len({name.casefold() for name in found}) == 5


def test_a_csv_manifest_gives_options_of_its_own_to_each_photo(tmp_path: Path) -> None:
    rows = 'photo, name, mask, fov, elevation\nmug.png, cup, m.png, 35.5, -3\n\n"sub/a, b.png",,,,\n'
    (tmp_path / "list.csv").write_text(rows, encoding="utf-8-sig")
    first, second = find_items([tmp_path / "list.csv"])
    assert first == Item(tmp_path / "mug.png", "cup", tmp_path / "m.png", None, None, 35.5, -3.0)
    assert second == Item(tmp_path / "sub/a, b.png", "a, b")


def test_a_spreadsheet_with_semicolons_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("Photo;FOV\nmug.png;35\n", encoding="utf-8")
    assert find_items([tmp_path / "list.csv"]) == [Item(tmp_path / "mug.png", "mug", fov_deg=35.0)]


def test_a_jsonl_manifest(tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text('{"photo": "mug.png", "depth": "d.png", "fov_deg": 40}\n\n{"photo": "/x/y.png", "mask": null}\n')
    first, second = find_items([tmp_path / "list.jsonl"])
    assert (first.depth, first.fov_deg) == (tmp_path / "d.png", 40.0)
    assert second.photo == Path("/x/y.png") and second.mask is None


def test_columns_of_a_manifest_name_photos_of_other_sides(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("photo,view_180,View_-90\na.png,back.png,left.png\nb.png,,left.png\nc.png,,\n")
    (tmp_path / "list.jsonl").write_text('{"photo": "a.png", "view_180": "other.png"}\n{"photo": "a.png"}\n')
    items = find_items([tmp_path / "list.csv", tmp_path / "list.jsonl"])
    back, left = (180.0, tmp_path / "back.png"), (-90.0, tmp_path / "left.png")
    assert [item.sides for item in items] == [(back, left), (left,), (), ((180.0, tmp_path / "other.png"),), ()], "none is another's double"


def test_another_side_or_angle_is_another_result(folder: Path) -> None:
    def keys(text: str) -> list[str]:
        (folder / "list.csv").write_text(text)
        items = find_items([folder / "list.csv"])
        return [item_key(item, Options(), ("glb",)) for item in items]

    told = keys("photo,view_180,view_175\na.png,,\na.png,b.png,\na.png,c.png,\na.png,,b.png\n")
    assert len(set(told)) == 4 and "" not in told
    assert keys("photo,view_180\na.png,missing.png\n") == [""]


def test_the_pipeline_is_given_the_other_sides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def generate(photo: Path, out: Path, config: Any, facts: Any, *_: Any) -> Any:
        given.append(facts)
        raise InputError("enough")

    monkeypatch.setattr("img23d.pipeline.open_context", lambda config: None)
    monkeypatch.setattr("img23d.pipeline.generate", generate)
    sides = ((180.0, folder / "b.png"),)
    twice = ((180.0, folder / "b.png"), (-180.0, folder / "c.png"))
    items = [Item(folder / "a.png", "a", fov_deg=30.0, sides=sides), Item(folder / "a.png", "twice", sides=twice)]
    report = run_batch(items, folder.parent / "out", Options())
    assert [(facts.fov_deg, facts.sides) for facts in given] == [(30.0, sides)]
    assert "must each have their own angle" in report.entries["twice"].line


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("m.csv", "photo,view_back\na.png,b.png\n", "m.csv line 2: view_DEGREES: DEGREES='back' is not a number"),
        ("m.csv", "photo,view\na.png,b.png\n", "m.csv line 2: unknown column 'view'"),
        ("m.csv", "photo,fov\na.png,wide\n", "m.csv line 2: fov='wide' is not a number"),
        ("m.csv", "photo,maks\na.png,b.png\n", "m.csv line 2: unknown column 'maks'\n  try: did you mean mask?"),
        ("m.csv", "name\na\n", "m.csv line 2 names no photo"),
        ("m.csv", "a.png\nb.png\n", "unknown column 'a.png'"),
        ("m.csv", "photo\na.png,b.png\n", "unknown column '(more values than columns)'"),
        ("m.csv", "photo,name\na.png,x/y\n", "the name 'x/y' cannot be a file name"),
        ("m.csv", "photo,name\na.png,..\n", "the name '..' cannot be a file name"),
        ("m.csv", "photo,name\na.png,cup\nb.png,CUP\n", "the name 'cup' 2 times"),
        ("m.csv", "photo\n", "the batch is empty"),
        ("m.jsonl", "{\n", "m.jsonl line 1 is not JSON"),
        ("m.jsonl", "[1]\n", "m.jsonl line 1 is not a JSON object"),
        ("m.jsonl", '{"photo": 3}\n', "photo=3 is not text"),
        ("m.csv", "photo,view_180,view_180\na.png,b.png,c.png\n", "m.csv has two columns 'view_180'"),
        ("m.csv", "photo,fov,fov_deg\na.png,40,50\n", "m.csv line 2 gives fov_deg twice"),
        ("m.jsonl", r'{"photo": "a\u0000.png"}', "cannot be a file name"),
        ("m.jsonl", r'{"photo": "a.png", "view_180": "\ud800.png"}', "cannot be a file name"),
        ("m.jsonl", '{"photo": "a.png", "fov": [1]}\n', "fov=[1] is not a number"),
    ],
)
def test_a_mistake_in_a_manifest_names_its_line(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError) as caught:
        find_items([tmp_path / file])
    assert message in str(caught.value)


@pytest.mark.parametrize("source", ["nowhere", "nowhere/*.png", "missing.csv", "empty"])
def test_sources_without_photos(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        find_items([tmp_path / source])


def test_shards_share_the_photos_without_rest_or_overlap(tmp_path: Path) -> None:
    items = [Item(Path(f"{index}.png"), str(index)) for index in range(10)]
    parts = [shard(items, f"{index}/3") for index in (1, 2, 3)]
    assert sorted((item for part in parts for item in part), key=lambda item: int(item.name)) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for wrong in ("0/3", "4/3", "1", "a/b", "1/-3", "1/0"):
        with pytest.raises(ConfigError):
            shard(items, wrong)


# --- running ----------------------------------------------------------------------------------------------------------------------


def test_one_failure_is_told_and_the_rest_goes_on(folder: Path) -> None:
    maker = Maker()
    maker.on["a"] = fail(ZeroDivisionError("division by zero"))
    maker.on["b"] = fail(InputError("b.png is damaged", "copy it again"))
    report = batch(folder, maker)
    assert statuses(report) == "ffd" and maker.opened == 1
    items = {item["name"]: item for item in json.loads((folder.parent / "out" / "report.json").read_text())["items"]}
    assert (items["a"]["error"], items["a"]["line"]) == ("ZeroDivisionError", "unexpected ZeroDivisionError: division by zero")
    assert (items["b"]["error"], items["b"]["line"], items["b"]["hint"]) == ("InputError", "b.png is damaged", "copy it again")
    assert items["c"]["outputs"] == {"c.glb": 10} and items["c"]["warnings"] == ["made c"]


def test_the_report_says_what_ran_and_its_totals(folder: Path) -> None:
    batch(folder, Maker(), Options(preset="mine", steps=7), formats=("obj", "stl"))
    content = json.loads((folder.parent / "out" / "report.json").read_text())
    assert (content["preset"], content["options"]["steps"], content["state"]) == ("mine", 7, "finished")
    assert content["totals"] == {"done": 3}
    assert content["items"][0]["outputs"] == {"a.obj": 10, "a.stl": 10}


def test_a_second_run_skips_what_is_finished(folder: Path) -> None:
    batch(folder, Maker())
    maker, ended = Maker(), []
    assert statuses(batch(folder, maker, finished=ended.append)) == "sss"
    assert maker.opened == 0, "nothing to do: no model is loaded"
    assert [entry.status for entry in ended] == ["skipped"] * 3
    third = Maker()
    assert statuses(batch(folder, third)) == "sss" and not third.made


@pytest.mark.parametrize("change", ["photo", "output", "lost", "options", "formats", "force", "failed"])
def test_what_has_changed_is_done_again(folder: Path, change: str) -> None:
    maker, out = Maker(), folder.parent / "out"
    if change == "failed":
        maker.on["b"] = fail(InputError("no"))
    batch(folder, maker)
    options: dict[str, Any] = {}
    if change == "photo":
        (folder / "b.png").write_bytes(b"another")
    elif change == "output":
        (out / "b.glb").write_bytes(b"torn")
    elif change == "lost":
        (out / "b.glb").unlink()
    elif change == "options":
        options["config"] = Options(steps=6)
    elif change == "formats":
        options["formats"] = ("obj",)
    elif change == "force":
        options["force"] = True
    again = Maker()
    report = batch(folder, again, **options)
    everything = change in ("options", "formats", "force")
    assert again.made == (["a", "b", "c"] if everything else ["b"])
    assert statuses(report) == ("ddd" if everything else "sds")


def test_speed_options_do_not_make_a_photo_new(folder: Path) -> None:
    batch(folder, Maker())
    assert statuses(batch(folder, Maker(), Options(threads=2, preset="same numbers, other name"))) == "sss"


def test_a_changed_mask_or_camera_makes_a_photo_new(folder: Path) -> None:
    mask, out = folder / "mask", folder.parent / "out"
    mask.write_bytes(b"mask")
    items = [Item(folder / "a.png", "a", mask=mask), Item(folder / "b.png", "b", fov_deg=30.0)]
    run_batch(items, out, Options(), open_worker=Maker())
    mask.write_bytes(b"other")
    items[1] = Item(folder / "b.png", "b", fov_deg=31.0)
    assert statuses(run_batch(items, out, Options(), open_worker=Maker())) == "dd"


def test_a_missing_photo_is_its_own_failure(folder: Path) -> None:
    items = [Item(folder / "gone.png", "gone"), *find_items([folder])]
    report = run_batch(items, folder.parent / "out", Options(), open_worker=Maker())
    assert statuses(report) == "fddd" and report.entries["gone"].error == "FileNotFoundError"


def test_a_changed_photo_may_replace_what_the_batch_made_and_nothing_else(folder: Path) -> None:
    forced: dict[str, bool] = {}

    class Watcher(Maker):
        def work(self, task: Task, progress: Progress) -> Made:
            forced[task.item.name] = task.force
            return super().work(task, progress)

    batch(folder, Watcher())
    assert forced == {"a": False, "b": False, "c": False}
    (folder / "b.png").write_bytes(b"another")
    (folder / "d.png").write_bytes(b"new")
    forced.clear()
    batch(folder, Watcher())
    assert forced == {"b": True, "d": False}


class Forced(Maker):
    """Writes down which tasks may replace what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.forced: dict[str, bool] = {}

    def work(self, task: Task, progress: Progress) -> Made:
        self.forced[task.item.name] = task.force
        return super().work(task, progress)


def test_another_photo_of_the_same_name_may_replace_nothing(folder: Path) -> None:
    batch(folder, Maker())
    other = folder.parent / "tuesday"
    other.mkdir()
    (other / "a.png").write_bytes(b"another picture")
    maker = Forced()
    maker.on["a"] = fail(OutputError("a.glb already exists", "--force"))
    report = batch(other, maker)
    assert maker.forced == {"a": False} and report.entries["a"].owner == str(folder / "a.png")
    again = Forced()
    batch(other, again)
    assert again.forced == {"a": False}, "a refusal gives no right to the files"


@pytest.mark.parametrize("how", ["failed", "stopped", "waiting"])
def test_a_photo_keeps_its_right_to_what_was_made_of_it(folder: Path, how: str) -> None:
    """Other options that do not get to the end, and then a third time with others again."""
    batch(folder, Maker())
    maker = Maker()
    maker.on["b" if how == "failed" else "a" if how == "waiting" else "b"] = fail(
        InputError("torn", "") if how == "failed" else KeyboardInterrupt()
    )
    run_batch(find_items([folder]), folder.parent / "out", Options(steps=6), open_worker=maker)
    last = Forced()
    run_batch(find_items([folder]), folder.parent / "out", Options(steps=7), open_worker=last)
    assert last.forced == {"a": True, "b": True, "c": True}


def test_reports_that_name_no_owner_are_understood(folder: Path) -> None:
    batch(folder, Maker())
    path = folder.parent / "out" / "report.json"
    content = json.loads(path.read_text())
    for item in content["items"]:
        del item["owner"]
    path.write_text(json.dumps(content))
    maker = Forced()
    run_batch(find_items([folder]), folder.parent / "out", Options(steps=6), open_worker=maker)
    assert maker.forced == {"a": True, "b": True, "c": True}


def test_what_runs_have_made_is_no_photo(folder: Path) -> None:
    run = folder / "out" / "a"
    (run / "01_segment").mkdir(parents=True)
    for name in ("run.json", "source.png", "preview.png", "01_segment/mask.png"):
        (run / name).write_bytes(b"")
    for name in ("mug.obj", "mug_base_color.png", "mug_normal.png", "plain_normal.png"):
        (folder / name).write_bytes(b"")
    found = [item.photo.name for item in find_items([str(folder / "**")])]
    assert sorted(found) == ["a.png", "b.png", "c.png", "plain_normal.png"]


def test_a_photo_comes_once_however_its_path_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert [item.name for item in find_items([folder.name, folder, f"{folder.name}/../{folder.name}/a.png"])] == ["a", "b", "c"]


def test_json_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    manifest = tmp_path / "all.jsonl"
    manifest.write_text('{"photo": "one\u2028two.png"}\r\n{"photo": "b.png"}\n', encoding="utf-8")
    assert [item.photo.name for item in find_items([manifest])] == ["one\u2028two.png", "b.png"]


def test_the_report_on_disk_is_right_after_every_photo(folder: Path) -> None:
    seen: list[dict[str, int]] = []
    path = folder.parent / "out" / "report.json"
    batch(folder, Maker(), finished=lambda entry: seen.append(json.loads(path.read_text())["totals"]))
    assert seen == [{"done": 1, "waiting": 2}, {"done": 2, "waiting": 1}, {"done": 3}]
    assert not list(path.parent.glob(".*")), "no partial file is left"


def test_a_torn_or_foreign_report_is_passed_over(folder: Path) -> None:
    out = folder.parent / "out"
    out.mkdir()
    (out / "report.json").write_text('{"items": [{"name"')
    (out / "report-of-mine.json").write_text('{"items": [{"strange": 1}]}')
    assert statuses(batch(folder, Maker())) == "ddd"


def test_shards_read_each_others_reports(folder: Path) -> None:
    items, out = find_items([folder]), folder.parent / "out"
    for which in ("1/2", "2/2"):
        run_batch(shard(items, which), out, Options(), open_worker=Maker(), report_name=f"report-{which[0]}of2.json")
    maker = Maker()
    assert statuses(batch(folder, maker)) == "sss" and not maker.made


def test_observers_hear_of_every_photo(folder: Path) -> None:
    heard: list[Any] = []
    observer = Observer(lambda task: heard.append(task.item.name), lambda task, *rest: heard.append((task.item.name, *rest)))
    batch(folder, Maker(), observer=observer)
    assert heard[:2] == ["a", ("a", "fit", 0.5, "half")] and len(heard) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_batch_and_finishes_the_report(folder: Path, number: int) -> None:
    maker = Maker()
    maker.on["b"] = lambda: signal.raise_signal(number)
    before = signal.getsignal(signal.SIGTERM)
    report = batch(folder, maker)
    content = json.loads((folder.parent / "out" / "report.json").read_text())
    assert report.state == content["state"] == "interrupted"
    assert [item["status"] for item in content["items"]] == ["done", "stopped", "waiting"]
    assert signal.getsignal(signal.SIGTERM) is before
    again = Maker()
    assert statuses(batch(folder, again)) == "sdd" and again.made == ["b", "c"]


class Doomed:
    """Gets a signal while it is destroyed: Python drops what is raised there."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_comes_while_something_is_destroyed_is_not_lost(folder: Path) -> None:
    maker = Maker()
    maker.on["b"] = Doomed
    report = batch(folder, maker)
    assert report.state == "interrupted" and [entry.status for entry in report.entries.values()] == ["done", "done", "waiting"]


def test_the_second_signal_does_not_wait_and_ignored_ones_stay_ignored() -> None:
    with stop_signals(at_once=False) as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_signals(at_once=True) as stop:
            signal.raise_signal(signal.SIGINT)
        assert not stop.asked and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="POSIX masks signals")
def test_a_signal_is_not_lost_while_a_process_starts() -> None:
    with stop_signals(at_once=False) as stop:
        with deaf_children():
            signal.raise_signal(signal.SIGINT)
            assert not stop.asked
        assert stop.asked


def test_models_that_cannot_be_loaded_end_the_batch(folder: Path) -> None:
    with pytest.raises(BackendError, match="no open3d"):
        batch(folder, lambda config: fail(BackendError("no open3d"))())
    assert json.loads((folder.parent / "out" / "report.json").read_text())["state"] == "interrupted"


def test_folders_and_numbers_that_make_no_sense(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--jobs 0"):
        batch(folder, Maker(), jobs=0)
    with pytest.raises(OutputError, match="cannot make the folder"):
        run_batch(find_items([folder]), folder / "a.png" / "out", Options(), open_worker=Maker())


def test_an_entry_survives_the_report() -> None:
    entry = Entry("a", "a.png", "done", "key", 1.5, {"a.glb": 3}, ("careful",))
    assert Entry(**{**json.loads(json.dumps(entry.__dict__)), "warnings": ("careful",)}) == entry


# --- several processes ------------------------------------------------------------------------------------------------------------

WORKER = """
import os, signal, time
from pathlib import Path
from img23d.batch.workers import Made
from img23d.errors import BackendError

def open_worker(config):
    (Path(config.preset) / f"opened-{os.getpid()}").touch()
    def work(task, progress):
        progress("fit", 0.5, os.environ["OMP_NUM_THREADS"])
        text = task.item.photo.read_text()
        if text == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "exit":
            os._exit(3)
        if text == "raise":
            raise ValueError("wrong")
        if text == "deaf":
            os.kill(os.getpid(), signal.SIGINT)
        if text == "interrupt":
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(15)
        path = task.out.with_suffix(".glb")
        path.write_text(text)
        return Made((path,), (str(config.threads),))
    return work

def unable(config):
    raise BackendError("no open3d here", "pip install it")
"""


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that new processes can import, and a batch of photos whose text says what happens to their process."""
    (tmp_path / "pretended_worker.py").write_text(textwrap.dedent(WORKER))
    (tmp_path / "marks").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pretended_worker", raising=False)
    worker = __import__("pretended_worker")

    def run(texts: str, opener: str = "open_worker", **options: Any) -> Report:
        items = []
        for index, text in enumerate(texts.split()):
            photo = tmp_path / f"{index}.png"
            photo.write_text(text)
            items.append(Item(photo, str(index)))
        config = Options(preset=str(tmp_path / "marks"), threads=4)
        return run_batch(items, tmp_path / "out", config, open_worker=getattr(worker, opener), **options)

    return run


@pytest.mark.skipif(os.name == "nt", reason="kills a process with a POSIX signal")
def test_processes_share_the_work_and_outlive_a_death(processes: Any, tmp_path: Path) -> None:
    heard: list[str] = []
    observer = Observer(progressed=lambda task, stage, fraction, text: heard.append(text))
    report = processes("fine raise kill exit fine fine", jobs=2, observer=observer)
    assert statuses(report) == "dfffdd"
    lines = [report.entries[str(index)].line for index in (1, 2, 3)]
    assert lines == ["unexpected ValueError: wrong", "its process was killed by SIGKILL", "its process ended with exit code 3"]
    assert report.entries["2"].error == "WorkerDied"
    assert report.entries["0"].warnings == ("2",) and set(heard) == {"2"}, "four threads divided by two processes"
    assert len(list((tmp_path / "marks").iterdir())) <= 4, "models are loaded once in each process: two, and one for each that died"


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_ends_the_processes_and_finishes_the_report(processes: Any, tmp_path: Path) -> None:
    report = processes("fine interrupt fine", jobs=2)
    assert report.state == "interrupted" and report.entries["1"].status == "stopped"
    import multiprocessing

    assert not multiprocessing.active_children()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["state"] == "interrupted"


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_does_not_reach_the_processes(processes: Any) -> None:
    assert statuses(processes("deaf fine", jobs=2)) == "dd"


def test_processes_that_cannot_load_the_models_end_the_batch(processes: Any) -> None:
    with pytest.raises(BackendError, match="no open3d here") as caught:
        processes("fine fine", "unable", jobs=2)
    assert caught.value.hint == "pip install it"


def test_names_that_are_no_text_do_not_stop_a_batch(folder: Path) -> None:
    os.rename(folder / "b.png", os.path.join(os.fsencode(folder), b"b\xff.png"))
    report = batch(folder, Maker())
    assert statuses(report) == "ddd" and "b_" in report.entries
    assert len(json.loads(report.path.read_text())["items"]) == 3


def test_a_report_that_is_slow_to_write_is_written_less_often(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    replace_file = os.replace

    def slow(source: Path, target: Path) -> None:
        time.sleep(0.06)
        written.append(target)
        replace_file(source, target)

    report = Report(folder / "report.json", [Entry(str(k), "photo") for k in range(50)], {})
    monkeypatch.setattr("img23d.batch.report.os.replace", slow)
    for name in report.entries:
        report.update(name, status="done")
    report.close("finished")
    assert 2 <= len(written) < 10
    assert json.loads(report.path.read_text())["totals"] == {"done": 50}, "the end is always written"
