"""Rewriting what a glTF file may hold and its reader would misunderstand."""

from __future__ import annotations

import copy
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img23d.errors import InputError
from img23d.io.beside import Beside
from img23d.io.gltf_accessors import FLOAT, Buffers

COMPRESSIONS = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
UNDERSTOOD = ("KHR_mesh_quantization", "KHR_texture_transform", "EXT_texture_webp", "KHR_xmp_json_ld", "KHR_lights_punctual")
HARMLESS = "KHR_materials_"  # how light is reflected: the base colour is always found where we look for it
TRIANGLES, STRIP, FAN = 4, 5, 6
REPEAT, CLAMP, MIRROR = 10497, 33071, 33648
OUTSIDE = 1e-3  # of a picture: what may be clamped or mirrored away unseen


def prepared_gltf(path: Path, suffix: str, beside: Beside, warnings: list[str]) -> bytes | None:
    """A GLB in a glTF file's place: float attributes, one set of texture coordinates as the base colour is looked up, no fans, a scene.

    Args:
        path: the file.
        suffix: glb or gltf.
        beside: finds its buffers.
        warnings: gets a line for all that is not honoured.

    Returns:
        None where the file is fine as it is.

    Raises:
        InputError: no glTF, compressed, or in need of an extension that is not understood.

    Reference:
        Khronos, glTF 2.0 specification, and its extensions KHR_mesh_quantization and KHR_texture_transform.
    """
    tree, chunk = _parsed(path, suffix)
    _check(path, tree)
    if len(tree.get("scenes", [])) > 1:
        warnings.append(f"{path.name} has {len(tree['scenes'])} scenes: only the one that is shown first is read")
    before = copy.deepcopy(tree)
    notes: dict[str, None] = {}  # each once, in order
    if "scenes" not in tree and tree.get("nodes"):
        children = {child for node in tree["nodes"] for child in node.get("children", [])}
        tree["scenes"] = [{"nodes": [number for number in range(len(tree["nodes"])) if number not in children]}]
        tree["scene"] = 0
    buffers = Buffers(tree, chunk, beside)
    for material in tree.get("materials", []):
        _drop_moved_normals(material, notes)
    for mesh in tree.get("meshes", []):
        for primitive in mesh["primitives"]:
            if primitive.get("mode", TRIANGLES) in (TRIANGLES, STRIP, FAN):
                _prepare(tree, buffers, primitive, notes)
    warnings.extend(f"{path.name} {note}" for note in notes)
    return None if tree == before else buffers.glb()


def _parsed(path: Path, suffix: str) -> tuple[dict[str, Any], bytes | None]:
    """The JSON of a glTF or GLB file, and a GLB's binary chunk."""
    data, chunk = path.read_bytes(), None
    if suffix == "glb":
        if len(data) < 20 or data[:4] != b"glTF":
            raise InputError(f"the mesh {path} is not a GLB file", "check the file, or export it again")
        end = 20 + struct.unpack("<I", data[12:16])[0]
        if len(data) >= end + 8:
            length = struct.unpack("<I", data[end : end + 4])[0]
            chunk = data[end + 8 : end + 8 + length]
        data = data[20:end]
    tree = json.loads(data)
    if not isinstance(tree, dict):
        raise InputError(f"the mesh {path} is not glTF", "check the file, or export it again")
    return tree, chunk


def _check(path: Path, tree: dict[str, Any]) -> None:
    """Refuse what needs an extension that nobody here understands, instead of reading something else."""
    for name in tree.get("extensionsRequired", []):
        if name in COMPRESSIONS:
            raise InputError(f"the mesh {path} is compressed with {name}", "export it without compression")
        if name not in UNDERSTOOD and not name.startswith(HARMLESS):
            raise InputError(f"the mesh {path} needs the glTF extension {name}, which cannot be read", "export it without this extension")


def _prepare(tree: dict[str, Any], buffers: Buffers, primitive: dict[str, Any], notes: dict[str, None]) -> None:
    """Rewrite one primitive's entries in place."""
    attributes = primitive["attributes"]
    for name, accessor in attributes.items():
        if name == "COLOR_0" and tree["accessors"][accessor]["componentType"] != FLOAT:
            tree["accessors"][accessor]["normalized"] = True  # as it must be, though some writers forget to say so
        if name in ("POSITION", "NORMAL", "COLOR_0") or name.startswith("TEXCOORD_"):
            attributes[name] = buffers.plain(accessor, FLOAT)
    if "indices" in primitive:
        primitive["indices"] = buffers.plain(primitive["indices"])
    if primitive.get("mode") == FAN:
        corner = _corners(tree, buffers, primitive)
        faces = np.stack([np.full(max(0, len(corner) - 2), corner[0] if len(corner) else 0), corner[1:-1], corner[2:]], 1)
        primitive["indices"], primitive["mode"] = buffers.add(faces.reshape(-1, 1).astype(np.uint32)), TRIANGLES
    info = _base_texture(tree["materials"][primitive["material"]]) if "material" in primitive else None
    if info is not None:
        _place(tree, buffers, primitive, info, notes)


