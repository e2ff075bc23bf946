"""The method: one photo in, one textured mesh out. `reconstruct` is the architecture diagram."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from img23d import __version__
from img23d.config import Config
from img23d.errors import BackendError, OutputError
from img23d.io import artifacts
from img23d.io.files import atomic_write
from img23d.io.images import Photo, load_depth, load_mask, load_normal, load_photo, save_image
from img23d.io.meshes import save_mesh
from img23d.io.previews import preview_sheet
from img23d.run import Run, digest, file_digest, stage_seed
from img23d.scene import TexturedMesh, Views
from img23d.stages.context import Context
from img23d.stages.estimate import VERSION as ESTIMATE_VERSION
from img23d.stages.estimate import estimate
from img23d.stages.fit import VERSION as FIT_VERSION
from img23d.stages.fit import fit
from img23d.stages.refine import VERSION as REFINE_VERSION
from img23d.stages.refine import refine
from img23d.stages.segment import VERSION as SEGMENT_VERSION
from img23d.stages.segment import Maps, segment
from img23d.stages.texture import VERSION as TEXTURE_VERSION
from img23d.stages.texture import texture

STAGES = ("segment", "estimate", "fit", "refine", "texture")
Report = Callable[[str, float, str], None]


def silent(stage: str, fraction: float, text: str) -> None:
    """A report callback that shows nothing."""


@dataclass(frozen=True)
class Given:
    """Files and numbers that the user knows about a photo."""

    depth: Path | None = None
    normal: Path | None = None
    mask: Path | None = None
    fov_deg: float | None = None
    elevation_deg: float | None = None


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
    """

    path: Path
    paths: tuple[Path, ...]
    run_folder: Path
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


def open_context(config: Config) -> Context:
    """Choose device and backends once; a batch shares them.

    Raises:
        BackendError: a device or backend named in the options cannot be used.
    """
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.backends.tetrahedra import choose_tetrahedra
    from img23d.backends.threads import settle_threads

    settle_threads(config.threads)
    device = choose_device(config.device)
    return Context(device, choose_rasterizer(config.backends.raster, device), choose_tetrahedra(config.backends.tetrahedra, device))


