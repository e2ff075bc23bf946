"""The photo's colour where it is seen: exact on analytic shapes, silent where hidden, slanted or outside the mask."""

import math

import pytest
import torch
import torch.nn.functional as F
import trimesh

from img23d.ops.defringe import blur_inside, inner_mask, spread_smoothly
from img23d.ops.project_photo import depth_range, facing, prepare_photo, project_photo, surface_ends
from img23d.ops.raster import face_ids
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees

SIZE, RADIUS = 160, 0.8
BACKGROUND = torch.tensor([0.0, 1.0, 0.0])


class TorchRasterizer:
    name = "torch"

    def face_ids(self, points, faces, height, width):
        return face_ids(points, faces, height, width)


def as_mesh(made) -> Mesh:
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def paint(points):
    """A smooth colour for every place; red, green and blue stay within 0.2..0.8."""
    return 0.5 + 0.3 * torch.sin(points * 3)


def sphere_photo(mixed_rim: bool = False) -> Views:
    """A painted sphere before a green wall, by exact ray casting."""
    camera = orbit_degrees([0.0], 15.0, 3.0, 40.0)
    scale = 4 if mixed_rim else 1
    origins, directions = camera.rays(SIZE * scale, SIZE * scale)
    a, b = directions.square().sum(-1), (origins * directions).sum(-1)
    root = b.square() - a * (origins.square().sum(-1) - RADIUS**2)
    hit = root > 0
    points = origins + directions * ((-b - root.clamp(min=0).sqrt()) / a)[..., None]
    rgb = torch.where(hit[..., None], paint(points), BACKGROUND)
    pictures = torch.cat([rgb, hit[..., None].float()], -1).permute(0, 3, 1, 2)
    pictures = F.avg_pool2d(pictures, scale).permute(0, 2, 3, 1)
    return Views(camera, pictures[..., :3], pictures[..., 3])


@pytest.fixture(scope="module")
def sphere() -> Mesh:
    return as_mesh(trimesh.creation.icosphere(5, RADIUS))


def test_colours_of_a_painted_sphere(sphere):
    views = sphere_photo()
    source = prepare_photo(views, sphere, TorchRasterizer())
    normals = sphere.vertices / RADIUS
    rgb, weight = project_photo(source, sphere.vertices, normals, math.radians(75))
    cosine = facing(views.cameras, sphere.vertices, normals)
    sure = cosine > math.cos(math.radians(60))
    assert weight[sure].min() > 0.99
    assert weight[cosine < 0].max() == 0
    assert (rgb - paint(sphere.vertices))[sure].abs().max() < 0.02


def test_background_does_not_leak(sphere):
    """With a rim that mixes object and wall, no weighted colour turns green."""
    source = prepare_photo(sphere_photo(mixed_rim=True), sphere, TorchRasterizer())
    rgb, weight = project_photo(source, sphere.vertices, sphere.vertices / RADIUS, math.radians(85))
    error = (rgb - paint(sphere.vertices)).abs().amax(-1)
    assert error[weight > 0].max() < 0.12 and error[weight > 0.5].max() < 0.08


def test_what_is_hidden_gets_nothing():
    """A small plate before a large one: the large one's colour is trusted except behind the small one."""
    small = trimesh.creation.box((0.4, 0.4, 0.02))
    small.apply_translation((0, 0, 0.5))
    large = trimesh.creation.box((1.4, 1.4, 0.02))
    mesh = as_mesh(trimesh.util.concatenate([small, large]))
    camera = orbit_degrees([0.0], 0.0, 3.0, 40.0)
    mask = (depth_range(mesh, camera, TorchRasterizer(), SIZE, SIZE)[0].isfinite()).float()[None]
    source = prepare_photo(Views(camera, torch.full((1, SIZE, SIZE, 3), 0.5), mask), mesh, TorchRasterizer())
    line = torch.linspace(-0.6, 0.6, 61)
    points = torch.stack([line, torch.zeros_like(line), torch.full_like(line, 0.01)], -1)
    _, weight = project_photo(source, points, torch.tensor([0.0, 0.0, 1.0]).expand(61, 3), math.radians(78))
    # The shadow of the small plate, seen from z = 3, reaches to 0.2 * 2.99 / 2.49.
    shadow = 0.2 * 2.99 / 2.49
    assert weight[line.abs() < shadow].max() == 0
    assert weight[line.abs() > shadow + 0.06].min() == 1
    _, front = project_photo(source, points * 0.3 + torch.tensor([0, 0, 0.507]), torch.tensor([0.0, 0.0, 1.0]).expand(61, 3), 1.3)
    assert front.min() == 1


