"""Thin parts that a silhouette shows and a solid has lost, such as a bird's legs or a stem, put back as strings of balls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from img23d.ops.crop import resize_views_image
from img23d.ops.neus import cube_interval
from img23d.ops.volume import sample_volume
from img23d.scene import Views

SIZE = 320  # pixels along each side of the silhouette that is searched
SAMPLES = 160  # along a ray
LOST = 3.0  # pixels: what lies so far from all that the solid shows is lost, not a little too narrow
JOINT = 3.0  # pixels by which a strand reaches into what the solid has
SMOOTH = 4.0  # pixels over which the depths along a strand are evened
LEAST = 12  # pixels: smaller lost parts are noise
FAR = 0.08  # object units: the distance to the balls is told up to here
RESOLUTION = 160  # samples along each side of volumes


class Balls(NamedTuple):
    """B balls along strands, object units."""

    centre: Tensor  # (B, 3)
    radius: Tensor  # (B,) as wide as a grid needs them
    shown: Tensor  # (B,) as wide as the photo shows them


def lost_strands(volume: Tensor, views: Views, thin: float, thinnest: float) -> Balls | None:
    """What the first view's silhouette shows of thin parts and the solid does not.

    Where the solid has a part it tells the depth; beyond, the view's own depth does, moved so that it joins.

    Args:
        volume: (R, R, R) signed distance over [-1, 1]^3, object units.
        views: with depth.
        thin: object units: parts whose half-width is less are thin.
        thinnest: object units: radius of the thinnest balls.

    Returns:
        None where nothing is lost.
    """
    size = min(SIZE, views.mask.shape[-1])
    mask = (resize_views_image(views.mask[:1], size)[0] > 0.5).cpu().numpy()
    origin, direction = (part[0].reshape(-1, 3) for part in views.cameras[[0]].rays(size, size))
    pixel = torch.from_numpy(np.flatnonzero(mask)).to(origin.device)
    enter, leave = first_crossing(volume, origin[pixel], direction[pixel])
    seen = np.zeros(mask.shape, bool)
    seen[mask] = enter.isfinite().cpu().numpy()
    if not seen.any():
        return None
    solid = np.zeros((2, *mask.shape))
    solid[:, seen] = torch.stack([enter, leave]).cpu().numpy()[:, seen[mask]]
    unit = float(solid[:, seen].mean()) / (float(views.cameras.focal[0].mean()) * size)  # object units of a pixel
    wide = ndimage.distance_transform_edt(mask)
    strands = thin_and_lost(mask, seen, wide, thin / unit)
    if not strands.any():
        return None
    joint = strands & seen
    # Where a strand goes on inside the solid it is as wide as outside.
    radius = np.minimum(wide, thin / unit)[nearest(strands & ~seen)] * unit
    assert views.depth is not None
    told = resize_views_image(views.depth[:1], size)[0].cpu().numpy()
    along = depth_along(strands, seen, solid, told, radius)
    chosen = joint | (strands & (wide >= ndimage.maximum_filter(wide, 3) - 0.3))  # the middle lines
    pixel = torch.from_numpy(np.flatnonzero(chosen)).to(origin.device)
    far, radii = (torch.from_numpy(values[chosen]).to(origin) for values in (along, radius))
    return Balls(origin[pixel] + far[:, None] * direction[pixel], radii.clamp(min=thinnest), radii)


def nearest(places: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows and columns (S, S) of the nearest of some places (S, S) bool."""
    return tuple(ndimage.distance_transform_edt(~places, return_distances=False, return_indices=True))


def largest_piece(volume: Tensor) -> Tensor:
    """(R, R, R) signed distance of the largest connected part of a solid."""
    parts, count = ndimage.label((volume < 0).cpu().numpy(), np.ones((3, 3, 3)))
    if count < 2:
        return volume
    largest = 1 + int(np.bincount(parts.reshape(-1))[1:].argmax())
    others = torch.from_numpy((parts > 0) & (parts != largest)).to(volume.device)
    return torch.where(others, volume.abs(), volume)


