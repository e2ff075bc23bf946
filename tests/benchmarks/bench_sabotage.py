"""Do the tests notice? One line at a time is spoilt in a copy of the package, and the tests that should fail are run against the copy.

usage: python tests/benchmarks/bench_sabotage.py [WORD]     (only those whose description holds the word; exit code 1 if one goes unnoticed)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sabotage:
    """A mistake, the line that makes it, and who should notice."""

    mistake: str
    file: str
    right: str
    wrong: str
    tests: str


SABOTAGES = (
    Sabotage("inside and outside exchanged", "ops/march.py", "outside = sdf > 0", "outside = sdf < 0", "tests/ops/test_march.py"),
    Sabotage("a tetrahedron's corners exchanged", "ops/march.py", "(), (1, 0, 2), (4,", "(), (0, 1, 2), (4,", "tests/ops/test_march.py"),
    Sabotage("half a pixel forgotten", "scene/cameras.py", "+ 0.5) / width", "+ 0.0) / width", "tests/ops"),
    Sabotage("azimuth turns the other way", "scene/cameras.py", "[azimuth.sin() *", "[-azimuth.sin() *", "tests/ops"),
    Sabotage("rows of an OBJ's texture not turned", "io/obj.py", "1 - uv[:, 1]", "uv[:, 1]", "tests/io/test_meshes.py"),
    Sabotage(
        "light passes what is opaque",
        "ops/neus.py",
        "torch.cumprod(1.0 - alpha",
        "torch.cumprod(1.0 - 0.9 * alpha",
        "tests/ops/test_neus.py",
    ),
    Sabotage(
        "opacity of the wrong end", "ops/neus.py", "log_phi[..., :-1]).clamp(max", "log_phi[..., :1]).clamp(max", "tests/ops/test_neus.py"
    ),
    Sabotage("distillation pulls away", "scores/distillation.py", "(seen - noise)", "(noise - seen)", "tests/scores/test_distillation.py"),
    Sabotage(
        "a sampler's noise too strong",
        "scores/samplers.py",
        "(1 - left / then)) ** 0.5",
        "(1 - left / then))",
        "tests/scores/test_samplers.py",
    ),
    Sabotage(
        "sine and cosine exchanged",
        "backends/zero123.py",
        "math.sin(azimuth), math.cos(azimuth), f",
        "math.cos(azimuth), math.sin(azimuth), f",
        "tests/backends/test_zero123_pose.py",
    ),
    Sabotage(
        "an option that no key knows",
        "run.py",
        "digest(self.key, name, version, options)",
        "digest(self.key, name, version)",
        "tests/test_run.py",
    ),
    Sabotage("a torn file reused", "run.py", "file_digest(folder / f) == h", "(folder / f).exists()", "tests/test_run.py"),
    Sabotage("every stage draws the same numbers", "run.py", 'f"{seed}/{name}"', 'f"{seed}"', "tests/test_run.py"),
    Sabotage("metres written as millimetres", "io/meshes.py", "/ (1000.0 if", "/ (1.0 if", "tests/io/test_meshes.py"),
    Sabotage(
        "volumes without a sixth",
        "ops/topology.py",
        "torch.linalg.cross(a, b) * c).sum(-1) / 6",
        "torch.linalg.cross(a, b) * c).sum(-1) / 5",
        "tests/ops",
    ),
    Sabotage(
        "a guess that leans too far", "priors/slant.py", "STEEPER = 1.1", "STEEPER = 1.6", "tests/priors/test_slant.py tests/test_golden.py"
    ),
    Sabotage(
        "a leaning photo turned the wrong way",
        "priors/lean.py",
        "found = -sum(sides) / 2",
        "found = sum(sides) / 2",
        "tests/priors/test_lean.py",
    ),
    Sabotage(
        "a second face on every figure's back",
        "ops/mirrored.py",
        "return not turns and any(",
        "return turns and any(",
        "tests/ops/test_mirrored.py",
    ),
    Sabotage(
        "the less it is doubted the less it is believed",
        "priors/stance.py",
        "(1 + math.exp(-odds))",
        "(1 + math.exp(odds))",
        "tests/priors/test_stance.py",
    ),
    Sabotage(
        "relief that the mesh has is drawn once more",
        "ops/photo_relief.py",
        "fine = fine - unit(",
        "fine = fine - 0 * unit(",
        "tests/ops/test_photo_relief.py",
    ),
    Sabotage(
        "a face shines through to the back of its hood",
        "stages/texture.py",
        "if found.figure and not prior.known:",
        "if False:",
        "tests/stages/test_texture.py",
    ),
    Sabotage(
        "holes in white chests",
        "priors/foreground_colours.py",
        "return close_holes(widened, coarse)",
        "return widened",
        "tests/priors/test_foreground.py",
    ),
    Sabotage(
        "the colours blur what the network knows",
        "priors/foreground_colours.py",
        "torch.sigmoid(prior + STRENGTH * blur(evidence[None], SMOOTHING, (1, 2))[0])",
        "torch.sigmoid(blur((prior + STRENGTH * evidence)[None], SMOOTHING, (1, 2))[0])",
        "tests/priors/test_foreground.py",
    ),
    Sabotage(
        "another thing of the object's colours is the object's",
        "priors/foreground.py",
        "return without_doubted_parts(without_scraps(with_even_holes(small, found, torch.sigmoid(odds))), odds)",
        "return without_scraps(with_even_holes(small, found, torch.sigmoid(odds)))",
        "tests/priors/test_foreground.py",
    ),
    Sabotage("the photo shines through walls", "ops/unseen.py", " * on_last(source, x, y, depth)", "", "tests/ops/test_unseen.py"),
    Sabotage(
        "what is known is fitted anyway",
        "stages/coarse.py",
        "share == 1.0, field.cloud",
        "None, field.cloud",
        "tests/stages/test_coarse.py",
    ),
    Sabotage(
        "the fit pays no heed to the prior",
        "stages/fit.py",
        "options.volume.at(now)",
        "0.0",
        "tests/stages/test_fit.py tests/test_golden.py",
    ),
    Sabotage(
        "a way forgets the steps that it took",
        "priors/barrier_compiled.py",
        "max(high[v, u], plane[y, x])",
        "max(plane[v, u], plane[y, x])",
        "tests/priors/test_backdrop.py",
    ),
    Sabotage(
        "what is seen through holes is the object",
        "priors/backdrop.py",
        "large[like_backdrop(picture, outside)] = 0",
        "large[like_backdrop(picture, outside)] *= 1",
        "tests/priors/test_backdrop.py",
    ),
    Sabotage(
        "every thing before a backdrop is the object",
        "priors/backdrop.py",
        "(chance > 0.5))] = 0",
        "(chance > 0.5))] *= 1",
        "tests/priors/test_backdrop.py",
    ),
    Sabotage("relief is sunk, not raised", "ops/engrave.py", "(-0.5 * (turn[one]", "(0.5 * (turn[one]", "tests/ops/test_engrave.py"),
    Sabotage(
        "paint is taken for relief",
        "ops/shading.py",
        "shade = shade - explained_by",
        "shade = shade - 0 * explained_by",
        "tests/ops/test_shading.py",
    ),
    Sabotage(
        "stalks are looked for where the grid cannot show them",
        "stages/refine_grid.py",
        "min(SEARCHED, round(2 / cell) + 1)",
        "min(SEARCHED, round(20 / cell) + 1)",
        "tests/stages/test_refine.py",
    ),
    Sabotage(
        "numbers of the host among a device's",
        "ops/antialias.py",
        "torch.arange(len(count), device=count.device)",
        "torch.arange(len(count))",
        "tests/test_make_believe.py",
    ),
    Sabotage("the loss asked for at every step", "stages/fit.py", "TELL_EVERY = 8 ", "TELL_EVERY = 1 ", "tests/test_make_believe.py"),
    Sabotage(
        "holes are closed whatever is seen through them", "priors/backdrop.py", "< SEEN_THROUGH", "< 2.0", "tests/priors/test_backdrop.py"
    ),
    Sabotage(
        "plates are as thick as cups",
        "priors/turned.py",
        "FLAT_WALL, THINNER = 0.4,",
        "FLAT_WALL, THINNER = 0.0,",
        "tests/priors/test_primitive.py",
    ),
    Sabotage(
        "a box is not followed to its place",
        "priors/cuboid.py",
        "STEPS, ROUNDS, POLISHED = 20,",
        "STEPS, ROUNDS, POLISHED = 1,",
        "tests/priors/test_primitive.py",
    ),
    Sabotage(
        "tilts are counted from single pixels",
        "priors/turned.py",
        "AS_MUCH, BETWEEN = 0.004,",
        "AS_MUCH, BETWEEN = -1.0,",
        "tests/priors/test_primitive.py",
    ),
    Sabotage(
        "a guessed handle makes a cup unknown", "scene/prior.py", "MOST = 0.85, 0.5", "MOST = 0.85, 0.9", "tests/stages/test_coarse.py"
    ),
    Sabotage(
        "what lies still is left out of a surface twice",
        "stages/refine_tets.py",
        "self.grid.tets[~moves]",
        "self.grid.tets[moves]",
        "tests/stages/test_refine.py",
    ),
    Sabotage(
        "what moves forgets that it is a part",
        "stages/refine.py",
        "if share < 1:",
        "if share > 1:",
        "tests/stages/test_refine.py",
    ),
    Sabotage(
        "lines beside a gap do not bend to each other",
        "ops/carried_round.py",
        "heights, colors = (1 - share) * first + share * second,",
        "heights, colors = first + 0.0 * second,",
        "tests/ops/test_carried_round.py",
    ),
    Sabotage(
        "handles belong to the side of a cup",
        "ops/carried_round.py",
        "(np.abs(radius - side.radius[row.astype(int)]) < OFF)",
        "(radius > 0)",
        "tests/ops/test_carried_round.py",
    ),
    Sabotage(
        "all normals of a cup count alike, also its handle's",
        "ops/symmetry.py",
        "weight = 1 / np.maximum(np.abs(across @ center - offset), NEAREST)",
        "weight = np.ones(len(offset))",
        "tests/ops/test_symmetry.py",
    ),
    Sabotage(
        "what is there once is copied like all else",
        "ops/patch_match.py",
        "price[which] = RARE * rarities",
        "price[which] = 0.0 * rarities",
        "tests/ops/test_patch_match.py",
    ),
    Sabotage(
        "every copy votes on the middle of its patch alone",
        "ops/patch_match_compiled.py",
        "low, high, middle, reach = -half * zoom, half * zoom + zoom - 1,",
        "low, high, middle, reach = 0, zoom - 1,",
        "tests/ops/test_patch_match.py",
    ),
    Sabotage(
        "neighbours do not tell each other what they copy",
        "ops/patch_match_compiled.py",
        "v, u = places[j, i, 0] + y - j, places[j, i, 1] + x - i",
        "v, u = places[j, i, 0] - 999, places[j, i, 1] + x - i",
        "tests/ops/test_patch_match.py",
    ),
    Sabotage(
        "what is made of a side moves what is known beside it",
        "ops/synthesis.py",
        "return lay_over(surface, painted, shown)",
        "return painted",
        "tests/ops/test_synthesis.py",
    ),
    Sabotage(
        "what is near its own image confirms it",
        "ops/mirrored.py",
        ".norm(dim=-1) / APART).clamp(max=1)",
        ".norm(dim=-1) / APART).clamp(min=1, max=1)",
        "tests/ops/test_mirrored.py",
    ),
    Sabotage(
        "what is the same all round confirms an image",
        "ops/agreement.py",
        "rgb - means[band]",
        "rgb - means.mean(0)",
        "tests/ops/test_mirrored.py",
    ),
    Sabotage(
        "leaves and flutes are carried round a vessel",
        "ops/carried_round.py",
        "return dense < DENSE or",
        "return dense < 9.0 or",
        "tests/ops/test_carried_round.py",
    ),
)


def noticed(sabotage: Sabotage, folder: Path) -> tuple[bool, str]:
    """Whether a test fails with the line spoilt, and the first that does."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("src", "presets"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "src" / "img23d" / sabotage.file
    text = path.read_text(encoding="utf-8")
    if sabotage.right not in text:
        raise SystemExit(f"{sabotage.file} has no {sabotage.right!r} any more: write this sabotage anew")
    path.write_text(text.replace(sabotage.right, sabotage.wrong), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *sabotage.tests.split()]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(folder / "src")}, capture_output=True, text=True, check=False
    )
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return ended.returncode == 1, (failed or ["-"])[0]


def main() -> int:
    """Print a line for each sabotage."""
    chosen = [sabotage for sabotage in SABOTAGES if not sys.argv[1:] or sys.argv[1] in sabotage.mistake]
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for sabotage in chosen:
            begin = time.perf_counter()
            found, by = noticed(sabotage, Path(scratch))
            missed += not found
            print(f"{'noticed' if found else 'MISSED':8} {time.perf_counter() - begin:5.1f} s  {sabotage.mistake}: {by}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
