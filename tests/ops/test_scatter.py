"""Points on a surface: on it, everywhere on it, and none close to another."""

import pytest
import torch
from scipy.spatial import cKDTree

from img23d.ops.scatter import scatter
from img23d.scene import Mesh


def plate() -> Mesh:
    """Two rectangles side by side, 1 by 1 and 3 by 1, cut into unequal faces."""
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [4, 0, 0], [4, 1, 0], [1, 1, 0], [0, 1, 0]])
    return Mesh(vertices, torch.tensor([[0, 1, 4], [0, 4, 5], [1, 2, 3], [1, 3, 4]]))


def test_points_are_even():
    mesh = plate()
    face, weight = scatter(mesh, 400, 0)
    assert weight.min() >= 0 and torch.allclose(weight.sum(1), torch.ones(400), atol=1e-6)
    points = (mesh.vertices[mesh.faces[face]] * weight[..., None]).sum(1)
    assert len(points) == 400
    assert int((points[:, 0] < 1).sum()) == pytest.approx(100, abs=8), "as many as a quarter of the area"
    nearest = cKDTree(points.numpy()).query(points.numpy(), 2)[0][:, 1]
    assert nearest.min() > 0.4 * 0.1, "random points would come within a hundredth of their mean distance"


def test_the_seed_decides():
    first, second, other = scatter(plate(), 50, 0), scatter(plate(), 50, 0), scatter(plate(), 50, 1)
    assert torch.equal(first[1], second[1]) and not torch.equal(first[1], other[1])


def test_a_mesh_without_area_is_a_mistake():
    with pytest.raises(ValueError, match="no area"):
        scatter(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])), 5, 0)
