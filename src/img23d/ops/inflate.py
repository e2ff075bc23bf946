"""A solid from a silhouette alone: round cross-sections, mirrored in the picture plane.

It is the baseline that a learnt prior must beat, and the first guess that the network starts from and corrects.
"""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor

from img23d.ops.volume import volume_points
from img23d.scene import Cameras

FAR = 1e6


def parabola_minimum(values: Tensor) -> Tensor:
    """(B, H, W) ``min over q of |p - q|^2 + values(q)``, lengths in pixels.

    Reference:
        Felzenszwalb and Huttenlocher, Distance transforms of sampled functions (2012): along rows, then columns. On the CPU in time
        proportional to the number of pixels, elsewhere by brute force.
    """
    if values.device.type != "cpu":
        return parabola_minimum_reference(values)
    from img23d.ops.parabola import lower_envelope

    for axis in (2, 1):
        rows = values.movedim(axis, -1).contiguous()
        best = torch.empty_like(rows)
        lower_envelope(rows.view(-1, rows.shape[-1]).numpy(), best.view(-1, rows.shape[-1]).numpy())
        values = best.movedim(-1, axis)
    return values


def parabola_minimum_reference(values: Tensor) -> Tensor:
    """As `parabola_minimum`, by brute force on any device."""
    for axis in (2, 1):
        size = values.shape[axis]
        place = torch.arange(size, dtype=values.dtype, device=values.device)
        square = (place[:, None] - place[None]) ** 2
        rows = values.movedim(axis, 0).contiguous()
        best = (rows[0][..., None] + square[0]).contiguous()
        for q in range(1, size):
            torch.minimum(best, rows[q][..., None] + square[q], out=best)
        values = best.movedim(-1, axis)
    return values


def inflate(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the silhouette's edge, and half the thickness of the solid that has round cross-sections.

    The solid is the union of balls that are centred in the picture's plane and touch the silhouette from within.

    Args:
        mask: (B, S, S) coverage 0..1 of a square picture.

    Returns:
        (B, S, S) distance and (B, S, S) half-thickness, both in half-widths of the picture, 0 outside.
    """
    inside = mask > 0.5
    square = parabola_minimum(torch.where(inside, FAR, 0.0).to(mask.dtype)).clamp(max=mask.shape[-1] ** 2)
    radius = torch.where(inside, (square.sqrt() - 0.5).clamp(min=0.0), torch.zeros_like(square))
    height = (-parabola_minimum(torch.where(inside, -(radius**2), torch.full_like(square, FAR)))).clamp(min=0.0).sqrt()
    pixel = 2.0 / mask.shape[-1]
    return radius * pixel, torch.where(inside, height, torch.zeros_like(height)) * pixel


def inflation_height(mask: Tensor) -> Tensor:
    """Squared half-thickness of a silhouette, signed so that it falls through zero at the outline.

    Inside it is that of `inflate`: a disc of radius r gives r^2 - rho^2, a sphere; a strip gives a cylinder. Outside it continues as
    minus the distance to the outline times the slope of a disc as wide as the silhouette.

    Args:
        mask: (S, S) coverage 0..1 of a square crop.

    Returns:
        (S, S) in squared half-widths of the crop (the crop is 2 wide).
    """
    inside = mask > 0.5
    radius, thickness = inflate(mask[None])
    distance = torch.from_numpy(ndimage.distance_transform_edt(~inside.cpu().numpy())).to(mask) * (2.0 / mask.shape[-1])
    height = torch.where(inside, thickness[0].square(), -2 * radius.max() * distance)
    return torch.from_numpy(ndimage.gaussian_filter(height.cpu().numpy(), 0.7)).to(mask)


def inflated_sdf(height: Tensor, camera: Cameras, mid_depth: float, resolution: int) -> Tensor:
    """Signed distance of the inflated silhouette on the object frame's grid.

    The surface is offset^2 = height(x, y) with x, y the place across the camera's axis, not along its rays: a solid spread along
    diverging rays would be fat behind and thin in front. Dividing by the slope turns that into a distance to first order (exact
    for a sphere).

    Args:
        height: (S, S) from `inflation_height`.
        camera: the crop's camera (V = 1).
        mid_depth: z-depth of the mirror plane; the crop's half-width there is the unit of ``height``.
        resolution: samples along each side.

    Returns:
        (D, D, D) over [-1, 1]^3.
    """
    unit = mid_depth * 0.5 / float(camera.focal[0, 0])
    points = volume_points(resolution, height).reshape(-1, 3)
    local = (points - camera.position) @ camera.cam_to_world[0, :3, :3] / unit
    place = torch.stack([local[:, 0], -local[:, 1]], -1)
    value = torch.nn.functional.grid_sample(height[None, None], place[None, None], align_corners=False, padding_mode="border")
    beyond = (place.abs().amax(-1) - 1).clamp_min(0)
    offset = -local[:, 2] - mid_depth / unit
    implicit = (offset.square() - value.reshape(-1) + beyond * 4).reshape(resolution, resolution, resolution)
    slope = torch.stack(torch.gradient(implicit, spacing=2.0 / (resolution - 1))).norm(dim=0)
    return (implicit / slope.clamp_min(0.3)).clamp(-0.5, 0.5)
