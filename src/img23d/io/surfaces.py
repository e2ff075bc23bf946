"""One piece of surface as the mesh reader gives it, with its colours in whatever way they are given."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from img23d.io.packing import Part, painted_corners

MAX_TEXTURE = 4096


class Pictures:
    """The pictures of a file, each once: equal ones become one, so that they need one place in the texture."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[Image.Image, Image.Image]] = {}  # by identity; the first of each two keeps that from being used again
        self.different: dict[tuple[tuple[int, int], bytes], Image.Image] = {}
        self.tinted: dict[tuple[int, tuple[float, ...]], Image.Image] = {}

    def get(self, picture: Image.Image, factor: NDArray[np.float64] | None = None) -> Image.Image:
        """A picture as RGB, multiplied, in linear light, with a factor."""
        if id(picture) not in self.seen:
            plain = picture.convert("RGB")
            content = plain.size, hashlib.blake2b(plain.tobytes(), digest_size=16).digest()
            self.seen[id(picture)] = picture, self.different.setdefault(content, plain)
        plain = self.seen[id(picture)][1]
        if factor is None or bool((factor > 0.999).all()):
            return plain
        key = id(plain), tuple(factor.tolist())
        if key not in self.tinted:
            self.tinted[key] = _tinted(plain, factor)
        return self.tinted[key]


def surface(placed: Any, geometry: Any, pictures: Pictures, linear: bool) -> tuple[Part, tuple[float, float] | None, bool]:
    """One piece of surface with its colours: those of its picture, else of its vertices or faces, else of its material.

    Args:
        placed: the reader's mesh, where the scene puts it.
        geometry: the same before it was moved, with its colours.
        pictures: those of all pieces so far.
        linear: whether colours per vertex and factors are in linear light, not sRGB.

    Returns:
        the piece, (metallic, roughness) where its material says them, and whether colours that should tint its picture were left out.
    """
    faces = np.asarray(placed.faces, np.int64)
    part = Part(np.asarray(placed.vertices, np.float64), faces)
    visual = geometry.visual
    material: Any = getattr(visual, "material", None)
    pbr = material if hasattr(material, "baseColorTexture") else None
    picture = pbr.baseColorTexture if pbr is not None else None if made_up(geometry) else getattr(material, "image", None)
    factor = _factor(pbr.baseColorFactor) if pbr is not None else None
    colors = _corner_colors(geometry, faces)
    uv, left_out = getattr(visual, "uv", None), False
    if picture is not None and uv is not None and len(uv) == len(part.vertices) and np.isfinite(uv).all():
        if colors is not None and linear:
            tint = colors.reshape(-1, 3).mean(0)
            left_out = bool(np.abs(colors - tint).max() > 0.01)
            factor = factor if left_out else tint if factor is None else tint * factor
        part.image = pictures.get(picture, factor)
        part.corner_uv = np.stack([uv[:, 0], 1 - uv[:, 1]], 1)[faces]  # trimesh counts v from the bottom
        part.normal_image = pictures.get(pbr.normalTexture) if pbr is not None and pbr.normalTexture is not None else None
    elif colors is not None:
        seen = colors if factor is None else colors * factor
        part.image, part.corner_uv = painted_corners(_encode(seen) if linear else seen, MAX_TEXTURE)
    elif factor is not None:
        part.flat = tuple(_encode(factor))
    elif "kd" in getattr(material, "kwargs", {}):  # as written, not as made up
        part.flat = tuple(np.asarray(material.diffuse[:3]) / 255.0)
    return part, _metallic_roughness(pbr), left_out


def made_up(geometry: Any) -> bool:
    """Whether a mesh has the grey picture that the reader makes up for texture coordinates without one; opened ones have a format."""
    image = getattr(getattr(getattr(geometry, "visual", None), "material", None), "image", None)
    return image is not None and image.format is None


def _corner_colors(geometry: Any, faces: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """(F, 3, 3) colours 0..1 of all corners, given per vertex or face, or None; the reader keeps them elsewhere beside a material."""
    visual, count = geometry.visual, len(geometry.vertices)
    if visual.kind == "vertex":
        return _unit(visual.vertex_colors)[faces]
    if visual.kind == "face":
        return np.repeat(_unit(visual.face_colors)[:, None], 3, 1)
    for stored in (getattr(visual, "vertex_attributes", {}), geometry.vertex_attributes):
        if (values := stored.get("color")) is not None and len(values) == count:
            return _unit(values)[faces]
    values = geometry.face_attributes.get("color")
    return np.repeat(_unit(values)[:, None], 3, 1) if values is not None and len(values) == len(faces) else None


def _unit(colors: Any) -> NDArray[np.float64]:
    """(N, 3) colours 0..1 from whole or floating point numbers."""
    values = np.asarray(colors)[:, :3]
    return values / float(np.iinfo(values.dtype).max) if values.dtype.kind in "ui" else values.astype(np.float64).clip(0, 1)


def _metallic_roughness(pbr: Any) -> tuple[float, float] | None:
    """The factors of a PBR material; glTF's defaults (1, 1) describe no real object's metal map, so a map keeps ours."""
    if pbr is None or pbr.metallicRoughnessTexture is not None or pbr.metallicFactor is None:
        return None
    return float(pbr.metallicFactor), float(1.0 if pbr.roughnessFactor is None else pbr.roughnessFactor)


def _factor(value: Any) -> NDArray[np.float64] | None:
    """(3,) linear colour factor 0..1, or None."""
    if value is None:
        return None
    factor = np.asarray(value)
    return (factor[:3] / 255.0 if factor.dtype.kind in "ui" else factor[:3].astype(np.float64)).clip(0, 1)


def _tinted(image: Image.Image, factor: NDArray[np.float64]) -> Image.Image:
    """A texture multiplied, in linear light, with its material's factor."""
    levels = np.arange(256) / 255.0
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    table = np.concatenate([_encode(linear * channel) * 255 + 0.5 for channel in factor])
    return image.point(table.astype(np.uint8).tolist())


def _encode(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light to sRGB."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
