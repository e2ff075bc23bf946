"""Grids of cubes, whole or sparse: their lattice, which cubes meet at an edge and a side, and subdivision."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from img23d.ops.dual_cubes import CUBE_EDGES, CUBE_SIDES


class CubeLinks(NamedTuple):
    """What meets where in a set of cubes.

    Args:
        edges: (E, 2) int64, low and high vertex of every edge.
        cube_edges: (C, 12) int64, the edges of each cube in the order of `CUBE_EDGES`.
        edge_cubes: (E, 4) int64, the cubes round each edge, counter-clockwise seen from its high end; -1 where one is missing.
            The edge is number 4 axis + j in the j-th of them.
        edge_axis: (E,) int64.
        neighbours: (C, 6) int64, the cube across each side, -1 for none.
    """

    edges: Tensor
    cube_edges: Tensor
    edge_cubes: Tensor
    edge_axis: Tensor
    neighbours: Tensor


def cube_grid(resolution: int, half: float = 1.0) -> tuple[Tensor, Tensor]:
    """Fill the cube [-half, half]^3 with cubes.

    Args:
        resolution: cubes along each axis R.
        half: half the side of the whole, object units.

    Returns:
        vertices ((R + 1)^3, 3) and cubes (R^3, 8) int64, both x fastest; corner i of a cube is the one at the bits of i.

    Raises:
        ValueError: when the resolution is below 1 or the size is not positive.
    """
    if resolution < 1 or half <= 0:
        raise ValueError(f"resolution must be at least 1 and half positive, got {resolution} and {half}")
    axis = torch.arange(resolution + 1) * (2.0 * half / resolution) - half
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    size = resolution + 1
    number = torch.arange(size**3).reshape(size, size, size)
    first = number[:-1, :-1, :-1].reshape(-1)
    step = torch.tensor([(i & 1) + size * (i >> 1 & 1) + size**2 * (i >> 2) for i in range(8)])
    return torch.stack([x, y, z], -1).reshape(-1, 3), first[:, None] + step


def cube_links(cubes: Tensor, vertex_count: int) -> CubeLinks:
    """Find the edges and neighbours of a set of cubes that are part of one lattice.

    Args:
        cubes: (C, 8) int64, corners in the order of their bits; neighbours share vertices.
        vertex_count: number of grid vertices N.
    """
    device, count = cubes.device, len(cubes)
    low, high = torch.tensor(CUBE_EDGES, device=device).T
    keys, inverse = torch.unique(cubes[:, low] * vertex_count + cubes[:, high], return_inverse=True)
    edges = torch.stack([keys // max(vertex_count, 1), keys % max(vertex_count, 1)], -1)
    numbers = torch.arange(count, device=device)
    edge_cubes, edge_axis = cubes.new_full((len(edges), 4), -1), cubes.new_zeros(len(edges))
    for edge in range(12):
        edge_cubes[inverse[:, edge], edge % 4] = numbers
        edge_axis[inverse[:, edge]] = edge // 4
    neighbours = cubes.new_full((count, 6), -1)
    for axis in range(3):  # a side is known by its two corners at the ends of a diagonal
        sides = [sorted(CUBE_SIDES[2 * axis + high]) for high in range(2)]
        keys = torch.cat([cubes[:, side[0]] * vertex_count + cubes[:, side[3]] for side in sides])
        order = torch.argsort(keys, stable=True)  # of equal ones the cube above the side, whose low side it is, comes first
        pair = (keys[order[1:]] == keys[order[:-1]]).nonzero()[:, 0]
        above, below = order[pair], order[pair + 1] - count
        neighbours[above, 2 * axis], neighbours[below, 2 * axis + 1] = below, above
    return CubeLinks(edges, inverse.reshape(-1, 12), edge_cubes, edge_axis, neighbours)


def subdivide_cubes(cubes: Tensor, *features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Split each cube into eight; new vertices get the mean of the corners round them.

    Args:
        cubes: (C, 8) int64.
        features: any number of (N,) or (N, K) vertex attributes, such as the positions and the signed distance.

    Returns:
        cubes (8 C, 8) and the features at the finer grid's vertices, in an order of their own.
    """
    device = cubes.device
    place = torch.arange(27, device=device)
    at = torch.stack([place % 3, place // 3 % 3, place // 9], -1)  # 0, 1, 2 along each axis
    bits = torch.arange(8, device=device)[:, None] >> torch.arange(3, device=device) & 1
    share = (1 - (at[:, None] / 2 - bits[None]).abs()).prod(-1)  # (27, 8) trilinear weights of the corners
    # a new vertex lies amid the corners of one vertex, edge, side or cube: its lowest and highest corner tell which
    low = cubes[:, _corner(at == 2)]
    high = cubes[:, _corner(at >= 1)]
    count = int(cubes.max()) + 1 if len(cubes) else 1
    keys, inverse = torch.unique(low * count + high, return_inverse=True)
    # of the cubes that share a vertex the first: the same one on every device
    order = torch.arange(inverse.numel(), device=device)
    owner = torch.full_like(keys, inverse.numel()).scatter_reduce_(0, inverse.reshape(-1), order, "amin")
    cube, place = owner // 27, owner % 27
    finer = []
    for values in features:
        corners = values[cubes[cube]]
        weight = share[place].to(values.dtype)
        finer.append((corners * weight.reshape(*weight.shape, *[1] * (values.dim() - 1))).sum(1))
    offsets = bits[:, 0] + 3 * bits[:, 1] + 9 * bits[:, 2]
    children = inverse.reshape(-1, 27)[:, offsets[:, None] + offsets]
    return children.reshape(-1, 8), tuple(finer)


def _corner(high: Tensor) -> Tensor:
    """(P, 3) bool -> (P,) number of the corner that is high along these axes."""
    return high[:, 0] + 2 * high[:, 1] + 4 * high[:, 2]
