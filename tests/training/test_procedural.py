"""Generated objects: closed, outward, textured solids that depend on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from img23d.training import carve
from img23d.training.procedural import FAMILIES, containers, figurine_build, figurine_heads, figurines, object_of, random_object, shoes
from img23d.training.procedural.implicit import Limb, blend, surface_nets
from img23d.training.procedural.outlines import extrude, inset, smooth_outline
from img23d.training.procedural.parts import MAX_FACES, Part, assemble, join, pack_paints, signed_volume
from img23d.training.procedural.surfaces import box, cylinder, ellipsoid, lathe, tube
from img23d.training.procedural.vessels import walled
from img23d.training.textures import plain

RED, BLUE = plain(np.array([255.0, 0, 0])), plain(np.array([0.0, 0, 255]))


def volume(part: Part) -> float:
    """The enclosed volume, after checking that the surface is closed and consistently wound."""
    mesh = trimesh.Trimesh(part.vertices, part.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    return float(mesh.volume)


def open_edges(faces: np.ndarray) -> int:
    """Edges that are not walked as often in one direction as in the other; where bodies touch, an edge may have four faces."""
    start, end = faces.astype(np.int64).reshape(-1), np.roll(faces, -1, 1).astype(np.int64).reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, index = np.unique(low << 32 | high, return_inverse=True)
    return int((np.bincount(index, np.where(start < end, 1, -1)) != 0).sum())


@pytest.mark.parametrize(
    ("part", "truth"),
    [
        (box((1.0, 2.0, 3.0), RED), 6.0),
        (cylinder(1.0, 2.0, RED, segments=200), 2 * np.pi),
        (cylinder(1.0, 3.0, RED, segments=200, taper=0.5), np.pi * (1 + 0.5 + 0.25)),
        (ellipsoid((1.0, 2.0, 0.5), RED, segments=120), 4 / 3 * np.pi),
        (tube([[0, 0, 0], [0, 1, 0], [0, 2, 0]], 0.5, RED, 120, rounded=False), np.pi / 2),
        (extrude([[0, 0], [2, 0], [2, 2], [1, 0.5], [0, 2]], 0.5, RED), 0.5 * 2.5),
        (lathe([[0, 0], [1, 0], [1, 1], [0.5, 1], [0.5, 0.5], [0, 0.5]], RED, segments=200), np.pi * (1 - 0.125)),
    ],
    ids=["box", "cylinder", "cone", "ellipsoid", "tube", "extrusion", "cup"],
)
def test_volumes_of_surfaces(part, truth):
    assert volume(part) == pytest.approx(truth, rel=3e-3)


def test_a_closed_path_makes_a_ring_without_caps():
    angle = np.linspace(0, 2 * np.pi, 101)
    ring = tube(np.stack([np.sin(angle), 0 * angle, np.cos(angle)], -1), 0.2, RED, 40)
    assert volume(ring) == pytest.approx(2 * np.pi**2 * 0.04, rel=1e-2)
    assert len(ring.faces) == 2 * 100 * 40


def test_rounding_removes_the_edges_of_a_box():
    radius = 0.2
    inner = 2.0 - 2 * radius
    truth = inner**3 + 6 * inner**2 * radius + 3 * inner * np.pi * radius**2 + 4 / 3 * np.pi * radius**3
    assert volume(box((2.0, 2.0, 2.0), RED, radius, rings=8)) == pytest.approx(truth, rel=2e-3)


def test_blended_ball_converges_to_a_sphere():
    ball = [Limb((0.1, 0.2, 0.3), (0.1, 0.2, 0.3), 1.0, 1.0)]
    errors = [abs(volume(blend(ball, [RED], 1e-3, cells)) - 4 / 3 * np.pi) for cells in (12, 24, 48)]
    assert errors[2] < errors[1] / 3 < errors[0] / 9


def test_blend_fills_the_gap_between_limbs():
    pair = [Limb((-0.5, 0, 0), (-0.5, 0, 0), 0.5, 0.5), Limb((0.5, 0, 0), (0.5, 0, 0), 0.5, 0.5)]
    sharp, soft = (volume(blend(pair, [RED], smoothness, 40)) for smoothness in (1e-3, 0.1))
    assert soft > sharp * 1.03


def test_faces_of_a_blend_take_the_nearest_limbs_paint():
    part = blend([Limb((-1, 0, 0), (-1, 0, 0), 0.5, 0.5, 0), Limb((1, 0, 0), (1, 0, 0), 0.5, 0.5, 1)], [RED, BLUE], 0.01, 24)
    middle = part.vertices[part.faces].mean(1)[:, 0]
    assert np.array_equal(part.material, (middle > 0).astype(int))


def test_surface_nets_of_a_box_lie_on_its_sides():
    x, y, z = np.abs(np.mgrid[0:9, 0:9, 0:9] - 4.0)
    vertices, faces = surface_nets(np.maximum(np.maximum(x, y), z) - 2.3)
    top = (np.abs(vertices[:, [0, 2]] - 4) < 1.6).all(1) & (vertices[:, 1] > 4)
    assert top.sum() == 16 and np.allclose(vertices[top, 1], 6.3, atol=1e-6)
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    above = top[faces].all(1)
    assert above.any() and (np.cross(b - a, c - a)[above, 1] > 0).all()


def test_walled_vessel_is_hollow():
    side = np.array([[1.0, 0.0], [1.0, 0.5], [1.0, 1.0]])
    cup = walled(side, 0.1, 0.2, [RED, RED, BLUE], segments=160)
    filled = np.pi * 1.0
    assert volume(cup) == pytest.approx(filled - np.pi * 0.81 * 0.8, rel=0.03)
    inside = cup.vertices[cup.faces[cup.material == 2]].reshape(-1, 3)
    assert np.hypot(inside[:, 0], inside[:, 2]).max() < 0.97


@pytest.mark.parametrize("side", range(6))
def test_box_paints_are_upright_and_not_mirrored(side):
    part = box((1.0, 1.0, 1.0), RED)
    corners, uv = part.vertices[part.faces], part.corner_uv
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = np.zeros(3)
    outward[side // 2] = 1 if side % 2 else -1
    faces = np.nonzero(normal @ outward > 0.5)[0]
    assert len(faces) == 2
    for face in faces:
        p, q = uv[face, 1] - uv[face, 0], uv[face, 2] - uv[face, 0]
        assert p[0] * q[1] - p[1] * q[0] < 0  # counter-clockwise outside is clockwise in a picture whose rows grow downwards
        if side // 2 != 1:
            assert np.allclose(uv[face, :, 1], 0.5 - corners[face, :, 1])


def test_moves_keep_the_outside_out():
    part = box((1.0, 2.0, 3.0), RED)
    for one in (part.moved(1, 2, 3), part.scaled(2), part.mirrored(), part.turned("x", 1.0).turned("y", 2.0).turned("z", 3.0)):
        assert signed_volume(one.vertices, one.faces) > 0
    assert np.allclose(part.turned("y", np.pi / 2).vertices[:, 0], part.vertices[:, 2])


def test_inset_of_a_square():
    square = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    assert np.allclose(inset(square, 1.0), [[1, 1], [3, 1], [3, 3], [1, 3]])
    curve = smooth_outline(square, 5)
    assert all(np.abs(curve - corner).sum(1).min() < 1e-9 for corner in square)


def test_packing_keeps_every_picture_whole():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (int(h), int(w), 3), np.uint8) for h, w in rng.integers(1, 60, (9, 2))]
    sheet, table = pack_paints(pictures)
    for picture, (left, top, width, height) in zip(pictures, table):
        x, y = round(left * sheet.shape[1]), round(top * sheet.shape[0])
        assert (round(width * sheet.shape[1]), round(height * sheet.shape[0])) == (picture.shape[1], picture.shape[0])
        assert np.array_equal(sheet[y : y + picture.shape[0], x : x + picture.shape[1]], picture)
        assert np.array_equal(sheet[y - 1, x : x + picture.shape[1]], picture[0])


def test_assembled_faces_show_their_own_paint():
    item = assemble([box((1, 1, 1), RED), box((1, 1, 1), BLUE).moved(x=3)])
    middle = item.corner_uv.mean(1)
    height, width = item.texture.shape[:2]
    colour = item.texture[(middle[:, 1] * height).astype(int), (middle[:, 0] * width).astype(int)]
    left = item.vertices[item.faces].mean(1)[:, 0] < 0
    assert (colour[left] == [255, 0, 0]).all() and (colour[~left] == [0, 0, 255]).all()
    assert np.ptp(item.vertices, axis=0).max() == pytest.approx(1.0) and np.allclose(item.vertices.min(0), -item.vertices.max(0), atol=1e-6)


def test_joining_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        join([])


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_makes_sound_objects(family):
    shapes = set()
    for seed in range(14):
        item = object_of(family, np.random.default_rng(seed))
        assert 0 < len(item.faces) <= MAX_FACES
        assert np.isfinite(item.vertices).all() and item.corner_uv.min() >= 0 and item.corner_uv.max() <= 1
        assert open_edges(item.faces) == 0, f"{family} {seed} has open edges"
        assert signed_volume(item.vertices, item.faces) > 1e-4
        shapes.add(len(item.vertices))
    assert len(shapes) > 4


def test_the_same_seed_gives_the_same_object_and_others_differ():
    first, again, other = (random_object(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.vertices, again.vertices) and np.array_equal(first.texture, again.texture)
    assert first.vertices.shape != other.vertices.shape or not np.allclose(first.vertices, other.vertices)


def test_unknown_family():
    with pytest.raises(ValueError, match="vessel"):
        object_of("dragonfly", np.random.default_rng(0))


def column(parts: list[Part], x: float, z: float) -> np.ndarray:
    """(64,) whether what is left of an object by carving is solid, from low to high at a place of its box, 0..1 across and along."""
    item = assemble(parts)
    solid = carve.carve(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long(), 64, 42).sdf.numpy() < 0
    low, high = item.vertices.min(0), item.vertices.max(0)
    place = [low[axis] + share * (high[axis] - low[axis]) for axis, share in ((0, x), (2, z))]
    column, row = (round((value / carve.HALF_SIZE + 1) / 2 * 63) for value in place)
    return solid[row, :, column]


def test_a_shoe_is_solid_under_the_toes_and_hollow_where_the_foot_goes_in():
    random = np.random.default_rng(1)
    style = shoes.Style(wall=0.03, sole=0.08)
    parts = [shoes.upper(random, style)[0], shoes.loft(shoes.sole_rings(style), np.zeros((4, shoes.AROUND), np.int64), (RED,))]
    heel, toe = column(parts, 0.5, 0.25), column(parts, 0.5, 0.85)
    assert 3 <= heel.sum() <= 8  # the sole alone, .1 of 1
    assert toe.sum() > 1.5 * heel.sum() and np.diff(np.flatnonzero(toe)).max() == 1


@pytest.mark.parametrize("wedge", [False, True])
def test_a_high_heel_lifts_the_heel_and_keeps_the_toes_on_the_ground(wedge):
    style = shoes.Style(rise=0.3, spring=0.0, wedge=wedge)
    flat = shoes.loft(shoes.sole_rings(style), np.zeros((4, shoes.AROUND), np.int64), (RED,))
    lifted = shoes.lifted(style, flat, keep_ground=wedge)
    moved, z = lifted.vertices[:, 1] - flat.vertices[:, 1], flat.vertices[:, 2]
    assert np.abs(moved[z > 0.25]).max() < 1e-9
    top = flat.vertices[:, 1] > -1e-9
    assert moved[top & (z < -0.3)].min() == pytest.approx(0.3)
    ground = flat.vertices[:, 1] < 1e-9 - style.sole
    assert moved[ground & (z < -0.3)].min() == pytest.approx(0.0 if wedge else 0.3)


def test_shoes_come_alone_and_in_pairs():
    wide = []
    for seed in range(30):
        vertices = np.concatenate([part.vertices for part in shoes.shoe(np.random.default_rng(seed))])
        wide.append(np.ptp(vertices[:, 0]) / np.ptp(vertices[:, 2]))
    assert 2 <= sum(share > 0.6 for share in wide) <= 14


@pytest.mark.parametrize("make", [containers.open_box, containers.basket, containers.tote])
def test_containers_are_empty(make):
    filled = [column(make(np.random.default_rng(seed)), 0.47, 0.47) for seed in range(6)]
    assert all(part.any() for part in filled)
    assert np.median([part.mean() for part in filled]) < 0.12  # a floor, and handles over it


@pytest.mark.parametrize("seed", range(6))
def test_figurines_have_large_heads(seed):
    build = figurine_build.random_build(np.random.default_rng(seed))
    body = figurines.figurine(np.random.default_rng(seed))[0].vertices  # the same numbers come first
    head = np.abs(body - build.head).max(1) < build.skull
    assert np.ptp(body[head], axis=0).min() > 1.5 * build.skull and build.skull > build.belly
    assert body[:, 1].max() < 2.5 * (build.head[1] + build.skull) and body[:, 1].min() < 0.1


@pytest.mark.parametrize("seed", range(6))
def test_the_eyes_of_a_figurine_lie_on_the_front_of_its_head(seed):
    build = figurine_build.random_build(np.random.default_rng(seed))
    size = build.skull * np.array([1.2, 1.0, 1.1])
    middles = np.array([part.vertices.mean(0) - build.head for part in figurine_heads.face(np.random.default_rng(seed), build, size)])
    assert np.allclose(np.linalg.norm(middles / size, axis=1), 1.0, atol=1e-3) and (middles[:, 2] > 0).all()
    assert np.allclose(middles[:, 0].sum(), 0.0, atol=1e-6)  # as much on the left as on the right
