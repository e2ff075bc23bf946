"""Edge collapses in order of quadric error that keep a closed manifold mesh closed and manifold (numba; import on use).

Half-edge 3 f + i is the side of face f that starts at its corner i; ``start`` is its first vertex, ``twin`` the same side seen
from the neighbouring face, ``out`` one half-edge that leaves each vertex.

Numbers are read one by one: expressions of whole arrays, however short, take numba several times as long to compile.
"""

from __future__ import annotations

import heapq

import numpy as np

from img23d.ops.compiled import compiled

_PULL = 1e-3  # how strongly the new vertex is drawn to the edge's middle, relative to the quadric; decides on flat ground
_THIN = 0.02  # triangles may not become thinner than this shape quality (1 is equilateral), nor thin ones three times thinner
_TINY = 0.01  # edges below this part of the mean length are noise: collapsing them moves nothing that can be seen


@compiled
def collapse_edges(position, start, twin, alive, free, target, min_cos, worth):
    """Collapse edges, cheapest first, until ``target`` faces are alive or no edge may be collapsed.

    Args:
        position: (N, 3) float64, changed in place.
        start: (3 F,) int64, changed in place.
        twin: (3 F,) int64, changed in place.
        alive: (F,) bool, changed in place.
        free: (F,) bool, the faces whose edges may be collapsed.
        target: number of faces to reach.
        min_cos: smallest allowed cosine between a face's normal before and after a collapse; -2 for any.
        worth: (F,) float64, what squared distances from each face count.

    Returns:
        Number of faces alive.

    Reference: Garland and Heckbert, Surface Simplification Using Quadric Error Metrics (1997); link condition of Dey et al.,
        Topology Preserving Edge Contraction (1999).
    """
    quadric, out = _quadrics(position, start, alive, worth), _outgoing(len(position), start, alive)
    version, mark = np.zeros(len(position), np.int64), np.full(len(position), -1, np.int64)
    tiny = _TINY * _mean_length(position, start, alive)
    heap = _all_edges(position, quadric, start, twin, alive, free)
    count, tries = _count(alive), 0
    while count > target and len(heap) > 0:
        _, h, version_u, version_v = heapq.heappop(heap)
        u, v = start[h], start[_next(h)]
        if not alive[h // 3] or version[u] != version_u or version[v] != version_v:
            continue
        tries += 1
        if not _link_is_simple(h, start, twin, out, mark, tries):
            continue
        _, x, y, z = _best(position, quadric, u, v)
        if _length(position, u, v) > tiny and (
            _bends(u, v, x, y, z, position, start, twin, out, min_cos) or _bends(v, u, x, y, z, position, start, twin, out, min_cos)
        ):
            continue
        _collapse(h, start, twin, out, alive)
        position[v, 0], position[v, 1], position[v, 2] = x, y, z
        for term in range(10):
            quadric[v, term] += quadric[u, term]
        version[v] += 1
        version[u] += 1
        count -= 2
        _push_around(v, heap, position, quadric, version, start, twin, out)
    return count


@compiled
def _all_edges(position, quadric, start, twin, alive, free):
    """The heap of (cost, half-edge, version of its start, version of its end), one per edge of the living faces that are free."""
    heap = [(0.0, 0, 0, 0)]
    heap.pop()
    for h in range(len(start)):
        if alive[h // 3] and free[h // 3] and h < twin[h]:
            heap.append((_best(position, quadric, start[h], start[_next(h)])[0], h, 0, 0))
    heapq.heapify(heap)
    return heap


@compiled
def _push_around(vertex, heap, position, quadric, version, start, twin, out):
    """Put all edges of a changed vertex on the heap; their older entries carry an older version and will be skipped."""
    h = out[vertex]
    while True:
        other = start[_next(h)]
        heapq.heappush(heap, (_best(position, quadric, vertex, other)[0], h, version[vertex], version[other]))
        h = twin[_previous(h)]
        if h == out[vertex]:
            break


@compiled
def _next(h):
    return h + 1 if h % 3 < 2 else h - 2


@compiled
def _previous(h):
    return h - 1 if h % 3 > 0 else h + 2


@compiled
def _count(flags):
    count = 0
    for index in range(len(flags)):
        if flags[index]:
            count += 1
    return count


@compiled
def _length(position, u, v):
    return np.sqrt(_squared(position[u, 0] - position[v, 0], position[u, 1] - position[v, 1], position[u, 2] - position[v, 2]))


@compiled
def _mean_length(position, start, alive):
    total = 0.0
    for h in range(len(start)):
        if alive[h // 3]:
            total += _length(position, start[h], start[_next(h)])
    return total / max(3 * _count(alive), 1)


@compiled
def _outgoing(count, start, alive):
    """One half-edge that leaves each vertex."""
    out = np.full(count, -1, np.int64)
    for h in range(len(start)):
        if alive[h // 3]:
            out[start[h]] = h
    return out


@compiled
def _quadrics(position, start, alive, worth):
    """(N, 10) sums, weighted by area and worth, of squared plane distances: xx xy xz yy yz zz, x y z, 1."""
    quadric = np.zeros((len(position), 10))
    for f in range(len(alive)):
        if not alive[f]:
            continue
        a, b, c = start[3 * f], start[3 * f + 1], start[3 * f + 2]
        ax, ay, az = position[a, 0], position[a, 1], position[a, 2]
        x, y, z = _cross(
            position[b, 0] - ax, position[b, 1] - ay, position[b, 2] - az, position[c, 0] - ax, position[c, 1] - ay, position[c, 2] - az
        )
        length = np.sqrt(x * x + y * y + z * z)
        if length < 1e-30:
            continue
        x, y, z = x / length, y / length, z / length
        d, weight = -(x * ax + y * ay + z * az), worth[f] * length / 2
        for i in range(3):
            vertex = start[3 * f + i]
            for term, value in enumerate((x * x, x * y, x * z, y * y, y * z, z * z, x * d, y * d, z * d, d * d)):
                quadric[vertex, term] += value * weight
    return quadric


@compiled
def _cross(ax, ay, az, bx, by, bz):
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@compiled
def _best(position, quadric, u, v):
    """Cost and place of the vertex that an edge becomes: the least quadric error, drawn to the middle where that is flat."""
    mx, my, mz = (position[u, 0] + position[v, 0]) / 2, (position[u, 1] + position[v, 1]) / 2, (position[u, 2] + position[v, 2]) / 2
    squared = _squared(position[u, 0] - position[v, 0], position[u, 1] - position[v, 1], position[u, 2] - position[v, 2])
    qxx, qxy, qxz = quadric[u, 0] + quadric[v, 0], quadric[u, 1] + quadric[v, 1], quadric[u, 2] + quadric[v, 2]
    qyy, qyz, qzz = quadric[u, 3] + quadric[v, 3], quadric[u, 4] + quadric[v, 4], quadric[u, 5] + quadric[v, 5]
    qx, qy, qz = quadric[u, 6] + quadric[v, 6], quadric[u, 7] + quadric[v, 7], quadric[u, 8] + quadric[v, 8]
    q1 = quadric[u, 9] + quadric[v, 9]
    pull = _PULL * (qxx + qyy + qzz) + 1e-30
    a, b, c, d, e, f = qxx + pull, qxy, qxz, qyy + pull, qyz, qzz + pull
    rx, ry, rz = pull * mx - qx, pull * my - qy, pull * mz - qz
    # Cramer's rule; the matrix is symmetric and, with the pull, positive definite.
    xx, xy, xz = d * f - e * e, c * e - b * f, b * e - c * d
    yy, yz, zz = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * xx + b * xy + c * xz
    x, y, z = mx, my, mz
    if determinant > 0:
        x = (xx * rx + xy * ry + xz * rz) / determinant
        y = (xy * rx + yy * ry + yz * rz) / determinant
        z = (xz * rx + yz * ry + zz * rz) / determinant
        if _squared(x - mx, y - my, z - mz) > 4 * squared:
            x, y, z = mx, my, mz
    error = qxx * x * x + qyy * y * y + qzz * z * z + 2 * (qxy * x * y + qxz * x * z + qyz * y * z)
    error += 2 * (qx * x + qy * y + qz * z) + q1
    return max(error, 0.0) + 0.01 * pull * squared, x, y, z


@compiled
def _link_is_simple(h, start, twin, out, mark, stamp):
    """Whether the edge's ends have exactly the two opposite corners as common neighbours, so that no tunnel closes."""
    u, v = start[h], start[_next(h)]
    a, b = start[_previous(h)], start[_previous(twin[h])]
    if a == b:
        return False
    g = out[u]
    while True:
        mark[start[_next(g)]] = stamp
        g = twin[_previous(g)]
        if g == out[u]:
            break
    common = 0
    g = out[v]
    while True:
        common += mark[start[_next(g)]] == stamp
        g = twin[_previous(g)]
        if g == out[v]:
            break
    return common == 2 and _valence(a, twin, out) > 3 and _valence(b, twin, out) > 3


@compiled
def _valence(vertex, twin, out):
    h, count = out[vertex], 0
    while True:
        count += 1
        h = twin[_previous(h)]
        if h == out[vertex]:
            return count


@compiled
def _bends(u, v, x, y, z, position, start, twin, out, min_cos):
    """Whether moving u to (x, y, z) turns a face that does not contain v too far, or makes it a needle."""
    ox, oy, oz = position[u, 0], position[u, 1], position[u, 2]
    h = out[u]
    while True:
        b, c = start[_next(h)], start[_previous(h)]
        if b != v and c != v:
            px, py, pz = position[b, 0], position[b, 1], position[b, 2]
            qx, qy, qz = position[c, 0], position[c, 1], position[c, 2]
            sx, sy, sz = qx - px, qy - py, qz - pz
            ax, ay, az = _cross(sx, sy, sz, ox - px, oy - py, oz - pz)
            bx, by, bz = _cross(sx, sy, sz, x - px, y - py, z - pz)
            before, after = np.sqrt(ax * ax + ay * ay + az * az), np.sqrt(bx * bx + by * by + bz * bz)
            side = sx * sx + sy * sy + sz * sz
            sides_before = side + _squared(ox - px, oy - py, oz - pz) + _squared(ox - qx, oy - qy, oz - qz)
            sides_after = side + _squared(x - px, y - py, z - pz) + _squared(x - qx, y - qy, z - qz)
            was, now = before / (sides_before + 1e-300), after / (sides_after + 1e-300)
            # A face that is a needle already has no normal worth keeping.
            if now * 3.4641 < min(_THIN, was * 1.1547) or (was * 3.4641 > 1e-3 and ax * bx + ay * by + az * bz < min_cos * before * after):
                return True
        h = twin[_previous(h)]
        if h == out[u]:
            return False


@compiled
def _squared(x, y, z):
    return x * x + y * y + z * z


@compiled
def _collapse(h, start, twin, out, alive):
    """Merge the start of h into its end; the two faces along h vanish and their other sides are joined."""
    t = twin[h]
    u, v = start[h], start[t]
    a, b = start[_previous(h)], start[_previous(t)]
    g = out[u]
    while True:
        start[g] = v
        g = twin[_previous(g)]
        if g == out[u]:
            break
    for side in (h, t):
        one, other = twin[_next(side)], twin[_previous(side)]
        twin[one], twin[other] = other, one
        alive[side // 3] = False
    # The dead sides still name their old neighbours, which live on.
    out[u], out[a], out[b], out[v] = -1, twin[_next(h)], twin[_next(t)], twin[_previous(t)]
