"""Photos in and pictures out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from img23d.errors import InputError, OutputError
from img23d.io.decode import decode, to_srgb
from img23d.io.files import atomic_write
from img23d.io.maps import load_depth, load_mask, load_normal
from img23d.scene.shapes import check_shape

__all__ = ["MAX_SIDE", "MIN_SIDE", "Photo", "load_depth", "load_mask", "load_normal", "load_photo", "save_image"]

MAX_SIDE = 4096
MIN_SIDE = 16
OPAQUE = 0.5
TRANSPARENT_SHARE = 0.01

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True)
class Photo:
    """A photo as it is used: upright, sRGB, at most 4096 px a side.

    Args:
        rgb: (H, W, 3) float32, 0..1, sRGB-encoded, not multiplied by alpha.
        alpha: (H, W) float32, 0..1, or None when the file has no transparency worth the name.
        focal_35mm: focal length as on 35 mm film (a diagonal of 43.27 mm), from EXIF, or None.
        path: where it came from, or None for a picture made in memory.
        size: (height, width) of the file, upright, before any reduction.
        warnings: one line each: what was noticed and done while loading.
    """

    rgb: Tensor
    alpha: Tensor | None = None
    focal_35mm: float | None = None
    path: Path | None = None
    size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shape("rgb", self.rgb, None, None, 3)
        if self.alpha is not None:
            check_shape("alpha", self.alpha, *self.rgb.shape[:2])

    @property
    def fov_deg(self) -> float | None:
        """Vertical field of view, degrees, where EXIF tells the focal length; that of 35 mm film refers to the frame's diagonal."""
        if not self.focal_35mm:
            return None
        height, width = self.rgb.shape[:2]
        return math.degrees(2 * math.atan(43.27 * height / math.hypot(height, width) / (2 * self.focal_35mm)))


def load_photo(path: str | Path, max_side: int = MAX_SIDE) -> Photo:
    """Load a photo of any Pillow format, mode and size.

    EXIF rotation and an embedded colour profile are applied; 16-bit, palette, grey, CMYK and animated files are brought to 8-bit RGB.

    Args:
        path: the file.
        max_side: larger pictures are reduced to this many pixels on their longer side.

    Raises:
        InputError: missing, not a file, not a picture, truncated, damaged, too small, too large, or fully transparent.
    """
    path = Path(path)
    decoded = decode(path, "photo", max_side)
    height, width = decoded.size
    if min(height, width) < MIN_SIDE or min(decoded.image.size) < MIN_SIDE:
        raise InputError(f"the photo {path} has only {width} x {height} px", f"use at least {MIN_SIDE} px a side; 256 or more look good")
    image = to_srgb(decoded)
    pixels = torch.from_numpy(np.array(image if image.mode in ("LA", "RGBA") else image.convert("RGB"))).to(torch.float32).div_(255)
    rgb, alpha = pixels[..., :3], None
    if image.mode in ("LA", "RGBA"):
        alpha = pixels[..., -1].contiguous()
        rgb = pixels[..., :-1].expand(-1, -1, 3).contiguous()
        alpha = _meaningful(alpha, path, decoded.warnings)
    return Photo(rgb, alpha, decoded.focal_35mm, path, decoded.size, tuple(decoded.warnings))


def save_image(path: str | Path, image: Tensor, force: bool = True, quality: int = 92) -> Path:
    """Save a picture as PNG, JPEG or WebP, by the path's suffix, whole or not at all.

    Args:
        path: where to.
        image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), 0..1 (clamped), sRGB-encoded.
        force: replace an existing file; otherwise it is an error.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        OutputError: unknown suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise OutputError(f"unknown picture format {path.suffix or 'without suffix'!r} of {path}", "end the name in .png, .jpg or .webp")
    kind = _FORMATS[path.suffix.lower()]
    picture = to_pillow(image)
    if kind == "JPEG" and picture.mode == "RGBA":
        picture = picture.convert("RGB")
    # zlib's fourth level takes half the time of Pillow's own, the sixth, for a tenth more bytes
    return atomic_write(path, lambda partial: picture.save(partial, kind, quality=quality, compress_level=4), force)


def to_pillow(image: Tensor) -> Image.Image:
    """An 8-bit Pillow picture from (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), 0..1 (clamped)."""
    if image.dim() == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.dim() not in (2, 3) or (image.dim() == 3 and image.shape[-1] not in (3, 4)):
        raise ValueError(f"image must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {tuple(image.shape)}")
    return Image.fromarray((image.detach().cpu().clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy())


def _meaningful(alpha: Tensor, path: Path, warnings: list[str]) -> Tensor | None:
    """Alpha that separates an object from its background, or None.

    Raises:
        InputError: nothing is visible.
    """
    if float(alpha.max()) < 0.05:
        raise InputError(f"the photo {path} is fully transparent", "export it again with the object visible")
    share = float((alpha < OPAQUE).float().mean())
    if share >= TRANSPARENT_SHARE and float(alpha.max()) >= OPAQUE:
        return alpha
    if float(alpha.min()) < 0.98:
        warnings.append(f"the alpha channel of {path.name} separates nothing from a background: it is ignored")
    return None
