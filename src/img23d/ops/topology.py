"""What a mesh is as a surface: closed, manifold, oriented, how many parts, how large."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from img23d.scene import Mesh

Int = NDArray[np.int64]


def is_closed(mesh: Mesh) -> bool:
    """Whether the mesh has no border: every edge has at least two faces. A mesh without faces is not closed."""
    return len(mesh.faces) > 0 and bool((edge_counts(mesh) >= 2).all())


def is_manifold(mesh: Mesh) -> bool:
    """Whether every edge has at most two faces and the faces around every vertex form one fan."""
    if len(mesh.faces) and int(edge_counts(mesh).max()) > 2:
        return False
    faces = mesh.faces.cpu().numpy()
    return fan_count(faces) == len(np.unique(faces))


def is_consistently_oriented(mesh: Mesh) -> bool:
    """Whether no two faces run along an edge in the same direction."""
    start, end = half_edges(mesh.faces.cpu().numpy())
    keys = start * len(mesh.vertices) + end
    return len(np.unique(keys)) == len(keys)


def is_closed_manifold(mesh: Mesh) -> bool:
    """Whether the mesh bounds a solid: every edge has two faces in opposite directions, one fan per vertex, no stray vertex."""
    start, end = half_edges(mesh.faces.cpu().numpy())
    count = len(mesh.vertices)
    forward, backward = np.sort(start * count + end), np.sort(end * count + start)
    twinned = len(forward) > 0 and bool((forward == backward).all()) and bool((forward[1:] != forward[:-1]).all())
    return twinned and fan_count(mesh.faces.cpu().numpy()) == count


def edge_counts(mesh: Mesh) -> Int:
    """(E,) how many faces each edge has."""
    start, end = half_edges(mesh.faces.cpu().numpy())
    keys = np.minimum(start, end) * len(mesh.vertices) + np.maximum(start, end)
    return np.unique(keys, return_counts=True)[1]


def euler_characteristic(mesh: Mesh) -> int:
    """Vertices - edges + faces, stray vertices not counted: 2 for a sphere, 0 for a torus, 2 - 2 genus summed over closed parts."""
    return len(np.unique(mesh.faces.cpu().numpy())) - len(edge_counts(mesh)) + len(mesh.faces)


def components(mesh: Mesh) -> torch.Tensor:
    """(F,) int64: the number of the part that each face belongs to; faces that share a vertex are in one part."""
    faces = mesh.faces.cpu().numpy()
    start, end = half_edges(faces)
    _, label = _label(start, end, len(mesh.vertices))
    if not len(faces):
        return mesh.faces.new_zeros(0)
    return torch.from_numpy(np.unique(label[faces[:, 0]], return_inverse=True)[1].reshape(-1).astype(np.int64)).to(mesh.faces.device)


def face_areas(mesh: Mesh) -> torch.Tensor:
    """(F,) object units squared."""
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return torch.linalg.cross(b - a, c - a).norm(dim=-1) / 2


def face_volumes(mesh: Mesh) -> torch.Tensor:
    """(F,) signed volumes of the tets between each face and the mean vertex, which sum up to the enclosed volume."""
    a, b, c = (mesh.vertices - mesh.vertices.mean(0))[mesh.faces].unbind(1)
    return (torch.linalg.cross(a, b) * c).sum(-1) / 6


def area(mesh: Mesh) -> float:
    """Surface area, object units squared."""
    return float(face_areas(mesh).double().sum())


def volume(mesh: Mesh) -> float:
    """Enclosed volume, object units cubed; positive when the faces look outwards. Meaningless for open meshes."""
    return float(face_volumes(mesh).double().sum())


def largest_components(mesh: Mesh, keep_fraction: float = 0.05) -> Mesh:
    """Drop floaters: parts whose area is below a fraction of the largest part's.

    Args:
        mesh: any mesh.
        keep_fraction: 0 keeps everything, 1 only the largest part.

    Returns:
        The kept parts, without unused vertices.
    """
    part = components(mesh)
    if not len(part):
        return mesh
    areas = torch.zeros(int(part.max()) + 1, dtype=torch.float64, device=part.device).index_add(0, part, face_areas(mesh).double())
    kept = areas >= keep_fraction * areas.max()
    return drop_unused(Mesh(mesh.vertices, mesh.faces[kept[part]]))


def drop_unused(mesh: Mesh) -> Mesh:
    """The same mesh without vertices that no face uses; the others keep their order."""
    used = torch.zeros(len(mesh.vertices), dtype=torch.bool, device=mesh.faces.device)
    used[mesh.faces.reshape(-1)] = True
    return Mesh(mesh.vertices[used], (torch.cumsum(used, 0) - 1)[mesh.faces])


def drop_degenerate(mesh: Mesh) -> Mesh:
    """Drop faces that enclose nothing: with a repeated corner, given twice, or back to back with their own reverse.

    Thin faces with three different corners stay, as a closed mesh would get a hole without them.

    Args:
        mesh: any mesh.

    Returns:
        The other faces in their order, without unused vertices. Of equal faces the surplus of one direction over the other is
        kept, at most one.
    """
    faces = mesh.faces.cpu().numpy()
    proper = (faces != np.roll(faces, 1, 1)).all(1)
    faces = faces[proper]
    ordered = np.sort(faces, 1)
    even = (faces == ordered).all(1) | (faces == ordered[:, [1, 2, 0]]).all(1) | (faces == ordered[:, [2, 0, 1]]).all(1)
    _, group = np.unique(ordered, axis=0, return_inverse=True)
    group = group.reshape(-1)
    balance = np.bincount(group, weights=np.where(even, 1, -1), minlength=1)[group]
    wanted = (balance != 0) & (even == (balance > 0))
    candidates = np.flatnonzero(wanted)
    first = candidates[np.unique(group[candidates], return_index=True)[1]]
    return drop_unused(Mesh(mesh.vertices, torch.from_numpy(faces[np.sort(first)]).to(mesh.faces.device)))


def half_edges(faces: Int) -> tuple[Int, Int]:
    """Start and end vertex of half-edge 3 f + i, the side of face f that starts at its corner i."""
    return faces.reshape(-1), np.roll(faces, -1, 1).reshape(-1)


def next_half_edge(half_edge: Int) -> Int:
    """The following side of the same face."""
    return half_edge + 1 - 3 * (half_edge % 3 == 2)


def fan_count(faces: Int) -> int:
    """How many fans of faces joined across edges there are around all vertices; equal to the vertices when each has one."""
    start, end = half_edges(faces)
    count = int(faces.max()) + 1 if len(faces) else 0
    keys = np.minimum(start, end) * count + np.maximum(start, end)
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    one, other = order[:-1][same], order[1:][same]
    # Half-edge h is also the corner of its face at its start. Two sides of one edge share its two ends, whichever way they run.
    turned = start[one] != start[other]
    ends = [(one, np.where(turned, next_half_edge(other), other)), (next_half_edge(one), np.where(turned, other, next_half_edge(other)))]
    return _label(np.concatenate([a for a, _ in ends]), np.concatenate([b for _, b in ends]), len(start))[0]


def _label(first: Int, second: Int, count: int) -> tuple[int, Int]:
    """Number of connected parts and each node's part, for ``count`` nodes joined by links."""
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    parts, label = connected_components(graph, directed=False)
    return int(parts), label
