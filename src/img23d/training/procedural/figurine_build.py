"""The measures that all parts of a figurine follow."""
# ruff: noqa: RUF005 (vectors are added here, not lists)

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SKIN, BODY, HAIR, TRIM = range(4)  # paints of a figurine


class Build(NamedTuple):
    """How large what is and where; the feet stand at y = 0."""

    skull: float  # radius of the head
    wide: float  # of the head, over its height
    head: np.ndarray  # (3,) its centre
    neck: np.ndarray  # (3,) where the body ends
    hip: np.ndarray  # (3,)
    belly: float  # radius of the body
    leg: float  # its length
    thick: float  # radius of the limbs


def random_build(rng: np.random.Generator) -> Build:
    """Proportions from those of a doll to those of a ball with feet."""
    skull, wide = rng.uniform(0.17, 0.36), rng.uniform(0.95, 1.3)
    leg, body = rng.choice([rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.34)]), rng.uniform(0.16, 0.42)
    belly = min(rng.uniform(0.5, 1.0) * skull, 0.75 * body)
    neck = np.array([0, leg + body, 0.0])
    head = neck + [0, skull * rng.uniform(0.7, 0.95), rng.uniform(-0.02, 0.06)]
    return Build(skull, wide, head, neck, np.array([0, leg + belly * 0.8, 0.0]), belly, leg, rng.uniform(0.28, 0.5) * belly)
