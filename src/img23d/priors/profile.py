"""The profile of a solid of revolution: its sides from the outline, its ends, its cavity, and how the photo's camera sees it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.priors import frame
from img23d.priors.revolution import HEIGHTS, REACH, Axis, Coverage, cylindrical, outline
from img23d.priors.shown import BINS, Shown
from img23d.priors.solid import crossings, silhouette_distance

PROFILE = 192  # samples of a profile along and across the axis, each way
UNSURE = 0.05  # half-widths before an end in which its outline is blurred
STEEPEST = 4.0  # a side goes on this much outwards for each step towards its end
ROUND = {1.0: math.radians(50.0), -1.0: math.radians(65.0)}  # upper and lower ends that close in more than this are round, others flat
INSET = 0.008  # half-widths: while a solid is sought and judged, it is a little narrower than the outline


class Profile(NamedTuple):
    """A turned solid."""

    axis: Axis
    distance: Tensor  # (PROFILE, PROFILE) signed, half-widths: rows are heights, columns signed radii, both -REACH..REACH
    radius: float  # the greatest
    low: float  # heights of its ends
    high: float


def turned_profile(table: Tensor, axis: Axis, ends: Coverage, wall: float = 0.0) -> Profile:
    """The solid inside the silhouette with flat ends where its sides do not round themselves off.

    Args:
        table: of `largest_revolution`.
        axis: of turning.
        ends: where the ends may be cut.
        wall: thickness of walls and floor of something open at the top, half-widths; 0 is solid.
    """
    step = 2 * REACH / PROFILE
    line = frame.pixel_axis(PROFILE, table.device) * REACH
    radius = (evenly(smooth(outline(table)[1]), line) - INSET).clamp(min=0)
    low, radius = finished_end(line, radius, ends.low, -1.0)
    high, radius = finished_end(line, radius, ends.high, 1.0)
    covered = ((radius[:, None] - line.abs()) / step + 0.5).clamp(0, 1)
    covered = torch.minimum(covered, ((torch.minimum(high - line, line - low)) / step + 0.5).clamp(0, 1)[:, None])
    between = radius[(line > low) & (line < high)]
    widest = float(between.max()) if len(between) else 0.0
    distance = silhouette_distance(covered) * REACH
    if wall:  # what lies deeper than a wall within the same solid without its lid
        open_ = ((radius[:, None] - line.abs()) / step + 0.5).clamp(0, 1)
        open_ = torch.minimum(open_, ((line - low) / step + 0.5).clamp(0, 1)[:, None])
        distance = torch.maximum(distance, -(silhouette_distance(open_) * REACH + wall))
    return Profile(axis, distance, widest, low, high)


def smooth(radii: Tensor) -> Tensor:
    """(H,) radii without the traces of pixels, where there are neighbours on both sides."""
    kernel = radii.new_tensor([0.25, 0.5, 0.25])[None, None]
    known = (radii > 0).to(radii)
    mean = F.conv1d((radii * known)[None, None], kernel, padding=1)[0, 0]
    full = F.conv1d(known[None, None], kernel, padding=1)[0, 0] > 0.99
    return torch.where(full, mean, radii)


def evenly(radii: Tensor, line: Tensor) -> Tensor:
    """(PROFILE,) radii at the heights ``line``, from those at the heights of `outline`."""
    place = (line / REACH + 1) / 2 * (HEIGHTS - 1)
    index = place.floor().clamp(0, HEIGHTS - 2).long()
    share = place - index
    return radii[index] * (1 - share) + radii[index + 1] * share


def finished_end(line: Tensor, radius: Tensor, end: float, side: float) -> tuple[float, Tensor]:
    """Where an end really is, and the radii that lead there and beyond.

    The outline tells nothing of what is beyond the last circle that it shows, and little of what is just before it. A side that closes
    in ends as a sphere that goes on there; any other goes straight on up to a flat end.

    Args:
        line: (PROFILE,) heights.
        radius: (PROFILE,) radii.
        end: height of the last circle that the outline shows.
        side: 1 for the upper end, -1 for the lower one.
    """
    before = (end - line) * side
    near = (before > UNSURE) & (before < UNSURE + 0.1) & (radius > 0)
    if int(near.sum()) < 2:
        return end, torch.where(before < 0, torch.zeros_like(radius), radius)
    last, first = (float(radius[near][place]) for place in (before[near].argmin(), before[near].argmax()))
    turned = math.atan2(first - last, float(before[near].amax() - before[near].amin()))  # from the horizon
    if turned < ROUND[side]:
        straight = last - max(math.tan(turned), -STEEPEST) * (before[near].amin() - before)
        return end, torch.where(before < UNSURE, straight.clamp(min=0, max=float(radius.max())), radius)
    last = float(radius[(before - 0.02).abs().argmin()])
    sphere = last / max(math.cos(turned), 0.05)
    beyond = -before + sphere * math.sin(turned)
    round_ = (sphere**2 - beyond**2).clamp(min=0).sqrt()
    return end + side * sphere * (1 - math.sin(turned)), torch.where(before < 0, torch.minimum(round_, radius), radius)


class Rays(NamedTuple):
    """Where samples along the rays of a picture lie in the profile of any solid that is turned about one axis."""

    depths: Tensor  # (D,)
    place: Tensor  # (1, D S^2, 1, 2) radius and height, of `REACH`
    beyond: Tensor  # (D, S, S) how far they lie outside of the profile, half-widths


def rays_about(axis: Axis, size: int, depths: Tensor) -> Rays:
    """The samples at some depths along the rays of a picture with ``size`` pixels along each side."""
    height, radius = cylindrical(axis, size, depths)
    return Rays(depths, *in_table(height, radius))


def in_table(height: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Where heights along the axis and radii (...) away from it lie in a profile: ``place`` and ``beyond`` of `Rays`."""
    kept = radius.clamp(max=REACH), height.clamp(-REACH, REACH)
    place = torch.empty(1, radius.numel(), 1, 2, device=radius.device)
    for along, part in enumerate(kept):
        torch.div(part.reshape(-1), REACH, out=place[0, :, 0, along])
    return place, torch.hypot(radius - kept[0], height - kept[1])


