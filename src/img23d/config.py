"""Every option of the pipeline with its default, unit and range. No torch in here: a typo must fail at once.

Order of precedence: these defaults < preset YAML < ``--set key.path=value``.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from img23d.diffusion_options import Guidance, Multiview
from img23d.errors import ConfigError
from img23d.options import Ramp, check_key, check_ranges, constant, keys, option, ramp


@dataclass(frozen=True)
class Segment:
    """What belongs to the object."""

    method: Literal["auto", "alpha", "embedded", "rembg", "plain"] = option(
        "auto",
        "auto: the mask given, else the picture's own alpha, else the embedded network; plain: classical cut-out for plain backgrounds",
    )
    rembg_model: str = option("isnet-general-use", "rembg session for method=rembg")
    alpha_matting: bool = option(False, "rembg's alpha matting for hair and fur (slower)")
    pick: str = option(
        "", "x,y in pixels of the photo: keep the part under this point (default: the largest part and those a quarter as large)"
    )
    size: int = option(1024, "side of the square crop that all stages work on, at most", 64, 4096, "px")


@dataclass(frozen=True)
class Prior:
    """What is believed about the unseen side."""

    kind: Literal["auto", "embedded", "inflate"] = option("auto", "embedded: the network shipped inside; inflate: the silhouette, rounded")
    resolution: int = option(80, "samples along each side of the prior's volume", 16, 256)
    fine_normals: bool = option(True, "embedded: a second, closer look at the photo for the relief of its surface")
    shading: float = option(0.3, "embedded: how much of the relief that light and shade seem to show is believed, with fine_normals", 0, 2)
    primitives: bool = option(True, "embedded: boxes, cups, bowls and bottles become exact ones where photo and network agree")


@dataclass(frozen=True)
class Estimate:
    """Camera, depth and normals of the photo."""

    fov_deg: float = option(0.0, "vertical field of view of the whole photo; 0 = EXIF, else estimated", 0, 120, "degrees")
    elevation_deg: float = option(-999.0, "camera above the horizon; below -90 = estimated", -999, 90, "degrees")
    geometry: Literal["auto", "prior", "marigold", "depth-anything", "dpt", "onnx"] = option(
        "auto", "where depth and normals come from: auto and prior take the shape prior's own; the others need weights (img23d models)"
    )
    geometry_model: str = option("", "repository id, local folder or .onnx file; empty = the default of that kind")
    geometry_steps: int = option(4, "denoising steps of a diffusion model", 1, 1000)
    depth_convention: Literal["depth", "disparity"] = option("depth", "how --depth is encoded: bigger is farther, or its inverse")


@dataclass(frozen=True)
class Cloud:
    """The Gaussians of ``fit.field=gaussians``; what happens when is given in shares of the stage's steps."""

    fill: Literal["prior", "ball"] = option(
        "prior", "what they fill to begin with: the prior's solid, or a ball at random, as in DreamGaussian"
    )
    count: int = option(5000, "Gaussians to begin with", 100, 1_000_000)
    growth: float = option(2.0, "how many times as many there may be in the end", 1, 100)
    size: int = option(128, "side of the pictures that are compared with the photo", 16, 1024, "px")
    densify_from: float = option(0.2, "first time that Gaussians which are pulled are cloned or split, and faint ones dropped", 0, 1)
    densify_every: float = option(0.2, "share of the steps between two such times", 0.001, 1)
    densify_above: float = option(1e-5, "pull that does it: the loss's change as a Gaussian moves by half the picture", 0, 1e6)
    reset_every: float = option(
        1.4, "share of the steps between two resets of opacity; above 1 = never (as DreamGaussian's own)", 0.01, 100
    )
    level: float = option(1.0, "density at the surface; the inside of a fresh cloud has 2", 0.01, 100)


@dataclass(frozen=True)
class Fit:
    """The coarse field: NeuS, a signed distance by volume rendering on dense grids, coarse to fine; or a cloud of 3D Gaussians."""

    field: Literal["neus", "gaussians"] = option(
        "neus", "neus; or gaussians, as in DreamGaussian (of the rest steps, resolution, rgb, mask, volume, drawn and cloud apply to it)"
    )
    resolution: int = option(64, "samples along each side of the finest grid", 16, 256)
    levels: int = option(3, "grids in the pyramid, each half as fine as the next", 1, 5)
    steps: int = option(60, "optimisation steps", 1, 100_000)
    rays: int = option(1024, "rays in each step", 16, 65536)
    samples: int = option(48, "samples along each ray", 8, 1024)
    learning_rate: float = option(0.006, "Adam's step in object units", 1e-6, 1)
    color_learning_rate: float = option(0.05, "Adam's step for the colour field", 1e-6, 1)
    sharpness: Ramp = ramp("how sharply density rises at the surface, 1 / object units", 120.0, 300.0)
    rgb: Ramp = constant(1.0, "weight of the photo's colours")
    mask: Ramp = constant(1.0, "weight of the silhouette; up to three times as much for thin objects")
    depth: Ramp = constant(0.1, "weight of the depth map")
    normal: Ramp = constant(0.1, "weight of the normal map")
    eikonal: Ramp = constant(0.03, "weight of gradients of length one")
    volume: Ramp = constant(24.0, "weight of the prior's solid")
    smooth: Ramp = constant(0.2, "weight of smoothness")
    drawn: Ramp = constant(1.0, "weight of the outlines and colours of drawn views (multiview)")
    drawn_normal: Ramp = constant(0.1, "weight of the normals of drawn views, by a model that draws them (wonder3d)")
    cloud: Cloud = Cloud()


