"""Split every triangle into four, together with its texture coordinates."""

from __future__ import annotations

import torch
from torch import Tensor


def split_faces(values: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Put a vertex on the middle of every edge.

    Args:
        values: (N, C) anything that is linear on faces: positions, texture coordinates, colours.
        faces: (F, 3) int64.

    Returns:
        values (N + E, C) and faces (4 F, 3): the three corners' triangles of all faces, then the middle ones, in the order of ``faces``.
    """
    start, stop = faces, faces[:, [1, 2, 0]]
    key = torch.minimum(start, stop) * len(values) + torch.maximum(start, stop)
    unique, edge = torch.unique(key, return_inverse=True)
    middle = 0.5 * (values[unique // len(values)] + values[unique % len(values)])
    ab, bc, ca = (edge + len(values)).unbind(1)
    a, b, c = faces.unbind(1)
    corners = [torch.stack(triple, 1) for triple in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
    return torch.cat([values, middle]), torch.cat(corners)
