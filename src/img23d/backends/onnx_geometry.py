"""Depth or normals from any ONNX model, by path. What the file does not say is guessed from names and can be told in a file beside it.

``model.onnx`` may have a ``model.json`` with any of the fields of `OnnxModel`, for example
``{"normalize": "imagenet", "output": "disparity", "size": 518, "multiple": 14, "axes": "+x+y+z"}``.
"""

from __future__ import annotations

import functools
import importlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.errors import BackendError, WeightsError

MEAN_STD = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "bytes": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
OUTPUTS = ("depth", "disparity", "normal")
DEFAULT_SIZE = 384
DEFAULT_MULTIPLE = 32
_FAILURES = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotImplemented", "RuntimeException")


@dataclass(frozen=True)
class OnnxModel:
    """How to feed a model and read its answer.

    Args:
        input: name of the picture's input.
        result: name of the output that is read.
        normalize: none (0..1), imagenet, half (-1..1) or bytes (0..255).
        output: depth (bigger is farther), disparity (bigger is nearer) or normal.
        size: side of the square picture that is fed, px.
        multiple: the side must be a multiple of this many px.
        axes: signs of a normal's x, y, z that turn it to x right, y up, z towards the viewer; "+x-y-z" for the OpenCV frame.
        batched: whether the input has a batch axis.
        channels_last: whether colours are the last axis.
    """

    input: str
    result: str
    normalize: str = "imagenet"
    output: str = "depth"
    size: int = DEFAULT_SIZE
    multiple: int = DEFAULT_MULTIPLE
    axes: str = "+x+y+z"
    batched: bool = True
    channels_last: bool = False


