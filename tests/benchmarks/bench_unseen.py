"""How much the sides that a photo does not show look like the true object's: a markdown table.

usage: python tests/benchmarks/bench_unseen.py DATA RUNS [--photograph COUNT] [--jobs 1] [--set KEY=VALUE ...]

DATA holds photos/NAME.png, photos/cameras.json and objects/NAME.glb; RUNS holds NAME.run, as `img23d batch DATA/photos --out RUNS` makes
them. With --photograph DATA is a folder of textured objects with a manifest, as `img23d train prior --data` takes it: that many of those
with photographed textures are photographed into RUNS/photos (as bench_held_out.py does), and `img23d batch` makes the runs; it goes on
where it stopped.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from bench_held_out import photograph

from img23d.backends.rasterizers import choose_rasterizer
from img23d.evals.appearance import Appearance, appearance, turned_views
from img23d.scene import Mesh, TexturedMesh
from img23d.scene.cameras import orbit_degrees
from img23d.stages.artifacts import load_guess, load_textured
from img23d.training.objects import TrainingObject, load_object, normalise

TURNS = (0.0, 90.0, 120.0, 150.0, 180.0, 210.0, 240.0, 270.0)
PLAIN = 12  # standard deviation of the manifest's colours under which a texture tells nothing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--photograph", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    if options.photograph:
        places = photograph_some(options.data, options.runs, options.photograph, options.jobs, options.settings)
    else:
        told = json.loads((options.data / "photos" / "cameras.json").read_text())
        places = {name: (options.data / "objects" / f"{name}.glb", one["azimuth_deg"], one["elevation_deg"]) for name, one in told.items()}
    print("| object | colour | detail |\n|---|---|---|")
    rows = []
    for name, place in sorted(places.items()):
        if (options.runs / f"{name}.run" / "05_texture").is_dir():
            found = measure(options.runs / f"{name}.run", *place)
            rows.append((found.colour, found.detail))
            print(f"| {name} | {found.colour:.3f} | {found.detail:.4f} |", flush=True)
    print(f"| **mean of {len(rows)}** | {np.nanmean(rows, 0)[0]:.4f} | {np.nanmean(rows, 0)[1]:.5f} |")


def photograph_some(data: Path, runs: Path, count: int, jobs: int, settings: list[str]) -> dict[str, tuple[Path, float, float]]:
    """Make photos and runs; where each object, its azimuth and elevation are, by name."""
    entries = json.loads((data / "manifest.json").read_text())
    textured = [one for one in entries if one["photo_textured_pack"] and one["colour_std"] > PLAIN]
    photos, places = runs / "photos", {}
    photos.mkdir(parents=True, exist_ok=True)
    for number, index in enumerate(np.random.default_rng(31).permutation(len(textured))[:count]):
        path = data / textured[index]["file"]
        name = f"{number:03d}-{path.stem}"
        item = normalise(load_object(path))
        photograph(item, photos / f"{name}.png", np.random.default_rng([31, number]))
        azimuth, elevation = np.random.default_rng([31, number]).uniform((-60, 0), (60, 35))
        places[name] = (path, azimuth, elevation)
    words = [word for setting in settings for word in ("--set", setting)]
    subprocess.run([sys.executable, "-m", "img23d", "batch", str(photos), "--out", str(runs), "--jobs", str(jobs), *words], check=False)
    return places


def measure(run: Path, path: Path, azimuth: float, elevation: float) -> Appearance:
    """Compare a finished run with the true object, each seen by its own camera."""
    rasterizer = choose_rasterizer("numba")
    views, _ = load_guess(run / "02_estimate")
    item = normalise(load_object(path))
    fov = 2 * np.degrees(np.arctan(0.5 / float(views.cameras.focal[0, 0])))
    camera = orbit_degrees([azimuth], elevation, 3.0, fov)
    with torch.no_grad():
        made = turned_views(load_textured(run / "05_texture"), views.cameras[:1], TURNS, rasterizer)
        return appearance(made, turned_views(as_textured(item), camera, TURNS, rasterizer))


def as_textured(item: TrainingObject) -> TexturedMesh:
    """The object with a square texture, as `draw_asset` takes it."""
    planes = torch.from_numpy(item.texture.copy()).float().permute(2, 0, 1)[None] / 255
    side = min(2048, max(256, *item.texture.shape[:2]))
    texture = F.interpolate(planes, size=(side, side), mode="nearest" if item.nearest else "bilinear")[0].permute(1, 2, 0)
    uv = torch.from_numpy(item.corner_uv).float().reshape(-1, 2)
    mesh = Mesh(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long())
    return TexturedMesh(mesh, uv, torch.arange(len(uv)).reshape(-1, 3), texture)


if __name__ == "__main__":
    main()
