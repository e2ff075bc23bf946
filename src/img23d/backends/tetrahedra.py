"""The tetrahedral operations' waist: who marches and subdivides tetrahedral grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from img23d.errors import BackendError
from img23d.ops.march import marching_tetrahedra
from img23d.ops.subdivide import subdivide
from img23d.ops.tetgrid import GridEdges
from img23d.scene import TetGrid

TetrahedraName = Literal["auto", "torch", "kaolin"]
March = Callable[[Tensor, Tensor, Tensor, GridEdges | None], tuple[Tensor, Tensor, Tensor]]
Subdivide = Callable[..., tuple[TetGrid, tuple[Tensor, ...]]]

KAOLIN_HINT = (
    "install the Kaolin wheel for your torch and CUDA as https://kaolin.readthedocs.io/en/latest/notes/installation.html says "
    "(NVIDIA Kaolin, Apache-2.0; the package called kaolin on the package index is an empty placeholder), "
    "or --set backends.tetrahedra=torch"
)


@dataclass(frozen=True)
class BackendTetrahedra:
    """A chosen implementation.

    Args:
        name: which backend this is.
        march: see `marching_tetrahedra`.
        split: see `subdivide`.
    """

    name: str
    march: March
    split: Subdivide

    def marching_tetrahedra(
        self, vertices: Tensor, tets: Tensor, sdf: Tensor, known: GridEdges | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Surface vertices (M, 3), faces (F, 3) and grid edges (M, 2); see `img23d.ops.march.marching_tetrahedra`."""
        return self.march(vertices, tets, sdf, known)

    def subdivide(self, grid: TetGrid, *features: Tensor, selected: Tensor | None = None) -> tuple[TetGrid, tuple[Tensor, ...]]:
        """The grid with eight tets for one, and its features; see `img23d.ops.subdivide.subdivide`."""
        return self.split(grid, *features, selected=selected)


def choose_tetrahedra(name: TetrahedraName = "auto", device: torch.device | str = "cpu") -> BackendTetrahedra:
    """The implementation of that name.

    Args:
        name: ``auto`` takes ours on every device: Kaolin computes the same numbers with the same torch functions, but slower.
        device: where the grids live; both implementations work everywhere.

    Raises:
        BackendError: Kaolin was named and cannot be loaded.
    """
    torch.device(device)
    if name in ("auto", "torch"):
        return BackendTetrahedra("torch", marching_tetrahedra, subdivide)
    if name == "kaolin":
        return kaolin_tetrahedra()
    raise ValueError(f"unknown tetrahedra backend {name!r}")


def kaolin_tetrahedra() -> BackendTetrahedra:
    """NVIDIA Kaolin's torch functions."""
    from img23d.backends import kaolin_tets

    try:
        kaolin_tets.probe()
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        raise BackendError(f"the kaolin tetrahedra cannot be loaded: {error}", KAOLIN_HINT) from error
    return BackendTetrahedra("kaolin", kaolin_tets.march, kaolin_tets.split)
