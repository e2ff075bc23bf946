"""How thick a body is below its surface, by a signed distance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Distance = Callable[[Tensor], Tensor]


def thickness(points: Tensor, normals: Tensor, sdf: Distance, most: float) -> Tensor:
    """About how thick a body is below points of its surface: twice the deepest that is found along their normals.

    Args:
        points: (N, 3) on the surface.
        normals: (N, 3) unit outward.
        sdf: (N, 3) to (N,) signed distance, negative inside.
        most: what is thicker need not be told apart.

    Returns:
        (N,) at least 0.
    """
    return 2 * torch.stack([-sdf(points - share * most * normals) for share in (0.125, 0.25, 0.5)]).amax(0).clamp(min=0)
