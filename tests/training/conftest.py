"""Simple solids as training objects, carved once for all tests."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from img23d.training.objects import TrainingObject


def as_object(mesh: trimesh.Trimesh, colour: tuple[int, int, int] = (200, 120, 60)) -> TrainingObject:
    """A mesh in one colour."""
    faces = np.asarray(mesh.faces, np.int32)
    texture = np.full((1, 1, 3), colour, np.uint8)
    return TrainingObject(np.asarray(mesh.vertices, np.float32), faces, np.full((len(faces), 3, 2), 0.5, np.float32), texture, True)


@pytest.fixture(scope="session")
def sphere() -> TrainingObject:
    """A ball of diameter 1."""
    return as_object(trimesh.creation.icosphere(4, 0.5))


@pytest.fixture(scope="session")
def box() -> TrainingObject:
    """A box 1 x 0.6 x 0.3."""
    return as_object(trimesh.creation.box((1.0, 0.6, 0.3)))


@pytest.fixture(scope="session")
def bowl() -> TrainingObject:
    """The lower half of a sphere's surface: open above, without any thickness."""
    mesh = trimesh.creation.icosphere(4, 0.5)
    centre = mesh.vertices[mesh.faces].mean(1)
    half = trimesh.Trimesh(mesh.vertices, mesh.faces[centre[:, 1] < 0], process=True)
    half.remove_unreferenced_vertices()
    return as_object(half)
