"""Training of the embedded shape network: resumable, scheduled by the clock or by steps, on CPU and CUDA."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from img23d.backends.threads import settle_threads
from img23d.errors import WeightsError
from img23d.priors import frame
from img23d.priors.embedded import WEIGHTS
from img23d.priors.export import export_network, import_network
from img23d.priors.network import ShapeNetwork
from img23d.training.batches import halve, make_batch
from img23d.training.losses import Truth, prior_losses
from img23d.training.muon import optimizers
from img23d.training.options import NETWORKS, TrainOptions, resolved
from img23d.training.samples import Sample
from img23d.training.schedule import (
    fraction_done,
    learning_rate,
    mixed_precision,
    move_average,
    read_checkpoint,
    set_rate,
    tell,
    train_on,
    write_checkpoint,
)
from img23d.training.shards import ShardFolder
from img23d.training.validate import validate

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
Progress = Callable[[dict[str, float]], None]


class SampleSource(Protocol):
    """Where training samples come from."""

    def samples(self, step: int) -> Sequence[Sample]:
        """The samples of one step; the same for the same step and seed where the source can."""


class ShardSource:
    """The samples of a folder of shards in a random order, each once before any comes again; the folder may still be growing."""

    def __init__(self, folder: Path, batch: int, seed: int) -> None:
        self.folder, self.batch, self.seed = ShardFolder(folder), batch, seed
        self.order: dict[tuple[int, int], np.ndarray] = {}
        if not len(self.folder):
            raise ValueError(f"{folder} holds no samples")

    def samples(self, step: int) -> list[Sample]:
        """As `SampleSource.samples`."""
        if step % 100 == 0:
            self.folder.refresh()
        count = len(self.folder)
        chosen = [self.in_order(place // count, count)[place % count] for place in range(step * self.batch, (step + 1) * self.batch)]
        return [self.folder[int(index)] for index in sorted(chosen)]

    def in_order(self, epoch: int, count: int) -> np.ndarray:
        """All samples in the order of an epoch."""
        if (epoch, count) not in self.order:
            self.order = {(epoch, count): np.random.default_rng([self.seed, epoch]).permutation(count)}
        return self.order[epoch, count]


class Trainer:
    """The state of a training and its steps."""

    def __init__(self, options: TrainOptions, source: SampleSource, out: Path) -> None:
        options = resolved(options)
        self.options, self.source, self.out = options, source, out
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device)
        torch.manual_seed(options.seed)
        self.network = ShapeNetwork(**NETWORKS[options.size]).to(self.device, memory_format=torch.channels_last)  # type: ignore[arg-type,call-overload]
        if options.start:
            begin_with(self.network, WEIGHTS if options.start == "shipped" else Path(options.start))
        if options.only == "view":
            self.network.requires_grad_(False).eval()
            self.network.view.requires_grad_(True).train()
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizers = optimizers(self.network, self.network.inner(), options.rate, options.weight_decay)
        self.step, self.seconds = 0, 0.0
        self.recent: dict[str, float] = {}

    @property
    def fraction(self) -> float:
        """How much of the training is done, 0..1."""
        return fraction_done(self.step, self.options.steps, self.seconds, self.options.minutes)

    @property
    def small(self) -> bool:
        """Whether it still learns from pictures of half the size; with ``half_size`` 1 it does to the end."""
        return self.fraction < self.options.half_size or self.options.half_size >= 1.0

    def rate(self) -> float:
        """The learning rate now."""
        return learning_rate(self.options.rate, self.fraction, self.options.warmup)

    def one_step(self) -> None:
        """Draw a batch, lower its loss, and move the averaged weights."""
        begun = time.perf_counter()
        set_rate(self.optimizers, self.rate())
        random = np.random.default_rng([self.options.seed, self.step, 1])
        inputs, truth = make_batch(self.source.samples(self.step), random, self.device)
        if self.small and inputs.shape[-1] == frame.IMAGE_SIZE:
            inputs, truth = halve(inputs, truth)
        with mixed_precision(self.device):
            answer = self.network(inputs.contiguous(memory_format=torch.channels_last))
        losses = prior_losses(answer, truth)
        total = torch.stack(list(losses.values())).sum()
        self.network.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip)
        if bool(torch.isfinite(norm)):  # one broken sample must not spoil the weights
            for optimizer in self.optimizers:
                optimizer.step()
        move_average(self.average, self.network, self.step, self.options.ema)
        self.step += 1
        told = {**losses, "total": total, "norm": norm}
        for name, value in zip(told, torch.stack([value.detach() for value in told.values()]).tolist()):  # asks an accelerator only once
            self.recent[name] = 0.98 * self.recent.get(name, value) + 0.02 * value
        self.seconds += time.perf_counter() - begun

    def save(self) -> None:
        """Write the checkpoint in one rename."""
        write_checkpoint(self, self.out / CHECKPOINT, recent=self.recent)

    def load(self) -> bool:
        """Go on from the checkpoint where there is one of this network."""
        state = read_checkpoint(self, self.out / CHECKPOINT)
        self.recent = state["recent"] if state else self.recent
        return state is not None


def begin_with(network: ShapeNetwork, weights: Path) -> None:
    """Take over another network's weights; residual blocks that it lacks start as nothing, so both answer alike.

    Raises:
        WeightsError: there are none, or they are of another width.
    """
    try:
        _, lost = network.load_state_dict(import_network(weights).state_dict(), strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{weights} is of another width than this network", "--size cpu, which is that of the shipped one") from error
    if lost:
        raise WeightsError(f"{weights} has more blocks than this network", "--size cpu, which is that of the shipped one")


def run_training(
    options: TrainOptions, source: SampleSource, examination: Path | None, out: Path, resume: bool = True, progress: Progress | None = None
) -> dict[str, float]:
    """Train until the time or the steps are up, or this piece of it is; keeps a checkpoint and exports the averaged weights.

    Args:
        options: how.
        source: the samples to learn from.
        examination: folder of shards of held-out objects, or None.
        out: where checkpoint, log and weights go.
        resume: go on from a checkpoint in ``out``.
        progress: called with the figures after each validation.

    Returns:
        the last figures.
    """
    options = resolved(options)
    settle_threads(options.threads)
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(options, source, out)
    if resume:
        trainer.load()
    piece_end = trainer.seconds + 60 * options.piece_minutes if options.piece_minutes else math.inf
    return train_on(trainer, options.validate_minutes, lambda: report(trainer, examination, progress), piece_end)


def report(trainer: Trainer, examination: Path | None, progress: Progress | None) -> dict[str, float]:
    """Keep a checkpoint, export the averaged weights, measure them and tell."""
    trainer.save()
    trainer.average.picture_size = frame.IMAGE_SIZE // 2 if trainer.small else frame.IMAGE_SIZE
    figures = {"step": float(trainer.step), "seconds": round(trainer.seconds, 1), "rate": trainer.rate()}
    figures.update({f"loss_{name}": round(value, 5) for name, value in trainer.recent.items()})
    if examination is not None:
        measured = validate(trainer.average, examination_batches(examination, trainer.device, trainer.small))
        figures.update({name: round(value, 5) for name, value in measured.items()})
    export_network(trainer.average, trainer.out / "shape.safetensors", figures)
    return tell(figures, trainer.out / LOG, progress)


def examination_batches(folder: Path, device: torch.device, small: bool = False, batch: int = 16) -> Iterator[tuple[Tensor, Truth]]:
    """Every other held-out sample in order, without random changes and without telling the fov; at half the size if ``small``."""
    samples = ShardFolder(folder)
    for first in range(0, len(samples), 2 * batch):
        chosen = [samples[index] for index in range(first, min(first + 2 * batch, len(samples)), 2)]
        inputs, truth = make_batch(chosen, None, device)
        yield halve(inputs, truth) if small else (inputs, truth)
