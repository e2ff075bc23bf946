"""The solid of a mesh: exact where the mesh is one, sensible where it is not."""

import math

import pytest
import torch

from img23d.backends.rasterizers import choose_rasterizer
from img23d.errors import InputError
from img23d.ops.closest import closest_on_triangles
from img23d.ops.march import marching_tetrahedra
from img23d.ops.solidify import around, look, nearest_seen, signed_distance, solidify, without_gaps
from img23d.ops.tetgrid import tet_grid
from img23d.ops.topology import euler_characteristic, is_closed_manifold, volume
from img23d.ops.volume import sample_volume, volume_points
from img23d.scene import Mesh

SIZE = 32
STEP = 2 / (SIZE - 1)
FEW = {"views": 24, "size": 192}
CUBE_FACES = [
    [0, 2, 3],
    [0, 3, 1],
    [4, 5, 7],
    [4, 7, 6],
    [0, 1, 5],
    [0, 5, 4],
    [2, 6, 7],
    [2, 7, 3],
    [0, 4, 6],
    [0, 6, 2],
    [1, 3, 7],
    [1, 7, 5],
]


def rasterizer():
    return choose_rasterizer("auto")


def box_mesh(half, centre=(0.0, 0.0, 0.0)):
    corners = torch.tensor([[x, y, z] for z in (-1.0, 1.0) for y in (-1.0, 1.0) for x in (-1.0, 1.0)])
    return Mesh(corners * torch.tensor(half) + torch.tensor(centre), torch.tensor(CUBE_FACES))


def box_sdf(points, half=(0.5, 0.6, 0.3)):
    beyond = points.abs() - points.new_tensor(half)
    return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(-1).clamp(max=0)


def union(*meshes):
    offsets = [sum(len(mesh.vertices) for mesh in meshes[:number]) for number in range(len(meshes))]
    return Mesh(
        torch.cat([mesh.vertices for mesh in meshes]),
        torch.cat([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
    )


def marched(shape, resolution=20):
    grid = tet_grid(resolution)
    return Mesh(*marching_tetrahedra(grid.vertices, grid.tets, shape(grid.vertices))[:2])


def remarched(sdf):
    """The surface of a dense grid's values."""
    grid = tet_grid(SIZE - 1)
    return Mesh(*marching_tetrahedra(grid.vertices, grid.tets, sample_volume(sdf, grid.vertices))[:2])


def soup():
    """A box whose faces share no vertex and look this way and that."""
    box = box_mesh((0.5, 0.6, 0.3))
    faces = torch.arange(36).reshape(12, 3)
    return Mesh(box.vertices[box.faces].reshape(-1, 3), torch.where(torch.arange(12)[:, None] % 2 == 0, faces, faces.flip(1)))


def sheet(z=0.013):
    corners = torch.tensor([[-0.5, -0.5, z], [0.5, -0.5, z], [0.5, 0.5, z], [-0.5, 0.5, z]])
    return Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]))


BOXES = {
    "closed": box_mesh((0.5, 0.6, 0.3)),
    "inside out": Mesh(box_mesh((0.5, 0.6, 0.3)).vertices, torch.tensor(CUBE_FACES).flip(1)),
    "soup": soup(),
    "walls and a ball inside": union(box_mesh((0.5, 0.6, 0.3)), sheet(), box_mesh((0.2, 0.2, 0.2))),
    "two crossing halves": union(box_mesh((0.3, 0.6, 0.3), (-0.2, 0, 0)), box_mesh((0.4, 0.6, 0.3), (0.1, 0, 0))),
}


@pytest.mark.parametrize("name", BOXES)
def test_every_way_to_make_a_box_is_the_same_solid(name):
    points = volume_points(SIZE).reshape(-1, 3)
    truth, sdf = box_sdf(points), solidify(BOXES[name], SIZE, rasterizer(), **FEW).reshape(-1)
    near = truth.abs() < 2 * STEP
    assert float((sdf - truth)[near].abs().max()) < 0.02 * STEP
    assert float((sdf - truth).abs().max()) < STEP
    assert torch.equal(sdf < 0, truth < 0)


def test_a_torus_keeps_its_hole_and_its_volume():
    mesh = marched(lambda p: ((p[:, :2].norm(dim=-1) - 0.6).square() + p[:, 2].square()).sqrt() - 0.2, 24)
    again = remarched(solidify(mesh, SIZE, rasterizer(), **FEW))
    assert is_closed_manifold(again) and euler_characteristic(again) == 0
    assert volume(again) == pytest.approx(2 * math.pi**2 * 0.6 * 0.2**2, rel=0.05)


def test_a_cup_is_hollow_and_a_closed_room_is_solid():
    cup = union(
        box_mesh((0.5, 0.5, 0.06), (0, 0, -0.44)),
        *(box_mesh((0.06, 0.5, 0.5), (side * 0.44, 0, 0)) for side in (-1, 1)),
        *(box_mesh((0.5, 0.06, 0.5), (0, side * 0.44, 0)) for side in (-1, 1)),
    )
    points = torch.tensor([[0.0, 0, 0], [0, 0, -0.3], [0.44, 0, 0], [0, 0, -0.44]])
    values = signed_distance(cup, points, rasterizer(), **FEW)
    assert (values[:2] > 0).all() and (values[2:] < 0).all()
    room = union(cup, box_mesh((0.5, 0.5, 0.06), (0, 0, 0.44)))
    assert (signed_distance(room, points, rasterizer(), **FEW) < 0).all()


