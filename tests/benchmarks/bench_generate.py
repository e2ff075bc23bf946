"""Time, memory and fidelity of whole runs from a warm install, one process per photo, as a markdown table.

usage: python tests/benchmarks/bench_generate.py [--presets draft,standard,fine] [--jobs 1] [--out DIR] PHOTO...
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--presets", default="draft,standard,fine")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    print(f"unit: twenty 2048 x 2048 fp32 matrix products take {matmul_seconds():.2f} s now\n")
    print("| preset | photo | wall s | units | peak MB | silhouette IoU | PSNR dB | in its light | faces |")
    print("|---|---|---|---|---|---|---|---|---|")
    for preset in options.presets.split(","):
        rows = []
        for photo in options.photos:
            seconds, peak = generate(photo, preset, out / preset, options.set)
            unit = matmul_seconds()
            rows.append((seconds, seconds / unit, peak, *measure(out / preset / photo.stem)))
            print(f"| {preset} | {photo.stem} | {row_text(rows[-1])} |", flush=True)
        mean = [sum(column) / len(column) for column in zip(*rows)]
        worst = [pick(column) for pick, column in zip((max, max, max, min, min, min, max), zip(*rows))]
        print(f"| {preset} | **mean of {len(rows)}** | {row_text(mean)} |\n| {preset} | **worst** | {row_text(worst)} |", flush=True)


def row_text(row) -> str:
    """Wall seconds, units, peak MB, IoU, both PSNRs and faces as cells."""
    return " | ".join(format(value, form) for value, form in zip(row, (".1f", ".1f", ".0f", ".4f", ".1f", ".1f", ".0f")))


def generate(photo: Path, preset: str, out: Path, settings: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident megabytes of one run of the command."""
    flags = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "img23d", "generate", str(photo), "--preset", preset, "--out", str(out), "--force", "--quiet", *flags]
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 1000


def measure(folder: Path) -> tuple[float, float, float, int]:
    """Silhouette IoU, PSNR as the texture is and with the photo's light put back, and faces of a finished run."""
    import torch

    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.evals.fidelity import fidelity
    from img23d.ops.delight import find_light
    from img23d.ops.normals import vertex_normals
    from img23d.record import reopen
    from img23d.stages.artifacts import load_textured, load_views

    rasterizer, views, asset = choose_rasterizer("numba"), load_views(folder / "02_estimate"), load_textured(folder / "05_texture")
    with torch.no_grad():
        plain = fidelity(views, asset, rasterizer)
        found = find_light(views, asset.mesh, vertex_normals(asset.mesh), rasterizer, 0)
        light = found[0].times(reopen(folder).config.texture.delight) if found else None
        lit = fidelity(views, asset, rasterizer, light)
    return plain.silhouette_iou, plain.psnr, lit.psnr, len(asset.mesh.faces)


def matmul_seconds() -> float:
    """Time of twenty 2048 x 2048 fp32 matrix products: the machine's speed, in the same minute."""
    import torch

    a = torch.rand(2048, 2048)
    a @ a
    begin = time.perf_counter()
    for _ in range(20):
        a @ a
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
