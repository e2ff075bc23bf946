"""Depth and normals of one picture from a pretrained network: one function in front of all of them.

What the networks answer differs in scale, in frame and in whether bigger means nearer; here all of it becomes relative depth
(bigger is farther, scale and shift unknown) and unit normals in the camera frame (x right, y up, z towards the viewer).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.hub import is_offline, require
from img23d.errors import ConfigError
from img23d.scene.shapes import check_shape

KINDS = ("marigold", "depth-anything", "dpt", "onnx")
DEFAULTS = {
    "marigold": "marigold-depth,marigold-normals",
    "depth-anything": "depth-anything-small",
    "dpt": "dpt-large",
    "onnx": "",
}
BACKGROUND = 0.5  # grey: white borders look like sky, which such networks put infinitely far away
FAR_OVER_NEAR = 1.5  # of the surface that a photo sees: an object of radius 1 that fills a 40 degree picture ends there


@dataclass(frozen=True)
class Geometry:
    """What a network says about the visible surface.

    Args:
        depth: (S, S) relative z-depth, bigger is farther, or None.
        normal: (S, S, 3) unit, camera frame: x right, y up, z towards the viewer; or None.
        confidence: (S, S) 0..1 from the spread of an ensemble, or None when the model gives none.
        from_disparity: the depth was converted from disparity, with an assumed range: its curvature is less certain.
    """

    depth: Tensor | None = None
    normal: Tensor | None = None
    confidence: Tensor | None = None
    from_disparity: bool = False


def estimate_geometry(
    rgb: Tensor,
    mask: Tensor,
    kind: str,
    model: str = "",
    steps: int = 4,
    device: torch.device | str = "cpu",
    offline: bool = False,
    commercial_ok: bool = False,
    ensemble: int = 1,
    seed: int = 0,
) -> Geometry:
    """Depth, normals or both of a cut-out object.

    Args:
        rgb: (S, S, 3) sRGB, 0..1.
        mask: (S, S) coverage 0..1; the rest is painted grey before a network sees it.
        kind: marigold, depth-anything, dpt or onnx.
        model: short name, repository id, folder or .onnx file, or several with commas between; empty is the kind's default.
        steps: denoising steps of a diffusion model.
        device: where to compute; float16 on CUDA.
        offline: never download.
        commercial_ok: refuse models that may not be used commercially.
        ensemble: predictions of a diffusion model that are averaged; three or more give a confidence.
        seed: of a diffusion model's noise; drawn on the CPU, so every device sees the same.

    Returns:
        Maps like the picture, on its device; meaningless outside the mask.

    Raises:
        ConfigError: unknown kind, or no model named where there is no default.
        WeightsError: see `img23d.backends.hub.require`.
        BackendError: the library is missing or fails.
    """
    check_shape("rgb", rgb, None, None, 3)
    check_shape("mask", mask, *rgb.shape[:2])
    if rgb.shape[0] != rgb.shape[1]:
        raise ValueError(f"the picture must be square, got {tuple(rgb.shape)}")
    if kind not in KINDS:
        raise ConfigError(f"unknown geometry {kind!r}", f"one of {', '.join(KINDS)}")
    names = [name.strip() for name in (model or DEFAULTS[kind]).split(",") if name.strip()]
    if not names:
        raise ConfigError("geometry onnx needs a model", "--set estimate.geometry_model=PATH.onnx")
    paths = [require(name, is_offline(offline), commercial_ok) for name in names]
    picture = paste(rgb, mask).to(device)
    answers = [_one(picture, mask.to(device), kind, path, steps, ensemble, seed) for path in paths]
    return merge(answers, rgb)


def _one(picture: Tensor, mask: Tensor, kind: str, path: Path, steps: int, ensemble: int, seed: int) -> Geometry:
    """The maps of one model; libraries are imported on use."""
    if kind == "marigold":
        from img23d.backends.marigold import marigold_geometry

        return marigold_geometry(path, picture, steps, ensemble, seed, mask)
    if kind == "onnx":
        from img23d.backends.onnx_geometry import onnx_maps

        what, values = onnx_maps(path, picture)
        if what == "normal":
            return Geometry(normal=facing(values))
        return from_disparity(values, mask) if what == "disparity" else Geometry(depth=values)
    from img23d.backends.depth_anything import transformer_depth

    what, values = transformer_depth(path, picture)
    return from_disparity(values, mask) if what == "disparity" else Geometry(depth=values)


def paste(rgb: Tensor, mask: Tensor) -> Tensor:
    """(S, S, 3) the object on grey."""
    cover = mask[..., None]
    return rgb * cover + BACKGROUND * (1 - cover)


def from_disparity(disparity: Tensor, mask: Tensor) -> Geometry:
    """Depth from disparity of unknown scale and shift.

    Such disparity is a / depth + b. Within the object it is stretched so that its 1st to 99th percentile span a range in which the
    farthest visible point is 1.5 times as far as the nearest; then it is inverted.

    Args:
        disparity: (S, S), bigger is nearer.
        mask: (S, S) 0..1.
    """
    inside = disparity[mask > 0.5]
    if not inside.numel():
        inside = disparity.reshape(-1)
    low, high = torch.quantile(_thinned(inside.float()), torch.tensor([0.01, 0.99], device=inside.device))
    share = ((disparity - low) / (high - low).clamp_min(1e-9)).clamp(-0.25, 1.25)
    inverse = 1 / FAR_OVER_NEAR + share * (1 - 1 / FAR_OVER_NEAR)
    return Geometry(depth=1 / inverse.clamp_min(0.2), from_disparity=True)


def _thinned(values: Tensor, limit: int = 1_000_000) -> Tensor:
    """torch.quantile takes no more than 16 million values, and needs no more than these."""
    return values[:: max(1, len(values) // limit)]


def facing(normal: Tensor) -> Tensor:
    """Normals that point away from the viewer cannot be seen: they are laid flat to the picture plane."""
    return F.normalize(torch.cat([normal[..., :2], normal[..., 2:].clamp_min(0)], -1) + normal.new_tensor([0, 0, 1e-4]), dim=-1)


def merge(answers: list[Geometry], like: Tensor) -> Geometry:
    """One geometry from several models' maps: later ones fill what earlier ones lack, and confidences multiply."""
    total = Geometry()
    for answer in answers:
        depth = total.depth if total.depth is not None else answer.depth
        certain = [entry for entry in (total.confidence, answer.confidence) if entry is not None]
        total = Geometry(
            depth,
            total.normal if total.normal is not None else answer.normal,
            torch.stack(certain).prod(0) if certain else None,
            total.from_disparity if total.depth is not None else answer.from_disparity,
        )
    moved = {name: getattr(total, name).to(like) for name in ("depth", "normal", "confidence") if getattr(total, name) is not None}
    return replace(total, **moved)
