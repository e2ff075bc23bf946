"""What a smooth backdrop tells of a coarse cut-out: there is a step in colour on every way from it to the object."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img23d.ops.crop import spread
from img23d.priors.foreground_closer import resized

OUTSIDE, SURELY = 0.1, 0.02  # probabilities of foreground below which a pixel is background, and certainly so
LEAST_AREA, LEAST_FRAME = 0.1, 0.2  # shares of the picture, and of its frame, that must be background
LARGEST = 320  # pixels of the longest side of what is looked at
NOISE = 0.7  # pixels: finer things are noise
SWEEPS = 2  # of the search, there and back
USUAL = 0.6  # share of the background that is told from it by no more than its usual steps
LEAST_LIGHT, LEAST_COLOUR = 0.015, 0.01  # such steps of the smoothest backdrops, in lightness and in colour
PLAIN = 0.09  # sum of both from which a backdrop tells nothing
SMOOTH = 0.06  # the same sum up to which what is seen through a hole is known
CLOSED, OPENED = 0.98, 0.02  # probabilities of what false and true holes show
BUSY = (0.02, 0.06)  # share of what is certainly background that looks like an object: below, all is believed, above, nothing
FOR, AGAINST = 4.0, 1.0  # log odds for the object where all steps are large, and against it where there is none
ALIKE = 0.08  # distance in RGB within which a pixel looks like the backdrop about it, as in the hole of a handle
SHADOW = 0.1  # the same but for its lightness, where it is darker
AROUND = 2  # pixels about what may be the object whose colours are not the backdrop's own
SEEN_THROUGH = 0.3  # share of a hole that must look like a smooth backdrop, or it is none
LEAST_HOLE = 6  # pixels: smaller ones are left to others
EVEN, EVEN_FRAME = 1.5 / 255, 0.5  # within this all of a backdrop is of one colour that no camera made, if so much of the frame is
LARGE_HOLE = 0.004  # share of the picture: smaller parts of that colour in the object are white eyes and highlights
DOUBTED = 0.95  # mean probability in them from which white is the object's own
BLUR = 8.0  # pixels over which the backdrop's colours are carried on
LIGHTNESS, RED, BLUE = np.array([0.299, 0.587, 0.114], np.float32), 0.713, 0.564  # of ITU-R BT.601


class Steps(NamedTuple):
    """The least step on any way to the frame's background, (H, W) each."""

    light: np.ndarray
    colour: np.ndarray


