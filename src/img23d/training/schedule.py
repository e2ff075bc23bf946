"""What the trainings of the embedded networks share: how far they are, the learning rate, the averaged weights, checkpoints."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

Figures = dict[str, float]


class Training(Protocol):
    """The state of a training: networks, optimisers, and how far it is."""

    optimizers: list[torch.optim.Optimizer]
    step: int
    seconds: float

    @property
    def network(self) -> nn.Module:
        """What learns."""

    @property
    def average(self) -> nn.Module:
        """Its weights, averaged over the last steps."""

    @property
    def fraction(self) -> float:
        """How much of it is done, 0..1."""

    def one_step(self) -> None:
        """Go on by one step."""


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


def mixed_precision(device: torch.device) -> Any:
    """bfloat16 where the hardware multiplies it faster, else nothing."""
    # Any CPU with AVX-512 emulates bfloat16, at half the speed of single precision; these two multiply it, at nearly twice that.
    fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, step: int, keep: float) -> None:
    """Exponential moving average of weights and of the norms' statistics; short at first, so that it never remembers the start."""
    keep = min(keep, (1.0 + step) / (10.0 + step))
    for ours, theirs in zip(average.state_dict().values(), network.state_dict().values()):
        if ours.dtype.is_floating_point:
            ours.lerp_(theirs, 1.0 - keep)
        else:
            ours.copy_(theirs)


def write_checkpoint(training: Training, path: Path, **more: Any) -> None:
    """Write everything that a training needs to go on, and ``more``, in one rename."""
    state = {"network": training.network.state_dict(), "average": training.average.state_dict()}
    state |= {"optimizers": [optimizer.state_dict() for optimizer in training.optimizers]}  # type: ignore[dict-item]
    partial = path.with_suffix(".partial")
    torch.save({**state, "step": training.step, "seconds": training.seconds, **more}, partial)
    partial.replace(path)


def read_checkpoint(training: Training, path: Path) -> dict[str, Any] | None:
    """Go on from a checkpoint; what it holds, or None where there is none, or one of a network of another size or an older version."""
    if not path.is_file():
        return None
    # To the host first: what belongs on the device goes there by itself, and Adam's step counts must not.
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    sizes = {name: value.shape for name, value in training.network.state_dict().items()}
    if "optimizers" not in state or sizes != {name: value.shape for name, value in state["network"].items()}:
        return None
    training.network.load_state_dict(state["network"])
    training.average.load_state_dict(state["average"])
    for optimizer, kept in zip(training.optimizers, state["optimizers"]):
        optimizer.load_state_dict(kept)
    training.step, training.seconds = state["step"], state["seconds"]
    return state


def train_on(training: Training, every_minutes: float, report: Callable[[], Figures], until: float = math.inf) -> Figures:
    """Step until the training is done or has taken ``until`` seconds; report every so often and at the end. The last report."""
    due = training.seconds + 60 * every_minutes
    while training.fraction < 1.0 and training.seconds < until:
        training.one_step()
        if training.seconds >= due:
            report()
            due = training.seconds + 60 * every_minutes
    return report()


def tell(figures: Figures, log: Path, progress: Callable[[Figures], None] | None) -> Figures:
    """Append figures to a log of one JSON object per line, and pass them on."""
    with log.open("a") as file:
        file.write(json.dumps(figures) + "\n")
    if progress is not None:
        progress(figures)
    return figures
