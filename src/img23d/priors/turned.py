"""The upright solid of revolution that photo and network agree on, seen from the elevation at which they agree best."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.priors import frame
from img23d.priors.exact_profile import best_profile
from img23d.priors.profile import Profile, at_points, depths_shown, rays_about, seen_along_rays, show, turned_profile
from img23d.priors.revolution import COARSE, EXACT, Axis, Coverage, coverage, find_axis, largest_revolution
from img23d.priors.shown import Candidate, Shown, fine_depths, turned_apart
from img23d.priors.solid import silhouette_distance

if TYPE_CHECKING:
    from img23d.priors.embedded import Prediction

LEAST_SHARE = 0.85  # of the silhouette that a turned solid must show
TURNED = 16.0  # degrees: largest mean angle between its normals and the network's, with what it does not show
HOPELESS = 8.0  # degrees above that bound, on the picture at half size: not looked at in full
UNSHOWN = 25.0  # degrees for all of the silhouette: what shows less must look more alike to be taken
WALL = 0.07  # usual thickness of a hollow thing's wall, of its radius
FLAT, FLAT_WALL, THINNER = 0.4, 0.05, 4 / 7  # of the radius: height and walls of plates; how much thinner than others those may be
JUDGED = 0.07  # half-widths: least thickness of walls while a solid is sought and judged, or presets would not agree about what is turned
COST_OF_SHARE = 100.0  # degrees for all of the silhouette: what shows a hundredth less must look a degree more alike
COST_OF_TILT = 10.0  # degrees for a tilt by 10 degrees from the elevation that silhouette and network agree on, and four times for 20
COST_OF_WAY = 0.5  # degrees for another distance than the outline's, or single pixels would decide
AS_MUCH, BETWEEN = 0.004, 8  # of the silhouette: what shows less than that less shows as much; elevations looked at between two
ALIKE = 0.5  # degrees: a lid and an opening that look so alike are told apart by the network's own solid
EMPTY = 0.9  # share of the cavity in which that must be empty: to hollow out what is solid does more harm than a lid on what is hollow
TILTS, NEARER = (6.0, 3.0, 1.5), 1.25  # degrees, and times as near: steps of the search
BLURRED, STEEPEST = (
    0.03,
    0.17,
)  # half-widths across the rays that outlines may be off; cosine of the steepest view for which that is made up
LAST_TILTS = (1.5, 0.8, 0.4)  # degrees: its last steps, on the picture in full; where plates look alike is a valley of two degrees


class Trial(NamedTuple):
    """A solid of revolution about one axis."""

    profile: Profile
    shown: Shown
    share: float  # of the silhouette
    apart: float  # degrees between its normals and the network's
    ends: Coverage


def turned_candidate(said: Prediction, fov_known: bool, thinnest: float = 0.0) -> Candidate | None:
    """The solid of revolution that shows most of the silhouette; None where that is not enough, or its surface looks otherwise.

    One outline belongs to many of them, deep ones seen from low and shallow ones seen from high, closed ones and open ones: the
    network's normals choose.

    Args:
        said: the network's answer.
        fov_known: whether its field of view was told and not guessed.
        thinnest: least thickness of a hollow thing's wall, half-widths.
    """
    outside = silhouette_distance(said.mask)
    axis, ends = find_axis(outside, said.mask, said.elevation, 1.0 / math.tan(said.fov / 2), fov_known)
    if ends.share < LEAST_SHARE:
        return None
    axis, small = nearest_told(said, outside, axis, ends.share), halved(said)
    settled = axis.elevation
    axis, (lid, opening) = most_alike(small, outside, axis, settled, COARSE, TILTS, not fov_known)
    if min(lid.apart, opening.apart) > TURNED + HOPELESS:
        return None
    axis, (lid, opening) = most_alike(said, outside, axis, settled, EXACT, LAST_TILTS, False)
    found = more_likely(said, lid, opening)
    if found.share < LEAST_SHARE or found.apart + UNSHOWN * (1 - found.share) > TURNED:
        return None
    wall = usual_wall(lid.profile, thinnest) if found is opening else 0.0
    profile = best_profile(said.mask, largest_revolution(outside, axis), axis, found.ends, wall)
    volume = seen_along_rays(profile, rays_about(axis, said.mask.shape[-1], fine_depths(said))) / frame.TRUNCATION
    shown = show(profile, said.mask.shape[-1])
    return Candidate(shown, volume, partial(at_points, profile), axis.elevation, axis.distance, found.apart, True)


def nearest_told(said: Prediction, outside: Tensor, axis: Axis, share: float) -> Axis:
    """The axis seen from the elevation nearest to the network's from which it shows as much of the silhouette.

    From many degrees of elevations an outline shows the same but for single pixels, and which of them shows most is chance.

    Args:
        said: the network's answer.
        outside: (S, S) signed distance to the silhouette's edge.
        axis: the outline's own.
        share: of the silhouette that it shows.
    """
    for part in range(BETWEEN, 0, -1):
        moved = axis._replace(elevation=axis.elevation + (said.elevation - axis.elevation) * part / BETWEEN)
        if coverage(largest_revolution(outside, moved), moved, said.mask, EXACT).share >= share - AS_MUCH:
            return moved
    return axis


def usual_wall(profile: Profile, thinnest: float) -> float:
    """How thick the wall of something hollow usually is, half-widths; as thick as a cup's a plate would hardly be hollow."""
    flat = profile.high - profile.low < FLAT * profile.radius
    return max(FLAT_WALL * profile.radius, THINNER * thinnest) if flat else max(WALL * profile.radius, thinnest)


