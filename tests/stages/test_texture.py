"""The texture stage on painted shapes: like the photo from its camera, true where seen, plausible and seamless where not."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import trimesh

from img23d.config import Texture
from img23d.ops.bake import interpolate, texel_surface
from img23d.ops.delight import relit, seen_normals
from img23d.ops.interpolate import fragments, to_image
from img23d.ops.interpolate import interpolate as interpolate_fragments
from img23d.ops.normals import vertex_normals
from img23d.ops.project_photo import sample
from img23d.ops.raster import face_ids
from img23d.ops.symmetry import HalfTurn, find_symmetries
from img23d.scene import Cameras, Mesh, ShapePrior, TexturedMesh, Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.context import Context
from img23d.stages.retexture import retexture
from img23d.stages.texture import texture

SIZE = 128
OPTIONS = Texture(faces=3000, size=256, delight=0.0)  # what is painted here is seen without any light


class TorchRasterizer:
    name = "torch"

    def face_ids(self, points, faces, height, width):
        return face_ids(points, faces, height, width)


CONTEXT = Context(torch.device("cpu"), TorchRasterizer())


def as_mesh(made) -> Mesh:
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def paint(points):
    """Stripes that are the same left and right: mirroring x keeps the colour."""
    x, y, z = points.unbind(-1)
    return torch.stack([0.5 + 0.3 * torch.sin(6 * y), 0.5 + 0.3 * torch.cos(5 * x), 0.5 + 0.2 * torch.sin(4 * z)], -1)


def photograph(mesh: Mesh, camera: Cameras, size: int = SIZE) -> Views:
    points = camera.project(mesh.vertices)
    seen = fragments(face_ids(points, mesh.faces, size, size), points, mesh.faces)
    rgb = to_image(seen, paint(interpolate_fragments(seen, mesh.vertices)))
    mask = to_image(seen, torch.ones_like(seen.depth))
    return Views(camera, torch.where(mask[..., None] > 0, rgb, torch.tensor([1.0, 0.0, 1.0])), mask)


def prior(color=(0.0, 0.0, 0.0), confidence: float = 0.0) -> ShapePrior:
    volume = torch.zeros(4, 4, 4)
    return ShapePrior(volume, volume, torch.tensor(color).expand(SIZE, SIZE, 3), torch.full((SIZE, SIZE), confidence))


def render_textured(made: TexturedMesh, camera: Cameras, size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    points = camera.project(made.mesh.vertices)
    seen = fragments(face_ids(points, made.mesh.faces, size, size), points, made.mesh.faces)
    uv = interpolate_fragments(seen, made.uv, made.uv_faces)
    rgb = sample(made.base_color, uv[:, 0], uv[:, 1])
    return to_image(seen, rgb)[0], to_image(seen, torch.ones_like(seen.depth))[0]


def texel_points(made: TexturedMesh) -> tuple[torch.Tensor, torch.Tensor]:
    """Colours and places of the texels inside the charts."""
    face, barycentric = texel_surface(made.uv, made.uv_faces, made.base_color.shape[0], gutter=0)
    known = face >= 0
    return made.base_color[known], interpolate(made.mesh.vertices, made.mesh.faces, face[known], barycentric[known])


@pytest.fixture(scope="module")
def egg() -> tuple[Mesh, Views, TexturedMesh]:
    """An egg longer than wide, photographed askew from the front right, textured without a learnt back."""
    made = trimesh.creation.icosphere(5, 0.8)
    made.apply_scale((0.6, 0.75, 1.0))
    mesh = as_mesh(made)
    views = photograph(mesh, orbit_degrees([40.0], 20.0, 3.0, 40.0))
    return mesh, views, texture(views, prior(), mesh, OPTIONS, CONTEXT)


def test_from_the_photos_camera_it_looks_like_the_photo(egg):
    _, views, made = egg
    rgb, mask = render_textured(made, views.cameras)
    both = (mask > 0) & (views.mask[0] > 0)
    assert both.sum() > 0.98 * views.mask.sum()
    assert -10 * math.log10(float((rgb - views.rgb[0]).square()[both].mean())) > 32


def test_the_mirrored_side_has_the_true_colours(egg):
    """What only its mirror image was seen of: its colour is known all the same."""
    _, views, made = egg
    rgb, places = texel_points(made)
    camera = views.cameras.position[0]
    normal = F.normalize(places / torch.tensor([0.36, 0.5625, 1.0]), dim=-1)
    cosine = (F.normalize(camera - places, dim=-1) * normal).sum(-1)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    mirrored = (F.normalize(camera - places * flip, dim=-1) * normal * flip).sum(-1)
    only_mirrored = (cosine < 0) & (mirrored > 0.6)
    assert only_mirrored.sum() > 1000
    error = (rgb - paint(places)).abs().amax(-1)
    assert error[only_mirrored].quantile(0.95) < 0.12
    assert error[cosine > 0.5].quantile(0.98) < 0.06


def test_light_is_taken_out_of_what_is_seen_and_of_its_mirror_image(egg):
    mesh, even, _ = egg
    normals, _ = seen_normals(even.cameras, mesh, vertex_normals(mesh), CONTEXT.rasterizer, SIZE, SIZE)
    views = replace(even, rgb=relit(torch.tensor([0.6, 0.4, 0.3]).expand_as(even.rgb), normals @ torch.tensor([-0.5, 0.5, 0.3])))
    uneven = []
    for share in (0.0, 1.0):
        rgb, places = texel_points(texture(views, prior(), mesh, replace(OPTIONS, delight=share), CONTEXT))
        uneven.append([float(rgb[side].mean(-1).std()) for side in (places[:, 0] > 0.1, places[:, 0] < -0.1)])
    assert all(without < 0.3 * with_light for with_light, without in zip(*uneven)), uneven


def test_light_is_taken_out_of_photos_of_other_sides_and_not_of_drawn_ones(egg):
    mesh, front, _ = egg
    back = photograph(mesh, orbit_degrees([220.0], 10.0, 3.0, 40.0))

    def lit(views):
        normals, _ = seen_normals(views.cameras, mesh, vertex_normals(mesh), CONTEXT.rasterizer, SIZE, SIZE)
        return replace(views, rgb=relit(torch.tensor([0.6, 0.4, 0.3]).expand_as(views.rgb), normals @ torch.tensor([-0.5, 0.5, 0.3])))

    uneven = []
    for photographed in (False, True):
        made = texture(lit(front), prior(), mesh, replace(OPTIONS, delight=1.0, mirror=False), CONTEXT, lit(back), photographed)
        rgb, places = texel_points(made)
        behind = F.normalize(places, dim=-1) @ F.normalize(back.cameras.position[0], dim=-1) > 0.6
        uneven.append(float(rgb[behind].mean(-1).std()))
    assert uneven[1] < 0.4 * uneven[0], uneven


def test_no_colour_of_the_background_anywhere(egg):
    rgb, _ = texel_points(egg[2])
    assert (rgb - torch.tensor([1.0, 0.0, 1.0])).abs().amax(-1).min() > 0.25


def test_both_sides_of_every_seam_agree(egg):
    """Bilinear lookups on the two charts of a seam, at the same point of the surface."""
    made = egg[2].mesh, egg[2]
    faces, uv_faces = made[0].faces, made[1].uv_faces
    start, stop = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    key = torch.minimum(start, stop) * len(made[0].vertices) + torch.maximum(start, stop)
    order = torch.argsort(key, stable=True)
    first, second = order[0::2], order[1::2]
    assert torch.equal(key[first], key[second])
    uv_start, uv_stop = uv_faces.reshape(-1), uv_faces[:, [1, 2, 0]].reshape(-1)
    seam = uv_start[first] != uv_stop[second]
    assert seam.sum() > 50
    for part in (0.25, 0.5, 0.75):
        here = torch.lerp(made[1].uv[uv_start[first]], made[1].uv[uv_stop[first]], part)
        there = torch.lerp(made[1].uv[uv_stop[second]], made[1].uv[uv_start[second]], part)
        step = (sample(made[1].base_color, *here.unbind(-1)) - sample(made[1].base_color, *there.unbind(-1))).abs().amax(-1)
        assert step[seam].mean() < 0.01 and step[seam].quantile(0.99) < 0.05


def test_the_learnt_back_is_used_and_meets_the_front_without_a_step():
    mesh = as_mesh(trimesh.creation.icosphere(5, 0.8))
    camera = orbit_degrees([0.0], 0.0, 3.0, 40.0)
    plain = photograph(mesh, camera)
    views = Views(camera, torch.full_like(plain.rgb, 0.7), plain.mask)
    options = Texture(faces=3000, size=256, mirror=False, normal_map=False)
    rgb, places = texel_points(texture(views, prior((0.2, 0.3, 0.6), 1.0), mesh, options, CONTEXT))
    assert (rgb[places[:, 2] > 0.5] - 0.7).abs().max() < 0.01
    assert (rgb[places[:, 2] < -0.75] - torch.tensor([0.2, 0.3, 0.6])).abs().max() < 0.06
    height, red = places[:, 2].sort()[0], rgb[:, 0][places[:, 2].argsort()]
    bands = torch.stack([red[(height > low) & (height <= low + 0.05)].mean() for low in torch.arange(-0.75, 0.7, 0.05)])
    assert bands.diff().abs().max() < 0.12


def test_flat_object_of_one_colour_stays_one_colour():
    mesh = as_mesh(trimesh.creation.box((1.0, 0.8, 0.3)).subdivide_to_size(0.1))
    camera = orbit_degrees([30.0], 25.0, 3.0, 40.0)
    views = photograph(mesh, camera)
    views = Views(camera, torch.where(views.mask[..., None] > 0, torch.tensor([0.8, 0.3, 0.1]), views.rgb), views.mask)
    made = texture(views, prior(), mesh, OPTIONS, CONTEXT)
    assert (made.base_color - torch.tensor([0.8, 0.3, 0.1])).abs().max() < 0.01


def test_normal_map_only_where_faces_were_lost(egg):
    mesh, views, made = egg
    assert made.normal_map is not None and made.normal_map.shape == made.base_color.shape
    assert made.vertex_normals is not None and len(made.mesh.faces) <= OPTIONS.faces
    keep = Texture(faces=len(mesh.faces), size=128)
    coarse = as_mesh(trimesh.creation.icosphere(2, 0.8))
    assert texture(views, prior(), coarse, keep, CONTEXT).normal_map is None


def test_an_empty_mask_gives_a_plain_colour():
    mesh = as_mesh(trimesh.creation.icosphere(2, 0.8))
    camera = orbit_degrees([0.0], 0.0, 3.0, 40.0)
    views = Views(camera, torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 32, 32))
    made = texture(views, prior(), mesh, Texture(faces=400, size=64, padding=2), CONTEXT)
    assert torch.isfinite(made.base_color).all() and made.base_color.std(dim=(0, 1)).max() < 0.02


def test_same_input_same_texture(egg):
    mesh, views, made = egg
    again = texture(views, prior(), mesh, OPTIONS, CONTEXT)
    assert torch.equal(made.base_color, again.base_color) and torch.equal(made.uv, again.uv)


def test_a_face_seen_from_the_front_does_not_look_out_of_the_back(monkeypatch):
    """Left and right agree in the photo, so it shows the front; front and back have the same shape, but not the same drawing."""

    def face(points):
        eyes = (points[..., 0].abs() - 0.2).square() + (points[..., 1] - 0.2).square() < 0.012
        return torch.where((eyes & (points[..., 2] > 0))[..., None], torch.tensor([0.05, 0.05, 0.3]), torch.tensor([0.9, 0.7, 0.5]))

    monkeypatch.setitem(globals(), "paint", face)
    made = trimesh.creation.icosphere(5, 0.8)
    made.apply_scale((0.8, 1.0, 0.7))
    mesh = as_mesh(made)
    result = texture(photograph(mesh, orbit_degrees([0.0], 10.0, 3.0, 40.0)), prior(), mesh, OPTIONS, CONTEXT)
    color, place = texel_points(result)
    eyes = (place[:, 0].abs() - 0.2).square() + (place[:, 1] - 0.2).square() < 0.008
    front, back = (color[eyes & side].mean(0) for side in (place[:, 2] > 0.3, place[:, 2] < -0.3))
    assert float(front[0]) < 0.3
    assert float(back[0]) > 0.6


def test_a_hood_closes_behind_a_face(monkeypatch):
    """What goes round the outline is what is behind, whatever the learnt guess, which takes after the front."""

    def hooded(points):
        face = (points[..., 0].square() + points[..., 1].square() < 0.12) & (points[..., 2] > 0)
        return torch.where(face[..., None], torch.tensor([0.9, 0.6, 0.5]), torch.tensor([0.1, 0.5, 0.2]))

    monkeypatch.setitem(globals(), "paint", hooded)
    made = trimesh.creation.icosphere(5, 0.8)
    made.vertices[:, 2] *= (made.vertices[:, 2] < 0) * -0.3 + 0.9  # flatter behind: no half turn carries it onto itself
    made.vertices[:, 1] *= 1.1
    mesh = as_mesh(made)
    view = photograph(mesh, orbit_degrees([0.0], 5.0, 3.0, 40.0))
    for confidence, green in ((0.6, True), (1.0, False)):  # the last is a given mesh's own colour
        color, place = texel_points(texture(view, prior((0.9, 0.6, 0.5), confidence), mesh, OPTIONS, CONTEXT))
        behind = color[(place[:, 2] < -0.3) & (place[:, :2].norm(dim=-1) < 0.3)].mean(0)
        assert (float(behind[1] - behind[0]) > 0.25) == green
        assert float(color[(place[:, 2] > 0.5) & (place[:, :2].norm(dim=-1) < 0.2)].mean(0)[0]) > 0.8


def test_a_boxs_print_is_on_its_back_too_and_legible(monkeypatch):
    """Nothing in the photo tells what is behind. A box is more often printed on both sides than on one, and never in mirror writing."""

    def letter(points):
        stem = (points[..., 0] + 0.2).abs() < 0.06
        foot = (points[..., 1] + 0.2 < 0.06) & (points[..., 1] > -0.26) & (points[..., 0] > -0.2) & (points[..., 0] < 0.2)
        ink = (stem | foot) & (points[..., 2] > 0.12)
        return torch.where(ink[..., None], torch.tensor([0.1, 0.1, 0.4]), torch.tensor([0.9, 0.8, 0.6]))

    monkeypatch.setitem(globals(), "paint", letter)
    mesh = as_mesh(trimesh.creation.box((1.0, 0.8, 0.3)).subdivide_to_size(0.05))
    result = texture(photograph(mesh, orbit_degrees([25.0], 15.0, 3.0, 40.0)), prior((0.8, 0.7, 0.55), 0.7), mesh, OPTIONS, CONTEXT)
    color, place = texel_points(result)
    behind = place[:, 2] < -0.13
    stem = behind & ((place[:, 0] - 0.2).abs() < 0.03) & (place[:, 1].abs() < 0.3)
    where_a_mirror_would_put_it = behind & ((place[:, 0] + 0.2).abs() < 0.03) & (place[:, 1] > -0.1) & (place[:, 1] < 0.3)
    assert color[stem][:, 0].mean() < 0.35
    assert color[where_a_mirror_would_put_it][:, 0].mean() > 0.7


def test_a_handle_leaves_no_mark_on_the_side_that_has_none(monkeypatch):
    """Half a turn puts the handle's root onto the bare side of the body."""

    def pitcher(points):
        # The left half is another blue, or the photo would show left and right alike: a front.
        blue = torch.where((points[..., 0] > 0)[..., None], torch.tensor([0.2, 0.1, 0.8]), torch.tensor([0.2, 0.9, 0.8]))
        return torch.where((points[..., 0] > 0.44)[..., None], torch.tensor([0.8, 0.1, 0.1]), blue)

    monkeypatch.setitem(globals(), "paint", pitcher)
    body = trimesh.creation.cylinder(0.4, 1.2, sections=64).subdivide_to_size(0.05)
    body.apply_transform(trimesh.transformations.rotation_matrix(math.pi / 2, (1, 0, 0)))
    handle = trimesh.creation.box((0.3, 0.5, 0.12)).subdivide_to_size(0.05)
    handle.apply_translation((0.5, 0, 0))
    mesh = as_mesh(trimesh.boolean.union([body, handle], engine="manifold").subdivide_to_size(0.05))
    result = texture(photograph(mesh, orbit_degrees([30.0], 15.0, 3.5, 40.0)), prior((0.2, 0.5, 0.8), 0.6), mesh, OPTIONS, CONTEXT)
    color, place = texel_points(result)
    assert len(find_symmetries(mesh)) > 1 and isinstance(find_symmetries(mesh)[-1], HalfTurn)
    bare = (place[:, 0] < -0.1) & (place[:, 1].abs() < 0.5)
    assert color[bare][:, 0].max() < 0.45 and color[bare][:, 2].min() > 0.6, (color[bare][:, 0].max(), color[bare][:, 2].min())


