"""Time marching tetrahedra, subdivision and what comes after; prints a markdown table.

    python tests/benchmarks/bench_tets.py [--kaolin PATH] [--resolution 25] [--device cpu] [--repeat 5]

``--kaolin`` names a folder with Kaolin's sources, for machines without its wheel; its functions need nothing but torch.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import types
from collections.abc import Callable

import torch

from img23d.backends.tetrahedra import BackendTetrahedra, choose_tetrahedra
from img23d.errors import BackendError
from img23d.ops.band import surface_band
from img23d.ops.decimate import decimate
from img23d.ops.edges import edge_table, face_pairs
from img23d.ops.march import marching_tetrahedra
from img23d.ops.mesh_losses import laplacian_loss, normal_consistency
from img23d.ops.subdivide import subdivide
from img23d.ops.tetgrid import grid_edges, tet_grid
from img23d.ops.topology import is_closed_manifold, make_manifold
from img23d.scene import Mesh, TetGrid


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kaolin", default="")
    parser.add_argument("--resolution", type=int, default=25, help="25 has about the tets of the field's grid called 64; see tet_grid")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    if options.kaolin:
        use_kaolin_sources(options.kaolin)
    backends = [choose_tetrahedra("torch")]
    try:
        backends.append(choose_tetrahedra("kaolin"))
    except BackendError as error:
        print(f"(no Kaolin rows: {error.message})\n")
    grid = tet_grid(options.resolution)
    grid = TetGrid(grid.vertices.to(options.device), grid.tets.to(options.device))
    sdf = grid.vertices.norm(dim=-1) - 0.7
    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads; best of {options.repeat}, processor time\n")
    print("| operation | size | " + " | ".join(f"{backend.name}, ms" for backend in backends) + " |")
    print("|---|---|" + "---|" * len(backends))

    def row(name: str, size: str, work: Callable[[BackendTetrahedra], object], only_ours: bool = False) -> None:
        times = [
            f"{best(lambda b=backend: work(b), options.repeat, options.device):.1f}" for backend in backends[: 1 if only_ours else None]
        ]
        print(f"| {name} | {size} | " + " | ".join(times + [""] * (len(backends) - len(times))) + " |", flush=True)

    row("build the grid", f"resolution {options.resolution}", lambda _: tet_grid(options.resolution), only_ours=True)
    march_rows(row, "whole grid", grid, sdf)
    row("subdivide, whole grid", f"{len(grid.tets)} tets", lambda b: b.subdivide(grid, sdf))
    band = surface_band(grid.tets, sdf, 1)
    row("find the band", f"{len(grid.tets)} tets", lambda _: surface_band(grid.tets, sdf, 1), only_ours=True)
    row("subdivide, band", f"{int(band.sum())} tets", lambda b: b.subdivide(grid, sdf, selected=band))
    fine, (fine_sdf,) = subdivide(grid, sdf, selected=band)
    march_rows(row, "finer band", fine, fine_sdf)
    vertices, faces, _ = marching_tetrahedra(fine.vertices, fine.tets, fine_sdf)
    mesh = Mesh(vertices, faces)
    size, moving = f"{len(faces)} faces", vertices.clone().requires_grad_()
    row("edges and face pairs", size, lambda _: face_pairs(edge_table(faces, len(vertices))), only_ours=True)
    row("normal consistency, with gradient", size, lambda _: normal_consistency(moving, faces).backward(), only_ours=True)
    row("Laplacian, with gradient", size, lambda _: laplacian_loss(moving, faces).backward(), only_ours=True)
    row("is closed and manifold", size, lambda _: is_closed_manifold(mesh), only_ours=True)
    row("make manifold", size, lambda _: make_manifold(mesh), only_ours=True)
    row("decimate to 5000", size, lambda _: decimate(mesh, 5000), only_ours=True)


def march_rows(row: Callable[..., None], where: str, grid: TetGrid, sdf: torch.Tensor) -> None:
    """Marching alone, and with its gradient."""
    place, distance = grid.vertices.clone().requires_grad_(), sdf.clone().requires_grad_()
    size = f"{len(grid.tets)} tets"
    row(f"march, {where}", size, lambda b: b.marching_tetrahedra(grid.vertices, grid.tets, sdf))
    known = grid_edges(grid.tets, len(grid.vertices))
    row(f"march with known edges, {where}", size, lambda b: b.marching_tetrahedra(grid.vertices, grid.tets, sdf, known), only_ours=True)
    row(f"march with gradient, {where}", size, lambda b: b.marching_tetrahedra(place, grid.tets, distance)[0].sum().backward())


def best(work: Callable[[], object], repeat: int, device: str) -> float:
    """Least milliseconds of processor time, or of wall time on an accelerator."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    times = []
    for _ in range(repeat + 1):  # the first also compiles and warms up
        start = clock()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(clock() - start)
    return 1000 * min(times[1:])


def use_kaolin_sources(path: str) -> None:
    """Import Kaolin's tetrahedral functions from a source folder without its compiled parts."""
    for name in ("kaolin", "kaolin.ops", "kaolin.ops.conversions", "kaolin.ops.mesh"):
        package = types.ModuleType(name)
        package.__path__ = [f"{path}/{name.replace('.', '/')}"]
        sys.modules[name] = package
    for package_name, function in (("conversions", "marching_tetrahedra"), ("mesh", "subdivide_tetmesh")):
        module = importlib.import_module(f"kaolin.ops.{package_name}.tetmesh")
        setattr(sys.modules[f"kaolin.ops.{package_name}"], function, getattr(module, function))


if __name__ == "__main__":
    main()
