"""``img23d refine``: any mesh through the DMTet stage, or a finished run with other options."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from img23d.cli.options import (
    Device,
    Elevation,
    Faces,
    Force,
    Formats,
    Fov,
    Json,
    MaskImage,
    Out,
    Quiet,
    Seed,
    Settings,
    SizeMm,
    TextureSize,
    Threads,
    Up,
    overrides,
)
from img23d.cli.progress import StageProgress
from img23d.cli.summary import as_json, show_result
from img23d.cli.targets import make_folder, mesh_formats
from img23d.errors import ConfigError, InputError

if TYPE_CHECKING:
    from img23d.pipeline import Result


def refine(
    source: Annotated[Path, typer.Argument(metavar="MESH|RUN", readable=False, help="A mesh file, closed or not, or a run folder.")],
    photo: Annotated[
        Path | None, typer.Option("--photo", metavar="PHOTO", readable=False, help="A photo of the object: the mesh is fitted to it.")
    ] = None,
    out: Out = None,
    preset: Annotated[str | None, typer.Option("--preset", "-p", metavar="NAME|FILE", help="As for generate; a run keeps its own.")] = None,
    settings: Settings = [],  # noqa: B006
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    mask: MaskImage = None,
    fov: Fov = None,
    elevation: Elevation = None,
    faces: Faces = None,
    texture_size: TextureSize = None,
    size_mm: SizeMm = None,
    up: Up = None,
    formats: Formats = [],  # noqa: B006
    force: Force = False,
    quiet: Quiet = False,
    json_lines: Json = False,
) -> None:
    """Improve a mesh, or reopen a run.

    A mesh is remeshed, closed and smoothed; with --photo it is also fitted to it and painted from it, without one it keeps its own
    texture. Diffusion models that the preset or guidance.* name pull at its shape; guidance.view_model needs --photo. A run is continued
    with other options: refine RUN --set refine.steps=300.
    """
    flags = overrides(
        settings, seed=seed, device=device, threads=threads, texture__faces=faces, texture__size=texture_size, export__size_mm=size_mm,
        export__up=up,
    )  # fmt: skip
    if not source.exists():
        raise InputError(f"there is no mesh or run folder {source}", "name a mesh file, or a folder that generate made")
    if photo is None and any(value is not None for value in (mask, fov, elevation)):
        hint = "--set estimate.fov_deg=30, --set estimate.elevation_deg=10" if source.is_dir() else "--photo PHOTO"
        raise ConfigError("--mask, --fov and --elevation describe a photo", hint)
    with StageProgress(quiet or json_lines) as progress:
        if source.is_dir():
            if photo is not None or out is not None or formats:
                raise ConfigError("a run keeps its photo and its files", f"img23d export {source} --format obj writes others")
            result = reopen_run(source, preset, flags, progress)
        else:
            from img23d import config

            chosen = config.load(preset or "standard", flags)
            asked = mesh_formats(out, formats)
            make_folder(out)
            progress("load", 0.0)
            from img23d.record import Given
            from img23d.refinement import refine_mesh

            given = Given(mask=mask, fov_deg=fov, elevation_deg=elevation)
            result = refine_mesh(source, out or Path(), chosen, photo, given, asked, force, None, progress)
    if json_lines:
        typer.echo(json.dumps(as_json(result, source)))
    else:
        show_result(result, quiet)


def reopen_run(folder: Path, preset: str | None, flags: list[str], progress: StageProgress) -> Result:
    """Continue a run with the options that it was made with, changed as asked for."""
    from img23d import config
    from img23d.record import reopen

    run = reopen(folder)
    chosen = config.load(preset, flags) if preset else config.changed(run.config, flags)
    now = {flag.partition("=")[0].strip() for flag in flags}  # --fov and --elevation of then give way to what is set now
    given = replace(run.given, fov_deg=None) if "estimate.fov_deg" in now else run.given
    run = replace(run, given=replace(given, elevation_deg=None) if "estimate.elevation_deg" in now else given)
    progress("load", 0.0)
    from img23d.refinement import refine_run

    return refine_run(run, chosen, None, progress)
