"""Depth Anything, DPT and their kin: transformers' depth estimators.

References: Yang et al., Depth Anything V2 (2024); Ranftl et al., Vision Transformers for Dense Prediction (2021).
They answer with disparity (bigger is nearer, scale and shift unknown) unless their configuration says that they are metric.
"""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.backends.precision import precision
from img23d.errors import BackendError, WeightsError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
METRIC_TYPES = ("zoedepth", "depth_pro")


def transformer_depth(path: Path, picture: Tensor) -> tuple[str, Tensor]:
    """Depth or disparity of a square picture.

    Args:
        path: folder with config.json, preprocessor_config.json and model.safetensors.
        picture: (S, S, 3) sRGB, 0..1, background painted over.

    Returns:
        "depth" or "disparity", and (S, S) on the picture's device.

    Raises:
        BackendError: transformers is missing.
        WeightsError: the folder holds no depth estimator.
    """
    network = load(path, str(picture.device))
    size, mean, deviation = preprocessing(path)
    fed = F.interpolate(picture.permute(2, 0, 1)[None].float(), (size, size), mode="bicubic", antialias=True, align_corners=False)
    mean, deviation = (torch.tensor(value, device=fed.device)[:, None, None] for value in (mean, deviation))
    fed = ((fed.clamp(0, 1) - mean) / deviation).to(network.dtype)
    with torch.inference_mode():
        answer = network(pixel_values=fed).predicted_depth.float()
    values = F.interpolate(answer[:, None], picture.shape[:2], mode="bicubic", align_corners=False)[0, 0].clone()
    return ("depth" if is_metric(network.config) else "disparity"), values


def is_metric(config: Any) -> bool:
    """Whether a model answers with depth in metres."""
    return getattr(config, "depth_estimation_type", "relative") == "metric" or config.model_type in METRIC_TYPES


def preprocessing(path: Path) -> tuple[int, Any, Any]:
    """Side of the picture, mean and deviation from a model's preprocessor_config.json; torchvision is not needed to apply them."""
    told: dict[str, Any] = {}
    file = path / "preprocessor_config.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} cannot be read", "fetch or import the model again") from error
    size = told.get("size", 384)
    size = size if isinstance(size, int) else size.get("height") or size.get("shortest_edge") or 384
    multiple = int(told.get("ensure_multiple_of") or 1)
    size = max(multiple, round(size / multiple) * multiple)
    mean, deviation = told.get("image_mean", IMAGENET[0]), told.get("image_std", IMAGENET[1])
    return size, mean, deviation


@functools.lru_cache(maxsize=2)
def load(path: Path, device: str) -> Any:
    """The network on its device, loaded once in a process; float16 on CUDA.

    Raises:
        BackendError: transformers is missing.
        WeightsError: the folder holds no depth estimator, or is incomplete.
    """
    try:
        transformers = importlib.import_module("transformers")
        auto = transformers.AutoModelForDepthEstimation
    except (ImportError, AttributeError, RuntimeError) as error:
        raise BackendError(f"transformers does not load: {str(error).splitlines()[0]}", "pip install 'img23d[diffusion]'") from error
    dtype = precision(device)
    try:
        network = auto.from_pretrained(path, use_safetensors=True, local_files_only=True, trust_remote_code=False, dtype=dtype)
    except TypeError:  # transformers before 4.56 knows this argument by another name
        network = auto.from_pretrained(path, use_safetensors=True, local_files_only=True, trust_remote_code=False, torch_dtype=dtype)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} cannot be loaded: {str(error).splitlines()[0]}", "fetch or import the model again") from error
    return network.eval().to(device)
