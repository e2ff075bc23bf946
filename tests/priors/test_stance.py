"""How far the elevation that the network tells is believed."""

import math
from dataclasses import replace

import pytest
import torch

from img23d.priors import frame
from img23d.priors.embedded import Prediction
from img23d.priors.stance import aspect, settled_elevation, upright_elevation

SIZE, FOV = 64, math.radians(20.0)


def seen_column(elevation: float, width: float = 0.3, doubt: float = 0.1, told: float = 0.6, height: float = 0.8) -> Prediction:
    """What a network may say of an upright slab, 0.3 deep, seen from an elevation: its silhouette is a rectangle."""
    axis = frame.pixel_axis(SIZE)
    x, y = axis[None].expand(SIZE, SIZE), -axis[:, None].expand(SIZE, SIZE)
    mask = ((x.abs() < width) & (y.abs() < height)).float()
    middle = 1 / math.tan(FOV / 2)
    # Up is (0, cos e, sin e) towards the camera: the depth z of the slab's middle solves z = -tan(e) * y * (middle + z) / middle.
    slope = math.tan(elevation) * y / middle
    depth = -slope * middle / (1 + slope)
    flat = torch.zeros(SIZE, SIZE)
    normal = torch.tensor([0.0, 0.0, 1.0]).expand(SIZE, SIZE, 3)
    return Prediction(
        mask, depth - 0.15, depth + 0.15, flat, flat, normal, flat, torch.zeros(SIZE, SIZE, 3), flat, torch.ones(8, 32, 32),
        (-frame.DEPTH_RANGE, frame.DEPTH_RANGE), told, doubt, 0.0, FOV,
    )  # fmt: skip


@pytest.mark.parametrize("degrees", [-15.0, 0.0, 10.0, 35.0])
def test_an_upright_slab_tells_the_elevation(degrees):
    assert math.degrees(upright_elevation(seen_column(math.radians(degrees)))) == pytest.approx(degrees, abs=0.3)


def test_what_is_not_doubted_is_believed():
    said = seen_column(0.0, doubt=math.radians(2.0), told=math.radians(30.0))
    assert math.degrees(settled_elevation(said)) == pytest.approx(30.0, abs=0.5)


def test_what_is_doubted_is_drawn_to_where_it_stands_upright():
    said = seen_column(0.0, doubt=math.radians(25.0), told=math.radians(30.0))
    assert math.degrees(settled_elevation(said)) < 8
    leaning = seen_column(math.radians(30.0), doubt=math.radians(25.0), told=math.radians(30.0))
    assert settled_elevation(said) + math.radians(8) < settled_elevation(leaning) < math.radians(25)


def test_the_more_doubt_the_less_is_left_of_it():
    found = [settled_elevation(seen_column(0.0, doubt=math.radians(doubt), told=math.radians(40.0))) for doubt in (1, 5, 10, 15, 30)]
    assert found == sorted(found, reverse=True) and found[0] - found[-1] > math.radians(25)


def test_wide_things_are_believed_more_than_tall_ones():
    wide, tall = (seen_column(0.0, width, math.radians(10.0), math.radians(30.0), height) for width, height in ((0.8, 0.3), (0.3, 0.8)))
    assert settled_elevation(wide) > settled_elevation(tall) + math.radians(5)
    assert aspect(wide.mask > 0.5) == pytest.approx(0.3 / 0.8, rel=0.1) and aspect(tall.mask > 0.5) == pytest.approx(0.8 / 0.3, rel=0.1)


def test_an_empty_picture_changes_nothing():
    said = replace(seen_column(0.0, told=0.3, doubt=1.0), mask=torch.zeros(SIZE, SIZE))
    assert settled_elevation(said) == 0.3
