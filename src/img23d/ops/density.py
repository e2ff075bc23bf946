"""How dense a cloud of 3D Gaussians is in space, and the solid that it fills.

Reference: Tang et al., DreamGaussian: Generative Gaussian Splatting for Efficient 3D Content Creation (2024), for the local density
    query: the sum of all Gaussians, each times its opacity, block by block from those that reach into the block.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label
from scipy.spatial import cKDTree
from torch import Tensor

from img23d.errors import FitError
from img23d.ops.splat import rotation_matrices
from img23d.ops.volume import volume_points

BLOCK = 8
"""Samples along each side of a block."""
LEAST = 1e-4
"""Density below which a Gaussian is left out of a block. Gaussians of any size are found this way; a fixed margin loses large ones."""
NEAREST = 24
"""Gaussians that are asked at a single point."""
FLAT = 2.0
"""Samples from the surface within which it is taken to be flat round the nearest point that is known of it."""
NEAR = 3.0
"""Samples from the surface within which its nearest point is looked for."""
NARROWEST = 1e-5
"""Least standard deviation, object units: flatter Gaussians would divide by nothing."""


def inner_frames(scales: Tensor, rotations: Tensor) -> Tensor:
    """(N, 3, 3) what turns an offset from a Gaussian's centre into standard deviations along its own axes.

    Args:
        scales: (N, 3) standard deviations, object units.
        rotations: (N, 4) quaternions w, x, y, z of any length but 0.
    """
    return rotation_matrices(rotations).transpose(1, 2) / scales.clamp(min=NARROWEST)[:, :, None]


@torch.no_grad()
def density_grid(
    points: Tensor, scales: Tensor, rotations: Tensor, opacity: Tensor, values: Tensor, resolution: int
) -> tuple[Tensor, Tensor]:
    """The density of a cloud on a dense grid over [-1, 1]^3, and the mean of what its Gaussians carry.

    Args:
        points: (N, 3) centres, object frame.
        scales: (N, 3) standard deviations along their own axes, object units.
        rotations: (N, 4) quaternions w, x, y, z of any length but 0, from their own axes to the object frame.
        opacity: (N,) 0..1.
        values: (N, C), such as colours.
        resolution: samples along each side of the cube.

    Returns:
        (D, D, D) sum of opacity times exp(-half the squared distance in standard deviations), what is below `LEAST` left out, and
        (C, D, D, D) the values' mean, weighted by it; 0 where no Gaussian reaches.
    """
    to_inner = inner_frames(scales, rotations)
    wide = (rotation_matrices(rotations) * scales.clamp(min=NARROWEST)[:, None]).square().sum(-1).sqrt()
    reach = wide * (2 * (opacity / LEAST).clamp(min=1).log()).sqrt()[:, None]
    low, high = points - reach, points + reach
    grid = volume_points(resolution, points)
    dense = grid.new_zeros(resolution, resolution, resolution)
    mean = grid.new_zeros(values.shape[1], resolution, resolution, resolution)
    for corner in itertools.product(range(0, resolution, BLOCK), repeat=3):
        here = tuple(slice(first, first + BLOCK) for first in corner)
        places = grid[here].reshape(-1, 3)
        near = ((low <= places[-1]) & (high >= places[0])).all(1).nonzero()[:, 0]
        if len(near) == 0:
            continue
        inner = torch.einsum("nij,nmj->nmi", to_inner[near], places - points[near, None])
        share = opacity[near, None] * (-0.5 * inner.square().sum(-1)).exp()
        share = torch.where(share < LEAST, 0.0, share)
        total = share.sum(0)
        shape = dense[here].shape
        dense[here] = total.reshape(shape)
        mean[(slice(None), *here)] = ((share.T @ values[near]) / total.clamp(min=LEAST)[:, None]).T.reshape(-1, *shape)
    return dense, mean


def density_at(points: Tensor, scales: Tensor, rotations: Tensor, opacity: Tensor, places: Tensor) -> Tensor:
    """(P,) the density of a cloud at places (P, 3), differentiable in the cloud: as `density_grid`, of the `NEAREST` centres alone."""
    tree = cKDTree(points.detach().cpu().numpy())
    found = np.asarray(tree.query(places.cpu().numpy(), min(NEAREST, len(points)))[1]).reshape(len(places), -1)
    near = torch.from_numpy(found).to(points.device)
    inner = torch.einsum("pnij,pnj->pni", inner_frames(scales, rotations)[near], places[:, None] - points[near])
    return (opacity[near] * (-0.5 * inner.square().sum(-1)).exp()).sum(1)


def distance_to_level(density: Tensor, level: float) -> Tensor:
    """Signed distance of the solid that is denser than a level; rooms that are shut in belong to it.

    Args:
        density: (D, D, D) over [-1, 1]^3.
        level: of the surface.

    Returns:
        (D, D, D) negative inside, object units: exact for flat surfaces within two samples, to a part of a sample further off.

    Raises:
        FitError: nowhere is it so dense.
    """
    size = len(density)
    inside = filled((density > level).cpu().numpy())
    if not inside.any():
        raise FitError("the cloud of Gaussians has thinned out: it is nowhere as dense as a surface", "--set fit.volume=50 holds it closer")
    step, within = 2 / (size - 1), torch.from_numpy(inside).to(density.device)
    feet, outward = _crossings(density, within, level)
    grid = volume_points(size, density)
    near = distance_transform_edt(inside) + distance_transform_edt(~inside) <= NEAR
    close = torch.from_numpy(near).to(density.device)
    _, found = cKDTree(feet.cpu().numpy()).query(grid[close].cpu().numpy())
    foot = torch.zeros(density.shape, dtype=torch.int64, device=density.device)
    foot[close] = torch.from_numpy(np.asarray(found)).to(density.device)
    # Further off, the nearest point of the surface is that of the nearest sample that is close to it, or nearly so.
    nearest = distance_transform_edt(~near, return_distances=False, return_indices=True)
    foot = foot[tuple(torch.from_numpy(index).to(density.device).long() for index in nearest)]
    offset = grid - feet[foot]
    distance = offset.norm(dim=-1)
    flat = (offset * outward[foot]).sum(-1).abs()
    distance = torch.where(distance < FLAT * step, flat, distance).clamp(min=LEAST * step)
    return torch.where(within, -distance, distance)


def filled(inside: np.ndarray) -> np.ndarray:
    """(D, D, D) bool: what cannot be reached from outside of the cube without crossing the solid."""
    outside, _ = label(~np.pad(inside, 1))
    return np.asarray(outside[1:-1, 1:-1, 1:-1] != outside[0, 0, 0])


def _crossings(density: Tensor, within: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """(M, 3) where the surface crosses the grid's edges, and (M, 3) its unit normals there, outwards.

    At the cube's own sides the solid ends half a sample outside.
    """
    step = 2 / (len(density) - 1)
    around = torch.nn.functional.pad(density[None, None], (1,) * 6)[0, 0]
    inner = torch.nn.functional.pad(within, (1,) * 6)
    slope = torch.stack(torch.gradient(around), -1)
    feet, outward = [], []
    for axis in range(3):
        count = len(around) - 1
        near, far = (inner.narrow(axis, first, count) for first in (0, 1))
        index = (near != far).nonzero()
        other = index.clone()
        other[:, axis] += 1
        first, second = around[tuple(index.T)], around[tuple(other.T)]
        # Both ends of an edge into a shut room are inside, so that each edge here does cross the level.
        part = ((level - first) / torch.where(second == first, 1.0, second - first)).clamp(0, 1)[:, None]
        feet.append((index + part * (other - index) - 1).flip(-1) * step - 1)
        steep = torch.lerp(slope[tuple(index.T)], slope[tuple(other.T)], part)
        outward.append(torch.nn.functional.normalize(-steep.flip(-1), dim=-1))
    return torch.cat(feet).to(density.dtype), torch.cat(outward)


def spread_out(mean: Tensor, known: Tensor) -> Tensor:
    """(C, D, D, D) values where (D, D, D) they are known, and elsewhere those of the nearest such sample."""
    nearest = distance_transform_edt(~known.cpu().numpy(), return_distances=False, return_indices=True)
    z, y, x = (torch.from_numpy(part).to(mean.device).long() for part in nearest)
    return mean[:, z, y, x]
