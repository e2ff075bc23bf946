"""Outputs appear whole or not at all, and every failure is one clear line."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from img23d.errors import OutputError
from img23d.io.files import atomic_write, check_output, claimed, plain_stem, write_together


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_writes_the_bytes_with_the_usual_permissions(tmp_path: Path) -> None:
    path = atomic_write(tmp_path / "a.bin", lambda partial: partial.write_bytes(b"hello"))
    assert path.read_bytes() == b"hello"
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert names(tmp_path) == {"a.bin", "plain"}


def test_an_existing_file_is_kept_without_force_and_replaced_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"already there.*\n.*--force"):
        atomic_write(path, lambda partial: partial.write_bytes(b"new"), force=False)
    assert path.read_bytes() == b"old"
    atomic_write(path, lambda partial: partial.write_bytes(b"new"))
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EROFS, "Read-only file system")])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: OSError) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise error

    with pytest.raises(OutputError, match=r"full|read-only") as caught:
        atomic_write(path, fail, force=True)
    assert "\n" not in caught.value.message and caught.value.exit_code == 7
    assert path.read_bytes() == b"old" and names(tmp_path) == {"a.bin"}


def test_a_real_limit_of_the_system_is_caught_while_buffers_are_flushed(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OutputError, match="too large"):
            atomic_write(tmp_path / "a.bin", lambda partial: partial.write_bytes(b"x" * 10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == set()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_any_other_error_passes_through_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise error

    with pytest.raises(error):
        atomic_write(tmp_path / "a.bin", fail)
    assert names(tmp_path) == set()


def test_impossible_places_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path, words in [
        (tmp_path / "none" / "a.glb", "does not exist"),
        (tmp_path / "folder", "it is a folder"),
        (tmp_path / "file" / "a.glb", "is a file, not a folder"),
        (tmp_path / ("x" * 300), "too long"),
    ]:
        with pytest.raises(OutputError, match=words):
            atomic_write(path, lambda partial: None, force=True)
    assert names(tmp_path) == {"file", "folder"}


def test_a_folder_without_permission_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # the superuser may write anywhere, so the system's answer is set
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission"):
        check_output(tmp_path / "a.glb")
    tmp_path.chmod(0o700)


def test_files_that_belong_together_appear_together(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OutputError, match="full"):
        write_together({tmp_path / "a.png": lambda partial: partial.write_bytes(b"1"), tmp_path / "a.obj": fail})
    assert names(tmp_path) == set()
    write_together(
        {tmp_path / "a.png": lambda partial: partial.write_bytes(b"1"), tmp_path / "a.obj": lambda partial: partial.write_bytes(b"2")}
    )
    assert names(tmp_path) == {"a.png", "a.obj"}


def test_names_that_become_plain_stay_apart() -> None:
    names = ["mug", "my mug", "my_mug", "杯子", "车子", "a.b", "é", "è"]
    plain = [plain_stem(f"folder/{name}.obj") for name in names]
    assert len(set(plain)) == len(names) and plain[0] == "mug" and plain[2] == "my_mug" and all(stem.isascii() for stem in plain)
    assert plain_stem("my mug.obj") == plain_stem("elsewhere/my mug.mtl")


def test_an_output_is_worked_on_by_one_process_at_a_time(tmp_path: Path) -> None:
    code = f"from img23d.io.files import claimed; from pathlib import Path\nwith claimed(Path({str(tmp_path / 'out')!r})): pass"
    command = [sys.executable, "-c", code]
    with claimed(tmp_path / "out"):
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert other.returncode and "another img23d is at work on" in other.stderr
        assert subprocess.run([*command[:2], code.replace("/out", "/other")], check=False).returncode == 0
    assert subprocess.run(command, check=False).returncode == 0
