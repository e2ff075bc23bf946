"""Seconds that each step of the texture stage takes, by number of faces; prints a markdown table.

usage: python bench_texture.py [--size 1024] [--photo 512] [--faces 5000 12000 20000 50000]
"""

from __future__ import annotations

import argparse
import resource
import time
from itertools import pairwise

import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.config import Texture
from img23d.ops.interpolate import fragments, interpolate, to_image
from img23d.scene import Mesh, ShapePrior, Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.context import Context
from img23d.stages.texture import texture


def bumpy_object() -> Mesh:
    """80k faces: an elongated body with bumps, symmetric left and right."""
    made = trimesh.creation.icosphere(6, 0.8)
    points = torch.tensor(made.vertices, dtype=torch.float32)
    bumps = 1 + 0.08 * torch.sin(9 * points[:, 1]) * torch.cos(7 * points[:, 2]) + 0.1 * torch.cos(4 * points[:, 0])
    return Mesh(points * bumps[:, None] * torch.tensor([0.6, 0.7, 1.0]), torch.tensor(made.faces, dtype=torch.int64))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--photo", type=int, default=512)
    parser.add_argument("--faces", type=int, nargs="+", default=[5000, 12000, 20000, 50000])
    arguments = parser.parse_args()
    mesh, rasterizer, side = bumpy_object(), choose_rasterizer("auto"), arguments.photo
    camera = orbit_degrees([40.0], 20.0, 3.0, 40.0)
    points = camera.project(mesh.vertices)
    seen = fragments(rasterizer.face_ids(points, mesh.faces, side, side), points, mesh.faces)
    rgb = to_image(seen, 0.5 + 0.3 * torch.sin(9 * interpolate(seen, mesh.vertices)))
    views = Views(camera, rgb, to_image(seen, torch.ones_like(seen.depth)))
    prior = ShapePrior(torch.zeros(4, 4, 4), torch.zeros(4, 4, 4), torch.full((side, side, 3), 0.5), torch.full((side, side), 0.5))
    rows, wall = {}, {}
    for faces in arguments.faces:
        rows[faces], wall[faces] = timed(views, prior, mesh, Texture(faces=faces, size=arguments.size), rasterizer)
    steps = list(dict.fromkeys(step for row in rows.values() for step in row))
    print(f"{arguments.size} px texture, {side} px photo, {len(mesh.faces)} faces before, {torch.get_num_threads()} threads")
    print("Processor seconds by step; in brackets the wall time of all.\n")
    print("| faces | " + " | ".join(steps) + " | total |\n" + "|---" * (len(steps) + 2) + "|")
    for faces, row in rows.items():
        print(
            f"| {faces} | " + " | ".join(f"{row.get(step, 0):.2f}" for step in steps) + f" | {sum(row.values()):.2f} ({wall[faces]:.1f}) |"
        )
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def timed(views: Views, prior: ShapePrior, mesh: Mesh, options: Texture, rasterizer) -> tuple[dict[str, float], float]:
    """Processor seconds by step and wall seconds in total, of the second of two runs: the first one compiles."""
    for _ in range(2):
        marks: list[tuple[str, float]] = []
        context = Context(torch.device("cpu"), rasterizer, progress=lambda _, text, marks=marks: marks.append((text, time.process_time())))
        start_wall = time.perf_counter()
        texture(views, prior, mesh, options, context)
        wall = time.perf_counter() - start_wall
    spent: dict[str, float] = {}
    for (step, start), (_, stop) in pairwise(marks):
        spent[step] = spent.get(step, 0.0) + stop - start
    return spent, wall


if __name__ == "__main__":
    main()
