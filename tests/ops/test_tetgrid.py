"""The tetrahedral grid fills its cube exactly once, with positive, congruent tets."""

import pytest
import torch

from img23d.ops.mesh_losses import tet_volumes
from img23d.ops.tetgrid import edge_keys, tet_grid, unique_edges


@pytest.mark.parametrize("resolution", [1, 2, 5])
def test_the_grid_fills_the_cube_exactly_once(resolution):
    grid = tet_grid(resolution, half=1.5)
    volumes = tet_volumes(grid.vertices.double(), grid.tets)
    assert float(volumes.min()) > 0
    assert float(volumes.sum()) == pytest.approx(27.0, rel=1e-6)
    assert grid.vertices.abs().max() == 1.5
    assert len(grid.vertices) == (resolution + 1) ** 3 + resolution**3
    assert len(grid.tets) == 12 * resolution**2 * (resolution - 1) + 12 * resolution**2
    assert len(torch.unique(grid.tets)) == len(grid.vertices)


def test_inner_faces_are_shared_by_two_tets_on_opposite_sides_and_outer_ones_lie_on_the_cube():
    grid = tet_grid(3)
    a, b, c, d = grid.tets.unbind(1)
    # The faces of a positive tet, each counter-clockwise seen from outside it.
    faces = torch.cat([torch.stack(face, -1) for face in ((b, c, d), (a, d, c), (a, b, d), (a, c, b))])
    start = faces.argmin(1, keepdim=True)
    turned = torch.gather(faces, 1, (start + torch.arange(3)) % 3)
    mirrored = turned[:, [0, 2, 1]]
    there = {tuple(face) for face in turned.tolist()}
    assert len(there) == len(turned), "no face twice in the same direction"
    lonely = torch.tensor([face not in there for face in map(tuple, mirrored.tolist())])
    corners = grid.vertices[turned[lonely]]
    on_side = (corners.abs() == 1).all(1).any(-1)
    assert on_side.all() and int(lonely.sum()) == 6 * 3 * 3 * 2


def test_inner_tets_are_congruent_and_start_with_their_long_edges():
    grid = tet_grid(4)
    inner = (grid.vertices[grid.tets].abs() < 1).all(-1).sum(-1) == 4
    corners = grid.vertices[grid.tets[inner]]
    lengths = torch.cdist(corners, corners)
    assert torch.allclose(lengths[:, 0, 2], torch.full_like(lengths[:, 0, 2], 0.5))
    assert torch.allclose(lengths[:, 1, 3], torch.full_like(lengths[:, 0, 2], 0.5))
    for i, j in ((0, 1), (0, 3), (2, 1), (2, 3)):
        assert torch.allclose(lengths[:, i, j], torch.full_like(lengths[:, 0, 2], 0.5 * 0.75**0.5))


def test_edges_agree_with_a_set_of_pairs():
    grid = tet_grid(2)
    pairs = {tuple(sorted((int(tet[i]), int(tet[j])))) for tet in grid.tets for i in range(4) for j in range(i)}
    edges = unique_edges(grid.tets, len(grid.vertices))
    assert [tuple(edge) for edge in edges.tolist()] == sorted(pairs)
    flipped = edge_keys(grid.tets[:, [1, 0, 2, 3]], len(grid.vertices))
    assert torch.equal(flipped[:, 0], edge_keys(grid.tets, len(grid.vertices))[:, 0])


@pytest.mark.parametrize(("resolution", "half"), [(0, 1.0), (4, 0.0), (4, -1.0)])
def test_sizes_that_make_no_grid_are_refused(resolution, half):
    with pytest.raises(ValueError, match="resolution"):
        tet_grid(resolution, half)
