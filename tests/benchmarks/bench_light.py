"""How much of a photo's light is taken out of its colours: a markdown table.

usage: python tests/benchmarks/bench_light.py DATA [--count 90]

DATA is a folder of textured objects as `img23d train prior --data` takes it. Held-out ones are rendered at 256 px in random light (one to
three softboxes, sky, bounce, shadows, gloss), as `img23d.training.photo_lights.random_studio` makes it, and without any; the first, with
their true normals at the vertices, goes through `img23d.ops.delight`. The figure is the mean absolute difference of blurred sRGB colours
between a picture and the one without light, exposure and white balance made up for. *Even*: what it does to the picture without light.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from bench_unseen import as_textured

from img23d.backends.rasterizers import choose_rasterizer
from img23d.evals.appearance import appearance
from img23d.io.asset_views import draw_asset
from img23d.ops.delight import without_light
from img23d.ops.normals import vertex_normals
from img23d.scene import Views
from img23d.scene.cameras import orbit_degrees
from img23d.training.dataset import split_objects
from img23d.training.objects import TrainingObject, normalise
from img23d.training.photo_lights import random_studio
from img23d.training.render_photo import Placed, render_photo
from img23d.training.shape_train import gather_sources

SIZE = 256
RASTERIZER = choose_rasterizer("numba")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=90)
    options = parser.parse_args()
    sources = gather_sources([options.data], procedural=0)
    chosen = [int(index) for index in np.random.default_rng(77).permutation(split_objects(sources)[1])[: options.count]]
    with torch.no_grad():
        rows = np.array([compare(normalise(sources[index].load()), np.random.default_rng([77, index])) for index in chosen])
    before, after, even = rows[~np.isnan(rows).any(1)].T
    print("| objects | as photographed | without light | worse by .003 | even light, changed by |\n|---|---|---|---|---|")
    print(f"| {len(before)} | {before.mean():.4f} | {after.mean():.4f} | {(after > before + 0.003).sum()} | {even.mean():.4f} |")


def compare(item: TrainingObject, random: np.random.Generator) -> tuple[float, float, float]:
    """Distance to the true colours of the photo, of the photo without light, and of the true colours that were taken for a photo."""
    azimuth, elevation, fov = random.uniform(-60, 60), random.uniform(0, 35), random.uniform(25, 45)
    points = torch.from_numpy(item.vertices)
    radius = float((points - (points.amax(0) + points.amin(0)) / 2).norm(dim=-1).max())
    camera = orbit_degrees([azimuth], elevation, 1.12 * radius / np.sin(np.radians(fov / 2)), fov)
    gloss = float(random.uniform(0, 0.6))
    grey = torch.full((SIZE, SIZE, 3), 0.8)
    lit = render_photo((Placed(item, gloss=gloss, roughness=0.2),), camera, random_studio(random), SIZE, SIZE, grey, lamps=(16, 24))
    asset = as_textured(item)
    drawn = draw_asset(asset, camera, SIZE, SIZE, RASTERIZER)
    inside = torch.minimum((drawn.mask > 0.99).float(), (lit.alpha[None] > 0.99).float())
    # Objects stand turned by the azimuth before the camera; light knows only up and down.
    normals = vertex_normals(asset.mesh)
    photo, plain = Views(camera, lit.rgb[None], inside), Views(camera, drawn.rgb, inside)
    made, same = (without_light(views, asset.mesh, normals, RASTERIZER, 1.0, 0) for views in (photo, plain))
    return distance(photo, plain), distance(made, plain), distance(same, plain)


def distance(made: Views, true: Views) -> float:
    """As `img23d.evals.appearance`, of one picture."""
    pictures = [torch.cat([one.rgb[0], one.mask[0, ..., None]], -1)[::2, ::2] for one in (made, true)]
    return appearance(*(torch.stack([picture, picture]) for picture in pictures)).colour


if __name__ == "__main__":
    main()
