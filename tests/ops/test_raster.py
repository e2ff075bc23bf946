"""The torch rasteriser against an all-pairs oracle, and the rules that pictures depend on."""

import pytest
import torch

from img23d.ops import raster
from img23d.ops.raster import NEAR, face_ids


def oracle(points, faces, height, width):
    """Every pixel against every face: solve for the ray's barycentrics, keep the nearest hit. Knows nothing of fill rules."""
    ids = torch.full((len(points), height, width), -1)
    for view, vertices in enumerate(points.double()):
        for row in range(height):
            for column in range(width):
                ray = torch.tensor([(column + 0.5) / width, (row + 0.5) / height, 1.0], dtype=torch.float64)
                corner = torch.stack([vertices[:, 0] * vertices[:, 2], vertices[:, 1] * vertices[:, 2], vertices[:, 2]], -1)[faces]
                solved = torch.linalg.solve(corner.transpose(1, 2), ray.expand(len(faces), 3)[..., None])[..., 0]
                hit = (solved >= 0).all(1)
                if hit.any():
                    # corner^T (w / z) = ray, so the sum of the solution is 1 / z.
                    ids[view, row, column] = torch.where(hit, solved.sum(1), -torch.inf).argmax()
    return ids


def soup(faces, views=2, seed=0, size=0.5):
    """Triangles of all sizes, windings and tilts that cut through each other, some partly outside of the picture."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.rand(views, faces, 1, 2, generator=generator) * 1.2 - 0.1
    xy = middle + (torch.rand(views, faces, 3, 2, generator=generator) - 0.5) * size
    depth = 1 + 3 * torch.rand(views, faces, 3, 1, generator=generator)
    return torch.cat([xy, depth], -1).reshape(views, faces * 3, 3), torch.arange(faces * 3).reshape(faces, 3)


def quad(left, top, right, bottom, depth=1.0):
    """One view of a rectangle made of two faces."""
    corners = [[left, top, depth], [left, bottom, depth], [right, bottom, depth], [right, top, depth]]
    return torch.tensor([corners]), torch.tensor([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize("size", [0.15, 1.5])
def test_agrees_with_the_oracle_on_every_pixel(size):
    points, faces = soup(40, size=size)
    ids = face_ids(points, faces, 18, 23)
    assert len(ids.unique()) > 15
    assert torch.equal(ids, oracle(points, faces, 18, 23))


def test_pixel_centres_lie_half_a_pixel_in():
    points, faces = quad(0.26, 0.16, 0.54, 0.34)  # holds the centres .35 .45 in x and .25 in y, and no others
    hit = face_ids(points, faces, 10, 10)[0] >= 0
    assert hit.nonzero().tolist() == [[2, 3], [2, 4]]


def test_row_0_is_the_top_and_column_0_the_left():
    points, faces = quad(0.0, 0.0, 0.2, 0.4)
    hit = face_ids(points, faces, 5, 10)[0] >= 0
    assert hit[:2, :2].all() and hit.sum() == 4


def test_depth_is_compared_perspective_correctly():
    # Face 0 runs from z = 1 on the left to z = 9 on the right; face 1 stands at z = 2. 1/z is linear in x, so they meet where
    # 1 + x (1/9 - 1) = 1/2, at x = 9/16. Were z linear, they would meet at x = 1/8.
    tilted = torch.tensor([[0.0, -2.0, 1.0], [0.0, 2.0, 1.0], [1.0, 2.0, 9.0], [1.0, -2.0, 9.0]])
    upright = torch.tensor([[-1.0, -1.0, 2.0], [-1.0, 3.0, 2.0], [3.0, -1.0, 2.0]])
    points = torch.cat([tilted, upright])[None]
    ids = face_ids(points, torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6]]), 4, 160)
    assert ((ids[0] < 2).sum(1) == 90).all()


def test_a_shared_edge_belongs_to_exactly_one_face():
    # Vertices right on pixel centres: the diagonal and the rim pass through many of them.
    points, faces = quad(2.5 / 10, 2.5 / 10, 6.5 / 10, 6.5 / 10)
    apart = sum((face_ids(points, faces[k : k + 1], 10, 10) >= 0).long() for k in range(2))[0]
    assert apart.max() == 1
    assert apart.nonzero().tolist() == [[row, column] for row in range(2, 6) for column in range(2, 6)]  # top-left rule


def test_a_fan_covers_each_pixel_once():
    generator = torch.Generator().manual_seed(3)
    angle = torch.linspace(0, 2 * torch.pi, 30)[:-1]
    rim = torch.stack([0.5 + 0.4 * angle.cos(), 0.5 + 0.4 * angle.sin()], -1)
    middle = torch.tensor([[0.5 + 1 / 64, 0.5 + 1 / 64]])  # on a pixel centre of the 32 px picture
    points = torch.cat([torch.cat([middle, rim]), 1 + torch.rand(30, 1, generator=generator)], -1)[None]
    faces = torch.tensor([[0, k, k % 29 + 1] for k in range(1, 30)])
    count = sum((face_ids(points, faces[k : k + 1], 32, 32) >= 0).long() for k in range(29))[0]
    assert count.max() == 1
    assert torch.equal(count > 0, face_ids(points, faces, 32, 32)[0] >= 0)
    assert count[16, 16] == 1


def test_both_windings_are_drawn_alike():
    points, faces = soup(60, seed=1)
    assert torch.equal(face_ids(points, faces, 30, 20), face_ids(points, faces[:, [1, 0, 2]], 30, 20))


def test_of_two_faces_at_one_depth_the_first_wins():
    points, faces = quad(0.1, 0.1, 0.9, 0.9)
    ids = face_ids(points, torch.cat([faces, faces]), 16, 16)
    assert ids.max() == 1


@pytest.mark.parametrize("depth", [NEAR, 0.0, -1.0, float("nan")])
def test_faces_that_reach_the_camera_are_left_out(depth):
    points, faces = quad(0.0, 0.0, 1.0, 1.0)
    points[0, 1, 2] = depth  # only in face 0
    ids = face_ids(points, faces, 8, 8)
    assert set(ids.unique().tolist()) == {-1, 1}


def test_faces_without_area_or_with_corners_nowhere_are_left_out():
    points, faces = quad(0.0, 0.0, 1.0, 1.0)
    points = torch.cat([points, torch.tensor([[[float("nan"), 0.5, 1.0], [float("inf"), 0.5, 1.0]]])], 1)
    wild = torch.tensor([[0, 0, 1], [0, 2, 2], [0, 1, 4], [0, 1, 5]])
    assert (face_ids(points, wild, 8, 8) == -1).all()
    assert torch.equal(face_ids(points, torch.cat([faces, wild]), 8, 8), face_ids(points, faces, 8, 8))


def test_pictures_without_faces_are_empty():
    points, faces = quad(1.5, 0.0, 2.0, 1.0)
    assert (face_ids(points, faces, 4, 6) == -1).all()
    assert face_ids(points, faces[:0], 4, 6).shape == (1, 4, 6)
    assert face_ids(points[:0], faces, 4, 6).shape == (0, 4, 6)


def test_chunks_do_not_change_the_picture(monkeypatch):
    points, faces = soup(80, seed=2, size=1.0)
    whole = face_ids(points, faces, 24, 24)
    monkeypatch.setattr(raster, "CHUNK", 50)
    assert torch.equal(face_ids(points, faces, 24, 24), whole)


def test_float32_and_float64_agree():
    points, faces = soup(50, seed=4)
    assert torch.equal(face_ids(points, faces, 16, 16), face_ids(points.double(), faces, 16, 16))


def test_faces_much_larger_than_the_picture_are_drawn():
    points = torch.tensor([[[-1e7, -1e7, 1.0], [1e7, -1e7, 1.0], [0.0, 1e7, 1.0]]])
    assert (face_ids(points, torch.tensor([[0, 1, 2]]), 8, 8) == 0).all()
