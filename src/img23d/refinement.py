"""Improve what is already there: any mesh, with or without a photo of the object, or a finished run with other options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from img23d import __version__
from img23d.config import Config
from img23d.errors import InputError
from img23d.fields.grid import FrozenGrid
from img23d.io.files import claimed
from img23d.io.images import load_mask, load_photo
from img23d.io.meshes import load_mesh
from img23d.io.textures import sample
from img23d.pipeline import ASSET, FIELD, MESH, PAINTED, VIEWS, Report, Result, Steps, generate_into, open_context, silent, write_result
from img23d.record import Given, Place, Reopened, Targets, check_existing, keep, named_files, targets_for
from img23d.run import Run, digest, file_digest, readable_stem
from img23d.scene import Mesh, TexturedMesh, Views
from img23d.stages import observe
from img23d.stages.artifacts import load_source, save_source
from img23d.stages.cameras import LOWEST, REACH
from img23d.stages.context import Context
from img23d.stages.guided_mesh import check_mesh_guidance, colors_of, draws_anew, pulls, refine_guided
from img23d.stages.models import have_guides
from img23d.stages.options import guided_options
from img23d.stages.paint import VERSION as PAINT_VERSION
from img23d.stages.paint import paint
from img23d.stages.refine import VERSION as REFINE_VERSION
from img23d.stages.refine import refine
from img23d.stages.retexture import VERSION as RETEXTURE_VERSION
from img23d.stages.retexture import far_colors, retexture
from img23d.stages.segment import VERSION as SEGMENT_VERSION
from img23d.stages.segment import Maps, segment
from img23d.stages.texture import VERSION as TEXTURE_VERSION
from img23d.stages.texture import texture


def place_of(mesh: Mesh) -> Place:
    """The placement that centres a mesh and lets its longest side fill the cube up to `REACH`.

    Raises:
        InputError: the mesh has no extent.
    """
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    longest = float((high - low).max())
    if longest <= 0:
        raise InputError("the mesh has no extent", "check the file in a viewer")
    return Place(tuple(((low + high) / 2).tolist()), 2 * REACH / longest)


def refine_run(run: Reopened, config: Config, context: Context | None = None, report: Report = silent) -> Result:
    """Reopen a finished or interrupted run with other options: only the steps that they change are computed again.

    Args:
        run: from `img23d.record.reopen`.
        config: the run's options with the changes made.
    """
    if run.place is not None:
        kept = load_source(run.targets.folder) if named_files(run.source) else None
        kept = kept if kept is not None and content(kept) == run.content else None
        return refine_into(run.source, run.targets, config, run.photo, run.given, True, context, report, run.name, run.content, kept)
    return generate_into(run.source, run.targets, config, run.given, True, context, report, run.name)


def refine_mesh(
    mesh_path: Path,
    out: Path,
    config: Config,
    photo_path: Path | None = None,
    given: Given | None = None,
    formats: tuple[str, ...] = (),
    force: bool = False,
    context: Context | None = None,
    report: Report = silent,
) -> Result:
    """Remesh, close and smooth a mesh; with a photo, fit and re-texture it too. Diffusion models that the options name pull at its shape.

    The result keeps the place and size of the original. Without a photo it keeps its own texture, transferred.

    Args:
        mesh_path: any OBJ, GLB, glTF, PLY, STL or OFF, closed or not.
        out: as in `img23d.pipeline.generate`.
        photo_path: a photo of the same object; its camera is searched.
        given: a mask and camera facts for the photo.

    Raises:
        Img23dError: one of its kinds, with one clear line.
    """
    targets = targets_for(mesh_path, out, formats)
    if any(target.resolve() == mesh_path.resolve() for target in targets.files):  # nor is the run that made it to be replaced
        targets = targets_for(mesh_path.with_name(f"{mesh_path.stem}_refined{mesh_path.suffix}"), renamed(out), formats)
    return refine_into(mesh_path, targets, config, photo_path, given or Given(), force, context, report)


def renamed(out: Path) -> Path:
    """Where the refined mesh goes when it would replace the one it is made of."""
    return out if out.is_dir() or not out.suffix else out.with_name(f"{out.stem}_refined{out.suffix}")


def refine_into(
    mesh_path: Path, targets: Targets, config: Config, photo_path: Path | None, given: Given, force: bool, context: Context | None,
    report: Report, name: str = "", known: str = "", kept: TexturedMesh | Mesh | None = None,
) -> Result:  # fmt: skip
    """`refine_mesh` with the run folder and the files already decided.

    Args:
        known: the content that the mesh must still have.
        kept: what the mesh was read as, where the run has kept that.
    """
    context = replace(context or open_context(config), warnings=[])
    context.warnings.extend(check_mesh_guidance(config, photo_path is not None))
    source = kept or load_mesh(mesh_path, context.warnings)
    found = content(source)
    if known and found != known:
        raise InputError(
            f"the colours of {mesh_path} are not those that this run was made with", "put its textures back beside it, or refine it anew"
        )
    inputs = [found, photo_path and file_digest(photo_path), given.digests(), given.elevation_deg, given.fov_deg]
    source_key = digest(__version__, "refine", inputs, config.seed, context.device.type)
    with claimed(targets.folder):
        check_existing(targets, source_key, force)
        if (pulls(config) or draws_anew(config, photo_path is not None)) and not any(targets.folder.glob("[0-9][0-9]_*")):
            have_guides(config)
        steps = Steps(Run(targets.folder, source_key), config, context, report)
        shape = source.mesh if isinstance(source, TexturedMesh) else source
        place = place_of(shape)
        keep(targets, mesh_path, given, source_key, config, photo_path, place, name, found)
        if named_files(mesh_path):
            save_source(source, targets.folder)
        inside = Mesh(((shape.vertices - shape.vertices.new_tensor(place.middle)) * place.scale).float(), shape.faces)
        placed = (replace(source, mesh=inside) if isinstance(source, TexturedMesh) else inside).to(context.device)
        photo = None if photo_path is None else cut_out(photo_path, given, config, steps)
        views, asset = improve(placed, photo, given.elevation_deg, config, steps)
        exported = asset.moved(1 / place.scale, place.middle)
        told = name or readable_stem(mesh_path) + mesh_path.suffix
        return write_result(views, asset, targets, config, steps, told, exported, mesh_path.suffix.lower())


def content(source: TexturedMesh | Mesh) -> str:
    """A hash of a mesh and its colours, whatever files they were read from."""
    mesh = source.mesh if isinstance(source, TexturedMesh) else source
    parts = [mesh.vertices, mesh.faces, *((source.uv, source.uv_faces, source.base_color) if isinstance(source, TexturedMesh) else ())]
    material = source.metallic_roughness if isinstance(source, TexturedMesh) else ()
    return digest(*(part.numpy().tobytes() for part in parts), material)


def cut_out(photo_path: Path, given: Given, config: Config, steps: Steps) -> Views:
    """The photo's object in a square."""
    photo = load_photo(photo_path)
    mask = None if given.mask is None else load_mask(given.mask, (photo.rgb.shape[0], photo.rgb.shape[1]))
    fov = given.fov_deg or config.estimate.fov_deg or photo.fov_deg
    steps.context.warnings.extend(photo.warnings)
    return steps("segment", SEGMENT_VERSION, [config.segment, fov], lambda x: segment(photo, Maps(mask), fov, config.segment, x), *VIEWS)


