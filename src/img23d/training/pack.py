"""Thousands of textured meshes in one small file, to carry them to the machine that trains."""

from __future__ import annotations

import io
import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img23d.errors import InputError, OutputError
from img23d.training.objects import Source, TrainingObject, list_objects, normalise

MAGIC = b"img23d-pack-1\n"
STEPS = 4095  # vertices and texture coordinates are kept to 1/4095 of their range
TEXTURE_SIDE = 128


@dataclass(frozen=True)
class PackedObject:
    """One object of a pack.

    Args:
        family: see `img23d.training.objects.Source`.
        licence: as the manifest said.
        attribution: as the manifest said.
        item: the object.
        name: its path inside the folder that was packed; "" in packs of earlier versions.
    """

    family: str
    licence: str
    attribution: str
    item: TrainingObject
    name: str = ""

    def load(self) -> TrainingObject:
        """The object."""
        return self.item


def pack_objects(folder: str | Path, file: str | Path, limit_mb: float = 60.0) -> int:
    """Write all objects of a folder to one file.

    Args:
        folder: with GLB files; see `list_objects`.
        file: the pack.
        limit_mb: largest size of the pack.

    Returns:
        the number of objects packed.

    Raises:
        OutputError: the pack would be larger than the limit.
    """
    sources = list_objects(folder)
    table, blobs = [], []
    for source in sources:
        head, arrays, texture = quantise(normalise(source.load()))
        told = {"family": source.family, "licence": source.licence, "attribution": source.attribution, "name": source.name}
        table.append({**told, **head, "picture": len(texture)})
        blobs.append((arrays, texture))
    # Like numbers stand together: the compressor then finds what they have in common.
    streams = [lzma.compress(b"".join(arrays[name] for arrays, _ in blobs), preset=6) for name in ("vertices", "faces", "uv", "uv_faces")]
    header = json.dumps({"objects": table, "streams": [len(stream) for stream in streams]}).encode()
    data = [MAGIC, np.int64(len(header)).tobytes(), header, *streams, *(texture for _, texture in blobs)]
    size = sum(map(len, data)) / 1e6
    if size > limit_mb:
        raise OutputError(f"the pack would take {size:.1f} MB, more than {limit_mb:g}", "a higher limit, or fewer objects")
    path = Path(file)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        out.writelines(data)
    partial.replace(path)
    return len(table)


def quantise(item: TrainingObject) -> tuple[dict[str, Any], dict[str, bytes], bytes]:
    """One object as counts, arrays of 16-bit numbers (differences from face to face, which compress well), and an encoded texture."""
    vertices = np.round((item.vertices + 0.5) * STEPS).astype(np.int16)
    low, high = item.corner_uv.min((0, 1)), item.corner_uv.max((0, 1))
    grid = np.round((item.corner_uv - low) / np.maximum(high - low, 1e-9) * STEPS).astype(np.int64).reshape(-1, 2)
    unique, index = np.unique(grid[:, 0] * (STEPS + 1) + grid[:, 1], return_inverse=True)
    uv = np.stack([unique // (STEPS + 1), unique % (STEPS + 1)], -1).astype(np.int16)
    order = np.lexsort(item.faces.T[::-1])
    faces, uv_faces = item.faces[order].astype(np.int32), index.reshape(-1, 3)[order].astype(np.int32)
    head = {
        "vertices": len(vertices), "faces": len(faces), "uv": len(uv), "low": low.tolist(), "high": high.tolist(), "nearest": item.nearest,
    }  # fmt: skip
    arrays = {
        "vertices": np.diff(vertices.astype(np.int32), axis=0, prepend=0).T.astype("<i2").tobytes(),
        "faces": np.diff(faces, axis=0, prepend=0).T.astype("<i4").tobytes(),
        "uv": np.diff(uv.astype(np.int32), axis=0, prepend=0).T.astype("<i2").tobytes(),
        "uv_faces": np.diff(uv_faces, axis=0, prepend=0).T.astype("<i4").tobytes(),
    }
    return head, arrays, encode_texture(item)


def encode_texture(item: TrainingObject) -> bytes:
    """A palette losslessly as PNG, a picture as a JPEG of at most `TEXTURE_SIDE` pixels."""
    from PIL import Image

    picture, out = Image.fromarray(item.texture), io.BytesIO()
    if item.nearest:
        picture.save(out, "PNG", optimize=True)
    else:
        picture.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
        picture.save(out, "JPEG", quality=75)
    return out.getvalue()


def load_pack(file: str | Path) -> Sequence[PackedObject]:
    """All objects of a pack.

    Raises:
        InputError: the file is missing or not a pack.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the pack {file}: {error}", "a file written by pack_objects") from error
    if not data.startswith(MAGIC):
        raise InputError(f"{file} is not a pack of objects of this version", "a file written by pack_objects")
    start = len(MAGIC) + 8
    length = int(np.frombuffer(data[len(MAGIC) : start], np.int64)[0])
    header = json.loads(data[start : start + length])
    start += length
    streams = []
    for length in header["streams"]:
        streams.append(lzma.decompress(data[start : start + length]))
        start += length
    places, objects = [0, 0, 0, 0], []
    for head in header["objects"]:
        arrays = []
        for number, (count, kind, columns) in enumerate(
            ((head["vertices"], "<i2", 3), (head["faces"], "<i4", 3), (head["uv"], "<i2", 2), (head["faces"], "<i4", 3))
        ):
            numbers = np.frombuffer(streams[number], kind, count * columns, places[number]).reshape(columns, count).T
            arrays.append(np.cumsum(numbers.astype(np.int64), axis=0))
            places[number] += count * columns * np.dtype(kind).itemsize
        texture = data[start : start + head["picture"]]
        start += head["picture"]
        item = restore(head, arrays, texture)
        objects.append(PackedObject(head["family"], head["licence"], head["attribution"], item, head.get("name", "")))
    return objects


def restore(head: dict[str, Any], arrays: list[np.ndarray], texture: bytes) -> TrainingObject:
    """The object that `quantise` took apart."""
    from PIL import Image

    vertices, faces, uv, uv_faces = arrays
    low, high = np.array(head["low"]), np.array(head["high"])
    corner_uv = (uv / STEPS * (high - low) + low)[uv_faces]
    picture = np.asarray(Image.open(io.BytesIO(texture)).convert("RGB"))
    return TrainingObject(
        (vertices / STEPS - 0.5).astype(np.float32), faces.astype(np.int32), corner_uv.astype(np.float32), picture, bool(head["nearest"])
    )


def open_sources(place: str | Path) -> Sequence[Source]:
    """The objects of a folder of GLB files, or of a pack."""
    return load_pack(place) if Path(place).is_file() else list_objects(place)
