"""Photos of one object in other exposures are brought together; paint is not taken for exposure."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from img23d.ops.exposure import exposure_gain
from img23d.ops.srgb import to_linear, to_srgb

GAIN = torch.tensor([0.62, 0.55, 0.5])


def sphere(count: int = 4000) -> Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(points, dim=-1)


def shown(points: Tensor, paint: Tensor, side: float, gain: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """What a photo from +Z (side 1) or -Z (-1) shows of linear paint (N, 3), and how far it can be trusted."""
    return to_srgb((paint * gain).clamp(0, 1)), ((side * points[:, 2] + 0.1) / 0.4).clamp(0, 1)


def dappled(points: Tensor) -> Tensor:
    """(N, 3) linear paint with patches, alike on all sides."""
    return 0.25 + 0.12 * torch.sin(9 * points[:, [1, 0, 0]] + torch.tensor([0.0, 1.0, 2.0]))


def test_a_darker_and_tinted_photo_gets_back_what_it_lacks() -> None:
    points = sphere()
    paint = dappled(points)
    found = exposure_gain(points, shown(points, paint, 1), shown(points, paint, -1, GAIN))
    torch.testing.assert_close(found * GAIN, torch.ones(3), atol=0.06, rtol=0)


def test_photos_that_agree_stay_as_they_are() -> None:
    points = sphere()
    paint = dappled(points)
    found = exposure_gain(points, shown(points, paint, 1), shown(points, paint, -1))
    torch.testing.assert_close(found, torch.ones(3), atol=0.05, rtol=0)


def test_a_hue_of_one_side_alone_is_paint() -> None:
    points = sphere()
    paint = torch.where(points[:, 2:] > 0.35, torch.tensor([0.30, 0.20, 0.16]), torch.tensor([0.2, 0.2, 0.2]))
    found = exposure_gain(points, shown(points, paint, 1), shown(points, paint, -1, 0.7))
    assert float(found.log().std()) < 0.02 and 1.2 < float(found.mean()) < 1.7, "the band where both meet has no tint"


@pytest.mark.parametrize(
    ("front", "back"),
    [([0.60, 0.03, 0.03], [0.03, 0.07, 0.60]), ([0.9, 0.9, 0.9], [0.04, 0.04, 0.04]), ([0.001, 0.001, 0.001], [0.3, 0.3, 0.3])],
)  # fmt: skip
def test_sides_of_other_colours_are_left_alone(front: list[float], back: list[float]) -> None:
    points = sphere()
    paint = torch.where(points[:, 2:] > 0, torch.tensor(front), torch.tensor(back))
    assert exposure_gain(points, shown(points, paint, 1), shown(points, paint, -1)).tolist() == [1.0, 1.0, 1.0]


def test_where_the_photos_meet_may_deny_what_their_means_say() -> None:
    points = sphere()
    rim = points[:, 2:].abs() < 0.3
    paint = torch.where(rim, torch.tensor([0.3] * 3), torch.where(points[:, 2:] > 0, torch.tensor([0.4] * 3), torch.tensor([0.15] * 3)))
    assert exposure_gain(points, shown(points, paint, 1), shown(points, paint, -1)).tolist() == [1.0, 1.0, 1.0], "a phone's two faces"


def test_too_little_tells_nothing() -> None:
    points = sphere(30)
    paint = dappled(points)
    assert exposure_gain(points, shown(points, paint, 1), shown(points, paint, -1, 0.5)).tolist() == [1.0, 1.0, 1.0]


def test_linear_light_is_what_is_multiplied() -> None:
    points = sphere()
    paint = dappled(points)
    dark = shown(points, paint, -1, 0.6)
    found = exposure_gain(points, shown(points, paint, 1), dark)
    torch.testing.assert_close(to_linear(dark[0]) * found, paint, atol=0.03, rtol=0)
