"""Training of the embedded network for fine normals: resumable, scheduled by the clock or by steps."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from img23d.backends.threads import settle_threads
from img23d.ops.normals import unit
from img23d.priors.embedded import WEIGHTS as SHAPE_WEIGHTS
from img23d.priors.embedded import shape_network
from img23d.priors.fine_normals import (
    WEIGHTS,
    NormalNetwork,
    chord_loss,
    export_normals,
    load_network,
    normal_inputs,
    relief_loss,
    turned_over,
)
from img23d.training.dataset import split_objects
from img23d.training.fine_normals_samples import SIZE, NormalSample, NormalShards, write_normal_shards
from img23d.training.made_from import claim
from img23d.training.muon import optimizers
from img23d.training.relit import Part, Window, as_drawn, relit
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
from img23d.training.shape_train import COARSE, gather_sources
from img23d.training.store import ObjectStore

CHECKPOINT = "normals-checkpoint.pt"
LOG = "normals-log.jsonl"
EXAMINED, EXAMINATION_SEED = 288, 77  # pictures of held-out objects
RELIEF_WEIGHT = 6.0
RECENT = 1500  # parts lit anew that are kept to be seen again: to light one takes longer than to learn from it
WARMUP = 0.03  # share of the training during which the rate rises
Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class NormalOptions:
    """How the network for fine normals is trained.

    Args:
        minutes: training time in all, of the processor; the learning rate ends at zero then.
        steps: end after this many steps instead; 0 means by time.
        batch: parts of pictures per step.
        part: pixels along each side of them, a multiple of 16; only so much of a picture is learnt from at a time.
        rate: highest learning rate.
        ema: how much of the averaged weights one step keeps.
        pictures: samples to draw beforehand, 1.3 MB each.
        procedural: objects made by code besides those of the data folders.
        validate_minutes: time between validations.
        seed: of weights, order and pictures.
        widths: channels of the network.
        start: weights file to begin with, ``shipped`` for the one that comes with img23d, "" for none.
        plain: share of the parts that are as they were drawn; the others get relief and light anew.
        fresh: share of the others that are new at each step; the rest was seen in one of the last ones.
        threads: of the CPU; 0 leaves them as they are.
    """

    minutes: float = 60.0
    steps: int = 0
    batch: int = 16
    part: int = 128
    rate: float = 1.5e-3
    ema: float = 0.998
    pictures: int = 4_800
    procedural: int = 450
    validate_minutes: float = 5.0
    seed: int = 1
    widths: tuple[int, ...] = (48, 80, 96)
    start: str = ""
    plain: float = 0.4
    fresh: float = 0.4
    threads: int = 0


def batch_of(samples: Sequence[Part]) -> Batch:
    """Inputs (B, INPUTS, S, S), true normals (B, 3, S, S), and 1 where they count (B, 1, S, S)."""

    def stack(name: str, scale: float) -> Tensor:
        values = torch.from_numpy(np.stack([getattr(sample, name) for sample in samples])).float() / scale
        return values.permute(0, 3, 1, 2) if values.ndim == 4 else values[:, None]

    mask = stack("mask", 255.0)
    light = torch.from_numpy(np.stack([sample.light for sample in samples]))
    inputs = normal_inputs(stack("rgb", 255.0), mask, stack("said_normal", 127.0), stack("said_depth", 1.0), light)
    truth = unit(stack("normal", 127.0), 1)
    return inputs, truth, stack("hit", 1.0) * (mask > 0.5)


def some_window(sample: NormalSample, random: np.random.Generator, part: int) -> Window:
    """A random square of a picture about some place of the object."""
    places = np.argwhere(sample.hit & (sample.mask > 127))
    middle = places[int(random.integers(len(places)))] if len(places) else np.full(2, SIZE // 2)
    top, left = (int(min(max(place - random.integers(part // 4, 3 * part // 4), 0), SIZE - part)) // 16 * 16 for place in middle)
    return Window(top, left, part)


def error_degrees(normal: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """(B,) mean angle between normals (B, 3, S, S) where the weight (B, 1, S, S) is 1."""
    angle = torch.rad2deg(torch.arccos((normal * truth).sum(1, keepdim=True).clamp(-1, 1)))
    return (angle * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1)


@torch.no_grad()
def validate_normals(network: NormalNetwork, batches: Iterator[Batch]) -> dict[str, float]:
    """``normal_deg`` mean angle of the answers, ``coarse_deg`` of what they start from; ``relief``, ``coarse_relief``: losses."""
    network.eval()
    found: dict[str, list[float]] = {"normal_deg": [], "coarse_deg": [], "relief": [], "coarse_relief": []}
    for inputs, truth, weight in batches:
        answer = network(inputs.contiguous(memory_format=torch.channels_last)).normal
        for name, normal in (("", answer), ("coarse_", inputs[:, 4:7])):
            found["coarse_deg" if name else "normal_deg"] += error_degrees(normal, truth, weight).tolist()
            found[name + "relief"].append(float(relief_loss(normal, truth, weight)))
    network.train()
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def whole_batches(folder: Path, batch: int = 4) -> Iterator[Batch]:
    """All samples of a folder in order."""
    shards = NormalShards(folder)
    for first in range(0, len(shards), batch):
        yield batch_of([as_drawn(shards[index], Window()) for index in range(first, min(first + batch, len(shards)))])


class NormalTrainer:
    """The state of a training and its steps."""

    def __init__(self, options: NormalOptions, learning: Path, out: Path) -> None:
        self.options, self.out, self.shards = options, out, NormalShards(learning)
        torch.manual_seed(options.seed)
        if options.start:
            self.network = copy.deepcopy(load_network(WEIGHTS if options.start == "shipped" else Path(options.start)))
        else:
            self.network = NormalNetwork(options.widths)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizers = optimizers(self.network, self.network.inner(), options.rate, weight_decay=0.01)
        self.step, self.seconds, self.loss = 0, 0.0, 0.0
        self.recent: list[Part] = []

    @property
    def fraction(self) -> float:
        """How much of the training is done, 0..1."""
        return fraction_done(self.step, self.options.steps, self.seconds, self.options.minutes)

    def draw(self, random: np.random.Generator) -> Batch:
        """The parts of one step: some as drawn, some lit anew with relief, most of these seen recently; half of the batches mirrored."""
        options, recent = self.options, self.recent
        plain = round(options.plain * options.batch)
        fresh = options.batch - plain if len(recent) < 4 * options.batch else max(1, round(options.fresh * (options.batch - plain)))
        chosen = random.choice(len(self.shards), plain + fresh, replace=len(self.shards) < plain + fresh)
        samples = [self.shards[int(index)] for index in chosen]
        windows = [some_window(sample, random, options.part) for sample in samples]
        drawn = [as_drawn(sample, window) for sample, window in zip(samples[:plain], windows)]
        drawn += [relit(sample, window, random) for sample, window in zip(samples[plain:], windows[plain:])]
        drawn += [recent[int(random.integers(len(recent)))] for _ in range(options.batch - plain - fresh)]
        self.recent = (recent + drawn[plain : plain + fresh])[-RECENT:]
        inputs, truth, weight = batch_of(drawn)
        if random.random() < 0.5:
            inputs, weight = turned_over(inputs), weight.flip(-1)
            truth = truth.flip(-1) * truth.new_tensor([-1.0, 1.0, 1.0])[:, None, None]
        return inputs, truth, weight

    def one_step(self) -> None:
        """Draw a batch, lower its loss, and move the averaged weights."""
        begun, options = time.process_time(), self.options
        if self.step % 50 == 0:
            self.shards.refresh()
        inputs, truth, weight = self.draw(np.random.default_rng([options.seed, self.step]))
        set_rate(self.optimizers, learning_rate(options.rate, self.fraction, WARMUP))
        self.network.train()
        with mixed_precision(inputs.device):
            answer = self.network(inputs.contiguous(memory_format=torch.channels_last))
        loss = chord_loss(answer, truth, weight) + RELIEF_WEIGHT * relief_loss(answer.normal, truth, weight)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        if bool(torch.isfinite(nn.utils.clip_grad_norm_(self.network.parameters(), 1.0))):
            for optimizer in self.optimizers:
                optimizer.step()
        self.step += 1
        move_average(self.average, self.network, self.step, options.ema)
        self.loss = float(loss.detach()) if self.step == 1 else 0.98 * self.loss + 0.02 * float(loss.detach())
        self.seconds += (time.process_time() - begun) / torch.get_num_threads()

    def save(self) -> None:
        """Write the checkpoint in one rename."""
        write_checkpoint(self, self.out / CHECKPOINT, loss=self.loss)

    def load(self) -> bool:
        """Go on from the checkpoint where there is one."""
        state = read_checkpoint(self, self.out / CHECKPOINT)
        self.loss = state["loss"] if state else self.loss
        return state is not None


def run_normal_training(
    options: NormalOptions, learning: Path, examination: Path | None, out: Path, resume: bool = True,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train until the time or the steps are up; keeps a checkpoint and exports the averaged weights.

    Args:
        options: how.
        learning: folder of samples to learn from; it may still be growing.
        examination: folder of samples of held-out objects, or None.
        out: where checkpoint, log and weights go.
        resume: go on from a checkpoint in ``out``.
        progress: called with the figures after each validation.

    Returns:
        the last figures.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = NormalTrainer(options, learning, out)
    if resume:
        trainer.load()

    def report() -> dict[str, float]:
        trainer.save()
        figures = {"step": float(trainer.step), "seconds": round(trainer.seconds, 1), "loss": round(trainer.loss, 4)}
        if examination is not None:
            figures |= validate_normals(trainer.average, whole_batches(examination))
        export_normals(trainer.average, out / "normals.safetensors", figures)
        return tell(figures, out / LOG, progress)

    return train_on(trainer, options.validate_minutes, report)


def train_normals(
    options: NormalOptions, places: Sequence[str | Path], out: Path, resume: bool = True,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, float]:  # fmt: skip
    """From folders of objects to weights: draws pictures, of held-out objects too, then trains.

    Args:
        options: how.
        places: folders of GLB files, or packs.
        out: gets the checkpoint, the log, the weights and a cache.
        resume: go on from what is there.
        progress: called with the number of pictures drawn, then with the figures of each validation.

    Raises:
        InputError: nothing to learn from, or the cache is of other objects.
    """
    settle_threads(options.threads)
    cache = out / "cache"
    sources = gather_sources(places, options.procedural)
    learn, examine = split_objects(sources)
    claim(cache, sources)
    store, network = ObjectStore(sources, cache / "solids", resolution=COARSE), shape_network(SHAPE_WEIGHTS, "cpu")
    told = (lambda count: progress({"pictures": float(count)})) if progress else None
    if examine:
        write_normal_shards(store, examine, cache / "examination", EXAMINED, EXAMINATION_SEED, network, bumpy=0.0)
    write_normal_shards(store, learn, cache / "learning", options.pictures, options.seed, network, told)
    return run_normal_training(options, cache / "learning", cache / "examination" if examine else None, out, resume, progress)
