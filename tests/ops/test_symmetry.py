"""Mirror planes: found where the shape has them, absent where it has none."""

import math

import numpy as np
import pytest
import torch
import trimesh

from img23d.ops import symmetry
from img23d.ops.march import marching_tetrahedra
from img23d.ops.symmetry import HalfTurn, MirrorPlane, find_half_turn, find_mirror_planes, find_symmetries, round_center
from img23d.ops.tetgrid import tet_grid
from img23d.scene import Mesh


def as_mesh(made) -> Mesh:
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def fish(azimuth_deg: float = 0.0):
    """A long body with a fin on top at one end: one upright plane of symmetry, its normal at this angle from +X towards +Z."""
    body = trimesh.creation.icosphere(4)
    body.apply_scale((0.25, 0.35, 0.9))
    fin = trimesh.creation.cone(0.25, 0.5)
    fin.apply_transform(trimesh.transformations.rotation_matrix(-math.pi / 2, (1, 0, 0)))
    fin.apply_translation((0, 0.3, -0.5))
    made = trimesh.util.concatenate([body, fin.subdivide_to_size(0.1)])
    made.apply_transform(trimesh.transformations.rotation_matrix(-math.radians(azimuth_deg), (0, 1, 0)))
    return made


@pytest.mark.parametrize("azimuth_deg", [0.0, 37.0, 90.0, 128.0])
def test_the_plane_of_a_fish(azimuth_deg):
    made = fish(azimuth_deg)
    made.apply_translation((0.1, 0, -0.05))
    plane = find_mirror_planes(as_mesh(made))[0]
    angle = math.radians(azimuth_deg)
    normal = torch.tensor([math.cos(angle), 0.0, math.sin(angle)])
    assert abs(float(plane.normal @ normal)) > math.cos(math.radians(3))
    expected = float(normal @ torch.tensor([0.1, 0.0, -0.05])) * float(torch.sign(plane.normal @ normal))
    assert plane.offset == pytest.approx(expected, abs=0.02) and plane.score > 0.95


def test_a_lopsided_second_plane_is_doubted():
    """An ellipsoid is its own image head to tail; with a raised head it is nearly so, which does not count as much as its true plane."""
    made = trimesh.creation.icosphere(4)
    made.apply_scale((0.25, 0.35, 0.9))
    both = find_mirror_planes(as_mesh(made))
    made.vertices[:, 1] += 0.5 * (made.vertices[:, 2] > 0) * made.vertices[:, 2] ** 2
    raised = find_mirror_planes(as_mesh(made))
    assert [plane.doubted for plane in both] == [False, False] and [plane.doubted for plane in raised] == [False, True]
    assert abs(float(raised[0].normal[0])) > 0.99 and abs(float(raised[1].normal[2])) > 0.99


def test_a_body_of_revolution_has_many_and_a_staircase_none():
    assert len(find_mirror_planes(as_mesh(trimesh.creation.cylinder(0.5, 1.0).subdivide_to_size(0.1)))) >= 1
    parts = []
    for turn, length in ((0.3, 0.9), (1.4, 0.7), (2.9, 0.8)):
        part = trimesh.creation.box((length, 0.12, 0.12))
        part.apply_translation((length / 2, 0, 0))
        part.apply_transform(trimesh.transformations.rotation_matrix(turn, (0, 1, 0)))
        part.apply_translation((0, turn / 4, 0))
        parts.append(part.subdivide_to_size(0.1))
    assert find_mirror_planes(as_mesh(trimesh.util.concatenate(parts))) == []


def test_mirroring_twice_is_nothing():
    plane = MirrorPlane(torch.nn.functional.normalize(torch.tensor([1.0, 0.0, 2.0]), dim=0), 0.3, 1.0)
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plane.apply(plane.apply(points)), points)
    torch.testing.assert_close(plane.apply(points) - plane.apply(points * 0), plane.apply_direction(points))
    assert (((points + plane.apply(points)) / 2) @ plane.normal - 0.3).abs().max() < 1e-6


def test_mirrored_points_are_put_onto_the_side_that_faces_the_same_way():
    """On a thin plate the nearest vertex may belong to the other side; its normal tells."""
    made = trimesh.creation.box((1, 1, 0.02)).subdivide_to_size(0.1)
    mesh = as_mesh(made)
    plane = MirrorPlane(torch.tensor([1.0, 0.0, 0.0]), 0.0, 1.0)
    points = torch.tensor([[0.3, 0.2, -0.03], [0.2, 0.1, 0.03]])
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    placed = plane.apply_onto(mesh, points, normals)
    assert placed[0, 2] > 0 and placed[1, 2] < 0
    assert (placed[:, :2] - torch.tensor([[-0.3, 0.2], [-0.2, 0.1]])).abs().max() < 0.1


