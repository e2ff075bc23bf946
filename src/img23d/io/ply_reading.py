"""Cutting the polygons of PLY files into triangles: the reader knows only files whose faces all have as many corners."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img23d.io.polygons import folded, triangles

_CODES = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H", "uint16": "H",
    "int": "i", "int32": "i", "uint": "I", "uint32": "I", "float": "f", "float32": "f", "double": "d", "float64": "d",
    "int64": "q", "uint64": "Q", "float16": "e",
}  # fmt: skip
DIFFUSE = re.compile(rb"(^property[ \t]+\w+[ \t]+)diffuse_(?=(?:red|green|blue|alpha)\b)", re.MULTILINE)
CORNERS = ("vertex_indices", "vertex_index")


@dataclass
class Element:
    """One kind of thing in a PLY file.

    Args:
        name: vertex, face, ...
        count: how many there are.
        properties: name to the code of its numbers, and of the length before them where it is a list.
    """

    name: str
    count: int
    properties: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    @property
    def simple(self) -> bool:
        """Whether all rows are of one length."""
        return all(length is None for _, length in self.properties.values())

    def kind(self, order: str) -> np.dtype[Any]:
        """The type of a row, where that is simple."""
        return np.dtype([(name, order + code) for name, (code, _) in self.properties.items()])


def prepared_ply(data: bytes) -> bytes | None:
    """A PLY of triangles whose colours have the names that its reader knows; None where the file is fine as it is."""
    end = data.find(b"end_header")
    header = data[: max(end, 0)]
    if not DIFFUSE.search(header) or re.search(rb"^property[ \t]+\w+[ \t]+red\b", header, re.MULTILINE):
        return triangulated_ply(data)
    renamed = DIFFUSE.sub(rb"\1", header) + data[end:]
    return triangulated_ply(renamed) or renamed


def triangulated_ply(data: bytes) -> bytes | None:
    """A PLY of triangles in place of one with other polygons; texture coordinates per corner and colours per face stay with them.

    Args:
        data: the file's bytes.

    Returns:
        A binary PLY, its lists other than those left out; None where all faces are triangles, or where this is no such file.
    """
    start, style, elements, comments = _header(data)
    face = next((element for element in elements if element.name == "face" and element.count), None)
    corner_list = next((name for name in CORNERS if face is not None and name in face.properties), None)
    before = elements[: elements.index(face)] if face is not None else []
    vertex = next((element for element in before if element.name == "vertex"), None)
    if face is None or vertex is None or corner_list is None or not all(element.simple for element in before):
        return None
    order = ">" if style == "binary_big_endian" else "<"
    if style == "ascii":
        lines = data[start:].split(b"\n")
        first = sum(element.count for element in before)
        rows = lines[first : first + face.count]
        if next(iter(face.properties)) == corner_list and all(row.split(None, 1)[0] == b"3" for row in rows):
            return None
        skipped = sum(element.count for element in before[: before.index(vertex)])
        table = np.array([tuple(line.split()) for line in lines[skipped : skipped + vertex.count]])
        vertices = np.zeros(vertex.count, vertex.kind(order))
        for column, name in enumerate(vertex.properties):
            vertices[name] = table[:, column].astype(np.float64)
        faces = [_ascii_row(row.split(), face) for row in rows]
    else:
        places = np.cumsum([start] + [element.count * element.kind(order).itemsize for element in before])
        vertices = np.frombuffer(data, vertex.kind(order), vertex.count, int(places[before.index(vertex)]))
        if _readable(data, int(places[-1]), face, corner_list, vertices, order):
            return None
        faces = _binary_rows(data, int(places[-1]), face, order)
    return _written(order, comments, vertex, vertices, face, _cut(vertices, face, corner_list, faces, order))


def _header(data: bytes) -> tuple[int, str, list[Element], list[str]]:
    """Where the numbers start, their style, the elements, and the comments."""
    end = data.find(b"end_header")
    start = data.find(b"\n", end) + 1
    elements: list[Element] = []
    style, comments = "", []
    for line in data[: max(end, 0)].decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            style = words[1]
        elif words[:1] == ["comment"]:
            comments.append(line.strip())
        elif words[:1] == ["element"]:
            elements.append(Element(words[1], int(words[2])))
        elif words[:2] == ["property", "list"]:
            elements[-1].properties[words[4]] = (_CODES[words[3]], _CODES[words[2]])
        elif words[:1] == ["property"]:
            elements[-1].properties[words[2]] = (_CODES[words[1]], None)
    return start, style, elements, comments


def _ascii_row(words: list[bytes], element: Element) -> dict[str, list[float]]:
    """The numbers of one row by their property."""
    row, place = {}, 0
    for name, (_, length) in element.properties.items():
        count = 1 if length is None else int(words[place])
        place += length is not None
        row[name] = [float(word) for word in words[place : place + count]]
        place += count
        if len(row[name]) != count:
            raise ValueError("a line of it is too short")
    return row


def _points(vertices: NDArray[Any]) -> NDArray[np.float64]:
    """(N, 3) positions of the vertices."""
    return np.stack([vertices[axis].astype(np.float64) for axis in "xyz"], 1)


def _readable(data: bytes, start: int, face: Element, corner_list: str, vertices: NDArray[Any], order: str) -> bool:
    """Whether all binary rows are as long as the first one, and triangles, or quads that need no care and have nothing else."""
    fields: list[tuple[Any, ...]] = []
    place = start
    for name, (code, length) in face.properties.items():
        count = 1
        if length is not None:
            (count,) = struct.unpack_from(order + length, data, place)
            fields.append((f"{name} length", order + length))
            place += struct.calcsize(length)
        fields.append((name, order + code, (count,)))
        place += count * struct.calcsize("<" + code)
    kind = np.dtype(fields)
    if start + face.count * kind.itemsize > len(data):
        return False
    rows = np.frombuffer(data, kind, face.count, start)
    lengths = [name for name in kind.names or () if name.endswith(" length")]
    if not all((rows[name] == rows[name][0]).all() for name in lengths):
        return False
    count = rows[corner_list].shape[1]
    return count == 3 or (count == 4 and len(face.properties) == 1 and not folded(_points(vertices), rows[corner_list]).any())


def _binary_rows(data: bytes, start: int, element: Element, order: str) -> list[dict[str, list[float]]]:
    """The numbers of all rows by their property."""
    rows, place, made = [], start, {}
    for _ in range(element.count):
        row = {}
        for name, (code, length) in element.properties.items():
            count = 1
            if length is not None:
                (count,) = struct.unpack_from(order + length, data, place)
                place += struct.calcsize(order + length)
            if (code, count) not in made:
                made[code, count] = struct.Struct(f"{order}{count}{code}")
            row[name] = list(made[code, count].unpack_from(data, place))
            place += made[code, count].size
        rows.append(row)
    return rows


def _cut(vertices: NDArray[Any], face: Element, corner_list: str, rows: list[dict[str, list[float]]], order: str) -> NDArray[Any]:
    """The triangles of all polygons, as rows of a file."""
    points = _points(vertices)
    polygons = [[int(number) for number in row[corner_list]] for row in rows]
    quads = [place for place, polygon in enumerate(polygons) if len(polygon) == 4]
    turned = dict(zip(quads, folded(points, [polygons[place] for place in quads])))
    sources: list[int] = []
    pieces: list[list[int]] = []
    for place, polygon in enumerate(polygons):
        size, cut = len(polygon), None
        if size > 4 and min(polygon) >= 0 and max(polygon) < len(points):
            cut = triangles(points[polygon])
        shift = int(turned.get(place, False))  # a concave quad is cut along its other diagonal
        fan = [[shift, shift + k, (shift + k + 1) % size] for k in range(1, size - 1)]
        found = fan if cut is None else cut.tolist()
        sources += [place] * len(found)
        pieces += found
    scalars = [(name, order + code) for name, (code, length) in face.properties.items() if length is None]
    corners = np.array(pieces, np.int64).reshape(-1, 3)
    coordinates = [row.get("texcoord", []) for row in rows]
    textured = all(len(given) == 2 * len(polygon) for given, polygon in zip(coordinates, polygons))
    lists: list[tuple[Any, ...]] = [("count", "u1"), ("index", order + "i4", 3)]
    lists += [("numbers", "u1"), ("texcoord", order + "f4", 6)] if textured else []
    made = np.zeros(len(corners), [*lists, *scalars])
    made["count"] = 3
    made["index"] = [[polygons[place][corner] for corner in piece] for place, piece in zip(sources, pieces)]
    if textured:
        made["numbers"] = 6
        made["texcoord"] = [[coordinates[s][2 * k + j] for k in piece for j in (0, 1)] for s, piece in zip(sources, pieces)]
    for name, _ in scalars:
        made[name] = np.array([row[name][0] for row in rows])[sources]
    return made


def _written(order: str, comments: list[str], vertex: Element, vertices: NDArray[Any], face: Element, faces: NDArray[Any]) -> bytes:
    """A binary PLY of triangles."""
    words = {code: name for name, code in reversed(_CODES.items())}
    style = "binary_big_endian" if order == ">" else "binary_little_endian"
    header = ["ply", f"format {style} 1.0", *comments, f"element vertex {len(vertices)}"]
    header += [f"property {words[code]} {name}" for name, (code, _) in vertex.properties.items()]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    header += ["property list uchar float texcoord"] if "texcoord" in (faces.dtype.names or ()) else []
    header += [f"property {words[code]} {name}" for name, (code, length) in face.properties.items() if length is None]
    return "\n".join([*header, "end_header", ""]).encode() + vertices.tobytes() + faces.tobytes()
