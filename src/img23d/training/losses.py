"""What the embedded shape network is asked to get right."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from img23d.priors.network import ROLL_SPREAD, Answer


class Truth(NamedTuple):
    """Targets of B samples, in the shapes of `Answer`."""

    volume: Tensor  # (B, D, h, w) signed distance over the truncation, -1..1
    depth: Tensor  # (B, 2, S, S)
    normal: Tensor  # (B, 3, S, S)
    back_rgb: Tensor  # (B, 3, S, S)
    hit: Tensor  # (B, 1, S, S) 0 or 1
    pose: Tensor  # (B, 3)


class Weights(NamedTuple):
    """How much each part counts."""

    volume: float = 8.0
    sign: float = 0.0
    depth: float = 0.5
    normal: float = 0.4
    back_rgb: float = 0.2
    pose: float = 0.1
    roll: float = 0.03


class _VolumeLoss(torch.autograd.Function):
    """As `volume_loss`, with the gradient found in the same pass: written as torch operations it would cost as much as the network."""

    @staticmethod
    def forward(ctx, answer: Tensor, truth: Tensor, quantile: float) -> Tensor:  # type: ignore[override]
        # Outside of -1..1 an answer counts unless the truth is beyond the truncation on the same side.
        error = torch.where(truth.abs() < 1.0, answer, answer.clamp(-1.0, 1.0)).sub_(truth)
        slope = torch.where(error > 0, 2.0 - 2.0 * quantile, -2.0 * quantile).mul_(error != 0)
        ctx.save_for_backward(slope)
        return (error * slope).mean()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (slope,) = ctx.saved_tensors
        return slope * (gradient / slope.numel()), None, None


def volume_loss(answer: Tensor, truth: Tensor, quantile: float = 0.35) -> Tensor:
    """Mean pinball error of a truncated distance: beyond the truncation only the side counts.

    With the quantile one half this is the mean absolute error, and what is more likely outside than inside is outside: where the network
    is unsure, its solids come out too thin. The overlap of solids is largest when what is inside with a third of the chances counts as in.

    Args:
        answer: (B, D, h, w) not clamped.
        truth: (B, D, h, w) within -1..1.
        quantile: of the distance's distribution that is asked for, 0..1.

    Reference:
        Koenker and Bassett, Regression quantiles (1978); Lipton et al., Optimal thresholding of classifiers to maximize F1 (2014).
    """
    return _VolumeLoss.apply(answer, truth, quantile)


def sign_loss(answer: Tensor, truth: Tensor, sharpness: float = 4.0) -> Tensor:
    """Cross-entropy of inside against outside, from the distance as logit."""
    return torch.nn.functional.binary_cross_entropy_with_logits(-sharpness * answer, (truth < 0).to(answer.dtype))


def laplace(error: Tensor, log_scale: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of the negative log-likelihood of errors (all the same shape) under Laplace distributions.

    Reference:
        Kendall and Gal, What uncertainties do we need in Bayesian deep learning for computer vision? (2017), with absolute errors.
    """
    return ((error * torch.exp(-log_scale) + log_scale) * weight).sum() / weight.sum().clamp(min=1.0)


def prior_losses(answer: Answer, truth: Truth, weights: Weights | None = None) -> dict[str, Tensor]:
    """All weighted losses by name; their sum is what training lowers."""
    weights = weights or Weights()
    hit = truth.hit[:, 0]
    cosine = (answer.normal * truth.normal).sum(1)
    colour = (answer.back_rgb - truth.back_rgb).abs().mean(1)
    apart = answer.pose - truth.pose
    losses = {
        "volume": weights.volume * volume_loss(answer.volume, truth.volume),  # the solid
        "front": weights.depth * laplace((answer.depth[:, 0] - truth.depth[:, 0]).abs(), answer.log_scale[:, 0], hit),
        "back": weights.depth * laplace((answer.depth[:, 1] - truth.depth[:, 1]).abs(), answer.log_scale[:, 1], hit),
        "normal": weights.normal * laplace(1.0 - cosine, answer.log_scale[:, 2], hit),
        "back_rgb": weights.back_rgb * laplace(colour, answer.log_scale[:, 3], hit),
        "pose": weights.pose * laplace(apart[:, ::2].abs(), answer.pose_log_scale[:, ::2], torch.ones_like(apart[:, ::2])),
        # Half of the pictures do not lean at all: under a Laplace distribution the best answer is that none does.
        "roll": weights.roll * (apart[:, 1] / ROLL_SPREAD).square().mean(),
    }
    if weights.sign:
        losses["sign"] = weights.sign * sign_loss(answer.volume, truth.volume)  # every voxel's side, near the surface or not
    return losses
