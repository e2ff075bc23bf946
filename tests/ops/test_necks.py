"""Necks: two balls on a rod."""

from __future__ import annotations

import torch

from img23d.fields.analytic import Sphere
from img23d.ops.necks import necks
from img23d.ops.volume import volume_points

POINTS = volume_points(96).reshape(-1, 3)


def two_balls(rod: float) -> torch.Tensor:
    """(96, 96, 96) signed distance: balls of radius 0.4 and 0.2 at x = -0.4 and 0.5, and a rod of this radius between them."""
    left, right = (Sphere(radius).sdf(POINTS - torch.tensor([x, 0.0, 0.0])) for x, radius in ((-0.4, 0.4), (0.5, 0.2)))
    along = torch.maximum(torch.hypot(POINTS[:, 1], POINTS[:, 2]) - rod, (POINTS[:, 0] - 0.05).abs() - 0.45)
    return torch.minimum(torch.minimum(left, right), along).reshape(96, 96, 96)


def test_a_neck_is_found_between_the_balls():
    found = necks(two_balls(0.03), 0.04)
    assert 0 < len(found) < 100
    assert float(found[:, 0].min()) > 0.0 and float(found[:, 0].max()) < 0.3
    assert float(found[:, 1:].abs().max()) < 0.04


def test_what_is_thick_apart_or_everywhere_thin_has_no_neck():
    for volume, depth in ((two_balls(0.08), 0.04), (two_balls(-1.0), 0.04), (two_balls(0.03), 0.3), (torch.ones(8, 8, 8), 0.04)):
        found = necks(volume, depth)
        assert found.shape == (0, 3) and found.dtype == volume.dtype