def first_crossing(volume: Tensor, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) ray parameters where rays enter the solid first, and leave it again; infinite where they miss it."""
    near, far = cube_interval(origin, direction)
    step = (far - near) / SAMPLES
    places = ((near + (k + 0.5) * step)[:, None] for k in range(SAMPLES))
    inside = torch.stack([sample_volume(volume, origin + place * direction) < 0 for place in places], -1)
    enter = inside.to(torch.uint8).argmax(-1)
    past = torch.arange(SAMPLES, device=origin.device) > enter[:, None]
    leave = torch.where((past & ~inside).any(-1), (past & ~inside).to(torch.uint8).argmax(-1), SAMPLES)
    missed = ~inside.any(-1)
    return tuple(torch.where(missed, torch.inf, near + index * step) for index in (enter, leave))  # type: ignore[return-value]


def thin_and_lost(mask: np.ndarray, seen: np.ndarray, wide: np.ndarray, thin: float) -> np.ndarray:
    """(S, S) bool: the thin parts of a silhouette of which something is lost, and where they join the rest.

    Args:
        mask: (S, S) bool.
        seen: (S, S) bool, what the solid shows.
        wide: (S, S) distance to the silhouette's edge, pixels.
        thin: half-width below which a part is thin, pixels.
    """
    core = wide >= thin
    bulk = ndimage.distance_transform_edt(~core) < thin + 1 if core.any() else core
    away = ndimage.distance_transform_edt(~seen)
    parts, count = ndimage.label(mask & ~bulk, np.ones((3, 3)))
    index = np.arange(1, count + 1)
    lost = ndimage.sum_labels(away >= LOST, parts, index) >= LEAST if count else np.zeros(0, bool)
    strands = np.concatenate([[False], lost])[parts] & ~seen
    return strands | (mask & seen & (ndimage.distance_transform_edt(~strands) <= JOINT)) if strands.any() else strands


def depth_along(strands: np.ndarray, seen: np.ndarray, solid: np.ndarray, told: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(S, S) depths of the middle of strands: as the view tells them, moved as little as takes them into the solid where they join.

    Args:
        strands: (S, S) bool.
        seen: (S, S) bool, what the solid shows.
        solid: (2, S, S) depths where rays enter and leave it.
        told: (S, S) the view's depth of the surface, of any scale and offset.
        radius: (S, S) of the strand, object units.
    """
    enter, leave = solid
    scale, offset = np.polyfit(told[seen], enter[seen], 1) if np.ptp(told[seen]) > 1e-6 else (0.0, 0.0)
    guess = radius + (told * scale + offset if scale > 0 else np.full(told.shape, enter[seen].mean()))
    joining = guess[nearest(strands & ~seen)]
    middle, half = (enter + leave) / 2, np.maximum((leave - enter) / 2 - radius, 0.0)
    inside = np.clip(joining, middle - half, middle + half)
    moved = np.where(seen, inside - joining, 0.0)[nearest(seen)]
    depth = np.where(strands, np.where(seen, inside, guess + moved), 0.0)
    weight = ndimage.gaussian_filter(strands.astype(float), SMOOTH)
    return ndimage.gaussian_filter(depth, SMOOTH) / np.maximum(weight, 1e-6)


def ball_distance(balls: Balls) -> Tensor:
    """(R, R, R) distance to the nearest ball's surface over [-1, 1]^3, negative inside, at most `FAR`."""
    step = 2.0 / (RESOLUTION - 1)
    volume = np.full((RESOLUTION,) * 3, FAR, np.float32)
    axis = np.linspace(-1, 1, RESOLUTION, dtype=np.float32)
    for centre, radius in zip(balls.centre.cpu().numpy(), balls.radius.cpu().numpy()):
        low = np.floor((centre - radius - FAR + 1) / step).astype(int).clip(0, RESOLUTION - 1)
        high = np.ceil((centre + radius + FAR + 1) / step).astype(int).clip(0, RESOLUTION - 1) + 1
        x, y, z = (axis[a:b] - c for a, b, c in zip(low, high, centre))
        distance = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None] ** 2) - radius
        part = volume[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
        np.minimum(part, distance, out=part)
    return torch.from_numpy(volume).to(balls.centre.device)


def drawn_in(vertices: Tensor, balls: Balls, share: Tensor) -> Tensor:
    """(N, 3) vertices of a surface round strands, drawn in to the strands' own width.

    Args:
        vertices: (N, 3) of the surface of balls of the larger ``radius``.
        balls: along the strands.
        share: (N,) how far to move each, 0..1.
    """
    from scipy.spatial import cKDTree

    moved = torch.nonzero(share > 0)[:, 0]
    if not len(moved):
        return vertices
    _, index = cKDTree(balls.centre.cpu().numpy()).query(vertices[moved].cpu().numpy())
    chosen = torch.from_numpy(np.asarray(index, np.int64)).to(vertices.device)
    centre = balls.centre[chosen]
    outward = torch.nn.functional.normalize(vertices[moved] - centre, dim=-1, eps=1e-9)
    return vertices.index_copy(0, moved, torch.lerp(vertices[moved], centre + balls.shown[chosen, None] * outward, share[moved, None]))
