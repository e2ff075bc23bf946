"""Protocols on shapes whose scores are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.errors import InputError
from img23d.evals import protocols
from img23d.scene import Mesh


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    """Ours."""
    return Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces)).long())


def boxes() -> Mesh:
    """A shape that no turn maps onto itself: three boxes of different sizes."""
    parts = [
        trimesh.creation.box((1.0, 0.4, 0.6)),
        trimesh.creation.box((0.3, 0.8, 0.3), trimesh.transformations.translation_matrix((0.35, 0.6, 0.1))),
        trimesh.creation.box((0.2, 0.2, 0.7), trimesh.transformations.translation_matrix((-0.3, 0.1, 0.6))),
    ]
    return mesh_of(trimesh.boolean.union(parts, engine="manifold"))


@pytest.fixture(scope="module")
def rasterizer():
    return choose_rasterizer("auto", "cpu")


def test_registration_undoes_place_size_and_turn(rasterizer) -> None:
    truth = boxes()
    moved = protocols.turned(truth, math.radians(130), math.radians(-20))
    moved = Mesh(moved.vertices * 7.3 + torch.tensor([5.0, -2, 1]), moved.faces)
    scores = protocols.registered(moved, truth, rasterizer)
    assert scores.chamfer < 0.022 and scores.iou > 0.93 and scores.f_score[0.05] > 0.99 and scores.protocol == "registered"
    assert set(scores.as_dict()) == {"protocol", "chamfer", "iou", *(f"f{t:g}" for t in protocols.THRESHOLDS)}


def test_registration_does_not_hide_a_wrong_shape(rasterizer) -> None:
    scores = protocols.registered(mesh_of(trimesh.creation.icosphere(3)), boxes(), rasterizer)
    assert scores.chamfer > 0.1 and scores.iou < 0.6


def test_overlap_of_boxes(rasterizer, monkeypatch) -> None:
    """A column of 1/2 x 1 x 1/2 in a cube of side 1 fills a quarter; samples within half a voxel of a wall fall either way."""
    monkeypatch.setattr(protocols, "nearest_distances", lambda first, second: (np.zeros(1), np.zeros(1)))  # of many points; not looked at
    cube, column = mesh_of(trimesh.creation.box((3, 3, 3))), mesh_of(trimesh.creation.box((0.5, 1, 0.5)))
    assert protocols.syncdreamer(column, cube, rasterizer).iou == pytest.approx(0.25, abs=0.03)


def test_syncdreamer_takes_the_prediction_as_it_stands(rasterizer) -> None:
    truth = mesh_of(trimesh.creation.icosphere(4, 3.0))  # its longest side becomes 1: radius 0.5
    exact = protocols.syncdreamer(mesh_of(trimesh.creation.icosphere(4, 0.5)), truth, rasterizer)
    assert exact.chamfer < 1e-3 and exact.iou == 1
    larger = protocols.syncdreamer(mesh_of(trimesh.creation.icosphere(4, 0.55)), truth, rasterizer)
    assert larger.chamfer == pytest.approx(0.05, abs=0.003)
    assert larger.iou == pytest.approx((0.5 / 0.55) ** 3, abs=0.02)
    assert larger.f_score[0.02] == 0 and larger.f_score[0.1] == 1


def test_syncdreamer_turns_the_truth(rasterizer) -> None:
    """A part to the right of the truth (+X) stands at the back (-Z) after a quarter turn."""
    truth = boxes()
    ready = protocols.scaled_by(protocols.box_normalized(truth), 0.5)
    turned = protocols.turned(ready, math.pi / 2)
    assert protocols.syncdreamer(turned, truth, rasterizer, 90).iou > 0.99
    right = protocols.turned(Mesh(torch.tensor([[1.0, 0, 0]] * 3), torch.tensor([[0, 1, 2]])), math.pi / 2)
    torch.testing.assert_close(right.vertices[0], torch.tensor([0.0, 0, -1]), atol=1e-6, rtol=0)


def test_undersides_and_insides_do_not_count(rasterizer) -> None:
    outside = trimesh.creation.icosphere(3, 0.5)
    inside = trimesh.creation.icosphere(3, 0.2)
    both = mesh_of(trimesh.util.concatenate([outside, inside]))
    generator = np.random.default_rng(0)
    points = protocols.visible_points(both, rasterizer, 500, generator)
    assert np.linalg.norm(points, axis=-1).min() > 0.45


def test_thinned_keeps_one_mean_for_each_cell() -> None:
    points = np.array([[0.1, 0.1, 0.1], [0.3, 0.3, 0.3], [1.5, 0, 0]])
    np.testing.assert_allclose(np.sort(protocols.thinned(points, 1.0), 0), np.sort([[0.2, 0.2, 0.2], [1.5, 0, 0]], 0))


def test_bad_meshes() -> None:
    with pytest.raises(InputError, match="no extent"):
        protocols.box_normalized(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])))


def test_what_reaches_out_of_the_cube_is_still_seen_right(rasterizer) -> None:
    """Of a ball of radius 1.3, the cube [-1, 1]^3 keeps all but its corners."""
    found = protocols.solid(mesh_of(trimesh.creation.icosphere(4, 1.3)), rasterizer)
    axis = np.linspace(-1, 1, protocols.VOXELS)
    want = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) < 1.69
    assert (found == want).mean() > 0.985 and not found[0, 0, 0] and found[0, 32, 32]
