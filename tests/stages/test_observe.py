"""Refining an existing mesh: its pose in a photo, open sheets, one-sided faces."""

import math

import torch

from img23d.config import Refine
from img23d.ops.render import render
from img23d.ops.topology import is_closed_manifold
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.observe import find_pose, look_around, solid_field
from img23d.stages.refine import refine


def wedge():
    """A closed shape that looks different from every side."""
    vertices = torch.tensor(
        [[-0.8, -0.4, -0.3], [0.8, -0.4, -0.3], [0.8, -0.4, 0.3], [-0.8, -0.4, 0.3], [-0.8, 0.6, -0.1], [-0.5, 0.1, 0.2]]
    )
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 4, 1], [1, 4, 5], [1, 5, 2], [2, 5, 3], [3, 5, 4], [3, 4, 0]])
    return Mesh(vertices, faces)


def test_the_camera_of_a_photo_is_found(context):
    mesh = wedge()
    true = orbit_degrees([57.0], 22.0, 4.0, 32.0)
    photo = render(mesh, true, 96, 96, context.rasterizer).views
    found = find_pose(mesh, None, Views(true, photo.rgb, photo.mask), context)
    a, b = true.position[0], found.position[0]
    angle = math.degrees(math.acos(float((a @ b) / a.norm() / b.norm())))
    assert angle < 6.0


def test_an_open_box_becomes_a_closed_solid(context):
    corners = torch.tensor([[x, y, z] for x in (-0.6, 0.6) for y in (-0.4, 0.4) for z in (-0.5, 0.5)])
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [0, 2, 6, 4], [1, 5, 7, 3]]  # the lid (y = 0.4) is missing
    mesh = Mesh(corners, torch.tensor([triangle for a, b, c, d in sides for triangle in ([a, b, c], [a, c, d])]))
    assert not is_closed_manifold(mesh)
    field = solid_field(mesh, 48, context)
    result = refine(look_around(mesh, context), field, Refine(resolution=24, steps=4, image_size=96), context, parts_known=True)
    assert is_closed_manifold(result)
    low, high = result.vertices.amin(0), result.vertices.amax(0)
    assert torch.allclose(high - low, torch.tensor([1.2, 0.8, 1.0]), atol=0.09)  # the walls get a thickness


def test_normals_of_turned_faces_look_at_the_viewer(context):
    mesh = wedge()
    turned = Mesh(mesh.vertices, mesh.faces.flip(1))
    for one, other in [(look_around(mesh, context), look_around(turned, context))]:
        inner = (one.mask > 0.99) & (other.mask > 0.99)
        assert float((one.normal * other.normal).sum(-1)[inner].median()) > 0.99


def test_the_pose_of_a_stick_thinner_than_a_pixel_of_the_search(context):
    corners = torch.tensor([[-0.01, -0.9, 0.0], [0.01, -0.9, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 0.01]])
    mesh = Mesh(corners, torch.tensor([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]]))
    mask = torch.zeros(1, 512, 512)
    mask[:, 40:470, 254:258] = 1
    found = find_pose(mesh, None, Views(orbit_degrees([0.0], 0.0, 3.0, 40.0), mask[..., None].expand(-1, -1, -1, 3), mask), context)
    assert bool(found.focal.isfinite().all())
