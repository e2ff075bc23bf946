"""Finding the files that a mesh file names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote


class Beside:
    """The files beside a mesh, also where their names are escaped as in a web address or written with backslashes.

    Args:
        path: the mesh.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self.missing: dict[str, None] = {}  # each name once, in order
        self.written: dict[str, bytes] = {}  # contents that stand for a file that is not there

    def find(self, name: str) -> Path | None:
        """Where a named file is, or None."""
        candidates = [self.folder / written for written in (name, unquote(name), name.replace("\\", "/"))]
        return next((path for path in candidates if path.is_file()), None)

    def get(self, name: str) -> bytes:
        """The bytes of a named file."""
        if name in self.written:
            return self.written[name]
        found = self.find(name)
        if found is None:
            self.missing[name.strip()] = None
            raise FileNotFoundError(f"{name} is missing beside it")
        return found.read_bytes()

    __getitem__ = get
