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
SAMPLES = 112  # along a ray
LOST = 3.0  # pixels: what lies so far from all that the solid shows is lost, not a little too narrow
JOINT = 3.0  # pixels by which a strand reaches into what the solid has
SMOOTH = 4.0  # pixels over which the depths along a strand are evened
REACH = 12.0  # pixels over which a strand turns from where one of its ends joins to where the other does
BETWEEN = 8  # most balls put between those of neighbouring pixels
LEAST = 12  # pixels: smaller lost parts are noise
FAR = 0.08  # object units: the distance to the balls is told up to here
RESOLUTION = 160  # samples along each side of the volume of the distance to the balls


class Balls(NamedTuple):
    """B balls along strands, object units."""

    centre: Tensor  # (B, 3)
    radius: Tensor  # (B,) as wide as a grid needs them
    shown: Tensor  # (B,) as wide as the photo shows them


def lost_strands(
    volume: Tensor, views: Views, thin: float, thinnest: float, whole: bool = True, finer: Tensor | None = None
) -> Balls | None:
    """What the first view's silhouette shows of thin parts and the solid does not.

    Where the solid has a part it tells the depth, and so does a finer one; beyond, the view's own depth does, moved so that it joins.

    Args:
        volume: (R, R, R) signed distance over [-1, 1]^3, object units.
        views: with depth.
        thin: object units: parts whose half-width is less are thin.
        thinnest: object units: radius of the thinnest balls.
        whole: whether the object is known to be in one piece: what has come off of the largest part is lost then.
        finer: (Q, Q, Q) the same solid with more samples, which shows more of it.

    Returns:
        None where nothing is lost.
    """
    size = min(SIZE, views.mask.shape[-1])
    mask = (resize_views_image(views.mask[:1], size)[0] > 0.5).cpu().numpy()
    origin, direction = (part[0].reshape(-1, 3) for part in views.cameras[[0]].rays(size, size))
    pixel = torch.from_numpy(np.flatnonzero(mask)).to(origin.device)
    solid = np.zeros((2, *mask.shape))
    solid[:, mask] = first_crossing(volume, origin[pixel], direction[pixel]).cpu().numpy()
    seen = mask & np.isfinite(solid[0])
    if not seen.any():
        return None
    solid = np.where(seen, solid, 0.0)
    main, largest = seen.copy(), large_parts(volume, 1.0) if whole else volume
    if largest is not volume:
        main[mask] &= first_crossing(largest, origin[pixel], direction[pixel])[0].isfinite().cpu().numpy()
    unit = float(solid[:, seen].mean()) / (float(views.cameras.focal[0].mean()) * size)  # object units of a pixel
    wide = ndimage.distance_transform_edt(mask)
    lost = thin_and_lost(mask, main, wide, thin / unit)
    if not lost.any():
        return None
    joint = seen & ~lost & (ndimage.distance_transform_edt(~lost) <= JOINT)
    # Where a strand goes on inside the solid it is as wide as outside.
    radius = np.minimum(wide, thin / unit)[nearest(lost)] * unit
    assert views.depth is not None
    told = resize_views_image(views.depth[:1], size)[0].cpu().numpy()
    middle = np.full(mask.shape, np.nan)
    if finer is not None:
        middle[mask] = first_crossing(finer, origin[pixel], direction[pixel]).mean(0).cpu().numpy()
    along = depth_along(lost, lost | joint, seen, solid, told, radius, middle)
    chosen = joint | (lost & (wide >= ndimage.maximum_filter(np.where(lost, wide, 0.0), 3) - 0.3))  # the middle lines
    pixel = torch.from_numpy(np.flatnonzero(chosen)).to(origin.device)
    far, radii = (torch.from_numpy(values[chosen]).to(origin) for values in (along, radius))
    return without_gaps(Balls(origin[pixel] + far[:, None] * direction[pixel], radii.clamp(min=thinnest), radii), chosen)


def without_gaps(balls: Balls, chosen: np.ndarray) -> Balls:
    """The balls and others between those of neighbouring pixels (S, S) bool that are farther apart than they are wide."""
    number = np.full(chosen.shape, -1)
    number[chosen] = np.arange(len(balls.centre))
    pairs = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        other = np.roll(number, (-down, -right), (0, 1))
        pairs.append(np.stack([number, other], -1)[(number >= 0) & (other >= 0)])
    first, second = torch.from_numpy(np.concatenate(pairs)).to(balls.centre.device).unbind(-1)
    apart = (balls.centre[first] - balls.centre[second]).norm(dim=-1) / balls.radius[first]
    between = [balls]
    for step in range(1, BETWEEN + 1):
        wide = apart > step
        one, two = first[wide], second[wide]
        share = step / apart[wide].ceil()[:, None]
        between.append(Balls(torch.lerp(balls.centre[one], balls.centre[two], share), balls.radius[one], balls.shown[one]))
    return Balls(*(torch.cat(parts) for parts in zip(*between)))


