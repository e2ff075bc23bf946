"""Mirror planes: found where the shape has them, absent where it has none."""

import math

import pytest
import torch
import trimesh

from img23d.ops.symmetry import MirrorPlane, find_mirror_planes
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


def test_a_lopsided_second_plane_is_no_plane():
    """An ellipsoid is its own image head to tail; with a raised head it is nearly so, which beside its true plane does not count."""
    made = trimesh.creation.icosphere(4)
    made.apply_scale((0.25, 0.35, 0.9))
    both = find_mirror_planes(as_mesh(made))
    made.vertices[:, 1] += 0.5 * (made.vertices[:, 2] > 0) * made.vertices[:, 2] ** 2
    one = find_mirror_planes(as_mesh(made))
    assert len(both) == 2 and len(one) == 1 and abs(float(one[0].normal[0])) > 0.99


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
    torch.testing.assert_close(plane.mirror(plane.mirror(points)), points)
    torch.testing.assert_close(plane.mirror(points) - plane.mirror(points * 0), plane.mirror_direction(points))
    assert (((points + plane.mirror(points)) / 2) @ plane.normal - 0.3).abs().max() < 1e-6


def test_mirrored_points_are_put_onto_the_side_that_faces_the_same_way():
    """On a thin plate the nearest vertex may belong to the other side; its normal tells."""
    made = trimesh.creation.box((1, 1, 0.02)).subdivide_to_size(0.1)
    mesh = as_mesh(made)
    plane = MirrorPlane(torch.tensor([1.0, 0.0, 0.0]), 0.0, 1.0)
    points = torch.tensor([[0.3, 0.2, -0.03], [0.2, 0.1, 0.03]])
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    placed = plane.mirror_onto(mesh, points, normals)
    assert placed[0, 2] > 0 and placed[1, 2] < 0
    assert (placed[:, :2] - torch.tensor([[-0.3, 0.2], [-0.2, 0.1]])).abs().max() < 0.1


def test_same_seed_same_planes():
    first, second = (find_mirror_planes(as_mesh(fish(20.0)), seed=3) for _ in range(2))
    assert [plane.score for plane in first] == [plane.score for plane in second]


def test_planes_of_meshes_in_double_precision():
    ball = Mesh(
        *(torch.tensor(part) for part in (trimesh.creation.icosphere(3).vertices, trimesh.creation.icosphere(3).faces.astype("int64")))
    )
    planes = find_mirror_planes(ball, 0)
    assert len(planes) > 1 and planes[0].normal.dtype == ball.vertices.dtype
