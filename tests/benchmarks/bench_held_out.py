"""The whole pipeline on objects whose families the embedded networks have never seen: a markdown table.

usage: python tests/benchmarks/bench_held_out.py DATA OUT [--count 24] [--resting] [--jobs 1] [--set KEY=VALUE ...]

DATA is a folder of textured objects as `img23d train prior --data` takes it. Photos of held-out ones, cut out, 512 px, are rendered into
OUT/photos (azimuth -60..60, elevation 0..35, field of view 25..45 degrees); `img23d batch` makes OUT/meshes, and goes on where it stopped.
With --resting as many others are taken, and lie as they fell instead of standing as they were modelled.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from bench_generate import measure
from PIL import Image

from img23d.backends.rasterizers import choose_rasterizer
from img23d.evals.protocols import registered
from img23d.io.reading import load_mesh
from img23d.scene import Mesh, TexturedMesh
from img23d.scene.cameras import orbit_degrees
from img23d.training.dataset import split_objects
from img23d.training.objects import TrainingObject, normalise
from img23d.training.photo_lights import Softbox, Studio
from img23d.training.render_photo import Placed, render_photo
from img23d.training.resting import at_rest
from img23d.training.shape_train import gather_sources

SIZE = 512
STUDIO = Studio(
    (Softbox(-0.9, 0.75, 0.42, 0.5, (3.6, 3.45, 3.2)), Softbox(1.5, 0.55, 0.3, 0.45, (1.0, 1.05, 1.15))),
    (0.42, 0.45, 0.5), (0.42, 0.42, 0.43), (0.24, 0.22, 0.2),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--resting", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    sources = gather_sources([options.data], procedural=0)
    random = np.random.default_rng(2026)
    first = options.count if options.resting else 0
    chosen = [int(index) for index in random.permutation(split_objects(sources)[1])[first : first + options.count]]
    photos, meshes = options.out / "photos", options.out / "meshes"
    photos.mkdir(parents=True, exist_ok=True)
    items = {}
    for index in chosen:
        name = f"{index:04d}"
        loaded = sources[index].load()
        items[name] = normalise(at_rest(loaded, np.random.default_rng([2026, index, 1])) if options.resting else loaded)
        photograph(items[name], photos / f"{name}.png", np.random.default_rng([2026, index]))
    settings = [word for setting in options.settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "img23d", "batch", str(photos), "--out", str(meshes), "--jobs", str(options.jobs), *settings]
    subprocess.run(command, check=False)  # failures are missing rows
    print("| object | cd | F@.05 | F@.1 | F@.2 | IoU | silhouette IoU | PSNR dB | in its light |\n|---|---|---|---|---|---|---|---|---|")
    rows = []
    for index, (name, item) in zip(chosen, items.items()):
        if (meshes / f"{name}.glb").is_file():
            rows.append(score(meshes / f"{name}.glb", item, meshes / f"{name}.run"))
            print(f"| {sources[index].family} | {told(rows[-1])} |", flush=True)
    print(f"| **mean of {len(rows)}** | {told(np.mean(rows, 0))} |")


def photograph(item: TrainingObject, path: Path, random: np.random.Generator) -> None:
    """Render one cut-out photo."""
    shoot(item, path, random.uniform(-60, 60), random.uniform(0, 35), random.uniform(25, 45))


def shoot(item: TrainingObject, path: Path, azimuth: float, elevation: float, fov: float) -> None:
    """Render one cut-out photo from there; degrees."""
    points = torch.from_numpy(item.vertices)
    radius = float((points - (points.amax(0) + points.amin(0)) / 2).norm(dim=-1).max())
    camera = orbit_degrees([azimuth], elevation, 1.12 * radius / np.sin(np.radians(fov / 2)), fov)
    grey = torch.full((SIZE, SIZE, 3), 0.8)
    photo = render_photo((Placed(item, gloss=0.3, roughness=0.2, crease=0.8),), camera, STUDIO, SIZE, SIZE, grey, lamps=(16, 24))
    pixels = torch.cat([photo.rgb, photo.alpha[..., None]], -1).clamp(0, 1) * 255
    Image.fromarray(pixels.round().byte().numpy()).save(path)


def score(made: Path, item: TrainingObject, run: Path) -> tuple[float, ...]:
    """Chamfer distance, F-scores and IoU of shape; silhouette IoU and both PSNRs (see `measure`) from the photo's camera."""
    loaded = load_mesh(made)
    mesh = loaded.mesh if isinstance(loaded, TexturedMesh) else loaded
    truth = Mesh(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long())
    found = registered(mesh, truth, choose_rasterizer("numba"))
    return found.chamfer, *(found.f_score[threshold] for threshold in (0.05, 0.1, 0.2)), found.iou, *measure(run)[:3]


def told(row: tuple[float, ...] | np.ndarray) -> str:
    """One row of the table."""
    return " | ".join(f"{value:.1f}" if k > 5 else f"{value:.3f}" for k, value in enumerate(row))


if __name__ == "__main__":
    main()
