"""The lower envelope of equal parabolas along lines, compiled (numba; import on use)."""

from __future__ import annotations

import numpy as np

from img23d.ops.compiled import compiled


@compiled
def lower_envelope(values, out):
    """Fill ``out`` with ``min over q of (p - q)^2 + values(q)`` along each line, in time proportional to its length.

    Args:
        values: (L, n) finite numbers of L lines.
        out: (L, n) of the same kind.

    Reference:
        Felzenszwalb and Huttenlocher, Distance transforms of sampled functions (2012), algorithm 1.
    """
    lines, length = values.shape
    lowest, begins = np.empty(length, np.int64), np.empty(length + 1)  # the parabolas of the envelope, and where each begins
    for line in range(lines):
        row, count = values[line], 0
        for q in range(length):
            begin = -np.inf
            while count > 0:
                before = lowest[count - 1]
                begin = 0.5 * ((np.float64(row[q]) - np.float64(row[before])) / (q - before) + (q + before))
                if begin > begins[count - 1]:
                    break
                count -= 1
                begin = -np.inf
            lowest[count], begins[count] = q, begin
            count += 1
        k = 0
        for p in range(length):
            while k + 1 < count and begins[k + 1] < p:
                k += 1
            out[line, p] = (p - lowest[k]) * (p - lowest[k]) + row[lowest[k]]
