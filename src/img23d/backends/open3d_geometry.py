"""Signed distance, occupancy, registration and point-cloud metrics with Open3D (MIT): faster or independent seconds to our own.

Signed distance here is that of the faces as they are, with inside by ray parity: right for closed meshes only. Ours
(`img23d.ops.solidify`) takes any mesh.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from img23d.errors import BackendError
from img23d.scene import Mesh
from img23d.scene.shapes import check_shape

INSTALL = "pip install 'img23d[open3d]'"
SYSTEM = {
    "libusb": "apt install libusb-1.0-0 (Fedora: dnf install libusb1)",
    "libgomp": "apt install libgomp1",
    "libGL": "apt install libgl1",
}


def load() -> Any:
    """Import Open3D.

    Raises:
        BackendError: it is missing, or a library of the system is.
    """
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        reason = (str(error).strip().splitlines() or ["it does not load"])[0]
        hint = next((command for library, command in SYSTEM.items() if library in reason), INSTALL)
        raise BackendError(f"Open3D does not load: {reason}", hint) from error


def scene_of(mesh: Mesh) -> Any:
    """A RaycastingScene (Embree) with one mesh."""
    scene = load().t.geometry.RaycastingScene(nthreads=torch.get_num_threads())
    scene.add_triangles(_array(mesh.vertices), mesh.faces.cpu().numpy().astype(np.uint32))
    return scene


def signed_distance(mesh: Mesh, points: Tensor, samples: int = 3) -> Tensor:
    """Signed distance of a closed mesh.

    Args:
        mesh: closed.
        points: (N, 3).
        samples: rays per point that vote on inside and outside, odd.

    Returns:
        (N,) negative inside, object units.
    """
    check_shape("points", points, None, 3)
    found = scene_of(mesh).compute_signed_distance(_array(points), nsamples=samples)
    return torch.from_numpy(found.numpy()).to(points)


def occupancy(mesh: Mesh, points: Tensor, samples: int = 3) -> Tensor:
    """(N,) bool: which points lie inside a closed mesh."""
    check_shape("points", points, None, 3)
    found = scene_of(mesh).compute_occupancy(_array(points), nsamples=samples)
    return torch.from_numpy(found.numpy() > 0.5).to(points.device)


def icp(source: Tensor, target: Tensor, reach: float, scale: bool = False, rounds: int = 50) -> tuple[Tensor, float]:
    """Iterated closest points.

    Args:
        source: (N, 3) what is moved.
        target: (M, 3) where it should lie.
        reach: pairs farther apart than this are left out, object units.
        scale: find a scale too.
        rounds: iterations, at most.

    Returns:
        (4, 4) transform of the source, and the root mean square distance of the pairs.
    """
    open3d = load()
    registration = open3d.pipelines.registration
    answer = registration.registration_icp(
        _cloud(open3d, source),
        _cloud(open3d, target),
        reach,
        np.eye(4),
        registration.TransformationEstimationPointToPoint(scale),
        registration.ICPConvergenceCriteria(max_iteration=rounds),
    )
    return torch.from_numpy(np.array(answer.transformation)).to(source), float(answer.inlier_rmse)


def chamfer(pred: Tensor, truth: Tensor) -> float:
    """As `img23d.evals.metrics.chamfer`: mean of both directions' mean distances, not squared."""
    there, back = nearest_distances(pred, truth)
    return float((there.mean() + back.mean()) / 2)


def f_score(pred: Tensor, truth: Tensor, threshold: float) -> float:
    """As `img23d.evals.metrics.f_score`."""
    there, back = nearest_distances(pred, truth)
    precision, recall = float((there < threshold).float().mean()), float((back < threshold).float().mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def nearest_distances(pred: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) distances from each point of a cloud to the nearest of the other, and (M,) back."""
    open3d = load()
    first, second = _cloud(open3d, pred), _cloud(open3d, truth)
    there, back = first.compute_point_cloud_distance(second), second.compute_point_cloud_distance(first)
    return torch.from_numpy(np.array(there)), torch.from_numpy(np.array(back))


def _cloud(open3d: Any, points: Tensor) -> Any:
    check_shape("points", points, None, 3)
    return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.detach().cpu().double().numpy()))


def _array(points: Tensor) -> np.ndarray:
    return np.ascontiguousarray(points.detach().cpu().numpy(), dtype=np.float32)
