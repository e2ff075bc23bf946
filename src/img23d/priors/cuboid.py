"""The upright box that a silhouette allows: cartons, books, cabinets and blocks are close to theirs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

Array = NDArray[np.float64]
SIZE = 64  # pixels along each side in which outlines are compared
STARTS, KEPT, ROUNDS = 9, 3, 400  # turns tried about the upright axis, how many of them are followed, and how far
FAR_OFF = 0.004  # what 10 degrees of elevation, a field of view half as wide again, or a depth a third off cost of overlap
SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


class Cuboid(NamedTuple):
    """An upright box in the frame of a crop (see `img23d.priors.frame`)."""

    centre: tuple[float, float]  # x and y at mid-depth
    half: tuple[float, float, float]  # half its width, height and depth, half-widths of the crop
    turn: float  # radians about the upright axis
    elevation: float  # radians of the camera above the horizon
    distance: float  # from the camera to mid-depth

    def axes(self) -> Array:
        """(3, 3) rows: along its width, height and depth."""
        c, s, e, f = math.cos(self.turn), math.sin(self.turn), math.cos(self.elevation), math.sin(self.elevation)
        right, up, away = np.array([1.0, 0, 0]), np.array([0, e, f]), np.array([0, f, -e])
        return np.stack([c * right + s * away, up, c * away - s * right])

    def corners(self) -> Array:
        """(8, 3) in the frame of the crop."""
        return (SIGNS * np.array(self.half)) @ self.axes() + np.array([*self.centre, 0.0])


def outline(box: Cuboid) -> Array:
    """(SIZE, SIZE) coverage of what a box shows."""
    points = box.corners()
    seen = points[:, :2] * (box.distance / np.maximum(box.distance - points[:, 2:], 0.05))
    try:
        planes = ConvexHull(seen).equations
    except QhullError:  # nothing but a line
        return np.zeros((SIZE, SIZE))
    line = (np.arange(SIZE) + 0.5) * (2 / SIZE) - 1
    far = planes[:, 0, None, None] * line + planes[:, 1, None, None] * -line[:, None] + planes[:, 2, None, None]
    covered: Array = np.clip(0.5 - far.max(0) * (SIZE / 2), 0, 1)
    return covered


def find_cuboid(mask: Tensor, elevation: float, distance: float, distance_known: bool, depth: float) -> tuple[Cuboid, float]:
    """The box whose outline overlaps most with a silhouette.

    Args:
        mask: (S, S) coverage.
        elevation: radians, a guess.
        distance: from the camera to mid-depth, half-widths.
        distance_known: whether that is more than a guess.
        depth: a guess of the object's extent in depth, half-widths.

    Returns:
        The box, and intersection over union of both outlines.
    """
    small = F.interpolate(mask[None, None], size=(SIZE, SIZE), mode="area")[0, 0].double().cpu().numpy()
    rows, columns = np.nonzero(small.max(1) > 0.5)[0], np.nonzero(small.max(0) > 0.5)[0]
    if len(rows) < 4 or len(columns) < 4:
        return Cuboid((0.0, 0.0), (1.0, 1.0, 1.0), 0.0, elevation, distance), 0.0
    tall, wide = (len(rows) / SIZE, len(columns) / SIZE)
    centre = ((columns[0] + columns[-1] + 1) / SIZE - 1, 1 - (rows[0] + rows[-1] + 1) / SIZE)

    def box_of(numbers: Array) -> Cuboid:
        x, y, a, b, c, turn, tilt, away = numbers
        return Cuboid((x, y), (math.exp(a), math.exp(b), math.exp(c)), turn, elevation + tilt, distance * math.exp(away))

    def loss(numbers: Array) -> float:
        box = box_of(numbers)
        if distance_known:
            box = box._replace(distance=distance)
        z = box.corners()[:, 2]
        if box.distance - z.max() < 0.3:
            return 2.0
        off = (numbers[6] / math.radians(10)) ** 2 + (numbers[7] / math.log(1.5)) ** 2 + (math.log((z.max() - z.min()) / depth) / 0.3) ** 2
        return 1.0 - overlap(outline(box), small) + FAR_OFF * off

    starts = sorted(first_guesses(centre, wide, tall, elevation), key=loss)
    simplex = np.concatenate([np.zeros((1, 8)), np.diag([0.04, 0.04, 0.12, 0.08, 0.12, 0.15, 0.1, 0.2])])
    settings = {"maxiter": ROUNDS, "fatol": 1e-4, "xatol": 1e-3}
    found = [
        minimize(loss, start, method="Nelder-Mead", options={**settings, "initial_simplex": start + simplex}) for start in starts[:KEPT]
    ]
    best = min(found, key=lambda result: float(result.fun))
    # Its simplex may have shrunk before it got there: a fresh one about the best reaches the same box from different guesses.
    best = minimize(loss, best.x, method="Nelder-Mead", options={**settings, "initial_simplex": best.x + simplex / 2})
    box = box_of(best.x)
    box = box._replace(distance=distance) if distance_known else box
    return box, overlap(outline(box), small)


def first_guesses(centre: tuple[float, float], wide: float, tall: float, elevation: float) -> list[Array]:
    """Boxes of some proportions and turns that are as wide and as tall as the silhouette, as numbers for `find_cuboid`."""
    guesses = []
    for turn in np.arange(STARTS) * (math.pi / 2 / STARTS):
        for a, c in ((1.0, 1.0), (1.0, 0.4), (0.4, 1.0)):
            size = wide / (a * math.cos(turn) + c * math.sin(turn))
            top = (a + c) / 2 * size * abs(math.sin(elevation))
            height = max(tall - top, 0.2 * tall) / math.cos(elevation)
            guesses.append(np.array([*centre, math.log(a * size), math.log(height), math.log(c * size), turn, 0.0, 0.0]))
    return guesses


def overlap(first: Array, second: Array) -> float:
    """Intersection over union of two coverages."""
    return float(np.minimum(first, second).sum() / max(np.maximum(first, second).sum(), 1e-9))


def cuboid_distance(box: Cuboid, points: Tensor, rounding: float) -> tuple[Tensor, Tensor]:
    """Signed distance (...) and its unit gradient (..., 3) of a box with rounded edges at points (..., 3), all in the frame of the crop.

    Reference: Quilez, Distance functions, the exact rounded box.
    """
    axes = torch.from_numpy(box.axes()).to(points)
    half = points.new_tensor(box.half)
    rounding = min(rounding, 0.5 * float(half.min()))
    local = (points - points.new_tensor([*box.centre, 0.0])) @ axes.T
    beyond = local.abs() - (half - rounding)
    out = beyond.clamp(min=0)
    distance = out.norm(dim=-1) + beyond.amax(-1).clamp(max=0) - rounding
    inner = F.one_hot(beyond.argmax(-1), 3).to(points)
    slope = torch.where((out.sum(-1) > 0)[..., None], out, inner) * local.sign()
    return distance, F.normalize(slope, dim=-1, eps=1e-9) @ axes
