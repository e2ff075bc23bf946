"""Marching tetrahedra and volume subdivision by NVIDIA Kaolin (0.18), in our conventions.

Kaolin's functions are batched, take the same signs (its surfaces look outwards when the distance is negative inside and our tets
have det > 0), do not say which grid edges the vertices lie on, and do not guard against exact zeros.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from img23d.ops.march import move_zeros, surface_topology
from img23d.ops.subdivide import select_tets, shortest_diagonal_first
from img23d.ops.tetgrid import GridEdges
from img23d.scene import TetGrid


def probe() -> tuple[Any, Any]:
    """Kaolin's two functions.

    Raises:
        ImportError: Kaolin is missing, or is the empty placeholder of that name.
    """
    from kaolin.ops.conversions import marching_tetrahedra
    from kaolin.ops.mesh import subdivide_tetmesh

    return marching_tetrahedra, subdivide_tetmesh


def march(vertices: Tensor, tets: Tensor, sdf: Tensor, known: GridEdges | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """As `img23d.ops.march.marching_tetrahedra`; the edges are found by ours, in the order that both use."""
    sdf = move_zeros(sdf)
    surface_vertices, faces = probe()[0](vertices[None], tets, sdf[None])
    with torch.no_grad():
        edges, _ = surface_topology(tets, sdf, known)
    return surface_vertices[0], faces[0], edges


def split(grid: TetGrid, *features: Tensor, selected: Tensor | None = None) -> tuple[TetGrid, tuple[Tensor, ...]]:
    """As `img23d.ops.subdivide.subdivide`; the corners are turned first, because Kaolin always cuts along ac-bd."""
    vertices, tets, features = select_tets(grid, features, selected)
    tets = shortest_diagonal_first(vertices, tets)
    columns = [values.reshape(len(values), -1) for values in features]
    stacked = torch.cat(columns, 1)[None] if columns else None
    finer = probe()[1](vertices[None], tets, stacked)
    split_features = finer[2][0].split([column.shape[1] for column in columns], 1) if columns else ()
    shaped = tuple(new.reshape(-1, *old.shape[1:]) for new, old in zip(split_features, features, strict=True))
    return TetGrid.of_positive(finer[0][0], finer[1]), shaped
