"""A generator of household objects and toys: every seed is another textured solid with a name in plain words."""

from __future__ import annotations

import numpy as np

from img23d.training.objects import TrainingObject
from img23d.training.procedural.cartons import package
from img23d.training.procedural.containers import container
from img23d.training.procedural.creatures import creature
from img23d.training.procedural.devices import device
from img23d.training.procedural.footwear import wearable
from img23d.training.procedural.furniture import piece
from img23d.training.procedural.garden import growth
from img23d.training.procedural.parts import assemble
from img23d.training.procedural.solids import solid
from img23d.training.procedural.tools import tool
from img23d.training.procedural.vehicles import vehicle
from img23d.training.procedural.vessels import vessel

FAMILIES = {
    "vessel": (vessel, 0.13),
    "creature": (creature, 0.22),
    "vehicle": (vehicle, 0.07),
    "tool": (tool, 0.09),
    "furniture": (piece, 0.06),
    "package": (package, 0.07),
    "wearable": (wearable, 0.24),
    "container": (container, 0.06),
    "growth": (growth, 0.05),
    "device": (device, 0.04),
    "solid": (solid, 0.03),
}


def random_object(rng: np.random.Generator) -> TrainingObject:
    """An object of a random family.

    Args:
        rng: the only source of chance; the same state gives the same object.

    Returns:
        at most 10,000 faces, +Y up, front towards +Z, bounding box centred, longest side 1.
    """
    names, weights = list(FAMILIES), np.array([weight for _, weight in FAMILIES.values()])
    return object_of(names[rng.choice(len(names), p=weights / weights.sum())], rng)


def object_of(family: str, rng: np.random.Generator) -> TrainingObject:
    """An object of a named family; see `random_object`.

    Raises:
        ValueError: there is no such family.
    """
    if family not in FAMILIES:
        raise ValueError(f"no family {family!r}; there are {', '.join(FAMILIES)}")
    return assemble(FAMILIES[family][0](rng))
