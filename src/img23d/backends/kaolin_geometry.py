"""Signed distance and occupancy with NVIDIA Kaolin (0.18, Apache-2.0), whose kernels are at their best on CUDA.

As Open3D's, these take the faces as they are and tell inside by the parity of a ray: right for closed meshes only. Ours
(`img23d.ops.solidify`) takes any mesh.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from img23d.backends.tetrahedra import KAOLIN_HINT
from img23d.errors import BackendError
from img23d.scene import Mesh
from img23d.scene.shapes import check_shape


def load() -> tuple[Callable[..., Tensor], Callable[..., tuple[Tensor, Tensor, Tensor]]]:
    """Kaolin's two functions.

    Raises:
        BackendError: Kaolin is missing, is the empty placeholder of that name, or does not fit this torch.
    """
    try:
        from kaolin.metrics.trianglemesh import point_to_mesh_distance
        from kaolin.ops.mesh import check_sign
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        raise BackendError(f"Kaolin cannot be loaded: {error}", KAOLIN_HINT) from error
    return check_sign, point_to_mesh_distance


def occupancy(mesh: Mesh, points: Tensor) -> Tensor:
    """(N,) bool: which points (N, 3) lie inside a closed mesh.

    Raises:
        BackendError: see `load`.
    """
    check_shape("points", points, None, 3)
    return load()[0](mesh.vertices[None].float(), mesh.faces, points[None].float().contiguous())[0]


def signed_distance(mesh: Mesh, points: Tensor) -> Tensor:
    """Signed distance of a closed mesh.

    Args:
        mesh: closed, on the device of the points.
        points: (N, 3).

    Returns:
        (N,) negative inside, object units.

    Raises:
        BackendError: see `load`.
    """
    check_shape("points", points, None, 3)
    corners = mesh.vertices.float()[mesh.faces][None].contiguous()
    squared = load()[1](points[None].float().contiguous(), corners)[0][0]
    distance = squared.clamp(min=0).sqrt()
    return torch.where(occupancy(mesh, points), -distance, distance).to(points)
