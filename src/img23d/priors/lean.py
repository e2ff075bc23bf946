"""How far a photo leans, told by the mirror symmetry of its silhouette; and the photo set upright."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.crop import resize_views_image, spread
from img23d.priors.frame import FILL
from img23d.scene import Cameras, Views

SIZE = 128  # pixels along each side of the silhouette that is looked at
FARTHEST, STEP, FINE = 12.0, 1.0, 0.25  # degrees: of the search, from coarse to fine
THIN = 0.07  # share of the picture: half the width of what may be a handle
LEAST, GAIN = 1.0, 0.004  # degrees, and share of the silhouette, that a lean must have and explain: pixels are no finer
ALIKE = 0.97  # share of the silhouette that must be its own mirror image then
UPRIGHT, LONG = 15.0, 0.25  # degrees within which a side is upright, and its least length as a share of the picture


def lean_of(mask: Tensor) -> float:
    """By how much a silhouette is to be turned so that its left is most like its right, whatever sticks out on one side.

    Args:
        mask: (S, S) coverage 0..1.

    Returns:
        Radians counter-clockwise; 0 where that makes no difference.
    """
    small = body_of(resize_views_image(mask[None], SIZE)[0])
    if float(small.sum()) <= 0:
        return 0.0
    found = {0.0: likeness(small, 0.0)}

    def best_of(angles: Tensor) -> float:
        for angle in angles.tolist():
            if angle not in found:
                found[angle] = likeness(small, math.radians(angle))
        return max(found, key=lambda angle: found[angle])

    best = best_of(torch.arange(-FARTHEST, FARTHEST + STEP / 2, STEP))
    best = best_of(best + torch.arange(-STEP, STEP + FINE / 2, FINE))
    if abs(best) < LEAST or found[best] < max(ALIKE, found[0.0] + GAIN) or abs(best) >= FARTHEST:
        return 0.0
    return math.radians(best)


def lean_of_sides(mask: Tensor) -> float:
    """By how much a silhouette is to be turned so that its left and its right side are upright in the mean, as those of boxes are.

    Args:
        mask: (S, S) coverage 0..1.

    Returns:
        Radians counter-clockwise; 0 where one of them is no straight line, or both are upright.
    """
    from scipy.spatial import ConvexHull, QhullError

    places = torch.nonzero(resize_views_image(mask[None], SIZE)[0] > 0.5).cpu().numpy().astype(float)
    try:
        hull = ConvexHull(places)
    except (QhullError, ValueError):
        return 0.0
    corners = places[hull.vertices]
    down, right = (np.roll(corners, -1, 0) - corners).T
    lean = np.degrees(np.arctan2(right * np.sign(down), np.abs(down)))
    upright, middle = np.abs(lean) < UPRIGHT, corners[:, 1] + right / 2 > places[:, 1].mean()
    sides = []
    for side in (~middle, middle):
        length = np.abs(down) * (upright & side)
        if length.sum() < LONG * SIZE:
            return 0.0
        sides.append(float((lean * length).sum() / length.sum()))
    found = -sum(sides) / 2
    return math.radians(found) if LEAST <= abs(found) < FARTHEST else 0.0


def body_of(mask: Tensor) -> Tensor:
    """A silhouette (S, S) without handles and whatever else is no wider than twice `THIN` of the picture."""
    from scipy import ndimage

    radius = THIN * len(mask)
    # The rim keeps its partial coverage, which tells where it is to a fraction of a pixel.
    kept = ndimage.distance_transform_edt((mask > 0.5).cpu().numpy()) > radius
    near = ndimage.distance_transform_edt(~kept) <= radius + 1 if kept.any() else kept
    return mask * torch.from_numpy(near).to(mask)


def likeness(mask: Tensor, angle: float) -> float:
    """0..1: share of a silhouette (S, S), turned, that is its own mirror image about the upright line for which that is largest."""
    turned = turned_picture(mask[..., None], angle, middle_of(mask))[..., 0]
    # Row by row, what a mirror image overlaps with for every place of the line is the row's convolution with itself.
    rows = torch.fft.rfft(turned, n=2 * turned.shape[1], dim=1)
    overlap = torch.fft.irfft(rows.square(), n=2 * turned.shape[1], dim=1).sum(0)
    return float(overlap.amax() / turned.square().sum().clamp(min=1e-6))


def middle_of(mask: Tensor) -> tuple[float, float]:
    """Column and row of the middle of a silhouette's bounding box, as fractions of the picture."""
    box = [torch.nonzero((mask > 0.5).any(axis)).flatten() for axis in (0, 1)]
    x, y = (float(line[0] + line[-1] + 1) / 2 / side if len(line) else 0.5 for line, side in zip(box, mask.shape[::-1]))
    return x, y


