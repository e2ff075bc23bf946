"""Agreement of an asset with a photo that was drawn from it."""

import pytest
import torch

from img23d.evals.fidelity import fidelity
from img23d.io.asset_views import draw_asset
from img23d.ops.atlas import unwrap
from img23d.ops.delight import Light, relit, seen_normals
from img23d.ops.march import marching_tetrahedra
from img23d.ops.normals import vertex_normals
from img23d.ops.tetgrid import tet_grid
from img23d.scene import Mesh, TexturedMesh, Views
from img23d.scene.cameras import orbit_degrees


@pytest.fixture(scope="module")
def asset():
    grid = tet_grid(12)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, grid.vertices.norm(dim=-1) - 0.6)
    mesh = Mesh(vertices, faces)
    uv, uv_faces = unwrap(mesh, 64)
    return TexturedMesh(mesh, uv, uv_faces, torch.full((64, 64, 3), 0.6))


def test_a_photo_of_the_asset_itself_agrees(asset, ball, context):
    views = Views(ball.cameras, torch.full((1, 96, 96, 3), 0.6), coverage(asset, ball, context))
    found = fidelity(views, asset, context.rasterizer)
    assert found.silhouette_iou > 0.994  # coverage from a 2 x 2 picture, which a half-covered pixel fails, gives .989
    assert found.psnr > 40


def coverage(asset, ball, context, finer=8):
    """(1, 96, 96) how much of each pixel the asset covers, from 64 samples."""
    points = ball.cameras.project(asset.mesh.vertices)
    hit = context.rasterizer.face_ids(points, asset.mesh.faces, 96 * finer, 96 * finer) >= 0
    return torch.nn.functional.avg_pool2d(hit.float(), finer)


def test_known_errors_are_measured(asset, ball, context):
    drawn = draw_asset(asset, ball.cameras, 96, 96, context.rasterizer)
    half = drawn.mask * (torch.arange(96) < 48)
    found = fidelity(Views(ball.cameras, torch.full((1, 96, 96, 3), 0.7), half), asset, context.rasterizer)
    assert found.silhouette_iou == pytest.approx(0.5, abs=0.02)
    assert found.psnr == pytest.approx(20.0, abs=0.2)


def test_light_that_was_taken_out_is_put_back(asset, ball, context):
    """Seen askew, so that a light in the camera's frame would not do."""
    camera = orbit_degrees([50.0], 20.0, 2.4, 40.0)
    light = Light(torch.tensor([0.4, 0.3, -0.2]), 0.1)
    normals, covered = seen_normals(camera, asset.mesh, vertex_normals(asset.mesh), context.rasterizer, 96, 96)
    lit = relit(torch.full((96, 96, 3), 0.6), light.log_shading(normals))
    views = Views(camera, lit[None], covered.float()[None])
    assert fidelity(views, asset, context.rasterizer, light).psnr > 40 > 25 > fidelity(views, asset, context.rasterizer).psnr
    assert fidelity(views, asset, context.rasterizer, light.times(0.5)).psnr < 35
