"""Weights as they are shipped: half precision, in one safetensors file with the network's sizes."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from img23d.errors import WeightsError
from img23d.priors.network import ShapeNetwork

FORMAT = "img23d-shape-1"


def export_network(network: ShapeNetwork, path: Path, figures: dict[str, float] | None = None) -> None:
    """Write a network as fp16 safetensors, with its sizes and validation figures as metadata.

    Args:
        network: the one to ship.
        path: the file.
        figures: what it was measured to do.
    """
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.dtype.is_floating_point else value).contiguous().cpu()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {
        "format": FORMAT,
        "sizes": json.dumps(network.sizes),
        "picture": str(network.picture_size),
        "figures": json.dumps(figures or {}),
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    partial.replace(path)


def import_network(path: Path, device: torch.device | str = "cpu") -> ShapeNetwork:
    """The network of such a file, ready to answer.

    Raises:
        WeightsError: the file is missing, torn or of another version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118  # not a dict
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read the shape network {path}: {error}", "reinstalling img23d") from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} is not a shape network of this version", "reinstalling img23d, or img23d train prior")
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(metadata["sizes"]).items()}
    network = ShapeNetwork(**sizes)  # type: ignore[arg-type]
    network.picture_size = int(metadata["picture"])
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise WeightsError(f"{path} does not fit its own network", "reinstalling img23d, or img23d train prior")
    return network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def split_file(path: Path, part_mb: float) -> list[Path]:
    """Cut a file into parts of at most ``part_mb``, named ``NAME.00``, ``NAME.01``, ...; older parts are removed.

    Args:
        path: the file, which stays.
        part_mb: largest size of a part.
    """
    for old in path.parent.glob(path.name + ".[0-9][0-9]"):
        old.unlink()
    data, size, parts = path.read_bytes(), int(part_mb * 1e6), []
    for number, start in enumerate(range(0, len(data), size)):
        part = path.parent / f"{path.name}.{number:02d}"
        part.write_bytes(data[start : start + size])
        parts.append(part)
    return parts


def join_file(path: Path) -> None:
    """Put the parts of `split_file` together again.

    Raises:
        WeightsError: there are no parts.
    """
    parts = sorted(path.parent.glob(path.name + ".[0-9][0-9]"))
    if not parts:
        raise WeightsError(f"there are no parts {path.name}.00, ... in {path.parent}", "the folder that holds the parts")
    partial = path.with_suffix(".partial")
    partial.write_bytes(b"".join(part.read_bytes() for part in parts))
    partial.replace(path)
