"""Photos of every kind load as the same picture; bad ones are refused in one clear line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from img23d.errors import InputError, OutputError
from img23d.io import decode
from img23d.io.images import load_photo, save_image


def ramp(height: int = 40, width: int = 60) -> np.ndarray:
    """A smooth colour picture without symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 4, y * 5, 255 - x * 2 - y * 2], -1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def as_bytes(rgb: torch.Tensor) -> np.ndarray:
    return (rgb * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "YCbCr", "LAB"])
def test_every_mode_is_brought_to_the_same_srgb_picture(tmp_path: Path, mode: str) -> None:
    source = Image.fromarray(ramp())
    if mode == "LAB":
        image = ImageCms.profileToProfile(source, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")
        path = saved(tmp_path / "a.tif", image)
    else:
        path = saved(tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png"), source.convert(mode))
    truth = np.asarray(source.convert("L" if mode in ("L", "LA", "1") else "RGB").convert("RGB"), float)
    photo = load_photo(path)
    assert photo.rgb.shape == (40, 60, 3) and photo.rgb.dtype == torch.float32 and photo.alpha is None and photo.size == (40, 60)
    if mode == "1":  # dithered: only means can agree
        assert set(np.unique(as_bytes(photo.rgb))) == {0, 255} and abs(float(photo.rgb.mean()) * 255 - truth.mean()) < 8
    else:
        most = {"P": 60, "LAB": 36, "YCbCr": 4}.get(mode, 1)  # a palette is coarse, and so is Lab in 8 bits for saturated colours
        assert np.abs(as_bytes(photo.rgb) - truth).max() <= most and np.abs(as_bytes(photo.rgb) - truth).mean() <= most / 3 + 0.5


@pytest.mark.parametrize("kind", ["uint16", "int32", "float 0..1", "float 0..255"])
def test_more_than_eight_bits_are_scaled_not_cut(tmp_path: Path, kind: str) -> None:
    grey = np.linspace(0, 1, 60, dtype=np.float32)[None].repeat(40, 0)
    values = {
        "uint16": (grey * 65535).astype(np.uint16),
        "int32": (grey * 65535).astype(np.int32),
        "float 0..1": grey,
        "float 0..255": grey * 255,
    }
    path = saved(tmp_path / ("a.png" if kind == "uint16" else "a.tif"), Image.fromarray(values[kind]))
    assert np.abs(load_photo(path).rgb[..., 1].numpy() - grey).max() < 0.003


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_that_separates_an_object_becomes_alpha(tmp_path: Path, mode: str) -> None:
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 20:40] = 255
    if mode == "P":
        image = Image.fromarray(np.where(alpha > 0, 1, 0).astype(np.uint8)).convert("P")
        image.putpalette([0, 0, 0, 200, 100, 50])
        path = saved(tmp_path / "a.png", image, transparency=0)
    else:
        image = Image.fromarray(ramp()).convert(mode)
        image.putalpha(Image.fromarray(alpha))
        path = saved(tmp_path / "a.png", image)
    photo = load_photo(path)
    assert photo.alpha is not None and np.array_equal(as_bytes(photo.alpha), alpha)


def test_alpha_that_separates_nothing_is_dropped_and_said_so(tmp_path: Path) -> None:
    image = Image.fromarray(ramp())
    image.putalpha(200)
    photo = load_photo(saved(tmp_path / "a.png", image))
    assert photo.alpha is None and any("alpha" in line for line in photo.warnings)
    image.putalpha(255)
    assert load_photo(saved(tmp_path / "b.png", image)).warnings == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = ramp()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposes that a camera in this orientation applied
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 35
    photo = load_photo(saved(tmp_path / "a.png", stored, exif=exif))
    assert np.array_equal(as_bytes(photo.rgb), upright) and photo.size == (40, 60) and photo.focal_35mm == 35


def test_an_embedded_profile_is_applied(tmp_path: Path) -> None:
    swapped = swapped_primaries_profile()
    path = saved(tmp_path / "a.png", Image.new("RGB", (32, 32), (255, 0, 0)), icc_profile=swapped)
    rgb = load_photo(path).rgb[16, 16]
    assert float(rgb[1]) > 0.9 and float(rgb[0]) < 0.2  # that profile's red is our green
    broken = load_photo(saved(tmp_path / "b.png", Image.new("RGB", (32, 32), (255, 0, 0)), icc_profile=b"junk" * 40))
    assert torch.allclose(broken.rgb[16, 16], torch.tensor([1.0, 0, 0])) and any("profile" in line for line in broken.warnings)


def swapped_primaries_profile() -> bytes:
    """sRGB with the tags of its red and green primaries exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for start in range(132, 132 + 12 * struct.unpack(">I", data[128:132])[0], 12):
        if data[start : start + 4] in (b"rXYZ", b"gXYZ"):
            data[start : start + 4] = b"gXYZ" if data[start : start + 4] == b"rXYZ" else b"rXYZ"
        if data[start : start + 4] == b"desc":  # a name that says sRGB would be believed
            offset, size = struct.unpack(">II", data[start + 4 : start + 12])
            data[offset + 12 : offset + size] = bytes(data[offset + 12 : offset + size]).replace(b"s\0R", b"x\0R").replace(b"sRGB", b"xRGB")
    return bytes(data)


def test_the_first_frame_of_an_animation_is_used_and_said_so(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), color) for color in ((255, 0, 0), (0, 255, 0))]
    photo = load_photo(saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]))
    assert torch.allclose(photo.rgb[0, 0], torch.tensor([1.0, 0, 0])) and "2 frames" in photo.warnings[0]


def test_large_pictures_are_reduced_in_strips_without_seams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[0:900, 0:1300]
    large = np.stack([x * 255 / 1300, y * 255 / 900, (x + y) * 255 / 2200], -1).astype(np.uint8)
    monkeypatch.setattr(decode, "STRIP_BYTES", 40_000)
    for suffix in ("png", "jpg"):
        photo = load_photo(saved(tmp_path / f"a.{suffix}", Image.fromarray(large)), max_side=100)
        assert photo.rgb.shape == (69, 100, 3) and photo.size == (900, 1300) and "1300 x 900" in photo.warnings[0]
        yy, xx = (np.mgrid[0:69, 0:100] + 0.5) / np.array([69, 100])[:, None, None]
        truth = np.stack([xx, yy, (xx * 1300 + yy * 900) / 2200], -1)
        assert np.abs(photo.rgb.numpy() - truth)[2:-2, 2:-2].max() < 0.02


def test_hidden_colours_of_transparent_pixels_do_not_bleed_when_reduced(tmp_path: Path) -> None:
    pixels = np.zeros((400, 400, 4), np.uint8)
    pixels[..., 0] = 255  # transparent red outside
    pixels[100:301, 100:301] = (0, 0, 255, 255)
    photo = load_photo(saved(tmp_path / "a.png", Image.fromarray(pixels)), max_side=100)
    assert photo.alpha is not None and float(photo.rgb[..., 0][photo.alpha > 0.3].max()) < 0.02


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


BAD = {
    "text.png": (b"this is not a picture\n" * 20, "not a picture"),
    "empty.png": (b"", "0 bytes"),
    "truncated.jpg": (jpeg()[:1500], "damaged or cut short"),
    "truncated.png": (png(Image.fromarray(ramp()))[:80], "damaged or cut short"),
    "header.png": (png_header(64, 64), "damaged or cut short"),
    "bomb.png": (png_header(60_000, 60_000), "more than 400 million pixels"),
    "dot.png": (png(Image.new("RGB", (1, 1))), "only 1 x 1 px"),
    "line.png": (png(Image.new("RGB", (6000, 20))), "only 6000 x 20 px"),
    "clear.png": (png(Image.new("RGBA", (64, 64), (9, 9, 9, 0))), "fully transparent"),
    "random.gif": (b"GIF89a" + bytes(range(200)), "damaged|not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_photos_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        load_photo(tmp_path / name)
    assert "\n" not in caught.value.message and name in caught.value.message and caught.value.hint and caught.value.exit_code == 3


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no photo"):
        load_photo(tmp_path / "none.png")
    with pytest.raises(InputError, match="is a folder"):
        load_photo(tmp_path)


def test_the_limit_against_bombs_is_pillows_again_afterwards(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    load_photo(saved(tmp_path / "a.png", Image.fromarray(ramp())))
    assert before == Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_saved_pictures_come_back(tmp_path: Path, channels: int) -> None:
    image = torch.rand(20, 30, channels, generator=torch.Generator().manual_seed(0)) if channels else torch.rand(20, 30)
    path = save_image(tmp_path / "a.png", image)
    back = torch.from_numpy(np.array(Image.open(path))).float() / 255
    assert torch.allclose(back, image[..., 0] if channels == 1 else image, atol=0.5 / 255 + 1e-6)


def test_pictures_of_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="unknown picture format"):
        save_image(tmp_path / "a.xyz", torch.zeros(4, 4, 3))
    with pytest.raises(ValueError, match="must have shape"):
        save_image(tmp_path / "a.png", torch.zeros(4, 4, 2))
