"""Sides made fair: ridges go, bulges, fronts, thin parts and what is held stay."""

from __future__ import annotations

import pytest
import torch
import trimesh

from img23d.ops.edges import edge_table
from img23d.ops.fair_sides import beside, fair_sides
from img23d.ops.normals import unit
from img23d.ops.topology import is_closed_manifold, volume
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees

CAMERA, REACH = orbit_degrees([0.0], 0.0, 4.0, 40.0), 0.1


def ball(radius: float = 0.7) -> Mesh:
    made = trimesh.creation.icosphere(5, radius)
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def ridged(mesh: Mesh, height: float = 0.02) -> Mesh:
    """A narrow bumpy ridge all round, where the camera sees the outline."""
    around, across = torch.atan2(mesh.vertices[:, 1], mesh.vertices[:, 0]), mesh.vertices[:, 2] - 0.1
    ridge = height * torch.exp(-((across / 0.03) ** 2)) * (1 + torch.sin(40 * around))
    return Mesh(mesh.vertices + ridge[:, None] * unit(mesh.vertices, -1), mesh.faces)


def sdf(points: torch.Tensor) -> torch.Tensor:
    return points.norm(dim=-1) - 0.7


def roughness(mesh: Mesh) -> float:
    side = (mesh.vertices[:, 2] - 0.1).abs() < 0.08
    return float(mesh.vertices[side].norm(dim=-1).std())


def test_a_ridge_goes_and_the_ball_stays():
    before = ridged(ball())
    after = fair_sides(before, CAMERA, sdf, REACH)
    assert roughness(after) < 0.55 * roughness(before)
    assert float(volume(after)) == pytest.approx(float(volume(ball())), rel=0.015)
    assert is_closed_manifold(after) and torch.equal(after.faces, before.faces)


def test_a_bulge_is_hardly_flattened():
    plain = ball()
    after = fair_sides(plain, CAMERA, sdf, REACH)
    assert float((after.vertices.norm(dim=-1) - 0.7).abs().max()) < 0.002  # along the surface vertices may slide


def test_what_is_looked_at_and_what_lies_behind_stay():
    before = ridged(ball())
    after = fair_sides(before, CAMERA, sdf, REACH)
    away = (before.vertices[:, 2] > 0.45) | (before.vertices[:, 2] < -0.5)
    assert torch.equal(before.vertices[away], after.vertices[away])


def test_a_second_camera_that_looks_at_the_side_keeps_it():
    share = [
        beside(ball(), orbit_degrees(angles, 0.0, 4.0, 40.0), edge_table(ball().faces, len(ball().vertices)))
        for angles in ([0.0], [0.0, 90.0])
    ]
    right = ball().vertices[:, 0] > 0.695
    assert float(share[0][right].min()) > 0.8 and float(share[1][right].max()) == 0


def test_what_is_held_and_what_is_thin_stays():
    before = ridged(ball())
    held = before.vertices[:, 0] > 0
    after = fair_sides(before, CAMERA, sdf, REACH, held)
    assert torch.equal(before.vertices[held], after.vertices[held])
    thin = fair_sides(before, CAMERA, lambda x: sdf(x).abs() - 0.03, REACH)
    assert torch.equal(before.vertices, thin.vertices)


def test_longer_reach_takes_more():
    before = ridged(ball())
    moved = [float((fair_sides(before, CAMERA, sdf, reach).vertices - before.vertices).norm(dim=-1).mean()) for reach in (0.03, 0.06, 0.12)]
    assert moved[0] < moved[1] < moved[2]
