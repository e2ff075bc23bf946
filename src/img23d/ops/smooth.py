"""Smoothing a surface without shrinking it."""

from __future__ import annotations

from img23d.ops.mesh_losses import uniform_laplacian
from img23d.scene import Mesh

SHRINK, GROW = 0.5, -0.53


def taubin(mesh: Mesh, rounds: int) -> Mesh:
    """Alternate shrinking and growing Laplacian steps, a low-pass filter that keeps the volume.

    Args:
        mesh: N vertices.
        rounds: pairs of steps.

    Reference: Taubin, A signal processing approach to fair surface design (1995).
    """
    vertices = mesh.vertices
    for _ in range(rounds):
        for factor in (SHRINK, GROW):
            vertices = vertices + factor * uniform_laplacian(vertices, mesh.faces)
    return Mesh(vertices, mesh.faces)
