"""Batches that follow others into the same folder: whose files are whose, and what is no photo. No pipeline is involved."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from img23d.batch import Item, Made, Progress, Report, Task, find_items, run_batch
from img23d.batch.workers import _serve
from img23d.errors import InputError, OutputError
from img23d.io.files import plain_stem


@dataclass(frozen=True)
class Options:
    """Stands in for the configuration."""

    preset: str = "draft"
    threads: int = 0
    steps: int = 5


class Maker:
    """A worker that copies the photo, and refuses to replace a file unless it is told to, as `generate` does for other inputs."""

    def __init__(self) -> None:
        self.forced: dict[str, bool] = {}

    def __call__(self, config: Options) -> Maker:
        self.steps = config.steps
        return self

    def work(self, task: Task, progress: Progress) -> Made:
        self.forced[task.item.name] = task.force
        path = task.out.with_name(f"{task.out.name}.glb")
        if path.exists() and not task.force:
            raise OutputError(f"{path} already exists and comes from another run", "--force replaces it")
        path.write_bytes(task.item.photo.read_bytes() + b"." * self.steps)
        return Made((path,))


def batch(folder: Path, steps: int = 5, force: bool = False) -> tuple[Report, Maker]:
    maker = Maker()
    report = run_batch(find_items([folder]), folder.parent / "out", Options(steps=steps), open_worker=lambda c: maker(c).work, force=force)
    return report, maker


def statuses(report: Report) -> str:
    """First letters of the statuses, in order: dsfw."""
    return "".join(entry.status[0] for entry in report.entries.values())


def photos(folder: Path, **contents: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.png").write_text(content)
    return folder


# --- whose files are whose --------------------------------------------------------------------------------------------------------


def test_two_folders_take_turns_in_one_result_folder(tmp_path: Path) -> None:
    monday, tuesday = photos(tmp_path / "mon", a="1", b="2"), photos(tmp_path / "tue", a="three", c="4")
    mesh = tmp_path / "out" / "a.glb"
    batch(monday)
    before = mesh.read_bytes()
    assert statuses(batch(tuesday)[0]) == "fd"
    assert statuses(batch(monday)[0]) == "ss", "the other batch's report remembers them"
    assert statuses(batch(tuesday, 6)[0]) == "fd" and mesh.read_bytes() == before
    assert statuses(batch(monday, 7)[0]) == "dd", "they are still Monday's to replace"
    names = [(item["name"], item["photo"]) for item in json.loads((tmp_path / "out" / "report.json").read_text())["others"]]
    assert names == [("c", str(tuesday / "c.png"))]


def test_what_force_has_replaced_has_a_new_owner(tmp_path: Path) -> None:
    monday, tuesday = photos(tmp_path / "mon", a="1"), photos(tmp_path / "tue", a="three")
    batch(monday)
    assert statuses(batch(tuesday, force=True)[0]) == "d"
    assert statuses(batch(monday, 6)[0]) == "f"
    assert statuses(batch(tuesday, 6)[0]) == "d"


def test_a_copy_of_a_photo_does_not_own_what_the_photo_made(tmp_path: Path) -> None:
    monday = photos(tmp_path / "mon", a="1")
    batch(monday)
    tuesday = shutil.copytree(monday, tmp_path / "tue")
    assert statuses(batch(tuesday)[0]) == "s"
    photos(tuesday, a="another")
    assert statuses(batch(tuesday)[0]) == "f"


def test_a_photo_that_was_moved_takes_its_files_along(tmp_path: Path) -> None:
    monday = photos(tmp_path / "mon", a="1")
    batch(monday)
    tuesday = monday.rename(tmp_path / "tue")
    assert statuses(batch(tuesday)[0]) == "s"
    photos(tuesday, a="another")
    assert statuses(batch(tuesday)[0]) == "d"


def test_a_file_that_was_put_in_its_place_is_nobodys(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mon", a="1", b="2")
    batch(folder)
    (tmp_path / "out" / "a.glb").write_bytes(b"retouched by hand")
    (tmp_path / "out" / "b.glb").unlink()
    report, maker = batch(folder, 6)
    assert statuses(report) == "fd" and maker.forced == {"a": False, "b": True}
    assert (tmp_path / "out" / "a.glb").read_bytes() == b"retouched by hand"


def test_the_newest_report_says_whose_a_file_is(tmp_path: Path) -> None:
    monday, tuesday, out = photos(tmp_path / "mon", a="1"), photos(tmp_path / "tue", a="2"), tmp_path / "out"
    batch(tuesday)
    maker = Maker()
    run_batch(find_items([monday]), out, Options(), open_worker=lambda c: maker(c).work, force=True, report_name="report-1of1.json")
    os.utime(out / "report.json", (1, 1))
    assert statuses(batch(tuesday, 6)[0]) == "f"


def test_a_newer_version_may_replace_what_an_older_one_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys change with the version; one photo is torn at first, and good when the batch is run again."""
    folder = photos(tmp_path / "mon", a="1", b="2")
    batch(folder)
    monkeypatch.setattr("img23d.batch.__version__", "9.9")
    (folder / "b.png").unlink()
    items = [Item(folder / "a.png", "a"), Item(folder / "b.png", "b")]
    maker = Maker()
    assert statuses(run_batch(items, tmp_path / "out", Options(), open_worker=lambda c: maker(c).work)) == "df"
    photos(folder, b="better")
    assert statuses(batch(folder)[0]) == "sd"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_photo_is_the_same_through_a_linked_folder(tmp_path: Path) -> None:
    folder, link = photos(tmp_path / "mon", a="1"), tmp_path / "link"
    link.symlink_to(folder)
    (folder / "b.png").symlink_to(folder / "a.png")
    assert [item.name for item in find_items([link, folder])] == ["a", "b"], "a link of another name is a photo of its own"
    batch(folder)
    assert statuses(batch(link, 6)[0]) == "dd"


