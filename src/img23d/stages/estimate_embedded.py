"""The embedded network's answer about a crop, as views and a shape prior in the object frame."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.config import Estimate, Prior
from img23d.ops.crop import resize_views_image, spread
from img23d.ops.shading import relief_from_shading
from img23d.priors.embedded import NORMAL_DOUBT, Prediction, predict, solid_from_prediction
from img23d.priors.fine_normals import fine_normals, weights_present
from img23d.priors.known_solid import known_on_grid
from img23d.priors.lean import lean_of, lean_of_sides, upright
from img23d.priors.primitive import simplified
from img23d.priors.stance import settled_elevation
from img23d.scene import Cameras, ShapePrior, Views
from img23d.stages.cameras import chosen_elevation, fitted_camera, upsample_map
from img23d.stages.context import Context

THINNEST_WALL = 5.6  # half-widths times samples along each side of the prior's volume: thinner ones were not tried


def embedded_guess(views: Views, fov_known: bool, prior: Prior, options: Estimate, context: Context) -> tuple[Views, Views, ShapePrior]:
    """Camera, depth, normals, solid and far-side colours from the embedded network.

    Args:
        views: one cut-out view.
        fov_known: whether the camera's field of view may be told to the network.

    Returns:
        the view, set upright where it leans, with what was given; the same with what was guessed; and the solid.
    """
    views, first_look, said = set_upright(views, fov_known, prior, options, context)
    elevation = chosen_elevation(options, math.degrees(said.elevation))
    inside = said.mask > 0.5
    middle = 1.0 / math.tan(said.fov / 2)
    layers = middle + torch.stack([said.front_depth, said.back_depth])
    cameras, unit = fitted_camera(layers, inside, elevation, math.degrees(said.fov))
    cameras = cameras.to(views.mask.device)
    sdf, confidence = solid(said, cameras, prior.resolution)
    size = views.mask.shape[-1]
    depth = unit * (middle + full_size(said.front_depth[..., None], inside, size)[..., 0])
    normal = full_size(said.normal, inside, size)
    trust = full_size(front_confidence(said)[..., None], inside, size)[..., 0]
    if prior.fine_normals and weights_present():
        normal, trust = with_fine_normals(views, first_look, said, normal, trust, prior.shading)
    normal = F.normalize(normal, dim=-1) @ cameras.cam_to_world[0, :3, :3].T
    trust = trust.clamp(0, 1) * views.mask[0]
    back_rgb = full_size(said.back_rgb, inside, size).clamp(0, 1)
    back_confidence = full_size(said.back_confidence[..., None], inside, size)[..., 0].clamp(0, 1)
    observed = Views(cameras, views.rgb, views.mask, depth[None], normal[None], trust[None])
    return views, observed, ShapePrior(sdf, confidence.clamp(0.05, 1), back_rgb, back_confidence)


def set_upright(views: Views, fov_known: bool, prior: Prior, options: Estimate, context: Context) -> tuple[Views, Prediction, Prediction]:
    """The view, turned in its plane if a solid of revolution or a box leans in it, and what `looked_at` says of that."""
    lean = lean_of(views.mask[0]) if prior.primitives else 0.0
    if lean:
        straight = upright(views, lean)
        first, said = looked_at(straight, fov_known, prior, options, context)
        if said.known is not None and said.known.turned:
            return straight, first, said
    first, said = looked_at(views, fov_known, prior, options, context)
    lean = lean_of_sides(views.mask[0]) if prior.primitives and said.known is None else 0.0
    if lean:
        straight = upright(views, lean)
        again = looked_at(straight, fov_known, prior, options, context)
        if again[1].known is not None:
            return straight, *again
    return views, first, said


def looked_at(views: Views, fov_known: bool, prior: Prior, options: Estimate, context: Context) -> tuple[Prediction, Prediction]:
    """The network's answer, and that with what is known of boxes and solids of revolution in its place."""
    fov = 2 * math.atan(0.5 / float(views.cameras.focal[0, 0])) if fov_known else None
    said = predict(views.rgb[0], views.mask[0], fov, context.device)
    said = replace(said, elevation=math.radians(chosen_elevation(options, math.degrees(settled_elevation(said)))))
    return said, simplified(said, fov_known, THINNEST_WALL / prior.resolution) if prior.primitives else said


def solid(said: Prediction, cameras: Cameras, resolution: int) -> tuple[Tensor, Tensor]:
    """Signed distance and confidence of what was said, on the object's grid."""
    if said.known is None:
        return solid_from_prediction(said, cameras, resolution)
    guess = solid_from_prediction(said, cameras, resolution) if bool(said.known.parts.any()) else None
    return known_on_grid(said.known, cameras, resolution, guess)


def with_fine_normals(
    views: Views, first_look: Prediction, said: Prediction, normal: Tensor, trust: Tensor, shading: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Normals and the front's confidence by a closer look, except where a box or a solid of revolution has told them.

    Args:
        views: one cut-out view of S pixels a side.
        first_look: the shape network's answer.
        said: the answer with what is known of simple solids.
        normal: (S, S, 3) of ``said``.
        trust: (S, S) of ``said``.
        shading: how much of what light and shade show of relief is believed.
    """
    size = views.mask.shape[-1]
    fine, doubt = fine_normals(views.rgb[0], views.mask[0], first_look.normal, first_look.front_depth)
    mask = resize_views_image(views.mask, len(doubt))[0]
    inside = mask > 0.5
    if shading:
        fine = relief_from_shading(resize_views_image(views.rgb, len(doubt))[0], mask, fine, shading)
    depth_confidence = upsample_map(first_look.depth_confidence[None], len(doubt))[0].clamp(0, 1)
    sure = (depth_confidence * torch.exp(-doubt / NORMAL_DOUBT)).sqrt()
    known = upsample_map((said.normal != first_look.normal).any(-1).float()[None], size)[0].clamp(0, 1)
    normal = torch.lerp(full_size(fine, inside, size), normal, known[..., None])
    return normal, torch.lerp(full_size(sure[..., None], inside, size)[..., 0], trust, known)


def front_confidence(said: Prediction) -> Tensor:
    """(S, S) one weight for the front's depth and normals together."""
    return (said.depth_confidence * said.normal_confidence).clamp_min(0).sqrt()


def full_size(maps: Tensor, inside: Tensor, size: int) -> Tensor:
    """(S, S, C) -> (size, size, C): what is meaningless outside the mask does not bleed in."""
    return upsample_map(spread(maps, inside).permute(2, 0, 1), size).permute(1, 2, 0)
