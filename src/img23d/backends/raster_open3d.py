"""Visible faces by ray casting with Open3D (Embree, MIT)."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from torch import Tensor

from img23d.ops.raster import NEAR


def probe() -> None:
    """Load the very class needed.

    Raises:
        ImportError: not installed, or built without it.
        OSError: a library of the system is missing.
    """
    if not hasattr(getattr(getattr(importlib.import_module("open3d"), "t", None), "geometry", None), "RaycastingScene"):
        raise ImportError("this open3d has no RaycastingScene")


def face_ids(points: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
    """As `img23d.ops.raster.face_ids`; one scene is built for each view.

    The camera is not needed: the scene is built in the frame of a pinhole of focal length 1, where the point (x, y, z) of the picture
    lies at ((x - 0.5) z, (0.5 - y) z, -z), and rays start at the origin.
    """
    open3d = importlib.import_module("open3d")
    placed = points.detach().cpu().double()
    corner = torch.stack([(placed[..., 0] - 0.5) * placed[..., 2], (0.5 - placed[..., 1]) * placed[..., 2], -placed[..., 2]], -1)
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - 0.5
    y = 0.5 - (np.arange(height, dtype=np.float32) + 0.5) / height
    across, down = np.meshgrid(x, y)
    rays = np.stack([*np.zeros((3, height, width)), across, down, -np.ones((height, width))], -1).astype(np.float32)
    ids = torch.full((len(points), height, width), -1)
    for view, (vertices, depth) in enumerate(zip(corner, placed[..., 2])):
        drawn = torch.nonzero((depth > NEAR)[faces.cpu()].all(1))[:, 0]
        if not len(drawn):
            continue
        scene = open3d.t.geometry.RaycastingScene(nthreads=torch.get_num_threads())
        scene.add_triangles(vertices.float().numpy(), faces.cpu()[drawn].numpy().astype(np.uint32))
        hit = scene.cast_rays(rays, nthreads=torch.get_num_threads())["primitive_ids"].numpy().astype(np.int64)
        seen = torch.from_numpy(hit != open3d.t.geometry.RaycastingScene.INVALID_ID)
        ids[view][seen] = drawn[torch.from_numpy(hit)[seen]]
    return ids.to(points.device)
