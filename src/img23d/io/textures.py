"""Encoding the pictures of a textured mesh, and reading colours from them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from img23d.io.images import to_pillow
from img23d.scene import TexturedMesh

JPEG_QUALITY = 92
SMALL_PNG = 500_000
"""Bytes up to which a lossless base colour is always kept."""


@dataclass(frozen=True)
class Encoded:
    """A picture file in memory."""

    data: bytes
    mime: str

    @property
    def suffix(self) -> str:
        return ".png" if self.mime == "image/png" else ".jpg"


def encode_textures(asset: TexturedMesh, lossless: bool = False) -> dict[str, Encoded]:
    """The pictures of an asset: ``base_color``, and ``normal`` where there is one.

    The base colour is a PNG, or a JPEG where that saves more than half of a large file; normals are always PNG, because a
    JPEG's blocks would be seen in the shading.
    """
    color = to_pillow(asset.base_color)
    encoded = {"base_color": Encoded(_png(color), "image/png")}
    if not lossless and len(encoded["base_color"].data) > SMALL_PNG:
        stream = io.BytesIO()
        color.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
        if stream.tell() < len(encoded["base_color"].data) / 2:
            encoded["base_color"] = Encoded(stream.getvalue(), "image/jpeg")
    if asset.normal_map is not None:
        encoded["normal"] = Encoded(_png(to_pillow(asset.normal_map)), "image/png")
    return encoded


def sample(texture: Tensor, uv: Tensor) -> Tensor:
    """Look a texture up bilinearly, clamped at its borders.

    Args:
        texture: (R, R, C).
        uv: (P, 2), (0, 0) top left.

    Returns:
        (P, C).
    """
    planes = texture.permute(2, 0, 1)[None]
    grid = (uv * 2 - 1).to(texture.dtype)[None, :, None]
    looked = torch.nn.functional.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return looked[0, :, :, 0].T


def vertex_colors(asset: TexturedMesh) -> NDArray[np.uint8]:
    """(N, 3) sRGB bytes: the mean of the texture's colours at the copies of each vertex."""
    corner_color = sample(asset.base_color, asset.uv)[asset.uv_faces.reshape(-1)].to(torch.float64)
    vertex, count = asset.mesh.faces.reshape(-1), len(asset.mesh.vertices)
    total = torch.zeros(count, 3, dtype=torch.float64, device=vertex.device).index_add(0, vertex, corner_color)
    uses = torch.zeros(count, dtype=torch.float64, device=vertex.device).index_add(0, vertex, torch.ones_like(vertex, dtype=torch.float64))
    mean = total / uses.clamp_min(1)[:, None]
    return (mean.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=7)
    return stream.getvalue()
