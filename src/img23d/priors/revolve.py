"""What a solid of revolution looks like from the photo's camera, in place of the network's answer where it explains the picture better."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from img23d.ops.crop import spread
from img23d.priors import frame
from img23d.priors.revolution import HEIGHTS, REACH, Axis, Coverage, cylindrical, find_axis, largest_revolution, outline
from img23d.priors.solid import crossings, silhouette_distance

if TYPE_CHECKING:
    from img23d.priors.embedded import Prediction

PROFILE = 192  # samples of a profile along and across the axis, each way
BINS = 128  # depth samples in which surfaces are found
UNSURE = 0.05  # half-widths before an end in which its outline is blurred
STEEPEST = 4.0  # a side goes on this much outwards for each step towards its end
ROUND = {1.0: math.radians(50.0), -1.0: math.radians(65.0)}  # upper and lower ends that close in more than this are round, others flat
WALL, THINNEST_WALL = 0.07, 0.14  # usual thickness of a hollow thing's wall, of its radius; what survives the fit, half-widths
INSET = 0.008  # half-widths: a solid a little too narrow grows in the fit, one too wide is furrowed where the outline cuts it
LEAST_SHARE = 0.85  # of the silhouette that the turned solid must show
MOST_TURNED = 15.0  # degrees: mean angle between its normals and the network's
HOLLOW = 0.0  # how much the network must be for an opening rather than a lid, about -2..2
ALIKE, APART = 0.01, 0.05  # depths of lid and opening are compared where they differ, half-widths
SEEN = 0.01  # share of the silhouette that lid and opening must differ in for that to be asked
SMALL_PART = 0.004  # what sticks out is a part from this share of the silhouette on, else it is the outline's inexactness
SURE = 0.9  # confidence


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


def seen_along_rays(profile: Profile, size: int, depths: Tensor) -> Tensor:
    """(D, size, size) signed distance of the turned solid at some depths along the rays of a picture."""
    height, radius = cylindrical(profile.axis, size, depths)
    place = torch.stack([radius, height], -1).reshape(1, -1, 1, 2) / REACH
    inside = place.clamp(-1, 1)
    found = F.grid_sample(profile.distance[None, None], inside, align_corners=False, padding_mode="border")[0, 0, :, 0]
    return (found + (place - inside).norm(dim=-1).reshape(-1) * REACH).reshape(height.shape)


class Shown(NamedTuple):
    """A turned solid as the camera sees it; S pixels."""

    volume: Tensor  # (BINS, S, S) signed distance
    depths: Tensor  # (BINS,)
    front: Tensor  # (S, S)
    back: Tensor  # (S, S)
    solid: Tensor  # (S, S) bool
    normal: Tensor  # (S, S, 3) camera frame


def show(profile: Profile, size: int) -> Shown:
    """Look at a turned solid."""
    depths = torch.linspace(-frame.DEPTH_RANGE, frame.DEPTH_RANGE, BINS, device=profile.distance.device)
    volume = seen_along_rays(profile, size, depths)
    front, back, solid = crossings(volume, depths)
    return Shown(volume, depths, front, back, solid, normals_at(profile, front, size))


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


def revolved(said: Prediction, fov_known: bool) -> Prediction | None:
    """The network's answer with a solid of revolution in its place, and what sticks out of that as it was; None where that does not fit.

    Args:
        said: the network's answer.
        fov_known: whether its field of view was told and not guessed.

    Returns:
        The same with another volume, other layers, normals, elevation and field of view.
    """
    outside = silhouette_distance(said.mask)
    axis, ends = find_axis(outside, said.mask, said.elevation, 1.0 / math.tan(said.fov / 2), fov_known)
    if ends.share < LEAST_SHARE:
        return None
    table, size = largest_revolution(outside, axis), said.mask.shape[-1]
    profile = turned_profile(table, axis, ends)
    shown = lid = show(profile, size)
    cavity = show(turned_profile(table, axis, ends, WALL * profile.radius), size)
    if is_hollow(said, lid, cavity):
        profile = turned_profile(table, axis, ends, max(WALL * profile.radius, THINNEST_WALL))
        shown = show(profile, size)
    if turned_apart(said, shown, (lid.front - cavity.front).abs() < ALIKE) > MOST_TURNED:
        return None
    return with_parts(said, profile, shown)


def turned_apart(said: Prediction, shown: Shown, where: Tensor) -> float:
    """Mean angle between the network's normals and those of a turned solid over its sides, degrees."""
    both = (said.mask > 0.5) & shown.solid & where
    angle = torch.rad2deg(torch.arccos((said.normal * shown.normal).sum(-1).clamp(-1, 1)))[both]
    weight = said.normal_confidence[both]
    return float((angle * weight).sum() / weight.sum().clamp(min=1e-6))


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


