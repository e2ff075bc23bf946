"""What drawn views are worth, with a model that knows the truth in place of a diffusion model: writes OUT/NAME.glb.

usage: python tests/benchmarks/bench_multiview.py DATA RUNS OUT [--preset zero123] [--off DEGREES] [--only NAME,...] [--set KEY=VALUE ...]

DATA holds photos/cameras.json and objects/NAME.glb; RUNS holds NAME.run, as `img23d batch DATA/photos --out RUNS` makes them: cut-out,
camera and prior are taken from there. Everything after that is the pipeline's own: the views that are drawn, the sampler, cut-outs, fit,
refine and texture. Only the network is replaced: the noise that it sees leads to a rendering of the true object. With --off each view is
drawn from a camera that is wrong by so many degrees (standard deviation), as the views of a real model do not agree. With
--preset wonder3d the stand-in draws that model's six sides, in parallel projection and with normals.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bench_unseen import as_textured

from img23d import config, pipeline
from img23d.backends.wonder3d import AZIMUTHS_DEG
from img23d.backends.zero123 import Turn
from img23d.diffusion_options import Multiview
from img23d.io.asset_views import AssetViews, draw_asset
from img23d.io.images import save_image
from img23d.io.meshes import save_mesh
from img23d.ops.crop import object_box
from img23d.priors.hull import STEPS, TOGETHER
from img23d.scene import Cameras, Mesh, ShapePrior, TexturedMesh, Views
from img23d.scene.cameras import orbit_degrees
from img23d.scores.schedule import noise_schedule
from img23d.stages.artifacts import load_guess, save_imagined
from img23d.stages.context import Context
from img23d.stages.fit import fit
from img23d.stages.imagine import PICTURE, drawn_around, joined_up, on_white, wide_camera
from img23d.stages.imagine_set import FAR, FILL, drawn_set
from img23d.stages.refine import refine
from img23d.stages.texture import texture
from img23d.training.objects import load_object, normalise

SHRUNK = 0.7  # of the unit sphere, for which the first look at the truth is framed


class Truth:
    """A model whose latents are pictures, and which knows what they should show."""

    latent_size = PICTURE
    betas = ("scaled_linear", 0.00085, 0.012)

    def __init__(self, asset: TexturedMesh, azimuth: float, elevation: float, camera: Cameras, picture: torch.Tensor, off: float) -> None:
        self.rasterizer = pipeline.open_context(config.load("standard")).rasterizer
        self.azimuth, self.elevation, self.off = azimuth, elevation, off
        self.distance = float(camera.position[0].norm())
        self.fov = math.degrees(2 * math.atan(0.5 / float(camera.focal[0, 0])))
        self.random, self.schedule = np.random.default_rng(0), noise_schedule(*self.betas)
        self.asset, self.shift, self.wanted = asset, (0.0, 0.0), {}
        for _ in range(3):  # as large and where the photo has it
            seen, told = (box((1 - image).amax(-1) > 0.02) for image in (self.render(0.0, 0.0), picture))
            scale = (told[2:] - told[:2]).max() / (seen[2:] - seen[:2]).max()
            self.asset = replace(self.asset, mesh=Mesh(self.asset.mesh.vertices * float(scale), self.asset.mesh.faces))
            middle = (box((1 - self.render(0.0, 0.0)).amax(-1) > 0.02) - told).reshape(2, 2).mean(0) / PICTURE
            self.shift = (self.shift[0] - float(middle[0]), self.shift[1] - float(middle[1]))

    def render(self, azimuth: float, elevation: float) -> torch.Tensor:
        """(S, S, 3) the true object on white, from a camera turned by these degrees from the photo's."""
        camera = orbit_degrees([self.azimuth + azimuth], self.elevation + elevation, self.distance, self.fov)
        camera = Cameras(camera.cam_to_world, camera.focal, camera.center + camera.center.new_tensor(self.shift))
        drawn = draw_asset(self.asset, camera, PICTURE, PICTURE, self.rasterizer)
        return drawn.rgb[0] + 1 - drawn.mask[0, ..., None]

    def look(self, picture: torch.Tensor) -> torch.Tensor:
        return picture

    def noise(self, noisy: torch.Tensor, step: int, known: torch.Tensor, turns: list[Turn]) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = []
        for turn in turns:
            if turn not in self.wanted:
                wrong = self.random.normal(0, self.off, 2)
                self.wanted[turn] = self.render(turn.azimuth_deg + wrong[0], turn.elevation_deg + wrong[1])
            pictures.append(torch.nn.functional.pad(self.wanted[turn].permute(2, 0, 1) * 2 - 1, (0, 0, 0, 0, 0, 1)))
        left = float(self.schedule.alphas_cumprod[step])
        noise = (noisy - left**0.5 * torch.stack(pictures)) / (1 - left) ** 0.5
        return noise, noise

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents[:, :3] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


