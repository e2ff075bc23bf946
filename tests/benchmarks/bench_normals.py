"""Normals and camera elevation that `estimate` finds, against scanned objects: a markdown table.

usage: python tests/benchmarks/bench_normals.py DATA RUNS

DATA holds photos/NAME.png (RGBA), photos/cameras.json (azimuth_deg, elevation_deg, fov_deg, distance) and objects/NAME.glb; RUNS holds
NAME.run, as `img23d batch DATA/photos --out RUNS` makes them. Angles are taken in the camera's frame, over the pixels that photo and truth
both cover.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from img23d.backends.rasterizers import choose_rasterizer
from img23d.evals.metrics import normal_error_deg
from img23d.ops.crop import crop, object_box
from img23d.ops.render import render
from img23d.priors.frame import FILL
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees
from img23d.stages.artifacts import load_views
from img23d.training.objects import load_object


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    cameras = json.loads((options.data / "photos" / "cameras.json").read_text())
    print("| object | silhouettes agree | normals, degrees | elevation error |\n|---|---|---|---|")
    rows = []
    for run in sorted(options.runs.glob("*.run")):
        rows.append(measure(options.data, run, cameras[run.stem]))
        print(f"| {run.stem} | " + " | ".join(f"{value:.3f}" if k == 0 else f"{value:.1f}" for k, value in enumerate(rows[-1])) + " |")
    table = np.array(rows)
    print(f"| **mean** | {table[:, 0].mean():.3f} | {table[:, 1].mean():.1f} | {table[:, 2].mean():.1f} |")
    print(f"\nelevation: median error {np.median(table[:, 2]):.1f} degrees")


def measure(data: Path, run: Path, told: dict[str, float]) -> tuple[float, float, float]:
    """Silhouette IoU of truth and photo (a check of the cameras), mean angle of the normals, and the elevation's error, degrees."""
    photo = torch.from_numpy(np.array(Image.open(data / "photos" / f"{run.stem}.png").convert("RGBA"))).float() / 255
    size, alpha = len(photo), photo[..., 3]
    item = load_object(data / "objects" / f"{run.stem}.glb")
    vertices = torch.from_numpy(item.vertices)
    vertices = vertices - (vertices.amin(0) + vertices.amax(0)) / 2
    mesh = Mesh(vertices / vertices.norm(dim=1).max(), torch.from_numpy(item.faces).long())
    camera = orbit_degrees([told["azimuth_deg"]], told["elevation_deg"], told["distance"], told["fov_deg"])
    seen = render(mesh, camera, size, size, choose_rasterizer("numba")).views
    overlap = float(((seen.mask[0] > 0.5) & (alpha > 0.5)).sum() / ((seen.mask[0] > 0.5) | (alpha > 0.5)).sum())
    views = load_views(run / "02_estimate")
    assert seen.normal is not None and views.normal is not None
    side, box = views.mask.shape[-1], object_box(alpha, FILL)
    truth = crop(seen.normal[0] @ camera.cam_to_world[0, :3, :3], box, side)
    covered = crop(seen.mask[0][..., None], box, side)[..., 0]
    found = views.normal[0] @ views.cameras.cam_to_world[0, :3, :3]
    both = ((covered > 0.99) & (views.mask[0] > 0.99)).numpy()
    height = math.degrees(math.asin(float(views.cameras.cam_to_world[0, 1, 2])))
    return overlap, normal_error_deg(found.numpy(), truth.numpy(), both), abs(height - told["elevation_deg"])


if __name__ == "__main__":
    main()
