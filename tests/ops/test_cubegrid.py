"""Grids of cubes: who meets where, and splitting in eight."""

import pytest
import torch

from img23d.ops.band import surface_band
from img23d.ops.cubegrid import cube_grid, cube_links, subdivide_cubes
from img23d.ops.dual_cubes import CUBE_EDGES


def test_a_grid_fills_its_cube():
    vertices, cubes = cube_grid(3, 0.6)
    assert vertices.shape == (64, 3) and cubes.shape == (27, 8)
    corner = vertices[cubes]
    bits = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)])
    assert torch.allclose(corner - corner[:, :1], 0.4 * bits.expand(27, 8, 3), atol=1e-6)
    assert torch.allclose(vertices.amax(0), torch.full((3,), 0.6)) and torch.allclose(vertices.amin(0), torch.full((3,), -0.6))
    for bad in ((0, 1.0), (2, 0.0)):
        with pytest.raises(ValueError, match="resolution"):
            cube_grid(*bad)


def test_links_are_what_the_places_say():
    vertices, cubes = cube_grid(4)
    kept = cubes[torch.randperm(64, generator=torch.Generator().manual_seed(0))[:50]]
    links = cube_links(kept, len(vertices))
    centre = vertices[kept].mean(1)
    low, high = (torch.tensor(CUBE_EDGES)[:, end] for end in range(2))
    assert torch.equal(links.edges[links.cube_edges], torch.stack([kept[:, low], kept[:, high]], -1))
    assert len(torch.unique(links.edges, dim=0)) == len(links.edges) == len(torch.unique(links.cube_edges))
    for axis in range(3):
        for side in range(2):
            step = torch.zeros(3)
            step[axis] = 0.5 * (2 * side - 1)
            near = torch.cdist(centre + step, centre) < 1e-4
            expected = torch.where(near.any(1), near.long().argmax(1), -1)
            assert torch.equal(links.neighbours[:, 2 * axis + side], expected)
    for edge, axis, around in zip(links.edges.tolist(), links.edge_axis.tolist(), links.edge_cubes):
        holders = {cube for cube in range(50) if set(edge) <= set(kept[cube].tolist())}
        assert holders == set(around.tolist()) - {-1}
        if len(holders) == 4:  # counter-clockwise round the axis
            turn = torch.linalg.cross(centre[around[1]] - centre[around[0]], centre[around[2]] - centre[around[1]])
            assert int(turn.argmax()) == axis and float(turn[axis]) > 0


def test_eight_cubes_for_one_share_their_vertices_and_carry_linear_features():
    vertices, cubes = cube_grid(3)
    vertices = vertices.double()
    field = vertices @ vertices.new_tensor([0.3, -0.5, 0.2]) + 0.1
    finer, (places, values) = subdivide_cubes(cubes, vertices, field)
    assert finer.shape == (216, 8) and places.shape == (343, 3)
    assert torch.allclose(values, places @ vertices.new_tensor([0.3, -0.5, 0.2]) + 0.1)
    corner = places[finer]
    bits = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)])
    assert torch.allclose(corner - corner[:, :1], bits.expand(216, 8, 3).double() / 3, atol=1e-6)
    assert len(torch.unique((corner.mean(1) * 1e4).round(), dim=0)) == 216
    links = cube_links(finer, len(places))
    assert int((links.neighbours >= 0).sum()) == 2 * 3 * 5 * 36


def test_a_part_of_a_grid_is_split_too():
    vertices, cubes = cube_grid(4)
    part = cubes[surface_band(cubes, vertices.norm(dim=1) - 0.4, 0)]
    finer, (places,) = subdivide_cubes(part, vertices)
    assert len(finer) == 8 * len(part) and len(torch.unique(finer)) == len(places)


def test_rings_grow_the_band_until_it_is_everything():
    vertices, cubes = cube_grid(8)
    sdf = vertices.norm(dim=1) - 0.5
    counts = [int(surface_band(cubes, sdf, rings).sum()) for rings in range(5)]
    assert counts[0] == int((((sdf > 0)[cubes].sum(1) % 8) > 0).sum())
    assert counts == sorted(counts) and counts[-1] == 512
