"""The largest solid of revolution that a silhouette allows: cups, bowls, bottles, lamps and fruit are close to theirs."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.priors import frame

TURNS, NOTCHES = 40, 3  # points on each circle, of which the farthest but two count: outlines have notches
COARSE, EXACT = (48, 48), (96, 112)  # pixels along each side and samples along each ray, to search and to measure
HEIGHTS, RADII = 80, 40  # circles along the axis, and about each of its points
REACH, WIDEST = 1.3, 1.1  # half-widths that they cover, along the axis on both sides, and away from it
WIDE_ENDS, FAR_OFF = 0.03, 0.004  # what wide ends are worth of coverage; what 10 degrees or half as far again from the guess cost
KEPT = 0.993  # ends are cut off as far as they show nothing else than what the rest shows


class Axis(NamedTuple):
    """An upright axis in the frame of a crop (see `img23d.priors.frame`)."""

    elevation: float  # radians of the camera above the horizon
    x: float  # where it crosses the plane of mid-depth, at y = 0
    distance: float  # from the camera to mid-depth

    def directions(self, like: Tensor) -> Tensor:
        """(3, 3) rows: along the axis, to the right, and away from the camera."""
        c, s = math.cos(self.elevation), math.sin(self.elevation)
        return like.new_tensor([[0.0, c, s], [1.0, 0.0, 0.0], [0.0, s, -c]])


def largest_revolution(outside: Tensor, axis: Axis) -> Tensor:
    """How far the circles about an axis reach out of the silhouette.

    Args:
        outside: (S, S) signed distance to the silhouette, negative inside, half-widths.
        axis: of the circles.

    Returns:
        (HEIGHTS, RADII) nearly the greatest distance of each circle, negative where the circle lies within the silhouette's cone.
    """
    device = outside.device
    height = torch.linspace(-REACH, REACH, HEIGHTS, device=device)[:, None, None, None]
    radius = torch.linspace(0.0, WIDEST, RADII, device=device)[None, :, None, None]
    angle = torch.arange(TURNS, device=device) * (2 * math.pi / TURNS)
    up, right, away = axis.directions(outside)
    circle = angle.cos()[:, None] * right + angle.sin()[:, None] * away
    points = height * up + radius * circle + outside.new_tensor([axis.x, 0.0, 0.0])
    seen = points[..., :2] * (axis.distance / (axis.distance - points[..., 2:]).clamp(min=0.05))
    grid = (seen * outside.new_tensor([1.0, -1.0])).reshape(1, -1, TURNS, 2)
    found = F.grid_sample(outside[None, None], grid, align_corners=False, padding_mode="border")
    beyond = torch.hypot(*(grid - grid.clamp(-1, 1)).unbind(-1))
    return (found[0, 0] + beyond[0]).topk(NOTCHES, -1).values[..., -1].reshape(HEIGHTS, RADII)


def cylindrical(axis: Axis, size: int, depths: Tensor) -> tuple[Tensor, Tensor]:
    """(D, size, size) height along the axis and distance from it of the points at some depths along the rays of a picture."""
    line, grow = frame.pixel_axis(size, depths.device), ((axis.distance + depths) / axis.distance)[:, None]
    x, y, z = line * grow - axis.x, -line * grow, -depths[:, None]  # as `frame.ray_points` has them, columns and rows apart
    up = axis.directions(depths)[0]
    height = y * up[1] + z * up[2]
    radius = ((x**2)[:, None] + (y**2 + z**2 - height**2)[..., None]).clamp(min=0).sqrt()
    return height[..., None].expand_as(radius), radius


def look_up(table: Tensor, height: Tensor, radius: Tensor) -> Tensor:
    """Values of a (H, R) table over heights -REACH..REACH and radii 0..WIDEST, in the shape of ``height``."""
    across, along = radius * (2 / WIDEST) - 1, height / REACH
    kept = across.clamp(-1, 1), along.clamp(-1, 1)
    place = torch.stack(kept, -1).reshape(1, -1, 1, 2)
    found = F.grid_sample(table[None, None], place, align_corners=True)[0, 0, :, 0].reshape(height.shape)
    return found + torch.hypot(across - kept[0], along - kept[1])


class Coverage(NamedTuple):
    """How much of a silhouette a solid of revolution shows, and where its ends may be cut."""

    share: float  # of the silhouette
    low: float  # heights between which nearly all of that is shown
    high: float


def coverage(table: Tensor, axis: Axis, mask: Tensor, fineness: tuple[int, int] = COARSE) -> Coverage:
    """What the solid of `largest_revolution` shows of a silhouette (S, S)."""
    size, samples = fineness
    mask = F.interpolate(mask[None, None], size=(size, size), mode="area")[0, 0]
    depths = torch.linspace(-WIDEST, WIDEST, samples, device=mask.device)
    height, radius = cylindrical(axis, size, depths)
    value = look_up(table, height, radius)
    shown = torch.minimum((0.5 - value.amin(0) * (size / 2)).clamp(0, 1), mask)
    share = float(shown.sum() / mask.sum().clamp(min=1e-6))
    inside = value < 0
    seen = inside.any(0)
    if int(seen.sum()) < 16:
        return Coverage(0.0, 0.0, 0.0)
    first = torch.where(inside, height, height.new_tensor(9.0)).amin(0)[seen]
    last = torch.where(inside, height, height.new_tensor(-9.0)).amax(0)[seen]
    return Coverage(share, float(torch.quantile(last, 1 - KEPT)), float(torch.quantile(first, KEPT)))


def outline(table: Tensor) -> tuple[Tensor, Tensor]:
    """(H,) heights and (H,) greatest radii of the solid of `largest_revolution`; 0 where there is none."""
    inside = table < 0
    heights = torch.linspace(-REACH, REACH, HEIGHTS, device=table.device)
    full = inside.long().cumprod(1).sum(1)  # samples from the axis outwards without a gap
    last = (full - 1).clamp(min=0)
    here, there = table.gather(1, last[:, None])[:, 0], table.gather(1, full.clamp(max=RADII - 1)[:, None])[:, 0]
    share = torch.where(here < 0, here / (here - there).clamp(max=-1e-6), torch.zeros_like(here))
    return heights, torch.where(full > 0, (last + share.clamp(0, 1)) * (WIDEST / (RADII - 1)), torch.zeros_like(here))


def find_axis(outside: Tensor, mask: Tensor, elevation: float, distance: float, distance_known: bool) -> tuple[Axis, Coverage]:
    """The upright axis about which most of a silhouette can be turned, and the camera with it.

    Seen from too low, a flat lid must be taken for a round one: of two solids that show as much, the one with wider ends is chosen.

    Args:
        outside: (S, S) signed distance to the silhouette.
        mask: (S, S) its coverage.
        elevation: radians, a guess; the answer is within some 15 degrees of it.
        distance: from the camera to mid-depth, half-widths.
        distance_known: whether that is more than a guess.
    """
    tried: dict[Axis, float] = {}

    def worth(axis: Axis) -> float:
        if axis not in tried:
            table = largest_revolution(outside, axis)
            found = coverage(table, axis, mask)
            off = math.hypot((axis.elevation - elevation) / math.radians(10.0), math.log(axis.distance / distance) / math.log(1.5))
            heights, radii = outline(table)
            ends = [float(radii[(heights - end).abs().argmin()]) for end in (found.low, found.high)]
            wide = sum(ends) / max(2 * float(radii.max()), 1e-6)
            tried[axis] = found.share + WIDE_ENDS * wide - FAR_OFF * off**2
        return tried[axis]

    step_x, step_e, step_d = 0.08, math.radians(6.0), 1.4
    best = max((Axis(elevation, x, distance) for x in middles(mask)), key=worth)
    for _ in range(4):
        near = [best._replace(elevation=best.elevation + k * step_e) for k in (-2, -1, 1, 2)]
        best = max([best, *near], key=worth)
        best = max([best, *(best._replace(x=best.x + k * step_x) for k in (-1, 1))], key=worth)
        if not distance_known:
            best = max([best, *(best._replace(distance=best.distance * k) for k in (step_d, 1 / step_d))], key=worth)
        step_x, step_e, step_d = step_x / 2, step_e / 2, step_d**0.6
    return best, coverage(largest_revolution(outside, best), best, mask, EXACT)


def middles(mask: Tensor) -> list[float]:
    """Some places where an upright axis may be: the middles of the silhouette's rows."""
    inside = mask > 0.5
    rows = inside.any(1)
    line = frame.pixel_axis(mask.shape[-1], mask.device)
    left = torch.where(inside, line, line.new_tensor(9.0)).amin(1)[rows]
    right = torch.where(inside, line, line.new_tensor(-9.0)).amax(1)[rows]
    if not len(left):
        return [0.0]
    return sorted({round(float(x), 3) for x in torch.quantile((left + right) / 2, left.new_tensor([0.1, 0.3, 0.5, 0.7, 0.9]))})
