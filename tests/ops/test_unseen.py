"""Colours of what the photo does not show, from other pictures."""

import math

import torch

from img23d.fields.analytic import Sphere
from img23d.ops.fill import Surface
from img23d.ops.march import marching_tetrahedra
from img23d.ops.membrane import Membrane
from img23d.ops.project_photo import prepare_photo
from img23d.ops.tetgrid import tet_grid
from img23d.ops.unseen import Photo, Points, drawn_layer, soften, through_layer
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees


def marched_sphere(radius):
    grid = tet_grid(24)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, Sphere(radius).sdf(grid.vertices))
    return Mesh(vertices, faces)


def test_each_point_is_painted_by_the_picture_that_looks_straightest_at_it(ball, context):
    mesh, pictures = marched_sphere(0.6), []
    for azimuth, color in ((90.0, (1.0, 0.0, 0.0)), (180.0, (0.0, 0.0, 1.0))):
        seen = ball.views(96, orbit_degrees([azimuth], 0.0, 2.4, 40.0))
        source = prepare_photo(Views(seen.cameras, torch.tensor(color).expand_as(seen.rgb), seen.mask), mesh, context.rasterizer)
        pictures.append(Photo(source, soften(source, 0.05), math.radians(78)))
    angle = torch.deg2rad(torch.tensor([90.0, 120.0, 135.0, 150.0, 180.0, 0.0]))
    normal = torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()], -1)
    points = Points(0.6 * normal, normal)
    layer = drawn_layer(pictures, points, points)
    for rgb, trust in ((layer.vertex_rgb, layer.vertex_trust), (layer.texel_rgb, layer.texel_trust)):
        red, blue = rgb[:, 0], rgb[:, 2]
        assert float(red[:2].min()) > 0.95 and float(blue[3:5].min()) > 0.95
        assert abs(float(red[2] - blue[2])) < 0.1  # as straight from both
        assert float(trust[:5].min()) > 0.9 and float(trust[5]) < 0.05  # nobody sees the front


def test_the_inside_of_a_hollow_thing_does_not_take_what_is_seen_through_its_wall(ball, context):
    seen = ball.views(96, orbit_degrees([0.0], 0.0, 2.4, 40.0))
    mesh = marched_sphere(0.6)
    source = prepare_photo(seen, mesh, context.rasterizer)
    photo = Photo(source, soften(source, 0.05), math.radians(78))
    away = torch.tensor([0.0, 0.0, -1.0])
    # The far side, the inside of a wall close to the photo, and the near side: all but the last face away from the camera.
    vertices = Points(torch.tensor([[0.0, 0.0, -0.6], [0.0, 0.0, 0.5], [0.0, 0.0, 0.6]]), torch.stack([away, away, -away]))
    three = Mesh(vertices.position, torch.tensor([[0, 1, 2]]))
    surface = Surface(three, torch.zeros(1, dtype=torch.int64), torch.full((1, 3), 1 / 3), Membrane(three))
    texels = Points(vertices.position[:1], vertices.normal[:1])
    assert through_layer(surface, photo, vertices, texels).vertex_trust.tolist() == [1, 0, 0]
