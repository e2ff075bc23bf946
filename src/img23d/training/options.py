"""Options of `img23d train prior`; free of torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class TrainOptions:
    """How the embedded shape network is trained.

    Args:
        size: ``cpu`` is what two cores manage in two hours, ``gpu`` what a data-centre GPU manages in 25 minutes, ``tiny`` is for tests.
        minutes: training time in all, over all pieces; the learning rate ends at zero then. 0 means the size's own.
        piece_minutes: stop (and keep a checkpoint) after this long; call again to go on. 0 means no pieces, -1 the size's own.
        steps: end after this many steps instead of after ``minutes``; 0 means by time.
        batch: samples per step; 0 means the size's own.
        half_size: share of the training done on pictures of half the size, at a quarter of the cost, to begin with; -1 means the
            size's own.
        rate: highest learning rate.
        warmup: share of the training during which the rate rises.
        weight_decay: of the inner convolutions' weights.
        ema: how much of the averaged weights one step keeps.
        clip: largest norm of the gradient.
        shards: files of about 150 samples rendered beforehand (cpu and tiny); the gpu size renders fresh ones all the time.
        procedural: objects made by code besides those of the data folders.
        variants: bent, twisted and joined objects of the data folders, besides these.
        resting: objects of the data folders and made by code, lying as they fell instead of standing as modelled, besides these.
        often: CSV file of how often objects are taken up (`img23d.training.often`); "" means all alike.
        workers: processes that draw (gpu size); 0 means one fewer than there are cores.
        draw_device: where they carve and draw: ``cpu`` or ``cuda``.
        cache: folder for carved solids and samples; "" means ``OUT/cache``.
        validate_minutes: time between validations.
        seed: of weights, order and samples.
        start: weights file to begin with, ``shipped`` for the one that comes with img23d, "" for none; blocks that it lacks change
            nothing at first, so that a network can grow.
        only: ``view`` teaches nothing but where the camera stood (`img23d.priors.view_head`); all else stays as it is.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of the CPU; 0 leaves them as they are.
    """

    size: Literal["cpu", "gpu", "tiny"] = "cpu"
    minutes: float = 0.0
    piece_minutes: float = -1.0
    steps: int = 0
    batch: int = 0
    half_size: float = -1.0
    rate: float = 1.5e-3
    warmup: float = 0.03
    weight_decay: float = 0.02
    ema: float = 0.998
    clip: float = 1.0
    shards: int = 400
    procedural: int = 1500
    variants: int = 0
    resting: int = 1500
    often: str = ""
    workers: int = 0
    draw_device: Literal["cpu", "cuda"] = "cpu"
    cache: str = ""
    validate_minutes: float = 5.0
    seed: int = 1
    start: str = ""
    only: Literal["", "view"] = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0


NETWORKS: dict[str, dict[str, object]] = {
    "cpu": {
        "widths": (64, 128, 256),
        "blocks": (2, 3, 3),
        "up_blocks": (3, 3),
        "volume_width": 96,
        "fine_width": 16,
        "mixers": 4,
        "view": True,
    },
    "gpu": {
        "widths": (96, 160, 256),
        "blocks": (2, 2, 3),
        "up_blocks": (3, 2),
        "volume_width": 128,
        "fine_width": 32,
        "mixers": 2,
        "view": True,
    },
    "tiny": {"widths": (8, 16), "blocks": (1, 1), "up_blocks": (1,), "volume_width": 8, "fine_width": 8, "mixers": 1, "view": True},
}
BATCHES = {"cpu": 64, "gpu": 64, "tiny": 2}
MINUTES = {"cpu": 110.0, "gpu": 25.0, "tiny": 1.0}
PIECES = {"cpu": 0.0, "gpu": 8.0, "tiny": 0.0}
HALF_SIZES = {"cpu": 1.0, "gpu": 0.3, "tiny": 0.5}


def resolved(options: TrainOptions) -> TrainOptions:
    """The options with the size's own values where they were left open."""
    return replace(
        options,
        minutes=options.minutes or MINUTES[options.size],
        piece_minutes=PIECES[options.size] if options.piece_minutes < 0 else options.piece_minutes,
        half_size=HALF_SIZES[options.size] if options.half_size < 0 else options.half_size,
        batch=options.batch or BATCHES[options.size],
    )
