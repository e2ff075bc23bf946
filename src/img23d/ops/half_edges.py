"""The sides of faces as numbers, and how they join: half-edge 3 f + i is the side of face f that starts at its corner i."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Int = NDArray[np.int64]


def half_edges(faces: Int) -> tuple[Int, Int]:
    """Start and end vertex, (3 F,) each, of all half-edges of (F, 3) faces."""
    return faces.reshape(-1), np.roll(faces, -1, 1).reshape(-1)


def next_half_edge(half_edge: Int) -> Int:
    """The following side of the same face."""
    return half_edge + 1 - 3 * (half_edge % 3 == 2)


def edge_of(faces: Int) -> tuple[Int, int]:
    """(3 F,) the number of the edge, whichever way it runs, that each half-edge lies on, and how many edges there are."""
    start, end = half_edges(faces)
    count = int(faces.max()) + 1 if len(faces) else 1
    keys, inverse = np.unique(np.minimum(start, end) * count + np.maximum(start, end), return_inverse=True)
    return inverse.reshape(-1), len(keys)


def neighbours(faces: Int) -> tuple[Int, Int]:
    """Pairs of half-edges on one edge: all that follow each other in a list sorted by edge."""
    edge, _ = edge_of(faces)
    order = np.argsort(edge, kind="stable")
    same = edge[order][1:] == edge[order][:-1]
    return order[:-1][same], order[1:][same]


def fans(faces: Int, one: Int, other: Int) -> tuple[int, Int]:
    """The fans of faces around the vertices, when faces are joined across given pairs of half-edges.

    Args:
        faces: (F, 3).
        one: (P,) half-edges, each on the same edge as its partner.
        other: (P,) their partners.

    Returns:
        How many fans there are, and (3 F,) the fan of each corner; corner 3 f + i is where half-edge 3 f + i starts.
    """
    start, _ = half_edges(faces)
    turned = start[one] != start[other]
    after_one, after_other = next_half_edge(one), next_half_edge(other)
    first = np.concatenate([one, after_one])
    second = np.concatenate([np.where(turned, after_other, other), np.where(turned, other, after_other)])
    return connected(first, second, len(start))


def connected(first: Int, second: Int, count: int) -> tuple[int, Int]:
    """Number of connected parts and each node's part, for ``count`` nodes joined by links."""
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    parts, label = connected_components(graph, directed=False)
    return int(parts), label.astype(np.int64)
