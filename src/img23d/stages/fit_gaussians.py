"""Fit, as a cloud of 3D Gaussians: splatted, held to the photo and the prior, and turned into a signed distance by its density.

Reference: Tang et al., DreamGaussian: Generative Gaussian Splatting for Efficient 3D Content Creation (2024).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from img23d.config import Fit
from img23d.fields.densify import Watch, densified, kept, reset
from img23d.fields.gaussians import Gaussians
from img23d.fields.grid import FrozenGrid, GridField, sample_grid, upsample
from img23d.ops.crop import resize_views_image
from img23d.ops.density import distance_to_level, spread_out
from img23d.ops.losses import mask_loss, weighted_mean
from img23d.ops.splat import Composite, splat
from img23d.scene import Cameras, ShapePrior, Views
from img23d.stages.cloud import INSIDE, Learnt, cloud_of
from img23d.stages.context import Context
from img23d.stages.coordinates import Surface
from img23d.stages.fit import COLOR_RESOLUTION, HELD, MASK_SIZE, TELL_EVERY, TRUNCATION, color_volume, finished, outline_weight
from img23d.stages.guide import Draw, Guide
from img23d.stages.observe import joined
from img23d.stages.splats import fastest, on

PLACES = 1024
"""Points in each step at which the density is compared with the prior's."""
ROOM = 0.1
"""How far round the prior's solid they lie, object units."""
COLORED = 0.02
"""Density from which the mean of the Gaussians' colours is theirs."""


def fit_gaussians(
    views: Views, prior: ShapePrior, options: Fit, context: Context, drawn: Views | None = None, guide: Guide | None = None
) -> FrozenGrid:
    """Optimise a cloud of Gaussians so that its pictures agree with the views and its density with the prior.

    Args:
        drawn, guide: and the rest as for `img23d.stages.fit.fit`.

    Returns:
        The signed distance of what is denser than ``options.cloud.level``, the Gaussians' mean colours, and the Gaussians themselves.

    Raises:
        FitError: the cloud has thinned out, so that it has no surface.
    """
    believed = upsample(prior.sdf[None], options.resolution)[0]
    generator, told, held = context.generator(), "", 1.0 if drawn is None else HELD
    learnt = Learnt(cloud_of(believed, color_volume(views, prior), options.cloud, generator), options.steps)
    solid = Solid(prior, float(learnt.cloud.scales.detach().median()))
    watch = Watch(fastest(learnt.cloud), len(learnt.cloud), context.device)
    most = round(options.cloud.growth * len(learnt.cloud))
    photo, others = Observed(views, options.cloud.size), None if drawn is None else Observed(drawn, options.cloud.size)
    outline = outline_weight(views.mask)
    for step in range(options.steps):
        now = step / max(1, options.steps - 1)
        cloud = learnt.cloud
        alike, covered = photo.losses(cloud, watch, generator)
        loss = options.rgb.at(now) * alike + options.mask.at(now) * outline * covered
        loss = loss + options.volume.at(now) * held * solid.loss(cloud, generator)
        if others is not None:
            alike, covered = others.losses(cloud, watch, generator)
            loss = loss + options.drawn.at(now) * (alike + covered)
        if guide is not None:
            loss = loss + guide.pull(draw_cloud(cloud, watch), guide.options.size, now, generator, partial(cloud_surface, cloud, watch))
        learnt.adam.zero_grad()
        loss.backward()
        watch.learn()
        learnt.adam.step()
        change(learnt, watch, step, options, most, generator)
        if step % TELL_EVERY == 0 or step + 1 == options.steps:
            told = f"loss {float(loss.detach()):.3f}, {len(learnt.cloud)} Gaussians"
        context.progress((step + 1) / options.steps, told)
    found = learnt.cloud
    found = Gaussians(*(value.detach() for value in vars(found[kept(found)]).values()))
    field = field_of(found, options)
    made = finished(field, believed, views if drawn is None else joined(views, drawn, MASK_SIZE), options)
    made.settled = guide.handover.settled if guide is not None and guide.handover is not None else None
    made.cloud = found
    return made


def change(learnt: Learnt, watch: Watch, step: int, options: Fit, most: int, generator: torch.Generator) -> None:
    """Let the cloud grow, drop what is faint and reset opacity, where it is time for it."""
    cloud = options.cloud
    if due(step + 1, options.steps, cloud.densify_from, cloud.densify_every):
        grown, origin = densified(learnt.cloud, watch.pull, cloud.densify_above, max(0, most - len(learnt.cloud)), generator)
        if len(grown):
            learnt.replace(grown, origin)
        watch.forget(len(learnt.cloud))
    if due(step + 1, options.steps, cloud.reset_every, cloud.reset_every):
        learnt.set_opacity(reset(learnt.cloud.opacity_logits.detach()))


