"""Cutting an object out of a plain background by colour, without any model."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

WORKING_SIZE = 512


def plain_background_alpha(rgb: Tensor) -> Tensor:
    """Coverage of the object in a photo with a plain background.

    The background is a smooth colour gradient fitted to the picture's border; what differs from it by more than the border's
    own spread, and is not reached from the border through background pixels, is the object.

    Args:
        rgb: (H, W, 3) sRGB 0..1.

    Returns:
        (H, W) coverage 0..1.
    """
    height, width = rgb.shape[:2]
    factor = max(1.0, max(height, width) / WORKING_SIZE)
    small_size = (max(8, round(height / factor)), max(8, round(width / factor)))
    small = torch.nn.functional.interpolate(rgb.permute(2, 0, 1)[None], small_size, mode="bilinear", antialias=True)[0]
    picture = small.permute(1, 2, 0).double().numpy()
    distance, spread = background_distance(picture)
    threshold = max(4.0 * spread, 0.06)
    background = distance < threshold
    labels, _ = ndimage.label(background)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    reached = np.isin(labels, edge[edge > 0])
    inside = ndimage.binary_opening(~reached, iterations=1)
    inside = ndimage.binary_fill_holes(ndimage.binary_closing(inside, iterations=2, border_value=0) | inside)
    soft = np.clip((distance / threshold - 0.5) / 1.0, 0, 1)
    soft = np.where(ndimage.binary_erosion(inside, iterations=1), 1.0, np.where(inside, np.maximum(soft, 0.55), 0.0))
    soft = ndimage.gaussian_filter(soft, 0.6)
    alpha = torch.from_numpy(soft).float()[None, None]
    return torch.nn.functional.interpolate(alpha, (height, width), mode="bilinear", align_corners=False)[0, 0].clamp(0, 1)


def background_distance(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """Colour distance of each pixel from a quadratic background fitted robustly to the border, and the border's spread."""
    height, width = picture.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
    band = max(2, round(0.03 * max(height, width)))
    border = np.zeros((height, width), bool)
    border[:band], border[-band:], border[:, :band], border[:, -band:] = True, True, True, True
    rows, colors = basis[border], picture[border]
    weight = np.ones(len(rows))
    for _ in range(8):  # iteratively reweighted: an object that touches the border does not bend the background
        scaled = rows * weight[:, None]
        coefficients = np.linalg.lstsq(scaled, colors * weight[:, None], rcond=None)[0]
        residual = np.linalg.norm(rows @ coefficients - colors, axis=1)
        spread = float(np.median(residual)) + 1e-3
        weight = 1.0 / (1.0 + (residual / (2.5 * spread)) ** 2)
    return np.linalg.norm(basis @ coefficients - picture, axis=-1), spread
