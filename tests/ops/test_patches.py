"""Patches on a surface: tangents as a picture has them, and on a flat grid its own rows and columns."""

import torch

from img23d.ops.averaging import Averaging
from img23d.ops.patches import SIDE, patch_places, patch_vertices, upright_frames


def test_tangents_are_a_right_handed_upright_picture():
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator), dim=-1)
    right, up = upright_frames(normals, torch.tensor([0.0, 0.0, -1.0]))
    assert torch.allclose(torch.linalg.cross(right, up), normals, atol=1e-5)
    assert torch.allclose(right.norm(dim=-1), torch.ones(500), atol=1e-5) and torch.allclose(up.norm(dim=-1), torch.ones(500), atol=1e-5)
    steep = normals[:, 1].abs() < 0.5
    assert (up[steep][:, 1] > 0.5).all()


def test_a_wall_is_seen_as_it_stands_and_a_floor_as_from_the_viewer():
    normals = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    right, up = upright_frames(normals, torch.tensor([0.0, 0.0, -1.0]))
    assert torch.allclose(right, torch.tensor([[1.0, 0, 0], [0, 0, -1.0], [1.0, 0, 0]]), atol=1e-6)
    assert torch.allclose(up, torch.tensor([[0, 1.0, 0], [0, 1.0, 0], [0, 0, -1.0]]), atol=1e-6)


def test_no_direction_at_all_still_gives_tangents():
    """A camera straight above knows no level direction, and a floor no vertical one."""
    right, up = upright_frames(torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]), torch.zeros(3))
    assert torch.allclose(torch.linalg.cross(right, up)[:, 1], torch.tensor([1.0, -1.0]), atol=1e-6)


def plane(count: int, depth: float, facing: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A count x count grid of spacing 1 at some depth, row by row from the bottom, and its normals."""
    step = torch.arange(float(count))
    y, x = torch.meshgrid(step, step, indexing="ij")
    positions = torch.stack([x, y, torch.full_like(x, depth)], -1).reshape(-1, 3)
    return positions, torch.tensor([0.0, 0.0, facing]).expand_as(positions)


def test_patches_of_a_grid_are_its_rows_and_columns():
    positions, normals = plane(9, 0.0, 1.0)
    frames = upright_frames(normals, torch.tensor([0.0, 0.0, -1.0]))
    middle = 4 * 9 + 4
    found = patch_vertices(positions, normals, frames, torch.tensor([middle]), 1.0)
    places = patch_places("cpu")
    assert found.shape == (1, SIDE**2)
    assert torch.equal(found[0], middle + places[:, 0].long() + 9 * places[:, 1].long())
    assert torch.equal(positions[found[0], :2] - positions[middle, :2], places)


def test_a_thin_walls_other_side_is_no_part_of_a_patch():
    front, back = plane(9, 0.05, 1.0), plane(9, 0.0, -1.0)
    positions, normals = torch.cat([front[0], back[0] + torch.tensor([0.4, 0.4, 0.0])]), torch.cat([front[1], back[1]])
    frames = upright_frames(normals, torch.tensor([0.0, 0.0, -1.0]))
    # Half a step aside, where vertices of the other side are as near as the own ones.
    found = patch_vertices(positions, normals, frames, torch.arange(81), 0.7)
    assert (found < 81).all()


def test_averages_of_neighbours():
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    values = torch.tensor([[3.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    once = Averaging(faces, 4)(values, 1)
    assert torch.allclose(once, torch.tensor([[1.0, 1.0], [0.75, 1.0], [0.75, 1.0], [0.0, 1.0]]))
    assert torch.equal(Averaging(faces, 4)(values, 0), values)
    many = Averaging(faces, 4)(values, 200)[:, 0]
    assert many.std() < 1e-5
