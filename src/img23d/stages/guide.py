"""Guide: diffusion models look at the sides that nobody photographed and pull at them, a loss beside the photo's.

Reference: Poole et al., DreamFusion (2023) for the loss; Qian et al., Magic123 (2024) for two models, one that knows the photo and one
    that knows words; Sun et al., DreamCraft3D (2024) for sides that spread from the photo's and for normals shown to the second; Shi
    et al., MVDream (2024) for sides in groups of four; Li et al., SweetDreamer (2024) for a model that sees the shape alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.mvdream import SUFFIX, TOGETHER, kind_of
from img23d.diffusion_options import Guidance
from img23d.ops.edges import EdgeTable
from img23d.ops.render import render
from img23d.options import Ramp
from img23d.scene import Cameras, Mesh, ShapePrior, Views
from img23d.scene.cameras import orbit_degrees
from img23d.scores.directions import side_prompts
from img23d.scores.distillation import distillation_gradient, drawn_step, pulled
from img23d.stages.context import Context
from img23d.stages.coordinates import ByCoordinates, Surface, geometry_puller
from img23d.stages.guidance_checks import check_models
from img23d.stages.handover import Handover
from img23d.stages.imagine import Side, azimuth_of, elevation_of, on_white, wide_camera
from img23d.stages.pullers import ByGroup, ByText, ByView, Puller, schedule_of

LOWEST_DEG, HIGHEST_DEG = -10.0, 45.0  # cameras above the horizon
GROUP_DEG = 0.0, 30.0  # the same for groups, as in MVDream's settings
LOOKED_AT = 8  # sides, when it is asked whether the shape has settled
FINER = 4  # how much larger refine's pictures are than fit's

Draw = Callable[[Cameras, int], dict[str, Tensor]]
"""Cameras and a size to ``colors`` (B, S, S, 3) on white and perhaps ``normals`` (B, S, S, 3), coded as colours."""


@dataclass(frozen=True)
class Guide:
    """Models that pull, and the cameras that they look through.

    Args:
        camera: at the photo's place, with a field of view that holds the whole object, however it is turned; on the CPU, since its
            numbers are asked for in each step.
        pullers: each with its weight.
        options: of the guidance.
        device: where the object is drawn.
        together: sides in a group, evenly spaced round the object; 1 for models that see one side at a time.
        handover: from the view model to the text model, where the options want one; remembers what it saw.
        geometry: a model that sees the shape alone, with its weight.
        refining: whether this is refine, where weights may have come to their ends and noise has bounds of its own.
    """

    camera: Cameras
    pullers: tuple[tuple[Puller, Ramp], ...]
    options: Guidance
    device: torch.device = torch.device("cpu")
    together: int = 1
    handover: Handover | None = None
    geometry: tuple[ByCoordinates, Ramp] | None = None
    refining: bool = False

    def pull(self, draw: Draw, size: int, now: float, generator: torch.Generator, surface: Callable[[], Surface] | None = None) -> Tensor:
        """The loss of one step.

        Args:
            draw: shows the object.
            size: side of the pictures, px.
            now: fraction of the stage's steps that are done.
            generator: of sides and noise; on the CPU.
            surface: the object's shape, for the model that sees it alone; asked for only where that pulls.
        """
        sides, course = self.sides(now, generator), 1.0 if self.refining and self.options.weights_once else now
        weights = [weight.at(course) for _, weight in self.pullers]
        shown = draw(self.cameras(sides), size) if any(weights) else {}
        total = torch.zeros((), device=self.device)
        for (puller, _), weight, share in zip(self.pullers, weights, self.shares(draw, size, now)):
            if share * weight == 0:  # a pass through a network is dear
                continue
            latents = puller.model.latents(resized(shown.get(puller.sees, shown["colors"]), puller.size))
            total = total + share * weight * self.distilled(puller, latents, sides, now, generator)
        if self.geometry is not None and surface is not None and (strength := self.geometry[1].at(course)) != 0:
            about = self.about(sides)
            latents = self.geometry[0].latents(surface(), about)
            total = total + strength * self.distilled(self.geometry[0], latents, about, now, generator)
        return total

    def distilled(
        self, puller: Puller | ByCoordinates, latents: Tensor, sides: list[Side], now: float, generator: torch.Generator
    ) -> Tensor:
        """The loss by which a model pulls at latents (B, C, h, w)."""
        schedule = schedule_of(puller.model)
        least, most = self.options.noise(self.refining)
        step = drawn_step(schedule, least.at(now), most.at(now), generator)

        def noise(noisy: Tensor, step: int) -> Tensor:
            return puller.noise(noisy, step, sides)

        return pulled(latents, distillation_gradient(noise, latents, schedule, step, generator, puller.against))

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
        """Sides at random, from the photo's on ever further from it; in groups, from the photo's and those opposite and beside it."""
        spread = 1.0 if self.options.widening == 0 else min(1.0, now / self.options.widening)
        photo = elevation_of(self.camera)
        across, up = torch.rand(2, self.options.batch, generator=generator).tolist()
        ends = (LOWEST_DEG, HIGHEST_DEG) if self.together == 1 else GROUP_DEG
        low, high = (photo + (end - photo) * spread for end in ends)
        first = [(2 * a - 1) * 180.0 * spread / self.together for a in across]  # a group that has turned further is the same again
        turns = [360.0 / self.together * number for number in range(self.together)]
        return [Side(azimuth + turn, low + (high - low) * b) for azimuth, b in zip(first, up) for turn in turns]

    def about(self, sides: list[Side]) -> list[Side]:
        """Sides counted from the object's own front and not the photo's: in a photo's run they are the same."""
        front = azimuth_of(self.camera)
        return [Side(front + side.azimuth, side.elevation) for side in sides]

    def cameras(self, sides: list[Side]) -> Cameras:
        """Cameras as far away as the photo's, and as wide as the models see the object."""
        sides = self.about(sides)
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


