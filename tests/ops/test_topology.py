"""What topology says of solids that touch, open, turn and fall apart."""

import math

import pytest
import torch

from img23d.ops.march import marching_tetrahedra
from img23d.ops.tetgrid import tet_grid
from img23d.ops.topology import (
    area,
    components,
    drop_degenerate,
    drop_unused,
    euler_characteristic,
    is_closed,
    is_closed_manifold,
    is_consistently_oriented,
    is_manifold,
    largest_components,
    make_manifold,
    volume,
)
from img23d.scene import Mesh

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


def cubes(*places, weld=True):
    """Unit cubes at integer places; equal corners are one vertex when welded."""
    corners = torch.tensor([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=torch.float64)
    vertices = torch.cat([corners + torch.tensor(place, dtype=torch.float64) for place in places])
    faces = torch.cat([torch.tensor(CUBE_FACES) + 8 * number for number in range(len(places))])
    if weld:
        vertices, inverse = torch.unique(vertices, dim=0, return_inverse=True)
        faces = inverse[faces]
    return Mesh(vertices, faces)


def union(*meshes):
    offsets = [sum(len(mesh.vertices) for mesh in meshes[:number]) for number in range(len(meshes))]
    return Mesh(
        torch.cat([mesh.vertices for mesh in meshes]),
        torch.cat([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
    )


CASES = {
    # places, closed, manifold, oriented, Euler, parts, as welded; then Euler and parts when made manifold
    "one": ([(0, 0, 0)], (True, True, True, 2, 1), (2, 1)),
    "touching in a corner": ([(0, 0, 0), (1, 1, 1)], (True, False, True, 3, 1), (4, 2)),
    "touching along an edge": ([(0, 0, 0), (1, 1, 0)], (True, False, False, 3, 1), (4, 2)),
    "sharing a side": ([(0, 0, 0), (1, 0, 0)], (True, False, False, 5, 1), (2, 1)),
    "ring": ([(x, y, 0) for x in range(3) for y in range(3) if (x, y) != (1, 1)], (True, False, False, 24, 1), (0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_cubes_that_touch(name):
    places, (closed, manifold, oriented, euler, parts), (euler_after, parts_after) = CASES[name]
    mesh = cubes(*places)
    assert (is_closed(mesh), is_manifold(mesh), is_consistently_oriented(mesh)) == (closed, manifold, oriented)
    assert (euler_characteristic(mesh), int(components(mesh).max()) + 1) == (euler, parts)
    assert is_closed_manifold(mesh) == (name == "one")
    assert volume(mesh) == pytest.approx(len(places))
    fixed = make_manifold(mesh)
    assert is_closed_manifold(fixed) and volume(fixed) == pytest.approx(len(places))
    assert (euler_characteristic(fixed), int(components(fixed).max()) + 1) == (euler_after, parts_after)


@pytest.mark.parametrize("seed", range(4))
def test_any_heap_of_cubes_becomes_manifold_with_the_same_volume(seed):
    filled = (torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(seed)) > 0.5).nonzero().tolist()
    heap = cubes(*map(tuple, filled))
    fixed = make_manifold(heap)
    assert not is_manifold(heap)
    assert is_closed_manifold(fixed)
    assert volume(fixed) == pytest.approx(len(filled))
    again = make_manifold(fixed)
    assert torch.equal(again.faces, fixed.faces) and torch.equal(again.vertices, fixed.vertices)


def test_an_edge_whose_sides_are_joined_elsewhere_is_halved():
    loop = cubes((0, 0, 0), (1, 1, 0), (1, 0, -1), (0, 0, -1), (1, 1, -1), (1, 0, 1), (0, 0, 1), (1, 1, 1))
    fixed = make_manifold(loop)
    assert is_closed_manifold(fixed) and volume(fixed) == pytest.approx(8)
    assert len(torch.unique(fixed.vertices, dim=0)) > len(torch.unique(loop.vertices, dim=0))  # the middle of an edge is new


def test_a_missing_face_opens_and_a_turned_face_disorients():
    cube = cubes((0, 0, 0))
    opened = Mesh(cube.vertices, cube.faces[1:])
    assert not is_closed(opened) and is_manifold(opened) and is_consistently_oriented(opened) and not is_closed_manifold(opened)
    turned = Mesh(cube.vertices, torch.cat([cube.faces[:1].flip(1), cube.faces[1:]]))
    assert is_closed(turned) and is_manifold(turned) and not is_consistently_oriented(turned) and not is_closed_manifold(turned)
    assert volume(Mesh(cube.vertices, cube.faces.flip(1))) == pytest.approx(-1)
    stray = Mesh(torch.cat([cube.vertices, cube.vertices[:1]]), cube.faces)
    assert not is_closed_manifold(stray) and is_closed_manifold(drop_unused(stray))
    assert not is_closed(Mesh(cube.vertices, cube.faces[:0]))


def test_size_and_genus_of_a_marched_torus():
    grid = tet_grid(20)
    points = grid.vertices.double()
    sdf = ((points[:, [0, 2]].norm(dim=-1) - 0.6).square() + points[:, 1].square()).sqrt() - 0.25
    mesh = Mesh(*marching_tetrahedra(points, grid.tets, sdf)[:2])
    assert is_closed_manifold(mesh) and euler_characteristic(mesh) == 0
    assert volume(mesh) == pytest.approx(2 * math.pi**2 * 0.6 * 0.25**2, rel=0.02)
    assert area(mesh) == pytest.approx(4 * math.pi**2 * 0.6 * 0.25, rel=0.01)
    far = Mesh(mesh.vertices + 100, mesh.faces)
    assert volume(far) == pytest.approx(volume(mesh), rel=1e-6)


def test_components_are_numbered_and_small_ones_dropped():
    large = cubes((0, 0, 0))
    small = Mesh(large.vertices * 0.3 + 5, large.faces)  # 0.09 of the area
    tiny = Mesh(large.vertices * 0.1 - 5, large.faces)  # 0.01 of the area
    mesh = union(tiny, large, small)
    assert torch.equal(components(mesh), torch.arange(3).repeat_interleave(12))
    assert len(largest_components(mesh, 0.0).faces) == 36
    assert volume(largest_components(mesh, 0.05)) == pytest.approx(1.027)
    only = largest_components(mesh, 1.0)
    assert volume(only) == pytest.approx(1) and len(only.vertices) == 8 and is_closed_manifold(only)
    empty = Mesh(mesh.vertices, mesh.faces[:0])
    assert len(largest_components(empty).faces) == 0


def test_faces_that_enclose_nothing_are_dropped_and_others_kept():
    cube = cubes((0, 0, 0))
    first, second = cube.faces[:1], cube.faces[1:2]
    repeated_corner = torch.tensor([[0, 0, 5], [1, 2, 1]])
    rotated_twin = first.roll(1, 1)
    back_to_back = torch.tensor([[0, 3, 7], [7, 3, 0]])
    messy = Mesh(cube.vertices, torch.cat([back_to_back, cube.faces, repeated_corner, rotated_twin, second.flip(1), second]))
    clean = drop_degenerate(messy)
    assert {frozenset(face) for face in clean.faces.tolist()} == {frozenset(face) for face in cube.faces.tolist()}
    assert is_closed_manifold(clean) and volume(clean) == pytest.approx(1)
    assert torch.equal(drop_degenerate(cube).faces, cube.faces)
    assert drop_degenerate(Mesh(cube.vertices, cube.faces[:0])).faces.shape == (0, 3)


def test_make_manifold_leaves_open_meshes_open_but_manifold():
    book = Mesh(torch.eye(5, 3, dtype=torch.float64), torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))
    fixed = make_manifold(book)
    assert is_manifold(fixed) and is_consistently_oriented(fixed) and len(fixed.faces) >= 3
    bow_tie = Mesh(torch.eye(5, 3, dtype=torch.float64), torch.tensor([[0, 1, 2], [0, 3, 4]]))
    assert not is_manifold(bow_tie) and is_manifold(make_manifold(bow_tie)) and len(make_manifold(bow_tie).vertices) == 6
    assert len(make_manifold(Mesh(book.vertices, book.faces[:0])).faces) == 0
