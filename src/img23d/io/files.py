"""Writing files and folders so that nothing half-written ever remains, and failing with one clear line."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from img23d.errors import OutputError

Writer = Callable[[Path], object]

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another disk with --out"),
    errno.EACCES: ("no permission to write there", "choose a folder of your own with --out"),
    errno.EPERM: ("no permission to write there", "choose a folder of your own with --out"),
    errno.EROFS: ("the disk is read-only", "choose another disk with --out"),
    errno.EFBIG: ("the file is too large for this disk", "choose another disk with --out"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name with --out"),
    errno.ENOENT: ("the folder does not exist", "create it first, or choose another with --out"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another path with --out"),
}


def check_output(path: str | Path, force: bool = False) -> Path:
    """Fail early when an output path cannot be written, before any work is spent on it.

    Args:
        path: the file to be written.
        force: allow something that already exists to be replaced.

    Returns:
        The path.

    Raises:
        OutputError: parent missing, no permission, already there, or a folder where a file is wanted.
    """
    path = Path(path)
    with _clear_errors(path):
        parent = path.parent
        if not parent.exists():
            raise OutputError(f"cannot write {path}: the folder {parent} does not exist", f"mkdir -p '{parent}'")
        if not parent.is_dir():
            raise OutputError(f"cannot write {path}: {parent} is a file, not a folder", "choose another path with --out")
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder", "name a file inside it, such as model.glb")
        if path.exists() and not force:
            raise OutputError(f"{path} is already there", "--force replaces it, --out writes elsewhere")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write {path}: no permission to write in {parent}", "choose a folder of your own with --out")
    return path


def atomic_write(path: str | Path, writer: Writer, force: bool = True) -> Path:
    """Write one file whole or not at all.

    Args:
        path: where the file is to be.
        writer: called with a temporary path in the same folder and with the same suffix, to be written.
        force: replace an existing file; otherwise it is an error.

    Returns:
        The path.

    Raises:
        OutputError: the file cannot be written; what was there before is untouched.
    """
    return write_together({Path(path): writer}, force)[0]


def write_together(writers: dict[Path, Writer], force: bool = True) -> list[Path]:
    """Write files that belong together (a mesh and its textures): all are complete before the first one appears.

    Args:
        writers: path to function that writes a temporary path; put the file that refers to the others last.
        force: replace existing files; otherwise they are an error.

    Returns:
        The paths.

    Raises:
        OutputError: one of them cannot be written; what was there before is untouched.
    """
    for path in writers:
        check_output(path, force)
    partial = {path: path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}") for path in writers}
    try:
        for path, writer in writers.items():
            with _clear_errors(path):
                writer(partial[path])
                _sync(partial[path])
        for path in writers:
            with _clear_errors(path):
                os.replace(partial[path], path)
    finally:
        for leftover in partial.values():
            leftover.unlink(missing_ok=True)
    for parent in {path.parent for path in writers}:
        _sync(parent)
    return list(writers)


@contextmanager
def claimed(path: Path, wait: bool = False) -> Iterator[None]:
    """Work on an output alone: two processes of one user on one machine would tear each other's files.

    The lock is a file among the system's temporary ones, and ends with the process however that ends.

    Args:
        path: of the output.
        wait: until another process has ended, instead of refusing.

    Raises:
        OutputError: another process works on it.
    """
    user = os.getuid() if hasattr(os, "getuid") else ""
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"img23d{user}-{name}.lock", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(f"another img23d is at work on {path}", "wait until it has ended, or choose another --out") from None
    except (OSError, NotImplementedError):
        pass  # there is no place for locks, or none that knows them
    try:
        yield
    finally:
        lock.release()


def plain_name(name: str) -> str:
    """A name in characters that every reader and browser takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def plain_stem(path: str | Path) -> str:
    """The name to begin side files with: readers of text formats end names at spaces, and few decode other characters.

    What had to be changed ends in a hash of what it was, so that no two names in one folder become the same.
    """
    stem = Path(path).stem
    plain = plain_name(stem)
    return plain if plain == stem else f"{plain}-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:6]}"


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error into one line about ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        reason, hint = _REASONS.get(error.errno, (error.strerror or str(error), "choose another path with --out"))
        raise OutputError(f"cannot write {path}: {reason}", hint) from error


def _sync(path: Path) -> None:
    """Have a file, or a rename within a folder, on disk; some systems (Windows, some network disks) cannot be asked to."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM):
            raise
    finally:
        os.close(handle)