def at_points(profile: Profile, points: Tensor) -> Tensor:
    """(...) signed distance of the turned solid at points (..., 3) in the frame of the crop."""
    beside = points - points.new_tensor([profile.axis.x, 0.0, 0.0])
    up = profile.axis.directions(points)[0]
    height = beside @ up
    return looked_up(profile, *in_table(height, (beside - height[..., None] * up).norm(dim=-1)))


def seen_along_rays(profile: Profile, rays: Rays) -> Tensor:
    """(D, size, size) signed distance of the turned solid at the samples of `rays_about` its axis."""
    return looked_up(profile, rays.place, rays.beyond)


def looked_up(profile: Profile, place: Tensor, beyond: Tensor) -> Tensor:
    """(...) signed distance of the turned solid where `in_table` has found places."""
    found = F.grid_sample(profile.distance[None, None], place, align_corners=False, padding_mode="border")[0, 0, :, 0]
    return found.reshape(beyond.shape) + beyond


def show(profile: Profile, size: int, rays: Rays | None = None) -> Shown:
    """Look at a turned solid, with `depths_shown` along the rays of a picture, or those given."""
    rays = rays_about(profile.axis, size, depths_shown(BINS, profile.distance)) if rays is None else rays
    front, back, solid = crossings(seen_along_rays(profile, rays), rays.depths)
    return Shown(front, back, solid, normals_at(profile, front, size))


def depths_shown(bins: int, like: Tensor) -> Tensor:
    """(bins,) depths at which solids are looked at."""
    return torch.linspace(-frame.DEPTH_RANGE, frame.DEPTH_RANGE, bins, device=like.device)


def normals_at(profile: Profile, depth: Tensor, size: int) -> Tensor:
    """(S, S, 3) normals of the turned solid at a depth of each ray, camera frame."""
    axis, line = profile.axis, frame.pixel_axis(size, depth.device)
    y, x = torch.meshgrid(-line, line, indexing="ij")
    grow = (axis.distance + depth) / axis.distance
    points = torch.stack([x * grow - axis.x, y * grow, -depth], -1)
    up = axis.directions(depth)[0]
    height = points @ up
    outwards = points - height[..., None] * up
    radius = outwards.norm(dim=-1)
    slope = torch.stack(torch.gradient(profile.distance, spacing=2 * REACH / PROFILE))
    place = torch.stack([radius, height], -1)[None] / REACH
    along, across = F.grid_sample(slope[None], place, align_corners=False, padding_mode="border")[0]
    normal = along[..., None] * up + across[..., None] * outwards / radius.clamp(min=1e-6)[..., None]
    return F.normalize(normal, dim=-1, eps=1e-6)