def test_same_seed_same_planes():
    first, second = (find_mirror_planes(as_mesh(fish(20.0)), seed=3) for _ in range(2))
    assert [plane.score for plane in first] == [plane.score for plane in second]


def test_symmetries_of_meshes_in_double_precision():
    ball = Mesh(
        *(torch.tensor(part) for part in (trimesh.creation.icosphere(3).vertices, trimesh.creation.icosphere(3).faces.astype("int64")))
    )
    *planes, turn = find_symmetries(ball, 0)
    assert len(planes) > 1 and isinstance(turn, HalfTurn)
    assert all(symmetry.apply(ball.vertices).dtype == ball.vertices.dtype for symmetry in (*planes, turn))


def test_a_box_turns_into_itself_about_its_own_axis():
    made = trimesh.creation.box((1.0, 0.7, 0.4)).subdivide_to_size(0.05)
    made.apply_transform(trimesh.transformations.rotation_matrix(0.4, (0, 1, 0), (0.2, 0, 0)))
    turn = find_half_turn(as_mesh(made))
    assert turn is not None and turn.score > 0.95
    center = torch.tensor(made.bounds.mean(0), dtype=torch.float32)
    assert (turn.center - center)[[0, 2]].abs().max() < 0.01
    assert any(isinstance(symmetry, HalfTurn) for symmetry in find_symmetries(as_mesh(made)))


def test_a_pitchers_handle_does_not_hide_that_its_body_turns():
    body = trimesh.creation.cylinder(0.5, 1.4).subdivide_to_size(0.08)
    body.apply_transform(trimesh.transformations.rotation_matrix(math.pi / 2, (1, 0, 0)))
    handle = trimesh.creation.box((0.3, 0.7, 0.1)).subdivide_to_size(0.08)
    handle.apply_translation((0.6, 0, 0))
    turn = find_half_turn(as_mesh(trimesh.util.concatenate([body, handle])))
    assert turn is not None and turn.score > 0.8 and turn.center[[0, 2]].abs().max() < 0.02


def test_what_has_a_front_does_not_turn_into_itself():
    """Neither a fish nor a round head with a nose and a flat back."""
    head = trimesh.creation.icosphere(4, 0.6)
    head.vertices[:, 2] = head.vertices[:, 2].clip(min=-0.25)
    nose = trimesh.creation.icosphere(3, 0.15)
    nose.apply_translation((0, 0, 0.6))
    assert find_half_turn(as_mesh(trimesh.util.concatenate([head, nose]))) is None
    assert find_half_turn(as_mesh(fish(20.0))) is None


def test_half_a_turn_twice_is_nothing_and_keeps_letters_legible():
    turn = HalfTurn(torch.tensor([0.2, 0.0, -0.1]), 1.0)
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(turn.apply(turn.apply(points)), points)
    torch.testing.assert_close(turn.apply(points) - turn.apply(points * 0), turn.apply_direction(points))
    assert torch.linalg.det(turn.apply_direction(torch.eye(3))) > 0


def test_the_axis_of_a_cup_with_thin_walls_and_a_handle_is_found_by_its_normals(monkeypatch):
    """Points alone hold the search where the outer wall of one side lies on the inner one of the other."""
    grid = tet_grid(40)
    x, y, z = (grid.vertices - torch.tensor([-0.2, 0.0, 0.05])).unbind(-1)
    wall = torch.maximum((torch.hypot(x, z) - 0.5).abs() - 0.04, y.abs() - 0.6)
    floor = torch.maximum(torch.hypot(x, z) - 0.5, (y + 0.55).abs() - 0.05)
    ring = torch.maximum((torch.hypot(x - 0.55, y) - 0.33).abs() - 0.06, z.abs() - 0.06).maximum(0.5 - torch.hypot(x, z))
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, torch.minimum(torch.minimum(wall, floor), ring))
    cup = Mesh(vertices, faces)
    assert np.abs(round_center(cup, np.zeros(3)) - [-0.2, 0.0, 0.05]).max() < 0.003
    for seed in range(3):
        turn = find_half_turn(cup, seed)
        assert turn is not None and turn.score > 0.95 and np.abs(turn.center.numpy()[[0, 2]] - [-0.2, 0.05]).max() < 0.01
    monkeypatch.setattr(symmetry, "round_center", lambda mesh, start: start)
    assert any((turn := find_half_turn(cup, seed)) is None or turn.score < 0.95 for seed in range(3))


def test_the_normals_of_a_slab_leave_its_axis_where_it_was_sought():
    corners = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    slab = Mesh(corners, torch.tensor([[0, 1, 3], [0, 3, 2], [4, 7, 5], [4, 6, 7]]))
    assert np.allclose(round_center(slab, np.array([0.3, 0.1, 0.2])), [0.3, 0.1, 0.2], atol=1e-6)
