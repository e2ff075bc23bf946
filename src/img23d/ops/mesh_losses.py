"""What a good surface looks like: smoothness of meshes, cleanliness of signed distances, shape of tets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(F, 3) unit outward normals; the zero vector for faces without area."""
    a, b, c = vertices[faces].unbind(1)
    return F.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-20)


def face_pairs(faces: Tensor) -> Tensor:
    """The faces that share an edge.

    Args:
        faces: (F, 3) int64.

    Returns:
        (P, 2) int64 face numbers, one row per edge that exactly two faces share.
    """
    if not len(faces):
        return faces.new_zeros(0, 2)
    low, high = _half_edges(faces)
    order = torch.argsort(low * (faces.max() + 1) + high, stable=True)
    low, high, owner = low[order], high[order], order % len(faces)
    same = (low[1:] == low[:-1]) & (high[1:] == high[:-1])
    before, after = F.pad(same, (1, 0)), F.pad(same, (0, 1))
    exactly_two = torch.nonzero(same & ~before[:-1] & ~after[1:])[:, 0]
    return torch.stack([owner[:-1][exactly_two], owner[1:][exactly_two]], -1)


def mesh_edges(faces: Tensor) -> Tensor:
    """(E, 2) int64: each edge of a mesh once, first end smaller, in lexicographic order."""
    if not len(faces):
        return faces.new_zeros(0, 2)
    low, high = _half_edges(faces)
    count = faces.max() + 1
    keys = torch.unique(low * count + high)
    return torch.stack([keys // count, keys % count], -1)


def normal_consistency(vertices: Tensor, faces: Tensor, pairs: Tensor | None = None) -> Tensor:
    """How much neighbouring faces disagree: the mean of 1 - cos of the angle between their normals.

    Args:
        vertices: (N, 3) object units.
        faces: (F, 3) int64.
        pairs: (P, 2) `face_pairs` of the faces, when already known.

    Returns:
        Scalar, 0 for a flat mesh.
    """
    pairs = face_pairs(faces) if pairs is None else pairs
    normals = face_normals(vertices, faces)
    return (1 - (normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(-1)).mean() if len(pairs) else vertices.sum() * 0


def uniform_laplacian(vertices: Tensor, faces: Tensor, edges: Tensor | None = None) -> Tensor:
    """How far vertices lie from the mean of their neighbours.

    Args:
        vertices: (N, 3) object units.
        faces: (F, 3) int64.
        edges: (E, 2) `mesh_edges` of the faces, when already known.

    Returns:
        (N, 3) mean of the neighbours minus the vertex; zero for vertices without edges.

    Reference: Sorkine et al., Laplacian Surface Editing (2004), equation 1, with uniform weights and the sign turned.
    """
    edges = mesh_edges(faces) if edges is None else edges
    both = torch.cat([edges, edges.flip(1)])
    degree = torch.zeros_like(vertices[:, 0]).index_add(0, both[:, 0], torch.ones_like(vertices[both[:, 0], 0]))
    total = torch.zeros_like(vertices).index_add(0, both[:, 0], vertices[both[:, 1]])
    return total / degree.clamp(min=1)[:, None] - vertices * (degree > 0)[:, None]


def laplacian_loss(vertices: Tensor, faces: Tensor, edges: Tensor | None = None) -> Tensor:
    """Scalar: the mean squared length of `uniform_laplacian`, object units squared."""
    return uniform_laplacian(vertices, faces, edges).square().sum(-1).mean()


def sdf_sign_regularizer(sdf: Tensor, edges: Tensor) -> Tensor:
    """Discourage sign changes along grid edges, which removes floaters and inner walls.

    Args:
        sdf: (N,) signed distance.
        edges: (E, 2) int64 edges of the grid (`img23d.ops.tetgrid.unique_edges`).

    Returns:
        Scalar; 0 when no edge changes sign.

    Reference: Munkberg et al., Extracting Triangular 3D Models, Materials, and Lighting From Images (2022), equation 3: on edges
        whose ends differ in sign, the binary cross-entropy of one end's distance as logit against the other end's sign.
    """
    ends = sdf[edges]
    ends = ends[(ends[:, 0] > 0) != (ends[:, 1] > 0)]
    if not len(ends):
        return sdf.sum() * 0
    sign = (ends > 0).to(sdf.dtype)
    return F.binary_cross_entropy_with_logits(ends, sign.flip(1).detach(), reduction="none").sum(-1).mean()


def tet_volumes(vertices: Tensor, tets: Tensor) -> Tensor:
    """(T,) signed volumes, positive for tets in our orientation."""
    a, b, c, d = vertices[tets].unbind(1)
    return (torch.linalg.cross(b - a, c - a) * (d - a)).sum(-1) / 6


def equivolume(vertices: Tensor, tets: Tensor, power: int = 4) -> Tensor:
    """How much the tets' volumes differ from their mean.

    Args:
        vertices: (N, 3) object units.
        tets: (T, 4) int64.
        power: exponent of the deviation.

    Returns:
        Scalar.

    Reference: Gao et al., Learning Deformable Tetrahedral Meshes for 3D Reconstruction (2020), equation for L_vol.
    """
    volume = tet_volumes(vertices, tets)
    return (volume - volume.mean()).abs().pow(power).mean()


def amips(vertices: Tensor, tets: Tensor, rest_vertices: Tensor) -> Tensor:
    """How far the tets are from a scaled and rotated copy of their rest shape.

    Args:
        vertices: (N, 3) deformed grid, object units.
        tets: (T, 4) int64.
        rest_vertices: (N, 3) grid at rest, all det > 0.

    Returns:
        Scalar: the mean of tr(J^T J) / det(J)^(2/3), 3 at rest; inverted tets do not count, as the energy ends there.

    Reference: Fu et al., Computing Locally Injective Mappings by Advanced MIPS (2015), equation 4, as used by DefTet. Kaolin
        multiplies the two edge matrices in the other order, which is not a Jacobian: its energy changes when the grid is rotated.
    """
    corner, rest = vertices[tets], rest_vertices[tets]
    jacobian = torch.linalg.solve(rest[:, 1:] - rest[:, :1], corner[:, 1:] - corner[:, :1])
    determinant = (torch.linalg.cross(jacobian[:, 0], jacobian[:, 1]) * jacobian[:, 2]).sum(-1)
    energy = jacobian.square().sum((-1, -2)) / (determinant.square() + 1e-10).pow(1 / 3)
    return (energy * (determinant >= 0)).mean()


def _half_edges(faces: Tensor) -> tuple[Tensor, Tensor]:
    """Smaller and larger end of all 3 F face sides: first all sides 0-1, then 1-2, then 2-0."""
    first, second = faces.T.reshape(-1), faces.roll(-1, 1).T.reshape(-1)
    return torch.minimum(first, second), torch.maximum(first, second)
