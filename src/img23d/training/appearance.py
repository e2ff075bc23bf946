"""Colours of training objects: texture lookup, random recolouring, and what cameras and cut-outs do to a picture."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from img23d.priors import frame
from img23d.training.objects import TrainingObject


def texture_colour(item: TrainingObject, uv: Tensor) -> Tensor:
    """(N, 3) sRGB 0..1 of an object's texture at (N, 2) glTF coordinates; the texture repeats."""
    texture = torch.tensor(item.texture, device=uv.device)
    height, width = texture.shape[:2]
    x, y = (uv[:, 0] % 1.0) * width, (uv[:, 1] % 1.0) * height
    flat = texture.reshape(-1, 3)
    if item.nearest:
        return flat[y.long().clamp(0, height - 1) * width + x.long().clamp(0, width - 1)].float() / 255
    x, y = x - 0.5, y - 0.5
    left, top = x.floor(), y.floor()
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    left, top = left.long(), top.long()

    def at(row: Tensor, column: Tensor) -> Tensor:
        return flat[row.clamp(0, height - 1) * width + column.clamp(0, width - 1)].float()

    upper = at(top, left) * (1 - fx) + at(top, left + 1) * fx
    lower = at(top + 1, left) * (1 - fx) + at(top + 1, left + 1) * fx
    return (upper * (1 - fy) + lower * fy) / 255


class Recolouring:
    """A random change of an object's colours that is a function of colour and place, so that front and back agree.

    Flat-coloured models are common to learn from and rare in photos: many get a pattern in space on top of their palette.
    """

    def __init__(self, random: np.random.Generator, flat: bool, device: torch.device | str) -> None:
        self.matrix = torch.eye(3, device=device)
        if random.random() < 0.6:
            hue = np.linalg.qr(np.eye(3) + random.uniform(0.0, 1.2) * random.normal(0, 0.4, (3, 3)))[0]
            hue = hue * np.sign(np.diag(hue))
            axis = np.full((3, 3), 1 / 3)
            mixed = axis + random.uniform(0.2, 1.3) * (np.eye(3) - axis) @ hue @ (np.eye(3) - axis)
            self.matrix = torch.tensor(mixed, dtype=torch.float32, device=device)
        self.power = float(np.exp(random.uniform(-0.5, 0.5)))
        self.pattern: Tensor | None = None
        if random.random() < (0.5 if flat else 0.15):
            size = int(np.exp(random.uniform(np.log(4), np.log(40))))
            channels = random.normal(0.0, 1.0, (1, 1, size, size, size)) * random.uniform(0.2, 1.0, (1, 3, 1, 1, 1))
            self.pattern = torch.tensor(channels, dtype=torch.float32, device=device)
            self.strength = float(random.uniform(0.03, 0.3))
            self.nearest = bool(random.random() < 0.2)

    def __call__(self, colour: Tensor, points: Tensor) -> Tensor:
        """(N, 3) sRGB of colours (N, 3) at object points (N, 3) within [-0.5, 0.5]^3."""
        colour = (colour @ self.matrix.T).clamp(0.0, 1.0) ** self.power
        if self.pattern is not None:
            grid = (points * 2.0)[None, None, None]
            mode = "nearest" if self.nearest else "bilinear"
            wave = torch.nn.functional.grid_sample(self.pattern, grid, mode=mode, align_corners=True, padding_mode="border")
            colour = (colour + self.strength * wave[0, :, 0, 0].T).clamp(0.0, 1.0)
        return colour


def photograph(random: np.random.Generator, rgb: np.ndarray, whole: int = 0) -> np.ndarray:
    """What a camera does to a picture (S, S, 3) float sRGB 0..1: exposure, white balance, blur, noise and JPEG.

    Pictures of half the size are those of full size made smaller: their noise is the mean of four pixels', their JPEG blocks are as fine.
    Of a part of a picture ``whole`` tells the pixels along that one's side.
    """
    from PIL import Image, ImageFilter

    size, full = whole or len(rgb), (frame.IMAGE_SIZE, frame.IMAGE_SIZE)
    rgb = rgb * np.exp(random.normal(0.0, 0.12)) * np.exp(random.normal(0.0, 0.03, 3))
    rgb = (rgb - 0.5) * np.exp(random.normal(0.0, 0.1)) + 0.5
    if random.random() < 0.4:
        rgb = rgb + random.normal(0.0, np.exp(random.uniform(-5.0, -3.2)) * size / frame.IMAGE_SIZE, rgb.shape)
    picture = Image.fromarray((rgb.clip(0, 1) * 255).astype(np.uint8))
    if random.random() < 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.2) * size / frame.IMAGE_SIZE))
    if random.random() < 0.35:
        stored = io.BytesIO()
        large = picture if size >= frame.IMAGE_SIZE else picture.resize(full, Image.Resampling.BICUBIC)
        large.save(stored, "JPEG", quality=int(random.integers(35, 95)))
        picture = Image.open(stored).convert("RGB")
        picture = picture if size >= frame.IMAGE_SIZE else picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(picture)


def cut_out_errors(random: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """A mask (S, S) float 0..1 as an imperfect background removal gives it: mostly fine, sometimes too tight, too wide or with a bite."""
    from scipy.ndimage import gaussian_filter

    choice = random.random()
    if choice < 0.55:
        return mask
    if choice < 0.9:
        soft = gaussian_filter(mask, random.uniform(0.5, 1.5) * len(mask) / frame.IMAGE_SIZE)
        return ((soft - random.uniform(0.3, 0.7)) * random.uniform(2.0, 8.0) + 0.5).clip(0, 1)
    size = len(mask)
    rows, columns = np.nonzero(mask > 0.5)
    place = int(random.integers(len(rows))) if len(rows) else 0
    y, x = (rows[place], columns[place]) if len(rows) else (0, 0)
    radius = random.uniform(0.01, 0.05) * size
    bite = np.hypot(*np.meshgrid(np.arange(size) - y, np.arange(size) - x, indexing="ij")) < radius
    return np.where(bite, float(random.random() < 0.3), mask)
