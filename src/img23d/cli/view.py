"""``img23d view``: a mesh in a window of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from img23d.errors import InputError


def view(
    source: Annotated[Path, typer.Argument(metavar="MESH|RUN", help="A GLB, glTF, OBJ, OFF, PLY or STL file, or a run folder.")],
) -> None:
    """Show a mesh in an interactive window (needs Open3D and a display); viewer.html in a run folder needs neither."""
    if not source.exists():
        raise InputError(f"there is no mesh or run folder {source}", "name a mesh file or a folder that generate made")
    path = source
    if source.is_dir():
        inside = sorted(source.glob("*.glb")) or [path for path in [source.resolve().with_suffix(".glb")] if path.is_file()]
        if not inside:
            raise InputError(f"there is no .glb in {source} or beside it", "name the mesh file itself")
        path = inside[0]
    from img23d.backends import open3d_view

    open3d_view.check_display()
    from img23d.io.reading import load_mesh

    open3d_view.view(load_mesh(path), path.name)