class TrueSet:
    """The same for a model that draws six sides and their normals at once."""

    latent_size = PICTURE
    betas = Truth.betas

    def __init__(self, asset: TexturedMesh, azimuth: float, elevation: float, off: float) -> None:
        self.rasterizer = pipeline.open_context(config.load("standard")).rasterizer
        self.schedule, random = noise_schedule(*self.betas), np.random.default_rng(0)
        self.photo = orbit_degrees([azimuth], elevation, FAR, 1.0)
        self.asset, self.width, self.middle = asset, 4.0, torch.zeros(3)
        for _ in range(2):  # as large and where the model is shown the photo's object
            frame = object_box(self.render(0.0, 0.0).mask[0], FILL)
            right = (frame.left + frame.side / 2) / PICTURE - 0.5, 0.5 - (frame.top + frame.side / 2) / PICTURE
            for axis, part in enumerate(right):
                self.middle = self.middle + self.photo.cam_to_world[0, :3, axis] * part * self.width
            self.width *= frame.side / PICTURE
        normals, colors = [], []
        for number, degrees in enumerate(AZIMUTHS_DEG):
            wrong = random.normal(0, off, 2) if number else (0.0, 0.0)
            seen = self.render(degrees + wrong[0], wrong[1])
            to_photo = self.photo.cam_to_world[0, :3, :3].T @ self.pose(degrees + wrong[0], wrong[1])
            normals.append((torch.nn.functional.normalize(seen.normal[0], dim=-1) @ to_photo.T + 1) / 2 * seen.mask[0, ..., None])
            colors.append(seen.rgb[0])
            for drawn in (normals, colors):
                drawn[-1] = drawn[-1] + 1 - seen.mask[0, ..., None]
        self.wanted = torch.stack(normals + colors).permute(0, 3, 1, 2) * 2 - 1

    def pose(self, azimuth: float, higher: float) -> torch.Tensor:
        """(3, 3) of a camera that is turned from the photo's about that one's own upward axis, and then about its own right."""
        return self.photo.cam_to_world[0, :3, :3] @ orbit_degrees([azimuth], higher, FAR, 1.0).cam_to_world[0, :3, :3]

    def render(self, azimuth: float, higher: float) -> AssetViews:
        """The true object from there."""
        camera = self.photo.cam_to_world.clone()
        camera[0, :3, :3] = self.pose(azimuth, higher)
        camera[0, :3, 3] = self.middle + camera[0, :3, 2] * FAR
        cameras = Cameras(camera, torch.full((1, 2), FAR / self.width), torch.full((1, 2), 0.5))
        return draw_asset(self.asset, cameras, PICTURE, PICTURE, self.rasterizer)

    def look(self, picture: torch.Tensor) -> torch.Tensor:
        return picture

    def noise(self, noisy: torch.Tensor, step: int, known: torch.Tensor, both: bool) -> tuple[torch.Tensor, torch.Tensor]:
        left = float(self.schedule.alphas_cumprod[step])
        noise = (noisy - left**0.5 * torch.nn.functional.pad(self.wanted, (0, 0, 0, 0, 0, 1))) / (1 - left) ** 0.5
        return noise, noise

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents[:, :3] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


def box(inside: torch.Tensor) -> torch.Tensor:
    """(4,) left, top, right, bottom of what is inside, pixels."""
    place = torch.nonzero(inside).flip(-1).float()
    return torch.cat([place.amin(0), place.amax(0) + 1])


def drawn_one_by_one(
    asset: TexturedMesh, place: dict, views: Views, prior: ShapePrior, options: Multiview, off: float, context: Context, folder: Path
) -> Views:
    """What Zero-1-to-3's pipeline makes of the truth; beside it the photo as the model is shown it, and the truth from there."""
    camera = wide_camera(views.cameras, prior)
    asset = replace(asset, mesh=Mesh(asset.mesh.vertices * SHRUNK, asset.mesh.faces))
    truth = Truth(asset, place["azimuth_deg"], place["elevation_deg"], camera, on_white(views, camera), off)
    drawn = drawn_around(views, prior, truth, options, context)
    save_image(folder / "photo.png", torch.cat([on_white(views, camera), truth.render(0.0, 0.0)], 1))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "runs", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--preset", default="zero123", choices=("zero123", "one-2-3-45", "wonder3d"))
    parser.add_argument("--off", type=float, default=0.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    settings = config.load(options.preset, ["multiview.model=truth", "multiview.steps=4", *options.settings])
    context = pipeline.open_context(settings)
    told = json.loads((options.data / "photos" / "cameras.json").read_text())
    for name, place in sorted(told.items()):
        if options.only and name not in options.only.split(","):
            continue
        views, prior = load_guess(options.runs / f"{name}.run" / "02_estimate")
        asset = as_textured(normalise(load_object(options.data / "objects" / f"{name}.glb")))
        folder = options.out / f"{name}.drawn"
        folder.mkdir(exist_ok=True)
        if options.preset == "wonder3d":
            model = TrueSet(asset, place["azimuth_deg"], place["elevation_deg"], options.off)
            drawn, steps = drawn_set(views, model, settings.multiview, context), TOGETHER
        else:
            drawn, steps = drawn_one_by_one(asset, place, views, prior, settings.multiview, options.off, context, folder), STEPS
        views, prior, drawn = joined_up(views, prior, drawn, context, steps)
        save_imagined((views, prior, drawn), folder)
        field = fit(views, prior, settings.fit, context, drawn)
        mesh = refine(views, field, settings.refine, context, drawn=drawn)
        save_mesh(options.out / f"{name}.glb", texture(views, prior, mesh, settings.texture, context, drawn))
        print(name, len(drawn), "views", flush=True)


if __name__ == "__main__":
    main()
