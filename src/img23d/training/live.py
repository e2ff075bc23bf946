"""Fresh samples all the time: worker processes draw, the trainer takes from what they drew last."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from img23d.training.samples import Sample
from img23d.training.shards import pack_sample, unpack_sample


def draw_forever(
    places: Sequence[str], made: tuple[int, int, int], often: str, solids: str, seed: int, worker: int, device: str, drawn: Any
) -> None:
    """A worker: put packed samples into a queue until the trainer ends.

    Args:
        places: folders or packs of objects.
        made: how many objects made by code to add, how many deformed and joined ones, and how many that lie as they fell.
        often: file of how often objects are taken up; see `img23d.training.often`.
        solids: folder where carved solids are kept, shared by all workers.
        seed: of the run.
        worker: number of this one.
        device: where to carve and draw.
        drawn: the queue.
    """
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.training.dataset import sample_stream, split_objects
    from img23d.training.often import taken_up
    from img23d.training.shape_train import gather_sources
    from img23d.training.store import ObjectStore

    torch.set_num_threads(1)
    sources = gather_sources(places, *made)
    store = ObjectStore(sources, Path(solids), device)
    learn, _ = split_objects(sources)
    stream = sample_stream(store, taken_up(sources, learn, often), seed * 1_000_003 + worker, choose_rasterizer("auto", device))
    for _, sample in stream:
        drawn.put(pack_sample(sample))


class LiveSource:
    """Samples of worker processes; each is used a few times, with other mirrorings and colours.

    Args:
        places, made, often, solids, seed: see `draw_forever`.
        batch: samples per step.
        workers: processes.
        device: where they draw.
        keep: how many of the latest samples to choose from.
        begin: how many must be there before the first step.
    """

    def __init__(
        self, places: Sequence[str], made: tuple[int, int, int], often: str, solids: Path, seed: int, batch: int, workers: int,
        device: str = "cpu", keep: int = 30_000, begin: int = 2_000,
    ) -> None:  # fmt: skip
        context = torch.multiprocessing.get_context("spawn")
        self.drawn = context.Queue(256)
        self.batch, self.seed, self.keep, self.begin = batch, seed, keep, max(begin, batch)
        self.latest: list[bytes] = []
        self.total = 0
        self.threads = ThreadPoolExecutor(8)
        self.next: dict[int, list[Future[Sample]]] = {}
        same = list(places), made, often, str(solids), seed
        self.workers = [
            context.Process(target=draw_forever, args=(*same, number, device, self.drawn), daemon=True) for number in range(workers)
        ]
        for process in self.workers:
            process.start()

    def take(self, wait: bool) -> None:
        """Move what has been drawn into the pool, over the oldest."""
        while True:
            try:
                packed = self.drawn.get(wait, timeout=60.0 if wait else None)
            except queue.Empty:
                if wait and not any(process.is_alive() for process in self.workers):
                    raise RuntimeError("all workers that draw samples have ended") from None
                return
            if len(self.latest) < self.keep:
                self.latest.append(packed)
            else:
                self.latest[self.total % self.keep] = packed
            self.total += 1
            if wait:
                return

    def prefetch(self, step: int) -> None:
        """Begin to unpack the samples of a step."""
        chosen = np.random.default_rng([self.seed, step]).integers(0, len(self.latest), self.batch)
        self.next[step] = [self.threads.submit(unpack_sample, self.latest[index]) for index in chosen]

    def samples(self, step: int) -> list[Sample]:
        """As `img23d.training.shape_trainer.SampleSource.samples`; which ones they are depends on the workers' speed."""
        while self.total < self.begin:
            self.take(wait=True)
        self.take(wait=False)
        if step not in self.next:
            self.prefetch(step)
        self.prefetch(step + 1)
        return [future.result() for future in self.next.pop(step)]

    def close(self) -> None:
        """End the workers."""
        for process in self.workers:
            process.terminate()
        for process in self.workers:
            process.join()
        self.threads.shutdown(wait=False, cancel_futures=True)
