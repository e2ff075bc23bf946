"""Everything worth knowing about img23d on a GPU in one go, in under ten minutes, as one markdown table.

usage: python tests/benchmarks/bench_gpu.py [--device cuda] [--photo PHOTO] [--out DIR] [--quick]

Each part is a process of its own with a time limit, so that what fails or hangs hides nothing else; its whole output is kept in --out.
--device cpu --quick runs the same parts at the smallest sizes, to see that they work.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "examples" / "photos"
TESTS = ["tests/test_devices.py", "tests/backends/test_rasterizers.py", "tests/backends/test_tetrahedra.py"]
TESTS += ["tests/backends/test_kaolin_geometry.py"]
TINY = ["segment.size=256", "prior.resolution=40", "fit.resolution=32", "fit.steps=3", "fit.rays=128", "refine.resolution=16"]
TINY += ["refine.steps=4", "refine.image_size=64", "texture.faces=600", "texture.size=128"]
SAID = "RESULT "


@dataclass(frozen=True)
class Part:
    """A command after ``python``, the seconds that it may take, and how to sum up what it printed."""

    name: str
    limit: float
    command: list[str]
    sum_up: Callable[[str], str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--photo", type=Path, default=PHOTOS / "mug.png")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--quick", action="store_true", help="smallest sizes")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all parts together")
    parser.add_argument("--work", choices=sorted(WORK), help=argparse.SUPPRESS)
    parser.add_argument("--preset", default="standard", help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="bench-gpu-"))
    out.mkdir(parents=True, exist_ok=True)
    if options.work:
        print(SAID + json.dumps(WORK[options.work](options, out)))
        return 0
    deadline, failures = time.monotonic() + 60 * options.minutes, 0
    print("| part | state | wall s | what was found |\n|---|---|---|---|", flush=True)
    for part in parts(options, out):
        state, seconds, found = run_part(part, min(part.limit, deadline - time.monotonic()), out)
        failures += state != "ok"
        print(f"| {part.name} | {state} | {seconds:.1f} | {found} |", flush=True)
    print(f"\nWhole outputs: {out}")
    return min(failures, 1)


def parts(options: argparse.Namespace, out: Path) -> list[Part]:
    """All parts, the quick ones first."""
    quick, device = options.quick, ["--device", options.device]
    tests = TESTS[::2] if quick else TESTS
    raster = ["--sizes", "64", "--faces", "1000"] if quick else ["--sizes", "256", "512", "--faces", "10000", "50000"]
    tets = ["--resolution", "8", "--repeat", "1"] if quick else ["--resolution", "25"]

    def work(name: str, preset: str, folder: str) -> list[str]:
        flags = ["--work", name, "--preset", preset, "--photo", str(options.photo), "--out", str(out / folder)]
        return [__file__, *flags, *device, *(["--quick"] if quick else [])]

    return [
        Part("doctor", 60, ["-m", "img23d", "doctor", "--json"], sum_up_doctor),
        Part("rasterisers, ms", 60, ["tests/benchmarks/bench_raster.py", *device, *raster], last_rows(2)),
        Part("tetrahedra, ms", 60, ["tests/benchmarks/bench_tets.py", *device, *tets], last_rows(20)),
        Part("generate, standard", 90, work("photos", "standard", "standard"), sum_up_photos),
        Part("generate, fast-gpu", 90, work("photos", "fast-gpu", "fast-gpu"), sum_up_photos),
        Part("five photos, standard", 120, work("batch", "standard", "batch"), sum_up_photos),
        Part("against the CPU, draft", 120, work("compare", "draft", "compare"), sum_up_comparison),
        Part("tests", 180, ["-m", "pytest", "-rs", "-p", "no:cacheprovider", *tests], sum_up_tests),
    ]  # fmt: skip


def run_part(part: Part, limit: float, out: Path) -> tuple[str, float, str]:
    """How it ended, its wall seconds, and a line about it."""
    begin, log = time.monotonic(), out / (re.sub(r"\W+", "-", part.name) + ".log")
    if limit <= 0:
        return "no time left", 0.0, ""
    with log.open("w+", encoding="utf-8") as file:
        try:
            code = subprocess.run(
                [sys.executable, *part.command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=limit
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
        file.seek(0)
        text = file.read()
    seconds = time.monotonic() - begin
    last = (text.strip().splitlines() or [""])[-1].replace("|", "/")[:200]
    if code != 0:
        return "over its time" if code is None else f"failed ({code})", seconds, last
    try:
        return "ok", seconds, part.sum_up(text)
    except (ValueError, IndexError, KeyError) as error:
        return "unreadable", seconds, f"{type(error).__name__}: {error}; {last}"


def sum_up_doctor(text: str) -> str:
    """torch, its device, and the optional libraries that are ready or broken."""
    facts = json.loads(text[text.index("{") :])
    named = [f"{entry['name']} {entry['version']}" for entry in facts["libraries"] if entry["state"] == "ready"]
    broken = [
        f"{entry['name']} {entry['state']}: {entry['detail']}" for entry in facts["libraries"] if entry["state"] in ("broken", "idle")
    ]
    torch_says = next(entry["detail"] for entry in facts["libraries"] if entry["name"] == "PyTorch")
    return "; ".join([torch_says, ", ".join(named), *broken]).replace("|", "/")


def last_rows(count: int) -> Callable[[str], str]:
    """Sums up another benchmark by the head and the last rows of its table, in one cell."""

    def sum_up(text: str) -> str:
        rows = [line.strip("| ").replace(" | ", ", ") for line in text.splitlines() if line.startswith("|") and "|---" not in line]
        return "<br>".join([rows[0], *rows[1:][-count:]])

    return sum_up


def sum_up_tests(text: str) -> str:
    """pytest's last line, and why tests were skipped."""
    reasons = sorted({line.split(": ", 1)[-1] for line in text.splitlines() if line.startswith("SKIPPED")})
    return "; ".join([text.strip().splitlines()[-1].strip("= "), *reasons]).replace("|", "/")


