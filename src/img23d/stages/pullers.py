"""Pullers: diffusion models as guidance sees them, each with what it has been told of the object.

Reference: Qian et al., Magic123 (2024) for a model that knows the photo and one that knows words; Shi et al., MVDream (2024) for one
    that sees four sides at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.mvdream import TOGETHER, told_cameras
from img23d.backends.zero123 import Turn
from img23d.scene.cameras import orbit_degrees
from img23d.scores.directions import SIDES, mixed_sides, side_of, without_unwanted
from img23d.scores.distillation import Against
from img23d.scores.rescaling import rescaled
from img23d.scores.samplers import guided
from img23d.scores.schedule import NoiseSchedule, noise_schedule
from img23d.stages.imagine import Side


class Puller(Protocol):
    """A diffusion model, and what it has been told of the object."""

    @property
    def model(self) -> Any:
        """The network, with ``betas``, ``latents`` and ``pictures``; see `img23d.backends.zero123`."""
        ...

    @property
    def size(self) -> int:
        """Pixels along each side of what it looks at."""
        ...

    @property
    def sees(self) -> Literal["colors", "normals"]:
        """What it is shown, where there is a choice."""
        ...

    @property
    def against(self) -> Against:
        """What its pull is measured by; see `img23d.scores.distillation`."""
        ...

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        """The guided noise in latents (B, C, h, w), each seen from its side."""
        ...


@dataclass(frozen=True)
class ByView:
    """A model that knows the photo: `img23d.backends.zero123`."""

    model: Any
    known: Any
    photo: Side
    scale: float
    size: int
    sees: Literal["colors", "normals"] = "colors"
    rescale: float = 0.0
    against: Against = "noise"

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        turns = [Turn(side.azimuth - self.photo.azimuth, side.elevation - self.photo.elevation, self.photo.elevation) for side in sides]
        nothing, told = self.model.noise(noisy, step, self.known, turns)
        return rescaled(guided(nothing, told, self.scale), told, noisy, schedule_of(self.model), step, self.rescale)

    def likeness(self, pictures: Tensor) -> float:
        """How much pictures (B, S, S, 3) mean the same as the photo: the mean cosine, 1 at most."""
        return float(F.cosine_similarity(self.model.meaning(pictures).float(), self.known.meaning.float(), dim=-1).mean())


@dataclass(frozen=True)
class ByText:
    """A model that knows words, `img23d.backends.stable_diffusion`, and is told which side it sees.

    Args:
        model: the network.
        nothing: (1, L, C) the negative prompt.
        told: (4, L, C) the prompt for each of `img23d.scores.directions.SIDES`.
        scale: of the guidance.
        perpendicular: whether it is told which sides are not to be seen too.
        sees: what refine shows it.
        rescale: how much of the contrast that guidance adds is taken back; see `img23d.scores.rescaling`.
        against: what its pull is measured by.
    """

    model: Any
    nothing: Tensor
    told: Tensor
    scale: float
    perpendicular: bool
    sees: Literal["colors", "normals"]
    rescale: float = 0.0
    against: Against = "noise"

    @property
    def size(self) -> int:
        return self.model.picture  # type: ignore[no-any-return]

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        found = [self.noise_of(noisy[number : number + 1], step, side) for number, side in enumerate(sides)]
        noise, told = (torch.cat(part) for part in zip(*found))
        return rescaled(noise, told, noisy, schedule_of(self.model), step, self.rescale)

    def noise_of(self, noisy: Tensor, step: int, side: Side) -> tuple[Tensor, Tensor]:
        """(1, C, h, w) for one side: guided, and only told what is wanted."""
        number = side_of(*side)
        if not self.perpendicular or number == SIDES.index("overhead"):  # overhead is no mixture of the other sides
            nothing, told = self.seen(noisy, step, self.told[number : number + 1])
            return guided(nothing, told, self.scale), told
        share, unwanted = mixed_sides(side.azimuth)
        wanted = (share.to(self.told)[:, None, None] * self.told).sum(0, keepdim=True)
        others = [self.told[other : other + 1] for other, weight in unwanted if weight < 0]
        nothing, towards, *away = self.seen(noisy, step, wanted, *others)
        weights = [weight for _, weight in unwanted if weight < 0]
        return without_unwanted(nothing[0], towards[0], [(a[0], w) for a, w in zip(away, weights)], self.scale)[None], towards

    def seen(self, noisy: Tensor, step: int, *told: Tensor) -> tuple[Tensor, ...]:
        """(1, C, h, w) noise, told nothing and told each of these."""
        context = torch.cat([self.nothing, *told])
        return self.model.noise(noisy.expand(len(context), -1, -1, -1), step, context).split(1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ByGroup:
    """A model that knows words and sees four sides at once, `img23d.backends.mvdream`, or the photo too, `img23d.backends.imagedream`.

    Args:
        model: the network.
        nothing: (1, L, C) the negative prompt.
        told: (1, L, C) the prompt, the same for each side, since the network is told the cameras.
        scale: of the guidance.
        rescale: how much of the contrast that guidance adds is taken back, over each four.
        against: what its pull is measured by.
        known: the photo as the model sees it, of one that is told of it.
        sees: colours; it was trained on nothing else.
    """

    model: Any
    nothing: Tensor
    told: Tensor
    scale: float
    rescale: float
    against: Against
    known: Any = None
    sees: Literal["colors", "normals"] = "colors"

    @property
    def size(self) -> int:
        return self.model.picture  # type: ignore[no-any-return]

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        """Sides are neighbours by fours, as `img23d.stages.guide.Guide.sides` draws them."""
        cameras = told_cameras(orbit_degrees([s.azimuth for s in sides], [s.elevation for s in sides], 1.0, 40.0))
        context = torch.cat([words.expand(len(sides), -1, -1) for words in (self.nothing, self.told)])
        photo = () if self.known is None else (self.known,)
        both = self.model.noise(torch.cat([noisy, noisy]), step, context, torch.cat([cameras, cameras]), *photo)
        nothing, told = both.chunk(2)
        noise = guided(nothing, told, self.scale)
        return rescaled(noise, told, noisy, schedule_of(self.model), step, self.rescale, TOGETHER)


def schedule_of(model: Any) -> NoiseSchedule:
    """The noise that a model was trained with."""
    return noise_schedule(*model.betas)