def due(done: int, steps: int, first: float, every: float) -> bool:
    """Whether after so many steps it is time for what happens first after this share of all steps, and then again and again."""

    def times(count: int) -> int:
        return int((count / steps - first) / every + 1 + 1e-9)

    return times(done) > max(0, times(done - 1))


class Observed:
    """Pictures that a cloud is to look like, at the size that it is drawn at.

    Args:
        views: V pictures.
        size: side of the pictures, px.
    """

    def __init__(self, views: Views, size: int) -> None:
        self.cameras = views.cameras
        self.size = min(size, views.mask.shape[-1])
        self.rgb, self.mask = (resize_views_image(image, self.size) for image in (views.rgb, views.mask))

    def losses(self, cloud: Gaussians, together: Composite, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mean squared differences of colours, on black or on white, and of coverage, of one picture at random."""
        view, white = (int(torch.randint(count, (1,), generator=generator)) for count in (len(self.cameras), 2))
        rgb, coverage = cloud.draw(self.cameras[view : view + 1], self.size, self.size, together)
        background, mask = rgb.new_full((3,), float(white)), self.mask[view]
        truth = on(background, self.rgb[view] * mask[..., None], mask)
        return (on(background, rgb[0], coverage[0]) - truth).square().mean(), mask_loss(coverage[0], mask)


class Solid:
    """The prior's solid as a cloud would fill it: what nothing shows stays with it.

    Args:
        prior: with its signed distance and how far that is trusted.
        width: standard deviation of the Gaussians that fill it, object units.
    """

    def __init__(self, prior: ShapePrior, width: float) -> None:
        # A filled half-space, blurred by its Gaussians, is this dense.
        self.density = INSIDE * torch.special.ndtr(-prior.sdf / width)
        self.confidence = prior.confidence
        near = (prior.sdf < ROOM).nonzero().flip(-1).to(prior.sdf)
        side = (len(prior.sdf) - 1) / 2
        self.low, self.high = (near.amin(0) / side - 1, near.amax(0) / side - 1) if len(near) else (-near.new_ones(3), near.new_ones(3))
        # A surface that has moved costs as much as where `img23d.stages.fit` compares distances, up to `TRUNCATION`, in the whole cube.
        self.unit = 2 * TRUNCATION * float((self.high - self.low).prod()) / 8

    def loss(self, cloud: Gaussians, generator: torch.Generator) -> Tensor:
        """How far the density is from the prior's at random points, in object units; what is denser than a solid's inside is as good."""
        places = torch.rand(PLACES, 3, generator=generator).to(self.low) * (self.high - self.low) + self.low
        wanted, trust = sample_grid(torch.stack([self.density, self.confidence]), places).unbind(-1)
        return self.unit * weighted_mean((cloud.density_at(places).clamp(max=INSIDE) - wanted).abs(), trust) / INSIDE


def draw_cloud(cloud: Gaussians, together: Composite) -> Draw:
    """A cloud as `img23d.stages.guide.Guide.pull` looks at it."""

    def draw(cameras: Cameras, size: int) -> dict[str, Tensor]:
        rgb, coverage = cloud.draw(cameras, size, size, together)
        return {"colors": on(rgb.new_ones(3), rgb, coverage)}

    return draw


def cloud_surface(cloud: Gaussians, together: Composite) -> Surface:
    """A cloud's surface as `img23d.stages.coordinates.ByCoordinates` looks at it: splats that show their own centres."""

    def points(cameras: Cameras, size: int) -> tuple[Tensor, Tensor]:
        return splat(cloud.points, cloud.scales, cloud.rotations, cloud.opacity, cloud.points, cameras, size, size, together)

    return Surface(torch.stack([cloud.points.detach().amin(0), cloud.points.detach().amax(0)]), points)


@torch.no_grad()
def field_of(cloud: Gaussians, options: Fit) -> GridField:
    """The signed distance of a cloud's dense part, and its colours.

    Raises:
        FitError: it is nowhere dense enough.
    """
    density, color = cloud.density_grid(options.resolution)
    sdf = distance_to_level(density, options.cloud.level)
    spread = spread_out(color, density > COLORED)
    return GridField(sdf, upsample(spread, COLOR_RESOLUTION).clamp(0, 1), options.resolution, 1)