def improve(
    source: TexturedMesh | Mesh, photo: Views | None, elevation_deg: float | None, config: Config, steps: Steps
) -> tuple[Views, TexturedMesh]:  # fmt: skip
    """Mesh -> solid -> pictures of it (and the photo) -> DMTet mesh (that models may pull at) -> texture."""
    c, shape = config, source.mesh if isinstance(source, TexturedMesh) else source
    resolution = max(48, 2 * c.refine.resolution)
    field = steps("solidify", observe.VERSION, resolution, lambda x: observe.solid_field(shape, resolution, x), *FIELD)
    views = steps("observe", observe.VERSION, None, lambda x: observe.look_around(shape, x), *VIEWS)

    def refined(x: Context, seen: Views, posed: Views | None = None) -> Mesh:
        return refine_guided(source, field, views, posed, c, x) if pulls(c) else refine(seen, field, c.refine, x, parts_known=True)

    refine_options = guided_options(c, c.refine) if pulls(c) else c.refine
    if photo is None:
        mesh = steps("refine", REFINE_VERSION, refine_options, lambda x: refined(x, views), *MESH)
        asset = steps("retexture", RETEXTURE_VERSION, c.texture, lambda x: retexture(source, mesh, c.texture, x), *ASSET)
        return views, asset
    colors = vertex_colors(source) if isinstance(source, TexturedMesh) else None
    if elevation_deg is None and c.estimate.elevation_deg >= LOWEST:
        elevation_deg = c.estimate.elevation_deg
    posed = steps("pose", observe.VERSION, elevation_deg, pose(shape, colors, photo, elevation_deg), *VIEWS)
    both = observe.joined(posed, views, observe.VIEW_SIZE)
    mesh = steps("refine", REFINE_VERSION, refine_options, lambda x: refined(x, both, posed), *MESH)
    prior, drawn = observe.known_prior(field, *far_colors(source, posed, steps.context)), None
    if draws_anew(c, True):

        def painted(x: Context) -> Views:
            return paint(posed, prior, FrozenGrid(field.sdf_volume, colors_of(source, field, posed)), mesh, c.guidance, x)

        drawn = steps("paint", PAINT_VERSION, c.guidance, painted, *PAINTED)
    options = c.texture
    if isinstance(source, TexturedMesh):  # its own colours fill what the photo does not see, in whatever light they were made
        options = replace(options, mirror=False, delight=0.0)
    asset = steps("texture", TEXTURE_VERSION, options, lambda x: texture(posed, prior, mesh, options, x, drawn), *ASSET)
    return posed, asset


def pose(shape: Mesh, colors: Tensor | None, photo: Views, elevation_deg: float | None) -> Callable[[Context], Views]:
    """The step that finds the photo's camera."""

    def compute(context: Context) -> Views:
        return observe.posed_views(photo, observe.find_pose(shape, colors, photo, context, elevation_deg), shape, context)

    return compute


def vertex_colors(source: TexturedMesh) -> Tensor:
    """(N, 3) the texture's colour at each vertex (at one of its corners, where a seam gives it several)."""
    corner = torch.zeros(len(source.mesh.vertices), dtype=torch.int64)
    corner[source.mesh.faces.reshape(-1).cpu()] = source.uv_faces.reshape(-1).cpu()
    return sample(source.base_color, source.uv[corner.to(source.uv.device)])
