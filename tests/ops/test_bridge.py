"""Bridges between parts that belong together."""

from __future__ import annotations

import torch
from scipy.ndimage import label

from img23d.ops.bridge import bridged

SIZE = 48
STEP = 2 / (SIZE - 1)


def scene(gap: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A ball with a thin leg downwards that misses a piece so long, and the whole of it."""
    axis = torch.linspace(-1, 1, SIZE)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    ball = (x**2 + (y - 0.4) ** 2 + z**2).sqrt() - 0.4
    leg = torch.maximum((x**2 + z**2).sqrt() - 0.07, torch.maximum(y - 0.2, -0.9 - y))
    whole = torch.minimum(ball, leg)
    broken = torch.minimum(ball, torch.maximum(leg, gap / 2 - (y + 0.4).abs()))
    return broken, whole


def test_a_broken_leg_is_mended_and_nothing_else_moves() -> None:
    broken, whole = scene(0.2)
    assert label((broken < 0).numpy())[1] == 2
    mended = bridged(broken, whole, STEP)
    assert label((mended < 0).numpy())[1] == 1
    moved = mended != broken
    height = torch.linspace(-1, 1, SIZE)[None, :, None].expand_as(moved)[moved]
    assert bool((whole[moved] < STEP).all()) and bool(((height + 0.4).abs() < 0.1 + 2 * STEP).all())


def test_what_is_whole_far_or_apart_in_the_guess_stays() -> None:
    broken, whole = scene(0.2)
    assert torch.equal(bridged(whole, whole, STEP), whole)
    assert torch.equal(bridged(broken, broken, STEP), broken), "two things in the guess too"
    wide, whole = scene(0.7)
    assert torch.equal(bridged(wide, whole, STEP), wide)


def test_specks_are_not_tied() -> None:
    _, whole = scene(0.2)
    speck = whole.clone()
    speck[2, 2, 2] = -0.01
    assert torch.equal(bridged(speck, whole.clamp(max=0.0), STEP), speck)
