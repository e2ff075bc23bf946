"""FlexiCubes against shapes whose surface is known, all sign patterns, and what its weights are for."""

import math

import pytest
import torch

from img23d.fields.analytic import Box, Sphere, Torus
from img23d.ops.cubegrid import cube_grid, cube_links
from img23d.ops.dual_cubes import CUBE_EDGES, CUBE_SIDES, SIDE_EDGES, manifold_rows, patch_table
from img23d.ops.flexicubes import CubeWeights, flexicubes
from img23d.ops.march import marching_tetrahedra
from img23d.ops.tetgrid import tet_grid
from img23d.ops.topology import area, euler_characteristic, face_areas, is_closed_manifold, is_consistently_oriented, volume
from img23d.scene import Mesh

CPU = torch.device("cpu")


def grid(resolution):
    vertices, cubes = cube_grid(resolution)
    return vertices.double(), cubes


def surface(shape, resolution, fan=False):
    vertices, cubes = grid(resolution)
    found = flexicubes(vertices, cubes, shape.sdf(vertices), fan=fan)
    return Mesh(found.vertices, found.faces)


def random_weights(count, generator, spread=0.9):
    values = 1 + spread * (2 * torch.rand(count, 21, generator=generator, dtype=torch.float64) - 1)
    return CubeWeights(values[:, :8], values[:, 8:20], values[:, 20])


TRUTH = {
    "sphere": (Sphere(0.7), 4 / 3 * math.pi * 0.7**3, 4 * math.pi * 0.7**2, 2),
    "torus": (Torus(0.6, 0.22), 2 * math.pi**2 * 0.6 * 0.22**2, 4 * math.pi**2 * 0.6 * 0.22, 0),
    "box": (Box((0.52, 0.61, 0.43)), 8 * 0.52 * 0.61 * 0.43, 8 * (0.52 * 0.61 + 0.61 * 0.43 + 0.52 * 0.43), 2),
}


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("name", TRUTH)
def test_surfaces_are_closed_outward_and_have_the_right_size_and_genus(name, fan):
    shape, true_volume, true_area, euler = TRUTH[name]
    mesh = surface(shape, 32, fan)
    assert is_closed_manifold(mesh) and is_consistently_oriented(mesh)
    assert euler_characteristic(mesh) == euler
    assert volume(mesh) == pytest.approx(true_volume, rel=0.05)  # positive: the faces look outwards
    assert area(mesh) == pytest.approx(true_area, rel=0.08 if name == "box" else 0.05)  # a box loses its sharp edges


@pytest.mark.parametrize("fan", [False, True])
def test_the_error_falls_with_the_square_of_the_resolution(fan):
    _, true_volume, true_area, _ = TRUTH["sphere"]
    coarse, fine = surface(Sphere(0.7), 16, fan), surface(Sphere(0.7), 32, fan)
    for measure, truth in ((volume, true_volume), (area, true_area)):
        assert 1.7 < math.log2(abs(measure(coarse) - truth) / abs(measure(fine) - truth)) < 2.3


def loops_of(code, flipped=False):
    """The patches of a cube by walking from edge to edge, slowly: sets of edges."""
    inside = [bool(code >> corner & 1) for corner in range(8)]
    neighbours = {edge: [] for edge, (low, high) in enumerate(CUBE_EDGES) if inside[low] != inside[high]}
    for corners, edges in zip(CUBE_SIDES, SIDE_EDGES):
        crossed = [i for i in range(4) if edges[i] in neighbours]
        lines = [crossed] if len(crossed) == 2 else []
        if len(crossed) == 4:  # round each corner that is cut off
            lines = [(i - 1, i) for i in range(4) if inside[corners[i]] == flipped]
        for i, j in lines:
            neighbours[edges[i]].append(edges[j])
            neighbours[edges[j]].append(edges[i])
    loops = set()
    for edge in neighbours:
        loop, todo = {edge}, [edge]
        while todo:
            new = set(neighbours[todo.pop()]) - loop
            loop |= new
            todo += new
        loops.add(frozenset(loop))
    return loops


