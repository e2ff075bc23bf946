"""Paints: pictures of the right kind, decided by the seed, not flat where they should not be."""

from __future__ import annotations

import numpy as np
import pytest

from img23d.training import textures


@pytest.mark.parametrize("paint", [*textures.PATTERNS, textures.mottled, textures.leafy], ids=lambda paint: paint.__name__)
def test_patterns_are_pictures_with_contrast(paint):
    seen = [paint(np.random.default_rng(seed)) for seed in (0, 0, 1, 2)]
    for picture in seen:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[1], seen[2])
    assert max(float(picture.std((0, 1)).max()) for picture in seen) > 3


def test_noise_wraps_around_and_fills_its_range():
    noise = textures.value_noise(np.random.default_rng(0), 128, 4)
    assert noise.shape == (128, 128) and 0 <= noise.min() < 0.35 and 0.65 < noise.max() <= 1
    step = np.abs(np.diff(noise, axis=1)).max()
    assert np.abs(noise[:, 0] - noise[:, -1]).max() <= step * 1.5


def test_stripes_of_a_plain_mix():
    first, second = np.array([0.0, 0, 0]), np.array([200.0, 100, 50])
    assert textures.mix(first, second, np.array([[0.0, 0.5, 2.0]])).tolist() == [[[0, 0, 0], [100, 50, 25], [200, 100, 50]]]


def test_decals_keep_most_of_the_paint():
    ground = textures.plain(np.array([40.0, 80, 120]))
    printed = textures.decal(np.random.default_rng(1), ground)
    same = (printed == [40, 80, 120]).all(-1).mean()
    assert 0.3 < same < 1.0


def test_colours_are_colours():
    rng = np.random.default_rng(2)
    colours = np.stack([textures.random_color(rng) for _ in range(200)])
    assert colours.min() >= 0 and colours.max() <= 255 and colours.std(0).min() > 30
    assert textures.palette(rng, 5).shape == (5, 3)