def onnx_maps(path: Path, rgb: Tensor) -> tuple[str, Tensor]:
    """Run a model on a square picture.

    Args:
        path: the .onnx file.
        rgb: (S, S, 3) sRGB, 0..1, background already painted over.

    Returns:
        What it is (depth, disparity or normal), and (S, S) or (S, S, 3) on the picture's device; normals are unit, camera frame.

    Raises:
        BackendError: onnxruntime is missing.
        WeightsError: the file cannot be used, or its answer has an unknown shape.
    """
    session, model = load(path, rgb.device.type)
    side = max(model.multiple, round(model.size / model.multiple) * model.multiple)
    picture = F.interpolate(rgb.permute(2, 0, 1)[None].float(), (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
    mean, deviation = (torch.tensor(value, device=rgb.device)[:, None, None] for value in MEAN_STD[model.normalize])
    picture = (picture - mean) / deviation
    picture = picture.permute(1, 2, 0) if model.channels_last else picture
    kind = next(entry.type for entry in session.get_inputs() if entry.name == model.input)
    array = picture.cpu().numpy().astype(np.float16 if "float16" in kind else np.uint8 if "uint8" in kind else np.float32)
    try:
        answer = session.run([model.result], {model.input: array[None] if model.batched else array})[0]
    except onnx_errors() as error:
        raise WeightsError(
            f"{path.name} fails on a {side} px picture: {_first_line(error)}", f"tell its size in {path.stem}.json"
        ) from error
    return model.output, _to_picture(np.asarray(answer, np.float32), model, rgb, path)


def _to_picture(answer: np.ndarray, model: OnnxModel, rgb: Tensor, path: Path) -> Tensor:
    """(S, S) or (S, S, 3) like the picture, from any layout."""
    values = torch.from_numpy(answer).to(rgb.device).squeeze()
    wanted = 3 if model.output == "normal" else 2
    if values.dim() != wanted or (wanted == 3 and 3 not in (values.shape[0], values.shape[-1])):
        raise WeightsError(
            f"{path.name} answers with shape {tuple(answer.shape)}, no {model.output} map", f'set "output" in {path.stem}.json'
        )
    if wanted == 2:
        values = values[None]
    elif values.shape[0] != 3:
        values = values.permute(2, 0, 1)
    values = F.interpolate(values[None], rgb.shape[:2], mode="bilinear", align_corners=False)[0]
    if wanted == 2:
        return values[0]
    return F.normalize(values.permute(1, 2, 0) * axis_signs(model.axes).to(rgb.device), dim=-1)


def axis_signs(axes: str) -> Tensor:
    """(3,) signs from a string such as "+x-y-z".

    Raises:
        WeightsError: not of that form.
    """
    if len(axes) != 6 or axes[1::2] != "xyz" or set(axes[::2]) - {"+", "-"}:
        raise WeightsError(f"axes {axes!r} is not of the form +x-y-z", "+x+y+z is x right, y up, z towards the viewer")
    return torch.tensor([1.0 if sign == "+" else -1.0 for sign in axes[::2]])


@functools.lru_cache(maxsize=2)
def load(path: Path, device: str) -> tuple[Any, OnnxModel]:
    """A session and what is known about the model, loaded once in a process.

    Raises:
        BackendError: onnxruntime is missing.
        WeightsError: the file cannot be used.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise BackendError(f"onnxruntime does not load: {error}", "pip install onnxruntime") from error
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    wanted = ["CUDAExecutionProvider"] if device == "cuda" else []
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    try:
        session = runtime.InferenceSession(str(path), options, providers=[*providers, "CPUExecutionProvider"])
    except onnx_errors() as error:
        raise WeightsError(
            f"{path} cannot be used: {_first_line(error)}", "a model with one picture input and one map output is needed"
        ) from error
    return session, told(path, guess(session, path))


def guess(session: Any, path: Path) -> OnnxModel:
    """What inputs' and outputs' names and shapes say about a model.

    Raises:
        WeightsError: no input looks like a picture.
    """
    inputs = [entry for entry in session.get_inputs() if len(entry.shape) in (3, 4) and 3 in entry.shape[-3:]]
    if not inputs:
        shapes = ", ".join(f"{entry.name} {entry.shape}" for entry in session.get_inputs())
        raise WeightsError(
            f"no input of {path.name} is a picture: {shapes}", "a model with an input (1, 3, H, W) or (1, H, W, 3) is needed"
        )
    fed = inputs[0]
    shape, last = fed.shape[-3:], fed.shape[-3] != 3
    sides = [side for side in (shape[:2] if last else shape[1:]) if isinstance(side, int) and side > 0]
    named = {entry.name.lower(): entry for entry in session.get_outputs()}
    result = next((entry for name, entry in named.items() for word in (*OUTPUTS, "disp") if word in name), next(iter(named.values())))
    deep = 3 in [side for side in result.shape[1:] if isinstance(side, int)]
    words = f"{result.name} {path.stem}".lower()
    output = "normal" if deep else "disparity" if "disp" in words or result.name == "predicted_depth" else "depth"
    name = fed.name.lower()
    normalize = "none" if "01" in name else "bytes" if "uint8" in fed.type else "imagenet"
    multiple = 1 if sides else 14 if result.name == "predicted_depth" else DEFAULT_MULTIPLE
    return OnnxModel(
        fed.name, result.name, normalize, output, sides[0] if sides else DEFAULT_SIZE, multiple, "+x+y+z", len(fed.shape) == 4, last
    )


def told(path: Path, model: OnnxModel) -> OnnxModel:
    """The same with what ``NAME.json`` beside the model says.

    Raises:
        WeightsError: the file is damaged, or has unknown fields or values.
    """
    side = path.with_suffix(".json")
    if not side.is_file():
        return model
    try:
        content = json.loads(side.read_text(encoding="utf-8"))
        known = {entry.name for entry in fields(OnnxModel)}
        if unknown := sorted(set(content) - known):
            raise WeightsError(f"{side}: unknown field {unknown[0]!r}", f"known: {', '.join(sorted(known))}")
        model = replace(model, **content)
        if model.normalize not in MEAN_STD or model.output not in OUTPUTS or int(model.size) < 1 or int(model.multiple) < 1:
            raise WeightsError(f"{side}: a value is out of range", f"normalize: {', '.join(MEAN_STD)}; output: {', '.join(OUTPUTS)}")
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{side} cannot be read: {_first_line(error)}", "it holds one JSON object") from error
    axis_signs(model.axes)
    return model


def onnx_errors() -> tuple[type[Exception], ...]:
    """onnxruntime's exceptions, which share no base of their own; none where it is not installed."""
    try:
        state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    except ImportError:
        return (RuntimeError,)
    return (RuntimeError, *(getattr(state, name) for name in _FAILURES if hasattr(state, name)))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
