"""What a training sample of the shape network costs: carving an object, compiled and by the reference, and drawing a view of it.

Run: python tests/benchmarks/bench_samples.py [OBJECTS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops import inflate
from img23d.training import carve, carve_compiled
from img23d.training.dataset import ProceduralSource, visit_samples
from img23d.training.store import ObjectStore


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def carve_all(store: ObjectStore) -> None:
    for number in range(len(store)):
        item = store.item(number)
        carve.carve(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long(), 64, 33, 115)


def use_references() -> None:
    """Torch and SciPy in place of the compiled loops."""
    from scipy.ndimage import distance_transform_edt

    carve.carve_views = carve.carve_views_reference
    carve_compiled.surface_distance = lambda points, normals, resolution, lowest, step, preference: carve.packed_distance(
        torch.from_numpy(points).float(), torch.from_numpy(normals).float(), resolution, step
    ).numpy()
    carve_compiled.capped_distance = lambda occupied, cap: distance_transform_edt(~occupied)
    inflate.parabola_minimum = inflate.parabola_minimum_reference


def main(count: int) -> None:
    torch.set_num_threads(1)
    random, rasterizer = np.random.default_rng(1), choose_rasterizer("auto")
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore([ProceduralSource(90_000 + number) for number in range(count)], Path(folder), resolution=64)
        drawn = [store.solid(number) for number in range(count)]  # made and compiled before anything is timed
        print(f"one thread, {len(drawn)} procedural objects, pictures of 64 px, solids of 64 samples a side\n")
        print("| | ms an object: carve | ms a view: draw | samples a second |\n|---|---|---|---|")
        for name in ("compiled", "reference"):
            if name == "reference":
                use_references()
            carving = seconds(lambda: carve_all(store)) / count
            begun = time.perf_counter()
            views = sum(len(list(visit_samples(store, number, random, rasterizer, 64))) for number in range(count))
            drawing = (time.perf_counter() - begun) / views
            print(f"| {name} | {1e3 * carving:.0f} | {1e3 * drawing:.1f} | {1 / (carving * count / views + drawing):.0f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
