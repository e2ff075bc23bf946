"""What all vehicles share: paints and glass."""

from __future__ import annotations

import numpy as np

from img23d.training.textures import Paint, decal, plain, random_color, random_paint


def body_paint(rng: np.random.Generator) -> Paint:
    """A bright lacquer, sometimes with a decal or a pattern."""
    paint = plain(random_color(rng, 0.75)) if rng.random() < 0.75 else random_paint(rng)
    return decal(rng, paint) if rng.random() < 0.35 else paint


def window_paint(rng: np.random.Generator) -> Paint:
    """Dark or bluish glass."""
    return plain(np.array([40.0, 50, 62]) * rng.uniform(0.5, 3.2))
