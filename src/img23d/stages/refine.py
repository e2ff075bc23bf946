"""Refine: DMTet, a deformable tetrahedral grid fitted to the views through differentiable marching tetrahedra and rasterisation.

Reference: Shen et al., Deep Marching Tetrahedra (2021); DreamCraft3D stage 2 for the losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor

from img23d.config import Refine
from img23d.errors import FitError
from img23d.fields.grid import SdfField
from img23d.ops.crop import resize_views_image
from img23d.ops.losses import mask_loss, normal_cosine_loss, pearson_depth_loss
from img23d.ops.mesh_losses import normal_consistency, sdf_sign_regularizer
from img23d.ops.render import render
from img23d.ops.smooth import taubin
from img23d.ops.subdivide import surface_band
from img23d.ops.tetgrid import tet_grid, unique_edges
from img23d.ops.topology import largest_components, make_manifold
from img23d.ops.volume import volume_points
from img23d.scene import Mesh, TetGrid, Views
from img23d.stages.context import Context

VERSION = 1
FIRST_PART = 0.45  # this share of the steps runs on the coarse grid, before the subdivisions
BAND_RINGS = 2
VIEWS_PER_STEP = 2
REACH = 0.4  # of half a grid cell
SMALL_AREA, FINEST = 2.0, 1.5  # square object units; the cube has 24
CALM = 3.0  # gradients below this many root mean squares take less than half a step
SMALL_PART = 0.05  # separate parts below this share of the largest one's volume are floaters


@dataclass
class Deformable:
    """The learnable state: a grid, the change of its signed distances, the vertices' offsets, and which vertices may move.

    The distances are the field's plus a learnt change, so that a subdivided grid takes the field's own values at its new vertices
    instead of the facets of the coarse grid. Offsets are bounded to `REACH` of the spacing along each axis: less than half a
    tet's height in any direction, so that no tet of a regular grid turns over.
    """

    grid: TetGrid
    start: Tensor
    change: Tensor
    offset: Tensor
    spacing: float
    free: Tensor

    def sdf(self) -> Tensor:
        """(N,) signed distances."""
        return self.start + self.change

    def vertices(self) -> Tensor:
        """(N, 3) deformed positions. Reference: DMTet section 3.1, v' = v + reach * tanh(offset)."""
        return self.grid.vertices + REACH * self.spacing * torch.tanh(self.offset)


def refine(views: Views, field: SdfField, options: Refine, context: Context) -> Mesh:
    """Fit a deformable tetrahedral grid to the views, starting from a signed distance field.

    Returns:
        A closed, manifold, outward mesh.

    Raises:
        FitError: no surface was left.
    """
    state = start(field, options, context)
    parts = max(1, options.subdivisions)
    first = round(options.steps * FIRST_PART) if options.subdivisions else 0
    done = optimize(state, views, field, 0, first, options, context)
    for part in range(options.subdivisions):
        state = subdivided(state, field, context)
        until = first + (options.steps - first) * (part + 1) // parts
        done = optimize(state, views, field, done, until, options, context)
    if not options.subdivisions:
        optimize(state, views, field, 0, options.steps, options, context)
    return finished(state, views, options, context)


def start(field: SdfField, options: Refine, context: Context) -> Deformable:
    """The band of a regular grid that the field's surface runs through."""
    resolution = finer_for_thin(field, options.resolution, context)
    grid = tet_grid(resolution)
    grid = TetGrid(grid.vertices.to(context.device), grid.tets.to(context.device))
    sdf = field_sdf(field, grid.vertices)
    if not bool((sdf < 0).any()):
        raise FitError("no surface to refine", "check the cut-out in 01_segment/mask.png")
    return in_band(grid, sdf, torch.zeros_like(sdf), 1.0 / resolution)


