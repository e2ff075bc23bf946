"""Which objects a folder of samples was drawn of, so that a run never goes on with those of others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from img23d.errors import InputError
from img23d.training.objects import Source

NOTE = "made_from"


def claim(folder: Path, sources: Sequence[Source], often: str | Path = "") -> None:
    """Note whose samples a folder keeps.

    Args:
        folder: a cache of samples, made where it is missing.
        sources: the objects, told apart by family and name.
        often: file of how often they are taken up, or "".

    Raises:
        InputError: the folder's samples are of other objects, or of the same taken up otherwise.
    """
    digest = hashlib.blake2b(Path(often).read_bytes() if str(often) else b"", digest_size=16)
    for source in sources:
        digest.update(f"{source.family}\0{getattr(source, 'name', '')}\n".encode("utf-8", "surrogateescape"))
    note = folder / NOTE
    if note.is_file() and note.read_text().strip() != digest.hexdigest():
        raise InputError(
            f"{folder} holds samples of other objects than these", "another --out, the --data of before, or remove that folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(digest.hexdigest() + "\n")
