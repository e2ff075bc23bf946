"""Gaussian splatting: clouds of 3D Gaussians drawn as overlapping soft ellipses, differentiable.

Reference: Kerbl et al., 3D Gaussian Splatting for Real-Time Radiance Field Rendering (2023); Zwicker et al., EWA Splatting (2002).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from img23d.scene import Cameras

NEAR = 0.01
"""Least z-depth at which a Gaussian is drawn."""
BLUR = 0.3
"""Variance that every ellipse is widened by, square pixels, so that none falls between pixel centres."""
MARGIN = 0.15
"""How far outside of the picture, in widths of it, perspective is still taken as it is; beyond that its linear approximation is useless."""
FAINTEST = 1 / 255
"""Opacity below which a Gaussian leaves a pixel alone."""
MOST_OPAQUE = 0.99
LEAST_LIGHT = 1e-4
"""Light that must still come through to a Gaussian for it to be added to a pixel."""
TILE = 16
"""Pixels of a tile's side."""


@dataclass(frozen=True)
class Footprints:
    """M Gaussians as one camera sees them, the nearest first.

    Args:
        center: (M, 2) x, y in pixels, 0 at the left and upper edge of the picture.
        conic: (M, 3) the inverse of the ellipse's covariance: its elements xx, xy, yy, 1 / square pixels.
        reach: (M, 2) half the width and height of the box in which it is not too faint, pixels.
        opacity: (M,) 0..1.
        values: (M, C) what is drawn, such as colours.
        owner: (M,) int64 which Gaussian of the cloud each is.
    """

    center: Tensor
    conic: Tensor
    reach: Tensor
    opacity: Tensor
    values: Tensor
    owner: Tensor


Composite = Callable[[Footprints, int, int], tuple[Tensor, Tensor]]