def open_guide(
    views: Views, prior: ShapePrior, options: Guidance, context: Context, handover: Handover | None = None, refining: bool = False
) -> Guide | None:
    """The models that the options name, told of the photo; None where none is named or is to pull.

    Args:
        handover: from the one to the other, where the options want one.
        refining: whether they pull in refine.

    Raises:
        WeightsError, BackendError, ConfigError: see `img23d.backends.hub.require`, `check_models` and the models' ``load``.
    """
    from img23d.backends.hub import is_offline, require

    if refining and options.refine_weight == 0:  # models are large, and a pass through one is dear
        return None
    named = (options.view_model, options.text_model, options.geometry_model)
    view, text, shape = (require(name, is_offline(context.offline), context.commercial_ok) if name else None for name in named)
    check_models(options, view, text, shape)
    pullers: list[tuple[Puller, Ramp]] = []
    camera, device = wide_camera(views.cameras, prior), str(context.device)
    if view:
        pullers.append((view_puller(view, options, device, on_white(views, camera), elevation_of(camera)), options.view_weight))
    if text:
        pullers.append((text_puller(text, options, device), options.text_weight))
    geometry = (geometry_puller(shape, options, device), options.geometry_weight) if shape else None
    together = TOGETHER if any(isinstance(puller, ByGroup) for puller, _ in pullers) else 1
    guide = Guide(camera.to("cpu"), tuple(pullers), options, context.device, together, handover, geometry, refining)
    return guide if pullers or geometry else None


def view_puller(path: Path, options: Guidance, device: str, photo: Tensor, elevation_deg: float) -> ByView | ByGroup:
    """The model that knows the photo (S, S, 3), taken from so high; which kind it is, its own files say.

    Raises:
        WeightsError, BackendError: see the models' ``load``.
    """
    from img23d.backends import imagedream, zero123

    if kind_of(path):
        model = imagedream.load(path, device)
        words = model.read([options.negative_prompt, options.prompt and options.prompt + SUFFIX])
        return ByGroup(model, words[:1], words[1:], options.view_scale, options.view_rescale, options.view_loss, model.look(photo))
    turning = zero123.load(path, device, options.pose)
    known, side = turning.look(photo), Side(0.0, elevation_deg)
    return ByView(turning, known, side, options.view_scale, zero123.PICTURE, rescale=options.view_rescale, against=options.view_loss)


def text_puller(path: Path, options: Guidance, device: str) -> ByText | ByGroup:
    """The model that knows words, told the prompt; which kind it is, its own files say.

    Raises:
        WeightsError, BackendError: see the models' ``load``.
    """
    from img23d.backends import mvdream, stable_diffusion

    if kind_of(path):
        model = mvdream.load(path, device)
        told = model.read([options.negative_prompt, options.prompt + SUFFIX])
        return ByGroup(model, told[:1], told[1:], options.text_scale, options.text_rescale, options.text_loss)
    model = stable_diffusion.load(path, device)
    told = model.read([options.negative_prompt, *side_prompts(options.prompt)])
    return ByText(
        model, told[:1], told[1:], options.text_scale, options.perpendicular, options.text_sees, options.text_rescale, options.text_loss
    )
