"""Samples on disk: files of a few hundred compressed records that can be read in any order."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from img23d.priors import frame
from img23d.training.samples import Sample

MAGIC = b"img23d-shard-3\n"


def record_layout(size: int = frame.IMAGE_SIZE) -> list[tuple[str, type, tuple[int, ...]]]:
    """Name, type and shape of each part of a record of pictures of ``size`` pixels a side, in order."""
    volume = (frame.DEPTH_BINS, size // frame.PIXELS_PER_RAY, size // frame.PIXELS_PER_RAY)
    return [
        ("rgb", np.uint8, (size, size, 3)), ("mask", np.uint8, (size, size)), ("thickness", np.uint8, (2, size, size)),
        ("hit", np.bool_, (size, size)), ("depth", np.float16, (2, size, size)), ("normal", np.int8, (size, size, 3)),
        ("back_rgb", np.uint8, (size, size, 3)), ("volume", np.int8, volume), ("view", np.float32, (3,)),
    ]  # fmt: skip


def pack_sample(sample: Sample) -> bytes:
    """One sample as bytes, the picture's size first."""
    parts = []
    for name, kind, shape in record_layout(len(sample.mask)):
        array = getattr(sample, name)
        if array.shape != shape or array.dtype != kind:
            raise ValueError(f"{name} must be {np.dtype(kind)} {shape}, got {array.dtype} {array.shape}")
        parts.append(np.ascontiguousarray(array).tobytes())
    return np.uint16(len(sample.mask)).tobytes() + zlib.compress(b"".join(parts), 1)


def unpack_sample(data: bytes) -> Sample:
    """The sample that `pack_sample` packed."""
    parts: dict[str, np.ndarray] = {}
    size, raw, start = int(np.frombuffer(data[:2], np.uint16)[0]), zlib.decompress(data[2:]), 0
    for name, kind, shape in record_layout(size):
        count = int(np.prod(shape))
        parts[name] = np.frombuffer(raw, kind, count, start).reshape(shape)
        start += count * np.dtype(kind).itemsize
    return Sample(**parts)


def write_shard(path: Path, samples: Sequence[Sample], objects: Sequence[int]) -> None:
    """Write samples with the number of the object that each shows; the file appears whole or not at all."""
    records = [pack_sample(sample) for sample in samples]
    ends = np.cumsum([len(record) for record in records]).astype(np.int64)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(MAGIC + np.int64(len(records)).tobytes() + ends.tobytes() + np.asarray(objects, np.int64).tobytes())
        file.writelines(records)
    partial.replace(path)


class Shard:
    """One shard, open for reading records in any order."""

    def __init__(self, path: Path) -> None:
        self.data = np.memmap(path, np.uint8, "r")
        if self.data[: len(MAGIC)].tobytes() != MAGIC:
            raise ValueError(f"{path} is not a shard of samples of this version")
        start = len(MAGIC)
        count = int(np.frombuffer(self.data[start : start + 8].tobytes(), np.int64)[0])
        start += 8
        table = np.frombuffer(self.data[start : start + 16 * count].tobytes(), np.int64)
        self.ends, self.objects, self.start = table[:count], table[count:], start + 16 * count

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Sample:
        first = int(self.ends[index - 1]) if index else 0
        return unpack_sample(self.data[self.start + first : self.start + int(self.ends[index])].tobytes())


class ShardFolder:
    """All samples of a folder of shards; `refresh` finds those written meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards, self.known = folder, [], set()
        self.refresh()

    shards: list[Shard]
    known: set[Path]

    def refresh(self) -> int:
        """Look for new shards; the number of samples now."""
        for path in sorted(self.folder.glob("*.shard")):
            if path not in self.known:
                self.shards.append(Shard(path))
                self.known.add(path)
        self.bounds = np.cumsum([0] + [len(shard) for shard in self.shards])
        return len(self)

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def __getitem__(self, index: int) -> Sample:
        shard = int(np.searchsorted(self.bounds, index, side="right")) - 1
        return self.shards[shard][index - int(self.bounds[shard])]

    def objects(self) -> np.ndarray:
        """(N,) the object that each sample shows."""
        return np.concatenate([shard.objects for shard in self.shards]) if self.shards else np.zeros(0, np.int64)
