"""``img23d export``: a run or a mesh into other formats, with fewer faces, in millimetres."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from img23d.cli.options import FORMATS, SPLATS, AllFormats, Faces, Force, Out, Quiet, SizeMm, SplatCount, TextureSize, Up
from img23d.cli.progress import StageProgress
from img23d.cli.summary import file_size, show_warnings
from img23d.cli.targets import format_of, is_folder, make_folder, mesh_formats
from img23d.errors import ConfigError, InputError


def export(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|MESH", readable=False, help="A run folder, or a GLB, glTF, OBJ, OFF, PLY or STL file.")
    ],
    out: Out = None,
    formats: AllFormats = [],  # noqa: B006
    faces: Faces = None,
    texture_size: TextureSize = None,
    size_mm: SizeMm = None,
    up: Up = None,
    splats: SplatCount = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Convert a result to other formats.

    It is decimated if wished, and keeps its texture.

    splat and splat.ply are clouds of Gaussian splats that look like it, unlit: 32-byte records for web viewers, and the PLY of 3D Gaussian
    Splatting. Y is up in them as in the GLB; viewers that expect scans with Y down show them upside down until they are turned by 180
    degrees.

    Without --out the files go beside a mesh or NAME.run, and into any other run folder.
    """
    _check(source, faces, texture_size, size_mm, up, splats)
    make_folder(out)
    if source.name in ("", ".."):
        source = Path(os.path.abspath(source))
    stem = source.with_suffix("") if source.is_file() or source.suffix == ".run" else source / source.name
    known = FORMATS + SPLATS
    asked = mesh_formats(out, formats, known=known)
    if splats is not None and not set(asked) & set(SPLATS):
        raise ConfigError("--splats is of a format that is not asked for", "--format splat, or splat.ply")
    if out is not None:
        stem = out / stem.name if is_folder(out) else out.with_name(out.name[: -len(format_of(out, known)) - 1])
    targets = [_target(stem, name) for name in asked]
    if any(target.resolve() == source.resolve() for target in targets):
        raise ConfigError(f"{source} would be replaced by itself", "name another file: --out")
    with StageProgress(quiet) as progress:
        progress("load", 0.0)
        from img23d.convert import convert

        axis = cast(Literal["y", "z"] | None, up)
        warnings: list[str] = []
        written = convert(
            source,
            targets,
            faces=faces,
            texture_size=texture_size,
            size_mm=size_mm,
            up=axis,
            splats=splats,
            force=force,
            report=progress,
            warnings=warnings,
        )
    if not quiet:
        show_warnings(warnings)
    for path in written:
        typer.echo(path if quiet else f"{path}  {file_size(path)}")


def _target(stem: Path, suffix: str) -> Path:
    """A file name with a suffix added, whatever dots the name holds already."""
    return stem.with_name(f"{stem.name}.{suffix}")


def _check(
    source: Path, faces: int | None, texture_size: int | None, size_mm: float | None, up: str | None, splats: int | None
) -> None:  # fmt: skip
    """Tell mistakes before anything is loaded.

    Raises:
        InputError: no source.
        ConfigError: an option out of its range.
    """
    if not source.exists():
        raise InputError(f"there is no run folder or mesh {source}", "name a folder that generate made, or a mesh file")
    if up not in (None, "y", "z"):
        raise ConfigError(f"--up {up}: not an axis", "--up y or --up z")
    if size_mm is not None and not 0 < size_mm <= 1e6:
        raise ConfigError(f"--size-mm {size_mm:g} is not a length up to a kilometre", "--size-mm 80")
    if faces is not None and faces < 4:
        raise ConfigError(f"--faces {faces} is less than any closed mesh has", "--faces 5000")
    if texture_size is not None and not 64 <= texture_size <= 8192:
        raise ConfigError(f"--texture-size {texture_size} is outside 64..8192", f"--texture-size {min(max(texture_size, 64), 8192)}")
    if splats is not None and not 100 <= splats <= 1_000_000:
        raise ConfigError(f"--splats {splats} is outside 100..1000000", f"--splats {min(max(splats, 100), 1_000_000)}")
