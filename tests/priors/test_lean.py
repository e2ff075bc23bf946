"""Photos that lean: the angle by the silhouette, and the view set upright."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from img23d.config import Estimate, Prior, Segment
from img23d.io.images import load_photo
from img23d.priors.frame import FILL
from img23d.priors.lean import lean_of, lean_of_sides, middle_of, turned_picture, upright
from img23d.scene import Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.estimate import estimate
from img23d.stages.segment import Maps, segment

SIZE = 256


def plane():
    line = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    down, right = torch.meshgrid(line, line, indexing="ij")
    return right, -down


def mug(handle: bool = True) -> torch.Tensor:
    """A body that narrows downwards with round ends, and a handle to the right."""
    x, y = plane()
    half = 0.45 + 0.08 * y
    body = (
        (x.abs() < half) & (y.abs() < 0.6) | ((x / 0.5) ** 2 + ((y - 0.6) / 0.12) ** 2 < 1) | ((x / 0.4) ** 2 + ((y + 0.6) / 0.1) ** 2 < 1)
    )
    ring = torch.hypot(x - 0.5, y / 1.2)
    return (body | ((ring < 0.3) & (ring > 0.2) & handle)).float()


def leaning(mask: torch.Tensor, degrees: float) -> torch.Tensor:
    return turned_picture(mask[..., None], math.radians(degrees), (0.5, 0.5))[..., 0].clamp(0, 1)


@pytest.mark.parametrize("degrees", [-8.0, -3.0, 2.0, 6.0])
@pytest.mark.parametrize("handle", [True, False])
def test_a_turned_shape_is_found_to_lean_whatever_its_handle(degrees, handle):
    assert math.degrees(lean_of(leaning(mug(handle), degrees))) == pytest.approx(-degrees, abs=0.8)


@pytest.mark.parametrize("degrees", [-5.0, 3.0])
def test_a_box_is_found_to_lean_by_its_sides_however_they_converge(degrees):
    x, y = plane()
    # Two sides of a box seen from above, the left one wider; what is below is farther away.
    box = ((x + 0.02).abs() < 0.5 + 0.04 * y) & (y < 0.6) & (y > -0.6 + 0.3 * (x + 0.2).abs())
    assert lean_of_sides(box.float()) == 0.0
    assert math.degrees(lean_of_sides(leaning(box.float(), degrees))) == pytest.approx(-degrees, abs=0.8)


def test_what_stands_upright_or_has_no_sides_does_not_lean():
    x, y = plane()
    lopsided = ((x < 0.2) & (x > -0.5) & (y.abs() < 0.6) | (x.abs() < 0.6) & (y < -0.2) & (y > -0.6)).float()
    ball, nothing, dot = (torch.hypot(x, y) < 0.7).float(), torch.zeros(SIZE, SIZE), (torch.hypot(x, y) < 0.02).float()
    for mask in (mug(), ball, nothing, dot, lopsided):
        assert lean_of(mask) == 0.0
    for mask in (ball, nothing, dot):
        assert lean_of_sides(mask) == 0.0


def test_a_view_set_upright_fills_its_crop_with_its_maps_turned_along():
    angle = math.radians(7.0)
    mask = leaning(mug(False), -7.0)
    x, y = plane()
    slope = F.normalize(torch.stack([x * 0 + 0.5, x * 0, x * 0 + 1], -1), dim=-1)
    rgb, depth = (
        torch.stack([x, y, x], -1)[None] * 0.5 + 0.5,
        torch.where(mask > 0.5, 3 + x, 0.0),
        # Nothing beside the object, as crops have it.
    )
    views = Views(orbit_degrees([0.0], 0.0, 3.0, 40.0), rgb, mask[None], depth[None], (slope * (mask > 0.5)[..., None])[None])
    straight = upright(views, angle)
    inside = straight.mask[0] > 0.5
    rows = torch.nonzero(inside.any(1)).flatten()
    assert (int(rows[-1]) - int(rows[0]) + 1) / SIZE == pytest.approx(FILL, abs=0.01)
    assert middle_of(straight.mask[0]) == pytest.approx((0.5, 0.5), abs=0.01) and lean_of(straight.mask[0]) == 0.0
    assert float((inside ^ inside.flip(1)).float().sum() / inside.sum()) < 0.02
    grown = float(straight.cameras.focal[0, 0] / views.cameras.focal[0, 0])
    assert float(inside.sum()) / float((mask > 0.5).sum()) == pytest.approx(grown**2, rel=0.02)
    # What ran from left to right runs upwards, too: in the maps' values, in the depths, and in the normals' directions.
    assert straight.depth is not None and straight.normal is not None
    right, down = (straight.depth[0, 128, 160] - straight.depth[0, 128, 96], straight.depth[0, 160, 128] - straight.depth[0, 96, 128])
    assert math.degrees(math.atan2(-float(down), float(right))) == pytest.approx(7.0, abs=0.3)
    sure = straight.mask[0] > 0.9
    across = y * math.sin(angle) + x * math.cos(angle)  # how far to the right each place was, seen from the middle
    off = (straight.depth[0] - 3 - across / grown)[sure]
    assert float((off - off.median()).abs().max()) < 0.02, "rims stay as deep as they were"
    normal = straight.normal[0, 128, 128]
    assert float((straight.normal[0][sure] - normal).abs().max()) < 1e-4
    assert math.degrees(math.atan2(float(normal[1]), float(normal[0]))) == pytest.approx(7.0, abs=0.3)
    assert torch.allclose(straight.rgb[0, 128, 128, 0] * 2 - 1, straight.depth[0, 128, 128] - 3, atol=1e-3)


@pytest.mark.slow
def test_a_leaning_mug_is_as_round_as_an_upright_one(context):
    photo = load_photo(Path(__file__).parents[2] / "examples" / "photos" / "mug.png")
    views = segment(photo, Maps(), None, Segment(), context)
    tilted = upright(views, math.radians(7.0))
    options = Prior(resolution=48), Estimate()
    (plain, solid), (straight, again) = (estimate(one, False, *options, context) for one in (views, tilted))
    assert solid.known and again.known
    assert float(((plain.mask > 0.5) ^ (straight.mask > 0.5)).float().sum() / (plain.mask > 0.5).sum()) < 0.04
    inside, other = solid.sdf < 0, again.sdf < 0
    assert float((inside & other).sum() / (inside | other).sum()) > 0.85
