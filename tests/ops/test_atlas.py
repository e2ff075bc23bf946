"""Atlases: inside the texture, without overlaps, with padding, and without stretching."""

import numpy as np
import pytest
import torch
import trimesh
from scipy import ndimage

from img23d.errors import ConfigError
from img23d.ops import atlas
from img23d.ops.atlas import unwrap
from img23d.ops.bake import texel_surface
from img23d.scene import Mesh

SIZE = 256
SHAPES = {
    "sphere": lambda: trimesh.creation.icosphere(3, 0.9),
    "box": lambda: trimesh.creation.box((1.2, 0.8, 0.5)).subdivide(),
    "torus": lambda: trimesh.creation.torus(0.65, 0.25, 48, 24),
}


def shape(name: str) -> Mesh:
    made = SHAPES[name]()
    return Mesh(torch.tensor(made.vertices, dtype=torch.float32), torch.tensor(made.faces, dtype=torch.int64))


def charts_of(uv_faces: torch.Tensor, uv_count: int) -> np.ndarray:
    """The chart of each face: faces that share a uv vertex."""
    pairs = uv_faces[:, [0, 1, 1, 2]].reshape(-1, 2).numpy()
    graph = np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    return connected_components(coo_matrix(graph, shape=(uv_count, uv_count)), directed=False)[1][uv_faces[:, 0].numpy()]


@pytest.mark.parametrize("name", SHAPES)
def test_charts_keep_their_distance(name):
    mesh, padding = shape(name), 4
    uv, uv_faces = unwrap(mesh, SIZE, padding)
    chart = charts_of(uv_faces, len(uv))
    face, _ = texel_surface(uv, uv_faces, SIZE, gutter=0)
    label = np.where(face.numpy() >= 0, chart[face.clamp(min=0).numpy()], -1)
    assert len(np.unique(chart)) > 1
    for which in np.unique(chart):
        away = ndimage.distance_transform_edt(label != which)
        others = (label >= 0) & (label != which)
        assert away[others].min() >= padding


@pytest.mark.parametrize("name", SHAPES)
def test_every_face_has_room_of_its_own(name):
    mesh = shape(name)
    uv, uv_faces = unwrap(mesh, 1024)
    assert uv.min() >= 0 and uv.max() <= 1 and uv_faces.shape == mesh.faces.shape
    edge = uv[uv_faces].double()
    area = 0.5 * torch.linalg.det(edge[:, 1:] - edge[:, :1]).abs()
    corner = mesh.vertices[mesh.faces].double()
    true = 0.5 * torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).norm(dim=-1)
    assert 0.25 < area.sum() < 1
    # The faces cover what their areas add up to: nothing lies on top of anything else.
    covered = (texel_surface(uv, uv_faces, 1024, gutter=0)[0] >= 0).double().mean()
    assert abs(covered - area.sum()) < 0.005
    ratio = area / true / (area.sum() / true.sum())
    assert ratio.min() > 0.3 and ratio.max() < 3


def test_charts_are_not_mirrored():
    uv, uv_faces = unwrap(shape("torus"), SIZE)
    corner = uv[uv_faces].double()
    # With v running down, a face that looks at the viewer winds clockwise in the picture's coordinates.
    assert (torch.linalg.det(corner[:, 1:] - corner[:, :1]) < 0).double().mean() > 0.8


def test_same_mesh_same_atlas():
    first, second = (unwrap(shape("torus"), SIZE) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_the_unit_of_length_does_not_matter():
    mesh = shape("torus")
    small = Mesh(mesh.vertices * 2.0**-14, mesh.faces)
    (uv, uv_faces), (small_uv, small_faces) = unwrap(mesh, SIZE), unwrap(small, SIZE)
    assert torch.equal(uv_faces, small_faces) and torch.equal(uv, small_uv)


def test_bad_input():
    with pytest.raises(ValueError, match="without faces"):
        unwrap(Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)), SIZE)
    with pytest.raises(ConfigError, match="no room"):
        unwrap(shape("box"), 16, 4)


def test_an_atlas_is_destroyed_when_its_threads_sleep(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(atlas.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(atlas, "_finished", [])
    for moment, kept in ((100.0, 1), (100.2, 2), (101.1, 2), (105.0, 1)):
        now[0] = moment
        unwrap(shape("box"), SIZE)
        times = sorted({since for since, _ in atlas._finished})
        assert len(times) == kept and times[-1] == moment and moment - times[0] <= atlas.ASLEEP
