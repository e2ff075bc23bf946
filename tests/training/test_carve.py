"""Solids from meshes: against balls and boxes, and for surfaces that enclose nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from img23d.training import carve as carving
from img23d.training import carve_compiled
from img23d.training.carve import HALF_SIZE, PREFERENCE, TRUNCATION, carve, carve_views_reference, packed_distance, surface_distance
from img23d.training.objects import TrainingObject


def solid_of(item: TrainingObject, resolution: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances (D, D, D) and sample points (D, D, D, 3)."""
    sdf = carve(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long(), resolution, views=36, size=112).sdf
    axis = torch.linspace(-HALF_SIZE, HALF_SIZE, resolution)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return sdf.float() / 127 * TRUNCATION, torch.stack([x, y, z], -1)


def test_ball_has_its_distance_to_a_fraction_of_a_voxel(sphere):
    sdf, points = solid_of(sphere)
    true = (points.norm(dim=-1) - 0.5).clamp(-TRUNCATION, TRUNCATION)
    step = 2 * HALF_SIZE / 55
    near = true.abs() < 0.7 * step
    assert (sdf - true)[near].abs().max() < 0.6 * step
    assert ((sdf < 0) == (true < 0))[true.abs() > 0.5 * step].all()


def test_box_keeps_its_volume_and_axes(box):
    sdf, points = solid_of(box)
    extent = torch.tensor([0.5, 0.3, 0.15])
    outside = points.abs() - extent
    step = 2 * HALF_SIZE / 55
    assert (sdf[(outside < -0.6 * step).all(-1)] < 0).all()
    assert (sdf[(outside > 0.6 * step).any(-1)] > 0).all()


def test_open_bowl_is_hollow_and_has_a_wall(bowl):
    sdf, points = solid_of(bowl)
    radius = points.norm(dim=-1)
    inner = (radius < 0.35) & (points[..., 1] < -0.05)
    assert (sdf[inner] > 0).all(), "the hollow of a bowl was filled"
    wall = ((radius - 0.5).abs() < 0.3 * 2 * HALF_SIZE / 55) & (points[..., 1] < -0.1)
    assert (sdf[wall] < 0).float().mean() > 0.97, "the wall of a bowl has holes"


def test_hidden_cavity_is_solid(sphere):
    inner = sphere.vertices * 0.5
    item = TrainingObject(
        torch.cat([torch.from_numpy(sphere.vertices), torch.from_numpy(inner)]).numpy(),
        torch.cat([torch.from_numpy(sphere.faces), torch.from_numpy(sphere.faces + len(inner))]).numpy(),
        sphere.corner_uv.repeat(2, 0), sphere.texture, True,
    )  # fmt: skip
    sdf, points = solid_of(item, 40)
    assert (sdf[points.norm(dim=-1) < 0.45] < 0).all()


def test_both_sides_of_a_sheet_are_in_front_of_it():
    generator = torch.Generator().manual_seed(0)
    points = torch.cat([torch.rand(4000, 2, generator=generator) * 0.4 - 0.2, torch.full((4000, 1), 0.003)], -1)
    up = torch.tensor([[0.0, 0.0, 1.0]]).expand_as(points)
    step = 2 * HALF_SIZE / 39
    distance, side = surface_distance(torch.cat([points, points]), torch.cat([up, -up]), 40, step)
    axis = torch.linspace(-HALF_SIZE, HALF_SIZE, 40).abs() < 0.17
    over = (axis[None, :, None] & axis[None, None, :]).expand(40, 40, 40).reshape(-1)
    seen = distance.isfinite() & over
    assert seen.sum() > 100 and (side[seen] > 0).all()


@pytest.mark.parametrize("shape", ["sphere", "box", "bowl"])
def test_compiled_carving_equals_the_reference(shape, request, monkeypatch):
    item = request.getfixturevalue(shape)
    fast, _ = solid_of(item, 40)
    monkeypatch.setattr(carving, "carve_views", carve_views_reference)
    slow, _ = solid_of(item, 40)
    differ = (fast - slow).abs() > TRUNCATION / 60
    assert float(differ.float().mean()) < 1e-3, "more than rounding on the rims"


def test_each_loop_is_compiled_once(sphere, box):
    """Compiling takes seconds; literal numbers and another order of the arrays in memory would ask for it again."""
    for item in (sphere, box):
        solid_of(item, 24)
    turned = torch.from_numpy(box.vertices).T.contiguous().T, torch.from_numpy(box.faces).long().T.contiguous().T
    carve(*turned, 24, views=4, size=32)
    loops = ("carve_views", "_look", "_carve", "surface_distance", "capped_distance", "_lower")
    counts = {name: len(getattr(carve_compiled, name).signatures) for name in loops}  # 0: what calls it came from the cache
    assert max(counts.values()) == counts["carve_views"] == counts["capped_distance"] == 1, counts


def test_compiled_distances_equal_the_reference():
    generator = torch.Generator().manual_seed(5)
    points = torch.rand(3000, 3, generator=generator) * 0.9 - 0.45
    normals = torch.nn.functional.normalize(torch.randn(3000, 3, generator=generator), dim=-1)
    step = 2 * HALF_SIZE / 39
    slow = packed_distance(points, normals, 40, step)
    fast = torch.from_numpy(
        carve_compiled.surface_distance(points.double().numpy(), normals.double().numpy(), 40, -HALF_SIZE, step, PREFERENCE)
    )
    assert torch.equal(slow == 1 << 40, fast == 1 << 40)
    apart = ((slow >> 1) - (fast >> 1)).abs().double() / (1 << 20)
    assert float(apart.max()) < 1e-4 and float(((slow & 1) != (fast & 1)).double().mean()) < 1e-3


def test_capped_distance_is_exact_below_its_cap():
    random = np.random.default_rng(2)
    occupied = random.random((9, 20, 13)) < 0.01
    true = distance_transform_edt(~occupied)
    assert np.allclose(carve_compiled.capped_distance(occupied, 5), np.minimum(true, 5), atol=1e-6)
    assert (carve_compiled.capped_distance(np.zeros((3, 4, 5), bool), 4) == 4).all()
