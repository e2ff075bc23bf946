"""What all creatures share: hides and eyes."""

from __future__ import annotations

import numpy as np

from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import ellipsoid
from img23d.training.textures import Paint, cells, mottled, patches, plain, random_paint, stripes


def hide(rng: np.random.Generator) -> Paint:
    """Fur, skin, scales or plush."""
    kind = rng.integers(6)
    return (mottled, mottled, patches, cells, stripes, random_paint)[kind](rng)


def eyes(rng: np.random.Generator, place: np.ndarray, radius: float) -> list[Part]:
    """A pair of eyes, mirrored across x = 0."""
    white = rng.random() < 0.4
    dark = ellipsoid([radius * (0.6 if white else 1.0)] * 3, plain(np.full(3, 15.0)), segments=12)
    out = []
    for side in (-1, 1):
        x, y, z = side * place[0], place[1], place[2]
        if white:
            out.append(ellipsoid([radius] * 3, plain(np.full(3, 240.0)), segments=12).moved(x, y, z))
        out.append(dark.moved(x + side * radius * 0.3 * white, y, z + radius * 0.55 * white))
    return out
