"""Objects with their solids, carved once and kept in a folder outside the project."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from img23d.priors.carve import carve
from img23d.priors.objects import ObjectFile, TrainingObject, load_object, normalise


class ObjectStore:
    """Training objects by number; meshes stay in memory, solids on disk.

    Args:
        sources: GLB files to read, or objects already made.
        folder: where solids are kept, one .npy of int8 per object, named by the mesh's content.
    """

    def __init__(self, sources: Sequence[ObjectFile | TrainingObject], folder: Path) -> None:
        self.sources, self.folder = sources, folder
        self.loaded: dict[int, TrainingObject] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return len(self.sources)

    def item(self, index: int) -> TrainingObject:
        """The object, centred, with longest side 1."""
        if index not in self.loaded:
            source = self.sources[index]
            self.loaded[index] = normalise(load_object(source.path) if isinstance(source, ObjectFile) else source)
        return self.loaded[index]

    def solid_file(self, index: int) -> Path:
        """Where this object's solid is kept."""
        item = self.item(index)
        content = hashlib.blake2b(item.vertices.tobytes() + item.faces.tobytes(), digest_size=10).hexdigest()
        return self.folder / f"{content}.npy"

    def solid(self, index: int) -> Tensor:
        """(D, D, D) int8 carved distance of the object; carved on first use."""
        path = self.solid_file(index)
        if not path.is_file():
            item = self.item(index)
            solid = carve(torch.from_numpy(item.vertices), torch.from_numpy(item.faces).long())
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, solid.sdf.numpy())
            partial.replace(path)
        return torch.from_numpy(np.load(path))
