"""Reading any mesh file into one mesh, with its colours in one texture."""

from __future__ import annotations

import io
import json
import logging
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from img23d.errors import InputError
from img23d.io.decode import readable
from img23d.io.packing import Part, pack, painted_corners
from img23d.io.polygons import with_concave_cut
from img23d.scene import Mesh, TexturedMesh

READABLE = ("glb", "gltf", "obj", "off", "ply", "stl")
MAX_TEXTURE = 4096
STEP, ROUNDED = 2.0**-23, 1e-3  # of float32, as a share of a number; of a mesh's size, what may be rounded
_COMPRESSIONS = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")


def load_mesh(path: str | Path, warnings: list[str] | None = None) -> TexturedMesh | Mesh:
    """Load a mesh of any size, place and unit, closed or not.

    Scenes are flattened, polygons cut into triangles, equal positions welded, several materials packed into one texture, and
    colours per vertex or face painted into one.

    Args:
        path: a GLB, glTF, OBJ, OFF, PLY or STL file.
        warnings: gets a line for every file that is named in it and missing.

    Returns:
        A `TexturedMesh` where the file holds any colour, else a `Mesh`; seams are welded in ``mesh`` and kept in ``uv``.

    Raises:
        InputError: missing, damaged, of an unknown or compressed format, without faces, or with coordinates that are not numbers.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    with readable(path, "mesh"):
        if suffix not in READABLE:
            raise InputError(f"the mesh {path} is of an unknown format", f"convert it to one of {', '.join(READABLE)}")
        if path.stat().st_size == 0:
            raise InputError(f"the mesh {path} is empty (0 bytes)", "copy or export it again")
        notes = [] if warnings is None else warnings
        data = _prepared(path, suffix, notes)
        try:
            parts, material = _read_parts(path, suffix, data, notes)
        except (AttributeError, AssertionError, NotImplementedError, RuntimeError, ImportError) as error:
            raise InputError(
                f"the mesh {path} is damaged or not what its suffix says", "open and export it again in a 3D program"
            ) from error
    if not parts:
        raise InputError(f"the mesh {path} has no faces", "use a surface mesh; point clouds and empty files cannot be refined")
    return _join(path, parts, material)


def weld(vertices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge vertices whose float32 positions are equal.

    Args:
        vertices: (N, 3).

    Returns:
        positions (K, 3) in the order of first appearance, and (N,) int64 which of them each vertex became.
    """
    exact = np.ascontiguousarray(vertices, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
    rows = exact.view(np.dtype((np.void, 12))).reshape(-1)
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return vertices[first[order]], rank[inverse.reshape(-1)].astype(np.int64)


def _join(path: Path, parts: list[Part], material: tuple[float, float]) -> TexturedMesh | Mesh:
    """One mesh from the parts of a file."""
    vertices = np.concatenate([part.vertices for part in parts])
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices)).any(1).sum())
        raise InputError(f"the mesh {path} has {bad} vertices whose coordinates are not finite numbers", "repair it in a 3D program first")
    low, high = vertices.min(0), vertices.max(0)
    if float(np.abs(vertices).max()) * STEP > ROUNDED * float((high - low).max()):
        raise InputError(
            f"the mesh {path} lies so far from the origin that single precision would round its shape away", "move it to the origin first"
        )
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts)])
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"the mesh {path} has faces that name vertices it does not have", "open and export it again in a 3D program")
    positions, rank = weld(vertices)
    faces = rank[faces]
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    corners = positions[faces]
    if not np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any():
        raise InputError(f"the mesh {path} has no faces with an area", "use a surface mesh")
    used, compact = np.unique(faces[keep], return_inverse=True)
    mesh = Mesh(torch.from_numpy(positions[used]).float(), torch.from_numpy(compact.reshape(-1, 3).astype(np.int64)))
    if all(part.plain for part in parts):
        return mesh
    atlas = pack(parts, MAX_TEXTURE)
    uv_faces = atlas.uv_faces[keep]
    uv_used, uv_compact = np.unique(uv_faces, return_inverse=True)
    return TexturedMesh(
        mesh,
        torch.from_numpy(atlas.uv[uv_used]).float(),
        torch.from_numpy(uv_compact.reshape(-1, 3).astype(np.int64)),
        torch.from_numpy(np.array(atlas.color)).float() / 255,
        None if atlas.normal is None else torch.from_numpy(np.array(atlas.normal)).float() / 255,
        material,
        _file_normals(parts, rank, len(positions), used) if atlas.normal is not None else None,
    )


