"""Small features vanish from the back's colour, regions and their borders stay."""

from __future__ import annotations

import torch

from img23d.ops.features import without_features


def disc(size: int, x: float, y: float, radius: float) -> torch.Tensor:
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    return ((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) < radius**2


def test_eyes_go_and_halves_stay():
    mask = disc(128, 0, 0, 0.8).float()
    rgb = torch.full((128, 128, 3), 0.2)
    rgb[:, 64:, 0] = 0.9  # one half is red
    painted = rgb.clone()
    painted[disc(128, -0.3, -0.2, 0.1)] = torch.tensor([1.0, 1.0, 1.0])
    calm = without_features(painted, mask)
    inner = disc(128, 0, 0, 0.6)
    assert float((calm - rgb).abs().mean(-1)[inner].mean()) < 0.02
    assert float((calm - rgb)[disc(128, -0.3, -0.2, 0.1)].abs().max()) < 0.02, "the eye is still there"
    assert float((calm - rgb)[disc(128, 0.3, 0, 0.15)].abs().max()) < 0.02


def test_what_lies_outside_the_mask_does_not_bleed_in():
    mask = disc(128, 0, 0, 0.5).float()
    rgb = torch.where(mask[..., None] > 0, 0.3, 1.0).expand(128, 128, 3)
    calm = without_features(rgb, mask)
    assert float((calm - 0.3)[mask > 0.5].abs().max()) < 1e-5


def test_pictures_need_not_be_square_and_smaller_medians_spare_more():
    rgb = torch.full((96, 128, 3), 0.2)
    rgb[:, 60:70] = 0.8  # a stripe
    rgb[20:22, 10:50] = 0.8  # a hair
    mask = torch.ones(96, 128)
    calm = without_features(rgb, mask, 128, 3)
    assert float((calm[:, 63:67] - 0.8).abs().max()) < 0.01 and float((calm[:50, :50] - 0.2).abs().max()) < 0.01
    assert float(without_features(rgb, mask, 128, 12)[40:56, 63:67].max()) < 0.21  # the stripe is gone, too


def test_an_empty_mask_is_no_error():
    rgb = torch.rand(128, 128, 3)
    assert torch.equal(without_features(rgb, torch.zeros(128, 128)), rgb)
