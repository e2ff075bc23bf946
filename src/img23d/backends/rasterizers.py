"""The rasteriser's waist: which backend says what face each pixel sees. Everything after that is computed once, in `ops`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from img23d.errors import BackendError
from img23d.ops.antialias import antialias
from img23d.ops.edges import EdgeTable
from img23d.ops.raster import NEAR, face_ids

__all__ = ["NEAR", "BackendRasterizer", "RasterizerName", "choose_rasterizer"]

RasterizerName = Literal["auto", "torch", "numba", "open3d", "nvdiffrast"]
FaceIds = Callable[[Tensor, Tensor, int, int], Tensor]
Antialias = Callable[[Tensor, Tensor, Tensor, Tensor, EdgeTable | None], Tensor]


@dataclass(frozen=True)
class BackendRasterizer:
    """A chosen rasteriser; satisfies `img23d.ops.raster.Rasterizer`.

    Args:
        name: which backend this is.
        find_faces: computes face ids; see `face_ids`.
        smooth: antialiases silhouettes; see `img23d.ops.antialias.antialias`.
    """

    name: str
    find_faces: FaceIds
    smooth: Antialias = antialias

    def face_ids(self, points: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
        """The face that each pixel centre sees.

        Args:
            points: (V, N, 3) projected vertices as `Cameras.project` gives them: x, y image fractions and z-depth.
            faces: (F, 3) int64; both sides are drawn, the nearest surface wins.
            height: rows of the picture.
            width: columns of the picture.

        Returns:
            (V, H, W) int64 index into ``faces``, -1 where nothing is hit. Faces with a corner at z-depth <= `NEAR` are left out.
        """
        return self.find_faces(points, faces, height, width)

    def antialias(self, image: Tensor, ids: Tensor, points: Tensor, faces: Tensor, table: EdgeTable | None = None) -> Tensor:
        """As `img23d.ops.antialias.antialias`."""
        return self.smooth(image, ids, points, faces, table)


def choose_rasterizer(name: RasterizerName = "auto", device: torch.device | str = "cpu", own_antialias: bool = False) -> BackendRasterizer:
    """The rasteriser of that name, or the fastest that is there.

    Args:
        name: ``auto`` takes nvdiffrast on CUDA where it is installed, else torch on an accelerator and numba on the CPU.
        device: where the meshes live.
        own_antialias: let the backend antialias where it can (nvdiffrast). Off, because it misses the silhouettes of fine meshes; see
            `img23d.ops.antialias.antialias`.

    Raises:
        BackendError: a backend named by the user cannot be loaded; never raised for ``auto``.
    """
    kind = torch.device(device).type
    if name == "auto":
        if kind == "cuda":
            with contextlib.suppress(BackendError):
                return nvdiffrast_rasterizer(kind, own_antialias)
        name = "numba" if kind == "cpu" else "torch"
    if name == "torch":
        return BackendRasterizer("torch", face_ids)
    if name == "numba":
        return numba_rasterizer()
    if name == "open3d":
        return open3d_rasterizer()
    if name == "nvdiffrast":
        return nvdiffrast_rasterizer(kind, own_antialias)
    raise ValueError(f"unknown rasteriser {name!r}")


def numba_rasterizer() -> BackendRasterizer:
    """Our compiled z-buffer."""
    try:
        from img23d.backends import raster_numba
    except ImportError as error:
        raise BackendError(
            f"the numba rasteriser cannot be loaded: {error}", "pip install numba (BSD), or --set backends.raster=torch"
        ) from error
    return BackendRasterizer("numba", raster_numba.face_ids)


def open3d_rasterizer() -> BackendRasterizer:
    """Ray casting with Open3D (Embree)."""
    try:
        from img23d.backends import raster_open3d

        raster_open3d.probe()
    except (ImportError, OSError) as error:
        hint = "pip install 'img23d[open3d]' (MIT); on Linux also: apt install libusb-1.0-0"
        raise BackendError(f"the open3d rasteriser cannot be loaded: {error}", hint) from error
    return BackendRasterizer("open3d", raster_open3d.face_ids)


def nvdiffrast_rasterizer(kind: str, own_antialias: bool) -> BackendRasterizer:
    """NVIDIA's CUDA rasteriser."""
    hint = (
        "pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast "
        "(NVIDIA licence: research and evaluation only; needs torch >= 2.7 and a CUDA toolkit equal to torch's), "
        "or --set backends.raster=torch"
    )
    if kind != "cuda":
        raise BackendError(f"the nvdiffrast rasteriser works on cuda only, not on {kind}", "--set backends.raster=auto, or --device cuda")
    try:
        from img23d.backends import raster_nvdiffrast

        raster_nvdiffrast.probe()
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"the nvdiffrast rasteriser cannot be loaded: {error}", hint) from error
    return BackendRasterizer("nvdiffrast", raster_nvdiffrast.face_ids, raster_nvdiffrast.antialias if own_antialias else antialias)
