"""Subdivision: same solid, eight tets for one, averages on the edges, and the surface unchanged in the band."""

from itertools import pairwise

import pytest
import torch

from img23d.ops.band import surface_band
from img23d.ops.march import marching_tetrahedra
from img23d.ops.mesh_losses import tet_volumes
from img23d.ops.subdivide import shortest_diagonal_first, subdivide
from img23d.ops.tetgrid import tet_grid, unique_edges
from img23d.scene import TetGrid


def deformed(resolution=3, amount=0.08):
    grid = tet_grid(resolution)
    noise = torch.randn(len(grid.vertices), 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return TetGrid(grid.vertices.double() + amount / resolution * noise, grid.tets)


def test_every_tet_becomes_eight_of_an_eighth():
    grid = deformed()
    finer, _ = subdivide(grid)
    eighth = tet_volumes(grid.vertices, grid.tets) / 8
    children = tet_volumes(finer.vertices, finer.tets).reshape(8, -1)
    assert torch.allclose(children, eighth.expand(8, -1), rtol=1e-9)
    assert len(finer.vertices) == len(grid.vertices) + len(unique_edges(grid.tets, len(grid.vertices)))


def test_the_finer_grid_is_conforming():
    finer, _ = subdivide(deformed(2))
    sides = torch.cat([finer.tets[:, list(side)] for side in ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3))]).sort(1)[0]
    _, count = torch.unique(sides, dim=0, return_counts=True)
    assert int(count.max()) == 2
    assert int((count == 1).sum()) == 6 * 2 * 2 * 2 * 4  # only on the cube


def test_features_are_kept_at_vertices_and_averaged_on_edges():
    grid = deformed()
    plane = grid.vertices @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) - 0.5
    offset = grid.vertices * 2
    finer, (finer_plane, finer_offset) = subdivide(grid, plane, offset)
    assert torch.equal(finer.vertices[: len(plane)], grid.vertices)
    assert torch.allclose(finer_plane, finer.vertices @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) - 0.5)
    assert torch.allclose(finer_offset, finer.vertices * 2)


def test_regular_grids_stay_congruent_level_after_level():
    grid = tet_grid(1)
    shapes = []
    for _ in range(3):
        finer, _ = subdivide(grid)
        inner = (finer.vertices[finer.tets].abs() < 0.999).all(-1).all(-1)
        corners = finer.vertices[finer.tets[inner]]
        lengths = torch.cdist(corners, corners).reshape(-1, 16).sort(-1)[0]
        shapes.append(len(torch.unique((lengths / lengths[:, -1:] * 1000).round(), dim=0)))
        grid = finer
    whole, _ = subdivide(subdivide(tet_grid(4))[0])
    corners = whole.vertices[whole.tets]
    inner = (corners.abs() < 0.7).all(-1).all(-1)
    lengths = torch.cdist(corners[inner], corners[inner]).reshape(-1, 16).sort(-1)[0]
    assert len(torch.unique((lengths * 1000).round(), dim=0)) == 1
    assert shapes[-1] <= 4  # the outer pyramids' shapes do not multiply either


def test_the_shortest_diagonal_is_cut_and_no_tet_is_mirrored():
    grid = deformed(3, amount=0.2)
    turned = shortest_diagonal_first(grid.vertices, grid.tets)
    assert torch.equal(turned.sort(1)[0], grid.tets.sort(1)[0])
    assert torch.allclose(tet_volumes(grid.vertices, turned), tet_volumes(grid.vertices, grid.tets))
    middle = {pair: grid.vertices[turned[:, list(pair)]].mean(1) for pair in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))}
    cut = (middle[0, 2] - middle[1, 3]).norm(dim=-1)
    others = torch.stack([(middle[0, 1] - middle[2, 3]).norm(dim=-1), (middle[0, 3] - middle[1, 2]).norm(dim=-1)]).amin(0)
    assert (cut <= others * 1.002).all()


@pytest.mark.parametrize("rings", [0, 1, 2])
def test_the_band_holds_the_same_surface_as_the_whole_grid(rings):
    grid = tet_grid(8)
    sdf = grid.vertices.norm(dim=-1) - 0.61
    band = surface_band(grid.tets, sdf, rings)
    assert 0 < int(band.sum()) < len(band)
    whole, (whole_sdf,) = subdivide(grid, sdf)
    part, (part_sdf,) = subdivide(grid, sdf, selected=band)
    assert len(part.tets) == 8 * int(band.sum())
    assert len(torch.unique(part.tets)) == len(part.vertices), "no stray vertices"
    first, second = (marching_tetrahedra(g.vertices, g.tets, s) for g, s in ((whole, whole_sdf), (part, part_sdf)))
    assert torch.equal(first[0], second[0])
    assert sorted(first[1].tolist()) == sorted(second[1].tolist())


def test_each_ring_adds_the_tets_around():
    grid = tet_grid(6)
    sdf = grid.vertices.norm(dim=-1) - 0.5
    bands = [surface_band(grid.tets, sdf, rings) for rings in range(3)]
    for inner, outer in pairwise(bands):
        assert (outer | ~inner).all() and int(outer.sum()) > int(inner.sum())
        touching = torch.isin(grid.tets, grid.tets[inner]).any(-1)
        assert torch.equal(touching, outer)


def test_gradients_reach_the_features():
    grid = tet_grid(1)
    sdf = torch.randn(len(grid.vertices), dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda distance: subdivide(grid, distance)[1][0], (sdf,))


def test_selecting_nothing_gives_an_empty_grid():
    grid = tet_grid(2)
    empty, (features,) = subdivide(grid, torch.zeros(len(grid.vertices)), selected=torch.zeros(len(grid.tets), dtype=torch.bool))
    assert empty.tets.shape == (0, 4) and features.shape == (0,)
