"""The back's colour without the front's small features: the network, unsure, repeats eyes and buttons that backs do not have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 64  # pixels along each side of the picture that is filtered; finer detail of the back is not known
RADIUS = 6  # pixels; larger ones were hardly better on held-out objects: see docs/model-card.md


def without_features(rgb: Tensor, mask: Tensor) -> Tensor:
    """Colours with each replaced by the median of those about it, within the mask.

    Args:
        rgb: (S, S, 3).
        mask: (S, S) coverage 0..1.

    Returns:
        (S, S, 3); meaningless where the mask is 0.
    """
    full = mask.shape[-1]
    weight = (mask > 0.5).to(rgb.dtype)[None, None]
    planes = torch.cat([rgb.permute(2, 0, 1)[None] * weight, weight], 1)
    small = F.interpolate(planes, size=(SIZE, SIZE), mode="area")
    inside = small[:, 3:] > 0.25
    colours = torch.where(inside, small[:, :3] / small[:, 3:].clamp(min=1e-6), torch.nan)
    side = 2 * RADIUS + 1
    taps = F.unfold(F.pad(colours, [RADIUS] * 4, value=torch.nan), side).reshape(3, side**2, SIZE**2)
    reach = torch.arange(side, device=rgb.device) - RADIUS
    disc = (reach[:, None] ** 2 + reach**2 <= RADIUS * (RADIUS + 1)).reshape(-1)
    middle = torch.nanmedian(taps[:, disc], 1).values.reshape(1, 3, SIZE, SIZE)
    known = inside.to(rgb.dtype)
    spread = F.interpolate(torch.cat([middle.nan_to_num() * known, known], 1), size=(full, full), mode="bilinear", align_corners=False)
    near = (spread[:, :3] / spread[:, 3:].clamp(min=1e-6))[0].permute(1, 2, 0)
    return torch.where(spread[0, 3, :, :, None] > 0.05, near, rgb)
