"""The whole differentiable renderer, against a sphere's geometry, symmetry and finite differences."""

import math

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops.normals import face_normals
from img23d.ops.render import GREY, render
from img23d.scene import Cameras, Mesh
from img23d.scene.cameras import orbit

NUMBA = choose_rasterizer("numba")


def ball(subdivisions=3, dtype=torch.float64, radius=0.7):
    shape = trimesh.creation.icosphere(subdivisions, radius=radius)
    return Mesh(torch.tensor(shape.vertices, dtype=dtype), torch.tensor(shape.faces, dtype=torch.int64))


def ring(views=2, dtype=torch.float64, distance=2.5):
    azimuth = torch.tensor([0.3, 2.0, 4.0], dtype=dtype)[:views]
    full = torch.ones_like(azimuth)
    return orbit(azimuth, 0.4 * full, distance * full, 0.7 * full)


def sphere_seen(cameras: Cameras, radius, height, width):
    """Analytic depth and normal of a sphere around the origin, and where it is hit well inside of its outline."""
    origins, directions = cameras.rays(height, width)
    a, b, c = (directions**2).sum(-1), (origins * directions).sum(-1), (origins**2).sum(-1) - radius**2
    root = b * b - a * c
    depth = (-b - root.clamp(min=0).sqrt()) / a
    return depth, (origins + depth[..., None] * directions) / radius, root > 0.1 * root.max()


def test_a_sphere_looks_like_a_sphere():
    cameras = ring(3)
    mesh = ball(4)
    views = render(mesh, cameras, 48, 64, NUMBA).views
    depth, normal, middle = sphere_seen(cameras, 0.7, 48, 64)
    torch.testing.assert_close(views.depth[middle], depth[middle], atol=3e-3, rtol=0)
    torch.testing.assert_close(views.normal[middle], normal[middle], atol=8e-3, rtol=0)
    radius = 0.7 / math.sqrt(2.5**2 - 0.7**2) * 0.5 / math.tan(0.35)
    torch.testing.assert_close(views.mask.mean(), torch.tensor(math.pi * radius**2, dtype=torch.float64), rtol=4e-3, atol=0)
    assert (views.rgb[views.mask > 0] - GREY).abs().max() == 0


def test_attributes_are_not_multiplied_by_the_mask():
    mesh = ball()
    constant = torch.tensor([0.9, 0.2, 0.4, -3.0, 7.0], dtype=torch.float64).expand(len(mesh.vertices), 5)
    shown = render(mesh, ring(), 33, 40, NUMBA, attributes=constant)
    half = (shown.views.mask > 0) & (shown.views.mask < 1)
    assert half.sum() > 50 and (shown.ids[half] < 0).any() and (shown.ids[half] >= 0).any()
    seen = shown.views.mask > 0
    torch.testing.assert_close(shown.attributes[seen], constant[:1].expand(int(seen.sum()), 5))
    assert torch.equal(shown.views.rgb, shown.attributes[..., :3])
    assert (shown.attributes[~seen] == 0).all()


def test_normals_are_units_and_depths_positive_wherever_something_is_seen():
    shown = render(ball(2), ring(), 33, 40, NUMBA)
    seen = shown.views.mask > 0
    torch.testing.assert_close(shown.views.normal[seen].norm(dim=-1), torch.ones(int(seen.sum()), dtype=torch.float64))
    assert (shown.views.depth[seen] > 1.7).all() and (shown.views.depth[seen] < 2.5).all()
    assert (shown.views.mask >= 0).all() and (shown.views.mask <= 1).all()