@torch.no_grad()
def finer_for_thin(field: SdfField, resolution: int, context: Context) -> int:
    """A finer grid, up to `FINEST` times, for objects with little surface: thin ones need it and pay no more faces for it."""
    points = volume_points(2 * resolution).reshape(-1, 3).to(context.device)
    shell = 1.0 / resolution
    area = 8.0 * float((field.sdf(points).abs() < shell).float().mean()) / (2 * shell)
    return round(resolution * min(FINEST, max(1.0, (SMALL_AREA / max(area, 1e-6)) ** 0.5)))


@torch.no_grad()
def field_sdf(field: SdfField, vertices: Tensor) -> Tensor:
    """(N,) the field's distances, positive on the faces of the cube, where the surface must close."""
    sdf = field.sdf(vertices)
    return torch.where(on_cube(vertices), sdf.abs().clamp_min(1e-3), sdf)


def on_cube(vertices: Tensor) -> Tensor:
    """(N,) bool: on the faces of [-1, 1]^3."""
    return (vertices.abs() > 1 - 1e-4).any(1)


def in_band(grid: TetGrid, sdf: Tensor, change: Tensor, spacing: float) -> Deformable:
    """Keep the tets near the surface; the vertices on the band's own rim are frozen, so that the surface cannot leave it."""
    band = surface_band(grid.tets, sdf + change, BAND_RINGS)
    inner = ~on_cube(grid.vertices)
    inner[grid.tets[~band].reshape(-1)] = False
    used = torch.zeros_like(inner)
    used[grid.tets[band].reshape(-1)] = True
    number = torch.cumsum(used, 0) - 1
    kept = TetGrid(grid.vertices[used], number[grid.tets[band]])
    return Deformable(kept, sdf[used], change[used].clone(), torch.zeros_like(kept.vertices), spacing, inner[used])


@torch.no_grad()
def subdivided(state: Deformable, field: SdfField, context: Context) -> Deformable:
    """Split the tets round the surface in eight, where they are now. Reference: DMTet section 3.1.2."""
    moved, sdf = TetGrid(state.vertices(), state.grid.tets), state.sdf()
    selected = surface_band(moved.tets, sdf, 1)
    rim = (~state.free).float()
    rim[moved.tets[~selected].reshape(-1)] = 1.0
    features = (sdf, sdf - field_sdf(field, moved.vertices), rim)
    grid, (old, change, rim) = context.tetrahedra.subdivide(moved, *features, selected=selected)
    start = field_sdf(field, grid.vertices)
    # between two vertices of the rim the sign must stay, or the surface would end there
    lost = (rim == 1.0) & ((start + change).sign() != old.sign())
    start = torch.where(lost, old - change, start)
    return in_band(grid, start, change, state.spacing / 2)