@dataclass(frozen=True)
class Refine:
    """A deformable grid with a differentiable surface: tets (DMTet) or cubes (FlexiCubes), refined round the surface."""

    extractor: Literal["marching_tets", "flexicubes"] = option(
        "marching_tets", "the grid and its surface: DMTet's tets, or FlexiCubes' cubes (sharper edges; backends.tetrahedra does not apply)"
    )
    resolution: int = option(32, "cells along each side of the first grid (flexicubes: half as many again)", 8, 256)
    subdivisions: int = option(1, "how often the cells round the surface are split in eight", 0, 3)
    steps: int = option(80, "optimisation steps", 0, 100_000)
    image_size: int = option(320, "side of the rendered pictures in the last part; the first part uses half", 32, 2048, "px")
    learning_rate: float = option(0.004, "Adam's first step for the signed distances, in object units", 1e-6, 1)
    offset_learning_rate: float = option(0.01, "Adam's first step for the vertex offsets", 0, 1)
    mask: Ramp = constant(4.0, "weight of the silhouette")
    depth: Ramp = constant(0.1, "weight of the depth map")
    normal: Ramp = constant(0.25, "weight of the normal map")
    normal_consistency: Ramp = ramp("weight of neighbouring faces that lie alike", 0.1, 0.04)
    coherence: Ramp = constant(1.0, "weight of neighbouring vertices that move alike")
    sdf_sign: Ramp = ramp("weight against signs that differ along an edge", 0.2, 0.01, 0.0, 0.25)
    anchor: Ramp = constant(1.0, "weight of staying at the fitted field's surface")
    smooth: int = option(3, "rounds of shrink-free (Taubin) smoothing of the finished surface (flexicubes: a third)", 0, 50)
    smooth_unseen: int = option(20, "rounds more where no view looks: outlines leave ridges beside them", 0, 200)
    fair_sides: float = option(0.08, "bumps beside the outline much shorter than this are faired, in object units; 0 leaves them", 0, 1)
    relief: float = option(1.0, "how far relief that the photo's normals show is raised on the finished surface; 0 leaves it off", 0, 4)


@dataclass(frozen=True)
class Texture:
    """Atlas, projection of the photo, fill of what it does not see, normal map."""

    faces: int = option(12_000, "faces of the exported mesh, at most", 100, 2_000_000)
    size: int = option(1024, "side of the texture", 64, 8192, "px")
    mirror: bool = option(True, "fill what the photo does not see with what it shows of a symmetric shape")
    synthesis: bool = option(True, "paint what nothing shows with patches of what the photo shows; else it stays a blurred guess")
    delight: float = option(1.0, "share of the photo's light and shade that is taken out of the colours; 0 = as photographed", 0, 1)
    grazing_deg: float = option(78.0, "surfaces seen at a flatter angle are not painted from the photo", 30, 89.5, "degrees")
    padding: int = option(4, "texels painted round each chart", 0, 64, "px")
    normal_map: bool = option(True, "bake the fine surface into a tangent-space normal map")


@dataclass(frozen=True)
class Export:
    """The files that are written."""

    size_mm: float = option(0.0, "length of the longest side; 0 = about two units, 100 mm in STL, a refined mesh's own", 0, 1e6, "mm")
    up: Literal["y", "z"] = option("y", "which axis points up in the file")
    turntable: bool = option(False, "write an animated turntable.webp too")
    viewer: bool = option(True, "write viewer.html, which shows the model in any browser, offline")


@dataclass(frozen=True)
class Backends:
    """Who computes it; a backend named here and missing is an error, never replaced."""

    raster: Literal["auto", "torch", "numba", "open3d", "nvdiffrast"] = option("auto", "which face does each pixel see")
    tetrahedra: Literal["auto", "torch", "kaolin"] = option("auto", "marching tetrahedra and volume subdivision")


@dataclass(frozen=True)
class Config:
    """All options of a run."""

    preset: str = option("standard", "name of the preset this came from")
    seed: int = option(0, "seed of everything random", 0, 2**31 - 1)
    device: Literal["auto", "cpu", "cuda", "mps"] = option("auto", "where to compute; mps is refused")
    threads: int = option(0, "CPU threads; 0 = all cores", 0, 1024)
    offline: bool = option(False, "never reach for the network, even for models named here")
    commercial_ok: bool = option(False, "refuse models whose licence forbids commercial use")
    segment: Segment = field(default_factory=Segment)
    prior: Prior = field(default_factory=Prior)
    estimate: Estimate = field(default_factory=Estimate)
    multiview: Multiview = field(default_factory=Multiview)
    guidance: Guidance = field(default_factory=Guidance)
    fit: Fit = field(default_factory=Fit)
    refine: Refine = field(default_factory=Refine)
    texture: Texture = field(default_factory=Texture)
    export: Export = field(default_factory=Export)
    backends: Backends = field(default_factory=Backends)


