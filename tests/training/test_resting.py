"""Objects that lie as they fell: on a face, balanced, more often on what is large."""

import numpy as np
import pytest
import trimesh

from img23d.training.dataset import ProceduralSource, RestingSource, split_objects
from img23d.training.objects import TrainingObject
from img23d.training.resting import at_rest


def as_object(mesh: trimesh.Trimesh) -> TrainingObject:
    faces = np.asarray(mesh.faces, np.int32)
    uv = np.zeros((len(faces), 3, 2), np.float32)
    return TrainingObject(np.asarray(mesh.vertices, np.float32), faces, uv, np.zeros((1, 1, 3), np.uint8))


def heights(item: TrainingObject, count: int) -> np.ndarray:
    return np.array([np.ptp(at_rest(item, np.random.default_rng(seed)).vertices[:, 1]) for seed in range(count)])


def test_a_standing_plank_comes_to_lie_on_its_largest_face():
    tall = heights(as_object(trimesh.creation.box((1.0, 4.0, 0.5))), 60)
    on_each = [int(np.isclose(tall, side, atol=1e-4).sum()) for side in (0.5, 1.0, 4.0)]
    assert sum(on_each) == 60  # on one of its faces, never on an edge or a corner
    assert on_each[0] > on_each[1] > 0 and on_each[0] > 30 > 6 > on_each[2]


@pytest.mark.parametrize("seed", range(8))
def test_it_rests_on_three_points_about_its_centre(seed):
    random = np.random.default_rng(seed)
    item = as_object(trimesh.Trimesh(random.normal(size=(40, 3)), [[0, 1, 2]], process=False).convex_hull)
    lying = at_rest(item, random)
    low = lying.vertices[lying.vertices[:, 1] < lying.vertices[:, 1].min() + 1e-4]
    assert len(low) >= 3
    centre = trimesh.Trimesh(lying.vertices, lying.faces).center_mass
    corners = low[:, [0, 2]] - centre[[0, 2]]
    angles = np.sort(np.arctan2(corners[:, 1], corners[:, 0]))
    assert np.diff(np.append(angles, angles[0] + 2 * np.pi)).max() < np.pi + 1e-3  # the centre lies above what it stands on


def test_turned_but_not_mirrored_or_stretched():
    item = as_object(trimesh.creation.icosphere(1).apply_scale((1.0, 2.0, 3.0)))
    lying = at_rest(item, np.random.default_rng(2))
    volume = [trimesh.Trimesh(part.vertices, part.faces).volume for part in (item, lying)]
    assert volume[1] == pytest.approx(volume[0], rel=1e-4)
    assert np.abs(lying.vertices - item.vertices).max() > 0.1


def test_a_flat_sheet_stays_as_it_was():
    item = TrainingObject(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2]], np.int32), np.zeros((1, 3, 2), np.float32),
        np.zeros((1, 1, 3), np.uint8),
    )  # fmt: skip
    assert at_rest(item, np.random.default_rng(0)) is item
    thick = as_object(trimesh.creation.box((1.0, 1e-7, 1.0)))
    assert at_rest(thick, np.random.default_rng(0)) is thick  # as good as flat


def test_objects_of_many_vertices_rest_on_nearly_the_same_faces():
    mesh = trimesh.creation.cylinder(0.5, 0.2, sections=400).subdivide()
    assert len(mesh.vertices) > 1000
    tall = heights(as_object(mesh), 12)
    assert (np.abs(tall - 0.2) < 0.01).sum() >= 8 and tall.max() < 1.01


def test_they_teach_and_never_examine_and_are_the_same_each_time():
    bases = [ProceduralSource(seed) for seed in range(3)]
    sources = [RestingSource(bases, seed) for seed in range(200)]
    assert split_objects(sources) == (list(range(200)), [])
    first, again = (RestingSource(bases, 5).load().vertices for _ in range(2))
    assert np.array_equal(first, again)
