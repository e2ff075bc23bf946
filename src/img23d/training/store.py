"""Objects with their solids, carved once and kept in a folder outside the project."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from img23d.training.carve import carve
from img23d.training.objects import Source, TrainingObject, normalise

KEPT = 256  # meshes in memory


class ObjectStore:
    """Training objects by number; the meshes used last stay in memory, solids on disk.

    Args:
        sources: files, packed or procedural objects.
        folder: where solids are kept, one .npy of int8 per object, named by the mesh's content.
        device: where to carve, and where solids are returned.
        resolution: samples along each side of the solids; 64 is enough for pictures of 64 pixels and takes half the time of 80.
    """

    def __init__(self, sources: Sequence[Source], folder: Path, device: str = "cpu", resolution: int = 80) -> None:
        self.sources, self.folder, self.device, self.resolution = sources, folder, device, resolution
        self.loaded: OrderedDict[int, TrainingObject] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return len(self.sources)

    def item(self, index: int) -> TrainingObject:
        """The object, centred, with longest side 1."""
        if index not in self.loaded:
            self.loaded[index] = normalise(self.sources[index].load())
            if len(self.loaded) > KEPT:
                self.loaded.popitem(last=False)
        return self.loaded[index]

    def solid_file(self, index: int) -> Path:
        """Where this object's solid is kept."""
        item = self.item(index)
        content = hashlib.blake2b(item.vertices.tobytes() + item.faces.tobytes(), digest_size=10).hexdigest()
        return self.folder / f"{content}-{self.resolution}.npy"

    def solid(self, index: int) -> Tensor:
        """(D, D, D) int8 carved distance of the object; carved on first use."""
        path = self.solid_file(index)
        if not path.is_file():
            item = self.item(index)
            vertices, faces = torch.from_numpy(item.vertices).to(self.device), torch.from_numpy(item.faces).long().to(self.device)
            # Views and their pixels follow the resolution: 42 views of 144 pixels for 80 samples.
            solid = carve(vertices, faces, self.resolution, self.resolution * 42 // 80, self.resolution * 9 // 5)
            partial = path.with_suffix(f".{os.getpid()}.partial")  # several workers may carve the same object
            with partial.open("wb") as file:
                np.save(file, solid.sdf.cpu().numpy())
            partial.replace(path)
        return torch.from_numpy(np.load(path)).to(self.device)