def _file_normals(parts: list[Part], rank: NDArray[np.int64], count: int, used: NDArray[np.int64]) -> torch.Tensor | None:
    """(N, 3) the file's vertex normals, averaged over the copies of each welded vertex: a kept normal map refers to them."""
    normals = np.concatenate([part.normals for part in parts]) if all(part.normals is not None for part in parts) else None
    if normals is None:
        return None
    total = np.stack([np.bincount(rank, normals[:, axis], count) for axis in range(3)], 1)[used]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return torch.from_numpy(total / np.maximum(length, 1e-12)).float() if bool((length > 1e-6).all()) else None


def _prepared(path: Path, suffix: str, warnings: list[str]) -> bytes | None:
    """What to read in the file's place, where the reader would misunderstand that."""
    if suffix == "obj":
        return with_concave_cut(path.read_bytes())
    if suffix in ("glb", "gltf"):
        tree, rest = _scene_tree(path, suffix, warnings)
        return _with_scene(tree, rest, suffix) if "scenes" not in tree and tree.get("nodes") else None
    return None


def _read_parts(path: Path, suffix: str, data: bytes | None, warnings: list[str]) -> tuple[list[Part], tuple[float, float]]:
    """Every piece of surface in a file, placed where the scene puts it, and the first material's (metallic, roughness)."""
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # what matters is said in our own messages
    resolver: Any = _Resolver(path)
    source: Any = path if data is None else io.BytesIO(data)
    loaded = trimesh.load_scene(source, file_type=suffix, process=False, resolver=resolver)
    warnings.extend(f"{name} is missing beside {path.name}: the mesh is read without it" for name in resolver.missing)
    parts: list[Part] = []
    material = (0.0, 0.9)
    for name in loaded.graph.nodes_geometry:
        transform, key = loaded.graph[name]
        geometry = loaded.geometry[key]
        if not isinstance(geometry, trimesh.Trimesh) or len(geometry.faces) == 0:
            continue
        placed = geometry.copy(include_cache=True)
        placed.apply_transform(transform)
        part, found = _part(placed, linear=suffix in ("glb", "gltf"))
        material = found if found is not None and not any(not part.plain for part in parts) else material
        parts.append(part)
    return parts, material


class _Resolver:
    """Finds the files that a mesh file names: beside it, also where the name is escaped as in a web address."""

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self.missing: dict[str, None] = {}  # each name once, in order

    def get(self, name: str) -> bytes:
        """The bytes of a file beside the mesh."""
        beside = self.folder / name
        found = beside if beside.is_file() else self.folder / unquote(name)
        if not found.is_file():
            self.missing[name.strip()] = None
            raise FileNotFoundError(f"{name} is missing beside it")
        return found.read_bytes()

    __getitem__ = get


