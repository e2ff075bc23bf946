"""Background removal by rembg's models (MIT; each model has its own licence). Nothing is downloaded from here unless asked for."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from img23d.backends import hub
from img23d.backends.onnx_geometry import onnx_errors
from img23d.errors import BackendError, ConfigError, WeightsError
from img23d.scene.shapes import check_shape
from img23d.weights import Weights, find

INSTALL = "pip install 'img23d[rembg]'"


def rembg_alpha(
    rgb: Tensor, model: str = "isnet-general-use", alpha_matting: bool = False, offline: bool = True, commercial_ok: bool = False
) -> Tensor:
    """Coverage of whatever stands out in a photo.

    Args:
        rgb: (H, W, 3) sRGB, 0..1.
        model: name of a rembg session.
        alpha_matting: closed-form matting along the border, for hair and fur.
        offline: never download a missing model.
        commercial_ok: refuse models that may not be used commercially.

    Returns:
        (H, W) 0..1 on the CPU.

    Raises:
        BackendError: rembg is missing or does not load.
        ConfigError: rembg has no such session, or it would send the photo away.
        WeightsError: the model is not here, damaged or not allowed.
    """
    check_shape("rgb", rgb, None, None, 3)
    entry = find(model) or Weights(model, "background", f"https://rembg/{model}.onnx", "not known to img23d", False, "rembg session")
    hub.check_licence(entry, commercial_ok)
    rembg = load()
    session = _session(model, entry, offline)
    picture = Image.fromarray((rgb.detach().cpu().clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy())
    cut = rembg.remove(picture, session=session, only_mask=not alpha_matting, alpha_matting=alpha_matting)
    alpha = cut.getchannel("A") if cut.mode == "RGBA" else cut.convert("L")
    return torch.from_numpy(np.array(alpha)).float() / 255


@functools.lru_cache(maxsize=1)
def load() -> Any:
    """Import rembg, which prints to stdout and leaves through sys.exit where onnxruntime is missing.

    Raises:
        BackendError: it cannot be imported.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            importlib.import_module("rembg.bg")
            return importlib.import_module("rembg")
    except (ImportError, SystemExit, OSError) as error:
        reason = str(error) if isinstance(error, (ImportError, OSError)) else " ".join(said.getvalue().split())[:80]
        raise BackendError(f"rembg does not load: {reason or 'it left without a word'}", INSTALL) from error


def session_names() -> list[str]:
    """Names of the sessions that run on this machine from a model of their own."""
    return sorted(name for name, kind in _session_classes().items() if _runs_here(kind) and not name.endswith(("_custom", "sam")))


def _session_classes() -> dict[str, Any]:
    load()
    return {kind.name(): kind for kind in importlib.import_module("rembg.sessions").sessions_class}


def _runs_here(kind: Any) -> bool:
    """Newer versions have sessions that upload the photo to a paid service."""
    return bool(kind.is_local()) if hasattr(kind, "is_local") else True


@functools.lru_cache(maxsize=2)
def _session(model: str, entry: Weights, offline: bool) -> Any:
    """A session, loaded once in a process."""
    kind = _session_classes().get(model)
    if kind is None or not _runs_here(kind) or model not in session_names():
        why = f"rembg has no session {model!r}" if kind is None else f"rembg's session {model!r} does not run by itself on this machine"
        raise ConfigError(why, f"--set segment.rembg_model=NAME with one of: {', '.join(session_names())}")
    here = [path for path in hub.rembg_files(model) if path.is_file()]
    if here:
        hub.model_files.check_safe(here[0])
    elif hub.is_offline(offline) or find(model) is None:
        raise hub.missing(entry)
    else:
        from img23d.backends.fetching import fetch

        fetch(entry)
    try:
        return importlib.import_module("rembg").new_session(model)
    except (ConnectionError, OSError) as error:  # requests' ConnectionError is an OSError too
        raise hub.missing(entry) from error
    except onnx_errors() as error:
        raise WeightsError(_unusable(model, error), f"img23d models verify {model}, or fetch it again") from error


def _unusable(model: str, error: Exception) -> str:
    return f"the model file of {model} cannot be used: {(str(error).strip().splitlines() or ['?'])[0][:160]}"
