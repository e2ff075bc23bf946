"""A cloud of Gaussians to begin with, and the numbers of one while they are learnt."""

from __future__ import annotations

import math

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from img23d.config import Cloud
from img23d.fields.gaussians import Gaussians, to_harmonics
from img23d.fields.grid import sample_grid, upsample
from img23d.ops.adam import Adam
from img23d.ops.volume import volume_points

OPACITY = 0.9
"""Of a Gaussian that fills a solid."""
INSIDE = 2.0
"""Density inside of a solid that was filled: its surface then is at 1, DreamGaussian's threshold."""
FINEST = 160
"""Sites along each side of the cube, at most; thin objects need many for the same number of Gaussians."""
WHOLE = 0.05
"""Part of a site's cell that must lie in the solid for it to get a Gaussian."""
BALL, BALL_OPACITY = 0.5, 0.1
"""Radius of a random ball, object units, and opacity of its Gaussians; both are DreamGaussian's."""
RATES = {"points": 1e-3, "log_scales": 5e-3, "rotations": 5e-3, "opacity_logits": 5e-2, "harmonics": 1e-2}
"""First learning rates, DreamGaussian's."""
STEPS, FASTEST = 500, 4.0
"""Steps that these rates are for, and how much larger they are at most where there are fewer."""
LAST_RATE = 2e-5
"""Of the centres in DreamGaussian; here of all."""


def filling(sdf: Tensor, color: Tensor, count: int) -> Gaussians:
    """Round Gaussians on a regular lattice that fill a solid, so that their density blurs it by half the lattice's distance.

    Sites at the surface have less opacity, as much as of their cell lies inside: the density has no steps there.

    Args:
        sdf: (D, D, D) signed distance with a solid, object units.
        color: (3, C, C, C) sRGB.
        count: about how many Gaussians.
    """
    volume = 8 * float((sdf < 0).float().mean())
    step = max((volume / count) ** (1 / 3), 2 / (FINEST - 1))
    # Sites in the middle of the cube and outwards: whole distances from 0.
    side = 2 * math.floor(1 / step) + 1
    places = (volume_points(side, sdf) * ((side - 1) / 2 * step)).reshape(-1, 3)
    share = (0.5 - sample_grid(sdf[None], places)[:, 0] / step).clamp(0, 1)
    places, share = places[share > WHOLE], share[share > WHOLE]
    # Gaussians of opacity a, as wide as w times their distance, add up to a w^3 (2 pi)^1.5.
    width = step * (INSIDE / OPACITY) ** (1 / 3) / math.sqrt(2 * math.pi)
    return round_ones(places, torch.full_like(share, width), OPACITY * share, sample_grid(color, places))


def random_ball(count: int, generator: torch.Generator, like: Tensor) -> Gaussians:
    """Grey Gaussians evenly at random in a ball round the origin, as wide as they are apart."""
    ways = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    places = BALL * ways * torch.rand(count, 1, generator=generator) ** (1 / 3)
    apart = cKDTree(places.numpy()).query(places.numpy(), 4)[0][:, 1:]
    width = torch.from_numpy((apart**2).mean(1) ** 0.5).to(places).clamp(min=1e-4)
    cloud = round_ones(places, width, torch.full((count,), BALL_OPACITY), torch.full((count, 3), 0.5))
    return Gaussians(*(value.to(like) for value in vars(cloud).values()))


def round_ones(points: Tensor, width: Tensor, opacity: Tensor, rgb: Tensor) -> Gaussians:
    """Gaussians of one standard deviation (N,) along all axes."""
    upright = points.new_tensor([1.0, 0.0, 0.0, 0.0]).repeat(len(points), 1)
    return Gaussians(points, width.log()[:, None].repeat(1, 3), upright, torch.logit(opacity), to_harmonics(rgb))


def cloud_of(believed: Tensor, color: Tensor, options: Cloud, generator: torch.Generator) -> Gaussians:
    """The cloud to begin with: the prior's solid filled, or a ball where there is none or the options want it.

    Args:
        believed: (D, D, D) signed distance of the prior's solid.
        color: (3, C, C, C) sRGB to begin with.
    """
    if options.fill == "ball" or not bool((believed < 0).any()):
        return random_ball(options.count, generator, believed)
    return filling(upsample(believed[None], max(len(believed), FINEST))[0], color, options.count)


class Learnt:
    """The numbers of a cloud that are learnt, with their optimizer, while Gaussians come and go.

    Args:
        cloud: to begin with.
        steps: of the fit.
    """

    def __init__(self, cloud: Gaussians, steps: int) -> None:
        self.leaves = {name: value.detach().clone().requires_grad_() for name, value in vars(cloud).items()}
        faster = min(max(STEPS / steps, 1.0), FASTEST)
        groups = [{"params": [leaf], "lr": RATES[name] * faster, "eps": 1e-15} for name, leaf in self.leaves.items()]
        self.adam = Adam(groups, (0.9, 0.999), steps, LAST_RATE)

    @property
    def cloud(self) -> Gaussians:
        """As it is now, differentiable."""
        return Gaussians(**self.leaves)

    def replace(self, cloud: Gaussians, origin: Tensor) -> None:
        """Go on with another cloud.

        Args:
            cloud: M Gaussians.
            origin: (M,) int64 which of the present ones each was, -1 for new ones, about whose gradients nothing is remembered.
        """
        old = (origin >= 0)[:, None]
        for group, (name, value) in zip(self.adam.param_groups, vars(cloud).items()):
            before, leaf = self.leaves[name], value.detach().clone().requires_grad_()
            if before in self.adam.averages:
                known = old if leaf.dim() == 2 else old[:, 0]
                first, second = self.adam.averages.pop(before)
                self.adam.averages[leaf] = tuple(torch.where(known, past[origin.clamp(min=0)], 0.0) for past in (first, second))  # type: ignore[assignment]
            self.leaves[name] = leaf
            group["params"] = [leaf]

    def set_opacity(self, logits: Tensor) -> None:
        """Give all Gaussians another opacity, and forget how it changed."""
        leaf = self.leaves["opacity_logits"]
        leaf.data.copy_(logits)
        self.adam.averages.pop(leaf, None)
