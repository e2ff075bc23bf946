"""Smoothing a surface without shrinking it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from img23d.ops.edges import edge_table
from img23d.ops.mesh_losses import uniform_laplacian
from img23d.ops.normals import vertex_normals
from img23d.scene import Cameras, Mesh

SHRINK, GROW = 0.5, -0.53
# Cosines between normal and line of sight: a surface is not looked at below the first, and fully above the second.
NOT_LOOKED_AT, LOOKED_AT = 0.1, 0.5


def taubin(mesh: Mesh, rounds: int, share: Tensor | None = None) -> Mesh:
    """Alternate shrinking and growing Laplacian steps, a low-pass filter that keeps the volume.

    Args:
        mesh: N vertices.
        rounds: pairs of steps.
        share: (N,) how much of each step a vertex takes, 0..1; None means all of it.

    Reference: Taubin, A signal processing approach to fair surface design (1995).
    """
    vertices, table = mesh.vertices, edge_table(mesh.faces, len(mesh.vertices))
    for _ in range(rounds):
        for factor in (SHRINK, GROW):
            step = factor * uniform_laplacian(vertices, mesh.faces, table)
            vertices = vertices + (step if share is None else step * share[:, None])
    return Mesh(vertices, mesh.faces)


def turned_away(mesh: Mesh, cameras: Cameras) -> Tensor:
    """(N,) 1 at vertices that face away from all cameras or are seen at a slant, 0 at those that one of them looks at."""
    lines = F.normalize(cameras.position[:, None] - mesh.vertices, dim=-1)
    cosine = (lines * vertex_normals(mesh)).sum(-1).amax(0)
    return 1 - ((cosine - NOT_LOOKED_AT) / (LOOKED_AT - NOT_LOOKED_AT)).clamp(0, 1)
