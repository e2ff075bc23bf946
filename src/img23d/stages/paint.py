"""Paint: what a guided field looks like from other sides, drawn anew by a model that guided it, for `texture` to paint with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from img23d.diffusion_options import Guidance
from img23d.fields.grid import FrozenGrid
from img23d.ops.render import render
from img23d.scene import Mesh, ShapePrior, Views
from img23d.scores.samplers import ddim_sample
from img23d.scores.schedule import noise_schedule
from img23d.stages.context import Context
from img23d.stages.guide import Guide, open_guide, resized
from img23d.stages.imagine import Side, elevation_of, wide_camera
from img23d.stages.pullers import Puller

VERSION = 1
SIZE = 512  # pixels along each side
RING = 7  # sides round the object, beside the photo's
STEEP_DEG = 60.0  # of two cameras that look at the top and at the bottom


def paint(views: Views, prior: ShapePrior, field: FrozenGrid, mesh: Mesh, options: Guidance, context: Context) -> Views:
    """Pictures of a mesh from the sides that the photo does not show.

    Args:
        views, prior: what the models are told of the photo.
        field: whose colours were guided.
        mesh: refined from it.
        options: of the guidance, which names a model; ``repaint`` says from how much noise the pictures are drawn anew, by the text
            model, whose pictures are finer, where there are both.
        context: rasteriser, seed, progress.

    Returns:
        Colours and silhouettes; nothing is known of depth and normals.
    """
    # Models are large: they are loaded only where they paint.
    painting = replace(options, geometry_model="")  # which sees no colours
    guide = open_guide(views, prior, painting, context) if options.repaint > 0 else None
    if guide is None:
        guide = Guide(wide_camera(views.cameras, prior).to("cpu"), (), options, context.device)
    return painted(field, mesh, guide, context)


def painted(field: FrozenGrid, mesh: Mesh, guide: Guide, context: Context) -> Views:
    """`paint` with the models at hand."""
    photo = elevation_of(guide.camera)
    sides = [Side(360.0 / (RING + 1) * (number + 1), photo) for number in range(RING)]
    sides += [Side(180.0, STEEP_DEG), Side(180.0, -STEEP_DEG)]
    cameras = guide.cameras(sides)
    with torch.no_grad():
        seen = render(mesh, cameras, SIZE, SIZE, context.rasterizer, field.color(mesh.vertices)).views
        cover = seen.mask[..., None]
        pictures = seen.rgb * cover + 1 - cover
        if guide.options.repaint > 0:
            pictures = repainted(pictures, sides, guide.pullers[-1][0], guide.options, context)
    nothing = torch.zeros_like(seen.mask)
    return Views(cameras, pictures.clamp(0, 1), seen.mask, nothing, torch.zeros_like(seen.rgb), nothing.clone())


def repainted(pictures: Tensor, sides: list[Side], puller: Puller, options: Guidance, context: Context) -> Tensor:
    """(V, S, S, 3) the pictures as a model denoises them, one by one."""
    schedule, generator, size = noise_schedule(*puller.model.betas), context.generator(), pictures.shape[1]
    made = []
    for number, side in enumerate(sides):
        latents = puller.model.latents(resized(pictures[number : number + 1], puller.size))
        start = torch.randn(latents.shape, generator=generator).to(latents)

        def noise(noisy: Tensor, step: int, side: Side = side) -> Tensor:
            return puller.noise(noisy, step, [side])

        def progress(fraction: float, number: int = number) -> None:
            context.progress((number + fraction) / len(sides), f"{len(sides)} views")

        drawn = ddim_sample(noise, start, schedule, options.repaint_steps, 0.0, generator, progress, options.repaint, latents)
        made.append(resized(puller.model.pictures(drawn), size).to(pictures))
    return torch.cat(made)