# --- finding photos ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mesh", ["my mug.obj", "Müg.ply", "mug.gltf", "mug.OBJ"])
def test_textures_are_no_photos_whatever_their_mesh_is_called(tmp_path: Path, mesh: str) -> None:
    photos(tmp_path, a="1", mine_base_color="2")
    for name in (mesh, f"{plain_stem(mesh)}_base_color.png"):
        (tmp_path / name).touch()
    assert [item.photo.name for item in find_items([tmp_path])] == ["a.png", "mine_base_color.png"]


def test_textures_whose_mesh_was_moved_are_known_from_the_report(tmp_path: Path) -> None:
    folder = photos(tmp_path, a="1")

    def textured(task: Task, progress: Progress) -> Made:
        files = (task.out.with_name("a_base_color.png"), task.out.with_name("a.obj"))
        for path in files:
            path.write_bytes(b"made")
        return Made(files)

    run_batch(find_items([folder]), folder, Options(), open_worker=lambda config: textured, formats=("obj",))
    (folder / "a.obj").rename(folder / "moved.obj")
    assert [item.name for item in find_items([folder])] == ["a"]


def test_a_folder_of_results_alone_says_so(tmp_path: Path) -> None:
    for name in ("mug.obj", "mug_base_color.png"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="no photos in the folder") as caught:
        find_items([tmp_path])
    assert "what img23d has made is none" in str(caught.value.hint)


def test_a_manifest_that_is_named_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.csv").write_text("photo,name,mask\na.png,cup,m.png\n")
    monkeypatch.chdir(tmp_path)
    assert find_items(["list.csv", tmp_path / "list.csv"]) == [Item(Path("a.png"), "cup", Path("m.png"))]


def test_the_lines_of_a_csv_end_at_line_feeds_only(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("photo,fov\r\none\u2028two.png,30\r\nb.png,\r\n", encoding="utf-8", newline="")
    found = [(item.photo.name, item.fov_deg) for item in find_items([tmp_path / "list.csv"])]
    assert found == [("one\u2028two.png", 30.0), ("b.png", None)]


# --- workers that are left alone --------------------------------------------------------------------------------------------------


def unable(config: Options) -> None:
    raise ValueError("no models")


@pytest.mark.parametrize("opener", [lambda config: Maker()(config).work, lambda config: working, unable])
def test_a_worker_whose_parent_was_killed_ends_quietly(opener: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it wants to say then: how far it has come, what it made, or that it cannot."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    before = signal.getsignal(signal.SIGINT)
    here, there = multiprocessing.Pipe()
    here.send(Task(Item(photos(tmp_path, a="1") / "a.png", "a"), tmp_path / "a"))
    here.close()
    try:
        _serve(there, opener, Options(), 1)  # type: ignore[arg-type]
    finally:
        signal.signal(signal.SIGINT, before)


def working(task: Task, progress: Progress) -> Made:
    progress("fit", 0.5, "half")
    return Made(())
