"""How a simple solid looks from the photo's camera, and the network's answer with such a solid in its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from img23d.ops.crop import spread
from img23d.priors.known_solid import KnownSolid
from img23d.priors.solid import SURE

if TYPE_CHECKING:
    from img23d.priors.embedded import Prediction

BINS = 128  # depth samples in which surfaces are found
SMALL_PART = 0.004  # what sticks out is a part from this share of the silhouette on, else it is the outline's inexactness


class Shown(NamedTuple):
    """A solid as the camera sees it; S pixels, half-widths, camera frame."""

    front: Tensor  # (S, S) depth where the ray enters
    back: Tensor  # (S, S) and leaves
    solid: Tensor  # (S, S) bool
    normal: Tensor  # (S, S, 3)


class Candidate(NamedTuple):
    """A solid that may be what the photo shows."""

    shown: Shown
    volume: Tensor  # (BINS, S, S) as that of a `Prediction`, at `fine_depths`
    solid: Callable[[Tensor], Tensor]  # (..., 3) points in the frame of the crop to (...) signed distances, half-widths
    elevation: float  # radians
    distance: float  # from the camera to mid-depth, half-widths
    apart: float  # `turned_apart` from the network's answer
    turned: bool = False  # a solid of revolution, and no box


def turned_apart(said: Prediction, shown: Shown, where: Tensor) -> float:
    """Mean angle between the network's normals and those of a solid, over some pixels, degrees."""
    both = (said.mask > 0.5) & shown.solid & where
    angle = torch.rad2deg(torch.arccos((said.normal * shown.normal).sum(-1).clamp(-1, 1)))[both]
    weight = said.normal_confidence[both]
    return float((angle * weight).sum() / weight.sum().clamp(min=1e-6))


def with_parts(said: Prediction, found: Candidate) -> Prediction:
    """The solid in place of the network's, and besides it what else the silhouette shows, handles, spouts, knobs, as the network has it.

    Args:
        said: the network's answer.
        found: the solid.

    Returns:
        The answer with another volume, other layers, normals, elevation and field of view, and the solid itself.
    """
    inside, shown, volume = said.mask > 0.5, found.shown, found.volume
    # Rays go through the centres of pixels, depths from one end of the range to the other.
    own = F.interpolate(said.volume[None], size=volume.shape[1:], mode="bilinear", align_corners=False)
    own = F.interpolate(own[None], size=volume.shape, mode="trilinear", align_corners=True)[0, 0]
    layers = torch.stack([torch.where(shown.solid, new, told) for new, told in zip(shown[:2], (said.front_depth, said.back_depth))])
    known, depths, parts = shown.solid & inside, fine_depths(said), torch.zeros_like(inside)
    labels, count = ndimage.label(ndimage.binary_opening((inside & ~shown.solid).cpu().numpy(), iterations=1))
    for label in range(1, count + 1):
        part = torch.from_numpy(labels == label).to(inside.device)
        if float(part.sum()) < SMALL_PART * float(inside.sum()):
            continue
        part = grown(part, 1) & inside & ~shown.solid
        # Where it is joined, it is as deep as the solid's edge.
        seam, edge = part & grown(shown.solid, 2), shown.solid & grown(part, 2)
        shift = (layers[:, edge].mean() - layers[:, seam].mean()) if bool(seam.any()) and bool(edge.any()) else layers.new_tensor(0.0)
        layers[:, part] += shift
        known, parts = known | part, parts | part
        volume = torch.where(grown(part, 3), torch.minimum(volume, moved_away(own, float(shift), depths)), volume)
    layers = spread(layers.permute(1, 2, 0), known).permute(2, 0, 1)
    sure = torch.where(shown.solid, torch.full_like(said.mask, SURE), said.depth_confidence)
    return replace(
        said, front_depth=layers[0], back_depth=layers[1], volume=volume.clamp(-1, 1), depth_confidence=sure,
        back_depth_confidence=torch.where(shown.solid, sure, said.back_depth_confidence), elevation=found.elevation, roll=0.0,
        fov=2 * math.atan(1 / found.distance),
        normal=torch.where(shown.solid[..., None], shown.normal, said.normal),
        normal_confidence=torch.where(shown.solid, sure, said.normal_confidence), known=KnownSolid(found.solid, parts, found.turned),
    )  # fmt: skip


def grown(region: Tensor, pixels: int) -> Tensor:
    """(S, S) bool with this many pixels more on all sides."""
    return F.max_pool2d(region[None, None].float(), 2 * pixels + 1, 1, pixels)[0, 0] > 0


def moved_away(volume: Tensor, shift: float, depths: Tensor) -> Tensor:
    """(D, h, w) distances of a solid that lies farther away by ``shift``."""
    place = (depths - shift - depths[0]) / (depths[1] - depths[0])
    low = place.floor().clamp(0, len(depths) - 2)
    share = (place - low).clamp(0, 1)[:, None, None]
    return volume[low.long()] * (1 - share) + volume[low.long() + 1] * share


def fine_depths(said: Prediction) -> Tensor:
    """(BINS,) depths over the answer's range: its own samples are too far apart for thin walls."""
    return torch.linspace(*said.depth_range, BINS, device=said.volume.device)
