"""The loops of `img23d.ops.patch_match`, compiled (numba; import on use)."""

from __future__ import annotations

import numpy as np

from img23d.ops.compiled import compiled


@compiled
def patch_cost(picture, told, guide, source, source_guide, price, y, x, v, u, half, most):
    """Mean squared difference of two patches where the picture tells anything, with their middles' guides and the copy's price.

    Args:
        picture: (H, W, 3) float32.
        told: (H, W) bool, pixels of it that count.
        guide: (H, W, G) float32.
        source: (h, w, 3) float32.
        source_guide: (h, w, G) float32.
        price: (h, w) float32 of a patch there.
        y: row of the middle in the picture.
        x: column of it.
        v: row in the source.
        u: column in the source.
        half: pixels from the middle of a patch to its edge.
        most: more is not of interest.
    """
    cost = price[v, u]
    for channel in range(guide.shape[2]):
        step = guide[y, x, channel] - source_guide[v, u, channel]
        cost += step * step
    if cost >= most:
        return cost
    low_y, high_y = max(-half, -y), min(half, picture.shape[0] - 1 - y)
    low_x, high_x = max(-half, -x), min(half, picture.shape[1] - 1 - x)
    share = np.float32(1.0 / ((2 * half + 1) * (2 * half + 1)))
    for dy in range(low_y, high_y + 1):
        for dx in range(low_x, high_x + 1):
            if told[y + dy, x + dx]:
                for channel in range(3):
                    step = picture[y + dy, x + dx, channel] - source[v + dy, u + dx, channel]
                    cost += share * step * step
        if cost >= most:
            return cost
    return cost


@compiled
def drawn(state, count):
    """A whole number below a count, by chance: the same on every machine.

    Args:
        state: (1,) uint64 that is not 0, changed in place.
        count: 1 or more.

    Reference: Marsaglia, Xorshift RNGs (2003).
    """
    number = state[0]
    number ^= number << np.uint64(13)
    number ^= number >> np.uint64(7)
    number ^= number << np.uint64(17)
    state[0] = number
    return np.int64(number % np.uint64(count))


@compiled
def try_copy(picture, told, guide, source, source_guide, price, usable, places, costs, y, x, v, u, half):
    """Copy the patch about (v, u) of the source to (y, x) if it can be copied and costs less than what is copied there; see `search`."""
    if v < 0 or u < 0 or v >= usable.shape[0] or u >= usable.shape[1] or not usable[v, u]:
        return
    cost = patch_cost(picture, told, guide, source, source_guide, price, y, x, v, u, half, costs[y, x])
    if cost < costs[y, x]:
        costs[y, x], places[y, x, 0], places[y, x, 1] = cost, v, u


@compiled
def search(picture, told, guide, wanted, source, source_guide, price, usable, spots, places, costs, half, rounds, seed):
    """Improve which patch of the source is most like each wanted one: neighbours' answers, and tries by chance nearer and nearer.

    Args:
        picture: as for `patch_cost`, as the next ones.
        told: see there.
        guide: see there.
        wanted: (K, 2) int32 rows and columns of middles, in raster order.
        source: see there.
        source_guide: see there.
        price: see there.
        usable: (h, w) bool, middles of patches that may be copied.
        spots: (M, 2) int32 the usable ones, to draw from.
        places: (H, W, 2) int32 row and column in the source, changed in place.
        costs: (H, W) float32, huge where nothing is wanted, changed in place.
        half: see there.
        rounds: scans, forth and back by turns.
        seed: of the tries.

    Reference: Barnes et al., PatchMatch (2009), section 3.2.
    """
    state = np.array([2 * seed + 1], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    far = np.float32(1e9)
    for k in range(len(wanted)):
        y, x = wanted[k]
        v, u = places[y, x]
        costs[y, x] = patch_cost(picture, told, guide, source, source_guide, price, y, x, v, u, half, far)
    for turn in range(rounds):
        step = 1 if turn % 2 == 0 else -1
        for k in range(len(wanted)):
            y, x = wanted[k] if step == 1 else wanted[len(wanted) - 1 - k]
            for side in range(2):
                j, i = (y - step, x) if side == 0 else (y, x - step)
                if 0 <= j < costs.shape[0] and 0 <= i < costs.shape[1] and costs[j, i] < far:
                    v, u = places[j, i, 0] + y - j, places[j, i, 1] + x - i
                    try_copy(picture, told, guide, source, source_guide, price, usable, places, costs, y, x, v, u, half)
            for _ in range(2):
                v, u = spots[drawn(state, len(spots))]
                try_copy(picture, told, guide, source, source_guide, price, usable, places, costs, y, x, v, u, half)
            reach = max(usable.shape[0], usable.shape[1]) // 2
            while reach >= 1:
                v = places[y, x, 0] + drawn(state, 2 * reach + 1) - reach
                u = places[y, x, 1] + drawn(state, 2 * reach + 1) - reach
                try_copy(picture, told, guide, source, source_guide, price, usable, places, costs, y, x, v, u, half)
                reach //= 2


@compiled
def vote(shape, wanted, source, places, weights, half, zoom):
    """What copies of patches of the source agree on.

    Args:
        shape: (2,) int of the picture that is made, ``zoom`` times as large as ``places``.
        wanted: (K, 2) int32 middles.
        source: (zoom h, zoom w, 3) float32.
        places: (H, W, 2) int32.
        weights: (H, W) float32 of each copy.
        half: pixels of ``places`` from the middle of a patch to its edge.
        zoom: whole number.

    Returns:
        (shape, 3) float32 weighted means and (shape) float32 sums of weights.
    """
    total, told = np.zeros((shape[0], shape[1], 3), np.float32), np.zeros((shape[0], shape[1]), np.float32)
    low, high, middle, reach = -half * zoom, half * zoom + zoom - 1, (zoom - 1) / 2, zoom * (half + 0.5)
    for k in range(len(wanted)):
        y, x = wanted[k]
        v, u = places[y, x]
        for dy in range(low, high + 1):
            j, q = y * zoom + dy, v * zoom + dy
            if j < 0 or j >= shape[0] or q < 0 or q >= source.shape[0]:
                continue
            for dx in range(low, high + 1):
                i, p = x * zoom + dx, u * zoom + dx
                if i < 0 or i >= shape[1] or p < 0 or p >= source.shape[1]:
                    continue
                up, right = (dy - middle) / reach, (dx - middle) / reach
                weight = weights[y, x] * np.float32(np.exp(-2.0 * (up * up + right * right)))
                told[j, i] += weight
                for channel in range(3):
                    total[j, i, channel] += weight * source[q, p, channel]
    for y in range(shape[0]):
        for x in range(shape[1]):
            if told[y, x] > 0:
                for channel in range(3):
                    total[y, x, channel] /= told[y, x]
    return total, told