def result_of(text: str) -> dict:
    return json.loads(next(line for line in reversed(text.splitlines()) if line.startswith(SAID))[len(SAID) :])


def sum_up_photos(text: str) -> str:
    """Seconds of the first photo and of the others, memory, likeness to the photo, and where the time went."""
    said = result_of(text)
    first, *others = said["seconds"]
    warm = f", the others {sum(others) / len(others):.1f} s each (worst {max(others):.1f})" if others else ""
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in said["stages"].items())
    return (
        f"first photo {first:.1f} s{warm}; peak {said['peak_mb']:.0f} MB {said['memory']}; IoU {said['iou']:.4f}, "
        f"PSNR {said['psnr']:.1f} dB; {said['rasterizer']}, {said['tetrahedra']}; last photo's stages: {stages}"
    )


def sum_up_comparison(text: str) -> str:
    said = result_of(text)
    return (
        f"silhouettes of both meshes from six sides: IoU {said['mesh_iou']:.4f}; surfaces {said['apart']:.4f} apart "
        f"({said['floor']:.4f} for random points of one surface); fidelity IoU {said['iou'][0]:.4f} on the CPU, {said['iou'][1]:.4f}; "
        f"PSNR {said['psnr'][0]:.1f}, {said['psnr'][1]:.1f} dB; seconds {said['seconds'][0]:.1f}, {said['seconds'][1]:.1f}"
    )


def photos(options: argparse.Namespace, out: Path, paths: list[Path] | None = None, device: str | None = None) -> dict:
    """Run photos one after the other in this process, as a batch does."""
    import torch

    from img23d import config, pipeline
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.evals.fidelity import fidelity
    from img23d.stages.artifacts import load_textured, load_views

    device = device or options.device
    resolved = config.load(options.preset, [*(TINY if options.quick else []), f"device={device}", "offline=true"])
    context, seconds, scores, rasterizer = pipeline.open_context(resolved), [], [], choose_rasterizer("auto")
    for path in paths or [options.photo]:
        begin = time.perf_counter()
        result = pipeline.generate(path, out, resolved, force=True, context=context)
        seconds.append(time.perf_counter() - begin)
        with torch.no_grad():
            run = result.run_folder
            scores.append(fidelity(load_views(run / "02_estimate"), load_textured(run / "05_texture"), rasterizer))
    peak = (
        torch.cuda.max_memory_allocated() / 1e6 if device.startswith("cuda") else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    )
    return {
        "seconds": seconds, "peak_mb": peak, "memory": "on the GPU" if device.startswith("cuda") else "resident", "stages": result.seconds,
        "rasterizer": context.rasterizer.name, "tetrahedra": context.tetrahedra.name, "folder": str(result.run_folder),
        "iou": sum(score.silhouette_iou for score in scores) / len(scores), "psnr": sum(score.psnr for score in scores) / len(scores),
    }  # fmt: skip


def batch(options: argparse.Namespace, out: Path) -> dict:
    """Five photos: the example photos, again from the first where there are fewer."""
    found = sorted(path for path in PHOTOS.iterdir() if path.suffix in (".jpg", ".png"))
    return photos(options, out, (found * 5)[:5])


def compare(options: argparse.Namespace, out: Path) -> dict:
    """The same photo on the CPU and on the device."""
    import numpy as np

    from img23d.evals.metrics import chamfer, surface_points
    from img23d.ops.raster import face_ids
    from img23d.ops.solidify import around
    from img23d.stages.artifacts import load_mesh_artifact

    runs = [photos(options, out / kind, device=device) for kind, device in (("host", "cpu"), ("device", options.device))]
    meshes, cameras = [load_mesh_artifact(Path(run["folder"]) / "04_refine") for run in runs], around(6)
    seen = [face_ids(cameras.project(mesh.vertices), mesh.faces, 192, 192) >= 0 for mesh in meshes]

    def points(number: int, seed: int) -> np.ndarray:
        return surface_points(meshes[number].vertices.numpy(), meshes[number].faces.numpy(), 20_000, np.random.default_rng(seed))

    return {
        "mesh_iou": float((seen[0] & seen[1]).sum() / (seen[0] | seen[1]).sum()), "apart": chamfer(points(0, 0), points(1, 1)),
        "floor": chamfer(points(0, 0), points(0, 1)), **{name: [run[name] for run in runs] for name in ("iou", "psnr")},
        "seconds": [run["seconds"][0] for run in runs],
    }  # fmt: skip


WORK = {"photos": photos, "batch": batch, "compare": compare}

if __name__ == "__main__":
    sys.exit(main())
