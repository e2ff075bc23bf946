"""FlexiCubes: the differentiable surface of a signed distance on a grid of cubes, by weighted dual marching cubes.

A dual mesh has a vertex inside each cube instead of on its edges, so it can have sharp edges and corners and evenly sized faces,
and each cube's weights let an optimiser put it there. Dual vertices lie in the convex hull of their cube; neighbouring faces of
strongly deformed grids may still cut each other, as the paper says too.

Reference: Shen et al., Flexible Isosurface Extraction for Gradient-Based Mesh Optimization (2023), section 4.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from img23d.ops.constants import constant
from img23d.ops.cubegrid import CubeLinks, cube_links
from img23d.ops.dual_cubes import CUBE_EDGES, manifold_rows, patch_table
from img23d.ops.march import move_zeros


class CubeWeights(NamedTuple):
    """The positive weights of C cubes; all ones give plain dual marching cubes.

    Args:
        alpha: (C, 8), by corner: a larger one pushes the crossings on the corner's edges away from it.
        beta: (C, 12), by edge: a larger one pulls the dual vertex to the crossing on that edge.
        gamma: (C,): a quad is split along the diagonal whose ends have the larger product.
    """

    alpha: Tensor
    beta: Tensor
    gamma: Tensor


class DualSurface(NamedTuple):
    """A surface and how uneven it is.

    Args:
        vertices: (M, 3): the D dual vertices, then, with ``fan``, the quads' midpoints.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        deviation: (D,) see `deviations`, object units.
    """

    vertices: Tensor
    faces: Tensor
    deviation: Tensor


def flexicubes(
    vertices: Tensor, cubes: Tensor, sdf: Tensor, weights: CubeWeights | None = None, links: CubeLinks | None = None, fan: bool = False
) -> DualSurface:
    """Extract the zero level of a signed distance, differentiable in positions, distances and weights.

    The surface is consistently outward; it is closed and manifold when each edge that it crosses has four cubes round it.

    Args:
        vertices: (N, 3) grid positions, object units, possibly moved from a lattice's.
        cubes: (C, 8) int64, any set of a lattice's cubes; corner i of each is the one at the bits of i.
        sdf: (N,) signed distance, negative inside, object units.
        weights: None for all ones.
        links: `cube_links` of the cubes, when already known.
        fan: split each quad in four round its weighted midpoint, which has gradients for ``gamma``, instead of in two.
    """
    links = cube_links(cubes, len(vertices)) if links is None else links
    sdf = move_zeros(sdf)
    inside = sdf < 0
    code = (inside[cubes] << torch.arange(8, device=cubes.device)).sum(1)
    active = ((code > 0) & (code < 255)).nonzero()[:, 0]
    local = cubes.new_full((len(cubes) + 1,), -1)  # the last entry answers for a missing cube, -1
    local[active] = torch.arange(len(active), device=cubes.device)
    table = patch_table(cubes.device)
    row = manifold_rows(code[active], local[links.neighbours[active]])
    count, patch = table.patches[row], table.patch[row]
    dual = torch.where(patch >= 0, patch + (count.cumsum(0) - count)[:, None], -1)  # (A, 12) dual vertex of each crossed edge
    place, edge = (dual >= 0).nonzero().unbind(1)
    owner, cube = dual[place, edge], active[place]
    crossing = crossings(vertices, cubes, sdf, cube, edge, None if weights is None else weights.alpha)
    beta = crossing.new_ones(len(cube)) if weights is None else weights.beta.reshape(-1).index_select(0, cube * 12 + edge)
    points = weighted_means(crossing, beta, owner, int(count.sum()))
    quads, around = quads_round_edges(inside, links, local, dual)
    gamma = points.new_ones(len(cubes)) if weights is None else weights.gamma
    surface, faces = (fan_quads if fan else cut_quads)(points, quads, gamma.index_select(0, around.reshape(-1)).reshape(-1, 4))
    return DualSurface(surface, faces, deviations(crossing, points, owner))


def crossings(vertices: Tensor, cubes: Tensor, sdf: Tensor, cube: Tensor, edge: Tensor, alpha: Tensor | None) -> Tensor:
    """Where the surface crosses edges of cubes, as each cube sees it.

    Args:
        vertices: (N, 3).
        cubes: (C, 8) int64.
        sdf: (N,) with opposite signs at the edges' ends.
        cube, edge: (K,) int64, which edge of which cube.
        alpha: (C, 8) positive or None.

    Returns:
        (K, 3).

    Reference: section 4.2 there: u = (s_i a_i x_j - s_j a_j x_i) / (s_i a_i - s_j a_j).
    """
    ends = constant(CUBE_EDGES, cubes)[edge]
    number = cubes[cube[:, None], ends].reshape(-1)
    distance = sdf.index_select(0, number)
    if alpha is not None:
        distance = distance * alpha.reshape(-1).index_select(0, (8 * cube[:, None] + ends).reshape(-1))
    first, second = vertices.index_select(0, number).reshape(-1, 2, 3).unbind(1)
    s_first, s_second = distance.reshape(-1, 2, 1).unbind(1)
    return (first * -s_second + second * s_first) / (s_first - s_second)


def weighted_means(values: Tensor, weight: Tensor, owner: Tensor, total: int) -> Tensor:
    """The dual vertices: (total, K) weighted means of (M, K) crossings by owner. Reference: section 4.2 there."""
    summed = values.new_zeros(total, values.shape[1]).index_add(0, owner, values * weight[:, None])
    return summed / values.new_zeros(total).index_add(0, owner, weight)[:, None]


def deviations(crossing: Tensor, points: Tensor, owner: Tensor) -> Tensor:
    """How unequal a dual vertex's distances to its crossings are: their mean absolute deviation.

    Args:
        crossing: (M, 3).
        points: (D, 3) dual vertices.
        owner: (M,) int64, the dual vertex of each crossing.

    Returns:
        (D,) object units; its mean is the regulariser that keeps dual vertices amid their patch, and faces well shaped.

    Reference: equation 8 there, L_dev.
    """
    # the tiny square keeps the gradient finite where a dual vertex meets a crossing
    distance = ((crossing - points.index_select(0, owner)).square().sum(-1, keepdim=True) + 1e-20).sqrt()
    one = torch.ones_like(owner, dtype=distance.dtype)
    mean = weighted_means(distance, one, owner, len(points))
    return weighted_means((distance - mean.index_select(0, owner)).abs(), one, owner, len(points))[:, 0]


def quads_round_edges(inside: Tensor, links: CubeLinks, local: Tensor, dual: Tensor) -> tuple[Tensor, Tensor]:
    """Join the dual vertices round each crossed edge.

    Args:
        inside: (N,) bool.
        links: of all cubes.
        local: (C + 1,) int64, the row of ``dual`` for each cube.
        dual: (A, 12) int64, the dual vertex of each crossed edge of a cube.

    Returns:
        (Q, 4) int64 dual vertices, counter-clockwise seen from outside, and (Q, 4) int64 the cubes that they lie in.
    """
    start, end = inside[links.edges].unbind(1)
    crossed = ((start != end) & (links.edge_cubes >= 0).all(1)).nonzero()[:, 0]
    around = links.edge_cubes[crossed]
    edge = 4 * links.edge_axis[crossed][:, None] + torch.arange(4, device=inside.device)
    quads = dual[local[around], edge]
    turned = end[crossed][:, None]
    return torch.where(turned, quads.flip(1), quads), torch.where(turned, around.flip(1), around)


def fan_quads(points: Tensor, quads: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Split quads in four triangles round a midpoint that moves between the middles of the diagonals.

    Args:
        points: (D, 3).
        quads: (Q, 4) int64.
        gamma: (Q, 4) positive weights of the corners.

    Returns:
        vertices (D + Q, 3) and faces (4 Q, 3).

    Reference: section 4.3 there.
    """
    corner = points.index_select(0, quads.reshape(-1)).reshape(-1, 4, 3)
    first, second = gamma[:, 0] * gamma[:, 2], gamma[:, 1] * gamma[:, 3]
    share = (first / (first + second))[:, None]
    middle = (share * (corner[:, 0] + corner[:, 2]) + (1 - share) * (corner[:, 1] + corner[:, 3])) / 2
    centre = len(points) + torch.arange(len(quads), device=quads.device)
    faces = [torch.stack([quads[:, i], quads[:, (i + 1) % 4], centre], -1) for i in range(4)]
    return torch.cat([points, middle]), torch.cat(faces)


def cut_quads(points: Tensor, quads: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Split quads in two triangles along the diagonal of larger weight, the shorter one where the weights are equal.

    Args:
        points: (D, 3).
        quads: (Q, 4) int64.
        gamma: (Q, 4) positive weights of the corners.

    Returns:
        The vertices as they are and faces (2 Q, 3).
    """
    a, b, c, d = points.detach()[quads].unbind(1)
    first, second = gamma[:, 0] * gamma[:, 2], gamma[:, 1] * gamma[:, 3]
    shorter = (a - c).square().sum(-1) <= (b - d).square().sum(-1)
    chosen = torch.where(first == second, shorter, first > second)
    turned = torch.where(chosen[:, None], quads, quads.roll(-1, 1))
    return points, torch.cat([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]])
