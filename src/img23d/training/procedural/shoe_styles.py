"""Proportions of shoes: trainers, high-tops, boots, loafers, court shoes and slippers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Style:
    """Proportions of a shoe that is 1 long.

    Args:
        wide: width of the foot.
        sole: thickness of the sole.
        flare: by how much the sole is larger than the upper.
        rise: by how much the heel stands higher than the toes.
        spring: by how much the tip of the toes is lifted.
        collar: height of the opening's edge above the sole, at the ankle.
        back: how much higher it is at the heel.
        tongue: how much higher it is in front.
        opening: (2,) where the opening begins and ends along the shoe.
        mouth: width of the opening over that of the foot.
        toe: height of the toe box over that of the opening's front edge.
        pointed: 0 for a round toe, 1 for a pointed one.
        shaft: height of a boot's leg above the collar.
        wall: thickness of the upper.
        laces: rows of them; 0 for none.
        strap: straps across.
        wedge: whether the sole fills what is under a high heel.
    """

    wide: float = 0.37
    sole: float = 0.06
    flare: float = 1.04
    rise: float = 0.0
    spring: float = 0.03
    collar: float = 0.22
    back: float = 0.03
    tongue: float = 0.05
    opening: tuple[float, float] = (-0.46, 0.02)
    mouth: float = 0.62
    toe: float = 0.5
    pointed: float = 0.2
    shaft: float = 0.0
    wall: float = 0.025
    laces: int = 0
    strap: int = 0
    wedge: bool = False


def some(rng: np.random.Generator, share: float, low: float, high: float) -> float:
    """A number between ``low`` and ``high`` in some cases, else 0."""
    value = rng.uniform(low, high)
    return float(value) if rng.random() < share else 0.0


def trainer(rng: np.random.Generator, style: Style) -> Style:
    """A low sports shoe."""
    style = replace(style, sole=rng.uniform(0.05, 0.13), flare=rng.uniform(1.0, 1.12), rise=rng.uniform(0, 0.05))
    style = replace(style, collar=rng.uniform(0.17, 0.25), back=rng.uniform(0.0, 0.1), tongue=rng.uniform(0.04, 0.14))
    laces = int(rng.integers(4, 7)) if rng.random() < 0.8 else 0
    return replace(style, opening=(-0.46, rng.uniform(-0.06, 0.06)), laces=laces, strap=int(rng.integers(0, 4)))


def high_top(rng: np.random.Generator, style: Style) -> Style:
    """A laced shoe that covers the ankle."""
    style = replace(style, collar=rng.uniform(0.36, 0.55), back=rng.uniform(-0.02, 0.06), tongue=rng.uniform(0.0, 0.1))
    style = replace(style, mouth=rng.uniform(0.6, 0.75), toe=rng.uniform(0.25, 0.4), laces=int(rng.integers(5, 9)))
    return replace(style, opening=(-0.47, rng.uniform(-0.08, 0.0)))


def boot(rng: np.random.Generator, style: Style) -> Style:
    """A boot with a leg, flat or with a heel."""
    style = replace(style, collar=0.36, back=0.0, tongue=0.0, shaft=rng.uniform(0.02, 0.9), mouth=rng.uniform(0.68, 0.9))
    style = replace(style, sole=rng.uniform(0.03, 0.12), rise=some(rng, 0.5, 0.02, 0.25), toe=rng.uniform(0.3, 0.45))
    return replace(style, opening=(-0.46, rng.uniform(-0.14, -0.04)), laces=int(rng.choice([0, 0, 7])))


def loafer(rng: np.random.Generator, style: Style) -> Style:
    """A loafer, boat shoe or laced walking shoe."""
    style = replace(style, collar=rng.uniform(0.14, 0.2), back=rng.uniform(0.0, 0.06), tongue=rng.uniform(0.02, 0.09))
    style = replace(style, mouth=rng.uniform(0.62, 0.8), rise=rng.uniform(0, 0.04), strap=int(rng.integers(0, 2)))
    return replace(style, opening=(-0.47, rng.uniform(0.02, 0.16)), laces=int(rng.choice([0, 2, 3])))


def court_shoe(rng: np.random.Generator, style: Style) -> Style:
    """A pump or ballet flat, on a heel, a wedge or neither."""
    style = replace(style, wide=rng.uniform(0.28, 0.36), sole=rng.uniform(0.012, 0.04), pointed=rng.uniform(0.1, 1.0))
    style = replace(style, collar=rng.uniform(0.1, 0.16), back=rng.uniform(0.02, 0.09), tongue=rng.uniform(-0.03, 0.0))
    style = replace(style, rise=some(rng, 0.5, 0.05, 0.4), wedge=bool(rng.random() < 0.3), strap=int(rng.choice([0, 0, 1])))
    return replace(style, opening=(-0.475, rng.uniform(0.18, 0.32)), mouth=rng.uniform(0.75, 0.92), wall=rng.uniform(0.014, 0.025))


def slipper(rng: np.random.Generator, style: Style) -> Style:
    """A slipper, clog or mule, now and then open at the heel."""
    style = replace(style, wide=rng.uniform(0.36, 0.46), sole=rng.uniform(0.03, 0.09), mouth=rng.uniform(0.7, 0.9))
    style = replace(style, collar=rng.uniform(0.12, 0.2), back=rng.uniform(-0.18, 0.02), tongue=rng.uniform(0.0, 0.06))
    return replace(style, opening=(rng.uniform(-0.49, -0.44), rng.uniform(-0.02, 0.16)))


KINDS: tuple[Callable[[np.random.Generator, Style], Style], ...] = (trainer, high_top, boot, loafer, court_shoe, slipper)
SHARES = (0.36, 0.12, 0.14, 0.16, 0.12, 0.1)


def random_style(rng: np.random.Generator) -> Style:
    """Proportions of any shoe."""
    style = Style(
        wide=rng.uniform(0.32, 0.42), sole=rng.uniform(0.03, 0.08), flare=rng.uniform(1.0, 1.08), spring=rng.uniform(0.0, 0.07),
        wall=rng.uniform(0.018, 0.04), pointed=rng.uniform(0, 0.6), toe=rng.uniform(0.42, 0.65),
    )  # fmt: skip
    return KINDS[rng.choice(len(KINDS), p=SHARES)](rng, style)