def test_the_cube_s_numbering_is_consistent():
    for low, high in CUBE_EDGES:
        assert high ^ low in (1, 2, 4) and low < high
    assert len(set(CUBE_EDGES)) == 12
    corner = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]).double()
    for number, corners in enumerate(CUBE_SIDES):
        a, b, c, d = corner[list(corners)]
        outward = torch.linalg.cross(b - a, c - b)
        assert torch.allclose(a + c, b + d) and float(outward[number // 2]) == (1 if number % 2 else -1)


@pytest.mark.parametrize("flipped", [False, True])
def test_all_256_patterns_put_each_crossed_edge_in_exactly_one_patch(flipped):
    table = patch_table(CPU)
    for code in range(256):
        patch = table.patch[code + 256 * flipped].tolist()
        loops = {frozenset(edge for edge in range(12) if patch[edge] == number) for number in set(patch) - {-1}}
        assert loops == loops_of(code, flipped)
        assert int(table.patches[code + 256 * flipped]) == len(loops) == len(set(patch) - {-1})
        assert all(len(loop) >= 3 for loop in loops)
        assert set().union(*loops) == {edge for edge, (low, high) in enumerate(CUBE_EDGES) if (code >> low & 1) != (code >> high & 1)}
    assert torch.bincount(table.patches[:256]).tolist() == [2, 162, 82, 8, 2]


def test_a_side_crossed_twice_by_one_patch_is_its_cube_s_only_ambiguous_one():
    table = patch_table(CPU)
    assert int((table.double[:256] >= 0).sum()) == 36
    for code in range(256):
        alternate = [
            side for side, corners in enumerate(CUBE_SIDES) if [code >> corner & 1 for corner in corners] in ([0, 1, 0, 1], [1, 0, 1, 0])
        ]
        if table.double[code] >= 0:
            assert alternate == [int(table.double[code])]
            assert table.double[code + 256] == -1 and table.patches[code + 256] == table.patches[code] + 1


def random_field(resolution, share, generator):
    vertices, cubes = grid(resolution)
    sdf = torch.rand(len(vertices), generator=generator, dtype=torch.float64) + 0.05
    sdf = torch.where(torch.rand(len(vertices), generator=generator) < share, -sdf, sdf)
    return vertices, cubes, torch.where((vertices.abs() > 0.99).any(1), sdf.abs(), sdf)


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_any_signs_at_all_give_a_closed_manifold(share, fan):
    generator = torch.Generator().manual_seed(round(10 * share))
    doubled = 0
    for _ in range(4):
        vertices, cubes, sdf = random_field(9, share, generator)
        links = cube_links(cubes, len(vertices))
        found = flexicubes(vertices, cubes, sdf, random_weights(len(cubes), generator), links, fan)
        mesh = Mesh(found.vertices, found.faces)
        assert is_closed_manifold(mesh) and volume(mesh) > 0
        code = ((sdf < 0)[cubes] << torch.arange(8)).sum(1)
        doubled += int((manifold_rows(code, links.neighbours) >= 256).sum())
    assert doubled > 0  # the case in question came up


def test_without_turning_doubled_sides_edges_would_have_four_faces(monkeypatch):
    vertices, cubes, sdf = random_field(9, 0.5, torch.Generator().manual_seed(5))
    monkeypatch.setattr("img23d.ops.flexicubes.manifold_rows", lambda code, neighbours: code)
    found = flexicubes(vertices, cubes, sdf)
    assert not is_closed_manifold(Mesh(found.vertices, found.faces))


def test_the_order_of_the_cubes_and_the_cubes_off_the_surface_do_not_matter():
    vertices, cubes = grid(10)
    sdf = Torus(0.55, 0.25).sdf(vertices)
    whole = flexicubes(vertices, cubes, sdf)
    near = cubes[((sdf < 0)[cubes].sum(1) % 8) > 0]
    order = torch.randperm(len(near), generator=torch.Generator().manual_seed(0))
    sparse = flexicubes(vertices, near[order], sdf)

    def triangles(found):
        corners = (found.vertices[found.faces] * 1e6).round().long()
        return sorted(tuple(sorted(map(tuple, face))) for face in corners.tolist())

    assert triangles(sparse) == triangles(whole)
    assert is_consistently_oriented(Mesh(sparse.vertices, sparse.faces))


def test_dual_vertices_lie_on_a_plane_and_a_missing_cube_leaves_a_hole():
    vertices, cubes = grid(6)
    normal = torch.tensor([0.48, 0.6, 0.64], dtype=torch.float64)
    plane = vertices @ normal - 0.1
    generator = torch.Generator().manual_seed(2)
    weights = random_weights(len(cubes), generator)._replace(alpha=torch.ones(len(cubes), 8, dtype=torch.float64))
    found = flexicubes(vertices, cubes, plane, weights, fan=True)
    on_plane = (found.vertices @ normal - 0.1).abs()
    assert float(on_plane.max()) < 1e-12
    a, b, c = found.vertices[found.faces].unbind(1)
    assert bool((torch.linalg.cross(b - a, c - a) @ normal > -1e-12).all())
    sphere = Sphere(0.7).sdf(vertices)
    crossed = ((sphere < 0)[cubes].sum(1) % 8 > 0).nonzero()[:, 0]
    kept = torch.arange(len(cubes)) != crossed[0]
    full, holed = (flexicubes(vertices, part, sphere) for part in (cubes, cubes[kept]))
    assert 0 < len(full.faces) - len(holed.faces) <= 2 * 12
    assert not is_closed_manifold(Mesh(holed.vertices, holed.faces))


def test_vertices_stay_in_their_cubes_whatever_the_weights():
    vertices, cubes = grid(8)
    sdf = Sphere(0.63).sdf(vertices)
    found = flexicubes(vertices, cubes, sdf, random_weights(len(cubes), torch.Generator().manual_seed(3), 0.99))
    assert is_closed_manifold(Mesh(found.vertices, found.faces))
    cell = (found.vertices + 1) * 4
    code = ((sdf < 0)[cubes].sum(1) % 8 > 0).nonzero()[:, 0]  # one patch in every cube of so smooth a shape
    low = (vertices[cubes[code, 0]] + 1) * 4
    assert bool((cell >= low - 1e-9).all() and (cell <= low + 1 + 1e-9).all())


def test_weights_pull_where_they_should():
    vertices, cubes = grid(1)
    sdf = torch.tensor([-1.0, 1, 1, 1, 1, 1, 1, 1], dtype=torch.float64)  # one patch round corner 0
    one = CubeWeights(torch.ones(1, 8).double(), torch.ones(1, 12).double(), torch.ones(1).double())
    plain = flexicubes(vertices, cubes, sdf, one).vertices[0]
    assert torch.allclose(plain, torch.full((3,), -2 / 3, dtype=torch.float64))  # crossings at (0, -1, -1) and so on
    beta = one.beta.clone()
    beta[0, 0] = 4.0  # along x from corner 0: (4 * 0 + 2 * -1) / 6
    assert torch.allclose(flexicubes(vertices, cubes, sdf, one._replace(beta=beta)).vertices[0], plain.new_tensor([-1 / 3, -5 / 6, -5 / 6]))
    alpha = one.alpha.clone()
    alpha[0, 0] = 3.0  # the crossings move to three quarters of the edges
    assert torch.allclose(flexicubes(vertices, cubes, sdf, one._replace(alpha=alpha)).vertices[0], plain.new_tensor([-0.5] * 3))


def test_gamma_chooses_the_diagonal():
    vertices, cubes = grid(2)
    sdf = -torch.ones(len(vertices), dtype=torch.float64)
    sdf[vertices[:, 2] > 0] = 1.0
    sdf[13] = -1.0  # the middle edge, along z, is crossed amid the four upper cubes
    for heavy in (0, 1):
        gamma = torch.ones(len(cubes), dtype=torch.float64)
        gamma[4 + heavy] = 5.0
        weights = CubeWeights(torch.ones(8, 8).double(), torch.ones(8, 12).double(), gamma)
        cut, fan = (flexicubes(vertices, cubes, sdf, weights, fan=fan) for fan in (False, True))
        assert cut.faces.shape == (2, 3) and fan.faces.shape == (4, 3)
        shared = set(cut.faces[0].tolist()) & set(cut.faces[1].tolist())
        assert heavy in shared  # dual vertices are in the order of the cubes
    assert torch.equal(fan.vertices[4], fan.vertices[:4].mean(0))  # a flat square has one middle


def test_gradients_are_those_of_the_finite_differences():
    generator = torch.Generator().manual_seed(1)
    vertices, cubes = grid(2)
    vertices = vertices + 0.1 * torch.randn(vertices.shape, generator=generator, dtype=torch.float64)
    sdf = vertices.norm(dim=1) - 0.6 + 0.2 * torch.randn(len(vertices), generator=generator, dtype=torch.float64)
    assert float(sdf.abs().min()) > 1e-3  # no sign changes within the differences
    inputs = [vertices, sdf, *random_weights(len(cubes), generator, 0.5)]

    def outputs(vertices, sdf, alpha, beta, gamma):
        found = flexicubes(vertices, cubes, sdf, CubeWeights(alpha, beta, gamma), fan=True)
        return found.vertices, found.deviation

    assert len(outputs(*inputs)[0]) > 8
    assert torch.autograd.gradcheck(outputs, [value.requires_grad_() for value in inputs], fast_mode=True)


def test_exact_zeros_and_nothing_inside():
    vertices, cubes = grid(8)
    mesh = Mesh(*flexicubes(vertices, cubes, Box((0.5, 0.5, 0.5)).sdf(vertices))[:2])
    assert is_closed_manifold(mesh) and float(face_areas(mesh).min()) > 0
    for sign in (1.0, -1.0):
        found = flexicubes(vertices, cubes, sign * torch.ones(len(vertices)).double(), fan=True)
        assert found.vertices.shape == (0, 3) and found.faces.shape == (0, 3) and found.deviation.shape == (0,)


def test_deviation_is_zero_amid_equal_crossings_and_grows_off_the_middle():
    vertices, cubes = grid(1)
    sdf = torch.tensor([-1.0, 1, 1, 1, 1, 1, 1, 1], dtype=torch.float64)
    weights = CubeWeights(torch.ones(1, 8).double(), torch.ones(1, 12).double(), torch.ones(1).double())
    assert float(flexicubes(vertices, cubes, sdf, weights).deviation) < 1e-9
    weights.beta[0, 0] = 4.0
    assert float(flexicubes(vertices, cubes, sdf, weights).deviation) > 0.1


def fitted(extract, parameters, shape, steps=30):
    """Learn a surface whose faces' centres and edges' middles lie on a shape."""
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(steps):
        vertices, faces = extract()
        corner = vertices[faces]
        samples = torch.cat([corner.mean(1), *((corner[:, i] + corner[:, i - 1]) / 2 for i in range(3))])
        optimizer.zero_grad()
        shape.sdf(samples).square().mean().backward()
        optimizer.step()
    return Mesh(*(part.detach() for part in extract()))


def test_learnt_weights_give_sharp_edges_that_tets_cannot_have():
    """Only the weights are learnt, or only the distances of a tetrahedral grid with more vertices and faces."""
    shape = Box((0.56, 0.32, 0.57))  # its edges are where convex combinations of crossings can be
    vertices, cubes = grid(8)
    links = cube_links(cubes, len(vertices))
    logits = torch.zeros(len(cubes), 21, dtype=torch.float64, requires_grad=True)
    sdf = shape.sdf(vertices)

    def weighted():
        values = 1 + 0.99 * torch.tanh(logits)
        weights = CubeWeights(values[:, :8], values[:, 8:20], values[:, 20])
        return flexicubes(vertices, cubes, sdf, weights, links, fan=True)[:2]

    tets = tet_grid(6)
    distances = shape.sdf(tets.vertices.double()).requires_grad_()
    plain, sharp = Mesh(*(part.detach() for part in weighted())), fitted(weighted, [logits], shape)
    marched = fitted(lambda: marching_tetrahedra(tets.vertices.double(), tets.tets, distances)[:2], [distances], shape)
    assert len(sharp.vertices) < len(marched.vertices) and is_closed_manifold(sharp)

    def missing(mesh):
        return abs(volume(mesh) / (8 * math.prod(shape.half)) - 1)

    assert missing(sharp) < 0.3 * missing(marched) < missing(plain)
