"""Colours without small features: a guess of the back, unsure, repeats the front's eyes and buttons, which backs do not have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 64  # pixels along each side of the picture that is filtered; finer detail of the back is not known
RADIUS = 6  # pixels; larger ones were hardly better on held-out objects: see docs/model-record.md


def without_features(rgb: Tensor, mask: Tensor, size: int = SIZE, radius: int = RADIUS) -> Tensor:
    """Colours with each replaced by the median of those about it, within the mask.

    Args:
        rgb: (H, W, 3).
        mask: (H, W) coverage 0..1.
        size: pixels along the longer side of the picture that is filtered.
        radius: of the neighbourhood, in those pixels.

    Returns:
        (H, W, 3); meaningless where the mask is 0.
    """
    full = mask.shape[-2:]
    low = [max(1, round(size * side / max(full))) for side in full]
    weight = (mask > 0.5).to(rgb.dtype)[None, None]
    planes = torch.cat([rgb.permute(2, 0, 1)[None] * weight, weight], 1)
    small = F.interpolate(planes, size=low, mode="area")
    inside = small[:, 3:] > 0.25
    colours = torch.where(inside, small[:, :3] / small[:, 3:].clamp(min=1e-6), torch.nan)
    side = 2 * radius + 1
    taps = F.unfold(F.pad(colours, [radius] * 4, value=torch.nan), side).reshape(3, side**2, low[0] * low[1])
    reach = torch.arange(side, device=rgb.device) - radius
    disc = (reach[:, None] ** 2 + reach**2 <= radius * (radius + 1)).reshape(-1)
    middle = torch.nanmedian(taps[:, disc], 1).values.reshape(1, 3, *low)
    known = inside.to(rgb.dtype)
    spread = F.interpolate(torch.cat([middle.nan_to_num() * known, known], 1), size=full, mode="bilinear", align_corners=False)
    near = (spread[:, :3] / spread[:, 3:].clamp(min=1e-6))[0].permute(1, 2, 0)
    return torch.where(spread[0, 3, :, :, None] > 0.05, near, rgb)
