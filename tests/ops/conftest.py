"""A painted vase, photographed from its front and ready to be painted on."""

import math

import pytest
import torch
import trimesh

from img23d.config import Texture
from img23d.ops.atlas import unwrap
from img23d.ops.bake import texel_surface
from img23d.ops.interpolate import fragments, interpolate, to_image
from img23d.ops.normals import vertex_normals
from img23d.ops.raster import face_ids
from img23d.ops.unseen import photo_layer
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.context import Context
from img23d.stages.texture import Painted, prepare, split_for_matching


class TorchRasterizer:
    name = "torch"

    def face_ids(self, points, faces, height, width):
        return face_ids(points, faces, height, width)


CONTEXT = Context(torch.device("cpu"), TorchRasterizer())


PROFILE = [(0.0, -0.8), (0.35, -0.8), (0.5, -0.3), (0.4, 0.2), (0.45, 0.8), (0.0, 0.8)]


def scene_of(paint, size: int = 160, profile=PROFILE, elevation_deg: float = 5.0) -> tuple[Painted, torch.Tensor]:
    """A vase, photographed from its front, and how well the photo shows each vertex."""
    made = trimesh.creation.revolve(profile, sections=48).subdivide_to_size(0.1)
    made.apply_transform(trimesh.transformations.rotation_matrix(-math.pi / 2, (1, 0, 0)))
    mesh = Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))
    camera = orbit_degrees([0.0], elevation_deg, 3.0, 40.0)
    points = camera.project(mesh.vertices)
    seen = fragments(face_ids(points, mesh.faces, size, size), points, mesh.faces)
    rgb, mask = to_image(seen, paint(interpolate(seen, mesh.vertices))), to_image(seen, torch.ones_like(seen.depth))
    normals = vertex_normals(mesh)
    uv, uv_faces = unwrap(mesh, 256, 2)
    matching = split_for_matching(mesh, normals, uv, uv_faces, 1)
    face, barycentric = texel_surface(uv, uv_faces, 256)
    scene = prepare(Views(camera, rgb, mask), mesh, matching, face, barycentric, Texture(size=256), CONTEXT, [])
    return scene, photo_layer(scene.photo, scene.vertices, scene.texels).vertex_trust


@pytest.fixture(scope="session")
def vase():
    return scene_of
