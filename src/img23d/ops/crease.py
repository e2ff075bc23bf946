"""Normals at the corners of faces: one over edges that are meant to be round, several where an edge is meant to be seen."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from img23d.ops.half_edges import Int, fans, half_edges
from img23d.scene.mesh import Mesh

Floats = NDArray[np.float64]

CREASE_DEG = 50.0
"""Angle between the normals of two faces from which their edge is hard. 45 degrees are met exactly, by chamfers and by cylinders of
eight sides, the coarsest that are meant to look round, and rounding would decide about them; the 60 of a hexagon are meant to be seen."""
THIN = 1e-6
"""Height of a face, as a share of the mesh's size, below which the rounding of its corners to float32 turns it by several degrees."""
ROUNDS = 4  # of asking the neighbours of thin faces: they come alone or a few together
CROWDED = 8  # faces on one edge that are all compared with each other; of more, only those that stand close in the list


def crease_normals(mesh: Mesh, angle_deg: float = CREASE_DEG) -> Tensor:
    """Shading normals that are smooth across shallow edges and break at sharp ones.

    The corners at a vertex share a normal as far as their faces are joined, one after the other, by edges at which the faces' normals
    differ by less than an angle. It is the mean over these faces, weighted by area, so that narrow faces beside a wide one do not bend
    it, and by the angle at the vertex, so that it does not matter how polygons were cut into triangles.

    Args:
        mesh: N vertices, F faces; open, non-manifold and degenerate ones too. Faces too thin to have a normal lie in the plane of their
            largest neighbour.
        angle_deg: angle between faces from which an edge is hard.

    Returns:
        (F, 3, 3) unit normals per face and corner, the same number for number within a fan; zero where no face has an area.

    Reference:
        Gouraud, Continuous shading of curved surfaces (1971), for the mean; Thürmer and Wüthrich, Computing vertex normals from
        polygonal facets (1998), for the angles.
    """
    faces = mesh.faces.cpu().numpy()
    if not len(faces):
        return mesh.vertices.new_zeros(0, 3, 3)
    direction, area, thin, angle = _measured(mesh.vertices.detach().double().cpu().numpy(), faces)
    one, other = _pairs(faces)
    _straighten(direction, area, thin, one // 3, other // 3)
    smooth = np.einsum("pk,pk->p", direction[one // 3], direction[other // 3]) > np.cos(np.deg2rad(angle_deg))
    count, fan = fans(faces, one[smooth], other[smooth])
    weight = area[:, None] * angle
    total = np.stack([np.bincount(fan, (axis[:, None] * weight).reshape(-1), count) for axis in direction.T], 1)
    length = np.linalg.norm(total, axis=1)
    normals = (total / np.where(length > 0, length, 1)[:, None])[fan].reshape(-1, 3, 3)
    alone = ~(length > 0)[fan].reshape(-1, 3)
    normals[alone] = np.repeat(direction[:, None], 3, 1)[alone]
    return torch.from_numpy(normals).to(mesh.vertices)


def _measured(vertices: Floats, faces: Int) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Unit normals (F, 3), areas (F,) up to a factor, which faces are thin (F,), and the angles (F, 3) at their corners, radians."""
    corner = vertices[faces]
    side = np.roll(corner, -1, 1) - corner  # the one that starts at each corner
    normal = np.cross(side[:, 0], side[:, 1])
    area = np.sqrt(np.einsum("fk,fk->f", normal, normal))
    longest = np.sqrt(np.einsum("fik,fik->fi", side, side).max(1))
    used = corner.reshape(-1, 3)
    thin = area <= THIN * (used.max(0) - used.min(0)).max() * longest
    angle = np.arctan2(area[:, None], -np.einsum("fik,fik->fi", side, np.roll(side, 1, 1)))
    return normal / np.where(area > 0, area, 1)[:, None], area, thin, angle


def _pairs(faces: Int) -> tuple[Int, Int]:
    """Pairs of half-edges that lie on the same edge, (P,) each: all of them, so that fins and second sides do not part a surface."""
    start, end = half_edges(faces)
    key = np.minimum(start, end) * (int(faces.max()) + 1) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    key, first, second = key[order], [], []
    for step in range(1, CROWDED):
        same = np.flatnonzero(key[step:] == key[:-step])
        if not len(same):
            break
        first.append(order[same])
        second.append(order[same + step])
    return np.concatenate(first or [order[:0]]), np.concatenate(second or [order[:0]])


def _straighten(direction: Floats, area: Floats, thin: NDArray[np.bool_], one: Int, other: Int) -> None:
    """Give thin faces the normal of their largest neighbour that has one, in place; ``one`` and ``other`` (P,) are neighbours."""
    direction[thin] = 0
    near = thin[one] | thin[other]
    face, beside = np.concatenate([one[near], other[near]]), np.concatenate([other[near], one[near]])
    for _ in range(ROUNDS):
        asked = np.flatnonzero(thin[face] & ~thin[beside])
        if not len(asked):
            return
        asked = asked[np.argsort(area[beside[asked]], kind="stable")]  # of several the last one stays
        direction[face[asked]] = direction[beside[asked]]
        thin[face[asked]] = False
