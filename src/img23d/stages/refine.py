"""Refine: a deformable grid fitted to the views through a differentiable surface and rasterisation.

The grid is one of tets, DMTet, or of cubes, FlexiCubes; the loop is the same for both.

Reference: Shen et al., Deep Marching Tetrahedra (2021) and Flexible Isosurface Extraction (2023); DreamCraft3D stage 2 for the
    losses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from img23d.config import Refine
from img23d.errors import FitError
from img23d.fields.grid import SdfField
from img23d.ops.adam import Adam
from img23d.ops.crop import resize_views_image
from img23d.ops.edges import EdgeTable, edge_table
from img23d.ops.engrave import engrave
from img23d.ops.fair_sides import fair_sides
from img23d.ops.losses import mask_loss, normal_cosine_loss, pearson_depth_loss
from img23d.ops.mesh_losses import normal_consistency, sdf_sign_regularizer
from img23d.ops.normals import vertex_normals
from img23d.ops.render import render
from img23d.ops.shown_parts import without_floaters
from img23d.ops.smooth import taubin, turned_away
from img23d.ops.topology import largest_components, make_manifold
from img23d.scene import Cameras, Mesh, Views
from img23d.stages import refine_cubes, refine_tets
from img23d.stages.context import Context
from img23d.stages.coordinates import mesh_surface
from img23d.stages.guide import FINER, Guide, draw_mesh
from img23d.stages.observe import joined
from img23d.stages.refine_grid import DeformableGrid, HeldField, finer_for_thin, incoherence, with_thin_parts

VERSION = 12
Pull = Callable[[Mesh, EdgeTable, float, torch.Generator], Tensor]
"""A mesh, its edges, the fraction of the steps that are done and a source of randomness to a loss."""
FIRST_PART = 0.45  # this share of the steps runs on the coarse grid, before the subdivisions
VIEWS_PER_STEP = 2
CALM = 3.0  # gradients below this many root mean squares take less than half a step
GRIDS: dict[str, Callable[[SdfField, Refine, Context], DeformableGrid]] = {
    "marching_tets": refine_tets.start,
    "flexicubes": refine_cubes.start,
}
SMALL_COVER, FINEST_PICTURE = 0.1, 1.5  # objects that cover less of the picture are thin, and are looked at more closely
PULLED = 4.0  # how much stronger guides pull than in fit, since other losses are larger here; sixteen times left lumps
LOOKS = 6  # power of the cosine that says how much a view tells of relief beside others
SMALL_PART = 0.05  # separate parts below this share of the largest one's area are floaters


def refine(
    views: Views, field: SdfField, options: Refine, context: Context, drawn: Views | None = None, parts_known: bool = False,
    guide: Guide | None = None, drawn_weight: float = 1.0,
) -> Mesh:  # fmt: skip
    """Fit a deformable grid to the views, starting from a signed distance field.

    Args:
        views: pictures of the object.
        field: to begin with.
        options: of the stage.
        context: device, backends, progress.
        drawn: outlines and perhaps normals from other sides, from `img23d.stages.imagine`; one of them is looked at beside the views in
            each step.
        parts_known: the field is that of a mesh, whose parts are all meant; a guess's parts are what the silhouettes show.
        guide: diffusion models that pull at what the views do not show; the field must have colours then.
        drawn_weight: what the one of ``drawn`` counts beside the views.

    Returns:
        A closed, manifold, outward mesh.

    Raises:
        FitError: no surface was left.
    """
    cell = 2.0 / (finer_for_thin(field, options.resolution, context.device) << options.subdivisions)
    whole = not parts_known and pieces(views) == 1
    pull = None if guide is None else pulling(guide, field, context)
    field = with_thin_parts(field, views, whole, cell)
    state = GRIDS[options.extractor](field, options, context)
    parts = max(1, options.subdivisions)
    first = round(options.steps * FIRST_PART) if options.subdivisions else 0
    done = optimize(state, views, field, 0, first, options, context, drawn, pull, drawn_weight)
    for part in range(options.subdivisions):
        state = state.subdivided(field, context)
        until = first + (options.steps - first) * (part + 1) // parts
        done = optimize(state, views, field, done, until, options, context, drawn, pull, drawn_weight)
    if not options.subdivisions:
        optimize(state, views, field, 0, options.steps, options, context, drawn, pull, drawn_weight)
    # a silhouette in one piece belongs to an object in one piece; the rest are floaters hidden behind it, unless they show some of it
    mesh = finished(state, views, field, options, context, 1.0 if whole else 0.0 if parts_known else SMALL_PART)
    looking = views.cameras if drawn is None else views.cameras.joined(drawn.cameras)
    return mesh if parts_known else finely_finished(mesh, views, looking, field, cell, options, context)


def optimize(
    state: DeformableGrid, views: Views, field: SdfField, begin: int, until: int, options: Refine, context: Context,
    drawn: Views | None = None, pull: Pull | None = None, drawn_weight: float = 1.0,
) -> int:  # fmt: skip
    """Steps ``begin`` to ``until`` of the schedule; returns ``until``. The loop is the method: each loss is one line."""
    if until <= begin:
        return until
    size = picture_size(views, options) if begin or not options.subdivisions else max(32, options.image_size // 2)
    size = min(size, views.mask.shape[-1])
    observed = smaller(views, size) if drawn is None else joined(views, drawn, size)
    moving, still, share, inside = free_to_move(state, field).parted(context)
    edges = moving.edges()
    generator = context.generator()
    optimizer = opened(moving, begin, until, options)
    for step in range(until if all_frozen(optimizer.param_groups) else begin, until):
        now = step / max(1, options.steps - 1)
        chosen = pick_views(observed, len(views), generator)
        sdf = moving.sdf()
        vertices, faces, uneven = moving.surface(sdf, context)
        if len(faces) == 0 and len(still.faces):
            break
        if len(faces) == 0:
            raise FitError("the surface vanished during refine", "--set refine.learning_rate=0.001")
        table = edge_table(faces, len(vertices))
        mesh = with_still(vertices, faces, still)
        seen = render(mesh, chosen.cameras, size, size, context.rasterizer, table=table).views
        loss = (
            difference(seen, chosen, options, now, drawn_weight)
            # means over the whole surface, of which what lies still has no gradient
            + share * options.normal_consistency.at(now) * normal_consistency(vertices, faces, table)
            # lengths in units of the grid: the same weights at every resolution
            + share * options.coherence.at(now) * incoherence(moving, edges)
            + share * options.sdf_sign.at(now) * sdf_sign_regularizer(sdf / state.spacing, edges)
            # what no view sees stays where the field put it
            + share * options.anchor.at(now) * (field.sdf(vertices) / (4 * state.spacing)).square().mean()
            # what one surface can be drawn by in many ways is drawn by even faces
            + uneven
        )
        if pull is not None:
            loss = loss + pull(mesh, table, now, generator)
        optimizer.zero_grad()
        loss.backward()
        calm(optimizer.param_groups, share)
        optimizer.step()
        context.progress((step + 1) / options.steps, f"{len(mesh.faces)} faces")
    for group in optimizer.param_groups:
        group["params"][0].requires_grad_(False)
    if share < 1:
        state.change[inside], state.offset[inside] = moving.change, moving.offset
    return until


def difference(seen: Views, chosen: Views, options: Refine, now: float, last: float = 1.0) -> Tensor:
    """How far pictures are from observed ones, in outline, depth and normals; the last one counts ``last`` times as much as others."""
    if last != 1:
        first, other = (difference(seen[part], chosen[part], options, now) for part in (slice(0, -1), slice(-1, None)))
        return first + last * other
    assert seen.depth is not None and seen.normal is not None
    assert chosen.depth is not None and chosen.normal is not None and chosen.confidence is not None
    both = torch.nonzero(((seen.mask.detach() > 0.99) & (chosen.mask > 0.99)).reshape(-1))[:, 0]
    depth, normal, true_depth, true_normal, trusted = (
        image.flatten(0, 2).index_select(0, both) for image in (seen.depth, seen.normal, chosen.depth, chosen.normal, chosen.confidence)
    )
    return (
        options.mask.at(now) * mask_loss(seen.mask, chosen.mask) / chosen.mask.mean()
        # of drawn views no depth is known
        + options.depth.at(now) * pearson_depth_loss(depth, true_depth, trusted * (true_depth > 0))
        + options.normal.at(now) * normal_cosine_loss(normal, true_normal, trusted)
    )


def free_to_move(state: DeformableGrid, field: SdfField) -> DeformableGrid:
    """The grid, sharing what it learns, with less freedom where the field is to stay as it is."""
    if not isinstance(field, HeldField):
        return state
    return replace(state, free=state.free & ~field.held(state.vertices(), 2 * state.spacing))  # type: ignore[type-var]


def with_still(vertices: Tensor, faces: Tensor, still: Mesh) -> Mesh:
    """The moving surface, (M, 3) and (F, 3), followed by the still one."""
    if not len(still.faces):
        return Mesh(vertices, faces)
    return Mesh(torch.cat([vertices, still.vertices]), torch.cat([faces, still.faces + len(vertices)]))


def opened(state: DeformableGrid, begin: int, until: int, options: Refine) -> Adam:
    """The optimizer of a part of the schedule, with what it learns made ready."""
    learnt = state.learnt(options, 0.5 ** (begin > 0))
    for group in learnt:
        group["params"][0].requires_grad_(True)
    return Adam(learnt, (0.8, 0.95), until - begin, options.learning_rate * 0.05)


def all_frozen(groups: list[dict[str, Any]]) -> bool:
    """Whether nothing may move, as with a box, which is known all round."""
    return all(bool(group["frozen"].all()) for group in groups)


def pulling(guide: Guide, field: Any, context: Context) -> Pull:
    """The loss of a guide that sees meshes in the field's colours."""

    def pull(mesh: Mesh, table: EdgeTable, now: float, generator: torch.Generator) -> Tensor:
        draw, surface = draw_mesh(mesh, field.color, context, table), partial(mesh_surface, mesh, context, table)
        return PULLED * guide.options.refine_weight * guide.pull(draw, FINER * guide.options.size, now, generator, surface)

    return pull


