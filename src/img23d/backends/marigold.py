"""Marigold: depth and normals by diffusion, with diffusers' own pipelines.

Reference: Ke et al., Repurposing Diffusion-Based Image Generators for Monocular Depth Estimation (2024).
Frames, as documented by diffusers: depth 0 is nearest, 1 farthest; normals x right, y up, z facing the observer, which are ours.
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

from img23d.backends.monocular import Geometry, facing, from_disparity
from img23d.backends.precision import precision
from img23d.errors import BackendError, WeightsError

PIPELINES = ("MarigoldDepthPipeline", "MarigoldNormalsPipeline")
OLD_NAMES = {"MarigoldPipeline": "MarigoldDepthPipeline"}  # as the first version's index names it
DEPTH_SPREAD = 0.05  # an ensemble that disagrees by this share of the depth range is believed half
NORMAL_SPREAD = 0.1  # likewise for normals: mean angle over pi, so about 18 degrees


def marigold_geometry(path: Path, picture: Tensor, steps: int, ensemble: int, seed: int, mask: Tensor | None = None) -> Geometry:
    """Depth or normals, whichever the model is for.

    Args:
        path: folder in diffusers' layout.
        picture: (S, S, 3) sRGB, 0..1, background painted over.
        steps: denoising steps; latent consistency models need 1 to 4, others 4 (trailing) to 50.
        ensemble: predictions to average; three or more give a confidence.
        seed: of the noise.
        mask: (S, S) 0..1 of the object; None for all of the picture.

    Raises:
        BackendError: diffusers is missing.
        WeightsError: the folder is no Marigold pipeline.
    """
    pipeline = load(path, str(picture.device))
    generator = torch.Generator().manual_seed(seed)
    uncertain = ensemble >= 3
    answer = pipeline(
        picture.permute(2, 0, 1)[None],
        num_inference_steps=steps,
        ensemble_size=ensemble,
        match_input_resolution=True,
        output_type="pt",
        output_uncertainty=uncertain,
        generator=generator,
    )
    prediction = answer.prediction[0].float()
    spread = answer.uncertainty[0, 0].float() if uncertain else None
    if "Normals" in type(pipeline).__name__:
        return Geometry(normal=facing(F.normalize(prediction.permute(1, 2, 0), dim=-1)), confidence=_trust(spread, NORMAL_SPREAD))
    confidence = _trust(spread, DEPTH_SPREAD)
    if pipeline.config.prediction_type == "disparity":
        disparity = from_disparity(prediction[0], torch.ones_like(prediction[0]) if mask is None else mask)
        return Geometry(disparity.depth, None, confidence, True)
    return Geometry(depth=prediction[0], confidence=confidence)


def _trust(spread: Tensor | None, half: float) -> Tensor | None:
    """1 where the ensemble agrees, 0.5 at a spread of ``half``."""
    return None if spread is None else 1 / (1 + (spread / half).square())


@functools.lru_cache(maxsize=2)
def load(path: Path, device: str) -> Any:
    """The pipeline on its device, loaded once in a process; float16 on CUDA.

    Raises:
        BackendError: diffusers is missing.
        WeightsError: not a Marigold pipeline, or incomplete.
    """
    kind = pipeline_name(path)
    try:
        diffusers = importlib.import_module("diffusers")
        importlib.import_module("transformers")
        pipeline_class = getattr(diffusers, kind)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise BackendError(f"diffusers does not load: {str(error).splitlines()[0]}", "pip install 'img23d[diffusion]'") from error
    variant = "fp16" if any(path.rglob("*.fp16.safetensors")) else None
    try:
        pipeline = pipeline_class.from_pretrained(path, variant=variant, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} cannot be loaded: {str(error).splitlines()[0]}", "fetch or import the model again") from error
    pipeline.set_progress_bar_config(disable=True)
    # The dtype goes here since from_pretrained has had two names for it.
    return pipeline.to(device, precision(device))


def pipeline_name(path: Path) -> str:
    """Which pipeline a folder holds.

    Raises:
        WeightsError: none of Marigold's.
    """
    index = path / "model_index.json"
    try:
        kind = json.loads(index.read_text(encoding="utf-8")).get("_class_name", "")
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} has no readable model_index.json", "a folder in diffusers' layout is needed") from error
    kind = OLD_NAMES.get(kind, kind)
    if kind not in PIPELINES:
        raise WeightsError(
            f"{path} holds a {kind or 'nameless pipeline'}, not one of {', '.join(PIPELINES)}", "img23d models lists Marigold's"
        )
    return str(kind)
