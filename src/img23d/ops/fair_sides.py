"""Ridges down the sides: where an outline has pulled a surface to where it is seen, made fair again."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.edges import EdgeTable, edge_table
from img23d.ops.mesh_losses import uniform_laplacian
from img23d.ops.normals import vertex_normals
from img23d.ops.project_photo import smoothstep
from img23d.ops.sparse import factorised
from img23d.ops.thickness import Distance, thickness
from img23d.scene import Cameras, Mesh

# Cosines between a smoothed normal and the line of sight: all of it is free between the inner two, nothing beyond the outer ones.
BEHIND, BESIDE, AHEAD, LOOKED_AT = -0.6, -0.2, 0.15, 0.5
GIVEN_BACK = 3  # how often the smooth part of what has been taken away is given back: fairing alone flattens what bulges
EVENED = 12  # rounds in which normals are averaged with their neighbours': on a ridge they look everywhere
THIN, THICK = 0.12, 0.25  # object units: legs and leaves are all side, and stay; what is thicker is faired


def fair_sides(mesh: Mesh, cameras: Cameras, sdf: Distance, reach: float, held: Tensor | None = None) -> Mesh:
    """The mesh with its sides, which no camera looks at squarely, as smooth as what is before and behind them.

    Args:
        mesh: closed, of N vertices, with edges of about the same length.
        cameras: that have looked at it.
        sdf: (N, 3) to (N,) signed distance to about the mesh's surface, negative inside, for how thin it is.
        reach: object units: bumps much shorter than this go, longer ones stay.
        held: (N,) bool: vertices that must not move, or None.

    Returns:
        The same faces.

    Reference:
        Kobbelt et al., Interactive multi-resolution modeling on arbitrary meshes (1998): the least thin plate energy, here beside staying
        where one is; with one weight for each vertex. Tukey, Exploratory data analysis (1977), twicing, for what is given back.
    """
    from scipy.sparse import coo_matrix, diags, identity

    count, table = len(mesh.vertices), edge_table(mesh.faces, len(mesh.vertices))
    free = beside(mesh, cameras, table) * smoothstep((thickness(mesh.vertices, vertex_normals(mesh), sdf, THICK) - THIN) / (THICK - THIN))
    weight = (free if held is None else free * ~held).double().cpu().numpy()
    moving = np.flatnonzero(weight > 1e-3)
    if not len(moving):
        return mesh
    one, other = table.low.cpu().numpy(), table.high.cpu().numpy()
    ends, neighbours = np.concatenate([one, other]), np.concatenate([other, one])
    valence = np.bincount(ends, minlength=count)
    length = float((mesh.vertices[table.low] - mesh.vertices[table.high]).norm(dim=-1).mean())
    mean = coo_matrix((1.0 / valence[ends], (ends, neighbours)), (count, count)).tocsr()
    bend = (identity(count, format="csr") - mean)[moving]
    start = mesh.vertices.detach().double().cpu().numpy()
    stiff = bend[:, moving].T @ diags(weight[moving] * (reach / length) ** 4)
    fixed = start.copy()
    fixed[moving] = 0
    solver = factorised(stiff @ bend[:, moving] + identity(len(moving)))
    vertices = start.copy()
    vertices[moving] = solver.solve(start[moving] - stiff @ (bend @ fixed))
    for _ in range(GIVEN_BACK):
        vertices[moving] += solver.solve(start[moving] - vertices[moving])
    return Mesh(torch.from_numpy(vertices).to(mesh.vertices), mesh.faces)


def beside(mesh: Mesh, cameras: Cameras, table: EdgeTable) -> Tensor:
    """(N,) 1 where the camera that looks at a vertex best sees it from the side, falling to 0 before and behind."""
    normals = vertex_normals(mesh)
    for _ in range(EVENED):
        normals = normals + 0.5 * uniform_laplacian(normals, mesh.faces, table)
    lines = F.normalize(cameras.position[:, None] - mesh.vertices, dim=-1)
    cosine = (lines * F.normalize(normals, dim=-1)).sum(-1).amax(0)
    return smoothstep((cosine - BEHIND) / (BESIDE - BEHIND)) * smoothstep((LOOKED_AT - cosine) / (LOOKED_AT - AHEAD))
