"""How well the embedded foreground network cuts out pictures with known alpha that are put before procedural backgrounds.

Run: python tests/benchmarks/bench_foreground.py FOLDER [BACKGROUNDS [SHEET.png]]   (FOLDER holds RGBA pictures of single objects)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from img23d.priors.foreground import foreground_alpha
from img23d.training.backgrounds import random_background


def cutouts(folder: Path) -> dict[str, np.ndarray]:
    """(H, W, 4) pictures by name, those whose alpha is neither empty nor full."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        picture = Image.open(path)
        if picture.mode == "RGBA":
            array = np.asarray(picture)
            if 0.01 < (array[..., 3] > 128).mean() < 0.9:
                found[path.stem.removesuffix("_rgba")] = array
    return found


def pasted(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 of a cut-out before a background of its own size."""
    height, width = picture.shape[:2]
    behind = Image.fromarray(random_background(random, 256).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    alpha = picture[..., 3:].astype(np.float32) / 255
    return (picture[..., :3] * alpha + np.asarray(behind, np.float32) * (1 - alpha) + 0.5).astype(np.uint8)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((first & second).sum() / max((first | second).sum(), 1))


def main(folder: Path, count: int, sheet: Path | None) -> None:
    torch.set_num_threads(2)
    rows, scores, begun = [], {}, time.perf_counter()
    for name, picture in cutouts(folder).items():
        scores[name] = []
        for number in range(count):
            photo = pasted(picture, np.random.default_rng([4177, number]))
            alpha = foreground_alpha(torch.from_numpy(photo).float() / 255)[0].numpy()
            scores[name].append(overlap(alpha > 0.5, picture[..., 3] > 127))
            shown = np.concatenate([photo, (photo * (alpha[..., None] > 0.5)).astype(np.uint8)], 1)
            rows.append(np.asarray(Image.fromarray(shown).resize((320, 160))))
    seconds = (time.perf_counter() - begun) / max(len(rows), 1)
    print("| picture | intersection over union before each background | mean |\n|---|---|---|")
    for name, found in scores.items():
        print(f"| {name} | {', '.join(f'{value:.3f}' for value in found)} | {np.mean(found):.3f} |")
    every = np.concatenate([np.array(found) for found in scores.values()])
    print(f"| all | {seconds:.2f} s a picture | mean {every.mean():.3f}, median {np.median(every):.3f}, lowest {every.min():.3f} |")
    if sheet is not None:
        blank = [np.zeros_like(rows[0])] * (-len(rows) % count)
        cells = [*rows, *blank]
        Image.fromarray(np.concatenate([np.concatenate(cells[k : k + count], 1) for k in range(0, len(cells), count)])).save(sheet)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 6, Path(sys.argv[3]) if len(sys.argv) > 3 else None)
