"""How well the embedded foreground network agrees with given masks of real photos, whoever made them; and a sheet to look at both.

Run: python tests/benchmarks/bench_foreground_photos.py PHOTOS MASKS [SHEET.png]   (MASKS holds STEM.png, grey, for each photo)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from img23d.io.images import load_photo
from img23d.priors.foreground import foreground_alpha

LONGEST, CELL = 1024, 200  # pixels: photos as they are looked at, and on the sheet
AROUND = np.array([255.0, 0.0, 255.0])


def cell(picture: np.ndarray) -> np.ndarray:
    """(CELL, CELL, 3) uint8, the picture (H, W, 3) in its corner."""
    small = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    small.thumbnail((CELL, CELL))
    canvas = Image.new("RGB", (CELL, CELL))
    canvas.paste(small)
    return np.asarray(canvas)


def main(photos: Path, masks: Path, sheet: Path | None) -> None:
    torch.set_num_threads(2)
    scores, rows = {}, []
    for path in sorted(photos.iterdir()):
        reference = masks / f"{path.stem}.png"
        if not reference.is_file():
            continue
        rgb = load_photo(path, LONGEST).rgb
        truth = np.asarray(Image.open(reference).convert("L").resize((rgb.shape[1], rgb.shape[0]), Image.Resampling.LANCZOS)) > 127
        alpha = foreground_alpha(rgb)[0].numpy()
        found = alpha > 0.5
        scores[path.name] = float((found & truth).sum() / max((found | truth).sum(), 1))
        colours = rgb.numpy() * 255
        shown = (colours, *(colours * part + AROUND * (1 - part) for part in (alpha[..., None], truth[..., None])))
        rows.append(np.concatenate([cell(picture) for picture in shown], 1))
    print("| photo | intersection over union |\n|---|---|")
    for name, value in sorted(scores.items(), key=lambda entry: entry[1]):
        print(f"| {name} | {value:.3f} |")
    values = np.array(list(scores.values()))
    print(f"| all {len(values)} | mean {values.mean():.4f}, median {np.median(values):.4f} |")
    if sheet is not None:
        Image.fromarray(np.concatenate(rows)).save(sheet)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
