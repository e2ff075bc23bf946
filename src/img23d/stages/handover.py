"""Handover: the model that knows the photo pulls alone until the shape has settled; then the one that knows words takes over, bit by bit.

Reference: Lin et al., Consistent123: One Image to Highly Consistent 3D Asset Using Case-Aware Diffusion Priors (2024); the numbers are
    those of its published code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

EARLIEST, LATEST = 0.4, 0.7  # shares of fit's steps between which the shape settles
EVERY = 21 / 5000  # of fit's steps: how often one looks whether it has
LOOKS = 5  # changes from look to look whose mean tells
SETTLED = 2.5e-4  # mean relative change of the likeness
LEAST = 1e-5  # weight of a model that has handed all over

LAWS: dict[str, Callable[[float], float]] = {
    "exponential": lambda done: 1 - math.exp(-done),  # ends at .63: both models pull to the end
    "linear": lambda done: done,
    "logarithmic": lambda done: math.log2(done + 1),
}


@dataclass
class Handover:
    """How far one model has handed over to the other, through fit and refine.

    Args:
        law: of the share over time, one of `LAWS`.
        fit_steps, refine_steps: of the two stages.
        settled: share of fit's steps that were done when the shape had settled; None while it has not.
        refining: whether this is refine, where nobody looks any more.
        looks: likenesses so far.
    """

    law: Literal["exponential", "linear", "logarithmic"]
    fit_steps: int
    refine_steps: int
    settled: float | None = None
    refining: bool = False
    looks: list[float] = field(default_factory=list)

    def weights(self, now: float, likeness: Callable[[], float]) -> tuple[float, float]:
        """What the pulls of the view model and of the text model are multiplied by.

        Args:
            now: share of the stage's steps that are done.
            likeness: how much the object, seen from all sides, is like the photo; asked for only where it matters.
        """
        if not self.refining and self.settled is None:
            self.watch(now, likeness)
        if self.settled is None and not self.refining:
            return 1.0, 0.0
        begun = (LATEST if self.settled is None else self.settled) * self.fit_steps
        done = self.fit_steps + now * self.refine_steps if self.refining else now * self.fit_steps
        share = LAWS[self.law](min(1.0, max(0.0, (done - begun) / max(1.0, self.fit_steps + self.refine_steps - begun))))
        return 1 - (1 - LEAST) * share, LEAST + (1 - LEAST) * share

    def watch(self, now: float, likeness: Callable[[], float]) -> None:
        """Look whether the shape has settled, if it is time to."""
        if now > LATEST:
            self.settled = LATEST
        elif now >= EARLIEST + len(self.looks) * EVERY:
            self.looks.append(likeness())
            last = self.looks[-LOOKS - 1 :]
            changes = [(after - before) / before for before, after in itertools.pairwise(last)]
            if len(changes) == LOOKS and abs(sum(changes)) / LOOKS < SETTLED:
                self.settled = now
