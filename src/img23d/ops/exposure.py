"""Exposure: photos of other sides, taken with other exposures and white balances, are brought to the brightness and tint of the first."""

from __future__ import annotations

import math

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from img23d.ops.srgb import to_linear

SEEN = 0.3  # trust from which on a photo tells the colour of a point
NEAR = 0.12  # how far points may lie from each other that are compared, object units
DARK = 0.02  # linear light that tells nothing: below this, or above one less this
FEWEST, ENOUGH = 50, 100  # points that tell brightness, and tint
STOPS = 1.25  # by which photos of one object may differ; beyond, its sides are of different colours
DOUBT = 0.45  # by how much both ways of telling brightness may differ, natural logarithm
TINT = 0.3  # by which channels may differ from each other, natural logarithm; beyond, the sides are of different hues


def exposure_gain(points: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """What the second photo's linear light is multiplied by, so that it fits to the first one's.

    Brightness is told by the means of all that each photo shows, as long as these differ by no more than cameras do, are of one hue,
    and are not denied where both photos meet. Tint, in which sides differ more, is told only by where they meet: points that the one
    sees are compared with the nearest ones that the other sees.

    Args:
        points: (N, 3) of the surface, object units.
        first: (N, 3) sRGB that the first photo shows there, and (N,) how far it can be trusted.
        second: the same of the second photo.

    Returns:
        (3,) gain of each channel; ones where nothing is told.
    """
    ours, theirs = (log_light(rgb)[useful(rgb, trust)] for rgb, trust in (first, second))
    even = points.new_ones(3)
    if min(len(ours), len(theirs)) < FEWEST:
        return even
    difference = ours.mean(0) - theirs.mean(0)
    brighter = float(difference.mean())
    ratios = seam_ratios(points, first, second)
    met = torch.quantile(ratios, 0.5, dim=0) if len(ratios) >= FEWEST else None
    denied = met is not None and abs(float(met.mean()) - brighter) > DOUBT
    if abs(brighter) > STOPS * math.log(2) or float((difference - brighter).abs().amax()) > TINT or denied:
        return even
    tint = met - met.mean() if met is not None and len(ratios) >= ENOUGH else torch.zeros_like(even)
    return (brighter + tint * (float(tint.abs().amax()) < TINT)).exp()


def seam_ratios(points: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """(P, 3) logarithms of the first photo's light over the second one's, of points where both meet; see `exposure_gain`."""
    ours, theirs = (torch.nonzero(useful(rgb, trust))[:, 0] for rgb, trust in (first, second))
    away, nearest = cKDTree(points[ours].cpu().numpy()).query(points[theirs].cpu().numpy())
    close = torch.from_numpy(away).to(points.device) < NEAR
    partner = ours[torch.from_numpy(nearest).to(points.device)[close]]
    return log_light(first[0][partner]) - log_light(second[0][theirs[close]])


def useful(rgb: Tensor, trust: Tensor) -> Tensor:
    """(N,) bool: where a photo is to be trusted, and neither black nor white."""
    light = to_linear(rgb)
    return (trust > SEEN) & (light > DARK).all(-1) & (light < 1 - DARK).all(-1)


def log_light(rgb: Tensor) -> Tensor:
    """(N, 3) natural logarithms of the linear light of sRGB colours."""
    return to_linear(rgb).clamp(min=1e-4).log()
