"""Decoding any picture file with Pillow: every mode and size, upright, in sRGB, within memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from img23d.errors import InputError

MAX_PIXELS = 400_000_000
"""Larger pictures are refused: 20,000 px square needs 1.6 GB to decode, and a file that claims more is most likely a decompression bomb."""

STRIP_BYTES = 64_000_000
"""Large pictures are converted and reduced in strips of about this size, so that no full-size copy is ever made."""

_ORIENTATION = 0x0112
_EXIF, _FOCAL_35MM = 0x8769, 0xA405
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass
class Decoded:
    """A picture as it came from its file.

    Args:
        image: upright, of mode L, LA, RGB, RGBA, CMYK, LAB or F (0..1); CMYK and LAB only until `to_srgb`.
        size: (height, width) in the file, upright, before any reduction.
        focal_35mm: focal length as on 35 mm film (a diagonal of 43.27 mm), from EXIF, or None.
        profile: the embedded ICC profile, or None.
        warnings: one line each.
    """

    image: Image.Image
    size: tuple[int, int]
    focal_35mm: float | None = None
    profile: bytes | None = None
    warnings: list[str] = field(default_factory=list)


def decode(path: Path, what: str = "photo", max_side: int | None = None) -> Decoded:
    """Decode a picture file's first frame, upright.

    Args:
        path: the file.
        what: the word for it in error messages.
        max_side: reduce the picture so that its longer side is at most this many pixels.

    Raises:
        InputError: missing, not a file, empty, not a picture, truncated, damaged or too large.
    """
    with readable(path, what):
        if path.stat().st_size == 0:
            raise InputError(f"the {what} {path} is empty (0 bytes)", "copy or download it again")
        with _own_pixel_limit(), Image.open(path) as image:
            return _decode(image, path, what, max_side)


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn what can go wrong while a file is read into one clear line.

    Raises:
        InputError: the file is missing, is not a file, cannot be read, or is not what it should be.
    """
    try:
        there = path.exists()
    except PermissionError as error:
        raise InputError(f"no permission to read the {what} {path}", "check the permissions of its folder") from error
    if not there:
        raise InputError(f"there is no {what} at {path}", "check the path")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise InputError(f"the {what} {path} is {kind}", "name one file; `img23d batch` takes folders" if path.is_dir() else "name a file")
    try:
        yield
    except UnidentifiedImageError as error:
        raise InputError(f"the {what} {path} is not a picture that can be read", "convert it to PNG or JPEG") from error
    except PermissionError as error:
        raise InputError(f"no permission to read the {what} {path}", "check the file's permissions") from error
    except MemoryError as error:
        raise InputError(f"not enough memory to decode the {what} {path}", "make the picture smaller") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error) as error:
        # Pillow's readers raise all of these for damaged files.
        raise InputError(f"the {what} {path} is damaged or cut short ({_one_line(error)})", "copy or download it again") from error


def to_srgb(decoded: Decoded) -> Image.Image:
    """The picture as L, LA, RGB or RGBA in sRGB; what its colour profile does not allow is noted in ``decoded.warnings``."""
    image, profile = decoded.image, decoded.profile
    if image.mode == "F":
        return Image.fromarray((np.asarray(image) * 255 + 0.5).astype(np.uint8))
    if image.mode == "LAB":
        return ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB") or image
    if profile is None:
        return image.convert("RGB") if image.mode == "CMYK" else image
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    opaque = image.convert(image.mode[:-1]) if alpha is not None else image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opaque.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        converted = ImageCms.profileToProfile(opaque, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or opaque
    except (ImageCms.PyCMSError, OSError):
        decoded.warnings.append("the embedded colour profile is damaged or does not fit the picture: taken as sRGB")
        return image.convert("RGB") if image.mode == "CMYK" else image
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _decode(image: Image.Image, path: Path, what: str, max_side: int | None) -> Decoded:
    """Load, reduce and turn an opened picture; all of Pillow's errors pass through."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        claim = f"{width} x {height} px, more than {MAX_PIXELS // 1_000_000} million pixels"
        raise InputError(f"the {what} {path} claims {claim}", "make it smaller; 4096 px a side is all that is used")
    warnings: list[str] = []
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        warnings.append(f"the {what} {path.name} has {frames} frames: only the first is used")
        image.seek(0)
    if max_side is not None and max(width, height) > max_side:
        image.draft(None, (min(width, max_side), min(height, max_side)))
        warnings.append(f"the {what} {path.name} has {width} x {height} px: reduced to {max_side} px on its longer side")
    image.load()
    orientation, focal = _exif(image)
    profile = image.info.get("icc_profile")
    plain = _plain_small(image, (width, height), max_side)
    if orientation in _TURNS:
        plain = plain.transpose(_TURNS[orientation])
    size = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    return Decoded(plain, size, focal, profile if isinstance(profile, bytes) and profile else None, warnings)


def _plain_small(image: Image.Image, size: tuple[int, int], max_side: int | None) -> Image.Image:
    """Bring a loaded picture to a plain mode and, in strips, to at most ``max_side`` px on its longer side."""
    white = _white(image)
    if max_side is None or max(image.size) <= max_side:
        return _plain(image, white)
    scale = max_side / max(size)
    target = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    factor = max(1, int(max(image.size) / max_side / 1.2))  # whole pixels are averaged first, then a smooth filter does the rest
    rows = max(1, STRIP_BYTES // (4 * image.width * factor)) * factor
    reduced = None
    for top in range(0, image.height, rows):
        strip = _plain(image.crop((0, top, image.width, min(top + rows, image.height))), white).reduce(factor)
        reduced = reduced or Image.new(strip.mode, (strip.width, -(-image.height // factor)))
        reduced.paste(strip, (0, top // factor))
    assert reduced is not None
    return reduced.resize(target, Image.Resampling.LANCZOS if reduced.mode != "F" else Image.Resampling.BOX)


def _plain(image: Image.Image, white: float) -> Image.Image:
    """One of the modes L, LA, RGB, RGBA, CMYK, LAB or F (0..1)."""
    mode = image.mode
    if mode == "F" or mode.startswith("I"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32) / np.float32(white), nan=0.0, posinf=1.0, neginf=0.0)
        return Image.fromarray(values.clip(0, 1))
    if "transparency" in image.info or mode in ("PA", "La", "RGBa", "RGBX", "RGBA"):
        return image.convert("LA" if mode == "La" else "RGBA")
    if mode == "P":
        return image.convert("RGB")
    if mode in ("L", "LA", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _white(image: Image.Image) -> float:
    """The value that means white in pictures of more than 8 bits, or of floating point numbers."""
    if image.mode not in ("I", "F"):
        return 65535.0
    values = np.asarray(image)
    top = float(values.max(where=np.isfinite(values), initial=0))
    scales = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    return next((white for white in scales if top <= white), top)


def _exif(image: Image.Image) -> tuple[int, float | None]:
    """Orientation (1 to 8) and the 35 mm focal length, where EXIF is there and sound."""
    try:
        exif = image.getexif()
        orientation = int(exif.get(_ORIENTATION, 1))
        focal = float(exif.get_ifd(_EXIF).get(_FOCAL_35MM, 0))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, ZeroDivisionError, struct.error):
        return 1, None
    return orientation, focal if 4 <= focal <= 2000 else None


@contextmanager
def _own_pixel_limit() -> Iterator[None]:
    """Pillow's limit against decompression bombs off for the moment: ours, in `_decode`, is higher and does not warn first."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
