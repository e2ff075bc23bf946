"""Masks, depth and normal maps of any size and convention arrive in ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from img23d.errors import InputError
from img23d.io.maps import SIGNS, load_depth, load_mask, load_normal

SIZE = (96, 128)


def ball(height: int = SIZE[0], width: int = SIZE[1]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask (H, W), depth (H, W, bigger is farther) and normals (H, W, 3) of a ball seen from the front."""
    y, x = np.mgrid[0:height, 0:width]
    right, up = (x + 0.5 - width / 2) / (0.4 * height), -(y + 0.5 - height / 2) / (0.4 * height)
    mask = right**2 + up**2 < 1
    out = np.sqrt(np.clip(1 - right**2 - up**2, 0, 1))
    return mask, 1 - out, np.where(mask[..., None], np.stack([right, up, out], -1), 0)


def encoded(normal: np.ndarray, mask: np.ndarray) -> Image.Image:
    return Image.fromarray((np.where(mask[..., None], normal * 127.5 + 127.5, 0) + 0.5).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("convention", SIGNS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_every_convention_of_normal_maps_is_recognised(tmp_path: Path, convention: str, swap: bool, masked: bool) -> None:
    mask, _, normal = ball()
    stored = normal * SIGNS[convention]
    encoded(stored[..., ::-1] if swap else stored, mask).save(tmp_path / "n.png")
    loaded = load_normal(tmp_path / "n.png", SIZE, torch.from_numpy(mask).float() if masked else None)
    assert float((loaded.numpy() - normal)[mask].__abs__().max()) < 0.02
    assert torch.allclose(loaded.norm(dim=-1), torch.ones(SIZE)) and torch.equal(loaded[0, 0], torch.tensor([0.0, 0, 1]))


def test_arrays_with_nothing_but_nan_around_the_object(tmp_path: Path) -> None:
    mask, _, normal = ball()
    np.save(tmp_path / "n.npy", np.where(mask[..., None], normal * SIGNS["directx"], np.nan).astype(np.float32))
    loaded = load_normal(tmp_path / "n.npy", SIZE)
    assert float((loaded.numpy() - normal)[mask].__abs__().max()) < 0.02
    assert bool(load_normal(tmp_path / "n.npy", (2 * SIZE[0], 2 * SIZE[1])).isfinite().all())


def test_a_named_convention_is_not_second_guessed(tmp_path: Path) -> None:
    mask, _, normal = ball()
    encoded(normal, mask).save(tmp_path / "n.png")
    loaded = load_normal(tmp_path / "n.png", SIZE, convention="directx")
    assert float((loaded.numpy() - normal * SIGNS["directx"])[mask].__abs__().max()) < 0.02


def test_normals_keep_unit_length_and_their_border_in_another_size(tmp_path: Path) -> None:
    mask, _, normal = ball(192, 256)
    encoded(normal, mask).save(tmp_path / "n.png")
    loaded = load_normal(tmp_path / "n.png", SIZE).numpy()
    small_mask, _, small = ball()
    assert np.abs(np.linalg.norm(loaded, axis=-1) - 1).max() < 1e-5
    assert np.abs(loaded - small)[small_mask].mean() < 0.01 and np.abs(loaded - small)[small_mask].max() < 0.25


@pytest.mark.parametrize("kind", ["8 bit", "16 bit", "npy"])
@pytest.mark.parametrize("near", [False, True])
def test_depth_of_every_kind_is_bigger_when_farther(tmp_path: Path, kind: str, near: bool) -> None:
    mask, depth, _ = ball()
    stored = 1 - depth if near else depth
    path = tmp_path / ("d.npy" if kind == "npy" else "d.png")
    if kind == "npy":
        np.save(path, (7 * stored + 2).astype(np.float64))
    else:
        Image.fromarray((stored * 255).astype(np.uint8) if kind == "8 bit" else (stored * 65535).astype(np.uint16)).save(path)
    loaded = load_depth(path, SIZE, near=near).numpy()[mask]
    assert loaded.dtype == np.float32 and np.corrcoef(loaded, depth[mask])[0, 1] > 0.9999
    steps = len(np.unique(loaded))
    assert (steps > 256) == (kind != "8 bit")


def test_background_depth_does_not_leak_over_the_border_when_resized(tmp_path: Path) -> None:
    mask, _, _ = ball(384, 512)
    Image.fromarray(np.where(mask, 200, 0).astype(np.uint8)).save(tmp_path / "d.png")
    small = torch.from_numpy(ball()[0]).float()
    inside = load_depth(tmp_path / "d.png", SIZE, mask=small)[small > 0.5]
    assert float((inside - 200 / 255).abs().max()) < 1e-5
    assert float((load_depth(tmp_path / "d.png", SIZE)[small > 0.5] - 200 / 255).abs().max()) > 0.1


def test_depth_that_is_not_finite_counts_as_far(tmp_path: Path) -> None:
    values = np.linspace(1, 3, SIZE[0] * SIZE[1]).reshape(SIZE)
    values[:4], values[-1, -1] = np.inf, np.nan
    np.save(tmp_path / "d.npy", values)
    loaded = load_depth(tmp_path / "d.npy", SIZE)
    assert bool(torch.isfinite(loaded).all()) and float(loaded[0, 0]) == float(loaded.max())


def test_masks_come_from_brightness_or_alpha(tmp_path: Path) -> None:
    mask = ball()[0]
    grey = Image.fromarray((mask * 255).astype(np.uint8))
    grey.save(tmp_path / "grey.png")
    grey.convert("1").save(tmp_path / "bits.png")
    cut = Image.new("RGB", grey.size, (255, 255, 255))
    cut.putalpha(grey)
    cut.save(tmp_path / "cut.png")
    for name in ("grey", "bits", "cut"):
        assert np.array_equal(load_mask(tmp_path / f"{name}.png", SIZE).numpy() > 0.5, mask)
    half = load_mask(tmp_path / "grey.png", (48, 64)).numpy()
    assert half.shape == (48, 64) and abs(half.mean() - mask.mean()) < 0.005


def test_maps_of_another_shape_are_refused_with_both_sizes(tmp_path: Path) -> None:
    Image.fromarray(np.arange(96 * 96, dtype=np.uint16).reshape(96, 96)).save(tmp_path / "d.png")
    np.save(tmp_path / "d.npy", np.arange(96.0 * 96).reshape(96, 96))
    Image.fromarray(np.full((96, 96, 3), (128, 128, 255), np.uint8)).save(tmp_path / "n.png")
    for load, name in ((load_depth, "d.png"), (load_depth, "d.npy"), (load_mask, "d.png"), (load_normal, "n.png")):
        with pytest.raises(InputError, match="96 x 96 px, the photo 128 x 96 px"):
            load(tmp_path / name, SIZE)


def test_useless_maps_are_refused_in_one_line(tmp_path: Path) -> None:
    Image.new("L", SIZE[::-1], 77).save(tmp_path / "flat.png")
    Image.new("L", SIZE[::-1], 0).save(tmp_path / "black.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)).save(tmp_path / "colour.png")
    (tmp_path / "text.npy").write_bytes(b"nothing of the kind")
    np.save(tmp_path / "cube.npy", np.zeros((*SIZE, 5)))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    for load, name, words in [
        (load_depth, "flat.png", "same value everywhere"),
        (load_depth, "colour.png", "is coloured"),
        (load_depth, "text.npy", "damaged"),
        (load_depth, "cube.npy", r"has shape \(96, 128, 5\)"),
        (load_depth, "words.npy", "no array of numbers"),
        (load_depth, "none.png", "there is no depth map"),
        (load_mask, "black.png", "marks nothing"),
        (load_normal, "black.png", "holds no unit vectors"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            load(tmp_path / name, SIZE)
        assert "\n" not in caught.value.message and caught.value.hint


def test_disparity_that_is_not_finite_counts_as_far(tmp_path: Path) -> None:
    values = np.linspace(1, 2, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)
    values[0, 0] = np.nan
    np.save(tmp_path / "d.npy", values)
    loaded = load_depth(tmp_path / "d.npy", SIZE, disparity=True)
    assert float(loaded[0, 0]) == float(loaded.min()) and float(loaded[-1, -1]) == 2.0
