"""Images of the photo under symmetries: where they count."""

from types import SimpleNamespace

import torch

from img23d.ops.march import marching_tetrahedra
from img23d.ops.mirrored import AROUND, meeting
from img23d.ops.normals import vertex_normals
from img23d.ops.tetgrid import tet_grid
from img23d.scene import Mesh


def cup() -> SimpleNamespace:
    """A cylinder of radius .5 about y with a handle to the right, as a surface."""
    grid = tet_grid(32)
    x, y, z = grid.vertices.unbind(-1)
    body = torch.maximum(torch.hypot(x, z) - 0.5, y.abs() - 0.7)
    handle = torch.stack([(x - 0.6).abs() - 0.2, y.abs() - 0.1, z.abs() - 0.1]).amax(0)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, torch.minimum(body, handle))
    return SimpleNamespace(mesh=Mesh(vertices, faces))


def test_half_a_turn_paints_no_handle_onto_the_side_that_has_none():
    surface = cup()
    x, y, z = surface.mesh.vertices.unbind(-1)
    turn = torch.tensor([-1.0, 1.0, -1.0])
    whole = meeting(surface, surface.mesh.vertices * turn, vertex_normals(surface.mesh) * turn)
    opposite = (x < -0.45) & (y.abs() < 0.1) & (z.abs() < 0.1)
    beside = (x < 0) & (y.abs() < 0.1) & (z.abs() > 0.1) & (z.abs() < 0.1 + AROUND / 2)
    assert bool((x > 0.6).any()) and float(whole[x > 0.6].max()) == 0.0  # the handle has no image
    assert int(opposite.sum()) > 3 and float(whole[opposite].max()) == 0.0
    assert float(whole[beside].max()) == 0.0  # nor what is just beside it
    away = (z.abs() > 0.4) | (y.abs() > 0.5)
    assert float(whole[away].min()) == 1.0
