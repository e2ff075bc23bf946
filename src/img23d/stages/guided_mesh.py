"""A mesh that is refined while diffusion models pull at it: its colours in space, what the models are told, and what holds it."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.config import Config, Refine
from img23d.errors import ConfigError
from img23d.fields.grid import FrozenGrid, gradient, sample_grid
from img23d.io.textures import sample
from img23d.ops.density import spread_out
from img23d.ops.render import render
from img23d.ops.texture_transfer import nearest_surface
from img23d.ops.volume import volume_points
from img23d.options import Ramp
from img23d.scene import Mesh, ShapePrior, TexturedMesh, Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.context import Context
from img23d.stages.fit import color_volume
from img23d.stages.guidance_checks import check_guidance
from img23d.stages.guide import open_guide
from img23d.stages.observe import facing, known_prior
from img23d.stages.options import guides, guides_colours, handover
from img23d.stages.refine import refine
from img23d.stages.retexture import PLAIN

COLOR_RESOLUTION = 96
CLOSE = 2.0  # samples from the surface within which a sample's colour is looked up; others take that of the nearest such sample
SAMPLES = 100_000  # points of the surface that are searched for it
FRONT_DEG, DISTANCE, FOV_DEG = 15.0, 2.4, 40.0  # of a camera before a mesh that there is no photo of
FRONT_SIZE = 256


def pulls(config: Config) -> bool:
    """Whether models pull at a mesh."""
    return guides(config) and config.guidance.refine_weight > 0


def draws_anew(config: Config, photographed: bool) -> bool:
    """Whether a model draws what the photo does not show of a mesh anew, for its texture."""
    return photographed and guides_colours(config) and config.guidance.repaint > 0


def check_mesh_guidance(config: Config, photographed: bool) -> list[str]:
    """Refuse what cannot be done for a mesh, and say what is left out.

    Args:
        photographed: there is a photo of the object.

    Returns:
        Lines for the user.

    Raises:
        ConfigError: see `img23d.stages.guidance_checks.check_guidance`; or the view model has no photo to be told of.
    """
    if not guides(config):
        return []
    options, told = config.guidance, []
    check_guidance(options)
    if options.view_model and not photographed:
        raise ConfigError(f"guidance.view_model={options.view_model} must be told a photo", "--photo PHOTO, or --set guidance.view_model=")
    if not pulls(config):
        told.append("guidance.refine_weight=0: no model pulls at the mesh (--set guidance.refine_weight=1)")
    if options.repaint > 0 and not photographed:
        told.append("without a photo a mesh keeps its own texture: nothing is drawn anew (guidance.repaint)")
    return told


def refine_guided(
    source: TexturedMesh | Mesh, field: FrozenGrid, own: Views, posed: Views | None, config: Config, context: Context
) -> Mesh:  # fmt: skip
    """Refine a mesh that models pull at. Its own surface and pictures hold it, but only as much as ``config.guidance.hold`` says.

    Args:
        source: the mesh, inside [-1, 1]^3, whose colours the models see.
        field: its signed distance.
        own: pictures of it from all sides.
        posed: the photo, from `img23d.stages.observe.posed_views`, which counts in full; None where there is none.
        config: of the run.
        context: as for every stage.

    Raises:
        WeightsError, BackendError, ConfigError: see `img23d.stages.guide.open_guide`.
    """
    front = front_view(source.mesh if isinstance(source, TexturedMesh) else source, context) if posed is None else posed
    guide = open_guide(front, bare_prior(field, front, 0.0), config.guidance, context, handover(config, field), refining=True)
    colored = FrozenGrid(field.sdf_volume, colors_of(source, field, posed))
    options = held(config.refine, config.guidance.hold, posed is None)
    if posed is None:
        return refine(own, colored, options, context, parts_known=True, guide=guide)
    photo = replace(posed, confidence=torch.zeros_like(posed.mask))  # its depth and normals are the mesh's own
    return refine(photo, colored, options, context, own, parts_known=True, guide=guide, drawn_weight=config.guidance.hold)


def held(options: Refine, hold: float, alone: bool) -> Refine:
    """Refine's options where a mesh's own surface counts only so much, and its pictures too if they are ``alone``."""
    names = ("anchor", "mask", "depth", "normal") if alone else ("anchor",)
    ramps: dict[str, Ramp] = {name: getattr(options, name) for name in names}
    weaker = {name: replace(ramp, start=hold * ramp.start, end=hold * ramp.end) for name, ramp in ramps.items()}
    return replace(options, smooth_unseen=0, **weaker)  # type: ignore[arg-type]  # its own pictures show all sides


def front_view(mesh: Mesh, context: Context) -> Views:
    """What a camera sees that stands before a mesh, on +z."""
    camera = orbit_degrees([0.0], FRONT_DEG, DISTANCE, FOV_DEG).to(mesh.vertices.device)
    with torch.no_grad():
        return facing(render(mesh, camera, FRONT_SIZE, FRONT_SIZE, context.rasterizer).views)


def bare_prior(field: FrozenGrid, views: Views, grey: float) -> ShapePrior:
    """A mesh's solid as a prior, of whose far side's colours nothing is known."""
    return known_prior(field, torch.full_like(views.rgb[0], grey), torch.zeros_like(views.mask[0]))


@torch.no_grad()
def colors_of(source: TexturedMesh | Mesh, field: FrozenGrid, posed: Views | None) -> Tensor:
    """(3, C, C, C) sRGB round a mesh: its texture's; without one the photo's, with their mean behind; without either a grey."""
    if not isinstance(source, TexturedMesh):
        if posed is None:
            return field.sdf_volume.new_full((3, 2, 2, 2), PLAIN)
        inside = posed.rgb[0][posed.mask[0] > 0.5]
        prior = bare_prior(field, posed, 0.0)
        mean = inside.mean(0).expand_as(prior.back_rgb) if len(inside) else torch.full_like(prior.back_rgb, PLAIN)
        return color_volume(posed, replace(prior, back_rgb=mean.contiguous()))
    points = volume_points(COLOR_RESOLUTION, field.sdf_volume)
    close = field.sdf(points.reshape(-1, 3)).reshape(points.shape[:3]).abs() < CLOSE * 2 / (COLOR_RESOLUTION - 1)
    slope = F.normalize(sample_grid(gradient(field.sdf_volume), points[close]), dim=-1)
    face, weights = nearest_surface(source.mesh, points[close], slope, SAMPLES)
    uv = (source.uv[source.uv_faces[face]] * weights[..., None].to(source.uv)).sum(1)
    colors = points.new_zeros(3, *close.shape)
    colors[:, close] = sample(source.base_color, uv).T.to(colors)
    return spread_out(colors, close)
