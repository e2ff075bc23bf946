"""The colour of an object's rim without the background that is mixed into it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.blur import gaussian_blur


def inner_mask(mask: Tensor, border: float) -> Tensor:
    """Pixels that hold nothing but the object.

    Parts thinner than twice the border keep their middle line, so that wires and legs do not lose their colour.

    Args:
        mask: (H, W) coverage 0..1.
        border: width of the rim to leave out, pixels.

    Returns:
        (H, W) bool.
    """
    from scipy.ndimage import distance_transform_edt, maximum_filter

    covered = (mask > 0.5).cpu().numpy()
    if not covered.any():
        return torch.zeros_like(mask, dtype=torch.bool)
    distance = distance_transform_edt(covered) if not covered.all() else np.full(covered.shape, np.inf)
    middle = maximum_filter(distance, size=2 * int(np.ceil(border)) + 1)
    solid = covered & ((distance > border) | (distance >= middle))
    return torch.from_numpy(solid).to(mask.device)


def spread_smoothly(image: Tensor, weight: Tensor) -> Tensor:
    """Continue an image where nothing is known of it, sharply near what is known and ever more blurred further away.

    Args:
        image: (H, W, C).
        weight: (H, W) 0..1, how well each pixel is known.

    Returns:
        (H, W, C); unchanged where the weight is 1.

    Reference: Gortler et al., The Lumigraph (1996), section 3.4 (pull-push).
    """
    known = weight.to(image.dtype)
    planes = torch.cat([image.permute(2, 0, 1) * known, known[None]])[None]
    return _pull_push(planes)[0].permute(1, 2, 0)


def _pull_push(planes: Tensor) -> Tensor:
    """(1, C, H, W) colours from (1, C + 1, H, W) colours times weights and the weights."""
    height, width = planes.shape[-2:]
    color, weight = planes[:, :-1], planes[:, -1:].clamp(max=1)
    own = color / planes[:, -1:].clamp(min=1e-6)
    if max(height, width) <= 2:
        total = planes.sum((-2, -1), keepdim=True)
        mean = total[:, :-1] / total[:, -1:].clamp(min=1e-6)
        return own * weight + mean * (1 - weight)
    even = F.pad(planes, (0, width % 2, 0, height % 2))
    coarse = _pull_push(F.avg_pool2d(even, 2) * 2)
    smooth = F.interpolate(coarse, size=even.shape[-2:], mode="bilinear", align_corners=False)[..., :height, :width]
    return own * weight + smooth * (1 - weight)


def blur_inside(image: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Gaussian blur that looks only at known pixels.

    Args:
        image: (H, W, C).
        weight: (H, W) 0..1.
        sigma: standard deviation, pixels.

    Returns:
        (H, W, C); where no known pixel is near, the nearest blurred colours are continued.
    """
    planes = gaussian_blur(torch.cat([image * weight[..., None], weight[..., None]], -1).permute(2, 0, 1), sigma)
    blurred = (planes[:-1] / planes[-1:].clamp(min=1e-4)).permute(1, 2, 0)
    return spread_smoothly(blurred, (planes[-1] > 1e-2).to(image.dtype))
