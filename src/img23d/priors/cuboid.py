"""The upright box that a silhouette allows: cartons, books, cabinets and blocks are close to theirs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

Array = NDArray[np.float64]
SIZE = 64  # pixels along each side in which outlines are compared
STARTS, KEPT = 9, 5  # turns tried about the upright axis, and how many boxes are followed from there
STEPS, ROUNDS, POLISHED = 20, 400, 2  # how far: steps of least squares, rounds of the simplex, and how often that is started
HOPELESS = 0.95  # of overlap: what is no more like a box after least squares is not looked at longer
FAR_OFF = 0.004  # what 10 degrees of elevation, a field of view half as wide again, or a depth a third off cost of overlap
# Of the numbers of `find_cuboid`: x, y, logarithms of half width, height and depth, turn, tilt, logarithm of the distance.
USUAL = np.array([0.04, 0.04, 0.12, 0.08, 0.12, 0.15, 0.1, 0.2])  # by how much a first guess is off
DIFFERENCES = np.array([0.002, 0.002, 0.004, 0.004, 0.004, 0.004, 0.002, 0.004])  # over which slopes are taken
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


def outline(box: Cuboid, points: Array) -> Array:
    """(SIZE, SIZE) coverage of what a box with these corners (8, 3) shows."""
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

    def cornered(numbers: Array) -> tuple[Cuboid, Array]:
        x, y, a, b, c, turn, tilt, away = numbers
        nearer = 1.0 if distance_known else math.exp(away)
        box = Cuboid((x, y), (math.exp(a), math.exp(b), math.exp(c)), turn, elevation + tilt, distance * nearer)
        return box, box.corners()

    def unusual(points: Array, numbers: Array) -> Array:
        """How far from what was guessed, in units that cost `FAR_OFF`."""
        z = points[:, 2]
        return np.array([numbers[6] / math.radians(10), numbers[7] / math.log(1.5), math.log((z.max() - z.min()) / depth) / 0.3])

    def loss(numbers: Array) -> float:
        box, points = cornered(numbers)
        if too_near(box, points):
            return 2.0
        return 1.0 - overlap(outline(box, points), small) + FAR_OFF * float(np.square(unusual(points, numbers)).sum())

    def residuals(numbers: Array) -> Array:
        box, points = cornered(numbers)
        if too_near(box, points):
            return np.ones(SIZE * SIZE + 3)
        apart = (outline(box, points) - small).ravel() / math.sqrt(small.sum())
        return np.concatenate([apart, math.sqrt(FAR_OFF) * unusual(points, numbers)])

    def slopes(numbers: Array) -> Array:
        # scipy's own steps are shares of the numbers, which may be 0: smaller than any pixel tells
        return np.stack([(residuals(numbers + step) - residuals(numbers - step)) / (2 * step.sum()) for step in np.diag(DIFFERENCES)], 1)

    starts = sorted(first_guesses(centre, wide, tall, elevation), key=loss)
    # Outlines are told apart by single pixels: a simplex alone may stop long before it has reached the box.
    found = [least_squares(residuals, start, slopes, x_scale=USUAL, max_nfev=STEPS).x for start in starts[:KEPT]]
    best = min(found, key=loss)
    for _ in range(POLISHED if overlap(outline(*cornered(best)), small) > HOPELESS else 0):
        simplex = best + np.concatenate([np.zeros((1, 8)), np.diag(USUAL / 2)])
        settings = {"maxiter": ROUNDS, "fatol": 1e-4, "xatol": 1e-3, "initial_simplex": simplex}
        best = minimize(loss, best, method="Nelder-Mead", options=settings).x
    box, points = cornered(best)
    return box, overlap(outline(box, points), small)


def too_near(box: Cuboid, points: Array) -> bool:
    """Whether a box with these corners (8, 3) reaches up to the camera."""
    return bool(box.distance - points[:, 2].max() < 0.3)


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
