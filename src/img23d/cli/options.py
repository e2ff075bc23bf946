"""Options that several commands share, and how they become ``key=value`` overrides of the configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from img23d.errors import ConfigError

FORMATS = ("glb", "gltf", "obj", "ply", "stl")
SPLATS = ("splat", "splat.ply")
"""Formats of Gaussian splats, which only export makes: of a finished result."""

Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE|DIR", help="A file, whose suffix is its format, or a folder.")]
Preset = Annotated[str, typer.Option("--preset", "-p", metavar="NAME|FILE", help="A name (img23d presets lists them), or a YAML file.")]
Settings = Annotated[list[str], typer.Option("--set", "-s", metavar="KEY=VALUE", help="Any option, as fit.steps=200; may repeat.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to compute.")]
Threads = Annotated[int | None, typer.Option("--threads", help="CPU threads; 0 = all cores.")]
Faces = Annotated[int | None, typer.Option("--faces", metavar="N", help="Faces of the mesh, at most.")]
TextureSize = Annotated[int | None, typer.Option("--texture-size", metavar="N", help="Side of the texture in pixels.")]
DepthMap = Annotated[Path | None, typer.Option("--depth", metavar="PNG", readable=False, help="Depth map of the photo; bigger is farther.")]
NormalMap = Annotated[Path | None, typer.Option("--normal", metavar="PNG", readable=False, help="Normal map of the photo, camera frame.")]
MaskImage = Annotated[
    Path | None, typer.Option("--mask", metavar="PNG", readable=False, help="What belongs to the object: white, or opaque.")
]
Fov = Annotated[float | None, typer.Option("--fov", metavar="DEGREES", help="Vertical field of view of the photo.")]
SideViews = Annotated[
    list[str],
    typer.Option("--view", metavar="DEGREES=PHOTO", help="Another side's photo: how far the camera went to the right. May repeat."),
]
Elevation = Annotated[float | None, typer.Option("--elevation", metavar="DEGREES", help="Height of the camera above the horizon.")]
Formats = Annotated[list[str], typer.Option("--format", "-f", metavar="NAME", help=f"{', '.join(FORMATS)}; may repeat, or a comma list.")]
AllFormats = Annotated[
    list[str], typer.Option("--format", "-f", metavar="NAME", help=f"{', '.join(FORMATS + SPLATS)}; may repeat, or a comma list.")
]
SplatCount = Annotated[int | None, typer.Option("--splats", metavar="N", help="Gaussians of a splat cloud, at most.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is already there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and the paths that were written.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON for each photo.")]
SizeMm = Annotated[float | None, typer.Option("--size-mm", metavar="X", help="Length of the longest side in millimetres.")]
Up = Annotated[str | None, typer.Option("--up", metavar="y|z", help="Which axis points up in the file.")]


def overrides(settings: list[str], **flags: object) -> list[str]:
    """Turn flags into overrides; a flag wins over ``--set`` of the same option.

    Args:
        settings: the ``--set`` options in their order.
        flags: config key, its dots written as two underscores, to value; ``None`` was not given.
    """
    return [*settings, *(f"{key.replace('__', '.')}={value}" for key, value in flags.items() if value is not None)]


def chosen_formats(given: list[str], known: tuple[str, ...] = FORMATS) -> list[str]:
    """The formats of ``--format``, which may repeat or hold a comma list, each once and in order.

    Raises:
        ConfigError: a name that is no format.
    """
    names = [name.strip().lower().lstrip(".") for item in given for name in item.split(",") if name.strip()]
    for name in names:
        if name in SPLATS and name not in known:
            raise ConfigError(f"{name} is made of a finished result", f"img23d export RUN --format {name}")
        if name not in known:
            raise ConfigError(f"unknown format {name!r}", f"--format {' or '.join(known)}")
    return list(dict.fromkeys(names))


def side_views(given: list[str]) -> tuple[tuple[float, Path], ...]:
    """The photos of ``--view``, each after its angle in degrees.

    Raises:
        ConfigError: one of them is not of the form DEGREES=PHOTO.
    """
    found = []
    for item in given:
        angle, separator, path = item.partition("=")
        try:
            found.append((float(angle), Path(os.path.expanduser(path))))  # shells leave a ~ after = alone
        except ValueError:
            separator = ""
        if not separator or not path:
            raise ConfigError(f"--view {item!r} is not of the form DEGREES=PHOTO", "--view 180=back.png")
    return tuple(found)
