"""What a vessel has painted round it, carried on to where neither the photo nor its image shows it: lines go on as lines.

Its outer side is unrolled to a picture of heights by azimuths. Where that has a gap, the columns on both sides are aligned from bottom to
top, in a wide gap with what is typical of each height, and each of their colours runs to its height there. Of an inner side one sees too
little: it ends in highlights and at the edge of what hides it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img23d.ops.fill import Layer, Surface
from img23d.ops.unseen import Points

ROWS, COLUMNS = 192, 360
# Cosine from which a point faces away from the axis, how far one may be from the solid of revolution and belong to it, object units, and
# share of such a side's area that must.
FACES, OFF, MOST = 0.3, 0.03, 0.7
# A row of a column is known from this trust on, and a column from this share of its rows.
SURE, TOLD = 0.8, 0.7
# Widest and narrowest gap that is filled, what is taken for its border, and how far borders are looked for; columns.
WIDEST, NARROWEST, BORDER, FAR = 300, 4, 3, 60
# Over so many columns a border's column becomes what is typical of the rows, which are looked at in one of so many columns; colours alike.
SETTLED, EVERY, ALIKE = 30, 4, 0.15
# Colours change over so many pixels by more than this (root sum square of sRGB). Where they do so at less than this share of all places on
# the way round, a picture or lines are painted, and at less than so much of the share on the way up, lines that go round.
STEP, CHANGED, DENSE, LINED = 3, 0.06, 0.25, 0.9
# How far apart texels may be in the unrolled picture, pixels.
HOLE = 4
# Heights that are aligned differ by at most this share of all; what a row that stays behind costs, beside differences of colour, and what
# any pair costs.
FARTHEST, BEHIND, PAIR = 0.25, 0.02, 0.002


class Side(NamedTuple):
    """The outer side of a solid of revolution: a point of its axis, and radii (ROWS,) from the lowest height to the highest."""

    center: Tensor
    low: float
    high: float
    radius: np.ndarray


class Places(NamedTuple):
    """Where points (P,) are in the unrolled picture, in pixels, and which of them lie on that side (P,) bool."""

    row: np.ndarray
    column: np.ndarray
    on: np.ndarray


def carried_round(surface: Surface, vertices: Points, texels: Points, rgb: Tensor, known: Tensor, center: Tensor) -> Layer | None:
    """What is painted round a solid of revolution, where it is not known.

    Args:
        surface: N vertices, P texels.
        vertices: places and normals of the N vertices.
        texels: places and normals of the P texels.
        rgb: (P, 3) their colours, as far as they are known.
        known: (P,) 0..1, how far that is.
        center: (3,) a point of the upright axis.

    Returns:
        A layer that is trusted in gaps only; None where there are none, no round side, or nothing that goes round it.
    """
    side = round_side(vertices, surface.membrane.mass, center)
    if side is None:
        return None
    places = unrolled(vertices, side), unrolled(texels, side)
    picture, told = collected(places[1], rgb.cpu().numpy(), known.cpu().numpy())
    filled, gaps = without_gaps(picture, told)
    if not gaps.any() or not runs_round(picture, told > SURE):
        return None
    found: list[Tensor] = []
    for place, points in zip(places, (vertices, texels)):
        on = torch.from_numpy(place.on).to(rgb.device)
        made, trust = torch.zeros_like(points.position), torch.zeros_like(points.position[:, 0])
        made[on] = torch.from_numpy(looked_up(filled, place)).to(made)
        trust[on] = torch.from_numpy(gaps[place.row[place.on].astype(int), place.column[place.on].astype(int)]).to(trust)
        found.extend((made, trust))
    return Layer(*found)


def round_side(points: Points, mass: np.ndarray, center: Tensor) -> Side | None:
    """The outer side of a solid of revolution; None if too little of what faces outwards is on one.

    Args:
        points: on the surface.
        mass: (N,) their areas.
        center: (3,) a point of the axis.
    """
    height, radius, _, facing = round_axis(points, center)
    faces = facing > FACES
    if int(faces.sum()) < ROWS:
        return None
    mass, height, radius = mass[faces], height[faces], radius[faces]
    low, high = np.quantile(height, [0.002, 0.998])
    row = row_of(height, low, high).astype(int)
    order = np.lexsort((radius, row))
    begins = np.searchsorted(row[order], np.arange(ROWS + 1))
    used = np.flatnonzero(np.diff(begins))
    middle = radius[order[(begins[used] + begins[used + 1]) // 2]]  # handles and spouts are the lesser part of a height
    profile = np.interp(np.arange(ROWS), used, middle)
    on = np.abs(radius - profile[row]) < OFF
    return Side(center, float(low), float(high), profile) if mass[on].sum() > MOST * mass.sum() else None


def round_axis(points: Points, center: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Heights, radii and azimuths 0..1 of points about an upright axis, and the cosine between their normals and the way from it."""
    away = (points.position - center).cpu().double().numpy()
    normal = points.normal.cpu().double().numpy()
    radius = np.hypot(away[:, 0], away[:, 2])
    facing = (away[:, 0] * normal[:, 0] + away[:, 2] * normal[:, 2]) / np.maximum(radius, 1e-9)
    return points.position[:, 1].cpu().double().numpy(), radius, np.arctan2(away[:, 0], away[:, 2]) / (2 * np.pi) % 1, facing


