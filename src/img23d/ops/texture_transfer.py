"""Carry a texture from one mesh to another that has nearly the same surface: after decimation, repair or remeshing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from img23d.ops.atlas import unwrap
from img23d.ops.bake import interpolate, pad, texel_surface
from img23d.ops.normals import face_normals, vertex_normals
from img23d.scene import Mesh, TexturedMesh

CHUNK = 1 << 18
"""Texels handled at once: bounds the memory."""

CANDIDATES = 3
"""Surface samples whose faces are examined exactly for each texel."""

TURN = 0.004
"""How far apart, as a share of the mesh's size, two points seem whose normals differ by 60 degrees: it keeps the two sides of thin
walls apart, where position alone would choose by chance."""


def transfer_texture(
    source: TexturedMesh, target: Mesh, size: int, atlas: tuple[Tensor, Tensor] | None = None, samples: int | None = None, seed: int = 0
) -> TexturedMesh:
    """Give a mesh a new atlas with the colours of the nearest points of another.

    Args:
        source: where the colours come from.
        target: the new surface, in the same frame.
        size: texels along one side of the new texture.
        atlas: uv (M, 2) and uv_faces (F, 3) of the target; None unwraps it.
        samples: points on the source's surface that are searched; None takes one per four texels, 100 to 500 thousand.
        seed: of the samples' places.

    Returns:
        The target with a texture, the source's material factors, and no normal map.

    Raises:
        ValueError: either mesh has no faces.
    """
    if len(source.mesh.faces) == 0 or len(target.faces) == 0:
        raise ValueError("texture transfer needs meshes with faces")
    uv, uv_faces = unwrap(target, size) if atlas is None else atlas
    face, barycentric = texel_surface(uv, uv_faces, size)
    covered = face >= 0
    points = interpolate(target.vertices, target.faces, face[covered], barycentric[covered].to(target.vertices))
    normals = torch.nn.functional.normalize(
        interpolate(vertex_normals(target), target.faces, face[covered], barycentric[covered].to(target.vertices)), dim=-1
    )
    near_face, near_weights = nearest_surface(source.mesh, points, normals, samples or min(max(size * size // 4, 100_000), 500_000), seed)
    source_uv = interpolate(source.uv, source.uv_faces, near_face, near_weights.to(source.uv))
    colors = _look_up(source.base_color, source_uv)
    texture = colors.new_zeros(size, size, 3)
    texture[covered] = colors
    return TexturedMesh(target, uv, uv_faces, pad(texture, covered), None, source.metallic_roughness)


def nearest_surface(mesh: Mesh, points: Tensor, normals: Tensor, samples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The point of a mesh nearest to each query, among those that face about the same way.

    A tree over surface samples, in the space of position and scaled normal, proposes faces; the exact nearest point on each of them
    decides.

    Args:
        mesh: the surface.
        points: (P, 3).
        normals: (P, 3) unit.
        samples: size of the tree; the faces' centres come on top.
        seed: of the samples' places.

    Returns:
        face (P,) int64 and barycentric (P, 3) >= 0.

    Reference:
        Ericson, Real-time collision detection (2005), section 5.1.5 (closest point on triangle).
    """
    from scipy.spatial import cKDTree

    vertices = mesh.vertices.detach().to(torch.float64)
    corners = vertices[mesh.faces]
    reach = TURN * float((vertices.amax(0) - vertices.amin(0)).max())
    owner, places = _sample(corners, samples, seed)
    outward = face_normals(Mesh(vertices, mesh.faces)) * reach
    tree = cKDTree(torch.cat([places, outward[owner]], 1).cpu().numpy(), balanced_tree=False, compact_nodes=False)
    queries = torch.cat([points.detach(), normals.detach() * reach], 1).to(torch.float64)
    columns = corners.permute(1, 2, 0).contiguous()
    beside, normal_rows = _neighbours(mesh.faces), outward.T.contiguous()
    found_face, found_weights = [], []
    for query in queries.split(CHUNK):
        face, _ = _choose(query, _proposals(tree, query, owner), columns, normal_rows)
        # Close to an edge all proposals may lie on its wrong side.
        face, weights = _choose(query, torch.cat([face[:, None], beside[face]], 1), columns, normal_rows)
        found_face.append(face)
        found_weights.append(weights)
    return torch.cat(found_face), torch.cat(found_weights).to(points.dtype)


def closest_barycentric(corners: Tensor, points: Tensor) -> Tensor:
    """Barycentric coordinates of the point of each triangle nearest to a query.

    Coordinates come first: torch adds long rows many times faster than rows of three.

    Args:
        corners: (3, 3, P) corner, axis, triangle; float64 for slivers.
        points: (3, P).

    Returns:
        (3, P), >= 0, adding up to 1.
    """
    a, b, c = corners.unbind(0)
    ab, ac, offset = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(0), (ab * ac).sum(0), (ac * ac).sum(0)
    d20, d21 = (offset * ab).sum(0), (offset * ac).sum(0)
    area = d00 * d11 - d01 * d01
    flat = area <= 1e-14 * d00 * d11
    safe = torch.where(flat, torch.ones_like(area), area)
    v, w = (d11 * d20 - d01 * d21) / safe, (d00 * d21 - d01 * d20) / safe
    best = torch.stack([1 - v - w, v, w])
    outside = torch.nonzero(flat | (best < 0).any(0))[:, 0]
    best[:, outside] = _closest_on_edges(corners[:, :, outside], points[:, outside])
    return best


