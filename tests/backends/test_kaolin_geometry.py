"""Kaolin's distances against closed forms, where Kaolin is; everywhere: what is said where it is not, and what its functions are asked."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
import trimesh

from img23d.backends import kaolin_geometry
from img23d.errors import BackendError
from img23d.ops.closest import closest_on_triangles
from img23d.scene import Mesh

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))]


def ball(device: str = "cpu") -> Mesh:
    """A sphere of radius 0.6."""
    shape = trimesh.creation.icosphere(4, 0.6)
    return Mesh(torch.from_numpy(np.array(shape.vertices)).float().to(device), torch.from_numpy(np.array(shape.faces)).long().to(device))


def cloud(device: str = "cpu") -> torch.Tensor:
    return (torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1).to(device)


@pytest.mark.parametrize("device", DEVICES)
def test_signed_distance_and_occupancy_of_a_ball(device: str) -> None:
    try:
        kaolin_geometry.load()
    except BackendError as error:
        pytest.skip(error.message)
    points = cloud(device)
    true = points.norm(dim=-1) - 0.6
    torch.testing.assert_close(kaolin_geometry.signed_distance(ball(device), points), true, atol=2e-3, rtol=0)
    clear = true.abs() > 3e-3
    assert torch.equal(kaolin_geometry.occupancy(ball(device), points)[clear], (true < 0)[clear])


def test_a_missing_kaolin_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == "kaolin"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "kaolin", None)
    with pytest.raises(BackendError) as caught:
        kaolin_geometry.signed_distance(ball(), cloud())
    assert "Kaolin" in caught.value.message and "placeholder" in caught.value.hint


def test_squares_and_parity_become_a_signed_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the documented signatures: batched, distances squared, (B, N) bool for inside."""

    def check_sign(verts: torch.Tensor, faces: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        assert verts.shape[0] == points.shape[0] == 1 and verts.ndim == points.ndim == 3 and faces.dtype == torch.int64
        return points.norm(dim=-1) < 0.6

    def point_to_mesh_distance(pointclouds: torch.Tensor, face_vertices: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert face_vertices.shape[0] == 1 and face_vertices.shape[2:] == (3, 3)
        feet = closest_on_triangles(pointclouds[0, :, None], face_vertices)
        squared = (feet - pointclouds[0, :, None]).square().sum(-1)
        return squared.amin(-1)[None], squared.argmin(-1)[None], torch.zeros_like(squared[:1, :])

    for name in ("kaolin", "kaolin.ops", "kaolin.ops.mesh", "kaolin.metrics", "kaolin.metrics.trianglemesh"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["kaolin.ops.mesh"], "check_sign", check_sign, raising=False)
    monkeypatch.setattr(sys.modules["kaolin.metrics.trianglemesh"], "point_to_mesh_distance", point_to_mesh_distance, raising=False)
    points = cloud()[:200]
    torch.testing.assert_close(kaolin_geometry.signed_distance(ball(), points), points.norm(dim=-1) - 0.6, atol=2e-3, rtol=0)