def with_parts(said: Prediction, profile: Profile, shown: Shown) -> Prediction:
    """A turned solid together with what the silhouette shows besides it: handles, spouts, knobs, as the network has them."""
    inside = said.mask > 0.5
    layers = torch.stack([torch.where(shown.solid, turned, own) for turned, own in zip(shown[2:4], (said.front_depth, said.back_depth))])
    known, rays = shown.solid & inside, said.volume.shape[-1]
    depths = torch.linspace(*said.depth_range, said.volume.shape[0], device=inside.device)
    volume = seen_along_rays(profile, rays, depths) / frame.TRUNCATION
    labels, count = ndimage.label(ndimage.binary_opening((inside & ~shown.solid).cpu().numpy(), iterations=1))
    for label in range(1, count + 1):
        part = torch.from_numpy(labels == label).to(inside.device)
        if float(part.sum()) < SMALL_PART * float(inside.sum()):
            continue
        part = grown(part, 1) & inside & ~shown.solid
        # Where it is joined, it is as deep as the turned solid's edge.
        seam, edge = part & grown(shown.solid, 2), shown.solid & grown(part, 2)
        shift = (layers[:, edge].mean() - layers[:, seam].mean()) if bool(seam.any()) and bool(edge.any()) else layers.new_tensor(0.0)
        layers[:, part] += shift
        known = known | part
        place = F.interpolate(grown(part, 3).float()[None, None], size=(rays, rays), mode="area")[0, 0] > 0
        volume = torch.where(place, torch.minimum(volume, moved_away(said.volume, float(shift), depths)), volume)
    layers = spread(layers.permute(1, 2, 0), known).permute(2, 0, 1)
    sure = torch.where(shown.solid, torch.full_like(said.mask, SURE), said.depth_confidence)
    return replace(
        said, front_depth=layers[0], back_depth=layers[1], volume=volume.clamp(-1, 1), depth_confidence=sure,
        back_depth_confidence=torch.where(shown.solid, sure, said.back_depth_confidence), elevation=profile.axis.elevation, roll=0.0,
        fov=2 * math.atan(1 / profile.axis.distance),
        normal=torch.where(shown.solid[..., None], shown.normal, said.normal),
        normal_confidence=torch.where(shown.solid, sure, said.normal_confidence),
    )  # fmt: skip


def grown(region: Tensor, pixels: int) -> Tensor:
    """(S, S) bool with this many pixels more on all sides."""
    return F.max_pool2d(region[None, None].float(), 2 * pixels + 1, 1, pixels)[0, 0] > 0


def moved_away(volume: Tensor, shift: float, depths: Tensor) -> Tensor:
    """(D, h, w) distances of a solid that lies farther away by ``shift``."""
    place = (depths - shift - depths[0]) / (depths[1] - depths[0])
    low = place.floor().clamp(0, len(depths) - 2)
    share = (place - low).clamp(0, 1)[:, None, None]
    return volume[low.long()] * (1 - share) + volume[low.long() + 1] * share
