"""Estimate: the photo's camera, depth and normals, and a guess of the whole solid."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.config import Estimate, Prior
from img23d.ops.crop import resize_views_image, spread
from img23d.ops.depth import align_depth, depth_to_normal
from img23d.ops.inflate import inflated_sdf, inflation_height
from img23d.ops.volume import volume_points
from img23d.scene import Cameras, ShapePrior, Views
from img23d.stages.cameras import chosen_elevation, fitted_camera, upsample_map
from img23d.stages.context import Context

VERSION = 29
FARTHEST = 2.0  # times the guessed farthest depth: what a disparity map may make of a point
GUESS_SIZE = 128
GIVEN_CONFIDENCE = 0.9
FRONT_DOUBT = 0.15  # of the prior's confidence that is left where the user's or a model's maps tell the surface
DISPARITY_CONFIDENCE = 0.6  # of that: depth made of disparity bends as an assumed range has it


def estimate(views: Views, fov_known: bool, prior: Prior, options: Estimate, context: Context) -> tuple[Views, ShapePrior]:
    """Find the camera, complete depth and normals, and guess the solid.

    Args:
        views: one cut-out view from `segment`; its depth and normals, when present, were given by the user.
        fov_known: whether the camera's field of view is the photo's own or only a default.

    Returns:
        The view, set upright where that shows what it is, with its camera, depth, normals and confidence; and the shape prior in the
        object frame.
    """
    kind = prior.kind
    if kind == "auto":
        from img23d.priors.embedded import weights_present

        kind = "embedded" if weights_present() else "inflate"
    if kind == "embedded":
        from img23d.stages.estimate_embedded import embedded_guess

        views, guessed, solid = embedded_guess(views, fov_known, prior, options, context)
    else:
        guessed, solid = inflated_guess(views, prior, options)
    if options.geometry not in ("auto", "prior"):
        views, options = ask_model(views, options, context)
    if views.depth is not None or views.normal is not None:
        solid = doubted_in_front(solid, guessed.cameras)
    return use_given_maps(guessed, views, options), solid


def doubted_in_front(solid: ShapePrior, cameras: Cameras) -> ShapePrior:
    """The solid with less trust in its front half, of which given maps know more."""
    points = volume_points(len(solid.sdf), solid.sdf).reshape(-1, 3)
    depth = cameras.to(points.device).project(points)[0, :, 2].reshape(solid.sdf.shape)
    inside = solid.sdf < 0
    middle = depth[inside].mean() if bool(inside.any()) else depth.mean()
    return replace(solid, confidence=torch.where(depth < middle, FRONT_DOUBT * solid.confidence, solid.confidence))


def ask_model(views: Views, options: Estimate, context: Context) -> tuple[Views, Estimate]:
    """Depth and normals of a pretrained network, as if the user had given them; the user's own maps win."""
    from img23d.backends.monocular import estimate_geometry

    context.progress(0.5, options.geometry)
    steps, offline, licence = options.geometry_steps, context.offline, context.commercial_ok
    said = estimate_geometry(
        views.rgb[0], views.mask[0], options.geometry, options.geometry_model, steps, context.device, offline, licence, seed=context.seed
    )
    if views.depth is not None or said.depth is None:
        depth = views.depth
    else:
        depth, options = said.depth[None], replace(options, depth_convention="depth")
    normal = views.normal if views.normal is not None or said.normal is None else said.normal[None]
    confidence = None
    if views.depth is None and views.normal is None:  # nothing of this is the user's own
        sure = torch.ones_like(views.mask) if said.confidence is None else said.confidence[None].to(views.mask)
        confidence = sure * (DISPARITY_CONFIDENCE if said.from_disparity else 1.0)
    return Views(views.cameras, views.rgb, views.mask, depth, normal, confidence), options


def inflated_guess(views: Views, prior: Prior, options: Estimate) -> tuple[Views, ShapePrior]:
    """The silhouette, rounded: front and back mirrored in the picture plane."""
    fov_deg = 2 * math.degrees(math.atan(0.5 / float(views.cameras.focal[0, 0])))
    mask = resize_views_image(views.mask, GUESS_SIZE)
    height = inflation_height(mask[0])
    thickness = height.clamp_min(0).sqrt()
    distance = 1.0 / math.tan(math.radians(fov_deg) / 2)
    layers = torch.stack([distance - thickness, distance + thickness])
    cameras, unit = fitted_camera(layers, mask[0] > 0.5, chosen_elevation(options), fov_deg)
    cameras = cameras.to(views.mask.device)
    mid = distance * unit
    sdf = inflated_sdf(height, cameras, mid, prior.resolution)
    size = views.mask.shape[-1]
    depth = upsample_map((mid - unit * thickness)[None], size)
    normal = inflation_normal(height, size, cameras)
    confidence = 0.3 * views.mask
    solid = ShapePrior(sdf, torch.full_like(sdf, 0.3), views.rgb[0], 0.3 * views.mask[0])
    return Views(cameras, views.rgb, views.mask, depth, normal, confidence), solid


def inflation_normal(height: Tensor, size: int, cameras: Cameras) -> Tensor:
    """(1, size, size, 3) front normals of z^2 = height(u, v), object frame; well defined up to the outline."""
    side = height.shape[-1]
    down, right = torch.gradient(height, spacing=2.0 / side)
    local = torch.stack([-right, down, 2 * height.clamp_min(1e-4).sqrt()], -1)
    local = F.normalize(upsample_map(local.permute(2, 0, 1), size).permute(1, 2, 0), dim=-1)
    return (local @ cameras.cam_to_world[0, :3, :3].T)[None]


def aligned(relative: Tensor, guess: Tensor, inside: Tensor, disparity: bool) -> Tensor:
    """A given depth map at the scale and offset at which it fits the guessed depths best; disparity is the inverse of depth.

    Args:
        relative: (V, S, S) as given.
        guess: (V, S, S) z-depths, object units.
        inside: (V, S, S) bool, where both mean something.
        disparity: bigger is nearer.
    """
    # 1 / z falls as z rises: the negative inverse of the depths is what disparity is a negative multiple of
    target = -1 / guess[inside] if disparity else guess[inside]
    scale, shift = align_depth(-relative[inside] if disparity else relative[inside], target, torch.ones_like(target))
    if not disparity:
        return scale * relative + shift
    return -1 / (shift - scale * relative).clamp(max=float(target.max()) / FARTHEST)


def use_given_maps(guessed: Views, given: Views, options: Estimate) -> Views:
    """Replace guessed depth and normals by given ones, scaled to fit the guess and turned into the object frame."""
    depth, normal, confidence = guessed.depth, guessed.normal, guessed.confidence
    assert depth is not None and confidence is not None
    # a translucent object's mask is nowhere near one
    inside = (given.mask > 0.9 * given.mask.amax()) & (confidence > 0)
    trust = GIVEN_CONFIDENCE * (torch.ones_like(confidence) if given.confidence is None else given.confidence)
    if given.depth is not None:
        # outside of the mask the map holds anything; resized with it, rims would take part in that
        relative = spread(given.depth[0, ..., None], inside[0])[None, ..., 0] if bool(inside.any()) else given.depth
        depth = aligned(relative, depth, inside, options.depth_convention == "disparity")
        confidence = torch.where(inside, trust, confidence)
        if given.normal is None:
            normal = depth_to_normal(depth, guessed.cameras)
    if given.normal is not None:
        normal = given.normal @ guessed.cameras.cam_to_world[0, :3, :3].T
        confidence = torch.where(inside, trust, confidence)
    return Views(guessed.cameras, guessed.rgb, guessed.mask, depth, normal, confidence)
