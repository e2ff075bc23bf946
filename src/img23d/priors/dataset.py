"""Which objects teach and which examine, and the samples drawn of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from img23d.backends.rasterizers import BackendRasterizer, choose_rasterizer
from img23d.priors import frame
from img23d.priors.objects import Source, TrainingObject
from img23d.priors.samples import Sample, make_scene, random_pose, render_sample
from img23d.priors.shards import write_shard
from img23d.priors.store import ObjectStore
from img23d.priors.warp import identity, random_warp

HELD_OUT = 0.05
SHARD_SAMPLES = 128


def held_out(family: str, share: float = HELD_OUT) -> bool:
    """Whether a family of objects examines instead of teaching; depends on its name only, so that no later run can leak."""
    return int.from_bytes(hashlib.blake2b(family.encode(), digest_size=4).digest(), "big") < share * 2**32


def split_objects(sources: Sequence[Source]) -> tuple[list[int], list[int]]:
    """Indices of objects to learn from and of held-out ones; families stay together."""
    examine = [k for k, source in enumerate(sources) if not isinstance(source, ProceduralSource) and held_out(source.family)]
    return sorted(set(range(len(sources))) - set(examine)), examine


def draw_sample(store: ObjectStore, index: int, random: np.random.Generator, rasterizer: BackendRasterizer, warped: bool = True) -> Sample:
    """One random view of an object, deformed unless ``warped`` is False; views along the length of long objects are rare."""
    solid, item = store.solid(index), store.item(index)
    device = solid.device
    warp = random_warp(random, device) if warped else identity(device)
    crease = float(random.choice([0.0, 0.6, 1.1]))
    fill, shift = frame.FILL * random.uniform(0.97, 1.03), tuple(random.uniform(-0.015, 0.015, 2))
    for _ in range(4):
        scene = make_scene(item, solid, warp, random_pose(random, device), crease, fill, shift)
        depth = scene.framed.local[:, 2]
        if float(depth.amax() - depth.amin()) < 2 * frame.DEPTH_RANGE:
            break
    return render_sample(scene, random, rasterizer)


@dataclass(frozen=True)
class ProceduralSource:
    """An object made by code from a seed; never held out, as code can always make more."""

    seed: int

    @property
    def family(self) -> str:
        """As `img23d.priors.objects.Source.family`."""
        return f"procedural/{self.seed}"

    def load(self) -> TrainingObject:
        """Make the object."""
        from img23d.priors.procedural import random_object

        return random_object(np.random.default_rng(self.seed))


def weights_of(store: ObjectStore, indices: Sequence[int]) -> np.ndarray:
    """(N,) chances of objects to be drawn: those with photo-like textures twice as often as flat-coloured ones."""
    chance = np.array([1.0 if store.item(index).nearest else 2.0 for index in indices])
    return chance / chance.sum()


def sample_stream(store: ObjectStore, indices: Sequence[int], seed: int, rasterizer: BackendRasterizer) -> Iterator[tuple[int, Sample]]:
    """Endless samples of these objects with their numbers."""
    random, chance = np.random.default_rng(seed), weights_of(store, indices)
    while True:
        index = int(indices[random.choice(len(indices), p=chance)])
        yield index, draw_sample(store, index, random, rasterizer)


def write_learning_shards(
    store: ObjectStore, indices: Sequence[int], folder: Path, count: int, seed: int, progress: Callable[[int], None] | None = None
) -> None:
    """Write random samples until the folder holds ``count`` shards; goes on where an earlier run stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    rasterizer = choose_rasterizer("auto")
    for number in range(count):
        path = folder / f"{seed:04d}-{number:05d}.shard"
        if path.is_file():
            continue
        stream = sample_stream(store, indices, seed * 1_000_003 + number, rasterizer)
        numbers, samples = zip(*(next(stream) for _ in range(SHARD_SAMPLES)))
        write_shard(path, samples, numbers)
        if progress:
            progress(number)


def write_examination_shards(store: ObjectStore, indices: Sequence[int], folder: Path, views: int = 4, seed: int = 77) -> None:
    """Write the fixed views of held-out objects, not deformed, on which all networks are compared."""
    folder.mkdir(parents=True, exist_ok=True)
    rasterizer = choose_rasterizer("auto")
    for first in range(0, len(indices), SHARD_SAMPLES // views):
        path = folder / f"{first:05d}.shard"
        if path.is_file():
            continue
        samples, numbers = [], []
        for index in indices[first : first + SHARD_SAMPLES // views]:
            for view in range(views):
                random = np.random.default_rng([seed, index, view])
                samples.append(draw_sample(store, index, random, rasterizer, warped=False))
                numbers.append(index)
        write_shard(path, samples, numbers)
