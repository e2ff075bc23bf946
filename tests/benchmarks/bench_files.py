"""How long files take, and how much memory a 20,000 px wide photo needs; prints a markdown table.

Run: python tests/benchmarks/bench_files.py [SIDE]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from img23d.io.images import load_photo
from img23d.io.meshes import load_mesh, save_mesh
from img23d.ops.atlas import unwrap
from img23d.ops.texture_transfer import transfer_texture
from img23d.scene import Mesh, TexturedMesh


def row(name: str, seconds: float, note: str) -> None:
    print(f"| {name} | {seconds:.2f} | {note} |", flush=True)


def photo_in_a_fresh_process(path: Path, height: int, width: int) -> None:
    """CPU seconds and the whole process's peak memory, Python and torch included."""
    child = subprocess.run([sys.executable, __file__, "--load", str(path)], capture_output=True, text=True, check=True)
    seconds, gigabytes = map(float, child.stdout.split())
    row(f"load {width} x {height} {path.suffix[1:]}", seconds, f"peak {gigabytes:.2f} GB")


def large_photos(folder: Path, side: int) -> None:
    Image.MAX_IMAGE_PIXELS = None
    height = side * 3 // 4
    tile = np.random.default_rng(0).integers(0, 256, (height // 16 + 1, side // 16 + 1, 3), np.uint8)
    picture = Image.fromarray(tile).resize((side, height), Image.Resampling.NEAREST)
    for suffix in ("jpg", "png"):
        path = folder / f"large.{suffix}"
        picture.save(path)
        photo_in_a_fresh_process(path, height, side)


def meshes(folder: Path) -> None:
    shape = trimesh.creation.icosphere(4)
    mesh = Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces)).long())
    uv, uv_faces = unwrap(mesh, 1024)
    y, x = torch.meshgrid(torch.linspace(0, 1, 1024), torch.linspace(0, 1, 1024), indexing="ij")
    texture = (torch.stack([x, y, 1 - x], -1) * 0.9 + torch.rand(1024, 1024, 3) * 0.1).clamp(0, 1)
    asset = TexturedMesh(mesh, uv, uv_faces, texture)
    for suffix in ("glb", "gltf", "obj", "ply", "stl"):
        start = time.process_time()
        path = save_mesh(folder / f"a.{suffix}", asset)[-1]
        middle = time.process_time()
        load_mesh(path)
        row(f"save and load {suffix}", time.process_time() - start, f"{len(mesh.faces):,} faces; saving {middle - start:.2f} s")
    start = time.process_time()
    coarse = trimesh.creation.icosphere(3)
    target = Mesh(torch.from_numpy(np.array(coarse.vertices)).float(), torch.from_numpy(np.array(coarse.faces)).long())
    transfer_texture(asset, target, 1024)
    row(
        "carry a 1024 px texture over",
        time.process_time() - start,
        f"{len(mesh.faces):,} to {len(target.faces):,} faces, new atlas included",
    )


def main() -> None:
    if sys.argv[1:2] == ["--load"]:
        start = time.process_time()
        load_photo(sys.argv[2])
        print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
        return
    torch.set_num_threads(1)
    print("| what | CPU s, 1 thread | |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        meshes(Path(folder))
        large_photos(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)


if __name__ == "__main__":
    main()