def turned_picture(
    image: Tensor, angle: float, middle: tuple[float, float], zoom: float = 1.0, place: tuple[float, float] | None = None,
    border: str = "zeros", mode: str = "bicubic",
) -> Tensor:  # fmt: skip
    """A square picture turned counter-clockwise about a point.

    Args:
        image: (S, S, C).
        angle: radians.
        middle: the point, as fractions of the picture.
        zoom: how much larger it becomes.
        place: where the point goes; where it was if None.
        border: what lies outside, "zeros" or "border".
        mode: "bicubic", or "bilinear" for what must not overshoot at steps.
    """
    x, y = place or middle
    size = image.shape[0]
    line = (torch.arange(size, dtype=image.dtype, device=image.device) + 0.5) / size
    down, right = torch.meshgrid(line - y, line - x, indexing="ij")
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    # Pixel rows run downwards, so a turn counter-clockwise looks up what lies clockwise.
    grid = torch.stack([middle[0] + cos * right - sin * down, middle[1] + sin * right + cos * down], -1) * 2 - 1
    planes = F.grid_sample(image.permute(2, 0, 1)[None], grid[None], mode=mode, padding_mode=border, align_corners=False)
    return planes[0].permute(1, 2, 0)


def upright(views: Views, angle: float) -> Views:
    """One view turned counter-clockwise in its own plane, its object again as large and in the middle as `segment` leaves it.

    Args:
        views: V = 1, from `img23d.stages.segment`.
        angle: radians.

    Returns:
        The view as a camera would have taken it that was turned so much less; given depth and normals are turned along.
    """
    mask = views.mask[0]
    middle = middle_of(mask)
    turned = turned_picture(mask[..., None], angle, middle)[..., 0]
    inside = turned > 0.5
    longest = max(int(torch.nonzero(inside.any(axis)).flatten().diff().sum()) + 1 for axis in (0, 1))
    zoom, shifted = FILL * len(mask) / longest, middle_of(turned)
    offset = (0.5 + zoom * (middle[0] - shifted[0]), 0.5 + zoom * (middle[1] - shifted[1]))

    def picture(image: Tensor, border: str = "border", mode: str = "bicubic") -> Tensor:
        return turned_picture(image, angle, middle, zoom, offset, border, mode)[None]

    def surface(image: Tensor) -> Tensor:  # beside the object maps hold anything, which must not be mixed in
        return picture(spread(image, mask > 0.5), mode="bilinear")

    rgb, cover = picture(views.rgb[0]).clamp(0, 1), picture(mask[..., None], "zeros")[..., 0].clamp(0, 1)
    depth = None if views.depth is None else surface(views.depth[0, ..., None])[..., 0]
    normal = None
    if views.normal is not None:
        cos, sin = math.cos(angle), math.sin(angle)
        spin = views.normal.new_tensor([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])  # of rows
        normal = F.normalize(surface(views.normal[0]) @ spin, dim=-1)
    cameras = Cameras(views.cameras.cam_to_world, views.cameras.focal * zoom, views.cameras.center)
    return Views(cameras, rgb, cover, depth, normal)
