"""Crops: geometry, fringes, sampling."""

import pytest
import torch

from img23d.ops.crop import Box, crop, object_box, resize_views_image, spread


def test_box_centres_the_object():
    mask = torch.zeros(100, 200)
    mask[20:60, 30:110] = 1
    box = object_box(mask, 0.8)
    assert (box.left + box.side / 2, box.top + box.side / 2, box.side) == (70.0, 40.0, 100.0)


@pytest.mark.parametrize(("side", "size"), [(40.0, 40), (80.0, 40), (20.0, 40), (64.0, 48)])
def test_a_linear_gradient_survives_any_scale(side, size):
    y, x = torch.meshgrid(torch.arange(96.0) + 0.5, torch.arange(120.0) + 0.5, indexing="ij")
    image = torch.stack([x, y], -1)
    box = Box(20.0, 10.0, side)
    place = (torch.arange(size) + 0.5) * side / size
    found = crop(image, box, size)
    inner = slice(2, -2)
    assert torch.allclose(found[inner, inner, 0], (20 + place).expand(size, size)[inner, inner], atol=0.3 * side / size)
    assert torch.allclose(found[inner, inner, 1], (10 + place)[:, None].expand(size, size)[inner, inner], atol=0.3 * side / size)


def test_background_does_not_bleed_into_the_object():
    image = torch.zeros(64, 64, 3)
    image[..., 1] = 1.0  # green background
    mask = torch.zeros(64, 64)
    mask[16:48, 16:48] = 1
    image[16:48, 16:48] = torch.tensor([1.0, 0.0, 0.0])
    small = crop(image, object_box(mask, 0.8), 20, mask)
    covered = crop(mask[..., None], object_box(mask, 0.8), 20)[..., 0] > 0.3
    assert bool(covered.any())
    assert torch.allclose(small[covered], torch.tensor([1.0, 0.0, 0.0]).expand_as(small[covered]), atol=1e-4)


def test_past_the_border_is_empty():
    found = crop(torch.ones(10, 10, 1), Box(-10.0, -10.0, 30.0), 30)
    assert float(found[:9, :9].max()) == 0.0
    assert float(found[12:18, 12:18].min()) == pytest.approx(1.0)


def test_spread_takes_the_nearest_known_colour():
    image, known = torch.zeros(5, 9, 1), torch.zeros(5, 9, dtype=torch.bool)
    image[2, 1], image[2, 7] = 3.0, 5.0
    known[2, 1] = known[2, 7] = True
    filled = spread(image, known)
    assert (float(filled[0, 0]), float(filled[4, 8])) == (3.0, 5.0)


def test_resizing_keeps_the_mean():
    image = torch.rand(2, 64, 64, 3)
    assert torch.allclose(resize_views_image(image, 16).mean((1, 2)), image.mean((1, 2)), atol=1e-6)
    assert resize_views_image(image[..., 0], 96).shape == (2, 96, 96)
