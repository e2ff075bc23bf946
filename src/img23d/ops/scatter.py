"""Points spread evenly over a surface, none close to another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from img23d.scene import Mesh

CANDIDATES = 4
"""Random points for each that stays."""
LEAST_ROUNDS = 6
"""Rounds in which the others go, at least: distances are measured anew in each."""


def scatter(mesh: Mesh, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Choose points of a surface: as many on equal areas, at even distances.

    Random points are drawn and then thinned out: of the closest pairs one goes, until the number is right.

    Args:
        mesh: with an area.
        count: of the points.
        seed: the same points for the same seed.

    Returns:
        (count,) int64 faces and (count, 3) barycentric coordinates in them.
    """
    generator = np.random.default_rng(seed)
    corner = mesh.vertices.detach().cpu().double().numpy()[mesh.faces.cpu().numpy()]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    if not area.sum() > 0:
        raise ValueError("the mesh has no area")
    drawn = CANDIDATES * count
    place = (np.arange(drawn) + generator.random(drawn)) / drawn
    face = np.searchsorted(np.cumsum(area) / area.sum(), place).clip(max=len(area) - 1)
    root, along = np.sqrt(generator.random(drawn)), generator.random(drawn)
    weight = np.stack([1 - root, root * (1 - along), root * along], 1)
    kept = _thinned((corner[face] * weight[..., None]).sum(1), count)
    return torch.from_numpy(face[kept]), torch.from_numpy(weight[kept]).to(torch.float32)


def _thinned(points: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(count,) which of the points stay."""
    kept = np.arange(len(points))
    while len(kept) > count:
        distance, nearest = cKDTree(points[kept]).query(points[kept], 2)
        going = np.zeros(len(kept), bool)
        settled = np.zeros(len(kept), bool)
        left = min(len(kept) - count, max(len(kept) // LEAST_ROUNDS, 1))
        for one in distance[:, 1].argsort(kind="stable"):
            other = nearest[one, 1]
            if not going[one] and not going[other] and not settled[one]:
                going[one] = settled[other] = True
                left -= 1
                if not left:
                    break
        kept = kept[~going]
    return kept
