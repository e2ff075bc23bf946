"""The loop of `img23d.priors.backdrop`, compiled (numba; import on use)."""

from __future__ import annotations

import numpy as np

from img23d.ops.compiled import compiled

_FAR = np.float32(1e9)


@compiled
def barrier_distance(plane, seeds, sweeps):
    """How large a step in value every way from a pixel to the nearest seeds has at least.

    Args:
        plane: (H, W) float32.
        seeds: (H, W) bool.
        sweeps: raster scans there and back; two come close to what more would give.

    Returns:
        (H, W) float32: largest less smallest value along the way for which that is least; huge where there is no seed.

    Reference: Strand, Ciesielski, Malmberg, Saha, The minimum barrier distance (2013); Zhang et al., Minimum barrier salient object
    detection at 80 FPS (2015), algorithm 1.
    """
    height, width = plane.shape
    distance, high, low = np.empty((height, width), np.float32), plane.copy(), plane.copy()
    for y in range(height):
        for x in range(width):
            distance[y, x] = np.float32(0.0) if seeds[y, x] else _FAR
    for scan in range(2 * sweeps):
        back = scan % 2 == 1
        for row in range(height):
            for column in range(width):
                y, x, before = row, column, -1
                if back:
                    y, x, before = height - 1 - row, width - 1 - column, 1
                for side in range(2):
                    v, u = (y + before, x) if side else (y, x + before)
                    if v < 0 or u < 0 or v >= height or u >= width or distance[v, u] >= distance[y, x]:
                        continue
                    top, bottom = max(high[v, u], plane[y, x]), min(low[v, u], plane[y, x])
                    if top - bottom < distance[y, x]:
                        distance[y, x], high[y, x], low[y, x] = top - bottom, top, bottom
    return distance
