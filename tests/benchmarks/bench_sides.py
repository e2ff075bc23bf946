"""What a second photo, of the back, is worth: held-out objects from one photo and from two, as a markdown table.

usage: python tests/benchmarks/bench_sides.py DATA OUT [--count 12] [--azimuth 180] [--preset standard] [--set KEY=VALUE ...]

DATA is a folder of textured objects as `img23d train prior --data` takes it. The first photos are those of bench_held_out.py; the second
ones have an elevation and a field of view of their own, and their azimuth is told with an error of 5 degrees (standard deviation).
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from bench_held_out import photograph, shoot

from img23d.backends.rasterizers import choose_rasterizer
from img23d.evals.protocols import registered
from img23d.io.meshes import load_mesh
from img23d.scene import Mesh, TexturedMesh
from img23d.training.dataset import split_objects
from img23d.training.objects import TrainingObject, normalise
from img23d.training.shape_train import gather_sources

TOLD = 5.0  # degrees


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--azimuth", type=float, default=180.0)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sources = gather_sources([options.data], procedural=0)
    chosen = [int(index) for index in np.random.default_rng(2026).permutation(split_objects(sources)[1])[: options.count]]
    print("| object | one photo: cd | F@.05 | F@.1 | IoU | two: cd | F@.05 | F@.1 | IoU |\n|---|---|---|---|---|---|---|---|---|")
    rows = []
    for index in chosen:
        item, first = normalise(sources[index].load()), options.out / f"{index:04d}.png"
        second = options.out / f"{index:04d}_{options.azimuth:g}.png"
        photograph(item, first, np.random.default_rng([2026, index]))
        other_side(item, second, options.azimuth, index)
        made = []
        for name, more in (("one", []), ("two", ["--view", f"{options.azimuth:g}={second}"])):
            target = options.out / f"{index:04d}_{name}.glb"
            settings = [word for setting in options.settings for word in ("--set", setting)]
            command = [
                sys.executable,
                "-m",
                "img23d",
                "generate",
                str(first),
                "-o",
                str(target),
                "-p",
                options.preset,
                "-q",
                *more,
                *settings,
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            made += shape_scores(target, item)
        rows.append(made)
        print(f"| {sources[index].family} | {' | '.join(f'{value:.3f}' for value in made)} |", flush=True)
    print(f"| **mean of {len(rows)}** | {' | '.join(f'{value:.4f}' for value in np.mean(rows, 0))} |")


def other_side(item: TrainingObject, path: Path, azimuth: float, index: int) -> None:
    """Render the second photo, cut out."""
    first = float(np.random.default_rng([2026, index]).uniform(-60, 60))  # as `photograph` draws it
    random = np.random.default_rng([2027, index])
    elevation, fov, error = random.uniform(0, 35), random.uniform(25, 45), random.normal(0, TOLD)
    shoot(item, path, first + azimuth + error, elevation, fov)


def shape_scores(made: Path, item: TrainingObject) -> list[float]:
    """Chamfer distance, F-scores at .05 and .1, and IoU, registered."""
    loaded = load_mesh(made)
    truth = Mesh(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long())
    found = registered(loaded.mesh if isinstance(loaded, TexturedMesh) else loaded, truth, choose_rasterizer("numba"))
    return [found.chamfer, found.f_score[0.05], found.f_score[0.1], found.iou]


if __name__ == "__main__":
    main()
