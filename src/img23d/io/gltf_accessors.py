"""Reading and adding the arrays of a glTF document."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img23d.io.beside import Beside

FLOAT = 5126
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", FLOAT: "<f4"}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Buffers:
    """The arrays of a glTF document; new ones are added at its end.

    Args:
        tree: the document, changed in place.
        chunk: a GLB's binary chunk, or None.
        beside: finds the files that hold the buffers.
    """

    def __init__(self, tree: dict[str, Any], chunk: bytes | None, beside: Beside) -> None:
        self.tree, self.chunk, self.beside = tree, chunk, beside
        self.loaded: list[bytes | bytearray] | None = None
        self.added = bytearray()
        self.made: dict[tuple[int, int | None], int] = {}

    def plain(self, index: int, component: int | None = None) -> int:
        """The index of an accessor with the same numbers, none of them sparse; as floats where ``component`` is that."""
        accessor = self.tree["accessors"][index]
        if "sparse" not in accessor and component in (None, accessor["componentType"]):
            return index
        if (index, component) not in self.made:
            values = self.array(index)
            self.made[index, component] = self.add(values.astype(np.float32) if component == FLOAT else values)
        return self.made[index, component]

    def array(self, index: int) -> NDArray[Any]:
        """(count, columns) the numbers of an accessor; normalized ones as what they stand for."""
        accessor = self.tree["accessors"][index]
        columns, kind = _COLUMNS[accessor["type"]], np.dtype(_TYPES[accessor["componentType"]])
        values = np.zeros((accessor["count"], columns), kind)
        if "bufferView" in accessor:
            values = self._rows(accessor["bufferView"], accessor.get("byteOffset", 0), accessor["count"], columns, kind)
        if "sparse" in accessor:
            sparse, values = accessor["sparse"], values.copy()
            where, what = sparse["indices"], sparse["values"]
            number = np.dtype(_TYPES[where["componentType"]])
            rows = self._rows(where["bufferView"], where.get("byteOffset", 0), sparse["count"], 1, number)[:, 0]
            values[rows] = self._rows(what["bufferView"], what.get("byteOffset", 0), sparse["count"], columns, kind)
        if accessor.get("normalized") and kind.kind in "iu":
            return np.maximum(values / np.iinfo(kind).max, -1.0)
        return values

    def add(self, values: NDArray[Any]) -> int:
        """Append an array (count, columns) of 32 bit or shorter numbers; returns its accessor's index."""
        rows = np.ascontiguousarray(values)
        component = next(number for number, kind in _TYPES.items() if np.dtype(kind) == rows.dtype)
        shape = next(name for name, columns in _COLUMNS.items() if columns == rows.shape[1])
        view = {"buffer": len(self.tree.get("buffers", [])), "byteOffset": len(self.added), "byteLength": rows.nbytes}
        self.tree.setdefault("bufferViews", []).append(view)
        self.added += rows.tobytes() + b"\0" * (-rows.nbytes % 4)
        self.tree["accessors"].append(
            {"bufferView": len(self.tree["bufferViews"]) - 1, "componentType": component, "count": len(rows), "type": shape}
        )
        return len(self.tree["accessors"]) - 1

    def glb(self) -> bytes:
        """The document as a GLB: all buffers in one."""
        starts: list[int] = []
        binary = bytearray()
        for buffer in self._loaded():
            starts.append(len(binary))
            binary += buffer + b"\0" * (-len(buffer) % 4)
        views = [
            {**view, "byteOffset": starts[view["buffer"]] + view.get("byteOffset", 0), "buffer": 0}
            for view in self.tree.get("bufferViews", [])
        ]
        tree = {**self.tree, "bufferViews": views, "buffers": [{"byteLength": len(binary)}]}
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(binary), len(text), 0x4E4F534A)
        return head + text + struct.pack("<II", len(binary), 0x004E4942) + bytes(binary)

    def _rows(self, view_index: int, offset: int, count: int, columns: int, kind: np.dtype[Any]) -> NDArray[Any]:
        """(count, columns) numbers in a buffer view, which may be interleaved with others."""
        view = self.tree["bufferViews"][view_index]
        size = columns * kind.itemsize
        stride = view.get("byteStride", size)
        start = view.get("byteOffset", 0) + offset
        length = (count - 1) * stride + size if count else 0
        data = self._loaded()[view["buffer"]][start : start + length]
        if len(data) != length:
            raise ValueError("a buffer is too short")
        whole = np.frombuffer(data + b"\0" * (stride * count - length), np.uint8).reshape(count, stride)
        return np.ascontiguousarray(whole[:, :size]).view(kind).reshape(count, columns)

    def _loaded(self) -> list[bytes | bytearray]:
        """The bytes of all buffers of the file, and those added to them."""
        if self.loaded is None:
            self.loaded = [*(self._load(buffer) for buffer in self.tree.get("buffers", [])), self.added]
        return self.loaded

    def _load(self, buffer: dict[str, Any]) -> bytes:
        """The bytes of one buffer: of a file, of its own address, or of the GLB."""
        if "uri" in buffer:
            before, found, encoded = buffer["uri"].partition("base64,")
            data = base64.b64decode(encoded) if found else self.beside.get(before)
        else:
            data = self.chunk or b""
        if len(data) < buffer["byteLength"]:
            raise ValueError("a buffer is too short")
        return data
