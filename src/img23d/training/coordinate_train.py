"""Training of a diffusion model of coordinate maps: resumable, scheduled by the clock or by steps, on CPU and CUDA."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from img23d.backends.coordinates import answer
from img23d.backends.coordinates_network import begun_model, fresh_model, write_model
from img23d.backends.rasterizers import choose_rasterizer
from img23d.backends.threads import settle_threads
from img23d.errors import ConfigError
from img23d.scores.schedule import noise_schedule
from img23d.training.coordinate_samples import CoordinateSample, CoordinateSource
from img23d.training.dataset import ProceduralSource, split_objects
from img23d.training.objects import Source
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
from img23d.training.shape_train import gather_sources

CHECKPOINT = "coordinates-checkpoint.pt"
LOG = "coordinates-log.jsonl"
MODEL = "coordinates"  # folder of the model
WARMUP = 0.03  # share of the training during which the rate rises
EXAMINATION_SEED = 77
TOGETHER = 8  # maps that are examined at once


@dataclass(frozen=True)
class CoordinateOptions:
    """How a diffusion model of coordinate maps is trained.

    Args:
        minutes: training time in all; the learning rate ends at zero then.
        steps: end after this many steps instead; 0 means by time.
        batch: maps per step.
        views: maps of each object in a step, which divide the batch: loading an object costs more than a view.
        rate: highest learning rate; 1e-5 suits a network that begins from Stable Diffusion.
        ema: how much of the averaged weights one step keeps.
        procedural: objects made by code besides those of the data folders.
        unsaid: share of maps of which a network that knows words is told nothing, so that it can be guided.
        examined: maps of held-out objects measured at each validation.
        validate_minutes: time between validations.
        seed: of weights, objects, cameras and noise.
        widths: channels of the levels of a network that begins afresh.
        size: pixels along each side of its maps.
        base: folder of Stable Diffusion 1 or 2 to begin from, "" to begin afresh.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of the CPU; 0 means all.
    """

    minutes: float = 600.0
    steps: int = 0
    batch: int = 16
    views: int = 4
    rate: float = 3e-4
    ema: float = 0.999
    procedural: int = 1500
    unsaid: float = 0.1
    examined: int = 64
    validate_minutes: float = 10.0
    seed: int = 1
    widths: tuple[int, ...] = (32, 64, 96, 128)
    size: int = 64
    base: str = ""
    device: str = "auto"
    threads: int = 0


class CoordinateTrainer:
    """The state of a training and its steps."""

    def __init__(self, options: CoordinateOptions, sources: Sequence[Source], learn: Sequence[int], out: Path) -> None:
        self.options, self.out = options, out
        device = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
        self.device = torch.device(device)
        torch.manual_seed(options.seed)
        self.model = begun_model(Path(options.base), device) if options.base else fresh_model(options.widths, options.size, device)
        self.source = CoordinateSource(sources, learn, self.model.size, choose_rasterizer("auto"))
        self.network: nn.Module = self.model.unet.train()
        self.average: nn.Module = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(self.network.parameters(), options.rate, betas=(0.9, 0.99), weight_decay=0.01)
        ]
        self.left = noise_schedule(*self.model.betas).alphas_cumprod.to(self.device, torch.float32)
        self.step, self.seconds, self.loss = 0, 0.0, 0.0

    @property
    def fraction(self) -> float:
        """How much of the training is done, 0..1."""
        return fraction_done(self.step, self.options.steps, self.seconds, self.options.minutes)

    def one_step(self) -> None:
        """Draw maps, lower the error of the noise that is seen in them, and move the averaged weights."""
        begun, options = time.perf_counter(), self.options
        set_rate(self.optimizers, learning_rate(options.rate, self.fraction, WARMUP))
        random = np.random.default_rng([options.seed, self.step])
        drawn = self.source.draw(random, options.batch // options.views, options.views)
        words = ["" if random.random() < options.unsaid else word for word in drawn.words]
        loss = self.errors(self.network, drawn._replace(words=words), random).mean()
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        if bool(torch.isfinite(nn.utils.clip_grad_norm_(self.network.parameters(), 1.0))):
            self.optimizers[0].step()
        self.step += 1
        move_average(self.average, self.network, self.step, options.ema)
        self.loss = float(loss.detach()) if self.step == 1 else 0.98 * self.loss + 0.02 * float(loss.detach())
        self.seconds += time.perf_counter() - begun

    def errors(self, network: nn.Module, drawn: CoordinateSample, random: np.random.Generator) -> Tensor:
        """(B,) mean squared error of the noise that a network sees in maps at random steps of the schedule.

        Reference: Ho et al., Denoising Diffusion Probabilistic Models (2020), the simple loss.
        """
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        maps = drawn.maps.to(self.device)
        noise = torch.randn(drawn.maps.shape, generator=generator).to(self.device)
        steps = torch.randint(len(self.left), (len(maps),), generator=generator).to(self.device)
        left = self.left[steps][:, None, None, None]
        noisy = left.sqrt() * maps + (1 - left).sqrt() * noise
        names = sorted(set(drawn.words))
        told = self.model.read(names).to(self.device)[[names.index(word) for word in drawn.words]]
        with mixed_precision(self.device):
            seen = answer(network, noisy, steps, told, drawn.cameras.to(self.device))
        return (seen.float() - noise).square().mean((1, 2, 3))

    def save(self) -> None:
        """Write the checkpoint in one rename."""
        write_checkpoint(self, self.out / CHECKPOINT, loss=self.loss)

    def load(self) -> bool:
        """Go on from the checkpoint where there is one."""
        state = read_checkpoint(self, self.out / CHECKPOINT)
        self.loss = state["loss"] if state else self.loss
        return state is not None

    @torch.no_grad()
    def examine(self, source: CoordinateSource) -> dict[str, float]:
        """How well the averaged weights see noise in maps of objects that they never saw.

        Returns:
            ``examined``, the error; and ``misled``, the error where each is told the camera of another map: no larger as long as the
            network does not heed cameras.
        """
        found: dict[str, list[float]] = {"examined": [], "misled": []}
        views = min(self.options.views, TOGETHER)
        for number in range(max(1, self.options.examined // TOGETHER)):
            drawn = source.draw(np.random.default_rng([EXAMINATION_SEED, number]), max(1, TOGETHER // views), views)
            for name, cameras in (("examined", drawn.cameras), ("misled", drawn.cameras.roll(1, 0))):
                random = np.random.default_rng([EXAMINATION_SEED, number, 1])
                found[name] += self.errors(self.average, drawn._replace(cameras=cameras), random).tolist()
        return {name: round(float(np.mean(values)), 5) for name, values in found.items()}


def train_coordinates(
    options: CoordinateOptions, places: Sequence[str | Path], out: Path, resume: bool = True,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, float]:  # fmt: skip
    """From folders of objects to a model that guides: `img23d.backends.coordinates`.

    Args:
        options: how.
        places: folders of GLB files, or packs.
        out: gets the checkpoint, the log and the model's folder, ``coordinates``.
        resume: go on from what is there.
        progress: called with the figures of each validation.

    Returns:
        the last figures.

    Raises:
        InputError: nothing to learn from.
        ConfigError: the batch is no multiple of the views, or the sizes make no network.
        WeightsError: ``base`` is no Stable Diffusion.
    """
    if options.views < 1 or options.batch < 1 or options.batch % options.views:
        raise ConfigError(f"batch={options.batch} is no multiple of views={options.views}", "--set batch=16 --set views=4")
    settle_threads(options.threads)
    sources = gather_sources(places, options.procedural)
    learn, examine = split_objects(sources)
    trainer = CoordinateTrainer(options, sources, learn, out)
    unseen = CoordinateSource(sources, examine, trainer.model.size, trainer.source.rasterizer) if examine else None
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        trainer.load()
    facts = {"learnt from": learnt_from([sources[number] for number in learn])}

    def report() -> dict[str, float]:
        trainer.save()
        figures = {"step": float(trainer.step), "seconds": round(trainer.seconds, 1), "loss": round(trainer.loss, 5)}
        figures |= trainer.examine(unseen) if unseen else {}
        base = Path(options.base) if options.base else None
        write_model(trainer.model, trainer.average, out / MODEL, base, {"figures": figures, **facts})
        return tell(figures, out / LOG, progress)

    return train_on(trainer, options.validate_minutes, report)


def learnt_from(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Licence and maker of the objects, each pair once, with how many objects it stands for: some licences ask to be told."""
    counts: dict[tuple[str, str], int] = {}
    for source in sources:
        by_code = isinstance(source, ProceduralSource)
        who = ("MIT", "made by code of img23d") if by_code else (getattr(source, "licence", ""), getattr(source, "attribution", ""))
        counts[who] = counts.get(who, 0) + 1
    return [{"licence": licence, "attribution": who, "objects": count} for (licence, who), count in sorted(counts.items())]
