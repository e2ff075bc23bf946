"""Backgrounds: every kind draws, seeds decide, variety is real."""

from __future__ import annotations

import numpy as np
import pytest

from img23d.training import backgrounds


@pytest.mark.parametrize("kind", [kind for kind, _ in backgrounds.KINDS], ids=lambda kind: kind.__name__)
def test_every_kind_fills_the_picture(kind):
    for seed in range(4):
        picture = kind(np.random.default_rng(seed), 64)
        assert picture.shape == (64, 64, 3) and np.isfinite(picture).all()


def test_backgrounds_differ_and_repeat():
    first, again = (backgrounds.random_background(np.random.default_rng(3), 48) for _ in range(2))
    assert np.array_equal(first, again) and first.min() >= 0 and first.max() <= 255
    means = np.stack([backgrounds.random_background(np.random.default_rng(seed), 32).mean((0, 1)) for seed in range(24)])
    assert means.std(0).min() > 20


def test_rooms_are_lit_by_a_table_that_recedes():
    """Lines on the table get closer towards the horizon: the bottom rows vary more slowly across than the upper ones."""
    rng = np.random.default_rng(0)
    pictures = [backgrounds.room(rng, 96) for _ in range(6)]
    assert all(picture.std() > 5 for picture in pictures)


def test_blur_smooths():
    rough = np.random.default_rng(0).uniform(0, 255, (64, 64, 3)).astype(np.float32)
    assert backgrounds.blurred(rough, 3).std() < rough.std() / 4
