"""Weights as they are shipped: half precision, in one safetensors file with the network's sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from img23d.errors import WeightsError
from img23d.priors.network import ShapeNetwork

FORMAT = "img23d-shape-1"
Network = TypeVar("Network", bound=nn.Module)


def export_network(network: ShapeNetwork, path: Path, figures: dict[str, float] | None = None) -> None:
    """Write a network as fp16 safetensors, with its sizes and validation figures as metadata.

    Args:
        network: the one to ship.
        path: the file.
        figures: what it was measured to do.
    """
    write_weights(network, path, FORMAT, sizes=network.sizes, picture=network.picture_size, figures=figures or {})


def import_network(path: Path, device: torch.device | str = "cpu") -> ShapeNetwork:
    """The network of such a file, ready to answer.

    Raises:
        WeightsError: the file is missing, torn or of another version.
    """
    tensors, facts = read_weights(path, FORMAT, "shape network", "prior")
    network = ShapeNetwork(**facts["sizes"])
    network.picture_size = facts["picture"]
    return filled(network, tensors, path, "prior").to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def write_weights(network: nn.Module, path: Path, form: str, **facts: Any) -> None:
    """Write a network as fp16 safetensors in one rename, with facts about it, as JSON, for metadata."""
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"format": form, **{name: json.dumps(value) for name, value in facts.items()}})
    partial.replace(path)


def read_weights(path: Path, form: str, name: str, command: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, in single precision, and facts of a file by `write_weights`; lists among the sizes become tuples again.

    Args:
        path: the file.
        form: its format.
        name: what the user knows the network as.
        command: of `img23d train` that makes such files.

    Raises:
        WeightsError: the file is missing, torn or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118  # not a dict
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read the {name} {path}: {error}", "reinstalling img23d") from error
    if metadata.get("format") != form:
        raise WeightsError(f"{path} is not a {name} of this version", f"reinstalling img23d, or img23d train {command}")
    facts = {key: json.loads(value) for key, value in metadata.items() if key != "format"}
    facts["sizes"] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts["sizes"].items()}
    return tensors, facts


def filled(network: Network, tensors: dict[str, Tensor], path: Path, command: str) -> Network:
    """The network with the tensors of a file.

    Raises:
        WeightsError: they do not fit it.
    """
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise WeightsError(f"{path} does not fit its own network", f"reinstalling img23d, or img23d train {command}")
    return network


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
