"""Render a mesh: what an observation would look like, differentiable with respect to the vertices and their attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from img23d.ops.edges import EdgeTable
from img23d.ops.interpolate import Fragments, fragments, interpolate, to_image
from img23d.ops.normals import TINY, face_normals, vertex_normals
from img23d.ops.raster import Rasterizer
from img23d.scene.cameras import Cameras
from img23d.scene.mesh import Mesh
from img23d.scene.shapes import check_shape
from img23d.scene.views import Views

GREY = 0.5
LEAST_MASK = 1e-6
"""Coverage under which a pixel counts as empty; colours are divided by the coverage elsewhere."""


@dataclass(frozen=True)
class Rendering:
    """A mesh seen by V cameras.

    Args:
        views: the pictures, with ``mask``, ``depth``, ``normal`` and ``rgb``; not multiplied by the mask.
        ids: (V, H, W) int64 face at each pixel centre, -1 where nothing is hit.
        attributes: (V, H, W, C) the interpolated attributes, or None when none were given.
        fragments: what the covered pixels see, for whatever else is to be looked up there.
    """

    views: Views
    ids: Tensor
    attributes: Tensor | None
    fragments: Fragments


def render(
    mesh: Mesh,
    cameras: Cameras,
    height: int,
    width: int,
    rasterizer: Rasterizer,
    attributes: Tensor | None = None,
    normals: Literal["vertex", "face"] = "vertex",
    table: EdgeTable | None = None,
) -> Rendering:
    """Render a mesh with antialiased silhouettes.

    Mask, colour, attributes and normals are antialiased, so a loss on them moves silhouettes. Depth is not mixed across the edge
    between a near and a far surface, where the mean would be on neither; it is only carried into the half-covered pixels outside.

    Args:
        mesh: N vertices, F faces; both sides of a face are seen, its normal is that of its front.
        cameras: V cameras.
        height: rows of the pictures.
        width: columns of the pictures.
        rasterizer: from `img23d.backends.rasterizers.choose_rasterizer`.
        attributes: (N, C) per vertex. When there are three or more channels, the first three are the sRGB colour; else it is grey.
        normals: "vertex" for smooth shading with `vertex_normals`, "face" for the faces' own.
        table: `edge_table` of the faces, when already known.

    Returns:
        The pictures. What a pixel with mask 0 holds is 0.

    Reference:
        Laine et al., Modular primitives for high-performance differentiable rendering (2020).
    """
    if attributes is not None:
        check_shape("attributes", attributes, len(mesh.vertices), None)
    points = cameras.project(mesh.vertices)
    ids = rasterizer.face_ids(points, mesh.faces, height, width)
    seen = fragments(ids, points, mesh.faces)
    layers = [torch.ones_like(seen.depth)[:, None], seen.depth[:, None], shading_normals(mesh, seen, normals)]
    if attributes is not None:
        layers.append(interpolate(seen, attributes))
    sharp = to_image(seen, torch.cat(layers, -1))
    image = undo_coverage(sharp, rasterizer.antialias(sharp, ids, points, mesh.faces, table))
    mask, depth, normal, extra = image[..., 0], image[..., 1], image[..., 2:5], image[..., 5:]
    rgb = extra[..., :3] if extra.shape[-1] >= 3 else torch.full_like(normal, GREY)
    return Rendering(Views(cameras, rgb, mask, depth, normal), ids, None if attributes is None else extra, seen)


def undo_coverage(sharp: Tensor, smooth: Tensor) -> Tensor:
    """What the pixels show, not multiplied by how much of them is covered.

    Only the few pixels that the antialiasing has touched are looked at; all others are right already.

    Args:
        sharp: (V, H, W, 5 + C) coverage, depth, normal and attributes at the pixel centres, 0 where nothing is hit.
        smooth: (V, H, W, 5 + C) the same, antialiased.

    Returns:
        (V, H, W, 5 + C): coverage in 0..1; depth of the covered pixels as in ``sharp``; normals of unit length.
    """
    channels = smooth.shape[-1]
    before, after = sharp.reshape(-1, channels), smooth.reshape(-1, channels)
    touched = torch.nonzero((before != after).any(-1))[:, 0]
    old, new = before.index_select(0, touched), after.index_select(0, touched)
    mask = new[:, :1]
    shown = new[:, 1:] / torch.where(mask > LEAST_MASK, mask, torch.ones_like(mask))
    depth = torch.where(old[:, :1] > 0, old[:, 1:2], shown[:, :1])
    normal = normalize(shown[:, 1:4], dim=-1, eps=TINY)
    return after.index_copy(0, touched, torch.cat([mask.clamp(0, 1), depth, normal, shown[:, 4:]], -1)).reshape(smooth.shape)


def shading_normals(mesh: Mesh, seen: Fragments, normals: Literal["vertex", "face"]) -> Tensor:
    """(P, 3) unit normals at the covered pixels, object frame."""
    if normals == "face":
        return face_normals(mesh).index_select(0, seen.face)
    return normalize(interpolate(seen, vertex_normals(mesh)), dim=-1, eps=TINY)
