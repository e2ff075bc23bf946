"""What the colours of one photo say about a coarse cut-out: those that fill the object and not the rest are the object's."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv3d, pad

BINS = 20  # along each of red, green and blue
STRENGTH = 1.5  # weight of the colours' evidence against the network's
LIMIT = 3.0  # largest evidence of one pixel's colour, in log odds
FLOOR = 1e-4  # share of pixels below which a colour counts as unseen
PASSES = 5
SMOOTHING = 2.0  # pixels of the coarse picture: neighbours share their evidence
SUREST = 0.005  # the network's probabilities are taken for at least this and at most one less it: so sure it may be against any colour
CONSENT = 0.9  # probability above which a hole does not grow over a pixel
SOLID = 0.85  # mean probability in a hole from which the network is right that there is none, whatever its colours
CLEARLY = -1.0  # evidence, in log odds, of a colour that is the background's
DOUBTED = 0.75  # mean log odds of the network's below which what stands apart from the largest part is something else
SPREADS = 6.0  # a hole grows to so many times its area at most; what grows more has leaked into the object


def gaussian(sigma: float, like: Tensor) -> Tensor:
    """A normalised kernel that reaches three sigmas."""
    reach = max(1, math.ceil(3 * sigma))
    x = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    return kernel / kernel.sum()


def blur(volume: Tensor, sigma: float, axes: tuple[int, ...]) -> Tensor:
    """A (D, H, W) tensor smoothed along some axes, borders repeated."""
    kernel = gaussian(sigma, volume)
    reach = len(kernel) // 2
    for axis in axes:
        moved = volume.movedim(axis, -1)
        rows = pad(moved[None, None], (reach, reach, 0, 0, 0, 0), mode="replicate")
        volume = conv3d(rows, kernel[None, None, None, None])[0, 0].movedim(-1, axis)
    return volume


def colour_share(index: Tensor, weight: Tensor) -> Tensor:
    """(BINS^3,) share of the weight that falls on each colour, spread over similar colours."""
    counts = torch.zeros(BINS**3, dtype=weight.dtype, device=weight.device).index_add_(0, index, weight)
    spread = blur(counts.reshape(BINS, BINS, BINS), 1.0, (0, 1, 2)).reshape(-1)
    return spread / spread.sum().clamp(min=1e-9)


def weigh_colours(rgb: Tensor, coarse: Tensor) -> Tensor:
    """Correct a coarse alpha by the colours that it found inside and outside, a few times over.

    Args:
        rgb: (h, w, 3) 0..1, the photo at the resolution of the coarse alpha.
        coarse: (h, w) the network's probability of foreground.

    Returns:
        (h, w) probability.

    Reference: the colour models of Rother, Kolmogorov, Blake, "GrabCut", 2004, with histograms instead of mixtures and a blur in place of
    the graph cut.
    """
    bins = (rgb.clamp(0, 1) * (BINS - 1e-3)).long()
    index = ((bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2]).reshape(-1)
    sure = coarse.clamp(SUREST, 1 - SUREST)
    prior, now = torch.log(sure / (1 - sure)), coarse
    for _ in range(PASSES):
        inside, outside = colour_share(index, now.reshape(-1)), colour_share(index, 1 - now.reshape(-1))
        evidence = torch.log((inside + FLOOR) / (outside + FLOOR)).clamp(-LIMIT, LIMIT)[index].reshape(coarse.shape)
        now = torch.sigmoid(prior + STRENGTH * blur(evidence[None], SMOOTHING, (1, 2))[0])
    widened = torch.where((coarse > CONSENT) & (now > 0.5), now, widen_holes(now, evidence))
    return close_holes(widened, coarse)


def widen_holes(alpha: Tensor, evidence: Tensor) -> Tensor:
    """Open holes, such as a handle's, as far as they are filled with the background's colours.

    The network hardly sees them and smoothing closes them at their rims.

    Args:
        alpha: (h, w) probability of foreground.
        evidence: (h, w) log odds of the pixels' own colours.

    Returns:
        (h, w); the holes fall to nearly 0, the rest is unchanged.

    Reference: hysteresis as in Canny, A computational approach to edge detection (1986).
    """
    from scipy.ndimage import binary_fill_holes, label

    ground = (alpha < 0.5).cpu().numpy()
    holes = binary_fill_holes(~ground) & ground
    grown, found = label(holes | (~ground & (evidence < CLEARLY).cpu().numpy()))
    for part in range(1, found + 1):
        place = grown == part
        seed = int((place & holes).sum())
        if seed and int(place.sum()) <= SPREADS * seed:
            alpha = torch.where(torch.from_numpy(place).to(alpha.device), alpha.clamp(max=0.02), alpha)
    return alpha


def close_holes(alpha: Tensor, coarse: Tensor) -> Tensor:
    """Close the holes that colours opened where the network is sure: a white chest before a white wall looks like one.

    Args:
        alpha: (h, w) probability of foreground after the colours.
        coarse: (h, w) before them, the network's.

    Returns:
        (h, w); what is closed is as probable as the network said, the rest is unchanged.
    """
    from scipy.ndimage import binary_fill_holes, label, mean

    ground = (alpha < 0.5).cpu().numpy()
    parts, found = label(binary_fill_holes(~ground) & ground)
    sure = np.concatenate([[False], np.asarray(mean(coarse.cpu().numpy(), parts, np.arange(1, found + 1))) > SOLID])
    return torch.where(torch.from_numpy(sure[parts]).to(alpha.device), coarse, alpha)


def without_scraps(coarse: Tensor, share: float = 0.1) -> Tensor:
    """Drop parts that are far smaller than the largest one.

    Args:
        coarse: (h, w) probability of foreground.
        share: area below which a connected part goes, as a share of the largest part's.

    Returns:
        (h, w); dropped parts fall below one half, the rest is unchanged.
    """
    from scipy.ndimage import label

    parts, count = label((coarse > 0.5).cpu().numpy())
    if count < 2:
        return coarse
    place = torch.from_numpy(parts).to(coarse.device).long()
    area = torch.bincount(place.reshape(-1), minlength=count + 1)
    area[0] = 0
    small = area < share * area.max()
    small[0] = False
    return torch.where(small[place], coarse.clamp(max=0.02), coarse)


def without_doubted_parts(alpha: Tensor, odds: Tensor) -> Tensor:
    """Drop what stands apart from the largest part and was found by its colours alone: another thing of the object's colours.

    Args:
        alpha: (h, w) probability of foreground after the colours.
        odds: (h, w) the network's log odds.

    Returns:
        (h, w); parts of which the network is in doubt fall below one half, the rest is unchanged.
    """
    from scipy.ndimage import label, mean

    parts, count = label((alpha > 0.5).cpu().numpy())
    if count < 2:
        return alpha
    doubted = np.concatenate([[False], np.asarray(mean(odds.cpu().numpy(), parts, np.arange(1, count + 1))) < DOUBTED])
    doubted[1 + int(np.bincount(parts.reshape(-1))[1:].argmax())] = False
    return torch.where(torch.from_numpy(doubted[parts]).to(alpha.device), alpha.clamp(max=0.02), alpha)
