"""Boxes and solids of revolution in place of the network's guess, where photo and network agree with one."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from img23d.priors import frame
from img23d.priors.cuboid import Cuboid, cuboid_distance, find_cuboid
from img23d.priors.shown import BINS, Candidate, Shown, fine_depths, turned_apart, with_parts
from img23d.priors.solid import crossings
from img23d.priors.turned import turned_candidate

if TYPE_CHECKING:
    from img23d.priors.embedded import Prediction

LEAST_OVERLAP = 0.98  # of a box's outline and the silhouette
SQUARE = 18.0  # degrees: largest mean angle between a box's normals and the network's
ROUNDING = 0.02  # of a box's edges, half-widths


def simplified(said: Prediction, fov_known: bool, thinnest: float = 0.0) -> Prediction:
    """The network's answer, or a box or a solid of revolution with its handles, where one of them is what the photo shows.

    Args:
        said: the network's answer.
        fov_known: whether its field of view was told and not guessed.
        thinnest: least thickness of walls, half-widths.
    """
    found = [candidate for candidate in (turned_candidate(said, fov_known, thinnest), box_candidate(said, fov_known)) if candidate]
    return with_parts(said, min(found, key=lambda candidate: candidate.apart)) if found else said


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
    size = said.mask.shape[-1]
    shown = show_box(box, size, said.mask.device)
    apart = turned_apart(said, shown, shown.solid)
    if apart >= SQUARE:
        return None
    volume = exact_box(box, frame.ray_points(box.distance, size, fine_depths(said))) / frame.TRUNCATION
    return Candidate(shown, volume, partial(exact_box, box), box.elevation, box.distance, apart)


def exact_box(box: Cuboid, points: Tensor) -> Tensor:
    """(...) signed distance of a box with rounded edges at points (..., 3)."""
    return cuboid_distance(box, points, ROUNDING)[0]


def show_box(box: Cuboid, size: int, device: torch.device | str = "cpu") -> Shown:
    """Look at a box."""
    depths = torch.linspace(-frame.DEPTH_RANGE, frame.DEPTH_RANGE, BINS, device=device)
    front, back, solid = crossings(exact_box(box, frame.ray_points(box.distance, size, depths)), depths)
    line = frame.ray_points(box.distance, size, depths.new_tensor([0.0, 1.0]))
    points = line[0] + (line[1] - line[0]) * front[..., None]
    return Shown(front, back, solid, cuboid_distance(box, points, ROUNDING)[1])