def test_sheets_get_the_least_thickness_and_thick_solids_do_not_grow():
    mesh = remarched(solidify(sheet(), SIZE, rasterizer(), **FEW))
    assert is_closed_manifold(mesh) and euler_characteristic(mesh) == 2
    assert volume(mesh) == pytest.approx(1.5 * STEP, rel=0.15)
    plate = remarched(solidify(box_mesh((0.5, 0.5, 0.5 * 0.7 * STEP)), SIZE, rasterizer(), **FEW))
    assert is_closed_manifold(plate) and volume(plate) == pytest.approx(1.5 * STEP, rel=0.2)
    thick = remarched(solidify(box_mesh((0.5, 0.5, 0.5 * 4 * STEP)), SIZE, rasterizer(), **FEW))
    assert volume(thick) == pytest.approx(4 * STEP, rel=0.05)
    above = torch.tensor([[0.1, 0.2, 0.1]])
    assert float(signed_distance(sheet(0.0), above, rasterizer(), thickness=0.08, **FEW)) == pytest.approx(0.06, abs=1e-5)
    assert float(signed_distance(sheet(0.0), above, rasterizer(), **FEW)) == pytest.approx(0.1, abs=1e-5)


def test_pinholes_do_not_hollow_a_solid():
    mesh = marched(lambda p: p.norm(dim=-1) - 0.7, 24)
    kept = torch.rand(len(mesh.faces), generator=torch.Generator().manual_seed(0)) > 0.01
    truth = volume_points(SIZE).norm(dim=-1) - 0.7
    sdf = solidify(Mesh(mesh.vertices, mesh.faces[kept]), SIZE, rasterizer(), **FEW)
    assert float(((sdf < 0) != (truth < 0))[truth.abs() > 0.1 * STEP].float().mean()) < 1e-3


def test_a_gap_that_the_grid_can_hold_stays_open():
    half_gap = 1.5 * STEP
    pair = union(box_mesh((0.4, 0.4, 0.15), (0, 0, half_gap + 0.15)), box_mesh((0.4, 0.4, 0.15), (0, 0, -half_gap - 0.15)))
    sdf = solidify(pair, SIZE, rasterizer(), **FEW)
    assert (sample_volume(sdf, torch.tensor([[0.0, 0, 0], [0.2, 0.1, 0], [-0.3, -0.3, 0]])) > 0).all()
    depth = torch.full((9, 9), 2.0)
    depth[:, 4] = torch.inf
    assert float(without_gaps(depth, 2.0).max()) == 2.0 and torch.equal(without_gaps(depth, 0.9), depth)


def test_nearest_points_agree_with_all_triangles():
    mesh = marched(box_sdf, 10)
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9
    near = nearest_seen(mesh, look(mesh, rasterizer(), 0.0, 24, 256), points)
    everywhere = closest_on_triangles(points[:, None], mesh.vertices[mesh.faces][None])
    truth = (everywhere - points[:, None]).norm(dim=-1).amin(1)
    assert float(((near - points).norm(dim=-1) - truth).abs().max()) < 2e-3


def test_closest_points_on_triangles_agree_with_a_fine_search():
    generator = torch.Generator().manual_seed(0)
    corners = torch.randn(30, 3, 3, generator=generator, dtype=torch.float64)
    corners[0, 2] = corners[0, 1]  # a triangle that is a segment
    corners[1, 1:] = corners[1, :1]  # and one that is a point
    points = 2 * torch.randn(30, 3, generator=generator, dtype=torch.float64)
    u, v = torch.meshgrid(*[torch.linspace(0, 1, 201, dtype=torch.float64)] * 2, indexing="ij")
    weights = torch.stack([1 - u - v, u, v], -1)[(u + v) <= 1 + 1e-9]
    samples = torch.einsum("sc,tcx->tsx", weights, corners)
    slow = (samples - points[:, None]).norm(dim=-1).amin(1)
    fast = (closest_on_triangles(points, corners) - points).norm(dim=-1)
    assert (fast <= slow + 1e-9).all() and float((slow - fast).max()) < 0.02


def test_views_show_the_whole_cube():
    cameras = around(12)
    corners = box_mesh((1.0, 1.0, 1.0)).vertices
    xy = cameras.project(corners)[..., :2]
    assert float(xy.min()) > 0 and float(xy.max()) < 1
    assert float(cameras.position.mean(0).norm()) < 0.2 * 4  # from all sides


def test_meshes_that_show_nothing_or_reach_out_are_refused():
    with pytest.raises(InputError, match="no face"):
        solidify(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])), 8, rasterizer(), **FEW)
    with pytest.raises(ValueError, match="inside"):
        solidify(box_mesh((1.5, 0.5, 0.5)), 8, rasterizer(), **FEW)
