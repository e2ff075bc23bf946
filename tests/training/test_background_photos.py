"""Backgrounds from photos and panoramas."""

import math

import numpy as np
import pytest
from PIL import Image

from img23d.errors import InputError
from img23d.training.background_photos import list_photos, look_into, part_of, photo_backgrounds
from img23d.training.dataset import held_out
from img23d.training.foreground_train import PHOTOS_HELD_OUT, ForegroundOptions, all_backgrounds


class Fixed:
    """A source of chance that always looks straight ahead, 90 degrees wide."""

    def uniform(self, low, high):
        return 90.0 if low == 45 else (low + high) / 2

    def normal(self, mean, spread):
        return 0.0


def panorama(height: int = 64) -> np.ndarray:
    """Longitude in red, latitude in green, 0..255 from left to right and from top to bottom."""
    picture = np.zeros((height, 2 * height, 3), np.uint8)
    picture[..., 0] = ((np.arange(2 * height) + 0.5) / (2 * height) * 255)[None]
    picture[..., 1] = ((np.arange(height) + 0.5) / height * 255)[:, None]
    return picture


def test_a_camera_sees_the_right_directions_of_a_panorama():
    seen = look_into(Fixed(), panorama(256), 65)
    assert seen.shape == (65, 65, 3)
    assert seen[32, 32].tolist() == pytest.approx([127.5, 127.5, 0], abs=1.5)
    # 90 degrees wide: its left and right edges look 45 degrees aside, a quarter of the way round apart
    assert float(seen[32, 64, 0]) - float(seen[32, 0, 0]) == pytest.approx(255 / 4, abs=2)
    assert float(seen[64, 32, 1]) - float(seen[0, 32, 1]) == pytest.approx(255 / 2, abs=2)
    # corners lie as high as the tangent of their angle says
    latitude = math.atan(1 / math.sqrt(2))
    assert float(seen[0, 0, 1]) == pytest.approx((0.5 - latitude / math.pi) * 255, abs=2)


def test_a_panorama_closes_at_its_seam():
    picture = panorama(64)
    picture[..., 0] = np.abs(np.arange(128) - 63.5)[None] * 2  # from the seam, where it is brightest, to the middle
    for seed in range(12):
        seen = look_into(np.random.default_rng(seed), picture, 40)[..., 0].astype(int)
        assert np.abs(np.diff(seen[20])).max() < 12  # a camera that looks across the seam sees no edge there


def test_a_photo_gives_parts_of_itself():
    photo = np.zeros((60, 100, 3), np.uint8)
    photo[..., 2] = 90
    part = part_of(np.random.default_rng(1), photo, 24)
    assert part.shape == (24, 24, 3) and (part[..., 2] == 90).all()


def test_photos_of_a_folder_and_what_is_wrong_with_it(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        list_photos(tmp_path)
    Image.fromarray(panorama(32)).save(tmp_path / "wide.png")
    (tmp_path / "below").mkdir()
    Image.fromarray(np.full((40, 30, 3), 7, np.uint8)).save(tmp_path / "below" / "upright.jpg", quality=100)
    made = photo_backgrounds(list_photos(tmp_path), 12, 5, 16)
    assert made.shape == (12, 16, 16, 3) and made.dtype == np.uint8
    assert np.array_equal(made, photo_backgrounds(list_photos(tmp_path), 12, 5, 16))
    assert {bool((picture == 7).all()) for picture in made} == {True, False}  # both are drawn from
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken\.png"):
        photo_backgrounds(list_photos(tmp_path), 12, 5, 16)


def test_photos_that_examine_are_not_learnt_from(tmp_path):
    for number in range(12):
        Image.fromarray(np.full((32, 32, 3), 10 * number, np.uint8)).save(tmp_path / f"{number}.png")
    examining = {10 * number for number in range(12) if held_out(str(number), PHOTOS_HELD_OUT)}
    assert examining and len(examining) < 12
    options = ForegroundOptions(backgrounds=40, examined=40, background_photos=str(tmp_path))
    for examine in (False, True):
        cut = all_backgrounds(options, examine)[40:]
        seen = {int(picture[0, 0, 0]) for picture in cut}
        assert seen and (seen <= examining if examine else not seen & examining)
    for path in tmp_path.glob("*.png"):
        if 10 * int(path.stem) not in examining:
            path.unlink()
    with pytest.raises(InputError, match="examine"):
        all_backgrounds(options, False)
