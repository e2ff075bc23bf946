"""Which separate parts of a mesh its photos need: those that show what no other part shows are no floaters."""

from __future__ import annotations

import torch
from torch import Tensor

from img23d.ops.raster import Rasterizer
from img23d.ops.topology import components, drop_unused, part_areas
from img23d.scene import Mesh, Views

NEEDED = 0.01  # of a silhouette that a part shows and the largest part does not: less is a rim
SIZE = 256  # pixels along each side at which that is looked at


def without_floaters(mesh: Mesh, views: Views, rasterizer: Rasterizer) -> Mesh:
    """The largest part of a mesh, and those that show what it does not: a flower whose thin stem was lost is no floater.

    Args:
        mesh: any.
        views: with the silhouettes that it was fitted to.
        rasterizer: what tells which face a pixel shows.
    """
    part = components(mesh)
    if not len(part) or int(part.max()) == 0:
        return mesh
    largest = int(part_areas(mesh, part).argmax())
    kept = shown_besides(mesh, part, largest, views, rasterizer) >= NEEDED
    kept[largest] = True
    return drop_unused(Mesh(mesh.vertices, mesh.faces[kept[part]]))


def shown_besides(mesh: Mesh, part: Tensor, largest: int, views: Views, rasterizer: Rasterizer) -> Tensor:
    """(P,) the largest share of a silhouette that each part shows where one part does not.

    Args:
        mesh: F faces.
        part: (F,) number of each face's part.
        largest: that one part.
        views: with silhouettes.
        rasterizer: what tells which face a pixel shows.
    """
    points, core = views.cameras.project(mesh.vertices), mesh.faces[part == largest]
    inside = torch.nn.functional.interpolate(views.mask[:, None].float(), (SIZE, SIZE), mode="area")[:, 0] > 0.5
    found = torch.zeros(int(part.max()) + 1, device=part.device)
    for k in range(len(views)):
        seen, covered = (rasterizer.face_ids(points[k : k + 1], faces, SIZE, SIZE)[0] for faces in (mesh.faces, core))
        alone = seen[(seen >= 0) & (covered < 0) & inside[k]]
        counts = torch.bincount(part[alone.long()], minlength=len(found))
        found = torch.maximum(found, counts / inside[k].sum().clamp(min=1))
    return found
