"""Blurring values on a surface: the mean of each vertex and its neighbours, over and over."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


class Averaging:
    """Of a mesh with N vertices; built once for several fields.

    Args:
        faces: (F, 3) int64.
        vertices: N.
    """

    def __init__(self, faces: Tensor, vertices: int) -> None:
        corner = faces.cpu().numpy()
        start, stop = corner.T.ravel(), np.roll(corner.T, -1, axis=0).ravel()
        joined = sparse.csr_matrix((np.ones(len(start), np.float32), (start, stop)), shape=(vertices, vertices))
        joined = ((joined + joined.T) > 0).astype(np.float32) + sparse.eye(vertices, dtype=np.float32)
        self.matrix = (sparse.diags(1 / np.asarray(joined.sum(1))[:, 0]) @ joined).tocsr().astype(np.float32)

    def __call__(self, values: Tensor, rounds: int) -> Tensor:
        """(N, C) values after so many rounds; after k rounds what is narrower than about sqrt(k) edges is gone."""
        blurred = values.detach().cpu().numpy().astype(np.float32)
        for _ in range(rounds):
            blurred = self.matrix @ blurred
        return torch.from_numpy(blurred).to(values)
