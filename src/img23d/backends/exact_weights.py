"""Weights that fit a network tensor by tensor: read from safetensors files, and refused where one is missing, too many or bent."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from img23d.backends.diffusion_parts import AGAIN
from img23d.errors import WeightsError


def tensor_files(path: Path) -> list[Path]:
    """A .safetensors file itself, or those of a folder: the half-precision ones where there are two kinds."""
    if path.suffix.lower() == ".safetensors" and path.is_file():
        return [path]
    return sorted(path.glob("*.fp16.safetensors")) or sorted(path.glob("*.safetensors"))


def read_tensors(path: Path, again: str = AGAIN) -> dict[str, Tensor]:
    """All tensors of a file or a folder.

    Args:
        path: see `tensor_files`.
        again: what to try where they cannot be read.

    Raises:
        WeightsError: there is no such file, or a torn one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    files = tensor_files(path)
    if not files:
        raise WeightsError(f"{path} has no .safetensors file", again)
    try:
        return {name: tensor for file in files for name, tensor in load_file(str(file)).items()}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be loaded: {(str(error).splitlines() or ['?'])[0]}", again) from error


def bare_network(kind: Any, config: dict[str, Any], folder: Path) -> Any:
    """A network of one of diffusers' own classes without weights: room is taken by the file's tensors alone.

    Args:
        kind: the class.
        config: what it is made with; what the class does not know is left out.
        folder: where that was said.

    Raises:
        WeightsError: the configuration describes none.
    """
    known = {name: value for name, value in config.items() if name in inspect.signature(kind.__init__).parameters}
    try:
        with torch.device("meta"):
            return kind(**known)
    except (ValueError, TypeError, RuntimeError, KeyError, ZeroDivisionError) as error:
        raise WeightsError(f"{folder} describes no network: {(str(error).splitlines() or ['?'])[0]}", AGAIN) from error


def fill(network: nn.Module, tensors: dict[str, Tensor], what: str, again: str = AGAIN) -> None:
    """Give a network its tensors, each in its place.

    Args:
        network: without weights.
        tensors: by the network's own names.
        what: the network, in words.
        again: what to try where they do not fit.

    Raises:
        WeightsError: tensors that are missing, superfluous or of another shape.
    """
    wanted = network.state_dict()
    missing, superfluous = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    bent = sorted(name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape)
    for names, says in ((missing, "lacks"), (superfluous, "has no place for"), (bent, "has another shape for")):
        if names:
            raise WeightsError(f"{what} {says} {len(names)} tensors: {names[0]}{', ...' * (len(names) > 1)}", again)
    network.load_state_dict({name: tensor.contiguous() for name, tensor in tensors.items()}, assign=True)
