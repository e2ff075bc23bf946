"""How long rasterising and rendering take: python tests/benchmarks/bench_raster.py [--sizes 128 256] [--faces 10000 50000] [--threads 1].

The mesh is a closed bumpy sphere that changes at every call, as in an optimisation, so ray casters rebuild their trees. Milliseconds
of CPU time per picture, the best of several calls. On an accelerator: wall time.
"""

import argparse
import platform
import time

import torch

from img23d.backends.rasterizers import choose_rasterizer
from img23d.errors import BackendError
from img23d.ops.raster import Rasterizer
from img23d.ops.render import render
from img23d.scene import Cameras, Mesh
from img23d.scene.cameras import orbit_degrees


def bumpy_sphere(faces: int) -> Mesh:
    """A cube of 12 n^2 faces blown up to a sphere with bumps."""
    n = max(round((faces / 12) ** 0.5), 1)
    grid = torch.arange(n + 1)
    sides, corners = [], []
    for axis in range(3):
        for end in (0, n):
            u, v = torch.meshgrid(grid, grid, indexing="ij")
            side = [torch.full_like(u, end), u, v]
            index = torch.arange((n + 1) ** 2).reshape(n + 1, n + 1) + (n + 1) ** 2 * len(sides)
            a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
            both = torch.cat([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)])
            corners.append(both if end else both[:, [0, 2, 1]])
            sides.append(torch.stack(side[-axis:] + side[:-axis] if axis else side, -1).reshape(-1, 3))
    lattice, welded = torch.unique(torch.cat(sides), dim=0, return_inverse=True)
    direction = torch.nn.functional.normalize(torch.tan((lattice / n * 2 - 1) * (torch.pi / 4)), dim=-1)
    vertices = direction * (0.75 + 0.05 * (11 * direction).sin().sum(1, keepdim=True))
    return Mesh(vertices.contiguous(), welded[torch.cat(corners)])


def milliseconds(call, device: str, least: int = 5, budget: float = 1.0) -> float:
    """The best of at least ``least`` calls and ``budget`` seconds."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    call()
    best, spent, calls = float("inf"), 0.0, 0
    while calls < least or (spent < budget and calls < 50):
        start = clock()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        best, spent, calls = min(best, clock() - start), spent + clock() - start, calls + 1
    return best * 1e3


def timed_ids(rasterizer: Rasterizer, mesh: Mesh, camera: Cameras, size: int, device: str) -> str:
    """Milliseconds for the face ids."""
    points = camera.project(mesh.vertices)
    return f"{milliseconds(lambda: rasterizer.face_ids(points, mesh.faces, size, size), device):.1f}"


def timed_render(mesh: Mesh, camera: Cameras, size: int, device: str, backward: bool) -> str:
    """Milliseconds for mask, depth, normal and colour, and for the way back to the vertices."""
    fastest = choose_rasterizer("auto", device)

    def step() -> None:
        vertices = mesh.vertices.clone().requires_grad_(backward)
        views = render(Mesh(vertices, mesh.faces), camera, size, size, fastest, attributes=vertices).views
        if backward:
            (views.mask.sum() + views.depth.sum() + views.normal.square().sum() + views.rgb.sum()).backward()

    return f"{milliseconds(step, device):.1f}"


def main() -> None:
    """Print one table: face ids by backend, and rendering with the default one, forth and back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--faces", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    parser.add_argument("--backends", nargs="+", default=["torch", "numba", "open3d", "nvdiffrast"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {options.threads} thread(s), {options.device}; milliseconds\n")
    backends = {}
    for name in options.backends:
        try:
            backends[name] = choose_rasterizer(name, options.device)
        except BackendError as error:
            print(f"{name} left out: {error.message}\n")
    camera = orbit_degrees([20.0], 15.0, 2.4, 45.0).to(options.device)
    print(f"| faces | px | {' | '.join(backends)} | render forward | and backward |\n|---|---|{'---|' * (len(backends) + 2)}")
    for faces in options.faces:
        mesh = bumpy_sphere(faces).to(options.device)
        for size in options.sizes:
            row = [timed_ids(rasterizer, mesh, camera, size, options.device) for rasterizer in backends.values()]
            row += [timed_render(mesh, camera, size, options.device, backward) for backward in (False, True)]
            print(f"| {len(mesh.faces)} | {size} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
