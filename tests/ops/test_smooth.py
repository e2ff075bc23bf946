"""Taubin's filter, everywhere or only where no camera looks."""

from __future__ import annotations

import torch
import trimesh

from img23d.ops.smooth import taubin, turned_away
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees


def rough_ball() -> tuple[Mesh, Mesh]:
    made = trimesh.creation.icosphere(4)
    ball = Mesh(torch.from_numpy(made.vertices.copy()).float(), torch.from_numpy(made.faces.copy()))
    noise = 0.01 * torch.randn(len(ball.vertices), 1, generator=torch.Generator().manual_seed(0))
    return ball, Mesh(ball.vertices * (1 + noise), ball.faces)


def roughness(mesh: Mesh, radius: float, chosen: torch.Tensor) -> float:
    return float((mesh.vertices[chosen].norm(dim=-1) - radius).std())


def test_noise_goes_and_the_size_stays() -> None:
    ball, rough = rough_ball()
    radius = float(ball.vertices[0].norm())
    smooth = taubin(rough, 10)
    everything = torch.ones(len(ball.vertices), dtype=torch.bool)
    assert roughness(smooth, radius, everything) < 0.4 * roughness(rough, radius, everything)
    assert abs(float(smooth.vertices.norm(dim=-1).mean()) / radius - 1) < 0.002


def test_only_what_no_camera_looks_at_is_smoothed() -> None:
    ball, rough = rough_ball()
    radius = float(ball.vertices[0].norm())
    cameras = orbit_degrees([0.0], 0.0, 4.0, 30.0)
    share = turned_away(ball, cameras)
    front, back = ball.vertices[:, 2] > 0.7 * radius, ball.vertices[:, 2] < 0
    assert (share[front] == 0).all() and (share[back] == 1).all()
    smooth = taubin(rough, 10, share)
    assert torch.equal(smooth.vertices[front], rough.vertices[front])
    assert roughness(smooth, radius, back) < 0.4 * roughness(rough, radius, back)
    around = orbit_degrees([0.0, 180.0], 0.0, 4.0, 30.0)
    assert (turned_away(ball, around)[ball.vertices[:, 2] < -0.7 * radius] == 0).all()
