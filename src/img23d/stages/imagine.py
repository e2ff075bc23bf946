"""Imagine: what a diffusion model draws of the object from other sides, as views beside the photo.

Reference: Liu et al., One-2-3-45 (2023), sections 3.1 and 3.2, for the two rounds of views; Zero-1-to-3 (2023) for the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from img23d.backends.zero123 import Turn
from img23d.diffusion_options import Multiview
from img23d.ops.crop import Box
from img23d.ops.cutout import plain_background_alpha
from img23d.ops.volume import volume_points
from img23d.priors.hull import APART, STEPS, TOGETHER, agreeing, filling, floor_of, hull_prior
from img23d.scene import Cameras, ShapePrior, Views
from img23d.scene.cameras import orbit_degrees
from img23d.scores.samplers import ddim_sample, guided
from img23d.scores.schedule import noise_schedule
from img23d.stages.context import Context
from img23d.stages.drawn_pictures import cut_on_white, showing

VERSION = 1
PICTURE = 256  # pixels along each side
FRAME = 0.8  # of the picture's width that the object may take, however it is turned
NEARBY_DEG = 10.0  # between a view of One-2-3-45's first round and those round it
STEEP_DEG, RAISED_DEG = 15.0, 30.0  # every other view of its first round is lower by so much, or higher for a camera below the first
HIGHEST_DEG = 85.0
DOUBTFUL = 0.6  # share of the outlines that the drawn views' solid fills, below which the user is told


class Side(NamedTuple):
    """Where a camera is, degrees: to the right of the photo's, and above the horizon."""

    azimuth: float
    elevation: float


class ViewModel(Protocol):
    """What draws the object; see `img23d.backends.zero123`."""

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

    def noise(self, noisy: Tensor, step: int, known: Any, turns: list[Any]) -> tuple[Tensor, Tensor]:
        """The noise in latents, told nothing and told all."""
        ...

    def pictures(self, latents: Tensor) -> Tensor:
        """(B, 4, h, w) to (B, S, S, 3)."""
        ...


@dataclass(frozen=True)
class Round:
    """Sides that are drawn from one known picture."""

    known: Side
    wanted: tuple[Side, ...]
    steps: int


def imagine(views: Views, prior: ShapePrior, options: Multiview, context: Context) -> tuple[Views, ShapePrior, Views]:
    """Draw the object from other sides with the model that the options name.

    Args:
        views: the photo, with its camera.
        prior: tells how far the object reaches.

    Returns:
        The photo, whose camera now agrees with the drawn views; the solid that all of them leave as a prior; and the drawn views, of
        whose depth nothing is known, and of whose normals only by a model that draws these too. Boxes and solids of revolution are
        better known than drawn: they stay, and the views are good for colours alone.

    Raises:
        WeightsError, BackendError: see `img23d.backends.hub.require`, and `load` of zero123, wonder3d and syncdreamer in
            `img23d.backends`.
        FitError: no picture shows an object, or they leave no solid.
    """
    from img23d.backends import syncdreamer, wonder3d, zero123
    from img23d.backends.hub import is_offline, require
    from img23d.backends.sync_checkpoint import is_syncdreamer
    from img23d.stages.imagine_set import drawn_set
    from img23d.stages.imagine_synchronised import drawn_synchronised

    path, device = require(options.model, is_offline(context.offline), context.commercial_ok), str(context.device)
    if wonder3d.is_wonder3d(path):
        return joined_up(views, prior, drawn_set(views, wonder3d.load(path, device), options, context), context, TOGETHER)
    if is_syncdreamer(path):
        return joined_up(views, prior, drawn_synchronised(views, syncdreamer.load(path, device), options, context), context, APART)
    drawn = drawn_around(views, prior, zero123.load(path, device, options.pose), options, context)
    return joined_up(views, prior, drawn, context)


def joined_up(
    views: Views, prior: ShapePrior, drawn: Views, context: Context, steps: tuple[dict[str, float], ...] = STEPS
) -> tuple[Views, ShapePrior, Views]:
    """Photo and drawn views in one frame, and the prior that they make; a solid that is known is left as it is.

    Args:
        steps: what is not known of the cameras, see `img23d.priors.hull`.
    """
    if prior.known:
        return views, prior, drawn
    guessed, (views, drawn, share) = views.cameras, agreeing(views, drawn, steps)
    if share < DOUBTFUL:
        context.warnings.append(
            f"the drawn views hardly agree ({share:.0%} of their outlines are filled): see drawn.png in the run folder; another --seed, or"
            " --set multiview.model= does without them"
        )
    views, drawn, floor = filling(views, drawn, floor_of(prior, guessed, views.cameras))
    return views, hull_prior(prior, views, drawn, floor), drawn