def optimize(state: Deformable, views: Views, field: SdfField, begin: int, until: int, options: Refine, context: Context) -> int:
    """Steps ``begin`` to ``until`` of the schedule; returns ``until``. The loop is the method: each loss is one line."""
    if until <= begin:
        return until
    size = options.image_size if begin or not options.subdivisions else max(32, options.image_size // 2)
    size = min(size, views.mask.shape[-1])
    observed = smaller(views, size)
    edges = unique_edges(state.grid.tets, len(state.grid.vertices))
    generator = context.generator()
    frozen = ~state.free
    state.change.requires_grad_(True)
    state.offset.requires_grad_(True)
    coarse = 0.5 ** (begin > 0)
    optimizer = torch.optim.Adam(
        [
            {"params": [state.change], "lr": options.learning_rate * coarse},
            {"params": [state.offset], "lr": options.offset_learning_rate},
        ],
        betas=(0.8, 0.95),
    )
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, until - begin, options.learning_rate * 0.05)
    for step in range(begin, until):
        now = step / max(1, options.steps - 1)
        chosen = pick_views(observed, generator)
        sdf = state.sdf()
        vertices, faces, _ = context.tetrahedra.marching_tetrahedra(state.vertices(), state.grid.tets, sdf)
        if len(faces) == 0:
            raise FitError("the surface vanished during refine", "--set refine.learning_rate=0.001")
        mesh = Mesh(vertices, faces)
        seen = render(mesh, chosen.cameras, size, size, context.rasterizer).views
        assert seen.depth is not None and seen.normal is not None
        assert chosen.depth is not None and chosen.normal is not None and chosen.confidence is not None
        both = (seen.mask.detach() > 0.99) & (chosen.mask > 0.99)
        trusted = chosen.confidence * both
        loss = (
            options.mask.at(now) * mask_loss(seen.mask, chosen.mask) / chosen.mask.mean()
            + options.depth.at(now) * pearson_depth_loss(seen.depth[both], chosen.depth[both], trusted[both])
            + options.normal.at(now) * normal_cosine_loss(seen.normal[both], chosen.normal[both], trusted[both])
            + options.normal_consistency.at(now) * normal_consistency(vertices, faces)
            # lengths in units of the grid: the same weights at every resolution
            + options.coherence.at(now) * incoherence(state, edges)
            + options.sdf_sign.at(now) * sdf_sign_regularizer(sdf / state.spacing, edges)
            # what no view sees stays where the field put it
            + options.anchor.at(now) * (field.sdf(vertices) / (4 * state.spacing)).square().mean()
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            gradient = group["params"][0].grad
            gradient[frozen] = 0
            # Adam turns the faintest gradient into a full step; where only regularisers pull, that grows lumps
            group["eps"] = float(gradient.square().mean().sqrt()) * CALM + 1e-12
        optimizer.step()
        decay.step()
        context.progress((step + 1) / options.steps, f"{len(faces)} faces")
    state.change, state.offset = state.change.detach(), state.offset.detach()
    return until


def incoherence(state: Deformable, edges: Tensor) -> Tensor:
    """Mean squared difference, along grid edges, of what was learnt: the surface moves as a whole, not vertex by vertex.

    It stands for the Laplacian of the extracted mesh, which would not do: a mesh's vertices slide along grid edges, and gathering
    them in clumps at the grid's vertices lowers it while the surface turns into terraces.
    """
    change = (state.change[edges[:, 0]] - state.change[edges[:, 1]]) / state.spacing
    offset = torch.tanh(state.offset[edges[:, 0]]) - torch.tanh(state.offset[edges[:, 1]])
    return change.square().mean() + offset.square().mean()


def finished(state: Deformable, views: Views, options: Refine, context: Context) -> Mesh:
    """The last surface, without floaters, smoothed and manifold."""
    with torch.no_grad():
        vertices, faces, _ = context.tetrahedra.marching_tetrahedra(state.vertices(), state.grid.tets, state.sdf())
        if len(faces) == 0:
            raise FitError("no surface was left after refine", "check the cut-out in 01_segment/mask.png")
        # a silhouette in one piece belongs to an object in one piece; the rest are floaters hidden behind it
        share = 1.0 if pieces(views) == 1 else SMALL_PART
        mesh = largest_components(Mesh(vertices, faces), share)
        return make_manifold(taubin(mesh, options.smooth))


def pieces(views: Views) -> int:
    """The most separate pieces that any view's silhouette has; specks below a hundredth of the picture's object do not count."""
    counts = []
    for mask in (views.mask > 0.5).cpu().numpy():
        labels, count = ndimage.label(mask)
        sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
        counts.append(int((sizes >= 0.01 * mask.sum()).sum()) if count else 0)
    return max(counts)


def smaller(views: Views, size: int) -> Views:
    """The views at another size, as targets of a loss."""
    assert views.depth is not None and views.normal is not None and views.confidence is not None
    maps = {name: resize_views_image(getattr(views, name), size) for name in ("rgb", "mask", "depth", "normal", "confidence")}
    return Views(views.cameras, **maps)


def pick_views(views: Views, generator: torch.Generator) -> Views:
    """At most `VIEWS_PER_STEP` of the views, at random."""
    if len(views) <= VIEWS_PER_STEP:
        return views
    chosen = torch.randperm(len(views), generator=generator)[:VIEWS_PER_STEP].tolist()
    maps = {name: value[chosen] for name, value in vars(views).items() if name != "cameras" and value is not None}
    return Views(views.cameras[chosen], **maps)
