"""Putting splats together, compiled by numba: the same pictures and gradients as `img23d.ops.splat` on a CPU, much faster."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable
from numpy.typing import NDArray
from torch import Tensor

from img23d.ops.compiled import compiled
from img23d.ops.splat import FAINTEST, LEAST_LIGHT, MOST_OPAQUE, TILE, Footprints, tile_lists

PER_THREAD = 4
"""Pieces of work for each thread: tiles cost very different times."""
ELLIPSE = 6
"""Numbers of an ellipse that have a gradient: x, y; xx, xy, yy; opacity."""


def draw_tiles(first, last, index, starts, ellipses, reach, values, image, left, stops):  # type: ignore[no-untyped-def]
    """Draw some tiles.

    Args:
        first, last: from which tile to before which.
        index, starts: lists of `img23d.ops.splat.tile_lists`.
        ellipses: (M, 6) x, y; xx, xy, yy; opacity.
        reach: (M, 2).
        values: (M, C).
        image: (H, W, C), zero; written.
        left: (H, W) light that comes through everything, one; written.
        stops: (H, W) the first entry of the tile's list that a pixel leaves out, as all after it; written.
    """
    height, width = left.shape
    across = -(-width // TILE)
    for tile in range(first, last):
        top, side = tile // across * TILE, tile % across * TILE
        bottom, end = min(top + TILE, height), min(side + TILE, width)
        stops[top:bottom, side:end] = starts[tile + 1]
        open_pixels = (bottom - top) * (end - side)
        for entry in range(starts[tile], starts[tile + 1]):
            if open_pixels == 0:
                break
            one = index[entry]
            x, y, opacity = ellipses[one, 0], ellipses[one, 1], ellipses[one, 5]
            xx, xy, yy = ellipses[one, 2], ellipses[one, 3], ellipses[one, 4]
            low, high = between(y, reach[one, 1], top, bottom)
            most = 2 * math.log(opacity / FAINTEST)
            for row in range(low, high):
                dy = row + 0.5 - y
                begin, finish = chord(x, xx, xy, yy, dy, most, side, end)
                for column in range(begin, finish):
                    dx = column + 0.5 - x
                    distance = xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy
                    if stops[row, column] <= entry or distance > most:
                        continue
                    alpha = min(opacity * math.exp(-0.5 * distance), MOST_OPAQUE)
                    before = left[row, column]
                    after = before * (1 - alpha)
                    if after < LEAST_LIGHT:
                        stops[row, column] = entry
                        open_pixels -= 1
                        continue
                    for channel in range(values.shape[1]):
                        image[row, column, channel] += alpha * before * values[one, channel]
                    left[row, column] = after


def pull_tiles(first, last, index, starts, ellipses, reach, values, left, stops, image_grad, cover_grad, pulls):  # type: ignore[no-untyped-def]
    """Gradients of `draw_tiles`: from the last Gaussian of a pixel to its first, taking the light back that each held off.

    Args:
        first, last, index, starts, ellipses, reach, values, left, stops: as there.
        image_grad: (H, W, C) gradient of the image.
        cover_grad: (H, W) gradient of the coverage, one less ``left``.
        pulls: (E, 6 + C) gradients of the ellipse and the values of each entry, zero; written.
    """
    height, width = left.shape
    across, channels = -(-width // TILE), values.shape[1]
    before, behind = np.empty((TILE, TILE)), np.empty((TILE, TILE))
    for tile in range(first, last):
        top, side = tile // across * TILE, tile % across * TILE
        bottom, end = min(top + TILE, height), min(side + TILE, width)
        for row in range(top, bottom):
            for column in range(side, end):
                before[row - top, column - side] = left[row, column]
                behind[row - top, column - side] = -cover_grad[row, column] * left[row, column]
        for entry in range(starts[tile + 1] - 1, starts[tile] - 1, -1):
            one = index[entry]
            x, y, opacity = ellipses[one, 0], ellipses[one, 1], ellipses[one, 5]
            xx, xy, yy = ellipses[one, 2], ellipses[one, 3], ellipses[one, 4]
            low, high = between(y, reach[one, 1], top, bottom)
            most = 2 * math.log(opacity / FAINTEST)
            for row in range(low, high):
                dy = row + 0.5 - y
                begin, finish = chord(x, xx, xy, yy, dy, most, side, end)
                for column in range(begin, finish):
                    dx = column + 0.5 - x
                    distance = xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy
                    if stops[row, column] <= entry or distance > most:
                        continue
                    fall = math.exp(-0.5 * distance)
                    alpha = min(opacity * fall, MOST_OPAQUE)
                    light = before[row - top, column - side] / (1 - alpha)
                    before[row - top, column - side] = light
                    shown = 0.0
                    for channel in range(channels):
                        shown += values[one, channel] * image_grad[row, column, channel]
                        pulls[entry, ELLIPSE + channel] += alpha * light * image_grad[row, column, channel]
                    pull = light * shown - behind[row - top, column - side] / (1 - alpha)
                    behind[row - top, column - side] += alpha * light * shown
                    if opacity * fall > MOST_OPAQUE:
                        continue
                    pulls[entry, 5] += pull * fall
                    outward = -0.5 * alpha * pull
                    pulls[entry, 0] -= outward * 2 * (xx * dx + xy * dy)
                    pulls[entry, 1] -= outward * 2 * (xy * dx + yy * dy)
                    pulls[entry, 2] += outward * dx * dx
                    pulls[entry, 3] += outward * 2 * dx * dy
                    pulls[entry, 4] += outward * dy * dy


@register_jitable
def between(middle, reach, first, last):  # type: ignore[no-untyped-def]
    """The first pixel whose centre lies within reach, and the one behind the last; from ``first`` to before ``last``."""
    return int(max(math.ceil(middle - reach - 0.5), first)), int(min(math.floor(middle + reach - 0.5) + 1, last))


@register_jitable
def chord(x, xx, xy, yy, dy, most, first, last):  # type: ignore[no-untyped-def]
    """As `between`, for the part of a row that lies in the ellipse: narrow slanted ones fill little of their box."""
    root = xy * dy * xy * dy - xx * (yy * dy * dy - most)
    return between(x - xy * dy / xx, math.sqrt(max(root, 0.0)) / xx + 1e-6, first, last)


def add_entries(index, pulls, total):  # type: ignore[no-untyped-def]
    """Sum what the tiles found for each Gaussian, always in the same order: the same bytes with any number of threads."""
    for entry in range(len(index)):
        for column in range(pulls.shape[1]):
            total[index[entry], column] += pulls[entry, column]


@functools.cache
def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """One of the loops, compiled."""
    return compiled(function)


def composite(seen: Footprints, height: int, width: int) -> tuple[Tensor, Tensor]:
    """As `img23d.ops.splat.composite_tiles`, on the CPU with as many threads as torch uses."""
    ellipses = torch.cat([seen.center, seen.conic, seen.opacity[:, None]], 1)
    image, coverage = _Composite.apply(ellipses, seen.values, seen, height, width)
    return image, coverage


class _Composite(torch.autograd.Function):
    """The picture, and how it changes with ellipses and values."""

    @staticmethod
    def forward(ctx: Any, ellipses: Tensor, values: Tensor, seen: Footprints, height: int, width: int) -> tuple[Tensor, Tensor]:
        index, starts = (part.numpy() for part in tile_lists(seen, height, width))
        given = [_array(ellipses), _array(seen.reach), _array(values)]
        image, left = np.zeros((height, width, values.shape[1])), np.ones((height, width))
        stops = np.zeros((height, width), np.int64)
        _in_pieces(kernel(draw_tiles), starts, index, starts, *given, image, left, stops)
        ctx.kept = index, starts, *given, left, stops
        ctx.dtype = ellipses.dtype
        return torch.from_numpy(image).to(values.dtype), torch.from_numpy(1 - left).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        index, starts, ellipses, _, values, *_ = ctx.kept
        pulls = np.zeros((len(index), ELLIPSE + values.shape[1]))
        _in_pieces(kernel(pull_tiles), starts, *ctx.kept, _array(grads[0]), _array(grads[1]), pulls)
        total = np.zeros((len(ellipses), pulls.shape[1]))
        kernel(add_entries)(index, pulls, total)
        both = torch.from_numpy(total).to(ctx.dtype)
        return both[:, :ELLIPSE], both[:, ELLIPSE:], None, None, None


def _array(values: Tensor) -> NDArray[np.float64]:
    """The numbers in double precision: fewer kernels to compile, and no slower on a CPU."""
    return np.ascontiguousarray(values.detach().to(torch.float64).numpy())


def _in_pieces(work: Callable[..., None], starts: NDArray[np.int64], *arguments: Any) -> None:
    """Run a loop over all tiles, some of them at a time in each thread; pieces hold about as many entries as each other."""
    tiles, threads = len(starts) - 1, torch.get_num_threads()
    if threads == 1:
        work(0, tiles, *arguments)
        return
    pieces = threads * PER_THREAD
    cuts = np.searchsorted(starts + np.arange(tiles + 1), np.arange(1, pieces) * (starts[-1] + tiles) / pieces)
    edges = [0, *cuts.tolist(), tiles]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda piece: work(*piece, *arguments), itertools.pairwise(edges)))
