"""Canonical coordinate maps against positions that are known, and their derivatives against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.fields.analytic import Box, Sphere
from img23d.ops.coordinates import (
    MARGIN,
    cameras_about,
    canonical,
    coordinate_maps,
    mesh_bounds,
    mesh_points,
    told_cameras,
    unit_cameras,
    volume_bounds,
)  # fmt: skip
from img23d.ops.volume import volume_points
from img23d.scene import Mesh

NUMBA = choose_rasterizer("numba")
AZIMUTH, ELEVATION = [0.0, 60.0, 200.0], [20.0, -10.0, 40.0]


def mesh_of(made: trimesh.Trimesh, dtype: torch.dtype = torch.float64) -> Mesh:
    return Mesh(torch.tensor(made.vertices, dtype=dtype), torch.tensor(made.faces, dtype=torch.int64))


def maps_of(mesh: Mesh, cameras, size: int, bounds: torch.Tensor | None = None) -> torch.Tensor:
    bounds = mesh_bounds(mesh) if bounds is None else bounds
    return coordinate_maps(*mesh_points(mesh, cameras_about(cameras, bounds), size, NUMBA), bounds)


def test_the_map_of_a_box_is_where_rays_meet_it() -> None:
    """A box that is neither centred nor a cube: exact along the rays, each axis stretched by itself."""
    low, high = torch.tensor([-0.2, -0.5, 0.1], dtype=torch.float64), torch.tensor([0.9, 0.1, 0.4], dtype=torch.float64)
    made = trimesh.creation.box(extents=(high - low).numpy())
    made.apply_translation(((low + high) / 2).numpy())
    cameras, size = unit_cameras(AZIMUTH, ELEVATION), 64
    seen = maps_of(mesh_of(made), cameras, size)
    origins, directions = cameras_about(cameras, torch.stack([low, high])).rays(size, size)
    near = torch.minimum((low - origins) / directions, (high - origins) / directions).amax(-1)
    far = torch.maximum((low - origins) / directions, (high - origins) / directions).amin(-1)
    points = origins + near[..., None] * directions
    placed = (points - (low + high) / 2) / (MARGIN * (high - low) / 2)
    wanted = torch.stack([placed[..., 0], -placed[..., 2], placed[..., 1]], -1)
    whole, empty = seen[..., 3] == 1, seen[..., 3] == -1
    assert 0.1 < float(whole.double().mean()) < 0.6 and bool((near < far)[whole].all()) and not bool((near < far)[empty].any())
    torch.testing.assert_close(seen[..., :3][whole], wanted[whole], atol=1e-5, rtol=0)  # cameras are of single precision
    torch.testing.assert_close(seen[..., :3][empty], torch.zeros_like(wanted[empty]))
    front = seen[0][..., 1][whole[0]]  # the photo's side is on -y
    assert float(front.min()) == pytest.approx(-1 / MARGIN, abs=1e-6)
    half = seen[(seen[..., 3].abs() < 1)]  # what is covered in part is dimmed in part
    assert len(half) and bool((half[:, :3].abs() <= (half[:, 3:] + 1) / 2 / MARGIN + 1e-6).all())


def test_a_map_does_not_depend_on_size_or_place() -> None:
    made = trimesh.creation.icosphere(2, 0.3)
    made.apply_scale([1.0, 0.5, 0.8])
    mesh = mesh_of(made)
    moved = Mesh(mesh.vertices * 2.5 + torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64), mesh.faces)
    cameras = unit_cameras(AZIMUTH, ELEVATION)
    torch.testing.assert_close(maps_of(moved, cameras, 32), maps_of(mesh, cameras, 32), atol=1e-5, rtol=0)


def test_every_box_fits_the_picture() -> None:
    for sides in ((1.0, 1.0, 1.0), (1.0, 0.2, 0.1), (0.3, 1.0, 0.9)):
        mesh = mesh_of(trimesh.creation.box(sides))
        cameras = unit_cameras([10.0 * number for number in range(36)], [45.0] * 36)
        places = cameras_about(cameras, mesh_bounds(mesh)).project(mesh.vertices)
        assert float(places[..., :2].min()) >= 0 and float(places[..., :2].max()) <= 1


def test_cameras_are_told_as_the_maps_lie() -> None:
    front, right = told_cameras(unit_cameras([0.0, 90.0], [0.0, 0.0])).unflatten(1, (3, 4))
    torch.testing.assert_close(front, torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, -1.5], [0, 1, 0, 0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(right, torch.tensor([[0.0, 0, 1, 1.5], [1, 0, 0, 0], [0, 1, 0, 0]]), atol=1e-6, rtol=0)
    turned = torch.linalg.det(told_cameras(unit_cameras([33.0], [12.0])).unflatten(1, (3, 4))[0, :, :3])
    assert float(turned) == pytest.approx(1.0)
    # A point in front of a camera, in the maps' frame, is where the told matrix says.
    cameras = unit_cameras([33.0], [12.0])
    matrix = told_cameras(cameras).unflatten(1, (3, 4))[0]
    local = torch.tensor([0.1, -0.2, -1.3])
    world = cameras.cam_to_world[0, :3, :3] @ local + cameras.position[0]
    torch.testing.assert_close(matrix[:, :3] @ local + matrix[:, 3], canonical(world), atol=1e-6, rtol=0)


def test_a_loss_on_the_map_has_the_derivatives_of_finite_differences() -> None:
    made = trimesh.creation.icosphere(1, 0.5)
    mesh = mesh_of(made)
    bounds, cameras = mesh_bounds(mesh), unit_cameras([30.0], [15.0])
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 24, 24, 4, generator=generator, dtype=torch.float64) * 2 - 1

    def loss(vertices: torch.Tensor) -> torch.Tensor:
        return (maps_of(Mesh(vertices, mesh.faces), cameras, 24, bounds) - target).square().mean()

    vertices = mesh.vertices.clone().requires_grad_(True)
    loss(vertices).backward()
    assert vertices.grad is not None
    for _ in range(5):
        direction = torch.randn(mesh.vertices.shape, generator=generator, dtype=torch.float64)
        step = 1e-6
        with torch.no_grad():
            slope = float(loss(mesh.vertices + step * direction) - loss(mesh.vertices - step * direction)) / (2 * step)
        assert float((vertices.grad * direction).sum()) == pytest.approx(slope, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("shape, reach", [(Sphere(0.6), (0.6, 0.6, 0.6)), (Box((0.5, 0.4, 0.3)), (0.5, 0.4, 0.3))])
def test_bounds_of_a_volume_are_those_of_its_surface(shape, reach) -> None:
    bounds = volume_bounds(shape.sdf(volume_points(41) - torch.tensor([0.1, 0.0, -0.05])).reshape(41, 41, 41))
    middle = torch.tensor([0.1, 0.0, -0.05])
    torch.testing.assert_close(bounds, torch.stack([middle - torch.tensor(reach), middle + torch.tensor(reach)]), atol=0.006, rtol=0)


def test_bounds_of_nothing_and_of_all_are_the_cube() -> None:
    cube = torch.tensor([[-1.0] * 3, [1.0] * 3])
    for value in (1.0, -1.0):
        torch.testing.assert_close(volume_bounds(torch.full((8, 8, 8), value)), cube)


def test_a_flat_thing_is_not_stretched_without_end() -> None:
    points, cover = torch.zeros(1, 2, 2, 3), torch.ones(1, 2, 2)
    points[..., 1] = 1e-7
    flat = torch.tensor([[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]])
    assert math.isclose(float(coordinate_maps(points, cover, flat)[..., 2].max()), 1e-7 / (1e-3 * 8**0.5 * MARGIN), rel_tol=1e-3)
