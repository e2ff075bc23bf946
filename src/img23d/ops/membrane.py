"""Smooth fields on a surface that follow given values where those are known: screened Laplace problems."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from img23d.ops.normals import vertex_normals
from img23d.ops.sparse import factorised
from img23d.scene import Mesh

# Cosine between the normals of neighbouring vertices at which a surface counts as flat and as creased, and what flows over a crease.
FLAT, CREASE, LEAST_FLOW = 0.95, 0.75, 0.05


class Membrane:
    """The stiffness and mass of a surface, built once for several fields.

    Args:
        mesh: N vertices, F faces; need not be closed.

    Reference: Pinkall and Polthier, Computing discrete minimal surfaces and their conjugates (1993), for the cotangent weights.
    """

    def __init__(self, mesh: Mesh) -> None:
        vertices = mesh.vertices.detach().cpu().double().numpy()
        faces = mesh.faces.cpu().numpy()
        corner = vertices[faces]
        count = len(vertices)
        stiffness = sparse.csr_matrix((count, count))
        for index in range(3):
            at, start, stop = corner[:, index], corner[:, index - 2], corner[:, index - 1]
            cross = np.linalg.norm(np.cross(start - at, stop - at), axis=-1)
            cotangent = ((start - at) * (stop - at)).sum(-1) / np.maximum(cross, 1e-12)
            pair = faces[:, index - 2], faces[:, index - 1]
            stiffness = stiffness + sparse.csr_matrix((0.5 * cotangent, pair), shape=(count, count))
        stiffness = (stiffness + stiffness.T).tocoo()
        # Colours that differ across a crease differ for a reason: little flows over it.
        normal = vertex_normals(mesh).detach().cpu().double().numpy()
        bend = np.clip(((normal[stiffness.row] * normal[stiffness.col]).sum(-1) - CREASE) / (FLAT - CREASE), LEAST_FLOW, 1)
        # Obtuse corners give negative weights, slivers huge ones; both would break the maximum principle or the solver.
        stiffness = sparse.csr_matrix((np.clip(stiffness.data, 1e-4, 10.0) * bend, (stiffness.row, stiffness.col)), shape=(count, count))
        self.stiffness = (sparse.diags(np.asarray(stiffness.sum(1))[:, 0]) - stiffness).tocsc()
        area = 0.5 * np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=-1)
        self.mass = np.maximum(np.bincount(faces.ravel(), np.repeat(area / 3, 3), minlength=count), 1e-12)

    def fit(self, values: Tensor, attraction: Tensor, screening: Tensor) -> Tensor:
        """The field u that minimises the integral of |grad u|^2 + attraction |u - values|^2 + screening |u|^2.

        Args:
            values: (N, C) given values.
            attraction: (N,) >= 0, 1 / length^2: u comes close to the values over this length.
            screening: (N,) > 0 somewhere, 1 / length^2: away from the values u falls to 0 over this length.

        Returns:
            (N, C).
        """
        pull = self.mass * attraction.detach().cpu().double().numpy()
        total = pull + self.mass * screening.detach().cpu().double().numpy()
        factors = factorised(self.stiffness + sparse.diags(total))
        solution = factors.solve(pull[:, None] * values.detach().cpu().double().numpy())
        return torch.from_numpy(solution).to(values)