def calm(groups: list[dict[str, Any]], share: float) -> None:
    """Hold what is frozen, and let only gradients that stand out take a full step.

    Adam turns the faintest gradient into a full step; where only regularisers pull, that grows lumps. What stands out does so from
    the whole grid, of which these are a ``share``.
    """
    gradients = [group["params"][0].grad for group in groups]
    for group, gradient in zip(groups, gradients):
        gradient[group["frozen"]] = 0
    sizes = torch.stack([gradient.square().mean().sqrt() for gradient in gradients]).tolist()  # asks an accelerator only once
    for group, size in zip(groups, sizes):
        group["eps"] = size * share**0.5 * CALM + 1e-12


def finished(state: DeformableGrid, views: Views, field: SdfField, options: Refine, context: Context, share: float) -> Mesh:
    """The last surface, without parts below this share of the largest (at 1 those that no view needs), smoothed and manifold."""
    with torch.no_grad():
        vertices, faces, _ = state.surface(state.sdf(), context, final=True)
        if len(faces) == 0:
            raise FitError("no surface was left after refine", "check the cut-out in 01_segment/mask.png")
        mesh = Mesh(vertices, faces)
        mesh = without_floaters(mesh, views, context.rasterizer) if share == 1 else largest_components(mesh, share)
        mesh = taubin(mesh, round(options.smooth * state.smoothing))
        # only what a view looks at has a right to be rough
        rounds = round(options.smooth_unseen * state.smoothing)
        mesh = taubin(mesh, rounds, turned_away(mesh, views.cameras))
        if isinstance(field, HeldField):  # the grid could not show them as thin as they are
            mesh = Mesh(field.drawn_in(mesh.vertices, 4 * state.spacing), mesh.faces)
        return make_manifold(mesh)


