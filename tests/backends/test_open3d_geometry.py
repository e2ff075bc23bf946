"""Open3D's distances, registration and metrics against closed forms and our own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh

from img23d.backends import open3d_geometry, open3d_view
from img23d.errors import BackendError
from img23d.evals import metrics
from img23d.scene import Mesh, TexturedMesh

Points = torch.Tensor


@pytest.fixture
def open3d():
    """Open3D, or a skip that says what is missing."""
    try:
        return open3d_geometry.load()
    except BackendError as error:
        pytest.skip(f"{error.message} ({error.hint})")


@pytest.fixture
def ball() -> Mesh:
    """A sphere of radius 0.6."""
    shape = trimesh.creation.icosphere(4, 0.6)
    return Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces)).long())


@pytest.fixture
def points() -> Points:
    """In the cube."""
    return torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_signed_distance_of_a_ball(open3d, ball: Mesh, points: Points) -> None:
    found = open3d_geometry.signed_distance(ball, points)
    torch.testing.assert_close(found, points.norm(dim=-1) - 0.6, atol=2e-3, rtol=0)
    assert found.dtype == points.dtype


def test_signed_distance_equals_ours(open3d, ball: Mesh, points: Points) -> None:
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.ops.solidify import signed_distance

    near = points[:400] * 0.7
    ours = signed_distance(ball, near, choose_rasterizer("auto", "cpu"), views=16, size=160)
    torch.testing.assert_close(open3d_geometry.signed_distance(ball, near), ours, atol=3e-3, rtol=0)


def test_occupancy_is_the_sign(open3d, ball: Mesh, points: Points) -> None:
    inside = open3d_geometry.occupancy(ball, points)
    clear = (points.norm(dim=-1) - 0.6).abs() > 3e-3
    assert torch.equal(inside[clear], (points.norm(dim=-1) < 0.6)[clear])
    assert float(inside.float().mean()) == pytest.approx(4 / 3 * math.pi * 0.6**3 / 8, abs=0.02)


def test_metrics_equal_ours(open3d, points: Points) -> None:
    first, second = points[:900], points[900:] * 1.1
    assert open3d_geometry.chamfer(first, second) == pytest.approx(metrics.chamfer(first.numpy(), second.numpy()), rel=1e-6)
    for threshold in (0.05, 0.1):
        ours = metrics.f_score(first.numpy(), second.numpy(), threshold)
        assert open3d_geometry.f_score(first, second, threshold) == pytest.approx(ours, abs=1e-6)
    assert open3d_geometry.f_score(first, first + 9, 0.1) == 0


@pytest.mark.parametrize("scale", [1.0, 1.05])
def test_icp_finds_a_small_motion(open3d, scale: float, points: Points) -> None:
    source = points[:800].double()
    angle = 0.05
    turn = torch.tensor([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]).double()
    target = scale * source @ turn.T + torch.tensor([0.02, -0.01, 0.01]).double()
    transform, error = open3d_geometry.icp(source, target, 0.3, scale=scale != 1.0, rounds=200)
    assert error < 1e-6
    torch.testing.assert_close(transform[:3, :3], scale * turn, atol=1e-5, rtol=0)
    torch.testing.assert_close(transform[:3, 3], torch.tensor([0.02, -0.01, 0.01]).double(), atol=1e-5, rtol=0)


def test_textured_mesh_for_the_viewer(open3d) -> None:
    mesh = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]]))
    texture = torch.zeros(4, 8, 3)
    texture[0] = 1
    shown = open3d_view.to_open3d(open3d, TexturedMesh(mesh, torch.tensor([[0.0, 0], [1, 0], [0, 1]]), torch.tensor([[0, 1, 2]]), texture))
    np.testing.assert_allclose(np.asarray(shown.triangle_uvs), [[0, 1], [1, 1], [0, 0]])
    assert np.asarray(shown.textures[0])[-1].min() == 255  # the top row comes last
    np.testing.assert_allclose(np.asarray(shown.vertex_normals)[0], [0, 0, 1], atol=1e-6)


def test_no_display(monkeypatch: pytest.MonkeyPatch, ball: Mesh) -> None:
    monkeypatch.setattr(open3d_view.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendError, match="no display") as error:
        open3d_view.view(ball)
    assert "viewer.html" in error.value.hint and error.value.exit_code == 4
    monkeypatch.setenv("DISPLAY", ":0")
    open3d_view.check_display()


def test_missing_system_library_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError("libusb-1.0.so.0: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(open3d_geometry.importlib, "import_module", fail)
    with pytest.raises(BackendError, match="libusb") as error:
        open3d_geometry.load()
    assert "apt install libusb-1.0-0" in error.value.hint