def _closest_on_edges(corners: Tensor, points: Tensor) -> Tensor:
    """As `closest_barycentric`, but on the triangles' borders."""
    least = torch.full_like(points[0], torch.inf)
    best = torch.zeros_like(points)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        edge = corners[end] - corners[start]
        along = (((points - corners[start]) * edge).sum(0) / (edge * edge).sum(0).clamp_min(1e-300)).clamp(0, 1)
        apart = (corners[start] + along * edge - points).square().sum(0)
        weights = torch.zeros_like(points)
        weights[start], weights[end] = 1 - along, along
        nearer = apart < least
        best, least = torch.where(nearer, weights, best), torch.where(nearer, apart, least)
    return best


def _neighbours(faces: Tensor) -> Tensor:
    """(F, 3) the face across each edge, or the face itself where there is none."""
    edges = torch.stack([faces, faces.roll(-1, 1)], -1).reshape(-1, 2)
    key, order = (edges.amin(1) * (faces.max() + 1) + edges.amax(1)).sort(stable=True)
    face = torch.arange(len(faces), device=faces.device)[:, None].expand(-1, 3).reshape(-1)
    beside = face.clone()
    pair = torch.nonzero(key[1:] == key[:-1])[:, 0]
    beside[order[pair]], beside[order[pair + 1]] = face[order[pair + 1]], face[order[pair]]
    return beside.reshape(-1, 3)


def _proposals(tree: Any, query: Tensor, owner: Tensor) -> Tensor:
    """(P, CANDIDATES) faces of the samples nearest to the queries (P, 6)."""
    count = min(CANDIDATES, len(owner))
    _, index = tree.query(query.cpu().numpy(), k=range(1, count + 1), workers=torch.get_num_threads())
    return owner[torch.from_numpy(index).to(owner.device)]


def _choose(query: Tensor, candidates: Tensor, corners: Tensor, outward: Tensor) -> tuple[Tensor, Tensor]:
    """The best of the proposed faces and the point on it, for queries (P, 6) of position and scaled normal.

    Returns:
        face (P,) and barycentric (P, 3).
    """
    place, direction = query.T.contiguous().split(3)
    scale = direction.square().sum(0)
    best_face = candidates[:, 0].clone()
    best_weights = torch.zeros_like(place)
    least = torch.full_like(place[0], torch.inf)
    for column in range(candidates.shape[1]):
        face = candidates[:, column]
        # Most proposals repeat an earlier one: samples lie denser than faces.
        new = torch.nonzero((candidates[:, :column] != face[:, None]).all(1))[:, 0]
        face, here = face[new], place[:, new]
        triangle = corners[:, :, face]
        weights = closest_barycentric(triangle, here)
        closest = weights[0] * triangle[0] + weights[1] * triangle[1] + weights[2] * triangle[2]
        # Faces turned by less than 60 degrees cost nothing more, so that the nearest of them is the true nearest point.
        agree = (outward[:, face] * direction[:, new]).sum(0)
        apart = (closest - here).square().sum(0) + 4 * (0.5 * scale[new] - agree).clamp_min(0)
        nearer = apart < least[new]
        rows = new[nearer]
        best_face[rows], least[rows], best_weights[:, rows] = face[nearer], apart[nearer], weights[:, nearer]
    return best_face, best_weights.T


def _sample(corners: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Owner (S,) and place (S, 3) of points spread evenly over triangles (F, 3, 3): by area, and every face's centre."""
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    generator = torch.Generator().manual_seed(seed)
    share = area / area.sum().clamp_min(1e-300) * count
    whole = share.floor()
    extra = torch.rand(len(area), generator=generator, dtype=torch.float64).to(area.device) < share - whole
    owner = torch.repeat_interleave(torch.arange(len(area), device=area.device), (whole + extra).long())
    u, v = torch.rand(2, len(owner), generator=generator, dtype=torch.float64).to(area.device)
    fold = u + v > 1
    u, v = torch.where(fold, 1 - u, u), torch.where(fold, 1 - v, v)
    weights = torch.stack([1 - u - v, u, v], 1)
    places = (weights[:, :, None] * corners[owner]).sum(1)
    every = torch.arange(len(area), device=area.device)
    return torch.cat([owner, every]), torch.cat([places, corners.mean(1)])


def _look_up(texture: Tensor, uv: Tensor) -> Tensor:
    """(P, C) bilinear colours of a texture (R, R, C) at uv (P, 2)."""
    planes, grid = texture.permute(2, 0, 1)[None], (uv * 2 - 1).to(texture)[None, :, None]
    return grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, :, 0].T
