"""Networks in float16, as on CUDA, give what they give in float32: tiny ones, on the CPU, which computes in half precision too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from img23d.backends import depth_anything, mvdream, precision, zero123

sys.path.insert(0, str(Path(__file__).parent))
from test_depth_anything import depth_anything as tiny_depth_anything  # skips where transformers is not installed
from test_mvdream import asked, tiny_mvdream
from test_zero123 import tiny_zero123


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "HALF_ON", ("cpu",))


def test_only_cuda_computes_in_half_precision() -> None:
    kinds = {name: precision.precision(name) for name in ("cuda", "cuda:1", "cpu", "mps")}
    assert kinds == {"cuda": torch.float16, "cuda:1": torch.float16, "cpu": torch.float32, "mps": torch.float32}


def test_views_of_one_photo_are_as_noisy(tmp_path: Path, half: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, generator = tiny_zero123(tmp_path / "zero123"), torch.Generator().manual_seed(0)
    picture, noisy = torch.rand(64, 64, 3, generator=generator), torch.randn(2, 4, 32, 32, generator=generator)
    turns = [zero123.Turn(30.0, 0.0, 10.0), zero123.Turn(60.0, 5.0, 10.0)]
    model = zero123.load.__wrapped__(folder, "cpu")
    kinds = {part: next(getattr(model, part).parameters()).dtype for part in ("unet", "vae", "encoder")}
    assert kinds == {"unet": torch.float16, "vae": torch.float32, "encoder": torch.float16}
    found = torch.stack(model.noise(noisy, 500, model.look(picture), turns)).float()
    monkeypatch.undo()
    model = zero123.load.__wrapped__(folder, "cpu")
    wanted = torch.stack(model.noise(noisy, 500, model.look(picture), turns))
    assert wanted.abs().mean() > 0.05
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)


def test_views_of_a_text_are_as_noisy(tmp_path: Path, half: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_mvdream(tmp_path / "mvdream")
    found = mvdream.load.__wrapped__(folder, "cpu").noise(*asked(4)).float()
    monkeypatch.undo()
    wanted = mvdream.load.__wrapped__(folder, "cpu").noise(*asked(4))
    assert wanted.abs().mean() > 0.05
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)


def test_depths_are_alike(tmp_path: Path, half: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, pixels = tiny_depth_anything(tmp_path / "depth"), torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    network = depth_anything.load.__wrapped__(folder, "cpu").requires_grad_(False)
    found = network(pixels.to(network.dtype)).predicted_depth.float()
    monkeypatch.undo()
    wanted = depth_anything.load.__wrapped__(folder, "cpu").requires_grad_(False)(pixels).predicted_depth
    assert network.dtype == torch.float16 and wanted.std() > 0
    torch.testing.assert_close(found, wanted, atol=0.02 * float(wanted.abs().max()), rtol=0.02)
