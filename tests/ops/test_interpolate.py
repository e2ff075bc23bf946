"""Barycentrics, depth and attributes at the covered pixels, against geometry and finite differences."""

import torch
import trimesh

from img23d.ops.interpolate import fragments, interpolate, to_image
from img23d.ops.raster import face_ids
from img23d.scene.cameras import orbit, pixel_centers


def scene(subdivisions=3, dtype=torch.float64):
    shape = trimesh.creation.icosphere(subdivisions, radius=0.7)
    vertices, faces = torch.tensor(shape.vertices, dtype=dtype), torch.tensor(shape.faces, dtype=torch.int64)
    azimuth = torch.tensor([0.3, 2.3], dtype=dtype)
    full = torch.ones_like(azimuth)
    cameras = orbit(azimuth, 0.4 * full, 2.0 * full, 0.9 * full)
    return vertices, faces, cameras


def test_interpolated_positions_lie_on_the_pixels_rays_at_the_interpolated_depth():
    vertices, faces, cameras = scene()
    points = cameras.project(vertices)
    ids = face_ids(points, faces, 37, 29)
    seen = fragments(ids, points, faces)
    position = to_image(seen, interpolate(seen, vertices))
    origins, directions = cameras.rays(37, 29)
    covered = ids >= 0
    expected = origins + to_image(seen, seen.depth)[..., None] * directions
    assert covered.float().mean() > 0.3
    torch.testing.assert_close(position[covered], expected[covered], rtol=0, atol=1e-12)
    assert torch.equal(seen.face, ids[covered])
    assert torch.equal(seen.view, covered.nonzero()[:, 0])


def test_weights_are_perspective_correct():
    # A strip from z = 1 on the left to z = 3 on the right. In the middle of the picture its 1 / z is (1 + 1 / 3) / 2, so z = 1.5 and
    # only a quarter of the way along the surface has been covered; linear in the picture it would be half.
    points = torch.tensor([[[0.0, -1.0, 1.0], [0.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, -1.0, 3.0]]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    seen = fragments(face_ids(points, faces, 1, 5), points, faces)
    along = interpolate(seen, torch.tensor([[0.0], [0.0], [1.0], [1.0]]))[:, 0]
    torch.testing.assert_close(seen.depth[2], torch.tensor(1.5))
    torch.testing.assert_close(along[2], torch.tensor(0.25))


def test_weights_add_up_and_stay_inside_even_on_slivers():
    generator = torch.Generator().manual_seed(0)
    line = torch.rand(400, 1, 2, generator=generator)
    thin = torch.cat([line, 1 - line, line + 1e-5 * torch.randn(400, 1, 2, generator=generator)], 1)
    points = torch.cat([thin, 1 + torch.rand(400, 3, 1, generator=generator)], -1).reshape(1, -1, 3).requires_grad_()
    faces = torch.arange(1200).reshape(400, 3)
    # Any face may be named: a rasteriser that rounds differently names a sliver that the pixel centre only touches.
    seen = fragments(torch.arange(400).reshape(1, 20, 20), points, faces)
    assert seen.weights.min() >= 0 and seen.weights.max() <= 1
    torch.testing.assert_close(seen.weights.sum(-1), torch.ones(400))
    assert (seen.depth >= 0.999).all() and (seen.depth <= 2.001).all()
    seen.depth.sum().backward()
    assert points.grad.isfinite().all()


def test_a_face_without_area_gives_no_nan():
    points = torch.tensor([[[0.2, 0.2, 1.0], [0.2, 0.2, 1.0], [0.2, 0.2, 1.0]]], requires_grad=True)
    seen = fragments(torch.zeros(1, 2, 2, dtype=torch.int64), points, torch.tensor([[0, 1, 2]]))
    (seen.depth.sum() + seen.weights.sum()).backward()
    assert seen.weights.isfinite().all() and points.grad.isfinite().all()


def test_gradients_of_weights_depth_and_attributes():
    vertices, faces, cameras = scene(0)
    points = cameras.project(vertices)
    ids = face_ids(points, faces, 4, 5)
    assert (ids >= 0).any(0).sum() >= 4

    def everything(points, attributes):
        seen = fragments(ids, points, faces)
        return seen.weights, seen.depth, to_image(seen, interpolate(seen, attributes))

    attributes = torch.rand(len(vertices), 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(everything, (points.detach().requires_grad_(), attributes.requires_grad_()))


def test_linear_functions_of_the_surface_are_reproduced():
    vertices, faces, cameras = scene()
    seen = fragments(face_ids(cameras.project(vertices), faces, 20, 20), cameras.project(vertices), faces)
    matrix = torch.tensor([[1.0, 2.0], [-3.0, 0.5], [0.1, 7.0]], dtype=torch.float64)
    torch.testing.assert_close(interpolate(seen, vertices @ matrix + 4), interpolate(seen, vertices) @ matrix + 4)


def test_attributes_may_have_corners_of_their_own():
    vertices, faces, cameras = scene()
    points = cameras.project(vertices)
    seen = fragments(face_ids(points, faces, 20, 20), points, faces)
    # Every corner its own row, shuffled: what a texture atlas does at its seams.
    order = torch.randperm(faces.numel(), generator=torch.Generator().manual_seed(0))
    split = vertices[faces.reshape(-1)][order]
    corners = torch.argsort(order).reshape(-1, 3)
    torch.testing.assert_close(interpolate(seen, split, corners), interpolate(seen, vertices))


def test_depth_converges_to_the_spheres_with_the_square_of_the_edge_length():
    def error(subdivisions):
        vertices, faces, cameras = scene(subdivisions)
        points = cameras.project(vertices)
        ids = face_ids(points, faces, 32, 32)
        depth = to_image(seen := fragments(ids, points, faces), seen.depth)
        origins, directions = cameras.rays(32, 32)
        # |o + t d|^2 = r^2; pixels near the rim are left out, where the sphere falls away from under its mesh.
        a, b, c = (directions**2).sum(-1), (origins * directions).sum(-1), (origins**2).sum(-1) - 0.49
        root = b * b - a * c
        middle = (root > 0.3 * root.max()) & (ids >= 0)
        return (depth - (-b - root.clamp(min=0).sqrt()) / a)[middle].abs().mean()

    coarse, fine = error(2), error(4)
    assert 12 < coarse / fine < 20  # edges four times shorter: sixteen times closer


def test_pictures_carry_the_background_where_nothing_is_seen():
    vertices, faces, cameras = scene(1)
    points = cameras.project(vertices)
    ids = face_ids(points, faces, 9, 7)
    seen = fragments(ids, points, faces)
    assert torch.equal(to_image(seen, seen.depth, background=-5.0) == -5.0, ids < 0)
    assert to_image(seen, seen.weights).shape == (2, 9, 7, 3)
    nothing = fragments(torch.full((1, 4, 4), -1), points[:1], faces)
    assert (to_image(nothing, interpolate(nothing, vertices)) == 0).all()


def test_pixel_centres_project_to_themselves():
    vertices, faces, cameras = scene()
    points = cameras.project(vertices)
    ids = face_ids(points, faces, 24, 16)
    seen = fragments(ids, points, faces)
    back = cameras.project(interpolate(seen, vertices))[:1, seen.view == 0, :2]
    torch.testing.assert_close(back[0], pixel_centers(24, 16, vertices)[ids[0] >= 0])
