"""Which files a command writes: ``--out`` and ``--format`` together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from img23d.cli.options import FORMATS, SPLATS, chosen_formats
from img23d.errors import ConfigError, OutputError


def mesh_formats(out: Path | None, given: Sequence[str], default: str = "glb", known: tuple[str, ...] = FORMATS) -> tuple[str, ...]:
    """The formats to write, the one of ``--out FILE`` first.

    Raises:
        ConfigError: a format that cannot be written.
    """
    formats = chosen_formats(list(given), known)
    if out is None or is_folder(out):
        return tuple(formats) or (default,)
    suffix = format_of(out, (*known, *SPLATS))
    if suffix in SPLATS and suffix not in known:
        raise ConfigError(f"--out {out}: splats are made of a finished result", f"img23d export RUN --out {out}")
    if not suffix:
        raise ConfigError(f"--out {out}: unknown format {out.suffix!r}", f"end it in .{', .'.join(known)}, or name a folder")
    return tuple(dict.fromkeys([suffix, *formats]))


def format_of(out: Path, known: tuple[str, ...] = FORMATS) -> str:
    """The format that a file name ends in, the longest one, or an empty string."""
    return max((name for name in known if out.name.lower().endswith(f".{name}")), key=len, default="")


def is_folder(out: Path) -> bool:
    """A folder that is there, or a name without suffix."""
    return out.is_dir() or not out.suffix


def check_many(sources: Sequence[Path], out: Path | None) -> None:
    """Refuse one file for several sources, and several sources that would get one name.

    Raises:
        ConfigError: either of the two.
    """
    if len(sources) > 1 and out is not None and not is_folder(out):
        raise ConfigError(f"--out {out} is one file for {len(sources)} photos", "name a folder: --out results")
    seen: dict[str, Path] = {}
    for source in sources:
        other = seen.setdefault(source.stem.casefold(), source)
        if other is not source:
            raise ConfigError(f"{other} and {source} would get the same name", "img23d batch gives each a name of its own")


def make_folder(out: Path | None) -> None:
    """Make a folder that was asked for, its parents too; the parent of a file must be there, since it may be a typo.

    Raises:
        OutputError: it cannot be made.
    """
    if out is None:
        return
    if not is_folder(out):
        if not out.parent.is_dir():
            raise OutputError(f"cannot write {out}: there is no folder {out.parent}", f"mkdir -p '{out.parent}'")
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}", "choose another --out") from error
