"""What all monocular networks share: conversions, merging, bad input. No network, no library."""

from __future__ import annotations

import pytest
import torch

from img23d.backends.monocular import Geometry, estimate_geometry, facing, from_disparity, merge, paste
from img23d.errors import ConfigError, WeightsError


def test_paste_puts_grey_outside_and_nothing_inside() -> None:
    rgb = torch.rand(4, 4, 3)
    mask = torch.zeros(4, 4)
    mask[1:3, 1:3] = 1
    out = paste(rgb, mask)
    assert torch.equal(out[1:3, 1:3], rgb[1:3, 1:3])
    assert torch.equal(out[0], torch.full((4, 3), 0.5))


def test_disparity_scale_and_shift_do_not_matter() -> None:
    disparity = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(32, 32)
    first = from_disparity(disparity, mask).depth
    torch.testing.assert_close(from_disparity(disparity * 731 - 12, mask).depth, first, atol=1e-4, rtol=1e-4)
    assert bool((first > 0).all())


def test_disparity_outside_the_mask_has_no_say() -> None:
    disparity = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(32, 32)
    mask[8:24, 8:24] = 1
    wild = torch.where(mask > 0, disparity, disparity * 1e6)
    inside = mask > 0
    torch.testing.assert_close(from_disparity(wild, mask).depth[inside], from_disparity(disparity, mask).depth[inside])


def test_disparity_of_an_empty_mask_and_of_a_constant_is_finite() -> None:
    assert bool(from_disparity(torch.rand(8, 8), torch.zeros(8, 8)).depth.isfinite().all())
    assert bool(from_disparity(torch.ones(8, 8), torch.ones(8, 8)).depth.isfinite().all())


def test_facing_keeps_what_is_seen_and_flattens_the_rest() -> None:
    normal = torch.nn.functional.normalize(torch.tensor([[0.6, 0.0, 0.8], [0.6, 0.0, -0.8], [0.0, 0.0, -1.0]]), dim=-1)
    out = facing(normal)
    torch.testing.assert_close(out[0], normal[0], atol=1e-3, rtol=0)
    torch.testing.assert_close(out[1], torch.tensor([1.0, 0.0, 0.0]), atol=1e-3, rtol=0)
    assert out[2, 2] == 1
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(3))


def test_merge_fills_gaps_and_multiplies_confidence() -> None:
    like = torch.zeros(2, 2, 3)
    depth, normal = torch.rand(2, 2), torch.rand(2, 2, 3)
    half = torch.full((2, 2), 0.5)
    out = merge([Geometry(depth, None, half, True), Geometry(torch.ones(2, 2), normal, half)], like)
    assert torch.equal(out.depth, depth) and torch.equal(out.normal, normal)
    assert torch.equal(out.confidence, half / 2) and out.from_disparity
    assert merge([Geometry(depth)], like).confidence is None


def test_bad_input() -> None:
    picture, mask = torch.rand(8, 8, 3), torch.ones(8, 8)
    with pytest.raises(ValueError, match="square"):
        estimate_geometry(torch.rand(8, 6, 3), torch.ones(8, 6), "onnx", "a.onnx")
    with pytest.raises(ConfigError, match="unknown geometry 'midas'"):
        estimate_geometry(picture, mask, "midas")
    with pytest.raises(ConfigError, match="needs a model"):
        estimate_geometry(picture, mask, "onnx")
    with pytest.raises(WeightsError, match="neither a known name nor a path"):
        estimate_geometry(picture, mask, "onnx", "nowhere/at/all.onnx", offline=True)


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("IMG23D_CACHE", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(WeightsError, match="marigold-depth are not on this machine") as error:
        estimate_geometry(torch.rand(8, 8, 3), torch.ones(8, 8), "marigold", offline=True)
    assert "img23d models fetch marigold-depth" in error.value.hint
    with pytest.raises(WeightsError, match="depth-anything-large may not be used commercially"):
        estimate_geometry(torch.rand(8, 8, 3), torch.ones(8, 8), "depth-anything", "depth-anything-large", offline=True, commercial_ok=True)
