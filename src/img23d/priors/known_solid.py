"""A box or a solid of revolution on the object's grid: as exact as it is known, with what sticks out of it as the network has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.volume import volume_points
from img23d.priors.solid import SURE, RayVolume, silhouette_distance, to_grid
from img23d.scene import Cameras

FINER = 1.6  # times as many samples along each side as for a guess: rims and edges are sharp
SLAB = 16  # layers of the grid at a time, for the memory's sake
JOINT = 2  # pixels by which parts reach into the solid, to hang together with it


class KnownSolid(NamedTuple):
    """A solid that is known exactly, in the frame of the crop (see `img23d.priors.frame`)."""

    distance: Callable[[Tensor], Tensor]  # (..., 3) points to (...) signed distances, half-widths
    parts: Tensor  # (S, S) bool, pixels of what sticks out
    turned: bool = False  # a solid of revolution, and no box


def known_on_grid(
    known: KnownSolid, camera: Cameras, resolution: int, guess: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The solid and its parts on the object's grid.

    Args:
        known: the solid.
        camera: (V = 1) of the crop; mid-depth is the depth of the object frame's origin.
        resolution: samples along each side of a guess.
        guess: what `img23d.priors.solid.solid_from_prediction` tells, of which only what the parts' pixels show is taken.

    Returns:
        (D, D, D) signed distance in object units and confidence, D `FINER` times ``resolution``; sure but about the parts.
    """
    fine = round(FINER * resolution)
    slabs = (in_crop(slab.reshape(-1, 3).to(known.parts.device), camera) for slab in volume_points(fine).split(SLAB))
    distance = torch.cat([known.distance(points) * unit for points, unit in slabs]).reshape((fine,) * 3)
    confidence = torch.full_like(distance, SURE)
    if guess is None or not bool(known.parts.any()):
        return distance, confidence
    grown = F.max_pool2d(known.parts[None, None].to(distance), 2 * JOINT + 1, 1, JOINT)[0, 0]
    cone = silhouette_distance(grown).expand(2, *grown.shape)  # the same at every depth
    outside = to_grid(RayVolume(cone, torch.ones_like(cone)), camera, resolution)[0]
    part, outside, trust = (
        F.interpolate(volume[None, None], size=distance.shape, mode="trilinear", align_corners=True)[0, 0]
        for volume in (torch.maximum(guess[0], outside), outside, guess[1])
    )
    return torch.minimum(distance, part), torch.where(outside < 2.0 / (resolution - 1), trust.clamp(max=SURE), confidence)


def in_crop(points: Tensor, camera: Cameras) -> tuple[Tensor, float]:
    """(N, 3) points of the object frame in the frame of the crop, and a half-width in object units."""
    camera = camera.to(points.device)
    seen = camera.project(torch.cat([points.new_zeros(1, 3), points]).to(camera.focal.dtype))[0].to(points.dtype)
    middle = float(seen[0, 2])
    unit = middle * 0.5 / float(camera.focal.mean())
    grow = seen[1:, 2] / middle
    x, y = (2 * seen[1:, 0] - 1) * grow, (1 - 2 * seen[1:, 1]) * grow
    return torch.stack([x, y, (middle - seen[1:, 2]) / unit], -1), unit