def nearest(places: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows and columns (S, S) of the nearest of some places (S, S) bool."""
    return tuple(ndimage.distance_transform_edt(~places, return_distances=False, return_indices=True))


def large_parts(volume: Tensor, share: float) -> Tensor:
    """(R, R, R) signed distance of those connected parts of a solid that have this share of the largest one's volume."""
    parts, count = ndimage.label((volume < 0).cpu().numpy(), np.ones((3, 3, 3)))
    if count < 2:
        return volume
    sizes = np.bincount(parts.reshape(-1))
    small = sizes < share * sizes[1:].max()
    small[0] = False
    return torch.where(torch.from_numpy(small[parts]).to(volume.device), volume.abs(), volume)


def first_crossing(volume: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """(2, N) ray parameters where rays enter the solid first, and leave it again; infinite where they miss it."""
    near, far = cube_interval(origin, direction)
    step = (far - near) / SAMPLES
    places = ((near + (k + 0.5) * step)[:, None] for k in range(SAMPLES))
    inside = torch.stack([sample_volume(volume, origin + place * direction) < 0 for place in places], -1)
    enter = inside.to(torch.uint8).argmax(-1)
    past = torch.arange(SAMPLES, device=origin.device) > enter[:, None]
    leave = torch.where((past & ~inside).any(-1), (past & ~inside).to(torch.uint8).argmax(-1), SAMPLES)
    return torch.where(inside.any(-1), near + torch.stack([enter, leave]) * step, torch.inf)


def thin_and_lost(mask: np.ndarray, seen: np.ndarray, wide: np.ndarray, thin: float) -> np.ndarray:
    """(S, S) bool: what is not seen of those thin parts of a silhouette that are not only a little too narrow.

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
    lost = ndimage.sum_labels(away >= LOST, parts, np.arange(1, count + 1)) >= LEAST if count else np.zeros(0, bool)
    strands = np.concatenate([[False], lost])[parts] & ~seen
    # What lies between a thin part and the bulk belongs to neither yet.
    return strands | (mask & ~seen & (ndimage.distance_transform_edt(~strands) <= JOINT)) if strands.any() else strands


def depth_along(
    lost: np.ndarray, strands: np.ndarray, seen: np.ndarray, solid: np.ndarray, told: np.ndarray, radius: np.ndarray, middle: np.ndarray
) -> np.ndarray:
    """(S, S) depths of the middle of strands: as the view tells them, moved as little as takes them into the solid where they join.

    Args:
        lost: (S, S) bool, not empty.
        strands: (S, S) bool, what is lost and where it joins.
        seen: (S, S) bool, what the solid shows.
        solid: (2, S, S) depths where rays enter and leave it.
        told: (S, S) the view's depth of the surface, of any scale and offset.
        radius: (S, S) of the strand, object units.
        middle: (S, S) depth of the strand's middle where that is known, otherwise not finite.
    """
    enter, leave = solid
    scale, offset = np.polyfit(told[seen], enter[seen], 1) if np.ptp(told[seen]) > 1e-6 else (0.0, 0.0)
    guess = radius + (told * scale + offset if scale > 0 else np.full(told.shape, enter[seen].mean()))
    guess = np.where(np.isfinite(middle), middle, guess)
    joining = guess[nearest(lost)]
    middle, half = (enter + leave) / 2, np.maximum((leave - enter) / 2 - radius, 0.0)
    inside = np.clip(joining, middle - half, middle + half)
    moved = np.where(seen, inside - joining, 0.0)[nearest(seen)]
    at_joint = np.exp(-ndimage.distance_transform_edt(~seen) / JOINT)
    moved = at_joint * moved + (1 - at_joint) * evened(moved, strands, REACH)
    return evened(np.where(seen, inside, guess + moved), strands, SMOOTH)


def evened(values: np.ndarray, places: np.ndarray, sigma: float) -> np.ndarray:
    """(S, S) values blurred over some places (S, S) bool only."""
    weight = ndimage.gaussian_filter(places.astype(float), sigma)
    return ndimage.gaussian_filter(np.where(places, values, 0.0), sigma) / np.maximum(weight, 1e-6)


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