def row_of(height: np.ndarray, low: float, high: float) -> np.ndarray:
    """Rows of heights, in pixels, the nearest one of what is above or below."""
    return np.clip((height - low) / max(high - low, 1e-6) * ROWS, 0, ROWS - 1e-6)


def unrolled(points: Points, side: Side) -> Places:
    """Where points lie in the unrolled picture of a side."""
    height, radius, azimuth, facing = round_axis(points, side.center)
    row = row_of(height, side.low, side.high)
    on = (facing > FACES) & (np.abs(radius - side.radius[row.astype(int)]) < OFF)
    return Places(row, np.minimum(azimuth * COLUMNS, COLUMNS - 1e-6), on)


def collected(place: Places, rgb: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unrolled picture (ROWS, COLUMNS, 3) of colours, and how far they are known (ROWS, COLUMNS).

    A pixel without texels, as a coarse atlas leaves many, is as known as the nearest one if that is no farther than `HOLE`. One without a
    known colour has that of the nearest with one, so that nothing black is mixed into what lies beside it.
    """
    from scipy.ndimage import distance_transform_edt

    pixel = place.row[place.on].astype(int) * COLUMNS + place.column[place.on].astype(int)
    trust = known[place.on].astype(np.float64)

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(pixel, values, ROWS * COLUMNS)

    count, total = sums(np.ones_like(trust)).reshape(ROWS, COLUMNS), sums(trust)
    picture = np.stack([sums(trust * channel) / np.maximum(total, 1e-9) for channel in rgb[place.on].T.astype(np.float64)], -1)
    told = total.reshape(ROWS, COLUMNS) / np.maximum(count, 1)
    apart, nearest = distance_transform_edt(count == 0, return_indices=True)
    colored = distance_transform_edt(total.reshape(ROWS, COLUMNS) == 0, return_distances=False, return_indices=True)
    return picture.reshape(ROWS, COLUMNS, 3)[tuple(colored)], np.where(apart <= HOLE, told[tuple(nearest)], 0.0)


def without_gaps(picture: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture (ROWS, COLUMNS, 3) with its gaps filled, and where those are (ROWS, COLUMNS) 0 or 1.

    A gap has all columns in which few rows are known, and of those the rows that are known on both sides of it.
    """
    sure = told > SURE
    rows = sure.any(1)
    gap = sure[rows].mean(0) < TOLD if rows.any() else np.ones(COLUMNS, dtype=bool)
    filled, gaps = picture.copy(), np.zeros((ROWS, COLUMNS))
    if gap.all() or not gap.any():
        return filled, gaps
    middle = typical(picture, sure)
    first = int(np.flatnonzero(~gap)[0])  # the picture is a ring: none of its gaps shall be cut in two
    bounds = np.flatnonzero(np.diff(np.roll(gap, -first).astype(int), append=0)) + 1 + first
    for start, stop in zip(bounds[::2], bounds[1::2]):
        columns = np.arange(start, stop) % COLUMNS
        (one, known), (other, also) = border(picture, sure, start - 1, -1), border(picture, sure, stop, 1)
        if NARROWEST <= len(columns) <= WIDEST and (known & also).any():
            filled[:, columns] = across(one, middle, other, len(columns))
            gaps[np.ix_(known & also, columns)] = 1.0
    return filled, gaps


def runs_round(picture: np.ndarray, sure: np.ndarray) -> bool:
    """Whether what is known of a picture (ROWS, COLUMNS, 3) can go on round the side: lines and single things, but not leaves or flutes."""
    up = np.linalg.norm(picture[STEP:] - picture[:-STEP], axis=-1)[sure[STEP:] & sure[:-STEP]]
    along = np.linalg.norm(np.roll(picture, -STEP, 1) - picture, axis=-1)[np.roll(sure, -STEP, 1) & sure]
    if not len(up) or not len(along):
        return True
    dense = float((along > CHANGED).mean())
    return dense < DENSE or dense < LINED * float((up > CHANGED).mean())


def border(picture: np.ndarray, sure: np.ndarray, first: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The column beside a gap, (ROWS, 3), and where it is known (ROWS,) bool, if only farther on or some rows above or below."""
    found, count = np.zeros((ROWS, 3)), np.zeros(ROWS)
    for away in range(FAR):
        column = (first + step * away) % COLUMNS
        use = sure[:, column] & ((away < BORDER) | (count == 0))
        found[use] += picture[use, column]
        count[use] += 1
    given, rows = np.flatnonzero(count), np.arange(ROWS)
    if not len(given):
        return found, count > 0
    means = found[given] / count[given, None]
    apart = np.abs(rows - given[np.abs(rows[:, None] - given).argmin(1)])
    return np.stack([np.interp(rows, given, channel) for channel in means.T], -1), apart <= HOLE


def typical(picture: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """(ROWS, 3) of each row the mean of known colours like the one nearest to all: what is only beside a gap does not go all round."""
    columns = np.flatnonzero(sure.any(0))[::EVERY]
    picture, sure = picture[:, columns], sure[:, columns]
    apart = np.linalg.norm(picture[:, :, None] - picture[:, None], axis=-1) @ sure[..., None]
    middle = picture[np.arange(ROWS), np.where(sure, apart[..., 0], np.inf).argmin(1)]
    alike = sure & (np.linalg.norm(picture - middle[:, None], axis=-1) < ALIKE)
    rows = np.flatnonzero(sure.any(1))
    means = ((picture * alike[..., None]).sum(1)[rows] / alike.sum(1)[rows, None]).T
    return np.stack([np.interp(np.arange(ROWS), rows, channel) for channel in means], -1)


def across(one: np.ndarray, middle: np.ndarray, other: np.ndarray, count: int) -> np.ndarray:
    """(ROWS, count, 3) what lies between two columns (ROWS, 3): in the middle of a wide gap a third."""
    if count <= 2 * SETTLED:
        return between(one, other, count)
    rest = np.repeat(middle[:, None], count - 2 * SETTLED, 1)
    return np.concatenate([between(one, middle, SETTLED), rest, between(middle, other, SETTLED)], 1)


def between(one: np.ndarray, other: np.ndarray, count: int) -> np.ndarray:
    """(ROWS, count, 3) how one column (ROWS, 3) becomes another."""
    first, second = aligned(one, other)
    made = np.empty((ROWS, count, 3))
    for column in range(count):
        share = (column + 0.5) / count
        share = share * share * (3 - 2 * share)  # lines leave the borders level
        heights, colors = (1 - share) * first + share * second, (1 - share) * one[first] + share * other[second]
        made[:, column] = np.stack([np.interp(np.arange(ROWS), heights, channel) for channel in colors.T], -1)
    return made


def aligned(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two columns (ROWS, 3) that belong together, (K,) and (K,), never falling, from the first of both to the last of both.

    Reference: Sakoe and Chiba, Dynamic programming algorithm optimization for spoken word recognition (1978), with a window.
    """
    reach = int(FARTHEST * ROWS)
    cost = np.linalg.norm(one[:, None] - other[None], axis=-1) + PAIR
    total = np.full((ROWS + 1, ROWS + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(ROWS):
        low, high = max(0, i - reach), min(ROWS, i + reach + 1)
        before = np.minimum(total[i, low:high], total[i, low + 1 : high + 1] + BEHIND).tolist()
        best, row = float("inf"), []
        for start, price in zip(before, cost[i, low:high].tolist()):
            best = min(start, best + BEHIND) + price
            row.append(best)
        total[i + 1, low + 1 : high + 1] = row
    i, j, path = ROWS - 1, ROWS - 1, [(ROWS - 1, ROWS - 1)]
    while i or j:
        i, j = min((total[i, j], i - 1, j - 1), (total[i, j + 1] + BEHIND, i - 1, j), (total[i + 1, j] + BEHIND, i, j - 1))[1:]
        path.append((i, j))
    first, second = np.array(path[::-1]).T
    return first, second


def looked_up(picture: np.ndarray, place: Places) -> np.ndarray:
    """(K, 3) colours of the points that lie on the side."""
    from scipy.ndimage import map_coordinates

    ring = np.concatenate([picture[:, -1:], picture, picture[:, :1]], 1)
    where = np.stack([place.row[place.on] - 0.5, place.column[place.on] + 0.5])
    return np.stack([map_coordinates(ring[..., axis], where, order=1, mode="nearest") for axis in range(3)], -1)