@torch.no_grad()
def finely_finished(mesh: Mesh, views: Views, looking: Cameras, field: SdfField, cell: float, options: Refine, context: Context) -> Mesh:
    """The mesh with fair sides, where no camera was looking, and the relief that the views' normals show; what is known exactly stays."""
    held = field.held(mesh.vertices, cell) if isinstance(field, HeldField) else torch.zeros_like(mesh.vertices[:, 0], dtype=torch.bool)
    if bool(held.all()):
        return mesh
    fine = fair_sides(mesh, looking, field.sdf, options.fair_sides, held) if options.fair_sides else mesh
    if options.relief:
        lines = F.normalize(views.cameras.position[:, None] - fine.vertices, dim=-1)
        seen = (lines * vertex_normals(fine)).sum(-1).clamp(min=0) ** LOOKS  # (V, N)
        raised = [engrave(fine, views[[number]], field.sdf, context.rasterizer, options.relief).vertices for number in range(len(views))]
        moved = torch.stack(raised) - fine.vertices
        fine = Mesh(fine.vertices + (seen[..., None] * moved).sum(0) / seen.sum(0).clamp(min=1e-6)[:, None], fine.faces)
    return Mesh(torch.where(held[:, None], mesh.vertices, fine.vertices), mesh.faces)


def pieces(views: Views) -> int:
    """The most separate pieces that any view's silhouette has; specks below a hundredth of the picture's object do not count."""
    counts = []
    for mask in (views.mask > 0.5).cpu().numpy():
        labels, count = ndimage.label(mask)
        sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
        counts.append(int((sizes >= 0.01 * mask.sum()).sum()) if count else 0)
    return max(counts)


def picture_size(views: Views, options: Refine) -> int:
    """Side of the pictures of the last part: larger for objects that cover little of them, whose outline is most of what they show."""
    cover = float((views.mask > 0.5).float().mean())
    return round(options.image_size * min(FINEST_PICTURE, max(1.0, (SMALL_COVER / max(cover, 1e-6)) ** 0.5)))


def smaller(views: Views, size: int) -> Views:
    """The views at another size, as targets of a loss."""
    assert views.depth is not None and views.normal is not None and views.confidence is not None
    maps = {name: resize_views_image(getattr(views, name), size) for name in ("rgb", "mask", "depth", "normal", "confidence")}
    return Views(views.cameras, **maps)


def pick_views(views: Views, own: int, generator: torch.Generator) -> Views:
    """At most `VIEWS_PER_STEP` of the first ``own`` views, at random, and one of the others, which were drawn."""
    if len(views) == own <= VIEWS_PER_STEP:
        return views
    chosen = list(range(own)) if own <= VIEWS_PER_STEP else torch.randperm(own, generator=generator)[:VIEWS_PER_STEP].tolist()
    if len(views) > own:
        chosen.append(own + int(torch.randint(len(views) - own, (1,), generator=generator)))
    return views[chosen]
