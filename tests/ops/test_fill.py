"""Fields on surfaces: harmonic where nothing is given, true to what is given, and layers that meet without a step."""

import math

import pytest
import torch
import trimesh

from img23d.ops.bake import interpolate
from img23d.ops.fill import Layer, Surface, lay_over, plain_layer, smooth_layer
from img23d.ops.membrane import Membrane
from img23d.ops.split_faces import split_faces
from img23d.scene import Mesh


def plate(count: int = 41) -> Mesh:
    """The square -1..1 in the plane z = 0."""
    line = torch.linspace(-1, 1, count)
    y, x = torch.meshgrid(line, line, indexing="ij")
    index = torch.arange(count * count).reshape(count, count)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = torch.cat([torch.stack(corner, -1).reshape(-1, 3) for corner in ((a, b, c), (a, c, d))])
    return Mesh(torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3), faces)


def sphere(level: int = 4) -> Mesh:
    made = trimesh.creation.icosphere(level)
    return Mesh(torch.tensor(made.vertices, dtype=torch.float64), torch.tensor(made.faces, dtype=torch.int64))


def surface_of(mesh: Mesh) -> Surface:
    """Texels on the middles of the faces."""
    face = torch.arange(len(mesh.faces))
    return Surface(mesh, face, torch.full((len(face), 3), 1 / 3, dtype=mesh.vertices.dtype), Membrane(mesh))


def test_between_two_borders_a_field_is_linear():
    mesh = plate()
    x = mesh.vertices[:, 0]
    border = (x.abs() > 0.999).float()
    field = Membrane(mesh).fit(x[:, None], border * 1e8, torch.zeros_like(border))[:, 0]
    torch.testing.assert_close(field, x, atol=1e-4, rtol=0)


def test_screening_decays_exponentially_at_its_length():
    mesh, length = plate(81), 0.2
    x = mesh.vertices[:, 0]
    left = (x < -0.999).float()
    field = Membrane(mesh).fit(torch.ones(len(x), 1), left * 1e8, torch.full_like(x, 1 / length**2))[:, 0]
    expected = torch.cosh((1 - x) / length) / math.cosh(2 / length)
    assert (field - expected).abs().max() < 0.01


def test_harmonics_of_the_sphere_are_scaled_by_their_eigenvalue():
    """With screening s and attraction a, y = z shrinks by a / (a + s + 2); the error falls by far more than half as edges halve."""
    errors = []
    for level in (2, 3, 4):
        mesh = sphere(level)
        z = mesh.vertices[:, 2:]
        one = torch.ones(len(z), dtype=z.dtype)
        field = Membrane(mesh).fit(z, 3 * one, one)
        errors.append(float((field - z * 3 / 6).abs().max()))
    assert errors[2] < 2e-3 and errors[1] < errors[0] / 2.5 and errors[2] < errors[1] / 2.8


def test_little_flows_over_a_crease():
    made = trimesh.creation.box((1, 1, 1))
    for _ in range(5):
        made = made.subdivide()
    mesh = Mesh(torch.tensor(made.vertices), torch.tensor(made.faces, dtype=torch.int64))
    at_top = (mesh.vertices[:, 1] > 0.49) & (mesh.vertices[:, [0, 2]].abs().amax(-1) < 0.45)
    field = Membrane(mesh).fit(at_top[:, None].double(), at_top * 1e6, torch.full_like(mesh.vertices[:, 0], 4.0))[:, 0]
    side = (mesh.vertices[:, 1] - 0.4).abs() < 0.02
    assert field[at_top].min() > 0.99 and field[side].max() < 0.4


