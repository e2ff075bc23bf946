"""Silhouettes: what they are, how they blend, and whether the picture moves with them."""

import math

import pytest
import scipy.spatial
import torch
import trimesh

from img23d.ops.antialias import antialias
from img23d.ops.raster import face_ids
from img23d.ops.silhouette import silhouette_edges
from img23d.scene.cameras import orbit


def ball(subdivisions, dtype=torch.float64):
    shape = trimesh.creation.icosphere(subdivisions, radius=0.7)
    return torch.tensor(shape.vertices, dtype=dtype), torch.tensor(shape.faces, dtype=torch.int64)


def cameras(views=1):
    azimuth = torch.tensor([20.0, 130.0, 250.0], dtype=torch.float64)[:views].deg2rad()
    full = torch.ones_like(azimuth)
    return orbit(azimuth, 0.4 * full, 2.5 * full, 0.7 * full)


def coverage(points, faces, height, width):
    ids = face_ids(points, faces, height, width)
    return antialias((ids >= 0).to(points)[..., None], ids, points, faces)[..., 0]


def disc(radius, sides, turn=0.1, middle=(0.513, 0.487)):
    angle = torch.arange(sides, dtype=torch.float64) * (2 * math.pi / sides) + turn
    rim = torch.stack([angle.cos() * radius + middle[0], angle.sin() * radius + middle[1], torch.ones_like(angle)], -1)
    centre = torch.tensor([[*middle, 1.0]], dtype=torch.float64)
    return torch.cat([centre, rim])[None], torch.tensor([[0, k + 1, (k + 1) % sides + 1] for k in range(sides)])


