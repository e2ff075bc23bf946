"""Training of the embedded foreground network: resumable, scheduled by the clock or by steps."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from img23d.errors import InputError
from img23d.priors.foreground import WEIGHTS, ForegroundNetwork, box_mean, load_network, network_input
from img23d.training.background_photos import list_photos, photo_backgrounds
from img23d.training.backgrounds import random_background
from img23d.training.cutouts import Cutouts
from img23d.training.dataset import held_out
from img23d.training.foreground_scenes import ForegroundSample, compose
from img23d.training.muon import optimizers
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

CHECKPOINT = "foreground-checkpoint.pt"
LOG = "foreground-log.jsonl"
BACKGROUND_SIZE = 224
PHOTOS_HELD_OUT = 0.2
EDGE_WEIGHT = 5.0
RECENT = 2000  # pictures of each size to choose from again: composing one takes longer than learning from it
WARMUP = 0.03  # share of the training during which the rate rises


@dataclass(frozen=True)
class ForegroundOptions:
    """How the foreground network is trained.

    Args:
        minutes: training time in all, of the processor, so that a busy machine only takes longer; the learning rate ends at zero then.
        steps: end after this many steps instead; 0 means by time.
        batch: pictures per step at the largest size, up to twice as many at smaller ones.
        rate: highest learning rate.
        sizes: sides of the pictures, of which every step draws one, so that the network can be asked at several.
        fresh: share of each batch that is newly composed; the rest are recent pictures, mirrored at random.
        ema: how much of the averaged weights one step keeps.
        backgrounds: pictures made by code to choose backgrounds from.
        background_photos: folder of photos and panoramas to cut as many more from, "" for none; one in five of them only examines.
        examined: held-out pictures measured at each validation.
        validate_minutes: time between validations.
        seed: of weights, order and pictures.
        widths: channels of the network.
        start: weights file to begin with, ``shipped`` for the one that comes with img23d, "" for none.
    """

    minutes: float = 45.0
    steps: int = 0
    batch: int = 12
    rate: float = 2e-3
    sizes: tuple[int, ...] = (128, 192, 256)
    fresh: float = 0.25
    ema: float = 0.998
    backgrounds: int = 1200
    background_photos: str = ""
    examined: int = 96
    validate_minutes: float = 5.0
    seed: int = 1
    widths: tuple[int, ...] = (24, 48, 96, 160)
    start: str = ""


def make_backgrounds(count: int, seed: int, size: int = BACKGROUND_SIZE) -> np.ndarray:
    """(count, size, size, 3) uint8 random backgrounds."""
    return np.stack([random_background(np.random.default_rng([seed, number]), size) for number in range(count)]).astype(np.uint8)


def all_backgrounds(options: ForegroundOptions, examine: bool) -> np.ndarray:
    """(M, B, B, 3) uint8 backgrounds made by code and, where there are photos, as many cut from those; others to examine on."""
    count, seed = (max(options.examined, 1), options.seed + 7919) if examine else (options.backgrounds, options.seed)
    made = make_backgrounds(count, seed)
    if not options.background_photos:
        return made
    paths = [path for path in list_photos(options.background_photos) if held_out(path.stem, PHOTOS_HELD_OUT) == examine]
    if not paths and not examine:
        raise InputError(f"all pictures in {options.background_photos} are kept to examine on", "more pictures: one in five is")
    return np.concatenate([made, photo_backgrounds(paths, count, seed, BACKGROUND_SIZE)]) if paths else made


def join_cutouts(sets: Sequence[Cutouts]) -> Cutouts:
    """Several sets as one; smaller pictures are padded at the right and the bottom with nothing."""
    side = max(part.alpha.shape[1] for part in sets)

    def grown(array: np.ndarray, fill: int) -> np.ndarray:
        gap = side - array.shape[1]
        return np.pad(array, ((0, 0), (0, gap), (0, gap), *((0, 0),) * (array.ndim - 3)), constant_values=fill)

    return Cutouts(
        np.concatenate([grown(part.rgb, 0) for part in sets]),
        np.concatenate([grown(part.alpha, 0) for part in sets]),
        np.concatenate([grown(part.shadow, 255) for part in sets]),
    )


def batch_of(samples: Sequence[ForegroundSample]) -> tuple[Tensor, Tensor, Tensor]:
    """Network input (B, 6, S, S), target alpha (B, 1, S, S), and 1 inside the photos (B, 1, S, S)."""
    rgb = torch.from_numpy(np.stack([sample.rgb for sample in samples])).permute(0, 3, 1, 2).float() / 255
    alpha = torch.from_numpy(np.stack([sample.alpha for sample in samples]))[:, None].float() / 255
    valid = torch.from_numpy(np.stack([sample.valid for sample in samples]))[:, None].float()
    return network_input(rgb, valid), alpha, valid


def foreground_loss(logits: Tensor, alpha: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy per pixel plus one minus the soft overlap per picture, so that small objects count as much as large ones.

    Args:
        logits: (B, 1, S, S).
        alpha: (B, 1, S, S) truth.
        valid: (B, 1, S, S) 1 where it counts.

    Reference:
        Wei et al., F3Net: fusion, feedback and focus for salient object detection (2020), the pixel position aware loss.
    """
    # Thin parts, and the gaps between them, differ from the mean of their surroundings: there mistakes count more.
    weight = valid * (1 + EDGE_WEIGHT * (box_mean(alpha, max(alpha.shape[-1] // 16, 1)) - alpha).abs())
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, alpha, weight, reduction="sum") / weight.sum().clamp(min=1)
    chance = torch.sigmoid(logits)
    both, either = (weight * chance * alpha).sum((1, 2, 3)), (weight * (chance + alpha - chance * alpha)).sum((1, 2, 3))
    return entropy + (1 - (both + 1) / (either + 1)).mean()


@torch.no_grad()
def overlap(network: ForegroundNetwork, samples: Sequence[ForegroundSample], batch: int = 16) -> list[float]:
    """Intersection over union of the answer and the truth, both cut at 0.5, for each picture."""
    network.eval()
    found = []
    for first in range(0, len(samples), batch):
        inputs, alpha, valid = batch_of(samples[first : first + batch])
        chosen, truth = (network(inputs) > 0) & (valid > 0), alpha > 0.5
        both, either = (chosen & truth).sum((1, 2, 3)), (chosen | truth).sum((1, 2, 3))
        found += (both / either.clamp(min=1)).tolist()
    return found


class ForegroundTrainer:
    """The state of a training and its steps."""

    def __init__(self, options: ForegroundOptions, cutouts: Cutouts, out: Path) -> None:
        self.options, self.cutouts, self.out = options, cutouts, out
        torch.manual_seed(options.seed)
        if options.start:
            self.network = copy.deepcopy(load_network(WEIGHTS if options.start == "shipped" else Path(options.start)))
        else:
            self.network = ForegroundNetwork(options.widths)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizers = optimizers(self.network, self.network.inner(), options.rate, weight_decay=0.01)
        self.step, self.seconds, self.loss = 0, 0.0, 0.0
        self.backgrounds = all_backgrounds(options, examine=False)
        self.recent: dict[int, list[ForegroundSample]] = {}  # by size

    @property
    def fraction(self) -> float:
        """How much of the training is done, 0..1."""
        return fraction_done(self.step, self.options.steps, self.seconds, self.options.minutes)

    def rate(self) -> float:
        """The learning rate now."""
        return learning_rate(self.options.rate, self.fraction, WARMUP)

    def draw(self) -> list[ForegroundSample]:
        """The pictures of one step: some fresh, some seen recently and mirrored."""
        options, rng = self.options, np.random.default_rng([self.options.seed, self.step])
        side = int(rng.choice(options.sizes))
        batch = min(2 * options.batch, round(options.batch * (max(options.sizes) / side) ** 2))
        recent = self.recent.get(side, [])
        want = batch if len(recent) < 8 * batch else max(1, round(options.fresh * batch))
        fresh = [compose(rng, self.cutouts, int(rng.integers(len(self.cutouts.alpha))), self.backgrounds, side) for _ in range(want)]
        old = [recent[int(rng.integers(len(recent)))] for _ in range(batch - want)]
        old = [ForegroundSample(*(part[:, ::-1].copy() for part in sample)) if rng.random() < 0.5 else sample for sample in old]
        self.recent[side] = (recent + fresh)[-RECENT:]
        return fresh + old

    def one_step(self) -> None:
        """Draw a batch, lower its loss, and move the averaged weights."""
        begun = time.process_time()
        set_rate(self.optimizers, self.rate())
        inputs, alpha, valid = batch_of(self.draw())
        self.network.train()
        with mixed_precision(inputs.device):
            logits = self.network(inputs.contiguous(memory_format=torch.channels_last))
        loss = foreground_loss(logits.float(), alpha, valid)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        move_average(self.average, self.network, self.step, self.options.ema)
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


def export_foreground(network: ForegroundNetwork, path: Path, figures: dict[str, float]) -> None:
    """Write the network as fp16 safetensors with its figures as metadata."""
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu() for name, value in network.state_dict().items()
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"format": "img23d-foreground-1", "figures": json.dumps(figures)})
    partial.replace(path)


def train_foreground(
    options: ForegroundOptions,
    cutouts: Cutouts,
    examination: Cutouts,
    out: Path,
    resume: bool = True,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, float]:
    """Train until the time or the steps are up; keeps a checkpoint and exports the averaged weights.

    Args:
        options: how.
        cutouts: objects to learn from.
        examination: other objects, put before other backgrounds, to measure on.
        out: where checkpoint, log and weights go.
        resume: go on from a checkpoint in ``out``.
        progress: called with the figures after each validation.

    Returns:
        the last figures.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = ForegroundTrainer(options, cutouts, out)
    if resume:
        trainer.load()
    unseen = all_backgrounds(options, examine=True)
    exam = [
        compose(np.random.default_rng([31, number]), examination, number % len(examination.alpha), unseen, max(options.sizes))
        for number in range(options.examined)
    ]

    def report() -> dict[str, float]:
        trainer.save()
        found = overlap(trainer.average, exam)
        figures = {"step": float(trainer.step), "seconds": round(trainer.seconds, 1), "loss": round(trainer.loss, 4)}
        figures |= {"iou": round(float(np.mean(found)), 4), "iou_median": round(float(np.median(found)), 4)}
        export_foreground(trainer.average, out / "foreground.safetensors", figures)
        return tell(figures, out / LOG, progress)

    return train_on(trainer, options.validate_minutes, report)
