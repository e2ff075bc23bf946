"""Fine relief of the photo's normals on the surface: a wavy plate whose normals are known."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops.photo_relief import LARGEST, photo_relief
from img23d.ops.project_photo import prepare_photo
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees

SIZE, WAVES, STEEP = 128, 12.0, 0.2


def plate() -> Mesh:
    """A flat square before the camera, facing it."""
    corners = torch.tensor([[-0.8, -0.8, 0.0], [0.8, -0.8, 0.0], [0.8, 0.8, 0.0], [-0.8, 0.8, 0.0]])
    return Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]))


def photo(slope_of) -> Views:
    """A photo of the plate with normals whose slope to the right is a function of the column 0..1."""
    camera = orbit_degrees([0.0], 0.0, 3.0, 40.0)
    axis = (torch.arange(SIZE) + 0.5) / SIZE
    slope = slope_of(axis)[None, :].expand(SIZE, SIZE)
    normal = torch.nn.functional.normalize(torch.stack([slope, torch.zeros_like(slope), torch.ones_like(slope)], -1), dim=-1)
    mask = ((axis[:, None] - 0.5).abs() < 0.36) & ((axis - 0.5).abs() < 0.36)
    return Views(
        camera, torch.full((1, SIZE, SIZE, 3), 0.5), mask[None].float(), torch.ones(1, SIZE, SIZE), normal[None], mask[None].float()
    )


def points() -> tuple[torch.Tensor, torch.Tensor]:
    """A row of places on the plate, well inside, and their normals."""
    line = torch.linspace(-0.5, 0.5, 201)
    places = torch.stack([line, torch.zeros_like(line), torch.zeros_like(line)], -1)
    return places, torch.tensor([0.0, 0.0, 1.0]).expand(201, 3)


def change_of(views: Views, mesh: Mesh | None = None, sign: float = 1.0) -> torch.Tensor:
    rasterizer, (places, normals) = choose_rasterizer("auto"), points()
    source = prepare_photo(views, plate(), rasterizer)
    return photo_relief(views, source, mesh or plate(), places, sign * normals, math.radians(75), rasterizer)


def wavy_plate() -> Mesh:
    """The plate with the waves of `waves`, as fine triangles."""
    count = 600
    x = torch.linspace(-0.8, 0.8, count)
    columns = orbit_degrees([0.0], 0.0, 3.0, 40.0).project(torch.stack([x, 0 * x, 0 * x], -1))[0, :, 0]
    slope = waves(columns)
    # a surface z(x) has the normal (-dz/dx, 0, 1)
    height = -torch.cumulative_trapezoid(slope, x)
    height = torch.cat([height.new_zeros(1), height])
    rows = [torch.stack([x, torch.full_like(x, y), height - height.mean()], -1) for y in (-0.8, 0.8)]
    at = torch.arange(count - 1)
    low, high = torch.stack([at, at + 1, at + count], -1), torch.stack([at + 1, at + 1 + count, at + count], -1)
    return Mesh(torch.cat(rows), torch.cat([low, high]))


def waves(x: torch.Tensor) -> torch.Tensor:
    """Slopes at columns 0..1 of the picture."""
    return STEEP * torch.sin(math.tau * WAVES * 2 * x)


def test_waves_finer_than_the_mesh_are_kept():
    views = photo(waves)
    wanted = waves(views.cameras.project(points()[0])[0, :, 0])
    change = change_of(views)
    assert torch.corrcoef(torch.stack([change[:, 0], wanted]))[0, 1] > 0.98
    assert 0.6 < float(change[:, 0].abs().max()) / STEEP < 1.1 and change[:, 1].abs().max() < 1e-5


def test_an_even_tilt_is_the_meshs_own_affair():
    assert change_of(photo(lambda x: torch.full_like(x, 0.4))).abs().max() < 1e-4


def test_nothing_changes_where_the_photo_is_not_sure_or_has_no_normals():
    views = photo(waves)
    assert change_of(replace(views, confidence=torch.zeros_like(views.mask))).abs().max() < 1e-6
    assert change_of(replace(views, normal=None)).abs().max() == 0


def test_what_faces_away_gets_nothing_and_changes_are_bounded():
    views = photo(lambda x: 20.0 * torch.sign(torch.sin(math.tau * WAVES * x)))
    assert change_of(views, sign=-1.0).abs().max() == 0
    assert change_of(views).norm(dim=-1).max() < LARGEST


def test_what_the_mesh_has_is_not_added_again_and_what_only_it_has_goes():
    added = change_of(photo(waves))[:, 0]
    assert change_of(photo(waves), wavy_plate())[:, 0].abs().max() < 0.15 * added.abs().max()
    gone = change_of(photo(torch.zeros_like), wavy_plate())[:, 0]
    assert torch.corrcoef(torch.stack([gone, -added]))[0, 1] > 0.98 and 0.8 < float(gone.norm() / added.norm()) < 1.2
