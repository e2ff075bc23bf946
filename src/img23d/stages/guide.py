"""Guide: diffusion models look at the sides that nobody photographed and pull at them, a loss beside the photo's.

Reference: Poole et al., DreamFusion (2023) for the loss; Qian et al., Magic123 (2024) for two models, one that knows the photo and one
    that knows words; Sun et al., DreamCraft3D (2024) for sides that spread from the photo's and for normals shown to the second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.zero123 import Turn
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError
from img23d.ops.edges import EdgeTable
from img23d.ops.render import render
from img23d.options import Ramp
from img23d.scene import Cameras, Mesh, ShapePrior, Views
from img23d.scene.cameras import orbit_degrees
from img23d.scores.directions import SIDES, mixed_sides, side_of, side_prompts, without_unwanted
from img23d.scores.distillation import distillation_gradient, drawn_step, pulled
from img23d.scores.samplers import guided
from img23d.scores.schedule import noise_schedule
from img23d.stages.context import Context
from img23d.stages.handover import Handover
from img23d.stages.imagine import Side, elevation_of, on_white, wide_camera

LOWEST_DEG, HIGHEST_DEG = -10.0, 45.0  # cameras above the horizon
LOOKED_AT = 8  # sides, when it is asked whether the shape has settled
FINER = 4  # how much larger refine's pictures are than fit's

Draw = Callable[[Cameras, int], dict[str, Tensor]]
"""Cameras and a size to ``colors`` (B, S, S, 3) on white and perhaps ``normals`` (B, S, S, 3), coded as colours."""


class Puller(Protocol):
    """A diffusion model, and what it has been told of the object."""

    @property
    def model(self) -> Any:
        """The network, with ``betas``, ``latents`` and ``pictures``; see `img23d.backends.zero123`."""
        ...

    @property
    def size(self) -> int:
        """Pixels along each side of what it looks at."""
        ...

    @property
    def sees(self) -> Literal["colors", "normals"]:
        """What it is shown, where there is a choice."""
        ...

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        """The guided noise in latents (B, C, h, w), each seen from its side."""
        ...


@dataclass(frozen=True)
class ByView:
    """A model that knows the photo: `img23d.backends.zero123`."""

    model: Any
    known: Any
    photo: Side
    scale: float
    size: int
    sees: Literal["colors", "normals"] = "colors"

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        turns = [Turn(side.azimuth - self.photo.azimuth, side.elevation - self.photo.elevation, self.photo.elevation) for side in sides]
        nothing, told = self.model.noise(noisy, step, self.known, turns)
        return guided(nothing, told, self.scale)

    def likeness(self, pictures: Tensor) -> float:
        """How much pictures (B, S, S, 3) mean the same as the photo: the mean cosine, 1 at most."""
        return float(F.cosine_similarity(self.model.meaning(pictures).float(), self.known.meaning.float(), dim=-1).mean())


@dataclass(frozen=True)
class ByText:
    """A model that knows words, `img23d.backends.stable_diffusion`, and is told which side it sees.

    Args:
        model: the network.
        nothing: (1, L, C) the negative prompt.
        told: (4, L, C) the prompt for each of `img23d.scores.directions.SIDES`.
        scale: of the guidance.
        perpendicular: whether it is told which sides are not to be seen too.
        sees: what refine shows it.
    """

    model: Any
    nothing: Tensor
    told: Tensor
    scale: float
    perpendicular: bool
    sees: Literal["colors", "normals"]

    @property
    def size(self) -> int:
        return self.model.picture  # type: ignore[no-any-return]

    def noise(self, noisy: Tensor, step: int, sides: list[Side]) -> Tensor:
        return torch.cat([self.noise_of(noisy[number : number + 1], step, side) for number, side in enumerate(sides)])

    def noise_of(self, noisy: Tensor, step: int, side: Side) -> Tensor:
        """(1, C, h, w) for one side."""
        number = side_of(*side)
        if not self.perpendicular or number == SIDES.index("overhead"):  # overhead is no mixture of the other sides
            nothing, told = self.seen(noisy, step, self.told[number : number + 1])
            return guided(nothing, told, self.scale)
        share, unwanted = mixed_sides(side.azimuth)
        wanted = (share.to(self.told)[:, None, None] * self.told).sum(0, keepdim=True)
        others = [self.told[other : other + 1] for other, weight in unwanted if weight < 0]
        nothing, towards, *away = self.seen(noisy, step, wanted, *others)
        weights = [weight for _, weight in unwanted if weight < 0]
        return without_unwanted(nothing[0], towards[0], [(a[0], w) for a, w in zip(away, weights)], self.scale)[None]

    def seen(self, noisy: Tensor, step: int, *told: Tensor) -> tuple[Tensor, ...]:
        """(1, C, h, w) noise, told nothing and told each of these."""
        context = torch.cat([self.nothing, *told])
        return self.model.noise(noisy.expand(len(context), -1, -1, -1), step, context).split(1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Guide:
    """Models that pull, and the cameras that they look through.

    Args:
        camera: at the photo's place, with a field of view that holds the whole object, however it is turned; on the CPU, since its
            numbers are asked for in each step.
        pullers: each with its weight.
        options: of the guidance.
        device: where the object is drawn.
        handover: from the view model to the text model, where the options want one; remembers what it saw.
    """

    camera: Cameras
    pullers: tuple[tuple[Puller, Ramp], ...]
    options: Guidance
    device: torch.device = torch.device("cpu")
    handover: Handover | None = None

    def pull(self, draw: Draw, size: int, now: float, generator: torch.Generator) -> Tensor:
        """The loss of one step.

        Args:
            draw: shows the object.
            size: side of the pictures, px.
            now: fraction of the stage's steps that are done.
            generator: of sides and noise; on the CPU.
        """
        sides = self.sides(now, generator)
        shown = draw(self.cameras(sides), size)
        total = shown["colors"].new_zeros(())
        shares = self.shares(draw, size, now)
        for (puller, weight), share in zip(self.pullers, shares):
            if share == 0:  # a pass through a network is dear
                continue
            schedule = noise_schedule(*puller.model.betas)
            step = drawn_step(schedule, self.options.least.at(now), self.options.most.at(now), generator)

            def noise(noisy: Tensor, step: int, puller: Puller = puller) -> Tensor:
                return puller.noise(noisy, step, sides)

            latents = puller.model.latents(resized(shown.get(puller.sees, shown["colors"]), puller.size))
            total = total + share * weight.at(now) * pulled(latents, distillation_gradient(noise, latents, schedule, step, generator))
        return total

    def shares(self, draw: Draw, size: int, now: float) -> tuple[float, ...]:
        """What each model's pull is multiplied by."""
        if self.handover is None:
            return (1.0,) * len(self.pullers)
        (by_view, _), _ = self.pullers
        assert isinstance(by_view, ByView)

        def likeness() -> float:
            sides = [Side(360.0 / LOOKED_AT * number, by_view.photo.elevation) for number in range(LOOKED_AT)]
            with torch.no_grad():
                return by_view.likeness(draw(self.cameras(sides), size)["colors"])

        return self.handover.weights(now, likeness)

    def sides(self, now: float, generator: torch.Generator) -> list[Side]:
        """Sides at random, from the photo's on ever further from it."""
        spread = 1.0 if self.options.widening == 0 else min(1.0, now / self.options.widening)
        photo = elevation_of(self.camera)
        across, up = torch.rand(2, self.options.batch, generator=generator).tolist()
        low, high = (photo + (end - photo) * spread for end in (LOWEST_DEG, HIGHEST_DEG))
        return [Side((2 * a - 1) * 180.0 * spread, low + (high - low) * b) for a, b in zip(across, up)]

    def cameras(self, sides: list[Side]) -> Cameras:
        """Cameras as far away as the photo's, and as wide as the models see the object."""
        fov = math.degrees(2 * math.atan(0.5 / float(self.camera.focal[0, 0])))
        distance = float(self.camera.position[0].norm())
        return orbit_degrees([s.azimuth for s in sides], [s.elevation for s in sides], distance, fov).to(self.device)


