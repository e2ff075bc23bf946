"""Relief that a photo's normals show and a mesh lacks, raised on the mesh."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from img23d.ops.crop import resize_views_image
from img23d.ops.defringe import blur_inside
from img23d.ops.normals import unit, vertex_normals
from img23d.ops.project_photo import distance_from, prepare_photo, project_photo
from img23d.ops.raster import Rasterizer
from img23d.ops.render import render
from img23d.ops.sparse import factorised
from img23d.ops.thickness import Distance, thickness
from img23d.scene import Mesh, Views

ROUNDS = 2  # what a mesh's smooth normals hide of the first one's relief comes with the second
PICTURE = 256  # pixels along each side of the picture that relief is found on
# Share of the picture's size: what changes more slowly than this is shape, which outline and depth know better.
BROADEST = 0.12
STEEPEST = 0.3  # normals that differ by more than this do so for another reason than relief: they count less and less
TORN = 0.04  # object units: neighbouring pixels farther apart are not of one surface
RIM = 0.04  # share of the picture's size: how far from where surfaces end relief has its full height
HIGHEST = 0.08  # object units
DEEPEST = 0.25  # share of what lies below the surface that relief may take
GRAZING = math.radians(80)  # from which angle the photo says nothing
LEAST_WEIGHT = 0.02


def engrave(mesh: Mesh, views: Views, sdf: Distance, rasterizer: Rasterizer, strength: float = 1.0) -> Mesh:
    """The mesh with what the normals of a photo show beyond its own.

    Args:
        mesh: closed, object frame, with edges as short as what is to be seen.
        views: the photo with normals and confidence, V = 1.
        sdf: (N, 3) to (N,) signed distance to about the mesh's surface, negative inside, for how thin it is.
        rasterizer: says which face each pixel sees.
        strength: 1 raises what the normals show, less is fainter.

    Returns:
        The same faces; vertices that the photo does not see have not moved.
    """
    for _ in range(ROUNDS):
        height, mask = relief_height(mesh, views, rasterizer)
        if not bool(height.any()):
            break
        encoded = (0.5 + 0.5 * strength * height / HIGHEST).clamp(0, 1)[None, ..., None].expand(-1, -1, -1, 3)
        normals = vertex_normals(mesh)
        source = prepare_photo(Views(views.cameras, encoded, mask[None]), mesh, rasterizer)
        found, weight = project_photo(source, mesh.vertices, normals, GRAZING)
        raised = (2 * found[:, 0] - 1) * HIGHEST * weight
        raised = raised.maximum(-DEEPEST * thickness(mesh.vertices, normals, sdf, 4 * HIGHEST))
        mesh = Mesh(mesh.vertices + raised[:, None] * normals, mesh.faces)
    return mesh


def relief_height(mesh: Mesh, views: Views, rasterizer: Rasterizer) -> tuple[Tensor, Tensor]:
    """(S, S) heights over the mesh's surface, object units, and (S, S) where photo and mesh both show it."""
    assert views.normal is not None and views.confidence is not None
    seen = render(mesh, views.cameras, PICTURE, PICTURE, rasterizer).views
    assert seen.depth is not None and seen.normal is not None
    mask = torch.minimum(resize_views_image(views.mask, PICTURE)[0], seen.mask[0])
    trust = resize_views_image(views.confidence, PICTURE)[0].clamp(0, 1)
    inside = ((mask > 0.9) & (trust > 0)).float()  # a view of which only the outline is known has no normals to go by
    if not bool(inside.any()):
        return torch.zeros_like(mask), mask
    ours, shown = unit(seen.normal[0], -1), unit(resize_views_image(views.normal, PICTURE)[0], -1)
    change = shown - ours
    change = change - blur_inside(change, inside, BROADEST * PICTURE)
    change = change - (change * ours).sum(-1, keepdim=True) * ours
    change = change / (1 + (change.norm(dim=-1, keepdim=True) / STEEPEST) ** 2)
    origins, directions = views.cameras.rays(PICTURE, PICTURE)
    places = origins[0] + seen.depth[0][..., None] * directions[0]
    facing = -(ours * unit(directions[0], -1)).sum(-1).clamp(max=0)
    trust = facing.square() * (trust / trust[inside > 0].median()).clamp(max=1)
    height, whole = integrated(change, places, inside * trust.clamp(min=LEAST_WEIGHT), BROADEST * PICTURE)
    return height * (distance_from(~whole) / (RIM * PICTURE)).clamp(max=1), mask


def integrated(change: Tensor, places: Tensor, weight: Tensor, screen: float) -> tuple[Tensor, Tensor]:
    """Heights whose slopes turn normals by ``change``.

    Where a surface is raised by h along its normals, these change by minus the slope of h; so that from one pixel to the next h changes by
    minus the change of the normal times the step on the surface. Heights fall off to none within ``screen`` pixels.

    Args:
        change: (H, W, 3) of the normals, in the surface's plane.
        places: (H, W, 3) on the surface.
        weight: (H, W) how far they are known, 0 where they are not.
        screen: pixels.

    Returns:
        (H, W) heights in units of ``places``, zero where nothing is known, and (H, W) bool: pixels that go on to all four sides.

    Reference:
        Nehab et al., Efficiently combining positions and normals for precise 3D geometry (2005), with heights along normals for depths.
    """
    from scipy.sparse import coo_matrix, diags, identity

    known = (weight > 0).cpu().numpy()
    number = np.cumsum(known).reshape(known.shape) - 1
    turn, where, trust = (image.double().cpu().numpy() for image in (change, places, weight))
    starts, ends, rises, trusts, whole = [], [], [], [], known.copy()
    for axis in (0, 1):
        one, other = np.s_[:-1] if axis == 0 else np.s_[:, :-1], np.s_[1:] if axis == 0 else np.s_[:, 1:]
        step = where[other] - where[one]
        joined = known[one] & known[other] & (np.linalg.norm(step, axis=-1) < TORN)
        whole[one] &= joined
        whole[other] &= joined
        starts.append(number[one][joined])
        ends.append(number[other][joined])
        rises.append((-0.5 * (turn[one] + turn[other]) * step).sum(-1)[joined])
        trusts.append(np.minimum(trust[one], trust[other])[joined])
    start, end, rise, trust_of = (np.concatenate(part) for part in (starts, ends, rises, trusts))
    each, count = np.arange(len(rise)), int(known.sum())
    slope = coo_matrix((np.repeat([1.0, -1.0], len(rise)), (np.tile(each, 2), np.concatenate([end, start]))), (len(rise), count)).tocsr()
    weighted = slope.T @ diags(trust_of)
    height = np.zeros(known.shape)
    height[known] = factorised(weighted @ slope + identity(count) * screen**-2).solve(weighted @ rise)
    return torch.from_numpy(height).to(places), torch.from_numpy(whole).to(places.device)
