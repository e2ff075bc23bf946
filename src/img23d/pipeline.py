"""The method: one photo in, one textured mesh out. `reconstruct` is the architecture diagram."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from img23d import __version__
from img23d.backends.threads import repeatable, settle_threads
from img23d.config import Config
from img23d.errors import BackendError, ConfigError
from img23d.fields.grid import FrozenGrid
from img23d.io.files import claimed
from img23d.io.images import Photo, load_depth, load_mask, load_normal, load_photo, save_image
from img23d.io.meshes import UNITLESS, save_together
from img23d.io.previews import preview_sheet
from img23d.record import Given, Targets, check_existing, keep, targets_for
from img23d.run import Run, digest, file_digest, readable_stem, stage_seed
from img23d.scene import TexturedMesh, Views
from img23d.stages import artifacts
from img23d.stages.coarse import VERSION as FIT_VERSION
from img23d.stages.coarse import fit
from img23d.stages.context import Context
from img23d.stages.estimate import VERSION as ESTIMATE_VERSION
from img23d.stages.estimate import estimate
from img23d.stages.guide import Guide, open_guide
from img23d.stages.imagine import VERSION as IMAGINE_VERSION
from img23d.stages.imagine import imagine
from img23d.stages.models import have_models
from img23d.stages.observe import joined
from img23d.stages.options import estimate_options, guided_options, guides, guides_colours, handover, imagine_options
from img23d.stages.paint import VERSION as PAINT_VERSION
from img23d.stages.paint import paint
from img23d.stages.refine import VERSION as REFINE_VERSION
from img23d.stages.refine import refine
from img23d.stages.segment import VERSION as SEGMENT_VERSION
from img23d.stages.segment import Maps, segment
from img23d.stages.sides import VERSION as SIDES_VERSION
from img23d.stages.sides import SidePhoto, sides
from img23d.stages.texture import VERSION as TEXTURE_VERSION
from img23d.stages.texture import texture

STAGES = ("segment", "estimate", "fit", "refine", "texture")
Report = Callable[[str, float, str], None]


def silent(stage: str, fraction: float, text: str) -> None:
    """A report callback that shows nothing."""


@dataclass(frozen=True)
class Result:
    """What a run made.

    Args:
        path: the exported asset (the first, when several formats were asked for).
        paths: all exported files.
        run_folder: steps, preview and resolved options.
        warnings: lines that the user should read.
        seconds: wall time of each stage that was computed, and of the export.
        figures: measured facts about the result, such as faces.
        written: the exported files and those that they refer to.
        backends: who computed it: device, raster and tetrahedra.
    """

    path: Path
    paths: tuple[Path, ...]
    run_folder: Path
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    written: tuple[Path, ...] = ()
    backends: dict[str, str] = field(default_factory=dict)


def open_context(config: Config) -> Context:
    """Choose device and backends once; a batch shares them.

    Raises:
        BackendError: a device or backend named in the options cannot be used.
    """
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.backends.tetrahedra import choose_tetrahedra

    settle_threads(config.threads)
    device = choose_device(config.device)
    rasterizer, tetrahedra = choose_rasterizer(config.backends.raster, device), choose_tetrahedra(config.backends.tetrahedra, device)
    return Context(device, rasterizer, tetrahedra, offline=config.offline, commercial_ok=config.commercial_ok)


def choose_device(name: str) -> torch.device:
    """The device of that name, or the fastest that is there."""
    cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    if name == "mps":
        raise BackendError("Apple's GPU (mps) cannot compute in double precision, which several stages need", "--device cpu")
    if name == "cuda" and not cuda:
        raise BackendError(f"device {name} is not available", "--device cpu, or install a torch build for your GPU (see img23d doctor)")
    return torch.device(name)


class Steps:
    """Runs stages as steps of a run folder: seeds, progress, times and resume in one place."""

    def __init__(self, run: Run, config: Config, context: Context, report: Report) -> None:
        self.run, self.config, self.context, self.report = run, config, context, report
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, version: int, options: Any, compute: Callable[[Context], Any], save: Any, load: Any) -> Any:
        def progress(fraction: float, text: str = "") -> None:
            self.report(name, fraction, text)

        context = replace(self.context, seed=stage_seed(self.config.seed, name), progress=progress)

        def timed() -> Any:
            begin = time.perf_counter()
            with repeatable(context.device):
                artifact = compute(context)
            self.seconds[name] = time.perf_counter() - begin
            return artifact

        self.report(name, 0.0, "")
        artifact = self.run.step(
            name, version, options, timed, save, lambda folder: load(folder, self.context.device), self.context.warnings
        )  # fmt: skip
        self.report(name, 1.0, "")
        return artifact


def reconstruct(
    photo: Photo, maps: Maps, fov_deg: float | None, config: Config, steps: Steps, others: list[SidePhoto] | None = None
) -> tuple[Views, TexturedMesh]:
    """Photo -> cut-out -> camera, depth, normals and prior (-> other sides) -> coarse field -> DMTet mesh -> textured mesh."""
    c = config
    views = steps("segment", SEGMENT_VERSION, [c.segment, fov_deg], lambda x: segment(photo, maps, fov_deg, c.segment, x), *VIEWS)
    views, prior = steps(
        "estimate", ESTIMATE_VERSION, estimate_options(c), lambda x: estimate(views, fov_deg is not None, c.prior, c.estimate, x), *GUESS
    )
    drawn = shown = None
    seen = views
    if others:
        given = [c.segment, *estimate_options(c), [(other.azimuth_deg, other.fov_deg) for other in others]]
        views, prior, drawn = steps("sides", SIDES_VERSION, given, lambda x: sides(views, prior, others, c, x), *DRAWN)
        seen = views if prior.known else joined(views, drawn, views.mask.shape[-1])  # refine would tear what is thin by outlines a bit off
    elif c.multiview.model:
        views, prior, drawn = steps("imagine", IMAGINE_VERSION, imagine_options(c), lambda x: imagine(views, prior, c.multiview, x), *DRAWN)
        shown = None if prior.known else drawn  # a known solid is not bent by pictures that nobody took

    if guides(c) and prior.known:
        steps.context.warnings.append("photo and network agree on a box or a turned solid: no guidance (--set prior.primitives=false)")

    def guide(x: Context, fitted: FrozenGrid | None = None) -> Guide | None:
        return None if prior.known else open_guide(views, prior, c.guidance, x, handover(c, fitted), fitted is not None)  # likewise

    fit_options, refine_options = guided_options(c, c.fit), guided_options(c, c.refine)
    sdf = steps("fit", FIT_VERSION, fit_options, lambda x: fit(seen, prior, c.fit, x, shown, guide(x)), *FIELD)
    mesh = steps("refine", REFINE_VERSION, refine_options, lambda x: refine(views, sdf, c.refine, x, shown, guide=guide(x, sdf)), *MESH)
    if guides_colours(c) and drawn is None and not prior.known:
        drawn = steps("paint", PAINT_VERSION, c.guidance, lambda x: paint(views, prior, sdf, mesh, c.guidance, x), *PAINTED)
    asset = steps("texture", TEXTURE_VERSION, c.texture, lambda x: texture(views, prior, mesh, c.texture, x, drawn, bool(others)), *ASSET)
    return views, asset


VIEWS = (artifacts.save_views, artifacts.load_views)
FIELD = (artifacts.save_field, artifacts.load_field)
MESH = (artifacts.save_mesh_artifact, artifacts.load_mesh_artifact)
ASSET = (artifacts.save_textured, artifacts.load_textured)
DRAWN = (artifacts.save_imagined, artifacts.load_imagined)
PAINTED = (artifacts.save_drawn, artifacts.load_drawn)
GUESS = (artifacts.save_guess, artifacts.load_guess)


def generate(
    photo_path: Path,
    out: Path,
    config: Config,
    given: Given | None = None,
    formats: tuple[str, ...] = (),
    force: bool = False,
    context: Context | None = None,
    report: Report = silent,
) -> Result:
    """Turn one photo into a textured mesh.

    Args:
        photo_path: the photo.
        out: a file whose suffix is a mesh format, or a folder; see `targets_for`.
        config: resolved options.
        given: maps and camera facts known beforehand.
        formats: what to write; the suffix of ``out`` or GLB when empty.
        force: replace an existing result of another photo.
        context: from `open_context`; shared by a batch.
        report: called with (stage, fraction 0..1, text).

    Raises:
        Img23dError: one of its kinds, with one clear line; nothing half-written remains.
    """
    targets = targets_for(photo_path, out, formats)
    return generate_into(photo_path, targets, config, given or Given(), force, context, report)


def generate_into(
    photo_path: Path, targets: Targets, config: Config, given: Given, force: bool, context: Context | None, report: Report, name: str = ""
) -> Result:
    """`generate` with the run folder and the files already decided."""
    photo = load_photo(photo_path)
    size = (photo.rgb.shape[0], photo.rgb.shape[1])
    mask = None if given.mask is None else load_mask(given.mask, size)
    known, disparity = photo.alpha if mask is None else mask, config.estimate.depth_convention == "disparity"
    maps = Maps(
        mask,
        None if given.depth is None else load_depth(given.depth, size, mask=known, disparity=disparity),
        None if given.normal is None else load_normal(given.normal, size, known),
    )
    if given.elevation_deg is not None:
        config = replace(config, estimate=replace(config.estimate, elevation_deg=given.elevation_deg))
    fov_deg = given.fov_deg or config.estimate.fov_deg or photo.fov_deg
    context = replace(context or open_context(config), warnings=list(photo.warnings))
    others = side_photos(given, config, context)
    source_key = digest(__version__, file_digest(photo_path), given.digests(), config.seed, context.device.type)
    with claimed(targets.folder):
        check_existing(targets, source_key, force)
        if not any(targets.folder.glob("[0-9][0-9]_*")):
            have_models(config)
        steps = Steps(Run(targets.folder, source_key), config, context, report)
        keep(targets, photo_path, given, source_key, config, name=name)
        views, asset = reconstruct(photo, maps, fov_deg, config, steps, others)
        return write_result(views, asset, targets, config, steps, name or readable_stem(photo_path) + photo_path.suffix)


def side_photos(given: Given, config: Config, context: Context) -> list[SidePhoto]:
    """The photos from other sides.

    Raises:
        InputError: one cannot be read.
        ConfigError: other sides are to be drawn by a model, too.
    """
    if given.sides and config.multiview.model:
        raise ConfigError("other sides are either photographed or drawn by a model", "leave out --view, or --set multiview.model=")
    found = []
    for azimuth, path in given.sides:
        other = load_photo(path)
        context.warnings.extend(other.warnings)
        found.append(SidePhoto(azimuth, other, other.fov_deg))
    return found


def write_result(
    views: Views, asset: TexturedMesh, targets: Targets, config: Config, steps: Steps, name: str, exported: TexturedMesh | None = None,
    made_from: str = "",
) -> Result:  # fmt: skip
    """Export the asset, the preview sheet and the viewer; ``exported`` is the asset at the place and size of a mesh with that suffix."""
    begin = time.perf_counter()
    steps.report("export", 0.0, "")
    extras = {"source": name, "preset": config.preset, "seed": config.seed}
    written = save_together(
        exported or asset, targets.files, config.export.size_mm or None, config.export.up, extras=extras, keep_units=made_from in UNITLESS
    )
    save_image(targets.folder / "preview.png", preview_sheet(views, asset, steps.context.rasterizer))
    if config.export.viewer:
        from img23d.io.viewer import save_viewer

        save_viewer(targets.folder / "viewer.html", exported or asset, name, size_mm=config.export.size_mm)
    if config.export.turntable:
        from img23d.io.turntable import save_turntable

        save_turntable(targets.folder / "turntable.webp", asset, steps.context.rasterizer)
    steps.seconds["export"] = time.perf_counter() - begin
    steps.report("export", 1.0, "")
    figures = {
        "faces": float(len(asset.mesh.faces)),
        "vertices": float(len(asset.mesh.vertices)),
        "texture_px": float(len(asset.base_color)),
    }
    used = steps.context
    backends = {"device": used.device.type, "raster": used.rasterizer.name, "tetrahedra": used.tetrahedra.name}
    return Result(targets.files[0], targets.files, targets.folder, tuple(used.warnings), steps.seconds, figures, tuple(written), backends)