@pytest.mark.parametrize("azimuth_deg", [30.0, 45.0])
def test_half_a_turn_that_would_swap_left_and_right_gives_way(azimuth_deg, monkeypatch):
    """A frustum with a red and a blue half turns into itself by shape; the photo shows on its top that its colours do not."""

    def halves(points):
        return torch.where((points[..., 0] < 0)[..., None], torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.8]))

    monkeypatch.setitem(globals(), "paint", halves)
    made = trimesh.creation.box((1.0, 0.8, 1.0)).subdivide_to_size(0.05)
    made.vertices[:, [0, 2]] *= 1 - 0.5 * (made.vertices[:, 1:2] + 0.4)
    mesh = as_mesh(made)
    result = texture(photograph(mesh, orbit_degrees([azimuth_deg], 25.0, 3.0, 40.0)), prior((0.4, 0.1, 0.4), 0.5), mesh, OPTIONS, CONTEXT)
    color, place = texel_points(result)
    behind = (place[:, 2] < -0.3) & (place[:, 0].abs() > 0.1) & (place[:, 1].abs() < 0.35)
    assert (color[behind] - halves(place[behind])).abs().mean() < 0.1


def test_a_refined_mesh_keeps_its_material(egg):
    made = replace(egg[2], metallic_roughness=(1.0, 0.2))
    again = retexture(made, made.mesh, Texture(faces=1000, size=128), CONTEXT)
    assert again.metallic_roughness == (1.0, 0.2) and len(again.mesh.faces) <= 1000