def test_the_lower_layer_meets_the_upper_one_at_its_end():
    """Where the upper layer ends the lower one is shifted to it; far away it keeps its own colour."""
    surface = surface_of(plate(81))
    x, middle = surface.mesh.vertices[:, 0], surface.at_texels(surface.mesh.vertices)[:, 0]
    below = smooth_layer(surface, torch.full((len(x), 3), 0.3), torch.ones_like(x))
    trust, texel_trust = (x < 0).float(), (middle < 0).float()
    above = Layer(torch.full((len(x), 3), 0.7), trust, torch.full((len(middle), 3), 0.7), texel_trust)
    texels = lay_over(surface, below, above).texel_rgb[:, 0]
    assert (texels[middle < 0] - 0.7).abs().max() < 1e-6
    assert texels[(middle > 0) & (middle < 0.03)].min() > 0.62
    assert texels[middle > 0.95].max() < 0.34
    order = middle.argsort()
    assert texels[order].diff().max() < 0.02


def test_detail_of_the_lower_layer_survives_the_shift():
    surface = surface_of(plate(81))
    x, middle = surface.mesh.vertices[:, 0], surface.at_texels(surface.mesh.vertices)
    noise = 0.1 * torch.rand(len(middle), 3, generator=torch.Generator().manual_seed(0)) - 0.05
    below = Layer(torch.full((len(x), 3), 0.5), torch.ones_like(x), 0.5 + noise, torch.ones(len(middle)))
    above = Layer(torch.full((len(x), 3), 0.6), (x < 0).float(), torch.full((len(middle), 3), 0.6), (middle[:, 0] < 0).float())
    texels = lay_over(surface, below, above).texel_rgb
    far = middle[:, 0] > 0.05
    smooth = lay_over(surface, Layer(below.vertex_rgb, below.vertex_trust, texels * 0 + 0.5, below.texel_trust), above).texel_rgb
    torch.testing.assert_close((texels - smooth)[far], noise[far], atol=1e-5, rtol=0)


def test_no_ghost_of_the_lower_layer_shows_through_a_half_trusted_one():
    """The shift carries the upper layer's colours where it is half trusted; the lower layer's finer detail may not stay on them."""
    surface = surface_of(plate(81))
    x, middle = surface.mesh.vertices[:, 0], surface.at_texels(surface.mesh.vertices)
    lines = 0.2 * (torch.arange(len(middle)) % 2)[:, None].expand(-1, 3).to(middle)
    below = Layer(torch.full((len(x), 3), 0.3), torch.ones_like(x), 0.3 + lines, torch.ones(len(middle)))
    above = Layer(torch.full((len(x), 3), 0.6), torch.full_like(x, 0.5), torch.full((len(middle), 3), 0.6), torch.full((len(middle),), 0.5))
    assert (lay_over(surface, below, above).texel_rgb - 0.6).abs().max() < 0.01


def test_nothing_known_is_one_plain_colour():
    surface = surface_of(sphere(2))
    color = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)
    below = plain_layer(surface, color)
    nothing = Layer(below.vertex_rgb * 0, below.vertex_trust * 0, below.texel_rgb * 0, below.texel_trust * 0)
    assert torch.allclose(lay_over(surface, below, nothing).texel_rgb, color)


def test_split_faces_keep_shape_order_and_winding():
    mesh = sphere(1)
    values, faces = split_faces(mesh.vertices, mesh.faces)
    assert len(faces) == 4 * len(mesh.faces) and len(values) == len(mesh.vertices) + len(mesh.faces) * 3 // 2

    def areas(vertices, triangles):
        corner = vertices[triangles]
        return 0.5 * torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])

    parts = areas(values, faces).reshape(4, -1, 3)
    torch.testing.assert_close(parts, areas(mesh.vertices, mesh.faces)[None].expand(4, -1, 3) / 4)
    centre = interpolate(values, faces, torch.arange(len(faces)), torch.full((len(faces), 3), 1 / 3, dtype=values.dtype))
    assert centre.shape == (len(faces), 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype):
    mesh = plate(5)
    mesh = Mesh(mesh.vertices.to(dtype), mesh.faces)
    one = torch.ones(len(mesh.vertices), dtype=dtype)
    assert Membrane(mesh).fit(mesh.vertices, one, one).dtype == dtype
