"""What a good surface looks like: smoothness of meshes, cleanliness of signed distances, shape of tets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.edges import EdgeTable, edge_table, face_pairs
from img23d.ops.normals import area_vectors


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(F, 3) unit outward normals; the zero vector for faces without area."""
    return F.normalize(torch.stack(area_vectors(vertices, faces), -1), dim=-1, eps=1e-20)


def normal_consistency(vertices: Tensor, faces: Tensor, table: EdgeTable | None = None) -> Tensor:
    """How much neighbouring faces disagree: the mean of 1 - cos of the angle between their normals.

    Args:
        vertices: (N, 3) object units.
        faces: (F, 3) int64.
        table: `edge_table` of the faces, when already known.

    Returns:
        Scalar, 0 for a flat mesh.
    """
    pairs = face_pairs(edge_table(faces, len(vertices)) if table is None else table)
    if not len(pairs):
        return vertices.sum() * 0
    one, other = (column.contiguous() for column in pairs.unbind(1))
    # Axis by axis: see `img23d.ops.normals`.
    x, y, z = (axis.index_select(0, one) * axis.index_select(0, other) for axis in face_normals(vertices, faces).unbind(1))
    return (1 - (x + y + z)).mean()


def uniform_laplacian(vertices: Tensor, faces: Tensor, table: EdgeTable | None = None) -> Tensor:
    """How far vertices lie from the mean of their neighbours.

    Args:
        vertices: (N, 3) object units.
        faces: (F, 3) int64.
        table: `edge_table` of the faces, when already known.

    Returns:
        (N, 3) mean of the neighbours minus the vertex; zero for vertices without edges.

    Reference: Sorkine et al., Laplacian Surface Editing (2004), equation 1, with uniform weights and the sign turned.
    """
    low, high, *_ = edge_table(faces, len(vertices)) if table is None else table
    zero, one = torch.zeros_like(vertices[:, 0]), torch.ones_like(low, dtype=vertices.dtype)
    degree = zero.index_add(0, low, one).index_add(0, high, one)
    axes = vertices.unbind(1)
    total = [zero.index_add(0, low, axis.index_select(0, high)).index_add(0, high, axis.index_select(0, low)) for axis in axes]
    return torch.stack(total, -1) / degree.clamp(min=1)[:, None] - vertices * (degree > 0)[:, None]


def laplacian_loss(vertices: Tensor, faces: Tensor, table: EdgeTable | None = None) -> Tensor:
    """Scalar: the mean squared length of `uniform_laplacian`, object units squared."""
    return uniform_laplacian(vertices, faces, table).square().sum(-1).mean()


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
    outside = sdf > 0
    first, second = edges.unbind(1)
    crossing = torch.nonzero(outside.index_select(0, first) != outside.index_select(0, second))[:, 0]
    if not len(crossing):
        return sdf.sum() * 0
    ends = torch.stack([sdf.index_select(0, end.index_select(0, crossing)) for end in (first, second)], -1)
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
