"""A solid from a silhouette alone: rounded front and back, mirrored in the picture plane.

It is the baseline that a learnt prior must beat, and the first guess that such a prior corrects.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor

from img23d.ops.volume import volume_points
from img23d.scene import Cameras


def inflation_height(mask: Tensor) -> Tensor:
    """Squared half-thickness of a silhouette, signed so that it falls through zero at the outline.

    Inside it solves laplace(u) = -4 with u = 0 on the outline, so that a disc of radius r gives r^2 - rho^2: a sphere. Outside it
    continues as minus the distance to the outline times the slope of a disc as wide as the silhouette.

    Args:
        mask: (S, S) coverage 0..1 of a square crop.

    Returns:
        (S, S) u in squared half-widths of the crop (the crop is 2 wide).
    """
    size = mask.shape[-1]
    inside = mask.cpu().numpy() > 0.5
    index = np.full(inside.shape, -1)
    index[inside] = np.arange(inside.sum())
    rows, columns = np.nonzero(inside)
    here, blocks = index[inside], []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        y, x = rows + dy, columns + dx
        within = (y >= 0) & (y < size) & (x >= 0) & (x < size)
        there = np.where(within, index[np.clip(y, 0, size - 1), np.clip(x, 0, size - 1)], -1)
        blocks.append(sparse.coo_matrix((np.ones((there >= 0).sum()), (here[there >= 0], there[there >= 0])), shape=(len(here),) * 2))
    laplacian = sparse.eye(len(here)) * 4 - sum(blocks)
    pixel = 2.0 / size
    height = np.zeros(inside.shape)
    height[inside] = spsolve(laplacian.tocsc(), np.full(len(here), 4 * pixel**2))
    distance_out = ndimage.distance_transform_edt(~inside) * pixel
    radius = ndimage.distance_transform_edt(inside).max() * pixel
    height = np.where(inside, height, -(2 * radius * distance_out))
    return torch.from_numpy(ndimage.gaussian_filter(height, 0.7)).to(mask)


def inflated_sdf(height: Tensor, camera: Cameras, mid_depth: float, resolution: int) -> Tensor:
    """Signed distance of the inflated silhouette on the object frame's grid.

    The surface is offset^2 = height(x, y) with x, y the place across the camera's axis, not along its rays: a solid spread along
    diverging rays would be fat behind and thin in front. Dividing by the slope turns that into a distance to first order (exact
    for a sphere).

    Args:
        height: (S, S) from `inflation_height`.
        camera: the crop's camera (V = 1).
        mid_depth: z-depth of the mirror plane; the crop's half-width there is the unit of ``height``.
        resolution: samples along each side.

    Returns:
        (D, D, D) over [-1, 1]^3.
    """
    unit = mid_depth * 0.5 / float(camera.focal[0, 0])
    points = volume_points(resolution, height).reshape(-1, 3)
    local = (points - camera.position) @ camera.cam_to_world[0, :3, :3] / unit
    place = torch.stack([local[:, 0], -local[:, 1]], -1)
    value = torch.nn.functional.grid_sample(height[None, None], place[None, None], align_corners=False, padding_mode="border")
    beyond = (place.abs().amax(-1) - 1).clamp_min(0)
    offset = -local[:, 2] - mid_depth / unit
    implicit = (offset.square() - value.reshape(-1) + beyond * 4).reshape(resolution, resolution, resolution)
    slope = torch.stack(torch.gradient(implicit, spacing=2.0 / (resolution - 1))).norm(dim=0)
    return (implicit / slope.clamp_min(0.3)).clamp(-0.5, 0.5)
