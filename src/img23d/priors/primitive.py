"""Boxes and solids of revolution in place of the network's guess, where photo and network agree with one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from img23d.priors import frame
from img23d.priors.cuboid import Cuboid, cuboid_distance, find_cuboid
from img23d.priors.profile import seen_along_rays, show, turned_profile
from img23d.priors.revolution import find_axis, largest_revolution
from img23d.priors.shown import BINS, Candidate, Shown, turned_apart, with_parts
from img23d.priors.solid import crossings, silhouette_distance

if TYPE_CHECKING:
    from img23d.priors.embedded import Prediction

LEAST_SHARE = 0.85  # of the silhouette that a turned solid must show
LEAST_OVERLAP = 0.98  # of a box's outline and the silhouette
TURNED, SQUARE = 15.0, 18.0  # degrees: largest mean angle between the normals of a turned solid, and of a box, and the network's
WALL, THINNEST_WALL = 0.07, 0.14  # usual thickness of a hollow thing's wall, of its radius; what survives the fit, half-widths
HOLLOW = 0.0  # how much the network must be for an opening rather than a lid, about -2..2
ALIKE, APART = 0.01, 0.05  # depths of lid and opening are compared where they differ, half-widths
SEEN = 0.01  # share of the silhouette that lid and opening must differ in for that to be asked
ROUNDING, INSET = 0.02, 0.008  # of a box's edges, and of its sides, as those of `profile.INSET`; half-widths


def simplified(said: Prediction, fov_known: bool) -> Prediction:
    """The network's answer, or a box or a solid of revolution with its handles, where one of them is what the photo shows.

    Args:
        said: the network's answer.
        fov_known: whether its field of view was told and not guessed.
    """
    found = [candidate for candidate in (turned_candidate(said, fov_known), box_candidate(said, fov_known)) if candidate]
    return with_parts(said, min(found, key=lambda candidate: candidate.apart)) if found else said


def turned_candidate(said: Prediction, fov_known: bool) -> Candidate | None:
    """The solid of revolution that shows most of the silhouette; None where that is not enough, or its sides look otherwise."""
    outside, size = silhouette_distance(said.mask), said.mask.shape[-1]
    axis, ends = find_axis(outside, said.mask, said.elevation, 1.0 / math.tan(said.fov / 2), fov_known)
    if ends.share < LEAST_SHARE:
        return None
    table = largest_revolution(outside, axis)
    profile = turned_profile(table, axis, ends)
    shown = lid = show(profile, size)
    cavity = show(turned_profile(table, axis, ends, WALL * profile.radius), size)
    if is_hollow(said, lid, cavity):
        profile = turned_profile(table, axis, ends, max(WALL * profile.radius, THINNEST_WALL))
        shown = show(profile, size)
    apart = turned_apart(said, shown, (lid.front - cavity.front).abs() < ALIKE)
    volume = seen_along_rays(profile, said.volume.shape[-1], told_depths(said)) / frame.TRUNCATION
    return Candidate(shown, volume, axis.elevation, axis.distance, apart) if apart < TURNED else None


def box_candidate(said: Prediction, fov_known: bool) -> Candidate | None:
    """The upright box whose outline is most like the silhouette; None where it is not like it, or its sides look otherwise."""
    inside = said.mask > 0.5
    if not bool(inside.any()):
        return None
    far, near = torch.quantile(said.back_depth[inside], 0.98), torch.quantile(said.front_depth[inside], 0.02)
    depth = max(float(far - near), 0.05)
    box, overlap = find_cuboid(said.mask, said.elevation, 1.0 / math.tan(said.fov / 2), fov_known, depth)
    if overlap < LEAST_OVERLAP:
        return None
    wide, tall, deep = (max(half - INSET, 0.5 * half) for half in box.half)
    shown = show_box(box._replace(half=(wide, tall, deep)), said.mask.shape[-1], said.mask.device)
    apart = turned_apart(said, shown, shown.solid)
    points = frame.ray_points(box.distance, said.volume.shape[-1], told_depths(said))
    volume = cuboid_distance(box._replace(half=(wide, tall, deep)), points, ROUNDING)[0] / frame.TRUNCATION
    return Candidate(shown, volume, box.elevation, box.distance, apart) if apart < SQUARE else None


def show_box(box: Cuboid, size: int, device: torch.device | str = "cpu") -> Shown:
    """Look at a box."""
    depths = torch.linspace(-frame.DEPTH_RANGE, frame.DEPTH_RANGE, BINS, device=device)
    front, back, solid = crossings(cuboid_distance(box, frame.ray_points(box.distance, size, depths), ROUNDING)[0], depths)
    line = frame.ray_points(box.distance, size, depths.new_tensor([0.0, 1.0]))
    points = line[0] + (line[1] - line[0]) * front[..., None]
    return Shown(front, back, solid, cuboid_distance(box, points, ROUNDING)[1])


def told_depths(said: Prediction) -> Tensor:
    """(D,) depths of the samples of the answer's volume."""
    return torch.linspace(*said.depth_range, said.volume.shape[0], device=said.volume.device)


def is_hollow(said: Prediction, closed: Shown, opened: Shown) -> bool:
    """Whether the network's depths and normals are those of an opening rather than of a lid."""
    inside = said.mask > 0.5
    both = inside & closed.solid & opened.solid
    deeper = opened.front - closed.front
    lid, body = both & (deeper.abs() > APART), both & (deeper.abs() < ALIKE)
    if float(lid.sum()) < SEEN * float(inside.sum()) or not bool(body.any()):
        return False
    offset = (said.front_depth - closed.front)[body].median()
    depth = ((said.front_depth - offset - closed.front)[lid] / deeper[lid]).median()
    turned = ((said.normal * opened.normal).sum(-1) - (said.normal * closed.normal).sum(-1))[lid].mean()
    return float(depth + turned) > HOLLOW
