"""Which libraries are there, what each speeds up, under which licence, and how to get the ones that are missing.

A library counts as ready only when the very function that img23d calls can be reached: `kaolin` on the package index is an
empty placeholder, Open3D does not import where libusb is missing, nvdiffrast needs a CUDA device.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

State = Literal["ready", "missing", "broken", "idle"]


@dataclass(frozen=True)
class Library:
    """A library that img23d needs or can use.

    Args:
        name: what it is called on the screen.
        package: its name on the package index, as `importlib.metadata` knows it.
        function: ``module:attribute`` that img23d calls.
        role: what it does or speeds up here.
        licence: its licence's short name.
        install: the line that installs it.
        required: img23d does not run without it.
        check: called with the function; returns a remark, or raises what `probe` catches.
        hint: what to try when it is there but does not load.
    """

    name: str
    package: str
    function: str
    role: str
    licence: str
    install: str
    required: bool = False
    check: Callable[[Any], str] | None = None
    hint: str = ""


@dataclass(frozen=True)
class Finding:
    """What `probe` found.

    Args:
        library: what was looked for.
        state: ready; missing; broken: installed but does not load; idle: loads, but this machine lacks what it needs.
        version: as installed, empty when missing.
        detail: one line, empty when there is nothing to say.
    """

    library: Library
    state: State
    version: str = ""
    detail: str = ""


class NothingToRunOn(RuntimeError):
    """The library is fine, the machine lacks the device that it needs."""


def _describe_torch(torch_function: Any) -> str:
    import torch

    parts = [f"{torch.get_num_threads()} threads"]
    if torch.cuda.is_available():
        parts.append(", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())))
    elif torch.backends.mps.is_available():
        parts.append("Apple GPU (mps), not used: computing on the CPU")
    else:
        parts.append("no GPU: computing on the CPU")
    return "; ".join(parts)


def _march_one_tet(marching_tetrahedra: Any) -> str:
    import torch

    corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    signed = torch.tensor([[-1.0, 1, 1, 1]])
    faces = marching_tetrahedra(corners, torch.arange(4)[None], signed)[1][0]
    if len(faces) != 1:
        raise RuntimeError(f"one tetrahedron gave {len(faces)} triangles instead of one")
    return ""


def _need_cuda(_: Any) -> str:
    import torch

    if not torch.cuda.is_available():
        raise NothingToRunOn("needs a CUDA device")
    return ""


def _onnx_providers(session: Any) -> str:
    import onnxruntime

    return ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())


LIBRARIES = (
    Library("PyTorch", "torch", "torch:nn", "everything", "BSD-3-Clause", "pip install torch", True, _describe_torch),
    Library("numba", "numba", "numba:njit", "rasteriser on the CPU, 12-32x", "BSD-2-Clause", "pip install numba", True),
    Library("xatlas", "xatlas", "xatlas:Atlas", "texture atlas", "MIT", "pip install xatlas", True),
    Library(
        "fast-simplification", "fast-simplification", "fast_simplification:simplify", "fewer faces", "MIT",
        "pip install fast-simplification", True,
    ),
    Library("manifold3d", "manifold3d", "manifold3d:triangulate", "polygons to triangles", "Apache-2.0", "pip install manifold3d", True),
    Library("trimesh", "trimesh", "trimesh:load", "reads mesh files", "MIT", "pip install trimesh", True),
    Library(
        "Open3D", "open3d", "open3d.t.geometry:RaycastingScene", "rasteriser by ray casting (backends.raster=open3d)", "MIT",
        "pip install 'img23d[open3d]'", hint="Debian, Ubuntu: apt install libusb-1.0-0 libgomp1; Fedora: dnf install libusb1",
    ),
    Library(
        "nvdiffrast", "nvdiffrast", "nvdiffrast.torch:RasterizeCudaContext", "rasteriser on CUDA (backends.raster=nvdiffrast)",
        "research and evaluation only", "pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast", check=_need_cuda,
        hint="needs torch >= 2.7 and a CUDA toolkit of the same version as torch's",
    ),
    Library(
        "Kaolin", "kaolin", "kaolin.ops.conversions:marching_tetrahedra", "marching tetrahedra (backends.tetrahedra=kaolin)", "Apache-2.0",
        "see https://kaolin.readthedocs.io/en/latest/notes/installation.html: the wheel must match torch and CUDA", check=_march_one_tet,
        hint="the package called kaolin on the package index is an empty placeholder; pip uninstall kaolin, then as in Kaolin's manual",
    ),
    Library(
        "rembg", "rembg", "rembg:new_session", "background removal (segment.method=rembg)", "MIT", "pip install 'img23d[rembg]'",
        hint="pip install 'img23d[rembg]' installs it together with onnxruntime",
    ),
    Library(
        "ONNX Runtime", "onnxruntime", "onnxruntime:InferenceSession", "runs rembg and ONNX models", "MIT", "pip install 'img23d[rembg]'",
        check=_onnx_providers,
    ),
    Library(
        "diffusers", "diffusers", "diffusers:DiffusionPipeline", "depth and normals", "Apache-2.0",
        "pip install 'img23d[diffusion]'",
    ),
    Library(
        "transformers", "transformers", "transformers:AutoModel", "depth, text encoders", "Apache-2.0",
        "pip install 'img23d[diffusion]'",
    ),
)  # fmt: skip


def probe(library: Library) -> Finding:
    """Look for one library and, where it is installed, load the function that img23d calls.

    Returns:
        What was found. A missing library costs no import.
    """
    module, _, attribute = library.function.partition(":")
    version = _version(library.package)
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return Finding(library, "missing")
    try:
        function = getattr(importlib.import_module(module), attribute)
        detail = library.check(function) if library.check else ""
    except NothingToRunOn as error:
        return Finding(library, "idle", version, str(error))
    # Libraries leave through SystemExit too: rembg does where onnxruntime is missing.
    except (ImportError, OSError, AttributeError, RuntimeError, TypeError, ValueError, SystemExit) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return Finding(library, "broken", version, "; ".join(filter(None, [f"{type(error).__name__}: {reason}", library.hint])))
    return Finding(library, "ready", version, detail)


def machine() -> dict[str, str]:
    """Python, operating system, processor cores and memory, for the head of the table."""
    facts = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}", "cores": str(usable_cores())}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GB"
    return facts


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
