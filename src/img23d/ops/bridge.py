"""Parts of a fitted solid that have come off, such as lower legs, tied to it again where the guess had them together."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor

LEAST = 3  # samples: smaller parts are noise
LONGEST = 10.0  # samples: wider gaps are left
THICKNESS = 1.0  # samples by which a way through the bridge may be longer than the shortest
BELIEVED = 1.0  # samples from the guessed solid within which a bridge may run
DEEP = 0.75  # samples below the surface that the bridge's own lie


def bridged(sdf: Tensor, guess: Tensor, step: float) -> Tensor:
    """Tie parts to the largest one, the nearest first.

    Args:
        sdf: (D, D, D) signed distance, negative inside, object units.
        guess: (D, D, D) signed distance of the guessed solid.
        step: between samples, object units.

    Returns:
        (D, D, D) the signed distance with bridges; unchanged where the solid is in one piece or gaps are wide or not in the guess.
    """
    inside, near_guess = (sdf < 0).cpu().numpy(), (guess < BELIEVED * step).cpu().numpy()
    bridges = np.zeros_like(inside)
    while True:
        parts, count = label(inside)
        sizes = np.bincount(parts.reshape(-1))[1:]
        if count < 2:
            break
        main = parts == 1 + int(sizes.argmax())
        away = distance_transform_edt(~main)
        others = [part for part in range(1, count + 1) if sizes[part - 1] >= LEAST and part != 1 + int(sizes.argmax())]
        gaps = {part: float(away[parts == part].min()) for part in others}
        ways = (_way(parts == part, main, away, gaps[part], near_guess) for part in sorted(others, key=gaps.__getitem__))
        found = next((way for way in ways if way is not None), None)
        if found is None:
            break
        bridges |= found
        inside |= found
    return torch.where(torch.from_numpy(bridges).to(sdf.device), sdf.clamp(max=-DEEP * step), sdf)


def _way(part: np.ndarray, main: np.ndarray, away: np.ndarray, gap: float, allowed: np.ndarray) -> np.ndarray | None:
    """The samples between a part and the main one; None where the gap is too wide or what is allowed does not lead across."""
    if gap > LONGEST:
        return None
    way = (away + distance_transform_edt(~part) <= gap + THICKNESS) & allowed & ~main & ~part
    together = label(way | main | part)[0]
    return way if together[part][0] == together[main][0] else None
