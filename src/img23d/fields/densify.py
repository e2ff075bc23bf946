"""Where a cloud of Gaussians grows and what of it goes while it is fitted.

Reference: Kerbl et al., 3D Gaussian Splatting (2023), for the rules; Tang et al., DreamGaussian (2024), for the numbers, of which those
    in object units are at its scale, an object of about unit radius; Rota Bulò et al., Revising Densification in Gaussian Splatting
    (2024), for the opacity of clones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from img23d.fields.gaussians import Gaussians
from img23d.ops.splat import Composite, Footprints, rotation_matrices

LARGE = 0.04
"""Standard deviation from which a Gaussian that pulls is split in two, object units; smaller ones are cloned."""
CHILDREN = 2
SHRINK = 0.8 * CHILDREN
"""What the standard deviations of a split Gaussian's children are divided by."""
FAINT = 0.01
"""Opacity below which a Gaussian goes."""
HUGE = 0.4
"""Standard deviation above which a Gaussian goes, object units."""
RESET = 0.01
"""Opacity at most, after it was reset."""


class Watch:
    """Puts ellipses together as another function does, and learns how strongly each Gaussian is pulled across the pictures.

    Args:
        together: the other function.
        count: Gaussians of the cloud.
        device: where they are.
    """

    def __init__(self, together: Composite, count: int, device: torch.device | str = "cpu") -> None:
        self.together, self.device = together, device
        self.seen: list[tuple[Footprints, float]] = []
        self.forget(count)

    def forget(self, count: int) -> None:
        """Begin anew, with so many Gaussians."""
        self.seen.clear()
        self.total, self.times = (torch.zeros(count, device=self.device) for _ in range(2))

    def __call__(self, seen: Footprints, height: int, width: int) -> tuple[Tensor, Tensor]:
        if seen.center.requires_grad:
            seen.center.retain_grad()
            self.seen.append((seen, width / 2))  # pictures are two units wide here, whatever their pixels
        return self.together(seen, height, width)

    def learn(self) -> None:
        """Take in the gradients of the pictures since the last time."""
        for seen, half in self.seen:
            if seen.center.grad is not None:
                self.total[seen.owner] += seen.center.grad.norm(dim=1) * half  # no Gaussian is twice in a picture
                self.times[seen.owner] += 1
        self.seen.clear()

    @property
    def pull(self) -> Tensor:
        """(N,) mean length of the loss's gradient along the picture, of the pictures in which a Gaussian was seen."""
        return self.total / self.times.clamp(min=1)


@torch.no_grad()
def densified(
    cloud: Gaussians, pull: Tensor, least: float, room: int, generator: torch.Generator
) -> tuple[Gaussians, Tensor]:  # fmt: skip
    """Clone small Gaussians that are pulled, split large ones, and drop those that are too faint or too large.

    Args:
        cloud: N Gaussians.
        pull: (N,) from `Watch.pull`.
        least: pull from which a Gaussian counts.
        room: how many may be added; those that are pulled most go first.
        generator: of the children's places; on the CPU.

    Returns:
        M Gaussians and (M,) int64 which of the N each was, -1 for new ones. A clone and its original have the opacity that makes both
        together as opaque as the one was, so that the picture stays; the paper leaves it, and the picture darkens.
    """
    chosen = pull >= least
    if int(chosen.sum()) > room:
        first = torch.where(chosen, pull, -1.0).argsort(descending=True, stable=True)[:room]
        chosen = torch.zeros_like(chosen).index_fill_(0, first, True)
    large = cloud.scales.amax(1) > LARGE
    split, cloned = chosen & large, chosen & ~large
    halved = torch.logit(1 - (1 - cloud.opacity).sqrt(), 1e-6)
    alone = Gaussians(
        cloud.points, cloud.log_scales, cloud.rotations, torch.where(cloned, halved, cloud.opacity_logits), cloud.harmonics
    )  # fmt: skip
    stayed = (~split).nonzero()[:, 0]
    parts = [alone[stayed], alone[cloned], children(cloud[split], generator)]
    grown = Gaussians(*(torch.cat(values) for values in zip(*(vars(part).values() for part in parts))))
    origin = torch.cat([stayed, stayed.new_full((len(grown) - len(stayed),), -1)])
    good = kept(grown)
    return grown[good], origin[good]


def children(cloud: Gaussians, generator: torch.Generator) -> Gaussians:
    """`CHILDREN` smaller Gaussians for each, at random places in it."""
    apart = torch.randn(CHILDREN, len(cloud), 3, generator=generator).to(cloud.points)
    offset = torch.einsum("nij,cnj->cni", rotation_matrices(cloud.rotations), apart * cloud.scales)
    parts: dict[str, Any] = {name: value.repeat(CHILDREN, *(1,) * (value.dim() - 1)) for name, value in vars(cloud).items()}
    parts["points"] = (cloud.points + offset).reshape(-1, 3)
    parts["log_scales"] = (cloud.scales / SHRINK).log().repeat(CHILDREN, 1)
    return Gaussians(**parts)


def kept(cloud: Gaussians) -> Tensor:
    """(N,) bool: neither too faint nor too large."""
    return (cloud.opacity >= FAINT) & (cloud.scales.amax(1) <= HUGE)


def reset(opacity_logits: Tensor) -> Tensor:
    """(N,) with opacity no more than `RESET`: what the pictures need grows again, the rest is dropped for being faint."""
    # A little above, so that rounding does not drop all of them at once.
    return opacity_logits.clamp(max=float(torch.logit(torch.tensor(RESET * 1.001))))
