"""Texels know their surface point; gutters continue it; padding takes the nearest."""

import pytest
import torch
import trimesh

from img23d.ops.atlas import unwrap
from img23d.ops.bake import interpolate, pad, texel_surface
from img23d.scene import Mesh


def shape(name: str) -> Mesh:
    made = trimesh.creation.icosphere(3, 0.9) if name == "sphere" else trimesh.creation.torus(0.65, 0.25, 48, 24)
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def square(dtype=torch.float64):
    """Two triangles over the texture's middle half."""
    uv = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]], dtype=dtype)
    return uv, torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_texel_centres_have_half_pixel_offsets():
    uv, faces = square()
    face, barycentric = texel_surface(uv, faces, 8, gutter=0)
    assert int((face >= 0).sum()) == 16 and (face[2:6, 2:6] >= 0).all()
    back = interpolate(uv, faces, face[face >= 0], barycentric[face >= 0])
    row, column = torch.nonzero(face >= 0, as_tuple=True)
    torch.testing.assert_close(back * 8, torch.stack([column, row], -1) + 0.5, check_dtype=False)


def test_the_gutter_continues_the_plane():
    uv, faces = square()
    face, barycentric = texel_surface(uv, faces, 16, gutter=2)
    assert (face[2:14, 4:12] >= 0).all() and face[0, 0] == -1
    known = face >= 0
    back = interpolate(uv, faces, face[known], barycentric[known])
    row, column = torch.nonzero(known, as_tuple=True)
    torch.testing.assert_close(back * 16, torch.stack([column, row], -1) + 0.5, check_dtype=False)


def test_winding_does_not_matter():
    uv, faces = square()
    plain, flipped = texel_surface(uv, faces, 32)[0], texel_surface(uv, faces.flip(1), 32)[0]
    assert torch.equal(plain, flipped)


@pytest.mark.parametrize("name", ["sphere", "torus"])
def test_baked_points_lie_on_the_mesh(name):
    mesh = shape(name)
    uv, uv_faces = unwrap(mesh, 256)
    face, barycentric = texel_surface(uv, uv_faces, 256)
    known = face >= 0
    points = interpolate(mesh.vertices, mesh.faces, face[known], barycentric[known])
    if name == "sphere":
        distance = points.norm(dim=-1) - 0.9
    else:
        distance = torch.hypot(points[:, :2].norm(dim=-1) - 0.65, points[:, 2]) - 0.25
    assert distance.abs().max() < 0.03 and (distance.abs() < 0.012).float().mean() > 0.98


def test_one_large_box_of_candidates_is_split(monkeypatch):
    uv, faces = square()
    whole = texel_surface(uv, faces, 64)
    monkeypatch.setattr("img23d.ops.bake.CANDIDATES", 100)
    assert all(torch.equal(a, b) for a, b in zip(whole, texel_surface(uv, faces, 64)))


def test_pad_takes_the_nearest_and_stops():
    texture = torch.zeros(9, 9, 1)
    covered = torch.zeros(9, 9, dtype=torch.bool)
    texture[4, 2], texture[4, 6] = 1.0, 2.0
    covered[4, 2] = covered[4, 6] = True
    filled = pad(texture, covered)[..., 0]
    assert filled[4, 3] == 1 and filled[4, 5] == 2 and filled[0, 0] == 1 and filled[8, 8] == 2
    near = pad(texture, covered, 1)[..., 0]
    assert near[4, 3] == 1 and near[4, 4] == 0 and near[0, 0] == 0
    assert torch.equal(pad(texture, torch.zeros_like(covered)), texture)
