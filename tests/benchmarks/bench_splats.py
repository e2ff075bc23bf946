"""How good and how dear splats are: python tests/benchmarks/bench_splats.py MESH ... [--counts 5000 20000] [--steps 200] [--draw].

PSNR, dB, of the splats against pictures of the mesh from sides that the fit does not see, over the pixels that either covers: before and
after the fit, 512 px, and after it at other sizes, where the blur of a pixel is another. Seconds of CPU time. With --draw: milliseconds of
CPU time to draw a ball of splats, and its gradient, by both ways of compositing.
"""

import argparse
import math
import platform
import resource
import time
from pathlib import Path

import torch

from img23d.backends import splat_numba
from img23d.backends.rasterizers import choose_rasterizer
from img23d.fields.gaussians import Gaussians
from img23d.io.asset_views import fitted
from img23d.io.meshes import load_mesh
from img23d.ops.splat import composite_tiles
from img23d.scene import Cameras, TexturedMesh
from img23d.scene.cameras import orbit_degrees
from img23d.stages.splats import Pictures, Splatting, all_sides, fitted_to, flat_on, on, pictures_of

SIZES = (512, 256, 1024)
HELD_OUT, OFFSET = 6, 0.23  # pictures, between those of the fit


def psnr(cloud: Gaussians, truth: Pictures, cameras: Cameras) -> float:
    """Mean over the pictures, before white."""
    white, size = torch.ones(3), truth.mask.shape[-1]
    values = []
    for view in range(len(cameras)):
        with torch.no_grad():
            rgb, coverage = (part[0] for part in cloud.draw(cameras[view : view + 1], size, size, splat_numba.composite))
        either = torch.maximum(coverage, truth.mask[view]) > 0.02
        squares = (on(white, rgb, coverage) - on(white, truth.rgb[view], truth.mask[view])).square().mean(-1)
        values.append(-10 * math.log10(float(squares[either].mean())))
    return sum(values) / len(values)


def measure(path: Path, counts: list[int], steps: int) -> None:
    """One line for each number of Gaussians."""
    loaded, rasterizer = load_mesh(path), choose_rasterizer("auto")
    if not isinstance(loaded, TexturedMesh):
        raise SystemExit(f"{path} has no colours")
    asset, options = fitted(loaded), Splatting(steps=steps)
    held = all_sides(HELD_OUT, OFFSET)
    truth = {size: pictures_of(asset, held, size, rasterizer) for size in SIZES}
    begin = time.process_time()
    cameras = all_sides(options.views)
    views = pictures_of(asset, cameras, options.size, rasterizer)
    drawing = time.process_time() - begin
    for count in counts:
        begin = time.process_time()
        flat = flat_on(asset, count)
        scattering, begin = time.process_time() - begin, time.process_time()
        cloud = fitted_to(flat, views, cameras, options)
        fitting = time.process_time() - begin
        found = " | ".join(f"{psnr(cloud, truth[size], held):.1f}" for size in SIZES)
        print(
            f"| {path.stem} | {len(cloud)} | {psnr(flat, truth[512], held):.1f} | {found} | "
            f"{scattering:.1f} + {drawing:.1f} + {fitting:.1f} | {32 * len(cloud) / 1e3:.0f} kB |",
            flush=True,
        )


def ball(count: int) -> list[torch.Tensor]:
    """Flat splats of a sphere as the benchmarks of meshes have it: what `Gaussians` takes, as leaves."""
    step = torch.arange(count) + 0.5
    height, turn = 1 - 2 * step / count, step * 2.399963
    ring = (1 - height**2).sqrt()
    points = torch.stack([ring * turn.cos(), height, ring * turn.sin()], -1)
    width = math.log(0.6 * math.sqrt(4 * math.pi / count))
    return [
        part.requires_grad_()
        for part in (points, torch.full((count, 3), width), torch.ones(count, 4), torch.full((count,), 3.0), points.clone())
    ]


def draw(counts: list[int], sizes: tuple[int, ...]) -> None:
    """Milliseconds of one picture, and of one with its gradient; the best of three."""
    print("| Gaussians | px | torch | torch, gradient | numba | numba, gradient |\n|---|---|---|---|---|---|")
    camera = orbit_degrees([30.0], 20.0, 3.2, 40.0)
    for count in counts:
        for size in sizes:
            cells = []
            for composite in (composite_tiles, splat_numba.composite):
                for gradient in (False, True):
                    best = math.inf
                    for _ in range(4):
                        leaves, begin = ball(count), time.process_time()
                        rgb, coverage = Gaussians(*leaves).draw(camera, size, size, composite)
                        if gradient:
                            (rgb.square().sum() + coverage.sum()).backward()
                        best = min(best, time.process_time() - begin)
                    cells.append(f"{best * 1e3:.0f}")
            print(f"| {count} | {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="*", type=Path)
    parser.add_argument("--counts", nargs="+", type=int, default=[5_000, 20_000])
    parser.add_argument("--steps", type=int, default=Splatting().steps)
    parser.add_argument("--draw", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.platform()}, torch {torch.__version__}, one thread")
    if given.draw:
        draw(given.counts, (128, 256, 512))
    if given.meshes:
        print("| mesh | splats | flat | fitted | at 256 px | at 1024 px | CPU s: scatter + pictures + fit | .splat |\n|" + "---|" * 8)
    for mesh in given.meshes:
        measure(mesh, given.counts, given.steps)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
