"""Masks, depth and normal maps that a user gives along with a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from img23d.errors import InputError
from img23d.io.decode import decode, readable, to_srgb

Size = tuple[int, int]
Convention = Literal["auto", "opengl", "directx", "opencv", "left"]

ASPECT_TOLERANCE = 0.01
KEEP = 0.1
SIGNS: dict[str, tuple[float, float, float]] = {
    "opengl": (1.0, 1.0, 1.0),
    "directx": (1.0, -1.0, 1.0),
    "opencv": (1.0, -1.0, -1.0),
    "left": (-1.0, 1.0, 1.0),
}
"""What the axes of a normal map mean, as factors to x right, y up, z towards the viewer.

`opengl` is what Marigold and most tools write; `directx` has y down; `opencv` has y down and z into the picture (Omnidata's own
frame, and with red and blue swapped what threestudio's example maps hold, written through OpenCV); `left` has x to the left.
"""


def load_mask(path: str | Path, size: Size) -> Tensor:
    """Load a mask: white (or opaque, in a picture with transparency) is the object.

    Args:
        path: a picture of any mode.
        size: (height, width) to bring it to: the photo's.

    Returns:
        (H, W) float32 coverage 0..1.

    Raises:
        InputError: unreadable, of another shape than the photo, or empty.
    """
    path = Path(path)
    decoded = decode(path, "mask")
    _check_aspect(path, "mask", decoded.size, size)
    image = to_srgb(decoded)
    channel = np.asarray(image.convert("L"), dtype=np.float32) / 255
    if "A" in image.getbands():
        alpha = np.asarray(image.getchannel("A"), dtype=np.float32) / 255
        channel = alpha if float(alpha.min()) < 0.98 else channel
    mask = _resize(torch.from_numpy(channel)[..., None], size)[..., 0]
    if float(mask.max()) < 0.5:
        raise InputError(f"the mask {path} marks nothing", "white or opaque is the object, black or transparent the background")
    return mask


def load_depth(path: str | Path, size: Size, near: bool = False, mask: Tensor | None = None, disparity: bool = False) -> Tensor:
    """Load a depth map of any scale and offset: an 8 or 16-bit picture or a ``.npy`` array.

    Args:
        path: the file.
        size: (height, width) to bring it to: the photo's.
        near: bigger values are nearer (disparity) instead of farther.
        mask: (H, W) of ``size``; values outside it are not mixed into the object's when the map is resized.
        disparity: the map holds inverse depths and is returned as such: bigger is nearer.

    Returns:
        (H, W) float32, bigger is farther unless ``disparity``; 0..1 from pictures, the array's own values from ``.npy``. With ``near``
        the values are subtracted from their maximum. Values that are not finite become the farthest finite one: the largest, or the
        smallest where ``disparity`` is kept.

    Raises:
        InputError: unreadable, coloured, constant, or of another shape than the photo.
    """
    path = Path(path)
    values = _read_array(path) if path.suffix.lower() == ".npy" else _read_grey(path)
    _check_aspect(path, "depth map", (values.shape[0], values.shape[1]), size)
    finite = np.isfinite(values)
    if not finite.any() or float(values[finite].max()) <= float(values[finite].min()):
        raise InputError(f"the depth map {path} has the same value everywhere", "use a map that varies, 16-bit if possible")
    if near:
        values = values[finite].max() - values
    farthest = values[finite].min() if disparity and not near else values[finite].max()
    values = np.where(finite, values, farthest).astype(np.float32)
    return _resize(torch.from_numpy(values)[..., None], size, mask)[..., 0]


def load_normal(path: str | Path, size: Size, mask: Tensor | None = None, convention: Convention = "auto") -> Tensor:
    """Load a camera-frame normal map encoded in colours, whatever tool wrote it.

    Args:
        path: an RGB picture, or a ``.npy`` array (H, W, 3) of vectors.
        size: (height, width) to bring it to: the photo's.
        mask: (H, W) of ``size``: where the object is; without it, the pixels that decode to unit vectors.
        convention: what the axes mean; ``auto`` compares the map with the outward direction of the silhouette, see `find_convention`.

    Returns:
        (H, W, 3) float32 unit vectors: x right, y up, z towards the viewer; (0, 0, 1) where the map holds nothing.

    Raises:
        InputError: unreadable, without colours, or of another shape than the photo.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        values = torch.from_numpy(_read_array(path, 3))
    else:
        decoded = decode(path, "normal map")
        decoded.profile = None  # a colour profile says nothing about vectors
        values = torch.from_numpy(np.asarray(to_srgb(decoded).convert("RGB"), dtype=np.float32) / 127.5 - 1)
    _check_aspect(path, "normal map", (values.shape[0], values.shape[1]), size)
    values = values.nan_to_num(0.0, 0.0, 0.0)  # what a renderer wrote where nothing is
    valid = ((values.norm(dim=-1) - 1).abs() < 0.25).float()
    if mask is not None:
        valid = valid * (_resize(mask[..., None], (values.shape[0], values.shape[1]))[..., 0] > 0.5)
    if float(valid.mean()) < 0.001:
        raise InputError(f"the normal map {path} holds no unit vectors", "use an RGB-encoded map: x right, y up, z towards the viewer")
    swap, signs = find_convention(values, valid) if convention == "auto" else (False, SIGNS[convention])
    vectors = (values.flip(-1) if swap else values) * values.new_tensor(signs) * valid[..., None]
    covered = _resize(valid[..., None], size)
    vectors = F.normalize(_resize(vectors, size), dim=-1)
    return torch.where(covered > 1e-3, vectors, vectors.new_tensor([0.0, 0.0, 1.0]))


def find_convention(values: Tensor, valid: Tensor) -> tuple[bool, tuple[float, float, float]]:
    """Guess which convention of `SIGNS` a normal map follows, and whether red and blue are swapped.

    A solid's normals lean outwards near its silhouette and towards the viewer everywhere else. The map is compared with that under
    every convention; `opengl` is kept unless another explains the map clearly better.

    Args:
        values: (H, W, 3) decoded, -1..1.
        valid: (H, W) 1 where the object is.

    Returns:
        Whether red and blue are swapped, and the factors of x, y and z after swapping.
    """
    height, width = valid.shape
    reach = max(3, round(0.06 * max(height, width))) | 1
    soft = F.pad(valid[None, None], (3 * (reach - 1) // 2 + 1,) * 4)
    for _ in range(3):  # three box filters are close to a Gaussian
        soft = F.avg_pool2d(soft, reach, 1)
    soft = soft[0, 0]
    outward = torch.stack([soft[1:-1, :-2] - soft[1:-1, 2:], soft[2:, 1:-1] - soft[:-2, 1:-1]], -1) * valid[..., None]
    lean = torch.einsum("hwi,hwj->ij", outward, values) / outward.norm(dim=-1).sum().clamp_min(1e-9)
    facing = (values * valid[..., None]).sum((0, 1)) / valid.sum()
    evidence = torch.cat([lean, facing[None]])
    best, chosen = -1e9, (False, SIGNS["opengl"])
    for swap in (False, True):
        for name, signs in SIGNS.items():
            order = [2, 1, 0] if swap else [0, 1, 2]
            score = sum(float(evidence[axis, order[axis]]) * signs[axis] for axis in range(3))
            score += KEEP if name == "opengl" and not swap else 0.0
            if score > best:
                best, chosen = score, (swap, signs)
    return chosen


def _read_grey(path: Path) -> np.ndarray:
    """(H, W) float32 0..1 from a grey picture of 8, 16 or 32 bits."""
    image = decode(path, "depth map").image
    if image.mode == "F":
        return np.asarray(image)
    bands = [np.asarray(band, dtype=np.float32) for band in image.convert("RGB").split()]
    if max(float(np.abs(bands[0] - band).mean()) for band in bands[1:]) > 3:
        raise InputError(f"the depth map {path} is coloured", "use the grey (8 or 16-bit) or .npy output of the depth tool")
    return bands[0] / 255


def _read_array(path: Path, channels: int = 1) -> np.ndarray:
    """(H, W) or (H, W, channels) float32 from a ``.npy`` file."""
    what = "depth map" if channels == 1 else "normal map"
    with readable(path, what):
        values = np.load(path, allow_pickle=False)
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
            raise InputError(f"the {what} {path} holds no array of numbers", "save one array with numpy.save")
    values = values.squeeze()
    if values.ndim == 3 and values.shape[0] == 3 != values.shape[-1]:
        values = values.transpose(1, 2, 0)
    if values.shape[2:] != ((channels,) if channels > 1 else ()) or values.ndim < 2:
        want = "(height, width)" if channels == 1 else f"(height, width, {channels})"
        raise InputError(f"the {what} {path} has shape {values.shape}", f"save an array of shape {want}")
    return np.ascontiguousarray(values, dtype=np.float32)


def _check_aspect(path: Path, what: str, have: Size, want: Size) -> None:
    """Raise `InputError` when a map has another shape than the photo; another resolution is fine."""
    if abs(have[0] * want[1] - have[1] * want[0]) > max(ASPECT_TOLERANCE * have[1] * want[0], max(have), max(want)):
        sizes = f"{have[1]} x {have[0]} px, the photo {want[1]} x {want[0]} px"
        raise InputError(f"the {what} {path} has {sizes}: another shape", "make the map from the same photo, uncropped")


def _resize(values: Tensor, size: Size, mask: Tensor | None = None) -> Tensor:
    """Resize (H, W, C) smoothly; with a mask of the new size, only values inside it are averaged."""
    if tuple(values.shape[:2]) == tuple(size):
        return values
    planes = values.permute(2, 0, 1)[None]
    if mask is None:
        return _interpolate(planes, size)
    # Samples near the border are half background in one of the two sizes: only whole ones count, and the rest take the nearest.
    inside = (_interpolate(mask[None, None].to(values), (values.shape[0], values.shape[1])) > 0.95).to(values).permute(2, 0, 1)[None]
    weight = _interpolate(inside, size)
    known = weight[..., 0] > 0.05
    if not bool(known.any()):
        return _interpolate(planes, size)
    _, (row, column) = distance_transform_edt(~known.numpy(), return_indices=True)
    return (_interpolate(planes * inside, size) / weight.clamp_min(0.05))[torch.from_numpy(row).long(), torch.from_numpy(column).long()]


def _interpolate(planes: Tensor, size: Size) -> Tensor:
    """(1, C, H, W) to (H, W, C) of another size."""
    return F.interpolate(planes, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
