"""Files of Gaussian splats: the PLY of 3D Gaussian Splatting, and the 32-byte records of web viewers.

Both are as they are commonly written; neither has a specification. Neither says which axis is up or how long a unit is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import img23d
from img23d.errors import InputError, OutputError
from img23d.fields.gaussians import Gaussians, to_harmonics
from img23d.io.decode import readable
from img23d.io.files import Writer, write_together

SUFFIXES = (".splat", ".splat.ply")
RECORD = np.dtype([("point", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("rotation", "u1", 4)])
HALF_STEP = 0.5 / 255
"""The opacity nearest to 0 and 1 that a byte stands for: the logits of 0 and 1 themselves are infinite."""
PROPERTIES = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
NEEDED = tuple(name for name in PROPERTIES if name not in ("nx", "ny", "nz"))
KINDS = {"float": "f4", "float32": "f4", "double": "f8", "float64": "f8", "uchar": "u1", "uint8": "u1", "int": "i4", "int32": "i4"}


def splat_suffix(path: str | Path) -> str:
    """The suffix of a file of splats, in small letters, or an empty string."""
    name = Path(path).name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def save_splats(targets: list[Path], cloud: Gaussians, force: bool = True) -> list[Path]:
    """Write a cloud into one or several files, all or none.

    Args:
        targets: names that end in ``.splat`` (32 bytes for each Gaussian, for web viewers) or ``.splat.ply`` (68 bytes, full precision).
        cloud: N Gaussians in the unit and axes wanted in the file.
        force: replace existing files; otherwise they are an error.

    Raises:
        OutputError: another suffix, an empty cloud, numbers that are not finite, or a file that cannot be written.
    """
    made: dict[Path, Writer] = {}
    for target in targets:
        suffix = splat_suffix(target)
        if not suffix:
            raise OutputError(f"cannot write splats as {target.name}", f"end the name in {' or '.join(SUFFIXES)}")
        if not len(cloud) or not all(bool(value.isfinite().all()) for value in vars(cloud).values()):
            raise OutputError(f"the splats for {target} are none, or not all finite numbers: nothing to write", "report this")
        made[target] = _writer(splat_bytes(cloud) if suffix == ".splat" else splat_ply_bytes(cloud))
    return write_together(made, force)


def load_splats(path: str | Path) -> Gaussians:
    """Read a file of splats; colours that depend on the direction of view are left out.

    Args:
        path: a ``.splat``, or a PLY of 3D Gaussian Splatting.

    Raises:
        InputError: missing, damaged, cut short, or no such file.
    """
    path = Path(path)
    with readable(path, "splat file"):
        read: Callable[[bytes], Gaussians] = _from_records if path.suffix.lower() == ".splat" else _from_ply
        cloud = read(path.read_bytes())
        if not len(cloud):
            raise InputError(f"the splat file {path} is empty", "copy or export it again")
        if not all(bool(value.isfinite().all()) for value in vars(cloud).values()):
            raise ValueError("some of its numbers are not finite")
        if not bool((cloud.rotations != 0).any(1).all()):
            raise ValueError("some of its rotations are zero")
    return cloud


def splat_bytes(cloud: Gaussians) -> bytes:
    """The records of web viewers: position, standard deviations, sRGB with opacity, and quaternion w, x, y, z.

    Bytes of a quaternion count 128ths from 128 on. The large and opaque Gaussians come first, as viewers draw a file while it loads.
    """
    order = (cloud.log_scales.sum(1).exp() * cloud.opacity).argsort(descending=True, stable=True)
    sorted_cloud = cloud[order]
    rows = np.zeros(len(cloud), RECORD)
    rows["point"], rows["scale"] = _numbers(sorted_cloud.points), _numbers(sorted_cloud.scales)
    shown = torch.cat([sorted_cloud.rgb, sorted_cloud.opacity[:, None]], 1)
    rows["color"] = np.round(_numbers(shown).clip(0, 1) * 255)
    turned = torch.nn.functional.normalize(sorted_cloud.rotations, dim=-1)
    rows["rotation"] = np.round(_numbers(turned) * 128 + 128).clip(0, 255)
    return rows.tobytes()


def splat_ply_bytes(cloud: Gaussians) -> bytes:
    """A binary PLY of points with the properties of the authors' own program, in their order and before their activations.

    Colours are the same from all sides (degree 0), so there are no ``f_rest`` properties: readers take the degree from their number.
    Normals are zero, as the authors leave them.
    """
    zeros = torch.zeros_like(cloud.points)
    columns = [cloud.points, zeros, cloud.harmonics, cloud.opacity_logits[:, None], cloud.log_scales, cloud.rotations]
    header = ["ply", "format binary_little_endian 1.0", f"comment img23d {img23d.__version__}", f"element vertex {len(cloud)}"]
    header += [f"property float {name}" for name in PROPERTIES]
    return "\n".join([*header, "end_header", ""]).encode() + _numbers(torch.cat(columns, 1)).astype("<f4").tobytes()


def _from_records(data: bytes) -> Gaussians:
    if len(data) % RECORD.itemsize:
        raise ValueError(f"{len(data)} bytes are not a whole number of {RECORD.itemsize}-byte splats")
    rows = np.frombuffer(data, RECORD)
    if not (rows["scale"] > 0).all():
        raise ValueError("some of its splats have no size")
    color = torch.from_numpy(rows["color"].astype(np.float32) / 255)
    return Gaussians(
        torch.from_numpy(rows["point"].astype(np.float32)),
        torch.from_numpy(rows["scale"].astype(np.float32)).log(),
        torch.from_numpy((rows["rotation"].astype(np.float32) - 128) / 128),
        torch.logit(color[:, 3].clamp(HALF_STEP, 1 - HALF_STEP)),
        to_harmonics(color[:, :3]),
    )


def _from_ply(data: bytes) -> Gaussians:
    start = data.find(b"end_header\n") + len(b"end_header\n")
    lines = [line.split() for line in data[:start].decode("ascii", "replace").splitlines()]
    if lines[:1] != [["ply"]] or start < len(b"end_header\n"):
        raise ValueError("it is no PLY")
    style = next((words[1] for words in lines if words[:1] == ["format"]), "a PLY without format")
    if style not in ("binary_little_endian", "binary_big_endian"):
        raise ValueError(f"{style} is not read, only binary PLY")
    elements = [words for words in lines if words[:1] == ["element"]]
    if not elements or elements[0][1] != "vertex" or not elements[0][2].isdecimal():
        raise ValueError("its first element is not vertex")
    first = lines.index(elements[0])
    following = lines.index(elements[1]) if len(elements) > 1 else len(lines)
    order = "<" if style == "binary_little_endian" else ">"
    kind = np.dtype([(words[2], order + KINDS[words[1]]) for words in lines[first:following] if words[:1] == ["property"]])
    missing = [name for name in NEEDED if name not in (kind.names or ())]
    if missing:
        raise ValueError(f"it has no {missing[0]}: a PLY of 3D Gaussian Splatting is wanted")
    rows = np.frombuffer(data, kind, int(elements[0][2]), start)

    def columns(*names: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([rows[name].astype(np.float32) for name in names], 1))

    return Gaussians(
        columns("x", "y", "z"),
        columns("scale_0", "scale_1", "scale_2"),
        columns("rot_0", "rot_1", "rot_2", "rot_3"),
        columns("opacity")[:, 0],
        columns("f_dc_0", "f_dc_1", "f_dc_2"),
    )


def _numbers(values: torch.Tensor) -> NDArray[Any]:
    return values.detach().cpu().to(torch.float32).numpy()


def _writer(data: bytes) -> Writer:
    return lambda partial: partial.write_bytes(data)