def _base_texture(material: dict[str, Any]) -> dict[str, Any] | None:
    """What a material says about the texture of its base colour; the older extension goes before the standard entry, as in the reader."""
    glossy = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
    return glossy.get("diffuseTexture") if glossy is not None else material.get("pbrMetallicRoughness", {}).get("baseColorTexture")


def _placement(info: dict[str, Any]) -> tuple[int, tuple[float, ...], float, tuple[float, ...]]:
    """Set of texture coordinates, offset, rotation and scale of a texture."""
    moved = info.get("extensions", {}).get("KHR_texture_transform", {})
    chosen = int(moved.get("texCoord", info.get("texCoord", 0)))
    return chosen, tuple(moved.get("offset", (0.0, 0.0))), float(moved.get("rotation", 0.0)), tuple(moved.get("scale", (1.0, 1.0)))


def _drop_moved_normals(material: dict[str, Any], notes: dict[str, None]) -> None:
    """Leave out a normal map that lies elsewhere than the base colour: both are looked up with the same coordinates here."""
    info, normal = _base_texture(material), material.get("normalTexture")
    if info is not None and normal is not None and _placement(info) != _placement(normal):
        del material["normalTexture"]
        notes["has a normal map with other texture coordinates than its colours: it is read without the normal map"] = None


def _place(tree: dict[str, Any], buffers: Buffers, primitive: dict[str, Any], info: dict[str, Any], notes: dict[str, None]) -> None:
    """Make TEXCOORD_0 the coordinates at which the base colour is to be looked up, in a picture that repeats."""
    attributes = primitive["attributes"]
    texture = tree["textures"][info["index"]]
    if "source" not in texture and "EXT_texture_webp" not in texture.get("extensions", {}):
        notes["has a texture of a kind that cannot be read: it is read without it"] = None
    chosen, offset, rotation, scale = _placement(info)
    if f"TEXCOORD_{chosen}" not in attributes:
        attributes.pop("TEXCOORD_0", None)
        notes[f"has a texture, but a part of it lacks the texture coordinates (set {chosen}): that part is read without it"] = None
        return
    attributes["TEXCOORD_0"] = attributes[f"TEXCOORD_{chosen}"]
    sampler = tree["samplers"][texture["sampler"]] if "sampler" in texture else {}
    wraps = [sampler.get(name, REPEAT) for name in ("wrapS", "wrapT")]
    if (offset, rotation, scale) == ((0.0, 0.0), 0.0, (1.0, 1.0)) and wraps == [REPEAT, REPEAT]:
        return
    given = buffers.array(attributes["TEXCOORD_0"]).astype(np.float64)
    across, down = (given * scale).T
    # Counter-clockwise as seen in the picture, whose v points down (glTF issue 1563).
    cosine, sine = np.cos(rotation), np.sin(rotation)
    uv = np.stack([cosine * across + sine * down, cosine * down - sine * across], 1) + offset
    corner = _triangles(_corners(tree, buffers, primitive), primitive.get("mode", TRIANGLES))
    for axis, wrap in enumerate(wraps):
        wrapped = _wrapped(uv[:, axis], corner, wrap)
        if wrapped is None:
            way = "clamped at its border" if wrap == CLAMP else "mirrored where it repeats"
            notes[f"has a texture that is to be {way}, which faces that reach across cannot be: it is repeated there"] = None
        else:
            uv[:, axis] = wrapped
    if not np.array_equal(uv, given):
        attributes["TEXCOORD_0"] = buffers.add(uv.astype(np.float32))


def _wrapped(values: NDArray[np.float64], faces: NDArray[np.int64], wrap: int) -> NDArray[np.float64] | None:
    """Coordinates along one axis for a picture that repeats, moved into 0..1; None where that would fold faces."""
    low, high = values[faces].min(1), values[faces].max(1)
    if wrap == CLAMP:
        crosses = ((low < -OUTSIDE) & (high > OUTSIDE)) | ((low < 1 - OUTSIDE) & (high > 1 + OUTSIDE))
        return None if crosses.any() else values.clip(0, 1)
    if wrap == MIRROR:
        crosses = np.floor(high - OUTSIDE) > np.floor(low + OUTSIDE)
        return None if crosses.any() else 1 - np.abs(values % 2 - 1)
    return values


def _corners(tree: dict[str, Any], buffers: Buffers, primitive: dict[str, Any]) -> NDArray[np.int64]:
    """The vertices a primitive visits, in order."""
    if "indices" in primitive:
        return buffers.array(primitive["indices"]).reshape(-1).astype(np.int64)
    return np.arange(tree["accessors"][primitive["attributes"]["POSITION"]]["count"])


def _triangles(corners: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """(F, 3) the triangles of a list or strip of corners, whichever way they face."""
    return np.stack([corners[:-2], corners[1:-1], corners[2:]], 1) if mode == STRIP else corners.reshape(-1, 3)