def draw_mesh(mesh: Mesh, color: Callable[[Tensor], Tensor], context: Context, table: EdgeTable | None = None) -> Draw:
    """A mesh as `Guide.pull` looks at it.

    Args:
        mesh: differentiable in its vertices.
        color: (N, 3) points to (N, 3) sRGB 0..1.
        context: has the rasteriser.
        table: of the mesh's edges, where it is known.
    """

    def draw(cameras: Cameras, size: int) -> dict[str, Tensor]:
        seen = render(mesh, cameras, size, size, context.rasterizer, color(mesh.vertices), table=table).views
        assert seen.normal is not None
        cover = seen.mask[..., None]
        # Normals in the camera's frame, as normal maps are coded, on one that faces the camera.
        facing = seen.normal @ cameras.cam_to_world[:, None, :3, :3]
        ground = facing.new_tensor([0.5, 0.5, 1.0])
        return {"colors": seen.rgb * cover + 1 - cover, "normals": (facing * 0.5 + 0.5) * cover + ground * (1 - cover)}

    return draw


def resized(pictures: Tensor, size: int) -> Tensor:
    """(B, S, S, 3) pictures at another size, differentiable."""
    planes = pictures.permute(0, 3, 1, 2)
    return F.interpolate(planes, (size, size), mode="bilinear", antialias=True, align_corners=False).permute(0, 2, 3, 1)


