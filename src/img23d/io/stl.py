"""Writing binary STL: the bare shape, in millimetres, for printing."""

from __future__ import annotations

import struct

import numpy as np
import torch

from img23d.scene import Mesh, brought_near, lies_far

SPOILT = 1e-3  # of its size: what a mesh may be rounded by, as in reading


def stl_bytes(mesh: Mesh) -> bytes:
    """A mesh as binary STL.

    Args:
        mesh: in millimetres; one whose shape the format's single precision would spoil there is put with its middle at the origin.
    """
    near = brought_near(mesh)[0] if lies_far(mesh.vertices, SPOILT) else mesh
    assert isinstance(near, Mesh)
    corner = near.vertices.detach().cpu().to(torch.float64).numpy()[mesh.faces.cpu().numpy()]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    triangles = np.zeros(len(corner), [("normal", "<f4", 3), ("corner", "<f4", (3, 3)), ("attribute", "<u2")])
    triangles["normal"], triangles["corner"] = normal, corner
    # A header that began with "solid" would be taken for the text format.
    return b"binary STL by img23d".ljust(80) + struct.pack("<I", len(triangles)) + triangles.tobytes()