def splat(
    points: Tensor, scales: Tensor, rotations: Tensor, opacity: Tensor, values: Tensor,
    cameras: Cameras, height: int, width: int, composite: Composite | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Draw Gaussians.

    Args:
        points: (N, 3) their centres, object frame.
        scales: (N, 3) standard deviations along their own axes, object units.
        rotations: (N, 4) quaternions w, x, y, z of any length, from their own axes to the object frame.
        opacity: (N,) 0..1.
        values: (N, C) what is drawn, such as colours.
        cameras: V cameras.
        height: rows of the pictures.
        width: columns of the pictures.
        composite: what puts ellipses together; None is `composite` below.

    Returns:
        (V, H, W, C) values on black, that is multiplied by how much of the pixel is covered, and (V, H, W) that coverage.
    """
    spread = rotation_matrices(rotations) * scales[:, None, :]
    pictures = []
    for view in range(len(cameras)):
        seen = project(points, spread, opacity, values, cameras[view : view + 1], height, width)
        pictures.append((composite or composite_tiles)(seen, height, width))
    images, coverages = zip(*pictures)
    return torch.stack(images), torch.stack(coverages)


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """(N, 3, 3) rotation matrices of (N, 4) quaternions w, x, y, z of any length but 0."""
    w, x, y, z = normalize(quaternions, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def project(
    points: Tensor, spread: Tensor, opacity: Tensor, values: Tensor, camera: Cameras, height: int, width: int
) -> Footprints:  # fmt: skip
    """The ellipses of all Gaussians that reach into the picture.

    Args:
        points: (N, 3).
        spread: (N, 3, 3) a root of their covariance: its product with its own transpose.
        opacity: (N,).
        values: (N, C).
        camera: one camera.
        height: rows of the picture.
        width: columns of the picture.
    """
    turn = camera.cam_to_world[0, :3, :3].to(points)
    local = (points - camera.position[0].to(points)) @ turn
    depth = -local[:, 2]
    # Behind the camera there is nothing to project, and 1 / 0 would spoil the gradients of all others.
    chosen = ((depth > NEAR) & (opacity > FAINTEST)).nonzero()[:, 0]
    chosen = chosen[depth.detach()[chosen].argsort(stable=True)]
    local, depth, opacity = local[chosen], depth[chosen], opacity[chosen]
    size = points.new_tensor([width, height])
    focal, middle = camera.focal[0].to(points), camera.center[0].to(points)
    slope = local[:, :2] * points.new_tensor([1.0, -1.0]) / depth[:, None]
    center = (middle + focal * slope) * size
    slope = torch.minimum(torch.maximum(slope, (-MARGIN - middle) / focal), (1 + MARGIN - middle) / focal)
    per_unit = focal * size / depth[:, None]  # pixels
    own = turn.T @ spread[chosen]
    across = per_unit[:, 0, None] * (own[:, 0] + slope[:, 0, None] * own[:, 2])
    down = per_unit[:, 1, None] * (slope[:, 1, None] * own[:, 2] - own[:, 1])
    xx, xy, yy = across.square().sum(-1) + BLUR, (across * down).sum(-1), down.square().sum(-1) + BLUR
    conic = torch.stack([yy, -xy, xx], -1) / (xx * yy - xy * xy)[:, None]
    with torch.no_grad():
        reach = (2 * (opacity / FAINTEST).log()[:, None] * torch.stack([xx, yy], -1)).sqrt()
        inside = ((center + reach > 0) & (center - reach < size)).all(1).nonzero()[:, 0]
    return Footprints(center[inside], conic[inside], reach[inside], opacity[inside], values[chosen][inside], chosen[inside])


@torch.no_grad()
def tile_lists(seen: Footprints, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which Gaussians each tile of the picture has to draw.

    Returns:
        (E,) int64 indices, tile by tile, nearest first, and (T + 1,) int64 where each tile's begin; tiles are counted row by row.
    """
    across, down = -(-width // TILE), -(-height // TILE)
    most = torch.tensor([across, down], device=seen.center.device) - 1
    # The first and the last pixel whose centre lies in the box.
    low = (torch.ceil(seen.center - seen.reach - 0.5).clamp(min=0) / TILE).floor().long()
    high = torch.minimum((torch.floor(seen.center + seen.reach - 0.5) / TILE).floor().long(), most)
    wide = (high - low + 1).clamp(min=0)
    counts = wide[:, 0] * wide[:, 1]
    owner = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    place = torch.arange(len(owner), device=counts.device) - (counts.cumsum(0) - counts)[owner]
    row, column = low[owner, 1] + place // wide[owner, 0].clamp(min=1), low[owner, 0] + place % wide[owner, 0].clamp(min=1)
    tile, order = (row * across + column).sort(stable=True)
    return owner[order], torch.searchsorted(tile, torch.arange(across * down + 1, device=tile.device))


def composite_tiles(seen: Footprints, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Put ellipses over each other, the nearest on top.

    Args:
        seen: M Gaussians with C values.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        (H, W, C) values on black and (H, W) coverage.
    """
    index, starts = tile_lists(seen, height, width)
    begin = starts.tolist()
    across = -(-width // TILE)
    rows = []
    for top in range(0, height, TILE):
        tiles = []
        for left in range(0, width, TILE):
            tile = top // TILE * across + left // TILE
            listed = index[begin[tile] : begin[tile + 1]]
            tiles.append(_composite(seen, listed, top, left, min(TILE, height - top), min(TILE, width - left)))
        rows.append(torch.cat(tiles, 1))
    picture = torch.cat(rows)
    return picture[..., :-1], picture[..., -1]


def _composite(seen: Footprints, listed: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """(H, W, C + 1) one tile: values and, last, coverage."""
    values = seen.values[listed]
    y = torch.arange(height, dtype=values.dtype, device=values.device) + (top + 0.5)
    x = torch.arange(width, dtype=values.dtype, device=values.device) + (left + 0.5)
    away_y = (y - seen.center[listed, 1, None])[:, :, None]
    away_x = (x - seen.center[listed, 0, None])[:, None, :]
    xx, xy, yy = (part[:, None, None] for part in seen.conic[listed].unbind(1))
    exponent = -0.5 * (xx * away_x * away_x + 2 * xy * away_x * away_y + yy * away_y * away_y)
    alpha = seen.opacity[listed, None, None] * exponent.exp()
    alpha = torch.where(alpha < FAINTEST, 0.0, alpha).clamp(max=MOST_OPAQUE).flatten(1)
    through = (1 - alpha).cumprod(0)
    before = torch.cat([torch.ones_like(through[:1]), through])[:-1]
    weight = torch.where(through < LEAST_LIGHT, 0.0, alpha * before)
    drawn = torch.cat([weight.T @ values, weight.sum(0)[:, None]], 1)
    return drawn.reshape(height, width, -1)
