"""A finished run or any mesh into other files: other formats, fewer faces, a size in millimetres, another axis up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from img23d.backends.rasterizers import choose_rasterizer
from img23d.backends.threads import repeatable
from img23d.errors import InputError
from img23d.fields.gaussians import Gaussians
from img23d.io.files import check_output
from img23d.io.meshes import UNITLESS, load_mesh, placed, save_together
from img23d.io.splats import save_splats, splat_suffix
from img23d.ops.crease import crease_normals
from img23d.ops.decimate import decimate
from img23d.ops.texture_transfer import transfer_texture
from img23d.record import Reopened, reopen
from img23d.run import stage_seed
from img23d.scene import Mesh, TexturedMesh, brought_near, put_back
from img23d.stages import artifacts
from img23d.stages.splats import Splatting, splats_of

Report = Callable[[str, float, str], None]
ROOM = 64  # texels along each side of a new texture, at least: a mesh of one colour may have had a picture of two


def silent(stage: str, fraction: float, text: str) -> None:
    """A report callback that shows nothing."""


def convert(
    source: Path,
    targets: Sequence[Path],
    *,
    faces: int | None = None,
    texture_size: int | None = None,
    size_mm: float | None = None,
    up: Literal["y", "z"] | None = None,
    splats: int | None = None,
    force: bool = False,
    report: Report = silent,
    warnings: list[str] | None = None,
) -> list[Path]:
    """Write a run's result, or a mesh file, in other formats.

    A run's result is shaded as it was made; a mesh file by its own normals, or, where it has none or got new faces, with hard edges where
    its faces meet at a sharp angle (`img23d.ops.crease`).

    Args:
        source: a run folder or a mesh file.
        targets: files to write; their suffixes are their formats: those of meshes, and `img23d.io.splats.SUFFIXES`.
        faces: largest number of faces; None keeps all.
        texture_size: side of the texture, px; None keeps it. The photo is projected anew for a run, the texture resampled for a mesh.
        size_mm: length of the longest side; None takes the run's own option, for a mesh its own units (STL from glTF, which is in
            metres: 100 mm).
        up: which axis points up in the files; None takes the run's own option, y for a mesh.
        splats: how many Gaussians a splat cloud has; None takes the default of `Splatting`.
        force: replace files that are there.
        report: called with (stage, fraction 0..1, text).
        warnings: gets a line for everything that was left out.

    Returns:
        All files that were written, those that belong to a target (materials, pictures) before it.

    Raises:
        InputError: no run folder, an unfinished run, an unreadable mesh, or splats wanted of one without colours.
        OutputError: a file that cannot be written, or is there.
    """
    for target in targets:
        check_output(target, force)
    report("read", 0.0, "")
    if source.is_dir():
        run = reopen(source)
        asset: TexturedMesh | Mesh = run_asset(source, run, faces, texture_size, report)
        size_mm, up = run.config.export.size_mm if size_mm is None else size_mm, up or run.config.export.up
    else:
        loaded, middle = brought_near(load_mesh(source, warnings))
        asset = fewer_faces(loaded, faces, texture_size, report)
        if isinstance(loaded, TexturedMesh) and loaded.normal_map is not None and asset is not loaded and warnings is not None:
            warnings.append(f"the normal map of {source.name} belongs to its old texture coordinates: it is left out")
        asset = put_back(with_normals(asset), middle)
    units = source.suffix.lower() in UNITLESS and source.is_file()
    return _written(asset, source, targets, size_mm or None, up or "y", splats, force, units, report)


def _written(
    asset: TexturedMesh | Mesh, source: Path, targets: Sequence[Path], size_mm: float | None, up: Literal["y", "z"],
    splats: int | None, force: bool, keep_units: bool, report: Report,
) -> list[Path]:  # fmt: skip
    """Write meshes and splats; nothing is written before all of it is made."""
    meshes = [target for target in targets if not splat_suffix(target)]
    clouds = [target for target in targets if splat_suffix(target)]
    cloud = splat_cloud(asset, source, splats, size_mm, up, report) if clouds else None
    report("write", 0.0, "")
    written = save_together(asset, meshes, size_mm, up, force, keep_units=keep_units) if meshes else []
    if cloud is not None:
        written += save_splats(clouds, cloud, force)
    report("write", 1.0, "")
    return written


def splat_cloud(
    asset: TexturedMesh | Mesh, source: Path, count: int | None, size_mm: float | None, up: Literal["y", "z"], report: Report = silent
) -> Gaussians:
    """A cloud of splats that looks like a mesh, in the units and axes of its GLB; near the origin, if the mesh is in float64 far from it.

    Args:
        asset: the mesh.
        source: where it is from, for the message.
        count: how many Gaussians; None takes the default.
        size_mm: length of its longest side, written in metres as in glTF; None keeps its units.
        up: which axis points up.
        report: called with (stage, fraction 0..1, text).

    Raises:
        InputError: the mesh has no colours.
    """
    if isinstance(asset, Mesh):
        raise InputError(f"{source} has no colours: its splats would show nothing but an outline", "img23d refine --photo paints a mesh")
    stood = brought_near(placed(asset, "glb", size_mm, up))[0]
    assert isinstance(stood, TexturedMesh)
    options = Splatting() if count is None else Splatting(count=count)
    with repeatable(stood.mesh.vertices.device):
        return splats_of(
            stood, options, choose_rasterizer("auto", stood.mesh.vertices.device), lambda part, text: report("splats", part, text)
        )


def run_asset(folder: Path, run: Reopened, faces: int | None, texture_size: int | None, report: Report = silent) -> TexturedMesh:
    """The result of a run; with other numbers of faces or texels its texture stage is run again, from the fine mesh and the photo.

    Raises:
        InputError: the run is not finished.
    """
    if run.place is not None:
        last = "texture" if run.photo is not None else "retexture"
        made = artifacts.load_textured(step_folder(folder, last)).moved(1 / run.place.scale, run.place.middle)
        near, middle = brought_near(made)
        result = put_back(fewer_faces(near, faces, texture_size, report), middle)
        assert isinstance(result, TexturedMesh)
        return result
    options = run.config.texture
    wanted = replace(options, faces=faces or options.faces, size=texture_size or options.size)
    if wanted == options:
        return artifacts.load_textured(step_folder(folder, "texture"))
    from img23d import pipeline
    from img23d.stages.options import guides_colours
    from img23d.stages.texture import texture

    def progress(fraction: float, text: str = "") -> None:
        report("texture", fraction, text)

    # The run may have been made on another machine.
    here = replace(run.config, device="cpu" if run.config.device == "cpu" else "auto")
    context = replace(pipeline.open_context(here), progress=progress, seed=stage_seed(run.config.seed, "texture"))
    if run.config.multiview.model:
        views, prior, drawn = artifacts.load_imagined(step_folder(folder, "imagine"), context.device)
    else:
        (views, prior), drawn = artifacts.load_guess(step_folder(folder, "estimate"), context.device), None
        if run.given.sides:
            views, prior, drawn = artifacts.load_imagined(step_folder(folder, "sides"), context.device)
        elif guides_colours(run.config) and not prior.known:
            drawn = artifacts.load_drawn(step_folder(folder, "paint"), context.device)
    mesh = artifacts.load_mesh_artifact(step_folder(folder, "refine"), context.device)
    with repeatable(context.device):
        return texture(views, prior, mesh, wanted, context, drawn, bool(run.given.sides))


def step_folder(run: Path, name: str) -> Path:
    """Where a run keeps the result of a stage.

    Raises:
        InputError: the stage has not been finished.
    """
    for folder in sorted(run.glob(f"[0-9][0-9]_{name}")):
        if (folder / "step.json").is_file():
            return folder
    raise InputError(f"the run {run} is not finished: it has no {name} step", "the same generate command continues it")


def fewer_faces(asset: TexturedMesh | Mesh, faces: int | None, texture_size: int | None, report: Report = silent) -> TexturedMesh | Mesh:
    """Decimate a mesh, its texture carried over; a mesh that is small enough is returned as it is.

    Args:
        asset: the mesh.
        faces: largest number of faces; None keeps all.
        texture_size: side of the new texture, px; None keeps that of the old one.
        report: called with (stage, fraction 0..1, text).
    """
    report("decimate", 0.0, "")
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    reduced = mesh if faces is None else decimate(mesh, faces)
    if isinstance(asset, Mesh):
        return reduced
    size = texture_size or max(asset.base_color.shape[:2])
    if reduced is mesh and size == max(asset.base_color.shape[:2]):
        return asset
    if texture_size is None:  # one colour needs no more than a few texels, its charts do
        size = max(size, ROOM)
    report("texture", 0.0, "")
    return transfer_texture(asset, reduced, size)


def with_normals(asset: TexturedMesh | Mesh) -> TexturedMesh | Mesh:
    """The same mesh with a normal at each corner: its file's own, else, as for all new faces, smooth up to the angle of a crease."""
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    given = mesh.corner_normals
    unknown = None if given is None else (given == 0).all(-1, keepdim=True)
    if unknown is not None and not bool(unknown.any()):
        return asset
    found = crease_normals(mesh)
    shaded = replace(mesh, corner_normals=found if given is None or unknown is None else torch.where(unknown, found, given))
    return replace(asset, mesh=shaded) if isinstance(asset, TexturedMesh) else shaded