def most_alike(
    said: Prediction, outside: Tensor, axis: Axis, settled: float, fineness: tuple[int, int], tilts: tuple[float, ...], nearer: bool
) -> tuple[Axis, tuple[Trial, Trial]]:
    """The axis near a first one about which the solid looks most as the network says, without showing much less of the silhouette.

    Args:
        said: the network's answer, in full or halved.
        outside: (S, S) signed distance to the full silhouette's edge.
        axis: where the search begins.
        settled: the elevation from which tilts are counted, radians.
        fineness: of the solids that are tried.
        tilts: steps of the search, degrees.
        nearer: whether the camera may also be nearer or farther.

    Returns:
        the axis, and the closed and the open solid about it.
    """
    tried: dict[Axis, tuple[Trial, Trial]] = {}

    def cost(axis: Axis) -> float:
        if axis not in tried:
            tried[axis] = lid_and_opening(said, outside, axis, fineness, JUDGED)
        found = min(tried[axis], key=lambda trial: trial.apart)
        tilt = math.degrees(axis.elevation - settled) / 10.0
        return found.apart - COST_OF_SHARE * found.share + COST_OF_TILT * tilt**2

    for tilt in tilts:
        axis = min((axis._replace(elevation=axis.elevation + k * math.radians(tilt)) for k in (0, -1, 1)), key=cost)
    if nearer:
        moved = [axis._replace(distance=axis.distance * factor) for factor in (NEARER, 1 / NEARER)]
        axis = min([axis, *moved], key=lambda other: cost(other) + COST_OF_WAY * (other is not axis))
    return axis, tried[axis]


def lid_and_opening(said: Prediction, outside: Tensor, axis: Axis, fineness: tuple[int, int], thinnest: float) -> tuple[Trial, Trial]:
    """The largest solid of revolution about an axis, closed and open at the top, with walls at least ``thinnest`` half-widths thick."""
    table = largest_revolution(outside, axis)
    ends = with_height(coverage(table, axis, said.mask, fineness), axis)
    lid = turned_profile(table, axis, ends)
    opening = turned_profile(table, axis, ends, max(WALL * lid.radius, thinnest))

    size = said.mask.shape[-1]
    rays = rays_about(axis, size, depths_shown(size, outside))

    def trial(profile: Profile) -> Trial:
        shown = show(profile, size, rays)
        return Trial(profile, shown, ends.share, turned_apart(said, shown, shown.solid), ends)

    return trial(lid), trial(opening)


def with_height(ends: Coverage, axis: Axis) -> Coverage:
    """The ends of a solid, which is at least as high as its outline could not show."""
    hidden = BLURRED / max(math.cos(axis.elevation), STEEPEST)
    return ends if ends.high - ends.low >= hidden else ends._replace(low=ends.high - max(hidden, JUDGED))


def more_likely(said: Prediction, lid: Trial, opening: Trial) -> Trial:
    """The one that looks more as the network says; where the inside can hardly be seen, whether the network's own solid is hollow there."""
    if abs(lid.apart - opening.apart) > ALIKE:
        return min(lid, opening, key=lambda trial: trial.apart)
    size, depths = said.volume.shape[-1], frame.bin_depths(len(said.volume), said.volume.device)
    rays = rays_about(lid.profile.axis, size, depths)
    closed, open_ = (seen_along_rays(trial.profile, rays) < 0 for trial in (lid, opening))
    cavity = closed & ~open_
    return opening if float((said.volume[cavity] > 0).float().sum()) > EMPTY * float(cavity.sum()) else lid


def halved(said: Prediction) -> Prediction:
    """The answer with mask and normals at half the size, for a quarter of the work."""
    inside = (said.mask > 0.5).to(said.mask)
    known = [part * inside for part in (*said.normal.unbind(-1), said.normal_confidence)]
    planes = F.avg_pool2d(torch.stack([said.mask, *known, inside])[None], 2)[0]
    normal = F.normalize(planes[1:4].permute(1, 2, 0), dim=-1, eps=1e-6)
    return replace(said, mask=planes[0], normal=normal, normal_confidence=planes[4] / planes[5].clamp(min=1e-3))
