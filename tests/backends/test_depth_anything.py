"""transformers' depth estimators on tiny random networks saved in the real layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from img23d.backends.depth_anything import preprocessing, transformer_depth
from img23d.backends.monocular import estimate_geometry
from img23d.errors import WeightsError

transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")


def depth_anything(folder: Path, kind: str = "relative") -> Path:
    """A Depth Anything V2 with a random backbone of one layer."""
    torch.manual_seed(0)
    backbone = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=28, patch_size=14, reshape_hidden_states=False,
        out_features=["stage1", "stage2"], out_indices=[1, 2], apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, patch_size=14, fusion_hidden_size=16, head_hidden_size=8,
        neck_hidden_sizes=[16, 16], reassemble_factors=[1, 0.5], depth_estimation_type=kind, max_depth=20 if kind == "metric" else 1,
    )  # fmt: skip
    network = transformers.DepthAnythingForDepthEstimation(config)
    with torch.no_grad():
        for value in network.head.parameters():  # random heads end below zero, where a ReLU hides everything
            value.abs_()
    network.save_pretrained(folder, safe_serialization=True)
    return _preprocessor(folder, {"height": 56, "width": 56}, 14)


def dpt(folder: Path) -> Path:
    """A DPT with a random vision transformer of two layers."""
    torch.manual_seed(0)
    config = transformers.DPTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=37, image_size=32, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[16, 16, 16, 16], fusion_hidden_size=16, is_hybrid=False,
    )  # fmt: skip
    network = transformers.DPTForDepthEstimation(config)
    with torch.no_grad():
        for value in network.head.parameters():
            value.abs_()
    network.save_pretrained(folder, safe_serialization=True)
    return _preprocessor(folder, {"height": 32, "width": 32}, 1)


def _preprocessor(folder: Path, size: dict[str, int], multiple: int) -> Path:
    content = {"size": size, "ensure_multiple_of": multiple, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def picture() -> tuple[torch.Tensor, torch.Tensor]:
    """A gradient, and a disc as its mask."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 40), indexing="ij")
    return torch.stack([x, y, x * y], -1) * 0.5 + 0.5, (x.square() + y.square() < 0.8).float()


@pytest.mark.parametrize("kind, make", [("depth-anything", depth_anything), ("dpt", dpt)])
def test_disparity_becomes_depth(kind: str, make, picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    rgb, mask = picture
    folder = make(tmp_path / kind)
    what, disparity = transformer_depth(folder, rgb)
    assert what == "disparity" and float(disparity.std()) > 0
    found = estimate_geometry(rgb, mask, kind, str(folder), offline=True)
    assert found.from_disparity and found.depth is not None and found.normal is None
    assert found.depth.shape == mask.shape and float(found.depth.min()) > 0


def test_output_equals_the_librarys_own_call(picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    """Fed at its own size, our preprocessing is the one that the model's file describes."""
    folder = depth_anything(tmp_path / "model")
    rgb = torch.nn.functional.interpolate(picture[0].permute(2, 0, 1)[None], (56, 56), mode="bilinear")[0].permute(1, 2, 0)
    _, ours = transformer_depth(folder, rgb)
    network = transformers.AutoModelForDepthEstimation.from_pretrained(folder).eval()
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        theirs = network(pixel_values=((rgb - mean) / deviation).permute(2, 0, 1)[None]).predicted_depth
    want = torch.nn.functional.interpolate(theirs[:, None], (56, 56), mode="bicubic", align_corners=False)[0, 0]
    torch.testing.assert_close(ours, want, atol=1e-4, rtol=1e-4)


def test_metric_models_are_left_alone(picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    rgb, mask = picture
    folder = depth_anything(tmp_path / "metric", "metric")
    what, depth = transformer_depth(folder, rgb)
    assert what == "depth" and float(depth.min()) >= 0 and float(depth.max()) <= 20.5
    assert not estimate_geometry(rgb, mask, "depth-anything", str(folder), offline=True).from_disparity


def test_loaded_once(picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    folder = depth_anything(tmp_path / "model")
    _, first = transformer_depth(folder, picture[0])
    (folder / "model.safetensors").unlink()
    _, again = transformer_depth(folder, picture[0])
    assert torch.equal(first, again)


def test_size_is_rounded_to_the_patch(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 60}, "ensure_multiple_of": 14}')
    assert preprocessing(tmp_path)[0] == 56


def test_pickles_are_never_loaded(picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    folder = depth_anything(tmp_path / "model")
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="only pickled weights"):
        estimate_geometry(*picture, "depth-anything", str(folder), offline=True)


def test_not_a_depth_estimator(picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    folder = depth_anything(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        estimate_geometry(*picture, "depth-anything", str(folder), offline=True)
