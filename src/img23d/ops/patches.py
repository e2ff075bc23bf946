"""Square patches on a surface, laid out as a picture of it would be: what lies right of, left of, above and below each vertex."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Places along the side of a patch.
SIDE = 5
# How far off a vertex counts that faces the other way, in spacings of a patch: the far side of a thin wall does not continue the near one.
TURNED = 2.4
# How much the direction away from the viewer counts against the vertical one where a surface lies flat.
LYING = 0.5


def upright_frames(normals: Tensor, away: Tensor) -> tuple[Tensor, Tensor]:
    """Unit tangents to the right, seen from outside, and up, both (N, 3); on what lies flat, up is away from the viewer.

    Args:
        normals: (N, 3) unit outward.
        away: (3,) level direction from the viewer to the object.
    """
    wanted = normals.new_tensor([0.0, 1.0, 0.0]) + LYING * normals[:, 1:2] * away
    up = wanted - (wanted * normals).sum(-1, keepdim=True) * normals
    # Straight below or above, no direction is left over only where normal and wish are parallel: any will do there.
    spare = torch.linalg.cross(normals, normals.new_tensor([1.0, 0.0, 0.0]).expand_as(normals))
    up = F.normalize(torch.where(up.norm(dim=-1, keepdim=True) > 1e-4, up, spare), dim=-1)
    return torch.linalg.cross(up, normals), up


def patch_places(device: torch.device) -> Tensor:
    """(K, 2) steps to the right and up from the middle of a patch to its K places, spacings."""
    step = torch.arange(SIDE, dtype=torch.float32, device=device) - SIDE // 2
    return torch.cartesian_prod(step, step)


def patch_vertices(positions: Tensor, normals: Tensor, frames: tuple[Tensor, Tensor], which: Tensor, spacing: float) -> Tensor:
    """Which vertices lie at the places of a patch.

    Args:
        positions: (N, 3) vertices, object units.
        normals: (N, 3) unit outward.
        frames: from `upright_frames`.
        which: (M,) int64 vertices at the middles of the patches.
        spacing: between neighbouring places, object units.

    Returns:
        (M, K) int64: for each place on the middle's tangent plane the nearest vertex that faces the same way.
    """
    from scipy.spatial import cKDTree

    right, up = frames
    places = spacing * patch_places(positions.device)
    wanted = positions[which, None] + places[:, :1] * right[which, None] + places[:, 1:] * up[which, None]
    bent = 0.5 * TURNED * spacing
    tree = cKDTree(torch.cat([positions, bent * normals], -1).detach().cpu().numpy())
    sought = torch.cat([wanted, (bent * normals[which, None]).expand_as(wanted)], -1)
    # Nearly the nearest will do: places lie between vertices anyway.
    _, found = tree.query(sought.reshape(-1, 6).detach().cpu().numpy(), eps=0.5, workers=torch.get_num_threads())
    return torch.from_numpy(found).reshape(wanted.shape[:2]).to(positions.device)
