"""From folders of objects to a training run: `img23d train prior`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from img23d.errors import InputError
from img23d.priors import frame
from img23d.priors.export import split_file
from img23d.training.dataset import (
    ProceduralSource,
    RestingSource,
    VariantSource,
    split_objects,
    write_examination_shards,
    write_learning_shards,
)
from img23d.training.live import LiveSource
from img23d.training.made_from import claim
from img23d.training.objects import Source
from img23d.training.often import taken_up
from img23d.training.options import TrainOptions, resolved
from img23d.training.pack import open_sources
from img23d.training.shape_trainer import ShardSource, run_training
from img23d.training.store import ObjectStore

PART_MB = 16.0
FINE, COARSE = 80, 64  # samples along each side of carved solids, for pictures of full and half size


def gather_sources(places: Sequence[str | Path], procedural: int, variants: int = 0, resting: int = 0) -> list[Source]:
    """The objects of all folders and packs, ``procedural`` ones made by code, ``variants`` of those not held out, ``resting`` ones of both.

    Raises:
        InputError: there are none, or a place does not exist.
    """
    sources: list[Source] = []
    for place in places:
        if not Path(place).exists():
            raise InputError(f"there is no folder or pack {place}", "--data FOLDER with textured GLB objects")
        sources.extend(open_sources(place))
    bases = [sources[index] for index in split_objects(sources)[0]]
    made = [ProceduralSource(seed) for seed in range(procedural)]
    sources.extend(made)
    sources.extend(VariantSource(bases, seed) for seed in range(variants if bases else 0))
    sources.extend(RestingSource([*bases, *made], seed) for seed in range(resting if bases or made else 0))
    if not sources:
        raise InputError("no objects to learn from", "--data FOLDER with textured GLB objects, or procedural objects")
    return sources


def picture_size(options: TrainOptions) -> int:
    """Pixels along each side of the pictures to draw beforehand: half of them where the training never sees full size."""
    return frame.IMAGE_SIZE // 2 if resolved(options).half_size >= 1.0 else frame.IMAGE_SIZE


def train_prior(
    options: TrainOptions,
    data_folders: Sequence[str | Path],
    out: str | Path,
    resume: bool = True,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, float]:
    """Train the embedded shape network from objects to shippable weights.

    Args:
        options: see `TrainOptions`.
        data_folders: folders of GLB files, or packs of `img23d.training.pack`.
        out: gets ``checkpoint.pt``, ``log.jsonl``, ``shape.safetensors``, and the cache unless that is elsewhere.
        resume: go on from what is there.
        progress: called with figures: ``shard`` while samples are drawn, all of `validate` while training.

    Returns:
        the last figures.

    Raises:
        InputError: nothing to learn from, the file of ``options.often`` cannot be used, or the cache is of other objects.
    """
    options, out = resolved(options), Path(out)
    cache = Path(options.cache) if options.cache else out / "cache"
    made = options.procedural, options.variants, options.resting
    sources = gather_sources(data_folders, *made)
    learn, examine = split_objects(sources)
    learn = taken_up(sources, learn, options.often)
    claim(cache, sources, options.often)
    write_examination_shards(ObjectStore(sources, cache / "solids", resolution=FINE), examine, cache / "examination")
    examination = cache / "examination" if examine else None
    if options.size == "gpu":
        places = [str(place) for place in data_folders]
        workers = options.workers or max((os.cpu_count() or 2) - 1, 1)
        live = LiveSource(places, made, options.often, cache / "solids", options.seed, options.batch, workers, options.draw_device)
        try:
            figures = run_training(options, live, examination, out, resume, progress)
        finally:
            live.close()
    else:
        told = (lambda shard: progress({"shard": float(shard)})) if progress else None
        size = picture_size(options)
        store = ObjectStore(sources, cache / "solids", resolution=COARSE if size < frame.IMAGE_SIZE else FINE)
        write_learning_shards(store, learn, cache / "learning", options.shards, options.seed, told, size)
        source = ShardSource(cache / "learning", options.batch, options.seed)
        figures = run_training(options, source, examination, out, resume, progress)
    split_file(out / "checkpoint.pt", PART_MB)
    return figures
