"""``img23d generate``: photo to textured mesh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img23d.cli.boundary import show_failure
from img23d.cli.options import (
    DepthMap,
    Device,
    Elevation,
    Faces,
    Force,
    Formats,
    Fov,
    Json,
    MaskImage,
    NormalMap,
    Out,
    Preset,
    Quiet,
    Seed,
    Settings,
    SideViews,
    TextureSize,
    Threads,
    overrides,
    side_views,
)
from img23d.cli.progress import StageProgress
from img23d.cli.summary import as_json, show_result
from img23d.cli.targets import check_many, make_folder, mesh_formats
from img23d.errors import ConfigError, Img23dError

if TYPE_CHECKING:
    from img23d.pipeline import Result
    from img23d.record import Given


def generate(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", readable=False, help="One photo or several.")],
    out: Out = None,
    preset: Preset = "standard",
    settings: Settings = [],  # noqa: B006
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    depth: DepthMap = None,
    normal: NormalMap = None,
    mask: MaskImage = None,
    fov: Fov = None,
    elevation: Elevation = None,
    views: SideViews = [],  # noqa: B006
    faces: Faces = None,
    texture_size: TextureSize = None,
    formats: Formats = [],  # noqa: B006
    force: Force = False,
    quiet: Quiet = False,
    json_lines: Json = False,
) -> None:
    """Turn a photo into a textured 3D mesh.

    Without --out the result goes into a folder named after the photo. A run that was stopped continues where it was.
    """
    from img23d import config
    from img23d.record import Given

    flags = overrides(settings, seed=seed, device=device, threads=threads, texture__faces=faces, texture__size=texture_size)
    chosen = config.load(preset, flags)
    given = Given(depth, normal, mask, fov, elevation, side_views(views))
    check_many(photos, out)
    if len(photos) > 1 and (depth or normal or mask or views):
        raise ConfigError("--depth, --normal, --mask and --view belong to one photo", "img23d batch MANIFEST.csv has a column for each")
    asked = mesh_formats(out, formats)
    make_folder(out)
    code = run_all(photos, out or Path(), chosen, given, asked, force, quiet or json_lines, json_lines)
    if code:
        raise typer.Exit(code)


def run_all(
    photos: list[Path], out: Path, config: Any, given: Given, formats: tuple[str, ...], force: bool, quiet: bool, json_lines: bool
) -> int:
    """Do one photo after the other with the models loaded once; several photos outlive the mistake in one of them.

    Returns:
        0, or the exit code of the first photo that failed.
    """
    with StageProgress(quiet) as progress:
        progress("load", 0.0)
        from img23d import pipeline

        context = pipeline.open_context(config)
    code = 0
    for photo in photos:
        try:
            with StageProgress(quiet, str(photo) if len(photos) > 1 else "") as progress:
                result: Result = pipeline.generate(photo, out, config, given, formats, force, context, progress)
        except Img23dError as error:
            if len(photos) == 1:
                raise
            code = code or show_failure(error, str(photo))
            continue
        if json_lines:
            typer.echo(json.dumps(as_json(result, photo)))
        else:
            show_result(result, quiet)
    return code
