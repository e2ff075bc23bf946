"""Writing glTF 2.0: one binary GLB, or JSON with its buffer and pictures beside it."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

import img23d
from img23d.io.corners import split
from img23d.io.textures import Encoded, encode_textures
from img23d.scene import Mesh, TexturedMesh

_COMPONENT = {"uint16": 5123, "uint32": 5125, "float32": 5126}
_KIND = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071


def glb_bytes(asset: TexturedMesh | Mesh, extras: dict[str, Any] | None = None, name: str = "object") -> bytes:
    """A mesh as one GLB file.

    Args:
        asset: the mesh; in metres, +Y up, as glTF wants it.
        extras: anything worth keeping, stored as ``asset.extras``.
        name: of the node and mesh.

    Returns:
        The file's bytes.

    Reference:
        Khronos, glTF 2.0 specification, section 4 (GLB file format).
    """
    document = Document(asset, extras, name)
    document.add_pictures(None)
    text = json.dumps(document.tree([{}]), separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    binary = bytes(document.buffer)
    header = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary))
    return header + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary


def gltf_files(asset: TexturedMesh | Mesh, stem: str, extras: dict[str, Any] | None = None) -> dict[str, bytes]:
    """A mesh as glTF with separate files.

    Args:
        asset: the mesh; in metres, +Y up, as glTF wants it.
        stem: first part of all file names, without characters that URIs escape.
        extras: anything worth keeping, stored as ``asset.extras``.

    Returns:
        File name to bytes, the ``.gltf`` last.
    """
    document = Document(asset, extras, stem)
    pictures = document.add_pictures(stem)
    text = json.dumps(document.tree([{"uri": f"{stem}.bin"}]), indent=1, ensure_ascii=False).encode()
    return {**pictures, f"{stem}.bin": bytes(document.buffer), f"{stem}.gltf": text}


class Document:
    """A glTF document while it is put together: lists that refer to each other by index, and the buffer they point into."""

    def __init__(self, asset: TexturedMesh | Mesh, extras: dict[str, Any] | None, name: str) -> None:
        self.asset, self.extras, self.name = asset, extras, name
        self.buffer = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        corners = split(asset)
        self.place = {"translation": list(corners.origin)} if any(corners.origin) else {}  # positions are single precision
        attributes = {"POSITION": self._add(corners.positions, bounds=True), "NORMAL": self._add(corners.normals)}
        if corners.tangents is not None:
            attributes["TANGENT"] = self._add(corners.tangents)
        if corners.uv is not None:
            attributes["TEXCOORD_0"] = self._add(corners.uv)
        # The largest number of each index type means "restart" and may not be used.
        indices = corners.faces.reshape(-1).astype(np.uint16 if len(corners.positions) <= 65535 else np.uint32)
        self.primitive = {"attributes": attributes, "indices": self._add(indices[:, None], _INDEX_BUFFER), "material": 0, "mode": 4}

    def add_pictures(self, stem: str | None) -> dict[str, bytes]:
        """Add the textures: into the buffer, or with a ``stem`` as files whose names and bytes are returned."""
        files: dict[str, bytes] = {}
        for role, picture in self._encoded().items():
            if stem is None:
                self.images.append({"bufferView": self._view(picture.data), "mimeType": picture.mime, "name": role})
            else:
                file = f"{stem}_{role}{picture.suffix}"
                files[file] = picture.data
                self.images.append({"uri": file, "name": role})
        return files

    def tree(self, buffers: list[dict[str, Any]]) -> dict[str, Any]:
        """The whole document as plain Python."""
        about: dict[str, Any] = {"version": "2.0", "generator": f"img23d {img23d.__version__}"}
        if self.extras:
            about["extras"] = self.extras
        buffers[0]["byteLength"] = len(self.buffer)
        tree: dict[str, Any] = {
            "asset": about,
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": self.name, **self.place}],
            "meshes": [{"primitives": [self.primitive], "name": self.name}],
            "materials": [self._material()],
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": buffers,
        }
        if self.images:
            wrap = {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _CLAMP_TO_EDGE, "wrapT": _CLAMP_TO_EDGE}
            tree["samplers"] = [wrap]
            tree["textures"] = [{"sampler": 0, "source": index} for index in range(len(self.images))]
            tree["images"] = self.images
        return tree

    def _encoded(self) -> dict[str, Encoded]:
        return encode_textures(self.asset) if isinstance(self.asset, TexturedMesh) else {}

    def _material(self) -> dict[str, Any]:
        """Metallic-roughness; two-sided only when the mesh is open, whose inside would otherwise be invisible."""
        bare = isinstance(self.asset, Mesh)
        metallic, roughness = (0.0, 0.9) if bare else self.asset.metallic_roughness  # type: ignore[union-attr]
        surface: dict[str, Any] = {"metallicFactor": float(metallic), "roughnessFactor": float(roughness)}
        material: dict[str, Any] = {"name": "surface", "pbrMetallicRoughness": surface}
        if self.images:
            surface["baseColorTexture"] = {"index": 0}
        if len(self.images) > 1:
            material["normalTexture"] = {"index": 1}
        if not is_closed(self.asset.faces if bare else self.asset.mesh.faces):  # type: ignore[union-attr]
            material["doubleSided"] = True
        return material

    def _add(self, values: NDArray[Any], target: int = _VERTEX_BUFFER, bounds: bool = False) -> int:
        """Append an array (count, columns) as an accessor; returns its index."""
        accessor: dict[str, Any] = {
            "bufferView": self._view(np.ascontiguousarray(values).tobytes(), target),
            "componentType": _COMPONENT[values.dtype.name],
            "count": len(values),
            "type": _KIND[values.shape[1]],
        }
        if bounds:
            accessor["min"], accessor["max"] = values.min(0).tolist(), values.max(0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def _view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes, aligned to 4, as a buffer view; returns its index."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.buffer), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.buffer += data + b"\0" * (-len(data) % 4)
        self.views.append(view)
        return len(self.views) - 1


def is_closed(faces: Any) -> bool:
    """Whether every edge of faces (F, 3) is used as often in one direction as in the other."""
    corner = faces.cpu().numpy()
    edges = np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [2, 0]]])
    size = np.int64(edges.max() + 1)
    forward, backward = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    return bool(np.array_equal(np.sort(forward), np.sort(backward)))
