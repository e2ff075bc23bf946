"""Relief too fine for the mesh, from the photo's normals: what they have beyond their own mean about a place, and the mesh has not."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from img23d.ops.defringe import blur_inside
from img23d.ops.normals import unit
from img23d.ops.project_photo import PhotoSource, project_photo
from img23d.ops.raster import Rasterizer
from img23d.ops.render import render
from img23d.scene import Mesh, Views

# Blur of the normals that a mesh is taken to have by itself: share of the picture's size.
COARSE = 0.02
# Changes of a normal are bent to stay below this length.
LARGEST = 0.8  # at most 1: they are looked up as colours


def photo_relief(
    views: Views, source: PhotoSource, mesh: Mesh, points: Tensor, normals: Tensor, grazing: float, rasterizer: Rasterizer
) -> Tensor:
    """By how much the photo's fine relief changes normals of the surface.

    The mesh follows the photo's normals already, as far as its grid allows; what is left out are differences within a few cells. To put
    the photo's normals in place of the mesh's would tilt whole regions wherever both disagree. What the mesh itself has of such
    differences, relief or noise, is taken off, so that with them it shows the photo's.

    Args:
        views: the photo with normals and confidence, V = 1.
        source: from `prepare_photo`, for what the photo sees.
        mesh: whose normals the relief is added to.
        points: (P, 3) on the surface, object frame.
        normals: (P, 3) unit outward.
        grazing: angle from which the photo says nothing, radians.
        rasterizer: says which face each pixel sees.

    Returns:
        (P, 3) to add to normals before they are made unit again; zero where the photo does not see or does not know.
    """
    if views.normal is None or views.confidence is None:
        return torch.zeros_like(normals)
    fine = views.normal[0].to(normals)
    height, width = fine.shape[:2]
    seen = render(mesh, views.cameras, height, width, rasterizer).views
    assert seen.normal is not None
    inside = ((views.mask[0] > 0.5) & (seen.mask[0] > 0.5)).to(normals)
    fine = fine - unit(seen.normal[0].to(normals), -1)
    change = fine - blur_inside(fine, inside, max(1.0, COARSE * max(height, width)))
    change = change * (views.confidence[0].clamp(0, 1) * inside)[..., None]
    length = change.norm(dim=-1, keepdim=True)
    change = change * (LARGEST / (LARGEST + length))
    # Looked up as a colour is.
    found, weight = project_photo(replace(source, rgb=0.5 + 0.5 * change), points, normals, grazing)
    return (2 * found - 1) * weight[:, None]