def test_depth_is_not_mixed_between_a_near_and_a_far_surface():
    near = torch.tensor([[-0.3, -0.3, 0.5], [0.31, -0.3, 0.5], [0.31, 0.32, 0.5], [-0.3, 0.32, 0.5]], dtype=torch.float64)
    far = torch.tensor([[-3.0, -3.0, -0.5], [3.0, -3.0, -0.5], [3.0, 3.0, -0.5], [-3.0, 3.0, -0.5]], dtype=torch.float64)
    mesh = Mesh(torch.cat([near, far]), torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]))
    color = torch.tensor([[1.0, 1.0, 1.0]] * 4 + [[0.0, 0.0, 0.0]] * 4, dtype=torch.float64)
    front = orbit(*(torch.tensor([value], dtype=torch.float64) for value in (0.0, 0.0, 2.5, 0.7)))
    views = render(mesh, front, 40, 40, NUMBA, attributes=color).views
    torch.testing.assert_close(views.mask, torch.ones_like(views.mask))
    assert ((views.depth - 2.0).abs().minimum((views.depth - 3.0).abs()) < 1e-9).all()
    mixed = (views.rgb[..., 0] > 1e-9) & (views.rgb[..., 0] < 1 - 1e-9)
    assert mixed.sum() > 20


def test_face_normals_are_flat():
    mesh = ball(1)
    shown = render(mesh, ring(), 40, 40, NUMBA, normals="face")
    whole = (shown.ids >= 0) & (shown.views.mask == 1)
    torch.testing.assert_close(shown.views.normal[whole], face_normals(mesh)[shown.ids[whole]])


def test_mirroring_the_mesh_mirrors_the_picture():
    mesh = ball(2)
    bumpy = mesh.vertices * (1 + 0.2 * (7 * mesh.vertices + 0.3).sin().sum(1, keepdim=True))
    front = orbit(*(torch.tensor([value], dtype=torch.float64) for value in (0.0, 0.0, 2.5, 0.7)))
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    one = render(Mesh(bumpy, mesh.faces), front, 41, 52, NUMBA, attributes=bumpy).views
    two = render(Mesh(bumpy * flip, mesh.faces[:, [0, 2, 1]]), front, 41, 52, NUMBA, attributes=bumpy).views
    assert (one.mask - one.mask.flip(2)).abs().max() > 0.5, "a symmetric object would prove nothing"
    for name, sign in (("mask", 1.0), ("depth", 1.0), ("rgb", 1.0), ("normal", flip)):
        torch.testing.assert_close(getattr(two, name), getattr(one, name).flip(2) * sign)


def test_up_is_up_and_right_is_right():
    cone = trimesh.creation.cone(radius=0.4, height=0.6)  # its tip points to +z there
    vertices = torch.tensor(cone.vertices)[:, [1, 2, 0]] + torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64)
    mesh = Mesh(vertices, torch.tensor(cone.faces, dtype=torch.int64))
    front = orbit(*(torch.tensor([value], dtype=torch.float64) for value in (0.0, 0.0, 2.5, 0.9)))
    mask = render(mesh, front, 32, 32, NUMBA).views.mask[0]
    assert mask[:16].sum() > 0 and mask[17:].sum() == 0, "all of it lies above the middle"
    widths = mask.sum(1)[mask.sum(1) > 0.5]
    assert widths[0] < widths[-1] / 2, "the tip is at the top"
    assert mask[:, 16:].sum() > 4 * mask[:, :16].sum(), "it stands on the right"


