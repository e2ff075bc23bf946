"""Imagine with a model that draws all sides at once, colours and normals, in orthographic projection: Wonder3D.

Reference: Long et al., Wonder3D: Single Image to 3D using Cross-Domain Diffusion (2024), and its released code for what its frames are.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.wonder3d import AZIMUTHS_DEG, PICTURE
from img23d.diffusion_options import Multiview
from img23d.ops.crop import Box, object_box
from img23d.ops.cutout import plain_background_alpha
from img23d.scene import Cameras, Views
from img23d.scores.samplers import ddim_sample, guided
from img23d.scores.schedule import noise_schedule
from img23d.stages.context import Context
from img23d.stages.drawn_pictures import cut_on_white, showing

SIDES = len(AZIMUTHS_DEG)
FILL = 0.75  # of the picture's width: the object's longest side, as in the released code (192 of 256 pixels)
FAR = 100.0  # object units: from here perspective moves nothing in a picture of 256 pixels by more than about one of them
LONGEST = 1.4  # of what is still a normal; white is 1.73 long
GRAZING = 0.1  # cosine below which a drawn normal says nothing
TRUST = (1.0, 0.8, 0.2, 1.0, 0.4, 0.7)  # in the normals of each view, as in the released code


class SetModel(Protocol):
    """What draws the object; see `img23d.backends.wonder3d`."""

    @property
    def latent_size(self) -> int:
        """Latents along each side."""
        ...

    @property
    def betas(self) -> tuple[Any, float, float]:
        """Kind of noise schedule, and its first and last beta."""
        ...

    def look(self, picture: Tensor) -> Any:
        """(S, S, 3) to what the model is told of it."""
        ...

    def noise(self, noisy: Tensor, step: int, known: Any, both: bool) -> tuple[Tensor, Tensor]:
        """The noise in latents (12, 4, h, w), told nothing and told all; only the second where not both are asked for."""
        ...

    def pictures(self, latents: Tensor) -> Tensor:
        """(12, 4, h, w) to (12, S, S, 3): six normal maps, then the six pictures."""
        ...


def drawn_set(views: Views, model: SetModel, options: Multiview, context: Context) -> Views:
    """The object from the five sides of the model's set that the photo does not show, with normals.

    Args:
        views: the photo, with its camera.
        model: draws them.
        options: steps, scale and eta; the sides are the model's own.

    Returns:
        Views in the photo's frame. A normal is trusted by how much it faces its camera, by the exponential of the cosine as in the
        paper's normal fusion; of depth nothing is known.

    Raises:
        FitError: no picture shows an object.
    """
    box = object_box(views.mask[0], FILL)
    known, size = model.look(cut_on_white(views, box, PICTURE)), model.latent_size
    generator = context.generator()
    start = torch.randn(2 * SIDES, 4, size, size, generator=generator).to(context.device)

    def noise(noisy: Tensor, step: int) -> Tensor:
        return guided(*model.noise(noisy, step, known, options.scale != 1), options.scale)

    def progress(fraction: float) -> None:
        context.progress(fraction, f"{SIDES} views with normals")

    latents = ddim_sample(noise, start, noise_schedule(*model.betas), options.steps, options.eta, generator, progress)
    normals, colors = model.pictures(latents).chunk(2)
    return as_views(normals, colors, cameras_round(views, box), context)


def cameras_round(views: Views, box: Box) -> Cameras:
    """The model's six cameras, for a picture of a square of the photo.

    They are turned about the upward axis of the photo's camera, whatever its height, and so far away that they see as good as in parallel.

    Args:
        views: the photo, whose camera looks at the origin.
        box: the square, in its pixels.
    """
    photo, size = views.cameras, views.mask.shape[-1]
    rotation, focal = photo.cam_to_world[0, :3, :3], float(photo.focal[0].mean())
    unit = float(photo.position[0].norm()) / focal  # object units across the whole photo, at the origin
    width = box.side / size * unit
    off = [((start + box.side / 2) / size - float(middle)) * unit for start, middle in zip((box.left, box.top), photo.center[0])]
    poses, centers = torch.zeros(SIDES, 4, 4), torch.zeros(SIDES, 2)
    for number, degrees in enumerate(AZIMUTHS_DEG):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        poses[number, :3, :3] = rotation.cpu() @ torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
        # The middle of the picture is the middle of the object, about which the cameras turn.
        centers[number] = torch.tensor([0.5 - off[0] * c / width, 0.5 - off[1] / width])
    poses[:, :3, 3], poses[:, 3, 3] = poses[:, :3, 2] * FAR, 1.0
    return Cameras(poses, torch.full((SIDES, 2), FAR / width), centers).to(views.mask.device)


def as_views(normals: Tensor, colors: Tensor, cameras: Cameras, context: Context) -> Views:
    """What was drawn as views, without the first, which the photo shows better.

    Args:
        normals: (6, S, S, 3) 0..1, in the frame of the first camera, on white.
        colors: (6, S, S, 3) sRGB.
        cameras: six.
        context: of the stage.

    Raises:
        FitError: no picture shows an object.
    """
    masks = [outline(picture.cpu()) for picture in normals[1:]]
    good = [number + 1 for number in showing(masks, context)]
    mask = torch.stack([masks[number - 1] for number in good]).to(colors)
    seen = cameras[good]
    rotation = cameras.cam_to_world[0, :3, :3]
    outward = F.normalize((normals[good] * 2 - 1).to(mask) @ rotation.T, dim=-1)
    towards = F.normalize(seen.rays(*mask.shape[1:])[1], dim=-1)
    facing = -(outward * towards).sum(-1)
    trust = mask.new_tensor([TRUST[number] for number in good])[:, None, None]
    confidence = torch.where(facing > GRAZING, (facing - 1).exp() * trust * mask, torch.zeros_like(mask))
    return Views(seen, colors[good], mask, torch.zeros_like(mask), outward, confidence)


def outline(normals: Tensor) -> Tensor:
    """(S, S) coverage of the object in a normal map (S, S, 3) on white, which is as long as no normal is; so holes are seen too."""
    return plain_background_alpha(normals) * ((normals * 2 - 1).norm(dim=-1) < LONGEST)
