"""What score distillation is worth, with a model that knows the truth in place of a diffusion model: writes OUT/NAME.glb.

usage: python tests/benchmarks/bench_guidance.py DATA RUNS OUT [--preset NAME] [--only NAME,...] [--set KEY=VALUE ...]

DATA and RUNS as for bench_multiview.py: cut-out, camera and prior are taken from RUNS. Fit, refine, paint and texture are the pipeline's
own, with the preset's options. Only the network is replaced: the noise that it sees leads to a rendering of the true object from the
side that is looked at. So this says what the pipeline makes of good guidance, not how good a network's guidance is.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from bench_multiview import SHRUNK, Truth
from bench_unseen import as_textured

from img23d import config, pipeline
from img23d.backends.zero123 import Turn
from img23d.io.images import save_image
from img23d.io.meshes import save_mesh
from img23d.options import Ramp
from img23d.scene import Mesh
from img23d.stages.artifacts import load_guess, save_drawn, save_field
from img23d.stages.fit import fit
from img23d.stages.guide import ByView, Guide
from img23d.stages.imagine import PICTURE, Side, elevation_of, on_white, wide_camera
from img23d.stages.paint import painted
from img23d.stages.refine import refine
from img23d.stages.texture import texture
from img23d.training.objects import load_object, normalise


class TrueLatents(Truth):
    """The same for any side: nothing is kept, and pictures become latents."""

    def noise(self, noisy: torch.Tensor, step: int, known: torch.Tensor, turns: list[Turn]) -> tuple[torch.Tensor, torch.Tensor]:
        self.wanted.clear()
        return super().noise(noisy, step, known, turns)

    def latents(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(pictures.permute(0, 3, 1, 2) * 2 - 1, (0, 0, 0, 0, 0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "runs", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--preset", default="magic123")
    parser.add_argument("--only", default="")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    settings = config.load(options.preset, ["guidance.view_model=truth", "guidance.text_model=", *options.settings])
    context = pipeline.open_context(settings)
    told = json.loads((options.data / "photos" / "cameras.json").read_text())
    for name, place in sorted(told.items()):
        if options.only and name not in options.only.split(","):
            continue
        views, prior = load_guess(options.runs / f"{name}.run" / "02_estimate")
        asset = as_textured(normalise(load_object(options.data / "objects" / f"{name}.glb")))
        asset = replace(asset, mesh=Mesh(asset.mesh.vertices * SHRUNK, asset.mesh.faces))
        camera = wide_camera(views.cameras, prior)
        truth = TrueLatents(asset, place["azimuth_deg"], place["elevation_deg"], camera, on_white(views, camera), 0.0)
        puller = ByView(truth, None, Side(0.0, elevation_of(camera)), 1.0, PICTURE)
        weight = settings.guidance.view_weight
        guide = Guide(camera, ((puller, Ramp(weight.start, weight.end, weight.begin, weight.finish)),), settings.guidance)
        known, begin = prior.known, time.perf_counter()
        field = fit(views, prior, settings.fit, context, guide=None if known else guide)
        middle = time.perf_counter()
        folder = options.out / f"{name}.drawn"
        folder.mkdir(exist_ok=True)
        save_field(field, folder)
        pulls = not known and settings.guidance.refine_weight > 0
        mesh = refine(views, field, settings.refine, context, guide=replace(guide, refining=True) if pulls else None)
        drawn = None if known else painted(field, mesh, guide, context)
        if drawn is not None:
            save_drawn(drawn, folder)
            save_image(folder / "photo.png", torch.cat([on_white(views, camera), truth.render(0.0, 0.0)], 1))
        end = time.perf_counter()
        save_mesh(options.out / f"{name}.glb", texture(views, prior, mesh, settings.texture, context, drawn))
        print(name, f"fit {middle - begin:.0f} s, refine and paint {end - middle:.0f} s", flush=True)


if __name__ == "__main__":
    main()
