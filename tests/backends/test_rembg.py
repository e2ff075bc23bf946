"""rembg with its own sessions, on tiny models where the real files would lie."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from img23d.backends import rembg as ours
from img23d.errors import BackendError, ConfigError, WeightsError

NEEDS = "rembg is not installed (pip install 'img23d[rembg]')"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder of models of this test's own, and no session of another's."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    ours._session.cache_clear()
    yield
    ours._session.cache_clear()


@pytest.fixture
def photo() -> tuple[torch.Tensor, torch.Tensor]:
    """A red disc on green, and its mask."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 128), indexing="ij")
    mask = (x.square() + y.square() < 0.4).float()
    return torch.stack([mask, 1 - mask, torch.zeros_like(mask)], -1), mask


@pytest.fixture
def red(onnx_model: Callable[..., Path], tmp_path: Path) -> Path:
    """A "U2-Net" that answers with the red channel."""
    return onnx_model(tmp_path / "u2netp.onnx", "Identity", ("input", (1, 3, 320, 320)), ("d0", (1, 3, 320, 320)))


def iou(alpha: torch.Tensor, mask: torch.Tensor) -> float:
    """Of two masks."""
    return float(((alpha > 0.5) & (mask > 0.5)).sum() / ((alpha > 0.5) | (mask > 0.5)).sum())


@pytest.mark.parametrize("matting", [False, True])
def test_alpha_of_a_real_session(matting: bool, red: Path, photo: tuple[torch.Tensor, torch.Tensor]) -> None:
    pytest.importorskip("rembg", reason=NEEDS)
    alpha = ours.rembg_alpha(photo[0], "u2netp", matting)
    assert alpha.shape == photo[1].shape and alpha.dtype == torch.float32
    assert float(alpha.min()) >= 0 and float(alpha.max()) <= 1
    assert iou(alpha, photo[1]) > 0.98


def test_loaded_once(red: Path, photo: tuple[torch.Tensor, torch.Tensor]) -> None:
    pytest.importorskip("rembg", reason=NEEDS)
    first = ours.rembg_alpha(photo[0], "u2netp")
    red.unlink()
    assert torch.equal(ours.rembg_alpha(photo[0], "u2netp"), first)


def test_missing_model_is_never_downloaded(photo: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    pytest.importorskip("rembg", reason=NEEDS)
    with pytest.raises(WeightsError, match="isnet-general-use are not on this machine") as error:
        ours.rembg_alpha(photo[0])
    assert str(tmp_path / "isnet-general-use.onnx") in error.value.hint and error.value.exit_code == 5
    assert not list(tmp_path.iterdir())


def test_damaged_model(photo: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    pytest.importorskip("rembg", reason=NEEDS)
    (tmp_path / "u2netp.onnx").write_bytes(b"\x08\x08" + b"\x3a\xff" * 40)
    with pytest.raises(WeightsError, match="model file of u2netp cannot be used"):
        ours.rembg_alpha(photo[0], "u2netp")
    (tmp_path / "u2netp.onnx").write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match="not an ONNX file"):
        ours.rembg_alpha(photo[0], "u2netp")


def test_sessions_that_upload_the_photo_are_refused(photo: tuple[torch.Tensor, torch.Tensor]) -> None:
    pytest.importorskip("rembg", reason=NEEDS)
    names = ours.session_names()
    assert "isnet-general-use" in names and "birefnet-general" in names and "sam" not in names
    remote = [name for name, kind in ours._session_classes().items() if not ours._runs_here(kind)]
    assert not set(remote) & set(names)
    for name in (*remote, "no-such-session"):
        with pytest.raises(ConfigError, match=name):
            ours.rembg_alpha(photo[0], name)


def test_non_commercial_models_are_refused_when_asked(photo: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match="bria-rmbg may not be used commercially"):
        ours.rembg_alpha(photo[0], "bria-rmbg", commercial_ok=True)


@pytest.mark.parametrize("why", ["missing", "exit"])
def test_a_rembg_that_does_not_load(why: str, monkeypatch: pytest.MonkeyPatch, photo: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Missing altogether; or without onnxruntime, where rembg prints and leaves through sys.exit."""

    def leave(name: str) -> types.ModuleType:
        if why == "missing":
            raise ImportError(f"No module named {name!r}")
        print("No onnxruntime backend found.")
        sys.exit(1)

    ours.load.cache_clear()
    monkeypatch.setattr(ours.importlib, "import_module", leave)
    with pytest.raises(BackendError, match="No module named" if why == "missing" else "No onnxruntime backend found") as error:
        ours.rembg_alpha(photo[0])
    assert error.value.exit_code == 4 and "pip install 'img23d[rembg]'" in error.value.hint
