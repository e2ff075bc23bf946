"""Which side a text model is told of."""

import math

import pytest
import torch

from img23d.scores.directions import SIDES, mixed_sides, side_of, side_prompts, without_unwanted


@pytest.mark.parametrize(
    ("azimuth", "elevation", "side"),
    [(0, 0, "front"), (44, 10, "front"), (-44, 10, "front"), (316, 0, "front"), (90, 0, "side"), (-90, 0, "side"), (270, 0, "side"),
     (180, 0, "back"), (-170, 0, "back"), (136, 0, "back"), (0, 61, "overhead"), (180, 80, "overhead")],
)  # fmt: skip
def test_sides_have_names(azimuth, elevation, side):
    assert SIDES[side_of(azimuth, elevation)] == side


def test_each_side_has_its_prompt():
    assert side_prompts("a mug") == ["a mug, front view", "a mug, side view", "a mug, back view", "a mug, overhead view"]


def test_between_two_sides_both_are_wanted():
    share, _ = mixed_sides(30.0)
    torch.testing.assert_close(share, torch.tensor([2 / 3, 1 / 3, 0, 0]))
    share, _ = mixed_sides(-120.0)
    torch.testing.assert_close(share, torch.tensor([0, 2 / 3, 1 / 3, 0]))
    for azimuth in range(-180, 361, 15):
        share, unwanted = mixed_sides(azimuth)
        assert float(share.sum()) == pytest.approx(1) and all(weight <= 0 for _, weight in unwanted)
        torch.testing.assert_close(share, mixed_sides(-azimuth)[0])


def test_a_front_is_unwanted_everywhere_but_in_front():
    assert dict(mixed_sides(0.0)[1]) == pytest.approx({0: 0.0, 1: -(4 - 2.426)}, abs=0.001)
    assert dict(mixed_sides(180.0)[1]) == pytest.approx({1: -(1 - 0.606), 0: -(1 + 0.967)}, abs=0.001)
    assert dict(mixed_sides(120.0)[1])[0] == pytest.approx(-(math.exp(-1 / 3) + 0.967), abs=0.001)


def test_only_what_differs_from_the_wanted_is_taken_away():
    nothing = torch.zeros(2, 1, 1)
    wanted, other = torch.tensor([1.0, 0.0]).reshape(2, 1, 1), torch.tensor([3.0, 2.0]).reshape(2, 1, 1)
    found = without_unwanted(nothing, wanted, [(other, -0.5)], 10.0)
    torch.testing.assert_close(found.flatten(), torch.tensor([10.0, -10.0]))  # of (3, 2) only (0, 2) is not wanted
    same = without_unwanted(nothing, wanted, [(2 * wanted, -0.5)], 10.0)
    torch.testing.assert_close(same.flatten(), torch.tensor([10.0, 0.0]))


def test_where_text_changes_nothing_nothing_is_done():
    nothing = torch.rand(4, 2, 2)
    torch.testing.assert_close(without_unwanted(nothing, nothing, [(torch.rand(4, 2, 2), 0.0)], 7.0), nothing)