def choose_device(name: str) -> torch.device:
    """The device of that name, or the fastest that is there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there[name]:
        raise BackendError(f"device {name} is not available", "--device cpu, or install a torch build for your GPU (see img23d doctor)")
    return torch.device(name)


class Steps:
    """Runs stages as steps of a run folder: seeds, progress, times and resume in one place."""

    def __init__(self, run: Run, config: Config, context: Context, report: Report) -> None:
        self.run, self.config, self.context, self.report = run, config, context, report
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, version: int, options: Any, compute: Callable[[Context], Any], save: Any, load: Any) -> Any:
        context = replace(
            self.context, seed=stage_seed(self.config.seed, name), progress=lambda fraction, text="": self.report(name, fraction, text)
        )

        def timed() -> Any:
            begin = time.perf_counter()
            artifact = compute(context)
            self.seconds[name] = time.perf_counter() - begin
            return artifact

        self.report(name, 0.0, "")
        artifact = self.run.step(name, version, options, timed, save, lambda folder: load(folder, self.context.device))
        self.report(name, 1.0, "")
        return artifact


def reconstruct(photo: Photo, maps: Maps, fov_deg: float | None, config: Config, steps: Steps) -> tuple[Views, TexturedMesh]:
    """Photo -> cut-out -> camera, depth, normals and prior -> NeuS field -> DMTet mesh -> textured mesh."""
    c = config
    views = steps("segment", SEGMENT_VERSION, [c.segment, fov_deg], lambda x: segment(photo, maps, fov_deg, c.segment, x), *VIEWS)
    views, prior = steps(
        "estimate", ESTIMATE_VERSION, [c.prior, c.estimate], lambda x: estimate(views, fov_deg is not None, c.prior, c.estimate, x), *GUESS
    )
    sdf = steps("fit", FIT_VERSION, c.fit, lambda x: fit(views, prior, c.fit, x), *FIELD)
    mesh = steps("refine", REFINE_VERSION, c.refine, lambda x: refine(views, sdf, c.refine, x), *MESH)
    asset = steps("texture", TEXTURE_VERSION, c.texture, lambda x: texture(views, prior, mesh, c.texture, x), *ASSET)
    return views, asset


VIEWS = (artifacts.save_views, artifacts.load_views)
FIELD = (artifacts.save_field, artifacts.load_field)
MESH = (artifacts.save_mesh_artifact, artifacts.load_mesh_artifact)
ASSET = (artifacts.save_textured, artifacts.load_textured)
GUESS = (
    lambda pair, folder: (artifacts.save_views(pair[0], folder), artifacts.save_prior(pair[1], folder)),
    lambda folder, device: (artifacts.load_views(folder, device), artifacts.load_prior(folder, device)),
)


def generate(
    photo_path: Path,
    out: Path,
    config: Config,
    given: Given | None = None,
    formats: tuple[str, ...] = ("glb",),
    force: bool = False,
    context: Context | None = None,
    report: Report = silent,
) -> Result:
    """Turn one photo into a textured mesh.

    Args:
        photo_path: the photo.
        out: a file whose suffix is a mesh format, or a folder; see `output_paths`.
        config: resolved options.
        given: maps and camera facts known beforehand.
        formats: what to write when ``out`` is a folder.
        force: replace an existing result of another run.
        context: from `open_context`; shared by a batch.
        report: called with (stage, fraction 0..1, text).

    Raises:
        Img23dError: one of its kinds, with one clear line; nothing half-written remains.
    """
    given = given or Given()
    folder, targets = output_paths(photo_path, out, formats)
    context = context or open_context(config)
    context = replace(context, warnings=[])
    photo = load_photo(photo_path)
    context.warnings.extend(photo.warnings)
    size = (photo.rgb.shape[0], photo.rgb.shape[1])
    maps = Maps(
        None if given.mask is None else load_mask(given.mask, size),
        None if given.depth is None else load_depth(given.depth, size),
        None if given.normal is None else load_normal(given.normal, size),
    )
    if given.elevation_deg is not None:
        config = replace(config, estimate=replace(config.estimate, elevation_deg=given.elevation_deg))
    fov_deg = given.fov_deg or config.estimate.fov_deg or exif_fov(photo)
    sources = [path for path in (photo_path, given.mask, given.depth, given.normal) if path is not None]
    source_key = digest(__version__, [file_digest(path) for path in sources], config.seed, context.device.type)
    check_existing(folder, targets, source_key, config, formats, force)
    steps = Steps(Run(folder, source_key), config, context, report)
    keep_source(folder, photo_path, source_key, config, formats)
    views, asset = reconstruct(photo, maps, fov_deg or None, config, steps)
    return write_result(views, asset, folder, targets, config, steps, photo_path.name)


def output_paths(source: Path, out: Path, formats: tuple[str, ...]) -> tuple[Path, list[Path]]:
    """The run folder and the files to write.

    ``out`` with a mesh suffix is the asset itself and the run folder lies beside it (mug.glb -> mug.run); any other ``out`` is a
    folder in which each photo gets a run folder of its own name that holds the assets too.
    """
    if out.suffix.lower() in SUFFIXES:
        extra = [out.with_suffix(f".{name}") for name in formats if f".{name}" != out.suffix.lower() and formats != ("glb",)]
        return out.with_suffix(".run"), [out, *extra]
    folder = out / source.stem
    return folder, [folder / f"{source.stem}.{name}" for name in formats]


SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")


def exif_fov(photo: Photo) -> float | None:
    """Vertical field of view in degrees from the EXIF focal length (35 mm equivalent refers to the frame's diagonal, 43.27 mm)."""
    if not photo.focal_35mm:
        return None
    height, width = photo.rgb.shape[:2]
    frame_height = 43.27 * height / (height**2 + width**2) ** 0.5
    return float(torch.rad2deg(2 * torch.atan(torch.tensor(frame_height / (2 * photo.focal_35mm)))))


def check_existing(folder: Path, targets: list[Path], source_key: str, config: Config, formats: tuple[str, ...], force: bool) -> None:
    """Refuse to replace the result of another photo or of other options unless ``force`` is given."""
    if force:
        return
    try:
        recorded = json.loads((folder / "run.json").read_text())
        if recorded["source_key"] == source_key:
            return  # the same photo: steps whose options changed are computed again, the others reused
    except (OSError, ValueError, KeyError):
        pass
    for target in targets:
        if target.exists():
            raise OutputError(f"{target} already exists and comes from another run", "--force replaces it, or choose another --out")


def keep_source(folder: Path, photo_path: Path, source_key: str, config: Config, formats: tuple[str, ...]) -> None:
    """Write what a re-run needs: the photo and the resolved options."""
    record = {"source_key": source_key, "photo": photo_path.name, "version": __version__, "formats": formats, "config": asdict(config)}
    copy = folder / f"photo{photo_path.suffix.lower()}"
    if not copy.exists() or file_digest(copy) != file_digest(photo_path):
        atomic_write(copy, lambda path: shutil.copyfile(photo_path, path))
    atomic_write(folder / "run.json", lambda path: Path(path).write_text(json.dumps(record, indent=1)))


def write_result(
    views: Views, asset: TexturedMesh, folder: Path, targets: list[Path], config: Config, steps: Steps, source: str
) -> Result:
    """Export the asset, the preview sheet and the viewer."""
    begin = time.perf_counter()
    steps.report("export", 0.0, "")
    size_mm = config.export.size_mm or None
    for target in targets:
        save_mesh(target, asset, size_mm=size_mm, up=config.export.up)
    save_image(folder / "preview.png", preview_sheet(views, asset, steps.context.rasterizer))
    paths = list(targets)
    if config.export.viewer:
        from img23d.io.viewer import save_viewer

        save_viewer(folder / "viewer.html", asset, source)
    steps.seconds["export"] = time.perf_counter() - begin
    steps.report("export", 1.0, "")
    figures = {"faces": float(len(asset.mesh.faces)), "vertices": float(len(asset.mesh.vertices)), "texture_px": float(len(asset.base_color))}
    return Result(targets[0], tuple(paths), folder, tuple(steps.context.warnings), steps.seconds, figures)