def backdrop_evidence(rgb: Tensor, coarse: Tensor) -> Tensor:
    """Log odds to be added to the network's, where what it takes for background is a smooth backdrop; 0 before all others.

    Parts of the object that the network hardly sees are found by this, as long as they hang together with what it sees, and are neither
    like the backdrop, as what is seen through holes, nor only darker, as shadows are.

    Args:
        rgb: (H, W, 3) 0..1.
        coarse: (H, W) the network's probability of foreground.

    Returns:
        (H, W), of a mirror image its mirror image.
    """
    height, width = coarse.shape
    scale = min(1.0, LARGEST / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    red, green, blue, chance = (resized(plane, *size).cpu().numpy() for plane in (*rgb.unbind(-1), coarse))
    picture = np.stack([red, green, blue], -1)
    # Scans find other ways from the left than from the right, and of two pixels as near one comes first.
    both = evidence_of(picture, chance), evidence_of(picture[:, ::-1], chance[:, ::-1])[:, ::-1]
    return resized(torch.from_numpy((both[0] + both[1]) / 2).to(coarse), height, width)


def evidence_of(rgb: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """As `backdrop_evidence`, looked at from one side."""
    from scipy.ndimage import binary_propagation, gaussian_filter, grey_erosion

    outside, surely, frame = chance < OUTSIDE, chance < SURELY, frame_of(chance)
    if outside.mean() < LEAST_AREA or outside[frame].mean() < LEAST_FRAME or not surely.any():
        return np.zeros_like(chance)
    picture = gaussian_filter(rgb, (NOISE, NOISE, 0))
    steps = steps_to(picture, frame & outside)
    light, colour = (float(np.quantile(part[outside], USUAL)) for part in steps)
    plain = 1 - (light + colour) / PLAIN
    if plain <= 0:
        return np.zeros_like(chance)
    light, colour = max(light, LEAST_LIGHT), max(colour, LEAST_COLOUR)
    large = np.maximum((steps.light - light) / (2 * light + 0.02), (steps.colour - colour) / (2 * colour + 0.02)).clip(0, 1)
    large[like_backdrop(picture, outside)] = 0
    odd = float((FOR * plain * large[surely] > 0.5).mean())
    plain *= min(max((BUSY[1] - odd) / (BUSY[1] - BUSY[0]), 0.0), 1.0)
    large[~binary_propagation(chance > 0.5, mask=(large > 0.3) | (chance > 0.5))] = 0
    large = grey_erosion(large, 3)  # pixels of an edge are mixed: where it runs the network and the colours know better
    none = (steps.light < light) & (steps.colour < colour)
    return (plain * np.where(none, -AGAINST, FOR * large)).astype(chance.dtype)


def without_false_holes(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Close holes through which a smooth backdrop would be seen, but is not: a petal or a white chest that was taken for one.

    Args:
        rgb: (H, W, 3) 0..1.
        alpha: (H, W) probability of foreground.

    Returns:
        (H, W); what is closed is foreground for sure, the rest is unchanged.
    """
    from scipy.ndimage import binary_fill_holes, gaussian_filter, label, mean

    ground = (alpha < 0.5).cpu().numpy()
    holes, found = label(binary_fill_holes(~ground) & ground)
    sizes = np.bincount(holes.reshape(-1), minlength=found + 1)
    if not (sizes[1:] >= LEAST_HOLE).any() or ground.mean() < LEAST_AREA:
        return alpha
    picture = gaussian_filter(rgb.cpu().numpy(), (NOISE, NOISE, 0))
    outside, frame = ground & (holes == 0), frame_of(ground)
    if outside[frame].mean() < LEAST_FRAME:
        return alpha
    steps = steps_to(picture, frame & outside)
    if sum(float(np.quantile(part[outside], USUAL)) for part in steps) > SMOOTH:
        return alpha
    like = like_backdrop(picture, outside).astype(np.float32)
    closed = np.asarray(mean(like, holes, np.arange(found + 1))) < SEEN_THROUGH
    closed &= sizes >= LEAST_HOLE
    closed[0] = False
    return torch.where(torch.from_numpy(closed[holes]).to(alpha.device), alpha.clamp(min=CLOSED), alpha)


def with_even_holes(rgb: Tensor, alpha: Tensor, coarse: Tensor) -> Tensor:
    """Open what inside the object has exactly the colour of a backdrop that is all of one, as the white of shops' pictures.

    Args:
        rgb: (H, W, 3) 0..1.
        alpha: (H, W) probability of foreground.
        coarse: (H, W) the network's own: where it is sure of the object, white is white.

    Returns:
        (H, W); what is opened is background, the rest is unchanged.
    """
    from scipy.ndimage import label, mean

    picture, frame = rgb.cpu().numpy(), frame_of(alpha)
    backdrop = np.median(picture[frame], 0)
    same = np.abs(picture - backdrop).max(-1) < EVEN
    if same[frame].mean() < EVEN_FRAME:
        return alpha
    parts, found = label(same)
    open_ = np.bincount(parts.reshape(-1), minlength=found + 1) >= LARGE_HOLE * same.size
    open_ &= np.asarray(mean(coarse.cpu().numpy(), parts, np.arange(found + 1))) < DOUBTED
    open_[parts[frame]] = False  # what hangs together with the frame is left to others
    open_[0] = False
    return torch.where(torch.from_numpy(open_[parts]).to(alpha.device), alpha.clamp(max=OPENED), alpha)


def frame_of(plane: np.ndarray | Tensor) -> np.ndarray:
    """(H, W) bool: the outermost pixels of a plane (H, W)."""
    frame = np.ones(plane.shape, bool)
    frame[1:-1, 1:-1] = False
    return frame


def steps_to(picture: np.ndarray, seeds: np.ndarray) -> Steps:
    """How large a step lies between each pixel of a picture (H, W, 3) and the seeds (H, W)."""
    from img23d.priors.barrier_compiled import barrier_distance

    light = picture @ LIGHTNESS
    planes = (light, RED * (picture[..., 0] - light), BLUE * (picture[..., 2] - light))
    first, *others = (barrier_distance(np.ascontiguousarray(plane), seeds, SWEEPS) for plane in planes)
    return Steps(first, np.maximum(*others))


def like_backdrop(picture: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """(H, W) bool: whether a pixel has the colours of the backdrop about it, or that in shadow."""
    from scipy.ndimage import binary_erosion, gaussian_filter

    clear = binary_erosion(outside, iterations=AROUND, border_value=1)
    if not clear.any():
        clear = outside
    nearest = spread(torch.from_numpy(picture), torch.from_numpy(clear)).numpy()
    behind = gaussian_filter(nearest, (BLUR, BLUR, 0))
    share = (picture * behind).sum(-1) / (behind * behind).sum(-1).clip(1e-4)
    tinted = np.linalg.norm(picture - share[..., None] * behind, axis=-1)
    return (np.linalg.norm(picture - behind, axis=-1) < ALIKE) | ((share < 1) & (tinted < SHADOW))
