"""Visible faces on CUDA with nvdiffrast 0.4 (NVIDIA Source Code License: research and evaluation only)."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch
from torch import Tensor

from img23d.ops.edges import EdgeTable
from img23d.ops.interpolate import fragments, to_image
from img23d.ops.raster import NEAR


def probe() -> None:
    """Load the very classes needed.

    Raises:
        ImportError: not installed, or too old.
        RuntimeError: its plug-in does not fit this torch or CUDA.
    """
    library = importlib.import_module("nvdiffrast.torch")
    for name in ("RasterizeCudaContext", "rasterize", "antialias"):
        if not hasattr(library, name):
            raise ImportError(f"this nvdiffrast has no {name}")


@functools.cache
def context(device: torch.device) -> Any:
    """The rasteriser's state on one GPU; costly to make, so kept."""
    return importlib.import_module("nvdiffrast.torch").RasterizeCudaContext(device=device)


def clip_space(points: Tensor) -> Tensor:
    """Projected points in OpenGL's clip space, with w the z-depth.

    nvdiffrast's row 0 is the bottom, y = -1; ours is the top, y = 0. Taking y = 2 y - 1 makes its rows ours without flipping pictures.
    The planes of the clip volume hug the points, which leaves the depth buffer its precision.

    Args:
        points: (V, N, 3) with z-depth > 0.

    Returns:
        (V, N, 4) float32.
    """
    x, y, z = points.float().unbind(-1)
    near, far = 0.99 * z.detach().amin(), 1.01 * z.detach().amax()
    depth = ((far + near) * z - 2 * far * near) / (far - near)
    return torch.stack([(2 * x - 1) * z, (2 * y - 1) * z, depth, z], -1).contiguous()


def face_ids(points: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
    """As `img23d.ops.raster.face_ids`, up to nvdiffrast's rounding of corners to a sixteenth of a pixel or finer."""
    points = points.detach()
    if len(points) > 1 and not bool((points[..., 2] > NEAR).all()):
        return torch.cat([face_ids(view[None], faces, height, width) for view in points])
    drawn = torch.nonzero((points[..., 2] > NEAR).all(0)[faces].all(1))[:, 0]
    ids = torch.full((len(points), height, width), -1, device=points.device)
    if not len(drawn):
        return ids
    used, corners = torch.unique(faces[drawn], return_inverse=True)
    library = importlib.import_module("nvdiffrast.torch")
    position = clip_space(points[:, used])
    raster, _ = library.rasterize(context(points.device), position, corners.int().contiguous(), (height, width), grad_db=False)
    found = raster[..., 3].long() - 1
    return torch.where(found >= 0, drawn[found.clamp(min=0)], ids)


def antialias(image: Tensor, ids: Tensor, points: Tensor, faces: Tensor, table: EdgeTable | None = None) -> Tensor:
    """nvdiffrast's own antialiasing: faster than `img23d.ops.antialias.antialias`, but blind to faces thinner than a pixel.

    Its silhouette edges are looked for among the edges of the visible pixel's own face only. On smooth closed meshes, whose faces are
    seen edge-on at the silhouette, most of the gradient is lost. It finds its edges itself, without the ``table``.
    """
    library = importlib.import_module("nvdiffrast.torch")
    seen = fragments(ids, points.detach(), faces)
    position = clip_space(points)
    nearness = to_image(seen, 1 - 1 / (1 + seen.depth), background=1.0)  # any depth that grows with z will do
    raster = torch.stack([torch.zeros_like(nearness), torch.zeros_like(nearness), nearness, (ids + 1).to(nearness)], -1)
    return library.antialias(image.float().contiguous(), raster.float().contiguous(), position, faces.int().contiguous())