def half_plane(edge, slope=0.0):
    """One view of the left part of a picture, bordered by the line x = edge + slope (y - 0.5)."""
    zero = torch.zeros_like(edge)
    corners = [[zero - 20, zero - 2], [zero - 20, zero + 3], [edge + 2.5 * slope, zero + 3], [edge - 2.5 * slope, zero - 2]]
    return torch.stack([torch.stack([*corner, zero + 1]) for corner in corners])[None], torch.tensor([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize("edge", [0.331, 0.35, 0.398, 0.402, 0.449, 0.451])
@pytest.mark.parametrize("flip", [False, True])
def test_a_straight_upright_border_covers_its_exact_share(edge, flip):
    position = torch.tensor(edge, dtype=torch.float64, requires_grad=True)
    points, faces = half_plane(position)
    if flip:  # the same border, lying: exchange x and y
        points = points[..., [1, 0, 2]]
    picture = coverage(points, faces, 10, 10)
    torch.testing.assert_close(picture.sum() / 100, position)
    picture.sum().backward()
    torch.testing.assert_close(position.grad, torch.tensor(100.0, dtype=torch.float64))


@pytest.mark.parametrize("slope", [-2.3, -0.9, -0.2, 0.2, 0.9, 2.3])
def test_a_tilted_border_moves_the_picture_by_the_swept_area_and_not_twice(slope):
    # Steep and flat pixel pairs must share the border among them: with both, the gradient would double.
    position = torch.tensor(0.507, dtype=torch.float64, requires_grad=True)
    points, faces = half_plane(position, slope)
    picture = coverage(points, faces, 60, 60)
    picture.sum().backward()
    length = min(1.0, 1 / abs(slope))  # of the border's rows that lie inside of the picture
    torch.testing.assert_close(position.grad / 3600, torch.tensor(length, dtype=torch.float64), rtol=0.04, atol=0)
    torch.testing.assert_close(picture.sum() / 3600, torch.tensor(0.507, dtype=torch.float64), rtol=0.02, atol=0)


@pytest.mark.parametrize("sides", [3, 16, 400])
def test_a_discs_area_grows_with_its_radius(sides):
    radius = torch.tensor(0.31, dtype=torch.float64, requires_grad=True)
    points, faces = disc(radius, sides)
    area = coverage(points, faces, 96, 128).mean()
    area.backward()
    unit = 0.5 * sides * math.sin(2 * math.pi / sides)
    assert area.item() == pytest.approx(unit * 0.31**2, rel=0.01)
    assert radius.grad.item() == pytest.approx(2 * unit * 0.31, rel=0.03)


@pytest.mark.parametrize("subdivisions,size", [(1, 48), (3, 64), (5, 64)])
def test_a_spheres_area_grows_with_its_radius_however_small_its_faces(subdivisions, size):
    vertices, faces = ball(subdivisions)
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    area = coverage(cameras(3).project(vertices * scale), faces, size, size).mean()
    area.backward()

    def truth(scale):
        points = cameras(3).project(vertices * scale)[..., :2]
        hulls = [scipy.spatial.ConvexHull(view.numpy()) for view in points]
        return sum(hull.volume for hull in hulls) / 3

    expected = (truth(1.001) - truth(0.999)) / 0.002
    assert area.item() == pytest.approx(truth(1.0), rel=0.01)
    assert scale.grad.item() == pytest.approx(expected, rel=0.04)


def test_gradients_by_finite_differences():
    vertices, faces = ball(2)
    points = cameras(2).project(vertices * torch.linspace(0.8, 1.1, len(vertices), dtype=torch.float64)[:, None])
    ids = face_ids(points, faces, 20, 24)
    image = torch.rand(2, 20, 24, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.rand(2, 20, 24, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss(points, image):
        return (antialias(image, ids, points, faces) * weight).sum()

    points, image = points.requires_grad_(), image.requires_grad_()
    loss(points, image).backward()
    assert (points.grad.abs() > 0).any(-1).sum() > 40
    for tensor, other, swap in ((points, image, False), (image, points, True)):
        along = torch.randn(tensor.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        ends = [tensor.detach() + step * along for step in (1e-7, -1e-7)]
        values = [loss(other.detach(), end) if swap else loss(end, other.detach()) for end in ends]
        torch.testing.assert_close((values[0] - values[1]) / 2e-7, (tensor.grad * along).sum(), rtol=1e-5, atol=1e-6)


def square_before_wall(shift):
    """A red-to-be square at depth 1 in front of a wall at depth 2 that fills the picture."""
    zero = torch.zeros_like(shift)
    near = [(0.3 + shift, zero + 0.3), (0.3 + shift, zero + 0.7), (0.7 + shift, zero + 0.7), (0.7 + shift, zero + 0.3)]
    far = [(zero - 1, zero - 1), (zero - 1, zero + 2), (zero + 2, zero + 2), (zero + 2, zero - 1)]
    points = torch.stack([torch.stack([x, y, zero + 1]) for x, y in near] + [torch.stack([x, y, zero + 2]) for x, y in far])
    return points[None], torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])


def test_silhouettes_before_another_surface_move_too():
    shift = torch.tensor(0.013, dtype=torch.float64, requires_grad=True)
    points, faces = square_before_wall(shift)
    ids = face_ids(points, faces, 20, 20)
    color = torch.tensor([1.0, 1.0, 0.2, 0.2], dtype=torch.float64)
    picture = antialias(color[ids][..., None], ids, points, faces)[0, ..., 0]
    right = picture[:, 10:]
    right.sum().backward()
    # The right half gains 8 rows of (1 - 0.2) for every pixel that the square moves.
    torch.testing.assert_close(shift.grad, torch.tensor(20 * 8 * 0.8, dtype=torch.float64))
    torch.testing.assert_close(right.sum(), torch.tensor(0.2 * 200 + 8 * 0.8 * (4 + 0.013 * 20), dtype=torch.float64))


def test_hidden_silhouettes_leave_no_trace():
    # A ball behind a curtain of faces so small that each pixel shows another one: ids differ all over, and nothing must be blended.
    vertices, faces = ball(2)
    points = cameras().project(vertices)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.meshgrid(*[torch.linspace(-0.2, 1.2, 61, dtype=torch.float64)] * 2, indexing="ij")
    curtain = torch.stack([x, y, 1 + 0.01 * torch.rand(61, 61, dtype=torch.float64, generator=generator)], -1).reshape(1, -1, 3)
    index = torch.arange(61 * 61).reshape(61, 61)
    a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    curtain_faces = torch.cat([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)]) + len(vertices)
    points, faces = torch.cat([points, curtain], 1), torch.cat([faces, curtain_faces])
    ids = face_ids(points, faces, 40, 40)
    assert (ids >= 320).all() and len(ids.unique()) > 1000 and len(silhouette_edges(points, faces).view) > 40
    image = torch.rand(1, 40, 40, 3, dtype=torch.float64, generator=generator)
    assert torch.equal(antialias(image, ids, points, faces), image)


def test_inner_edges_leave_no_trace():
    vertices, faces = ball(2)
    points = cameras().project(vertices)
    ids = face_ids(points, faces, 40, 40)
    image = torch.rand(1, 40, 40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    changed = (antialias(image, ids, points, faces) != image).any(-1)[0]
    border = (ids[0] >= 0) != torch.nn.functional.max_pool2d((ids >= 0).double(), 3, 1, 1)[0].bool()
    border |= (ids[0] < 0) != torch.nn.functional.max_pool2d((ids < 0).double(), 3, 1, 1)[0].bool()
    assert changed.sum() > 60
    assert not (changed & ~border).any()


def test_the_picture_does_not_jump_when_a_border_passes_a_pixel_centre():
    sums = [coverage(*half_plane(torch.tensor(0.35 + step, dtype=torch.float64)), 10, 10) for step in (-1e-9, 1e-9)]
    torch.testing.assert_close(sums[0], sums[1], rtol=0, atol=1e-7)


def test_silhouette_edges_of_a_closed_surface_form_closed_loops_around_its_outline():
    vertices, faces = ball(3)
    points = cameras(2).project(vertices)
    found = silhouette_edges(points, faces)
    for view in range(2):
        mine = found.view == view
        ends = torch.cat([found.start[mine], found.stop[mine]])
        assert (torch.bincount(ends)[ends.unique()] % 2 == 0).all()
        # The interior lies on the side that is named: towards the middle of the picture.
        start, stop = points[view, found.start[mine], :2], points[view, found.stop[mine], :2]
        step, inward = stop - start, 0.5 - start
        assert torch.equal(torch.sign(step[:, 0] * inward[:, 1] - step[:, 1] * inward[:, 0]), found.side[mine])


def test_winding_does_not_matter_and_borders_are_silhouettes():
    points, faces = disc(torch.tensor(0.3, dtype=torch.float64), 12)
    for turned in (faces, faces[:, [0, 2, 1]], torch.cat([faces[:5], faces[5:][:, [1, 0, 2]]])):
        found = silhouette_edges(points, turned)
        rim = {tuple(sorted((k + 1, (k + 1) % 12 + 1))) for k in range(12)}
        assert {tuple(edge) for edge in torch.stack([found.start, found.stop], -1).tolist()} == rim


def test_faces_that_are_not_drawn_have_no_part_in_silhouettes():
    points, faces = disc(torch.tensor(0.3, dtype=torch.float64), 12)
    points = points.clone()
    points[0, 1, 2] = -1.0  # takes two faces away, so that their four other edges become borders or vanish
    found = silhouette_edges(points, faces)
    edges = {tuple(edge) for edge in torch.stack([found.start, found.stop], -1).tolist()}
    assert (0, 2) in edges and (0, 12) in edges and not any(1 in edge for edge in edges)
    assert len(edges) == 12


def test_nothing_to_do_gives_the_picture_back():
    points, faces = disc(torch.tensor(0.3, dtype=torch.float64), 12)
    image = torch.rand(1, 6, 6, 2, dtype=torch.float64)
    empty = torch.full((1, 6, 6), -1)
    assert torch.equal(antialias(image, empty, points, faces[:0]), image)
    assert torch.equal(antialias(image, empty, points + 5, faces), image)


def test_edges_shorter_than_rounding_give_finite_gradients():
    # Specks a few rounding errors wide on rows of pixel centres: some of their edges vanish when scaled to pixels in float32.
    generator = torch.Generator().manual_seed(0)
    rows = (torch.arange(300, dtype=torch.float32) % 30 + 0.5) / 30
    middle = torch.stack([torch.rand(300, generator=generator), rows], -1)[:, None]
    specks = middle + 6e-8 * torch.randint(-1, 2, (300, 3, 2), generator=generator)
    points = torch.cat([specks, torch.ones(300, 3, 1)], -1).reshape(1, 900, 3).requires_grad_()
    # Every second pixel is named covered, so that crossings count wherever they are.
    ids = torch.where(torch.arange(900).reshape(1, 30, 30) % 2 == 0, 0, -1)
    picture = antialias((ids >= 0).float()[..., None], ids, points, torch.arange(900).reshape(300, 3))
    (picture * torch.rand(picture.shape, generator=generator)).sum().backward()
    assert (points.grad != 0).any() and points.grad.isfinite().all()