@pytest.mark.parametrize("what", ["mask", "rgb", "normal", "depth"])
def test_the_whole_gradient_by_finite_differences(what):
    mesh = ball(2)
    vertices = mesh.vertices * (1 + 0.15 * (7 * mesh.vertices + 0.3).sin().sum(1, keepdim=True))
    cameras = ring(distance=0.9) if what == "depth" else ring()  # depth jumps at silhouettes: look at the inside, which has none
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(2, 24, 24, 3, dtype=torch.float64, generator=generator)
    color = torch.rand(len(vertices), 3, dtype=torch.float64, generator=generator)

    def loss(vertices):
        views = render(Mesh(vertices, mesh.faces), cameras, 24, 24, NUMBA, attributes=color).views
        picture = {"mask": views.mask[..., None], "depth": views.depth[..., None], "normal": views.normal, "rgb": views.rgb}[what]
        return (picture * views.mask[..., None] * weight[..., : picture.shape[-1]]).sum()

    leaf = vertices.clone().requires_grad_()
    loss(leaf).backward()
    for seed in range(3):
        along = torch.randn(vertices.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        along = along + vertices if what == "mask" else along
        difference = (loss(vertices + 1e-6 * along) - loss(vertices - 1e-6 * along)) / 2e-6
        torch.testing.assert_close((leaf.grad * along).sum(), difference, rtol=1e-3, atol=1e-3)


def test_gradients_reach_colours_and_cover_exactly_the_visible_vertices():
    mesh = ball(2)
    color = torch.rand(len(mesh.vertices), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    shown = render(mesh, ring(1), 64, 64, NUMBA, attributes=color)
    (shown.views.rgb * shown.views.mask[..., None]).sum().backward()
    visible = torch.zeros(len(mesh.vertices), dtype=torch.bool)
    visible[mesh.faces[shown.ids[shown.ids >= 0]].unique()] = True
    assert torch.equal((color.grad != 0).any(1), visible)


def test_looking_away_gives_an_empty_picture_and_zero_gradients():
    vertices = (ball(1).vertices + torch.tensor([0.0, 50.0, 0.0])).requires_grad_()
    shown = render(Mesh(vertices, ball(1).faces), ring(), 16, 16, NUMBA, attributes=vertices)
    views = shown.views
    assert (views.mask == 0).all() and (views.depth == 0).all() and (views.normal == 0).all() and (shown.ids == -1).all()
    (views.mask.sum() + views.depth.sum() + views.normal.sum() + views.rgb.sum()).backward()
    assert (vertices.grad == 0).all()


def test_a_mesh_without_faces_can_be_rendered():
    views = render(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), ring(dtype=torch.float32), 8, 8, NUMBA).views
    assert (views.mask == 0).all() and views.depth.isfinite().all()


def test_backends_give_the_same_pictures_and_gradients():
    results = []
    for name in ("torch", "numba"):
        vertices = ball(3, torch.float32).vertices.requires_grad_()
        views = render(Mesh(vertices, ball(3).faces), ring(dtype=torch.float32), 40, 40, choose_rasterizer(name)).views
        (views.mask.sum() + views.depth.sum() + (views.normal * torch.arange(3)).sum()).backward()
        results.append((views, vertices.grad))
    for name in ("mask", "depth", "normal", "rgb"):
        assert torch.equal(getattr(results[0][0], name), getattr(results[1][0], name))
    assert torch.equal(results[0][1], results[1][1])


def test_wrong_attributes_are_refused():
    with pytest.raises(ValueError, match="attributes must have shape"):
        render(ball(0), ring(), 8, 8, NUMBA, attributes=torch.zeros(5, 3))


def test_silhouettes_alone_find_position_and_size():
    mesh = ball(2, torch.float32)
    cameras = ring(2, torch.float32)
    truth = mesh.vertices * torch.tensor([0.8, 0.6, 0.7]) + torch.tensor([0.08, -0.05, 0.1])
    with torch.no_grad():
        target = render(Mesh(truth, mesh.faces), cameras, 48, 48, NUMBA).views.mask
    scale, shift = torch.full((3,), 0.9, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([scale, shift], lr=0.03)
    for _ in range(45):
        optimizer.zero_grad()
        mask = render(Mesh(mesh.vertices * scale + shift, mesh.faces), cameras, 48, 48, NUMBA).views.mask
        ((mask - target) ** 2).mean().backward()
        optimizer.step()
    torch.testing.assert_close(scale.detach(), torch.tensor([0.8, 0.6, 0.7]), atol=0.02, rtol=0)
    torch.testing.assert_close(shift.detach(), torch.tensor([0.08, -0.05, 0.1]), atol=0.02, rtol=0)
