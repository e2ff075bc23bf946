"""Square crops round an object, resampled without colour fringes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """A square in a picture, in pixels; it may reach past the picture's border."""

    left: float
    top: float
    side: float


def object_box(mask: Tensor, fill: float) -> Box:
    """The square round the object in which its longest side takes the fraction ``fill``.

    Args:
        mask: (H, W) coverage 0..1, with at least one pixel above 0.5.
        fill: longest side of the object's bounding box divided by the side of the square.
    """
    inside = mask > 0.5
    rows, columns = torch.nonzero(inside.any(1)).flatten(), torch.nonzero(inside.any(0)).flatten()
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    side = max(bottom - top, right - left) / fill
    return Box((left + right - side) / 2, (top + bottom - side) / 2, side)


def crop(image: Tensor, box: Box, size: int, weight: Tensor | None = None) -> Tensor:
    """Cut out a square and resample it with an antialiasing filter.

    Args:
        image: (H, W, C).
        box: the square, in pixels of the image.
        size: side of the result in pixels.
        weight: (H, W) or None; pixels of weight 0 do not bleed into their neighbours (alpha-weighted resampling).

    Returns:
        (size, size, C); zero where the square reaches past the picture or nothing has weight.
    """
    height, width, channels = image.shape
    factor = box.side / size
    planes = image.permute(2, 0, 1)[None]
    ones = torch.ones_like(planes[:, :1]) if weight is None else weight[None, None].to(image.dtype)
    planes = torch.cat([planes * ones, ones], 1)
    scale = 1.0
    if factor > 1.0:  # shrink first, filtered, then pick samples
        small = (max(1, round(height / factor)), max(1, round(width / factor)))
        planes = F.interpolate(planes, size=small, mode="bilinear", antialias=True, align_corners=False)
        scale = small[1] / width
    step = (torch.arange(size, dtype=image.dtype, device=image.device) + 0.5) * factor
    x, y = (box.left + step) * scale * 2 / planes.shape[3] - 1, (box.top + step) * (planes.shape[2] / height) * 2 / planes.shape[2] - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    sampled = F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    total = sampled[channels:]
    return torch.where(total > 1e-3, sampled[:channels] / total.clamp_min(1e-3), torch.zeros_like(total)).permute(1, 2, 0)


def spread(image: Tensor, known: Tensor) -> Tensor:
    """Give every unknown pixel the colour of the nearest known one, so that filters never meet a background colour.

    Args:
        image: (H, W, C).
        known: (H, W) bool with at least one True.
    """
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~known.cpu().numpy(), return_distances=False, return_indices=True)
    return image[torch.from_numpy(rows).long(), torch.from_numpy(columns).long()]


def resize_views_image(image: Tensor, size: int) -> Tensor:
    """(V, H, W, C) or (V, H, W) resampled to size x size by area averaging (down) or bilinear interpolation (up)."""
    planes = image.permute(0, 3, 1, 2) if image.dim() == 4 else image[:, None]
    if planes.shape[-1] != size or planes.shape[-2] != size:
        mode = "area" if planes.shape[-1] > size else "bilinear"
        planes = F.interpolate(planes, size=(size, size), mode=mode, **({} if mode == "area" else {"align_corners": False}))
    return planes.permute(0, 2, 3, 1) if image.dim() == 4 else planes[:, 0]
