"""What a mesh is as a surface: closed, manifold, oriented, how many parts, how large."""

from __future__ import annotations

import numpy as np
import torch

from img23d.ops.half_edges import Int, connected, edge_of, fans, half_edges, neighbours, next_half_edge
from img23d.scene import Mesh


def is_closed(mesh: Mesh) -> bool:
    """Whether the mesh has no border: every edge has at least two faces. A mesh without faces is not closed."""
    return len(mesh.faces) > 0 and bool((edge_counts(mesh) >= 2).all())


def is_manifold(mesh: Mesh) -> bool:
    """Whether every edge has at most two faces and the faces around every vertex form one fan."""
    if len(mesh.faces) and int(edge_counts(mesh).max()) > 2:
        return False
    faces = mesh.faces.cpu().numpy()
    return fans(faces, *neighbours(faces))[0] == len(np.unique(faces))


def is_consistently_oriented(mesh: Mesh) -> bool:
    """Whether no two faces run along an edge in the same direction."""
    start, end = half_edges(mesh.faces.cpu().numpy())
    keys = start * len(mesh.vertices) + end
    return len(np.unique(keys)) == len(keys)


def is_closed_manifold(mesh: Mesh) -> bool:
    """Whether the mesh bounds a solid: every edge has two faces in opposite directions, one fan per vertex, no stray vertex."""
    faces, count = mesh.faces.cpu().numpy(), len(mesh.vertices)
    start, end = half_edges(faces)
    forward, backward = np.sort(start * count + end), np.sort(end * count + start)
    twinned = len(forward) > 0 and bool((forward == backward).all()) and bool((forward[1:] != forward[:-1]).all())
    return twinned and fans(faces, *neighbours(faces))[0] == count


def edge_counts(mesh: Mesh) -> Int:
    """(E,) how many faces each edge has."""
    edge, count = edge_of(mesh.faces.cpu().numpy())
    return np.bincount(edge, minlength=count)


def euler_characteristic(mesh: Mesh) -> int:
    """Vertices - edges + faces, stray vertices not counted: 2 for a sphere, 0 for a torus, 2 - 2 genus summed over closed parts."""
    return len(np.unique(mesh.faces.cpu().numpy())) - len(edge_counts(mesh)) + len(mesh.faces)


def components(mesh: Mesh) -> torch.Tensor:
    """(F,) int64: the number of the part that each face belongs to; faces that share a vertex are in one part."""
    faces = mesh.faces.cpu().numpy()
    start, end = half_edges(faces)
    _, label = connected(start, end, len(mesh.vertices))
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
    areas = part_areas(mesh, part)
    kept = areas >= keep_fraction * areas.max()
    return drop_unused(Mesh(mesh.vertices, mesh.faces[kept[part]]))


def part_areas(mesh: Mesh, part: torch.Tensor) -> torch.Tensor:
    """(P,) float64 areas of the parts that `components` tells of each face, object units squared."""
    return torch.zeros(int(part.max()) + 1, dtype=torch.float64, device=part.device).index_add(0, part, face_areas(mesh).double())


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


def make_manifold(mesh: Mesh) -> Mesh:
    """Turn a mesh into a manifold one by splitting the vertices and edges where it touches itself.

    Faces that enclose nothing are dropped first. Where more than two faces meet at an edge, each is joined to the one across the
    solid, so that solids that touch along an edge or in a point part there. No face is turned round and no vertex moves; a mesh
    that was closed and consistently oriented stays so. Holes are not filled.

    Args:
        mesh: any mesh.

    Returns:
        A manifold mesh whose faces are the proper ones of the input, without unused vertices. A face is halved where its edge
        would still be shared by more than two.

    Reference: Gueziec et al., Cutting and Stitching: Converting Sets of Polygons to Manifold Surfaces (2001), section 4.
    """
    mesh = drop_degenerate(mesh)
    for _ in range(4):
        cut = _cut(mesh)
        edge, count = edge_of(cut.faces.cpu().numpy())
        crowded = np.flatnonzero(np.bincount(edge, minlength=count)[edge] > 2)
        if not len(crowded):
            return cut
        start, end = half_edges(mesh.faces.cpu().numpy())
        mesh = _halve_edges(mesh, np.unique(np.sort(np.stack([start[crowded], end[crowded]], -1), 1), axis=0))
    return cut


