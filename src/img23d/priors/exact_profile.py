"""The profile of a solid of revolution that is known, in full precision: as smooth as the outline allows, with exact distances."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import lsq_linear
from torch import Tensor

from img23d.priors import frame
from img23d.priors.profile import PROFILE, UNSURE, Profile, depths_shown, evenly, finished_end, rays_about, seen_along_rays, smooth
from img23d.priors.revolution import REACH, Axis, Coverage, outline
from img23d.priors.shown import BINS

WIDER = (0.99, 1.0, 1.01, 1.02, 1.03, 1.04)  # times as wide as what fits into the outline
TUBE = 0.012  # half-widths, less than a pixel: by how much outlines are wrong, of what leans by a degree more on one side than on the other
NEAREST = 1e-3  # what being off costs beside a bend as large


def best_profile(mask: Tensor, table: Tensor, axis: Axis, ends: Coverage, wall: float = 0.0) -> Profile:
    """The `exact_profile` whose outline overlaps most with a silhouette (S, S): what fits into it is mostly a little too narrow."""
    size, tried = mask.shape[-1], []
    rays = rays_about(axis, size, depths_shown(BINS, mask))
    for wider in WIDER:
        profile = exact_profile(table, axis, ends, wall, wider)
        nearest = seen_along_rays(profile, rays).amin(0)
        covered = (0.5 - nearest * (size / 2)).clamp(0, 1)
        overlap = torch.minimum(covered, mask).sum() / torch.maximum(covered, mask).sum()
        tried.append((float(overlap), profile))
    return max(tried, key=lambda pair: pair[0])[1]


def exact_profile(table: Tensor, axis: Axis, ends: Coverage, wall: float = 0.0, wider: float = 1.0) -> Profile:
    """As `img23d.priors.profile.turned_profile`, neither rasterised nor inset.

    Args:
        table: of `largest_revolution`.
        axis: of turning.
        ends: where the ends may be cut.
        wall: thickness of walls and floor of something open at the top, half-widths; 0 is solid.
        wider: factor of all radii.
    """
    line = frame.pixel_axis(PROFILE, table.device) * REACH
    radius = evenly(smooth(outline(table)[1]), line) * wider
    shown = (line > ends.low + UNSURE) & (line < ends.high - UNSURE) & (radius > 0)
    radius[shown] = smoothest(radius[shown])
    low, radius = finished_end(line, radius, ends.low, -1.0)
    high, radius = finished_end(line, radius, ends.high, 1.0)
    between = (line > low) & (line < high)
    widest = float(radius[between].max()) if bool(between.any()) else 0.0
    at = torch.stack(torch.meshgrid(line, line[PROFILE // 2 :], indexing="ij"), -1)  # heights and radii, on one side
    sides = torch.stack([line, radius], -1)
    body = sides[between]
    base, top = at_end(line, radius, low), at_end(line, radius, high)
    lid = torch.cat([base * at.new_tensor([1.0, 0.0]), base, body, top, top * at.new_tensor([1.0, 0.0])])
    inside = (at[..., 1] < radius[:, None]) & between[:, None]
    distance = to_line(at, lid) * (1 - 2 * inside.to(at))
    if wall:  # what lies deeper than a wall within the same solid without its lid
        open_ = torch.cat([lid[:2], sides[line > low]])
        inside = (at[..., 1] < radius[:, None]) & (line > low)[:, None]
        distance = torch.maximum(distance, -(to_line(at, open_) * (1 - 2 * inside.to(at)) + wall))
    return Profile(axis, torch.cat([distance.flip(1), distance], 1), widest, low, high)


def smoothest(radii: Tensor) -> Tensor:
    """(N,) the radii with the least bends that are within `TUBE` of these; of many straight lines the nearest."""
    if len(radii) < 3:
        return radii
    given = radii.double().cpu().numpy()
    bends, near = np.diff(np.eye(len(given)), 2, axis=0), NEAREST * np.eye(len(given))
    target = np.concatenate([-bends @ given, np.zeros(len(given))])
    found = lsq_linear(np.concatenate([bends, near]), target, (-TUBE, TUBE), method="trf", lsq_solver="exact", tol=1e-8)
    return radii + torch.from_numpy(found.x).to(radii)


def at_end(line: Tensor, radius: Tensor, height: float) -> Tensor:
    """(1, 2) height and radius where the side ends."""
    place = (height - float(line[0])) / float(line[1] - line[0])
    index = min(max(int(place), 0), len(line) - 2)
    return torch.stack([line.new_tensor(height), torch.lerp(radius[index], radius[index + 1], place - index)])[None]


def to_line(points: Tensor, corners: Tensor) -> Tensor:
    """(H, W) distances of points (H, W, 2) to the line through corners (K, 2)."""
    x, y = corners[:-1].unbind(-1)
    across, along = torch.diff(corners, dim=0).unbind(-1)
    length = (across.square() + along.square()).clamp_min(1e-12)
    nearest = []
    for row in points:  # all at once would take 100 MB
        right, up = row[:, :1] - x, row[:, 1:] - y
        share = ((right * across + up * along) / length).clamp(0, 1)
        nearest.append(((right - share * across).square() + (up - share * along).square()).amin(-1).sqrt())
    return torch.stack(nearest)
