"""Pictures of what a stage has made so far, for people who look into the run folder."""

from __future__ import annotations

import torch
from torch import Tensor

from img23d.backends.rasterizers import choose_rasterizer
from img23d.fields.grid import SdfField
from img23d.ops.march import marching_tetrahedra
from img23d.ops.render import render
from img23d.ops.tetgrid import tet_grid
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees

SIDES_DEG = [0.0, 90.0, 180.0, 270.0]
SIDE = 224  # pixels
GRID = 40  # cells of the grid that a field's surface is looked for in


@torch.no_grad()
def form_picture(mesh: Mesh) -> Tensor:
    """(S, 4 S, 3) the normals of a mesh from front, right, back and left, on white; on the host."""
    mesh = Mesh(mesh.vertices.detach().float().cpu(), mesh.faces.cpu())
    cameras = orbit_degrees(SIDES_DEG, 8.0, 4.2, 28.5)
    picture = torch.ones(len(SIDES_DEG), SIDE, SIDE, 3)
    if len(mesh.faces):
        seen = render(mesh, cameras, SIDE, SIDE, choose_rasterizer("auto")).views
        assert seen.normal is not None
        local = torch.einsum("vhwi,vij->vhwj", seen.normal, cameras.cam_to_world[:, :3, :3])
        shade = 0.55 + 0.45 * local[..., 2:].clamp(0, 1)
        picture = torch.lerp(picture, (local * 0.5 + 0.5) * shade, seen.mask[..., None])
    return torch.cat(list(picture), 1).clamp(0, 1)


@torch.no_grad()
def field_form(field: SdfField, device: torch.device) -> Tensor:
    """As `form_picture`, of the surface of a signed distance field on ``device``."""
    grid = tet_grid(GRID)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, field.sdf(grid.vertices.to(device)).cpu())
    return form_picture(Mesh(vertices, faces))
