"""Textured objects to learn from: any folder of GLB files, or code that makes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from img23d.errors import InputError

PALETTE_SIDE = 64  # textures up to this size are palettes of flat colours: sample them without interpolation


@dataclass(frozen=True)
class TrainingObject:
    """A textured triangle mesh, light enough to keep thousands in memory.

    Args:
        vertices: (N, 3) float32, +Y up, any scale; one vertex per position (seams are split in ``corner_uv`` only).
        faces: (F, 3) int32, not necessarily closed or consistently wound.
        corner_uv: (F, 3, 2) float32 glTF texture coordinates, (0, 0) top left.
        texture: (h, w, 3) uint8 sRGB.
        nearest: sample the texture without interpolation (palettes).
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    corner_uv: NDArray[np.float32]
    texture: NDArray[np.uint8]
    nearest: bool = False

    def __post_init__(self) -> None:
        faces = len(self.faces)
        for name, array, shape in (
            ("vertices", self.vertices, (None, 3)),
            ("faces", self.faces, (faces, 3)),
            ("corner_uv", self.corner_uv, (faces, 3, 2)),
            ("texture", self.texture, (None, None, 3)),
        ):
            if array.ndim != len(shape) or any(want is not None and have != want for have, want in zip(array.shape, shape)):
                raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
        if faces and (int(self.faces.min()) < 0 or int(self.faces.max()) >= len(self.vertices)):
            raise ValueError(f"faces has entries outside 0..{len(self.vertices) - 1}")


@dataclass(frozen=True)
class ObjectFile:
    """One entry of a folder of objects.

    Args:
        path: the GLB file.
        family: objects of one family never fall on both sides of a split.
        licence: as the folder's manifest says, or "".
        attribution: who made it, as the manifest says, or "".
        name: its path inside the folder, such as ``pack/Chair_03b.glb``.
    """

    path: Path
    family: str
    licence: str = ""
    attribution: str = ""
    name: str = ""

    def load(self) -> TrainingObject:
        """Read the file."""
        return load_object(self.path)


class Source(Protocol):
    """An object to learn from that is made or read when it is needed."""

    @property
    def family(self) -> str:
        """Objects of one family never fall on both sides of a split."""

    def load(self) -> TrainingObject:
        """The object."""


def load_object(path: str | Path) -> TrainingObject:
    """Read a GLB or glTF file as one textured mesh.

    Args:
        path: the file; several meshes and materials are joined, colours without a texture become a palette.

    Raises:
        InputError: the file is missing, torn, or holds no triangles.
    """
    import trimesh

    try:
        scene = trimesh.load_scene(path)
        mesh = scene.to_geometry()
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(f"cannot read the mesh {path}: {error}", "a glTF 2.0 file (.glb)") from error
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise InputError(f"{path} holds no triangles", "a glTF 2.0 file (.glb) with at least one mesh")
    texture, corner_uv = _appearance(mesh)
    vertices, faces = merge_positions(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32))
    area = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return TrainingObject(vertices, faces[area], corner_uv[area], texture, max(texture.shape[:2]) <= PALETTE_SIDE)


def _appearance(mesh) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The base-colour texture and (F, 3, 2) glTF coordinates of a trimesh mesh."""
    faces, visual = np.asarray(mesh.faces), mesh.visual
    uv, material = getattr(visual, "uv", None), getattr(visual, "material", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if uv is not None and picture is not None:
        corner = np.asarray(uv, np.float32)[faces]
        corner[..., 1] = 1.0 - corner[..., 1]  # trimesh counts v from the bottom
        return np.asarray(picture.convert("RGB"), np.uint8), corner
    if visual.kind == "vertex":
        colours, index = np.unique(np.asarray(visual.vertex_colors)[faces].mean(1)[:, :3].astype(np.uint8), axis=0, return_inverse=True)
    else:
        colour = np.asarray(getattr(material, "main_color", (180, 180, 180, 255)))[:3].astype(np.uint8)
        colours, index = colour[None], np.zeros(len(faces), np.int64)
    centre = ((index.reshape(-1) + 0.5) / len(colours)).astype(np.float32)
    corner = np.repeat(np.stack([centre, np.full_like(centre, 0.5)], -1)[:, None], 3, 1)
    return np.ascontiguousarray(colours[None]), corner


def merge_positions(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """One vertex per position, so that seams of the texture don't tear the surface.

    Args:
        vertices: (N, 3).
        faces: (F, 3).

    Returns:
        vertices (M, 3) and faces (F, 3) into them.
    """
    span = max(float(np.ptp(vertices, axis=0).max()), 1e-12)
    key = np.round((vertices - vertices.min(0)) * (1e5 / span)).astype(np.int64)
    packed = (key[:, 0] << 42) | (key[:, 1] << 21) | key[:, 2]
    _, first, index = np.unique(packed, return_index=True, return_inverse=True)
    return np.ascontiguousarray(vertices[first]), index.reshape(-1)[faces].astype(np.int32)


def list_objects(folder: str | Path) -> list[ObjectFile]:
    """All GLB files of a folder, with licence and attribution where its ``manifest.json`` tells.

    Raises:
        InputError: the folder has no GLB files.
    """
    folder = Path(folder)
    manifest = folder / "manifest.json"
    told = {entry["file"]: entry for entry in json.loads(manifest.read_text())} if manifest.is_file() else {}
    found = []
    for path in sorted(folder.rglob("*.glb")):
        name = path.relative_to(folder).as_posix()
        entry = told.get(name, {})
        found.append(ObjectFile(path, family_of(name), entry.get("licence", ""), entry.get("attribution", ""), name))
    if not found:
        raise InputError(f"{folder} holds no .glb files", "--data FOLDER with textured GLB objects")
    return found


def family_of(name: str) -> str:
    """The family of ``pack/Chair_03b.glb``: its name without numbers, sizes and colours, so that variants stay together."""
    pack, _, stem = name.rpartition("/")
    stem = stem.removesuffix(".glb").lower().replace("-", "_").replace(" ", "_")
    words = [word.strip("0123456789") for word in stem.split("_")]
    kept = [word for word in words if len(word) > 1][:2] or [stem]
    return f"{pack}/{'_'.join(kept)}"


def normalise(item: TrainingObject) -> TrainingObject:
    """The same object with its bounding box centred and its longest side 1."""
    low, high = item.vertices.min(0), item.vertices.max(0)
    vertices = (item.vertices - (low + high) / 2) / max(float((high - low).max()), 1e-12)
    return TrainingObject(vertices.astype(np.float32), item.faces, item.corner_uv, item.texture, item.nearest)