def check_guidance(options: Guidance) -> None:
    """Refuse options that do not fit together, before any work is done.

    Raises:
        ConfigError: a text model without a text, or bounds of the noise that cross.
    """
    if options.handover != "none" and not (options.view_model and options.text_model):
        raise ConfigError(f"guidance.handover={options.handover} needs two models", "--set guidance.handover=none, or name both models")
    if options.text_model and not options.prompt.strip():
        raise ConfigError("the text model must be told what the object is", "--set guidance.prompt='a blue mug'")
    for now in (0.0, 1.0, *(place for bound in (options.least, options.most) for place in (bound.begin, bound.finish))):
        least, most = options.least.at(now), options.most.at(now)
        if not 0 <= least <= most <= 1:
            raise ConfigError(f"guidance.least={least:g} and guidance.most={most:g} do not rise within 0..1", "--set guidance.least=0.02")


def open_guide(views: Views, prior: ShapePrior, options: Guidance, context: Context, handover: Handover | None = None) -> Guide | None:
    """The models that the options name, told of the photo; None where none is named.

    Args:
        handover: from the one to the other, where the options want one.

    Raises:
        WeightsError, BackendError: see `img23d.backends.hub.require` and the models' ``load``.
    """
    from img23d.backends import stable_diffusion, zero123
    from img23d.backends.hub import is_offline, require

    pullers: list[tuple[Puller, Ramp]] = []
    camera, device = wide_camera(views.cameras, prior), str(context.device)
    if options.view_model:
        path = require(options.view_model, is_offline(context.offline), context.commercial_ok)
        view_model = zero123.load(path, device, options.pose)
        known, photo = view_model.look(on_white(views, camera)), Side(0.0, elevation_of(camera))
        pullers.append((ByView(view_model, known, photo, options.view_scale, zero123.PICTURE), options.view_weight))
    if options.text_model:
        path = require(options.text_model, is_offline(context.offline), context.commercial_ok)
        text_model = stable_diffusion.load(path, device)
        told = text_model.read([options.negative_prompt, *side_prompts(options.prompt)])
        by_text = ByText(text_model, told[:1], told[1:], options.text_scale, options.perpendicular, options.text_sees)
        pullers.append((by_text, options.text_weight))
    return Guide(camera.to("cpu"), tuple(pullers), options, context.device, handover) if pullers else None
