"""Which objects teach and which examine, and the samples drawn of them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from img23d.backends.rasterizers import BackendRasterizer, choose_rasterizer
from img23d.priors import frame
from img23d.training.objects import Source, TrainingObject
from img23d.training.samples import Sample, make_scene, random_pose, render_sample
from img23d.training.shards import write_shard
from img23d.training.store import ObjectStore
from img23d.training.warp import identity, random_warp

HELD_OUT = 0.05
VIEWS = 8  # of an object each time it is taken up: loading and carving cost more than a view
SHARD_VISITS = 24
EXAMINATION_SAMPLES = 128  # in a shard
ATTACHED = 0.25  # share of variants that are made of two objects
DEFORMED = 0.2  # share of samples that are stretched, sheared or tapered: photos show things as they are


def held_out(family: str, share: float = HELD_OUT) -> bool:
    """Whether a family of objects examines instead of teaching; depends on its name only, so that no later run can leak."""
    return int.from_bytes(hashlib.blake2b(family.encode(), digest_size=4).digest(), "big") < share * 2**32


def split_objects(sources: Sequence[Source]) -> tuple[list[int], list[int]]:
    """Indices of objects to learn from and of held-out ones; families stay together."""
    taught = (ProceduralSource, VariantSource, RestingSource)  # whatever their names; made of what is not held out
    examine = [k for k, source in enumerate(sources) if not isinstance(source, taught) and held_out(source.family)]
    return sorted(set(range(len(sources))) - set(examine)), examine


def draw_sample(
    store: ObjectStore, index: int, random: np.random.Generator, rasterizer: BackendRasterizer,
    deformed: float = DEFORMED, size: int = frame.IMAGE_SIZE,
) -> Sample:  # fmt: skip
    """One random view of an object, deformed with a chance of ``deformed``; views along the length of long objects are rare."""
    solid, item = store.solid(index), store.item(index)
    device = solid.device
    warp = random_warp(random, device) if deformed and random.random() < deformed else identity(device)
    crease = float(random.choice([0.0, 0.6, 1.1]))
    fill, shift = frame.FILL * random.uniform(0.97, 1.03), tuple(random.uniform(-0.015, 0.015, 2))
    for _ in range(4):
        scene = make_scene(item, solid, warp, random_pose(random, device), crease, fill, shift)
        depth = scene.framed.local[:, 2]
        if float(depth.amax() - depth.amin()) < 2 * frame.DEPTH_RANGE:
            break
    return render_sample(scene, random, rasterizer, size)


@dataclass(frozen=True)
class ProceduralSource:
    """An object made by code from a seed; never held out, as code can always make more."""

    seed: int

    @property
    def family(self) -> str:
        """As `img23d.training.objects.Source.family`."""
        return f"procedural/{self.seed}"

    def load(self) -> TrainingObject:
        """Make the object."""
        from img23d.training.procedural import random_object

        return random_object(np.random.default_rng(self.seed))


@dataclass(frozen=True)
class VariantSource:
    """A real object bent, twisted, tapered or stretched, now and then with another one attached.

    Args:
        bases: objects to choose from, none of them held out.
        seed: of the choice and the deformation.
    """

    bases: Sequence[Source]
    seed: int

    @property
    def family(self) -> str:
        """As `img23d.training.objects.Source.family`."""
        return f"variant/{self.seed}"

    def load(self) -> TrainingObject:
        """Make the object."""
        from img23d.training.deform import attach, random_deformation

        random = np.random.default_rng([self.seed, 5])
        item = self.bases[int(random.integers(len(self.bases)))].load()
        if random.random() < ATTACHED:
            item = attach(item, self.bases[int(random.integers(len(self.bases)))].load(), random)
        return random_deformation(item, random)


@dataclass(frozen=True)
class RestingSource:
    """An object lying as it may fall, which need not be upright.

    Args:
        bases: objects to choose from, none of them held out.
        seed: of the choice and the pose.
    """

    bases: Sequence[Source]
    seed: int

    @property
    def family(self) -> str:
        """As `img23d.training.objects.Source.family`."""
        return f"resting/{self.seed}"

    def load(self) -> TrainingObject:
        """Make the object."""
        from img23d.training.resting import at_rest

        random = np.random.default_rng([self.seed, 6])
        return at_rest(self.bases[int(random.integers(len(self.bases)))].load(), random)


def visits(indices: Sequence[int], seed: int) -> Iterator[int]:
    """Endless numbers of objects: all of them in a random order, then in another."""
    for epoch in itertools.count():
        yield from np.random.default_rng([seed, epoch]).permutation(np.asarray(indices)).tolist()


def visit_samples(
    store: ObjectStore, index: int, random: np.random.Generator, rasterizer: BackendRasterizer, size: int = frame.IMAGE_SIZE
) -> Iterator[Sample]:
    """Several views of one object, each lit anew and some deformed; photo-like textures give twice as many as flat colours."""
    for _ in range(VIEWS // 2 if store.item(index).nearest else VIEWS):
        yield draw_sample(store, index, random, rasterizer, size=size)


def sample_stream(
    store: ObjectStore, indices: Sequence[int], seed: int, rasterizer: BackendRasterizer, size: int = frame.IMAGE_SIZE
) -> Iterator[tuple[int, Sample]]:
    """Endless samples of these objects with their numbers."""
    random = np.random.default_rng(seed)
    for index in visits(indices, seed):
        for sample in visit_samples(store, index, random, rasterizer, size):
            yield index, sample


def write_learning_shards(
    store: ObjectStore, indices: Sequence[int], folder: Path, count: int, seed: int, progress: Callable[[int], None] | None = None,
    size: int = frame.IMAGE_SIZE, share: tuple[int, int] = (0, 1),
) -> None:  # fmt: skip
    """Write samples of `SHARD_VISITS` objects a shard until the folder holds ``count`` shards; goes on where an earlier run stopped.

    Args:
        store: the objects.
        indices: those to learn from.
        folder: where to write.
        count: shards in all.
        seed: of the samples.
        progress: called with the number of each shard written.
        size: pixels along each side of the pictures.
        share: write only the shards of this worker, of so many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rasterizer = choose_rasterizer("auto")
    chosen = visits(indices, seed)
    for number in range(count):
        path, objects = folder / f"{seed:04d}-{number:05d}.shard", list(itertools.islice(chosen, SHARD_VISITS))
        if path.is_file() or number % share[1] != share[0]:
            continue
        random = np.random.default_rng([seed, number, 7])
        drawn = [(index, sample) for index in objects for sample in visit_samples(store, index, random, rasterizer, size)]
        numbers, samples = zip(*drawn)
        write_shard(path, samples, numbers)
        if progress:
            progress(number)


def write_examination_shards(store: ObjectStore, indices: Sequence[int], folder: Path, views: int = 4, seed: int = 77) -> None:
    """Write the fixed views of held-out objects, not deformed, on which all networks are compared."""
    folder.mkdir(parents=True, exist_ok=True)
    rasterizer = choose_rasterizer("auto")
    for first in range(0, len(indices), EXAMINATION_SAMPLES // views):
        path = folder / f"{first:05d}.shard"
        if path.is_file():
            continue
        samples, numbers = [], []
        for index in indices[first : first + EXAMINATION_SAMPLES // views]:
            for view in range(views):
                random = np.random.default_rng([seed, index, view])
                samples.append(draw_sample(store, index, random, rasterizer, deformed=0.0))
                numbers.append(index)
        write_shard(path, samples, numbers)
