"""UV atlases: cut a mesh into flat charts and pack them into one square texture."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from img23d.errors import ConfigError
from img23d.scene import Mesh

# Chart growth in xatlas costs more than linearly in the faces of a chart, so charts are limited to about this many.
FACES_PER_CHART = 600
# Large charts also stretch: even a coarse mesh is cut into at least this many.
MIN_CHARTS = 16
# Share of the asked size that is requested from the packer, which overshoots by about a fifth.
PACKING_RESERVE = 0.8
# An atlas that is destroyed tells its threads to end; one that is just falling asleep misses that, and both wait for ever. After so many
# seconds all of them sleep.
ASLEEP = 1.0
_finished: list[tuple[float, Any]] = []  # when an atlas was finished, and the atlas


def unwrap(mesh: Mesh, size: int, padding: int = 4) -> tuple[Tensor, Tensor]:
    """Cut a mesh into charts without overlaps and pack them into a square texture.

    Args:
        mesh: the surface; about 1 s for 20k faces on one core, growing linearly.
        size: texels along one side of the square texture that the atlas is made for.
        padding: least distance between two charts, texels.

    Returns:
        uv (M, 2) glTF texture coordinates in 0..1, and uv_faces (F, 3) int64 into it, row by row the faces of the mesh.

    Raises:
        ValueError: when the mesh has no faces.
        ConfigError: the texture has no room for its padding.
    """
    if len(mesh.faces) == 0:
        raise ValueError("cannot unwrap a mesh without faces")
    if not 0 <= padding < size / 8:
        hint = f"a texture of at least {16 * padding} texels, or texture.padding={size // 16}"
        raise ConfigError(f"a texture of {size} texels has no room for a padding of {padding}", hint)
    vertices = mesh.vertices.detach().cpu().to(torch.float64).numpy()
    faces = mesh.faces.cpu().numpy()
    resolution = PACKING_RESERVE * size
    uv, uv_faces, extent = _generate(vertices, faces, resolution, padding)
    for _ in range(4):
        if extent <= size:
            break
        # Too wide: scaling down would squeeze the padding, so pack again with fewer texels per unit of length.
        resolution *= 0.97 * size / extent
        uv, uv_faces, extent = _generate(vertices, faces, resolution, padding)
    return torch.from_numpy(uv).to(mesh.vertices), torch.from_numpy(uv_faces).to(mesh.faces.device)


def _generate(vertices: np.ndarray, faces: np.ndarray, resolution: float, padding: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Run xatlas once; returns uv divided by the wider side, faces into uv, and the wider side in texels."""
    import xatlas

    corner = vertices[faces]
    area = 0.5 * float(np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum())
    charts = xatlas.ChartOptions()
    charts.max_chart_area = area / max(MIN_CHARTS, len(faces) / FACES_PER_CHART)
    packing = xatlas.PackOptions()
    packing.resolution = max(16, math.floor(resolution))
    packing.padding = padding
    packing.bilinear = True
    # Turning charts swaps u and v, which mirrors them; most viewers derive tangents that are wrong on mirrored charts.
    packing.rotate_charts = False
    # xatlas drops faces whose area is about 0: unit size keeps small objects whole.
    scale = 1.0 / max(float(np.ptp(vertices, axis=0).max()), 1e-12)
    charts.max_chart_area *= scale**2
    atlas = xatlas.Atlas()
    try:
        atlas.add_mesh((vertices * scale).astype(np.float32), faces.astype(np.uint32))
        atlas.generate(charts, packing)
        _, uv_faces, uv = atlas[0]
    finally:
        _destroy_later(atlas)
    extent = max(atlas.width, atlas.height)
    place = np.clip(uv.astype(np.float64) * (atlas.width, atlas.height) / extent, 0.0, 1.0)
    # xatlas keeps the winding with v upwards; in glTF v runs down.
    place[:, 1] = 1.0 - place[:, 1]
    return place, uv_faces.astype(np.int64).reshape(-1, 3), extent


def _destroy_later(atlas: Any) -> None:
    """Keep an atlas until its threads sleep, and destroy those of before whose threads do."""
    now = time.monotonic()
    while _finished and now - _finished[0][0] > ASLEEP:
        _finished.pop(0)
    _finished.append((now, atlas))
