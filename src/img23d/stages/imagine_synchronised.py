"""Imagine with a model that draws sixteen sides at once, thirty degrees above the horizon whatever the photo's height: SyncDreamer.

Reference: Liu et al., SyncDreamer: Generating Multiview-consistent Images from a Single-view Image (2024), and its released code for how
    the photo is shown to it.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from img23d.backends.sync_volume import DISTANCE, FOCAL, SIDES, cameras
from img23d.diffusion_options import Multiview
from img23d.ops.crop import Box
from img23d.ops.cutout import plain_background_alpha
from img23d.scene import Cameras, Views
from img23d.scores.samplers import ddim_sample, guided
from img23d.scores.schedule import noise_schedule
from img23d.stages.context import Context
from img23d.stages.drawn_pictures import cut_on_white, showing
from img23d.stages.imagine import elevation_of

PICTURE = 256  # pixels along each side of what it is shown
FILL = 200 / 256  # of the picture's width: the object's longest side, as the released code advises
LOWEST_DEG, HIGHEST_DEG = -10.0, 40.0  # heights of the photos that it was trained with


class SyncModel(Protocol):
    """What draws the object; see `img23d.backends.syncdreamer`."""

    @property
    def latent_size(self) -> int:
        """Latents along each side."""
        ...

    @property
    def betas(self) -> tuple[Any, float, float]:
        """Kind of noise schedule, and its first and last beta."""
        ...

    def look(self, picture: Tensor, elevation_deg: float) -> Any:
        """(S, S, 3) and its camera's height to what the model is told of it."""
        ...

    def noise(self, noisy: Tensor, step: int, told: Any, batch: int, both: bool) -> tuple[Tensor, Tensor]:
        """The noise in latents (16, 4, h, w), told nothing and told all; only the second where not both are asked for."""
        ...

    def pictures(self, latents: Tensor) -> Tensor:
        """(16, 4, h, w) to (16, S, S, 3)."""
        ...


def drawn_synchronised(views: Views, model: SyncModel, options: Multiview, context: Context) -> Views:
    """The object from the model's sixteen sides.

    Args:
        views: the photo, whose camera's guessed height the model is told.
        model: draws them.
        options: steps, scale, eta and batch; the sides are the model's own.

    Returns:
        Views in the photo's frame, of whose depth and normals nothing is known.

    Raises:
        FitError: no picture shows an object.
    """
    box, elevation = centred_box(views), elevation_of(views.cameras)
    if not LOWEST_DEG <= elevation <= HIGHEST_DEG:
        context.warnings.append(
            f"the photo's camera is {elevation:.0f} degrees above the horizon; SyncDreamer was trained with {LOWEST_DEG:.0f} to"
            f" {HIGHEST_DEG:.0f}: see drawn.png in the run folder, and give --elevation if that is wrong"
        )
    told, size = model.look(cut_on_white(views, box, PICTURE), elevation), model.latent_size
    generator = context.generator()
    start = torch.randn(SIDES, 4, size, size, generator=generator).to(context.device)

    def noise(noisy: Tensor, step: int) -> Tensor:
        return guided(*model.noise(noisy, step, told, options.batch, options.scale != 1), options.scale)

    def progress(fraction: float) -> None:
        context.progress(fraction, f"{SIDES} views together")

    latents = ddim_sample(noise, start, noise_schedule(*model.betas), options.steps, options.eta, generator, progress)
    return as_views(model.pictures(latents), cameras_round(views, box), context)


def centred_box(views: Views) -> Box:
    """The square of the photo that the model is shown: about what its camera looks at, the middle of the object in the model's world.

    Where the object is in the middle of the photo, as segment leaves it, its longest side takes `FILL` of that.
    """
    inside = torch.nonzero(views.mask[0] > 0.5)
    (top, left), (bottom, right) = inside.amin(0).tolist(), (inside.amax(0) + 1).tolist()
    x, y = (float(middle) * views.mask.shape[-1] for middle in views.cameras.center[0])
    side = 2 * max(x - left, right - x, y - top, bottom - y) / FILL
    return Box(x - side / 2, y - side / 2, side)


def cameras_round(views: Views, box: Box) -> Cameras:
    """The model's sixteen cameras in the photo's frame.

    Its photo was taken from as far as its sides are seen from, with the same lens: so the square's width at the object gives its scale.

    Args:
        views: the photo, whose camera looks at the origin.
        box: the square of it that the model is shown, in its pixels.
    """
    photo = views.cameras
    width = box.side / views.mask.shape[-1] * float(photo.position[0].norm()) / float(photo.focal[0].mean())
    sides = cameras().to(views.mask.device)
    poses = sides.cam_to_world.clone()
    poses[:, :3, 3] *= width * FOCAL / DISTANCE
    return Cameras(poses, sides.focal, sides.center)


def as_views(pictures: Tensor, seen_by: Cameras, context: Context) -> Views:
    """Pictures (16, S, S, 3) on white as views; those that show no object are left out.

    Raises:
        FitError: that is all of them.
    """
    masks = [plain_background_alpha(picture.cpu()) for picture in pictures]
    good = showing(masks, context)
    rgb = pictures[good].to(context.device)
    mask = torch.stack([masks[number] for number in good]).to(rgb)
    nothing = torch.zeros_like(mask)
    return Views(seen_by[good], rgb, mask, nothing, torch.zeros_like(rgb), nothing.clone())
