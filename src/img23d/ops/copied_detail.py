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
# How much more than the others the nearest corner of a face tells of the detail in it: a power of barycentric weights.
SHARP = 3
# Detail of twice this contrast is all but left out; contrast is looked at over this share of the picture's size.
DRAWN, SPREAD = 0.08, 0.016


def copied_detail(
    surface: Surface, photo: Photo, vertices: Points, texels: Points, frames: tuple[Tensor, Tensor], edge: float, copied: Tensor
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
        copied: (N,) int64 vertex that a vertex' patch is copied from, or -1.

    Returns:
        (P, 3) to be added to sRGB colours.
    """
    position, (right, up) = vertices.position, frames
    middle, fine = nearest_middles(vertices, copied >= 0, PIECE * edge), fine_detail(photo)
    detail, total = torch.zeros_like(texels.position), torch.zeros_like(texels.position[:, 0])
    for corner in range(3):
        piece = middle[surface.mesh.faces[surface.face, corner]]
        source = copied[piece]
        # The nearest corner tells most of it: means of different copies have no detail left.
        weight = surface.barycentric[:, corner].clamp(min=0) ** SHARP
        offset = texels.position - position[piece]
        across, along = (offset * right[piece]).sum(-1, keepdim=True), (offset * up[piece]).sum(-1, keepdim=True)
        x, y, _ = photo.sharp.camera.project(position[source] + across * right[source] + along * up[source])[0].unbind(-1)
        detail, total = detail + weight[:, None] * sample(fine, x, y, "bicubic"), total + weight
    return detail / total.clamp(min=1e-6)[:, None]


def fine_detail(photo: Photo) -> Tensor:
    """(H, W, 3) what the photo has finer than the mesh, damped where it is strong: skin, cloth and crumbs more than lines and letters."""
    fine, known = photo.sharp.rgb - photo.soft.rgb, (photo.sharp.trust > 0.99).to(photo.sharp.rgb.dtype)
    spread = blur_inside(fine.square().mean(-1, keepdim=True), known, SPREAD * max(known.shape)).clamp(min=0)
    return fine / (1 + (spread / DRAWN**2) ** 2)


def nearest_middles(vertices: Points, among: Tensor, apart: float) -> Tensor:
    """For each vertex the middle of the piece that it belongs to: the nearest one that faces the same way.

    Args:
        vertices: places and normals, (N, 3) each.
        among: (N,) bool, those that can be middles; at least one.
        apart: about how far middles stand from each other, object units.

    Returns:
        (N,) int64.
    """
    from scipy.spatial import cKDTree

    which = among.nonzero()[:, 0].cpu().numpy()
    place = torch.cat([vertices.position, apart * vertices.normal], -1).detach().cpu().numpy()
    _, first = np.unique(np.floor(place[which] / apart), axis=0, return_index=True)
    middles = which[first]
    _, nearest = cKDTree(place[middles]).query(place)
    return torch.from_numpy(middles[nearest]).to(among.device)