def _cut(mesh: Mesh) -> Mesh:
    """Give each fan of faces a vertex of its own, where faces are joined across edges in pairs."""
    faces = mesh.faces.cpu().numpy()
    edge, count = edge_of(faces)
    start, end = half_edges(faces)
    forward = start < end
    order = np.argsort(edge, kind="stable")
    size = np.bincount(edge, minlength=count)
    first = np.cumsum(size) - size
    one, other = order[first[size == 2]], order[first[size == 2] + 1]
    opposite = forward[one] != forward[other]
    pairs = [np.stack([one[opposite], other[opposite]], -1)]
    vertices = mesh.vertices.detach().double().cpu().numpy()
    for crowded in np.flatnonzero(size > 2):
        around = order[first[crowded] : first[crowded] + size[crowded]]
        pairs.append(pairs_across_solid(around, forward, faces, vertices))
    joined = np.concatenate(pairs)
    fan_number, fan = fans(faces, joined[:, 0], joined[:, 1])
    kept = np.empty(fan_number, dtype=np.int64)
    kept[fan] = faces.reshape(-1)
    device = mesh.faces.device
    return Mesh(mesh.vertices[torch.from_numpy(kept).to(device)], torch.from_numpy(fan.reshape(-1, 3)).to(device))


def _halve_edges(mesh: Mesh, edges: Int) -> Mesh:
    """Put a vertex on the middle of each of these edges, (E, 2), and halve the faces there."""
    faces = mesh.faces.cpu().numpy()
    for number, (low, high) in enumerate(edges):
        rows = np.flatnonzero((faces == low).any(1) & (faces == high).any(1))
        middle = len(mesh.vertices) + number
        with_low, with_high = faces[rows].copy(), faces[rows].copy()
        with_low[with_low == high] = middle
        with_high[with_high == low] = middle
        faces = np.concatenate([np.delete(faces, rows, 0), with_low, with_high])
    middles = mesh.vertices[torch.from_numpy(edges).to(mesh.faces.device)].mean(1)
    return Mesh(torch.cat([mesh.vertices, middles]), torch.from_numpy(faces).to(mesh.faces.device))


def pairs_across_solid(around: Int, forward: np.ndarray, faces: Int, vertices: np.ndarray) -> Int:
    """Match the half-edges on one edge so that each pair bounds one wedge of solid.

    Args:
        around: (K,) half-edges on the edge.
        forward: (3 F,) bool, whether a half-edge runs from the smaller to the larger vertex.
        faces: (F, 3).
        vertices: (N, 3).

    Returns:
        (P, 2) half-edges that run in opposite directions; the surplus of one direction is left out.
    """
    tail, head = half_edges(faces)
    low, high = np.minimum(tail, head)[around[0]], np.maximum(tail, head)[around[0]]
    apex = vertices[head[next_half_edge(around)]] - vertices[low]
    axis = (vertices[high] - vertices[low]) / max(float(np.linalg.norm(vertices[high] - vertices[low])), 1e-30)
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    angle = np.arctan2(apex @ np.cross(axis, side), apex @ side)
    # Turning counter-clockwise about the edge, a forward face is left with the solid behind it and a backward one enters the solid:
    # the pairs are nested like brackets that open with a backward face. Two rounds, as the first may begin inside.
    turn = around[np.argsort(angle, kind="stable")]
    opened: list[int] = []
    matched: dict[int, int] = {}
    for half_edge in (*turn, *turn):
        if half_edge in matched or half_edge in opened:
            continue
        if not forward[half_edge]:
            opened.append(half_edge)
        elif opened:
            partner = opened.pop()
            matched[half_edge], matched[partner] = partner, half_edge
    return np.array([(h, m) for h, m in matched.items() if forward[h]], dtype=np.int64).reshape(-1, 2)
