"""Deformations: exact where a formula says what they do, harmless everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from img23d.training.deform import attach, bend, big_head, join, mirror, random_deformation, refine, stretch, subdivide, taper, twist
from img23d.training.objects import TrainingObject
from img23d.training.procedural import object_of
from img23d.training.procedural.parts import assemble
from img23d.training.procedural.surfaces import box
from img23d.training.textures import plain


def block(size=(0.2, 1.0, 0.2), inner=12) -> TrainingObject:
    """A box with rows of faces, so that it can bend."""
    return assemble(box(size, plain(np.array([10.0, 200, 30])), 0.0, inner=inner))


def volume(item: TrainingObject) -> float:
    return float(trimesh.Trimesh(item.vertices, item.faces, process=False).volume)


def test_stretch_multiplies_the_volume():
    item = block()
    assert volume(stretch(item, (2, 3, 0.5))) == pytest.approx(3 * volume(item), rel=1e-5)
    with pytest.raises(ValueError, match="positive"):
        stretch(item, (1, -1, 1))


def test_mirror_keeps_volume_and_texture():
    item = object_of("vehicle", np.random.default_rng(1))
    other = mirror(item)
    assert volume(other) == pytest.approx(volume(item), rel=1e-4)
    assert np.allclose(mirror(other).vertices, item.vertices) and np.array_equal(mirror(other).corner_uv, item.corner_uv)


def test_a_big_head_is_as_large_as_said_and_stands_on_the_same_feet():
    item = block((0.2, 1.0, 0.3), inner=60)
    big = big_head(item, 2.0, 0.7, legs=0.5)
    low, high = item.vertices[:, 1] < 0.14, item.vertices[:, 1] > 0.26  # the neck is at 0.2 of -0.5..0.5, and 0.1 long
    assert np.allclose(big.vertices[low][:, [0, 2]], item.vertices[low][:, [0, 2]], atol=1e-6)
    assert np.allclose(big.vertices[high][:, [0, 2]], 2 * item.vertices[high][:, [0, 2]], atol=1e-5)
    feet, crown = np.ptp(big.vertices[low][:, 1]), np.ptp(big.vertices[high][:, 1])
    assert feet == pytest.approx(0.5 * np.ptp(item.vertices[low][:, 1]), rel=0.01)
    assert crown == pytest.approx(2.0 * np.ptp(item.vertices[high][:, 1]), rel=0.01)
    order = np.argsort(item.vertices[:, 1], kind="stable")
    assert (np.diff(big.vertices[order, 1]) >= -1e-6).all()  # nothing folds
    with pytest.raises(ValueError, match="neck"):
        big_head(item, 2.0, 1.2)


def test_twist_turns_the_ends_by_the_angle_and_keeps_the_volume():
    item = block()
    turned = twist(item, np.pi / 2)
    top = item.vertices[:, 1] > 0.49
    p, q = item.vertices[top], turned.vertices[top]
    angle = np.arctan2(q[:, 0], q[:, 2]) - np.arctan2(p[:, 0], p[:, 2])
    assert np.allclose(np.remainder(angle + np.pi, 2 * np.pi) - np.pi, np.pi / 4, atol=1e-5)
    assert volume(twist(block(inner=40), 0.6)) == pytest.approx(volume(item), rel=5e-3)


def test_bend_makes_an_arc_of_the_same_length():
    item = block(inner=41)
    bent = bend(item, np.pi / 2, axis=1, towards=0)
    middle = np.abs(item.vertices[:, 0]) < 1e-6
    assert middle.any()
    line, arc = item.vertices[middle], bent.vertices[middle]
    centre = np.array([2 / np.pi, 0.0])
    assert np.allclose(np.linalg.norm(arc[:, :2] - centre, axis=1), 2 / np.pi, atol=1e-5)
    assert np.allclose(arc[:, 1], 2 / np.pi * np.sin(line[:, 1] * np.pi / 2), atol=1e-5)
    assert volume(bent) == pytest.approx(volume(item), rel=1e-2)
    with pytest.raises(ValueError, match="own axis"):
        bend(item, 1.0, 1, 1)
    assert bend(item, 0.0) is item


def test_taper_scales_the_ends():
    item = block()
    tapered = taper(item, 1.0)
    width = [float(np.ptp(tapered.vertices[np.abs(item.vertices[:, 1] - y) < 1e-3, 0])) for y in (-0.5, 0.5)]
    assert width == pytest.approx([0.1, 0.3], rel=1e-4)
    with pytest.raises(ValueError, match="slope"):
        taper(item, 2.5)


def test_subdividing_changes_nothing_but_the_number_of_faces():
    item = object_of("package", np.random.default_rng(3))
    finer = subdivide(item)
    assert len(finer.faces) == 4 * len(item.faces) and volume(finer) == pytest.approx(volume(item), rel=1e-5)
    assert trimesh.Trimesh(finer.vertices, finer.faces, process=False).is_watertight
    assert finer.corner_uv.mean((0, 1)) == pytest.approx(item.corner_uv.mean((0, 1)), abs=1e-4)
    assert len(refine(block(inner=0), 0.3).faces) > 100


def test_joined_objects_keep_their_colours():
    first, second = block(), assemble(box((1, 1, 1), plain(np.array([250.0, 0, 0]))))
    palette = TrainingObject(
        second.vertices, second.faces, np.full_like(second.corner_uv, 0.5), np.full((1, 1, 3), (250, 0, 0), np.uint8), True
    )
    for other in (second, palette):
        both = join(first, other)
        height, width = both.texture.shape[:2]
        middle = both.corner_uv.mean(1)
        colour = both.texture[(middle[:, 1] * height).astype(int), (middle[:, 0] * width).astype(int)]
        assert (colour[: len(first.faces)] == [10, 200, 30]).all() and (colour[len(first.faces) :] == [250, 0, 0]).all()


def test_attached_objects_touch():
    rng = np.random.default_rng(5)
    for _ in range(5):
        both = attach(block((1, 1, 1)), block((1, 1, 1)), rng)
        parts = trimesh.Trimesh(both.vertices, both.faces, process=False).split(only_watertight=False)
        low, high = np.array([part.bounds for part in parts]).transpose(1, 0, 2)
        assert (np.minimum(high[0], high[1]) > np.maximum(low[0], low[1]) - 1e-6).all()


@pytest.mark.parametrize("seed", range(8))
def test_random_deformations_stay_sound(seed):
    item = object_of("creature" if seed % 2 else "tool", np.random.default_rng(seed))
    changed = random_deformation(item, np.random.default_rng(seed))
    assert np.isfinite(changed.vertices).all() and np.ptp(changed.vertices, axis=0).max() == pytest.approx(1.0, abs=1e-5)
    assert volume(changed) > 0
    again = random_deformation(item, np.random.default_rng(seed))
    assert np.array_equal(changed.vertices, again.vertices)
