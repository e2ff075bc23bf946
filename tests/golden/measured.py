"""What the pipeline makes of example photos of known things, in numbers; as a script, it writes down those of today.

usage: python tests/golden/measured.py     (then look at `git diff`, and say in the commit why numbers moved)
"""

from __future__ import annotations

import json
import runpy
import tempfile
from pathlib import Path

import numpy as np
import torch

from img23d import config, pipeline
from img23d.evals.fidelity import fidelity
from img23d.evals.protocols import registered
from img23d.ops.bake import texel_surface
from img23d.ops.topology import is_closed_manifold, volume
from img23d.scene import Mesh
from img23d.stages import artifacts
from img23d.training.procedural.creatures import teddy
from img23d.training.procedural.parts import assemble

FIGURES = Path(__file__).parent / "figures.json"
PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
CASES = ("mug.png", "teddy.jpg")


def truth(name: str) -> Mesh:
    """The thing on an example photo."""
    item = runpy.run_path(str(PHOTOS / "make_photos.py"))["mug"]() if name == "mug.png" else assemble(teddy(np.random.default_rng(4)))
    return Mesh(torch.from_numpy(item.vertices).float(), torch.from_numpy(item.faces).long())


def measured(name: str, folder: Path) -> dict[str, float]:
    """Figures of a run of the `draft` preset on an example photo, in a folder."""
    options = config.load("draft", ["threads=1", "export.viewer=false"])
    result = pipeline.generate(PHOTOS / name, folder, options)
    run, rasterizer = result.run_folder, pipeline.open_context(options).rasterizer
    views, (_, prior) = artifacts.load_views(run / "01_segment"), artifacts.load_guess(run / "02_estimate")
    guessed, asset = artifacts.load_guess(run / "02_estimate")[0], artifacts.load_textured(run / "05_texture")
    agreement, scores = fidelity(guessed, asset, rasterizer), registered(asset.mesh, truth(name), rasterizer)
    position = guessed.cameras.position[0]
    extent = asset.mesh.vertices.amax(0) - asset.mesh.vertices.amin(0)
    # What lies between the atlas' charts is no surface, and another processor's charts lie elsewhere.
    colors = asset.base_color[texel_surface(asset.uv, asset.uv_faces, len(asset.base_color))[0] >= 0]
    figures = {
        "object's share of the cut-out": float(views.mask.mean()),
        "elevation, degrees": float(torch.rad2deg(torch.asin(position[1] / position.norm()))),
        "prior's volume": float((prior.sdf < 0).float().mean()) * 8,
        "width": float(extent[0]), "height": float(extent[1]), "depth": float(extent[2]), "volume": volume(asset.mesh),
        "faces": float(len(asset.mesh.faces)), "closed": float(is_closed_manifold(asset.mesh)),
        "silhouette IoU": agreement.silhouette_iou, "PSNR, dB": agreement.psnr,
        **{f"mean {color}": float(value) for color, value in zip(("red", "green", "blue"), colors.mean(0))},
        "chamfer distance to the truth": scores.chamfer, "F-score at .1": scores.f_score[0.1], "IoU with the truth": scores.iou,
    }  # fmt: skip
    return {key: round(value, 4) for key, value in figures.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        today = {name: measured(name, Path(folder)) for name in CASES}
    FIGURES.write_text(json.dumps(today, indent=1) + "\n")
    print(FIGURES.read_text())