def drawn_around(views: Views, prior: ShapePrior, model: ViewModel, options: Multiview, context: Context) -> Views:
    """The object from the sides of the plan, as a model draws it."""
    camera = wide_camera(views.cameras, prior)
    photo = Side(0.0, elevation_of(camera))
    pictures = {photo: on_white(views, camera)}
    rounds = planned(options, photo)
    total, done = sum(len(round_.wanted) for round_ in rounds), 0
    generator = context.generator()
    for round_ in rounds:
        seen = model.look(pictures[round_.known])
        for first in range(0, len(round_.wanted), options.batch):
            wanted = round_.wanted[first : first + options.batch]

            def progress(fraction: float, done: int = done, count: int = len(wanted)) -> None:
                context.progress((done + count * fraction) / total, f"{total} views")

            drawn = draw(model, seen, round_.known, wanted, round_.steps, options, generator, context.device, progress)
            pictures.update(zip(wanted, drawn))
            done += len(wanted)
    del pictures[photo]
    return as_views(pictures, camera, context)


def planned(options: Multiview, photo: Side) -> list[Round]:
    """Which sides are drawn, and from which pictures."""
    if options.plan == "ring":
        step = 360.0 / (options.views + 1)
        return [Round(photo, tuple(Side(step * (number + 1), photo.elevation) for number in range(options.views)), options.steps)]
    raised = photo.elevation + (-RAISED_DEG if photo.elevation >= STEEP_DEG else RAISED_DEG)
    level = [Side(90.0 * number, photo.elevation) for number in range(1, 4)]
    first = [*level, *(Side(30.0 + 90.0 * number, raised) for number in range(4))]
    rounds = [Round(photo, tuple(first), options.steps)]
    for middle in (photo, *first):
        near = [middle._replace(azimuth=middle.azimuth + turn) for turn in (-NEARBY_DEG, NEARBY_DEG)]
        heights = (max(-HIGHEST_DEG, middle.elevation - NEARBY_DEG), min(HIGHEST_DEG, middle.elevation + NEARBY_DEG))
        rounds.append(Round(middle, (*near, *(middle._replace(elevation=height) for height in heights)), max(1, options.steps * 2 // 3)))
    return rounds


def draw(
    model: ViewModel, seen: Any, known: Side, wanted: tuple[Side, ...], steps: int, options: Multiview, generator: torch.Generator,
    device: torch.device, progress: Any,
) -> Tensor:  # fmt: skip
    """(N, S, S, 3) the object from the sides wanted, by the model, from what it was told of the picture of the known side."""
    turns = [Turn(side.azimuth - known.azimuth, side.elevation - known.elevation, known.elevation) for side in wanted]
    size = model.latent_size
    start = torch.randn(len(wanted), 4, size, size, generator=generator).to(device)
    kind, first, last = model.betas

    def noise(noisy: Tensor, step: int) -> Tensor:
        return guided(*model.noise(noisy, step, seen, turns), options.scale)

    return model.pictures(ddim_sample(noise, start, noise_schedule(kind, first, last), steps, options.eta, generator, progress))


def wide_camera(photo: Cameras, prior: ShapePrior) -> Cameras:
    """The photo's camera with a field of view that holds the whole object, however it is turned about the origin."""
    inside = prior.sdf < 0
    points = volume_points(len(prior.sdf), prior.sdf)[inside] if bool(inside.any()) else prior.sdf.new_ones(1, 3)
    sine = min(0.95, float(points.norm(dim=-1).max() / photo.position[0].norm()))
    focal = 0.5 * FRAME * math.sqrt(1 - sine**2) / sine
    return Cameras(photo.cam_to_world[:1], photo.focal.new_full((1, 2), focal), photo.center.new_full((1, 2), 0.5))


def elevation_of(camera: Cameras) -> float:
    """Degrees of the first camera above the horizon."""
    return math.degrees(math.asin(float(camera.position[0, 1] / camera.position[0].norm())))


def azimuth_of(camera: Cameras) -> float:
    """Degrees that the first camera stands to the right of the front."""
    return math.degrees(math.atan2(float(camera.position[0, 0]), float(camera.position[0, 2])))


def on_white(views: Views, camera: Cameras) -> Tensor:
    """(PICTURE, PICTURE, 3) the photo's object on white, as another camera at the same place sees it."""
    size = views.mask.shape[-1]
    side = size * float(views.cameras.focal[0, 0] / camera.focal[0, 0])
    left, top = (float(views.cameras.center[0, axis]) * size - side / 2 for axis in (0, 1))
    return cut_on_white(views, Box(left, top, side), PICTURE)


def as_views(pictures: dict[Side, Tensor], camera: Cameras, context: Context) -> Views:
    """Pictures on white as views; those that show no object are left out.

    Raises:
        FitError: that is all of them.
    """
    masks = {side: plain_background_alpha(picture.cpu()) for side, picture in pictures.items()}
    good = [list(masks)[number] for number in showing(list(masks.values()), context)]
    fov = math.degrees(2 * math.atan(0.5 / float(camera.focal[0, 0])))
    distance = float(camera.position[0].norm())
    cameras = orbit_degrees([side.azimuth for side in good], [side.elevation for side in good], distance, fov)
    rgb = torch.stack([pictures[side].to(context.device) for side in good])
    mask = torch.stack([masks[side] for side in good]).to(rgb)
    nothing = torch.zeros_like(mask)
    return Views(cameras.to(context.device), rgb, mask, nothing, torch.zeros_like(rgb), nothing.clone())
