"""What the trainings of both embedded networks share: how far they are, the learning rate, the averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn


def fraction_done(step: int, steps: int, seconds: float, minutes: float) -> float:
    """How much of a training is done, 0..1: by steps, or where ``steps`` is 0 by time."""
    return min(step / steps if steps else seconds / (60 * minutes), 1.0)


def learning_rate(highest: float, done: float, warmup: float) -> float:
    """A linear rise over the first ``warmup`` of the training, then half a cosine down to zero; ``done`` is 0..1."""
    rise = min(1.0, max(done / warmup, 1e-3)) if warmup else 1.0
    return highest * rise * 0.5 * (1.0 + math.cos(math.pi * done))


def set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """Give all parameters this learning rate."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = rate


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, step: int, keep: float) -> None:
    """Exponential moving average of weights and of the norms' statistics; short at first, so that it never remembers the start."""
    keep = min(keep, (1.0 + step) / (10.0 + step))
    for ours, theirs in zip(average.state_dict().values(), network.state_dict().values()):
        if ours.dtype.is_floating_point:
            ours.lerp_(theirs, 1.0 - keep)
        else:
            ours.copy_(theirs)