def _part(geometry: Any, linear: bool) -> tuple[Part, tuple[float, float] | None]:
    """One piece of surface with its colours, whatever way they are given."""
    faces = np.asarray(geometry.faces, np.int64)
    part = Part(np.asarray(geometry.vertices, np.float64), faces)
    if "vertex_normals" in geometry._cache.cache and len(geometry.vertex_normals) == len(part.vertices):
        part.normals = np.asarray(geometry.vertex_normals, np.float64)
    visual = geometry.visual
    if visual.kind in ("vertex", "face"):
        colors = np.asarray(visual.vertex_colors if visual.kind == "vertex" else visual.face_colors)[:, :3] / 255.0
        corner = colors[faces] if visual.kind == "vertex" else np.repeat(colors[:, None], 3, 1)
        part.image, part.corner_uv = painted_corners(_encode(corner) if linear else corner, MAX_TEXTURE)
        return part, None
    material = getattr(visual, "material", None)
    if material is None:
        return part, None
    pbr = material if hasattr(material, "baseColorTexture") else None
    picture = pbr.baseColorTexture if pbr is not None else getattr(material, "image", None)
    factor = _factor(pbr.baseColorFactor) if pbr is not None else None
    uv = getattr(visual, "uv", None)
    if picture is not None and uv is not None and len(uv) == len(part.vertices) and np.isfinite(uv).all():
        part.image = _tinted(picture.convert("RGB"), factor)
        part.corner_uv = np.stack([uv[:, 0], 1 - uv[:, 1]], 1)[faces]  # trimesh counts v from the bottom
        part.normal_image = pbr.normalTexture.convert("RGB") if pbr is not None and pbr.normalTexture is not None else None
    elif factor is not None:
        part.flat = tuple(_encode(factor))
    elif pbr is None and getattr(material, "diffuse", None) is not None and not _default(material):
        part.flat = tuple(np.asarray(material.diffuse[:3]) / 255.0)
    return part, _metallic_roughness(pbr)


def _metallic_roughness(pbr: Any) -> tuple[float, float] | None:
    """The factors of a PBR material; glTF's defaults (1, 1) describe no real object's metal map, so a map keeps ours."""
    if pbr is None or pbr.metallicRoughnessTexture is not None or pbr.metallicFactor is None:
        return None
    return float(pbr.metallicFactor), float(1.0 if pbr.roughnessFactor is None else pbr.roughnessFactor)


def _default(material: Any) -> bool:
    """Whether a material is the one that the reader makes up when a file has none."""
    import trimesh

    return bool(np.array_equal(material.diffuse, trimesh.visual.material.SimpleMaterial().diffuse)) and not getattr(material, "name", None)


def _factor(value: Any) -> NDArray[np.float64] | None:
    """(3,) linear colour factor 0..1, or None."""
    if value is None:
        return None
    factor = np.asarray(value)
    return (factor[:3] / 255.0 if factor.dtype.kind in "ui" else factor[:3].astype(np.float64)).clip(0, 1)


def _tinted(image: Image.Image, factor: NDArray[np.float64] | None) -> Image.Image:
    """A texture multiplied, in linear light, with its material's factor."""
    if factor is None or bool((factor > 0.999).all()):
        return image
    levels = np.arange(256) / 255.0
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    table = np.concatenate([_encode(linear * channel) * 255 + 0.5 for channel in factor])
    return image.point(table.astype(np.uint8).tolist())


def _encode(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light to sRGB."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def _scene_tree(path: Path, suffix: str, warnings: list[str]) -> tuple[dict[str, Any], bytes]:
    """The JSON of a glTF or GLB file, and the bytes after it; says so when it needs a decompressor, instead of finding no faces in it.

    Raises:
        InputError: compressed, or no glTF.
    """
    data, rest = path.read_bytes(), b""
    if suffix == "glb":
        if len(data) < 20 or data[:4] != b"glTF":
            raise InputError(f"the mesh {path} is not a GLB file", "check the file, or export it again")
        end = 20 + struct.unpack("<I", data[12:16])[0]
        data, rest = data[20:end], data[end:]
    tree = json.loads(data)
    if not isinstance(tree, dict):
        raise InputError(f"the mesh {path} is not glTF", "check the file, or export it again")
    for name in _COMPRESSIONS:
        if name in tree.get("extensionsRequired", []):
            raise InputError(f"the mesh {path} is compressed with {name}", "export it without compression")
    if len(tree.get("scenes", [])) > 1:
        warnings.append(f"{path.name} has {len(tree['scenes'])} scenes: only the one that is shown first is read")
    return tree, rest


def _with_scene(tree: dict[str, Any], rest: bytes, suffix: str) -> bytes:
    """The bytes of a file that names no scene, which glTF allows, with one that holds all nodes."""
    children = {child for node in tree["nodes"] for child in node.get("children", [])}
    scene = {"nodes": [number for number in range(len(tree["nodes"])) if number not in children]}
    text = json.dumps({**tree, "scenes": [scene], "scene": 0}).encode()
    if suffix == "gltf":
        return text
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest
