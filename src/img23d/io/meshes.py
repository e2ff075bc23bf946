"""Saving meshes: format by suffix, unit, axes and files that belong together."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from img23d.errors import OutputError
from img23d.io.files import Writer, check_output, plain_stem, write_together
from img23d.io.gltf import glb_bytes, gltf_files
from img23d.io.obj import obj_files
from img23d.io.ply import ply_files
from img23d.io.reading import load_mesh
from img23d.io.stl import stl_bytes
from img23d.run import readable_stem
from img23d.scene import Mesh, TexturedMesh

__all__ = ["FORMATS", "load_mesh", "mesh_format", "placed", "save_mesh", "save_together"]

FORMATS = ("glb", "gltf", "obj", "ply", "stl")
PRINT_SIZE_MM = 100.0
"""Longest side of an STL when no size is asked for: two units would be a 2 mm speck to a slicer, which reads millimetres."""
UNITLESS = (".obj", ".off", ".ply", ".stl")  # most of them in millimetres already


def mesh_format(path: str | Path, format: str | None = None) -> str:
    """The format of a mesh file to be written: as named, or by suffix.

    Raises:
        OutputError: a format that cannot be written, or a suffix that says another one.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    if (format or suffix) not in FORMATS:
        raise OutputError(f"cannot write a mesh as {format or suffix or 'a file without suffix'!r}", f"use one of {', '.join(FORMATS)}")
    if format and suffix in FORMATS and suffix != format:
        raise OutputError(f"{path} ends in .{suffix}, the format asked for is {format}", "make them agree, or leave one out")
    return format or suffix


def save_mesh(
    path: str | Path,
    asset: TexturedMesh | Mesh,
    format: str | None = None,
    size_mm: float | None = None,
    up: Literal["y", "z"] = "y",
    force: bool = True,
    extras: dict[str, Any] | None = None,
    keep_units: bool = False,
) -> list[Path]:
    """Save a mesh with its textures, whole or not at all.

    Args:
        path: where to; pictures, materials and buffers of the text formats go beside it under names that begin with its stem.
        asset: the mesh.
        format: glb, gltf, obj, ply or stl; None goes by the suffix.
        size_mm: scale the longest side to so many millimetres; None or 0 keeps object units (STL: 100 mm). OBJ, PLY and STL are in
            millimetres then, glTF in metres as its specification says.
        up: which axis points up in the file; ``z`` turns the front to -Y, as Blender and slicers have it.
        force: replace existing files; otherwise they are an error.
        extras: source photo, preset, seed: kept in glTF's ``asset.extras``.
        keep_units: leave the size of an STL alone too, where none is asked for.

    Returns:
        All files written, the one asked for last.

    Raises:
        OutputError: unknown format, or a file cannot be written.
    """
    path = Path(path)
    format = mesh_format(path, format)
    check_output(path, force)
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    if len(mesh.faces) == 0:
        raise OutputError(f"the mesh for {path} has no faces: nothing to write", "use a larger object or a finer preset")
    asset = placed(asset, format, size_mm, up, keep_units)
    stood = asset.mesh if isinstance(asset, TexturedMesh) else asset
    if not bool(stood.vertices.isfinite().all()):
        raise OutputError(f"the mesh for {path} has coordinates that are not finite numbers", "another size, or report this")
    stem = plain_stem(path)
    if format == "glb":
        files = {path.name: glb_bytes(asset, extras, readable_stem(path))}
    elif format == "stl":
        files = {path.name: stl_bytes(asset.mesh if isinstance(asset, TexturedMesh) else asset)}
    elif format == "gltf":
        files = gltf_files(asset, stem, extras)
    else:
        files = obj_files(asset, stem) if format == "obj" else ply_files(asset, stem)
    # The file that was asked for keeps its name as it is; only those beside it are plain.
    *beside, main = files
    names = {name: path.with_name(name) for name in beside} | {main: path}
    return write_together({names[name]: _writer(data) for name, data in files.items()}, force)


def save_together(
    asset: TexturedMesh | Mesh, targets: Sequence[Path], size_mm: float | None, up: Literal["y", "z"], force: bool = True,
    extras: dict[str, Any] | None = None, keep_units: bool = False,
) -> list[Path]:  # fmt: skip
    """Write one mesh in several formats, all of them or none; formats may share a picture, but no file of another mesh is lost.

    Returns:
        All files, those that others refer to first.
    """
    if len(targets) == 1:
        return save_mesh(targets[0], asset, size_mm=size_mm, up=up, force=force, extras=extras, keep_units=keep_units)
    with tempfile.TemporaryDirectory(prefix="img23d-") as scratch:
        made: dict[Path, Path] = {}
        for target in targets:
            for file in save_mesh(Path(scratch) / target.name, asset, size_mm=size_mm, up=up, extras=extras, keep_units=keep_units):
                made.setdefault(target.with_name(file.name), file)
        return write_together({path: partial(shutil.copyfile, file) for path, file in made.items()}, force)


def _scale(mesh: Mesh, format: str, size_mm: float | None) -> float:
    """The factor from object units to the file's unit."""
    if not size_mm and format != "stl":
        return 1.0
    longest = float((mesh.vertices.amax(0) - mesh.vertices.amin(0)).max())
    size = (size_mm or PRINT_SIZE_MM) / (1000.0 if format in ("glb", "gltf") else 1.0)
    return size / max(longest, 1e-12)


def placed(
    asset: TexturedMesh | Mesh, format: str, size_mm: float | None, up: str, keep_units: bool = False
) -> TexturedMesh | Mesh:  # fmt: skip
    """The asset scaled and turned as it is written in a format; see `save_mesh`."""
    if up not in ("y", "z"):
        raise ValueError(f"up must be y or z, got {up!r}")
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    scale = 1.0 if keep_units and not size_mm else _scale(mesh, format, size_mm)
    turn = mesh.vertices.new_tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]] if up == "y" else [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    corners = None if mesh.corner_normals is None else mesh.corner_normals @ turn.to(mesh.corner_normals)
    moved = Mesh(mesh.vertices.detach() @ turn * scale, mesh.faces, corners)
    if isinstance(asset, Mesh):
        return moved
    normals = None if asset.vertex_normals is None else asset.vertex_normals @ turn.to(asset.vertex_normals)
    return replace(asset, mesh=moved, vertex_normals=normals)


def _writer(data: bytes) -> Writer:
    return lambda partial: partial.write_bytes(data)
