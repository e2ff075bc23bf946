"""Edges of meshes against slow searches."""

from __future__ import annotations

import torch

from img23d.ops.edges import edge_table, face_pairs
from img23d.ops.march import marching_tetrahedra
from img23d.ops.tetgrid import tet_grid


def blob():
    grid = tet_grid(6)
    return marching_tetrahedra(grid.vertices, grid.tets, grid.vertices.norm(dim=-1) - 0.7)[:2]


def pairs(faces, count):
    return face_pairs(edge_table(torch.tensor(faces, dtype=torch.int64).reshape(-1, 3), count)).tolist()


def test_the_table_has_each_edge_once_and_every_half_edge_where_it_belongs():
    vertices, faces = blob()
    table = edge_table(faces, len(vertices))
    edges = list(zip(table.low.tolist(), table.high.tolist()))
    sides = {(min(a, b), max(a, b)) for face in faces.tolist() for a, b in zip(face, face[1:] + face[:1])}
    assert edges == sorted(sides)
    for group, order, sign in list(zip(table.group.tolist(), table.order.tolist(), table.sign.tolist()))[::37]:
        corner, face = divmod(order, len(faces))
        ends = int(faces[face, corner]), int(faces[face, (corner + 1) % 3])
        assert (ends if sign > 0 else ends[::-1]) == edges[group]


def test_pairs_agree_with_a_slow_search():
    vertices, faces = blob()
    found = {frozenset(pair) for pair in face_pairs(edge_table(faces, len(vertices))).tolist()}
    assert len(found) == len(faces) * 3 // 2
    for one, other in list(found)[::50]:
        assert len(set(faces[one].tolist()) & set(faces[other].tolist())) == 2


def test_edges_with_one_or_three_faces_make_no_pair():
    assert pairs([[0, 1, 2]], 3) == []
    assert pairs([[0, 1, 2], [0, 1, 3], [0, 1, 4]], 5) == []  # three pages on one spine
    assert pairs([[0, 1, 2], [1, 0, 3]], 4) == [[0, 1]]
    assert pairs([], 0) == []