def test_mirrored_points_must_be_on_the_surface(sphere):
    source = prepare_photo(sphere_photo(), sphere, TorchRasterizer())
    toward = F.normalize(source.camera.position, dim=-1)
    heights = torch.tensor([RADIUS, RADIUS + 0.03, RADIUS + 0.3, RADIUS - 0.3])
    _, weight = project_photo(source, heights[:, None] * toward, toward.expand(4, 3), math.radians(75), slack=0.05)
    assert weight.tolist() == [1, 1, 0, 0]


def test_mirrored_points_close_behind_a_surface_do_not_take_the_colours_of_what_faces_elsewhere(sphere):
    source = prepare_photo(sphere_photo(), sphere, TorchRasterizer())
    toward = F.normalize(source.camera.position, dim=-1)
    at = (RADIUS - 0.03) * toward.expand(3, 3)
    # The same way as the surface, almost like a floor close behind a wall, and half-way: the camera looks at all three of them.
    floor = F.normalize(torch.linalg.cross(toward, torch.tensor([[1.0, 0.0, 0.0]])), dim=-1)
    turned = torch.cat([toward, F.normalize(0.3 * toward + floor, dim=-1), F.normalize(toward + floor, dim=-1)])
    _, weight = project_photo(source, at, turned, math.radians(85), slack=0.05)
    assert weight[0] == 1 and 0 < weight[1] < 0.7 and weight[2] > 0.9
    _, weight = project_photo(source, at, turned, math.radians(85), slack=0.05, any_side=True)
    assert weight.min() > 0.9


def test_depth_range_is_front_and_back(sphere):
    camera = orbit_degrees([0.0], 0.0, 3.0, 40.0)
    near, far, front = depth_range(sphere, camera, TorchRasterizer(), 65, 65)
    assert near[32, 32] == pytest.approx(3 - RADIUS, abs=2e-3) and far[32, 32] == pytest.approx(3 + RADIUS, abs=2e-3)
    assert near[0, 0] == math.inf and far[0, 0] == 0 and not front[0, 0].any()
    assert torch.allclose(front[32, 32], torch.tensor([0.0, 0.0, 1.0]), atol=0.05) and front[32, 50, 0] > 0.3


def test_slanted_planes_are_not_rims():
    row, column = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    slanted = 1 / (0.5 - 0.008 * column)
    assert not surface_ends(slanted)[1:-1, 1:-1].any()
    step = torch.where(row > 20, slanted, slanted + 0.5)
    ends = surface_ends(step)
    assert ends[20].all() and ends[21].all() and not ends[5:15, 1:-1].any()


def test_inner_mask_keeps_thin_parts():
    mask = torch.zeros(40, 40)
    mask[5:25, 5:25] = 1
    mask[30:32, 5:35] = 1
    inner = inner_mask(mask, 2.0)
    assert inner[10:20, 10:20].all() and not inner[5, :].any() and not inner[:26, 5].any()
    assert inner[30:32, 8:32].any(0).all() and not (inner & (mask == 0)).any()


def test_spreading_keeps_what_is_known_and_invents_no_colour():
    image = torch.rand(33, 21, 3, generator=torch.Generator().manual_seed(0))
    known = torch.zeros(33, 21)
    known[10:20, 5:15] = 1
    filled = spread_smoothly(image, known)
    assert torch.allclose(filled[known > 0], image[known > 0], atol=1e-6)
    low, high = image[known > 0].amin(0), image[known > 0].amax(0)
    assert ((filled >= low - 1e-5) & (filled <= high + 1e-5)).all()


def test_blur_inside_ignores_the_outside():
    image = torch.full((30, 30, 3), 0.25)
    known = torch.zeros(30, 30)
    known[8:22, 8:22] = 1
    image[known == 0] = 1.0
    torch.testing.assert_close(blur_inside(image, known, 3.0), torch.full_like(image, 0.25))


def test_a_much_finer_photo_is_made_coarser(sphere):
    views = sphere_photo()
    coarse = prepare_photo(views, sphere, TorchRasterizer(), texel=0.1)
    assert coarse.rgb.shape[0] < 60 and prepare_photo(views, sphere, TorchRasterizer(), texel=0.001).rgb.shape[0] == SIZE


def test_one_photo_only(sphere):
    camera = orbit_degrees([0.0, 90.0], 0.0, 3.0, 40.0)
    with pytest.raises(ValueError, match="one photo"):
        prepare_photo(Views(camera, torch.zeros(2, 8, 8, 3), torch.ones(2, 8, 8)), sphere, TorchRasterizer())