def preset_dir() -> Path:
    """The folder of presets: inside the installed package, or at the top of a checkout."""
    packaged = Path(__file__).parent / "presets"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "presets"


def preset_names() -> list[str]:
    """Names of the presets that come with img23d."""
    return sorted(path.stem for path in preset_dir().glob("*.yaml"))


def load(preset: str | os.PathLike[str] = "standard", overrides: Iterable[str] = ()) -> Config:
    """Resolve the options of a run.

    Args:
        preset: name of a preset that comes with img23d, or path of a YAML file.
        overrides: ``key.path=value`` strings; later ones win.

    Raises:
        ConfigError: unknown preset or key, value of the wrong type or out of range.
    """
    from omegaconf import DictConfig, OmegaConf
    from yaml import YAMLError

    path = _preset_path(str(preset))
    known = list(keys(Config()))
    try:
        chosen = OmegaConf.load(path)
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"preset {path} cannot be read: {str(error).splitlines()[0]}", "check its permissions and its YAML syntax"
        ) from error
    if not isinstance(chosen, DictConfig):
        raise ConfigError(f"preset {path} is not a mapping of options", "img23d presets show standard has the form")
    for name in ["description", *(name for name in chosen if chosen[name] is None)]:  # a section whose options are all commented out
        chosen.pop(name, None)
    for key in [key for key in _leaves(OmegaConf.to_container(chosen)) if f"{key}.start" in known]:
        value = OmegaConf.select(chosen, key)
        if not isinstance(value, int | float):
            raise ConfigError(f"preset {path.name}: {key} is neither a number nor a ramp", f"img23d presets show standard has {key}")
        OmegaConf.update(chosen, key, {"start": value, "end": value})
    for key in _leaves(OmegaConf.to_container(chosen)):
        check_key(key, known, f"preset {path.name}")
    name = path.stem.encode(errors="replace").decode()  # it is written into files that hold nothing but UTF-8
    return replace(_merged([_described(), chosen], overrides, name if name in preset_names() else "standard"), preset=name)


@cache
def _described() -> Any:
    """The options as OmegaConf describes them, which takes most of the time of reading some; merging copies them."""
    from omegaconf import OmegaConf

    return OmegaConf.structured(Config)


def changed(config: Config, overrides: Iterable[str]) -> Config:
    """Options with ``key.path=value`` strings applied, checked like those of a preset.

    Raises:
        ConfigError: as `load`.
    """
    from omegaconf import OmegaConf

    return _merged([OmegaConf.structured(config)], overrides, config.preset)


def _merged(trees: list[Any], overrides: Iterable[str], preset: str) -> Config:
    """Trees of options and then overrides, of which the later ones win, as checked options."""
    from omegaconf import OmegaConf, errors
    from yaml import YAMLError

    known = list(keys(Config()))
    items: list[str] = []
    for item in overrides:
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {item!r} is not of the form key.path=value", "--set fit.steps=200")
        if f"{key.strip()}.start" in known:  # a bare number: the same weight all the time
            items.extend(f"{key.strip()}.{end}={value}" for end in ("start", "end"))
            continue
        check_key(key.strip(), known, "--set")
        items.append(f"{key.strip()}={value if value.strip() else repr('')}")  # nothing is an empty text, not YAML's null
    try:
        config = OmegaConf.to_object(OmegaConf.merge(*trees, OmegaConf.from_dotlist(items)))
    except UnicodeEncodeError as error:
        raise ConfigError(f"--set: {str(error.object)!r} is not valid UTF-8", "give that file or folder another name") from error
    except (errors.OmegaConfBaseException, YAMLError) as error:
        key = getattr(error, "full_key", "") or "--set"
        raise ConfigError(f"{key}: {str(error).splitlines()[0]}", f"img23d presets show {preset}") from error
    assert isinstance(config, Config)
    check_ranges(config)
    return config


def _preset_path(preset: str) -> Path:
    if preset.endswith((".yaml", ".yml")) or os.sep in preset:
        if not Path(preset).is_file():
            raise ConfigError(f"no preset file {preset}", "img23d presets lists the ones that come with img23d")
        return Path(preset)
    path = preset_dir() / f"{preset}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(preset, preset_names(), 1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"unknown preset {preset!r}", f"{guess}known presets: {', '.join(preset_names())}")
    return path


def _leaves(node: Any, prefix: str = "") -> Iterable[str]:
    for name, value in node.items():
        yield from _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else (f"{prefix}{name}",)
