"""Detail finer than the mesh where patches are copied from elsewhere: the grain of fur, cloth and crumbs, in pieces of some size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from img23d.ops.defringe import blur_inside
from img23d.ops.fill import Surface
from img23d.ops.project_photo import sample
from img23d.ops.unseen import Photo, Points

# Side of a piece, mean edges.
PIECE = 5
# Root mean square difference of colours, sRGB, at which the detail of one does not go with the other any more.
ALIKE = 0.03
# How much more than the others the nearest corner of a face tells of the detail in it: a power of barycentric weights.
SHARP = 3
# Detail of twice this contrast is all but left out; contrast is looked at over this share of the picture's size, of pieces over the other.
DRAWN, SPREAD, COARSE = 0.08, 0.016, 0.03


def copied_detail(
    surface: Surface,
    photo: Photo,
    vertices: Points,
    texels: Points,
    frames: tuple[Tensor, Tensor],
    edge: float,
    rgb: Tensor,
    contrast: Tensor,
    copied: Tensor,
) -> Tensor:
    """What the photo has finer than the mesh, each piece of the surface copied whole.

    Vertices side by side are often copied from one and the same: each for itself would repeat one speck all over.

    Args:
        surface: N vertices, P texels.
        photo: where the detail comes from.
        vertices: places and normals of the N vertices.
        texels: places and normals of the P texels.
        frames: tangents of the vertices, from `img23d.ops.patches.upright_frames`.
        edge: mean length of an edge, object units.
        rgb: (N, 3) sRGB, what copies have agreed on for the vertices; detail that belongs to other colours is left out.
        contrast: (N,) from `contrast_around`, of the vertices.
        copied: (N,) int64 vertex that a vertex' patch is copied from, or -1.

    Returns:
        (P, 3) to be added to sRGB colours.
    """
    position, (right, up) = vertices.position, frames
    fine = fine_detail(photo)
    middle = nearest_middles(vertices, copied >= 0, PIECE * edge, contrast[copied])
    painted = surface.at_texels(rgb)
    detail, total = torch.zeros_like(texels.position), torch.zeros_like(texels.position[:, 0])
    for corner in range(3):
        piece = middle[surface.mesh.faces[surface.face, corner]]
        source = copied[piece]
        # The nearest corner tells most of it: means of different copies have no detail left.
        weight = surface.barycentric[:, corner].clamp(min=0) ** SHARP
        offset = texels.position - position[piece]
        across, along = (offset * right[piece]).sum(-1, keepdim=True), (offset * up[piece]).sum(-1, keepdim=True)
        x, y, _ = photo.sharp.camera.project(position[source] + across * right[source] + along * up[source])[0].unbind(-1)
        unlike = (sample(photo.soft.rgb, x, y) - painted).square().mean(-1)
        alike = torch.exp(-unlike / (2 * ALIKE**2))
        detail, total = detail + (weight * alike)[:, None] * sample(fine, x, y, "bicubic"), total + weight
    return detail / total.clamp(min=1e-6)[:, None]


def fine_detail(photo: Photo) -> Tensor:
    """(H, W, 3) what the photo has finer than the mesh, damped where it is strong: skin, cloth and crumbs more than lines and letters."""
    fine = photo.sharp.rgb - photo.soft.rgb
    return fine / (1 + (mean_square(fine, photo, SPREAD) / DRAWN**2) ** 2)


def contrast_around(photo: Photo, points: Tensor) -> Tensor:
    """(P,) root mean square of the photo's detail about points (P, 3) of the surface."""
    x, y, _ = photo.sharp.camera.project(points)[0].unbind(-1)
    return sample(mean_square(photo.sharp.rgb - photo.soft.rgb, photo, COARSE), x, y)[:, 0].clamp(min=0).sqrt()


def mean_square(fine: Tensor, photo: Photo, spread: float) -> Tensor:
    """(H, W, 1) mean square of detail (H, W, 3) around each pixel of the object, over a share of the picture's size."""
    known = (photo.sharp.trust > 0.99).to(fine.dtype)
    return blur_inside(fine.square().mean(-1, keepdim=True), known, spread * max(known.shape)).clamp(min=0)


def nearest_middles(vertices: Points, among: Tensor, apart: float, rank: Tensor) -> Tensor:
    """For each vertex the middle of the piece that it belongs to: the nearest one that faces the same way.

    Args:
        vertices: places and normals, (N, 3) each.
        among: (N,) bool, those that can be middles; at least one.
        apart: about how far middles stand from each other, object units.
        rank: (N,) of those in one place the one of middle rank is taken, which is neither bare nor crossed by a line that others have not.

    Returns:
        (N,) int64.
    """
    from scipy.spatial import cKDTree

    which = among.nonzero()[:, 0].cpu().numpy()
    place = torch.cat([vertices.position, apart * vertices.normal], -1).detach().cpu().numpy()
    _, cell = np.unique(np.floor(place[which] / apart), axis=0, return_inverse=True)
    order = np.lexsort((rank.detach().cpu().numpy()[which], cell.reshape(-1)))
    count = np.bincount(cell.reshape(-1))
    middles = which[order[np.cumsum(count) - count + count // 2]]
    _, nearest = cKDTree(place[middles]).query(place)
    return torch.from_numpy(middles[nearest]).to(among.device)
