"""Marigold through diffusers' own pipelines, on tiny random networks saved in the real layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from img23d.backends.monocular import estimate_geometry
from img23d.errors import WeightsError

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")


def tiny_marigold(folder: Path, kind: str, scheduler: str = "DDIMScheduler", variant: str | None = None, **config: object) -> Path:
    """A Marigold pipeline with random weights of a few kilobytes, saved as the real ones are."""
    torch.manual_seed(0)
    blocks = {"block_out_channels": (32, 64), "norm_num_groups": 32}
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=4, layers_per_block=1, cross_attention_dim=32, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        time_cond_proj_dim=8 if scheduler == "LCMScheduler" else None, **blocks,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        layers_per_block=1,
        **blocks,
    )
    noise = getattr(diffusers, scheduler)(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction", timestep_spacing="trailing",
        **({"clip_sample": False} if scheduler == "DDIMScheduler" else {"original_inference_steps": 50}),
    )  # fmt: skip
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(hidden_size=32, intermediate_size=37, num_hidden_layers=1, num_attention_heads=4, vocab_size=8)
    )
    words = folder.parent / f"{folder.name}-tokens"
    words.mkdir()
    tokens = {"<|startoftext|>": 0, "<|endoftext|>": 1, "!": 2, "!</w>": 3, "a": 4, "a</w>": 5, "b": 6, "b</w>": 7}
    (words / "vocab.json").write_text(json.dumps(tokens))
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77)
    pipeline = getattr(diffusers, kind)(
        unet=unet, vae=vae, scheduler=noise, text_encoder=text, tokenizer=tokenizer,
        default_denoising_steps=2, default_processing_resolution=32, **config,
    )  # fmt: skip
    pipeline.save_pretrained(folder, variant=variant, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Depth, normals and a few-step depth model."""
    root = tmp_path_factory.mktemp("marigold")
    return {
        "depth": tiny_marigold(root / "depth", "MarigoldDepthPipeline", prediction_type="depth"),
        "normals": tiny_marigold(root / "normals", "MarigoldNormalsPipeline", prediction_type="normals", variant="fp16"),
        "disparity": tiny_marigold(root / "disparity", "MarigoldDepthPipeline", "LCMScheduler", prediction_type="disparity"),
    }


@pytest.fixture(scope="module")
def picture() -> tuple[torch.Tensor, torch.Tensor]:
    """A shaded disc, and its mask."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    mask = (x.square() + y.square() < 0.7).float()
    return torch.stack([x, y, -x], -1) * 0.4 + 0.5, mask


def test_depth_and_normals_from_two_models(models: dict[str, Path], picture: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = estimate_geometry(*picture, "marigold", f"{models['depth']},{models['normals']}", steps=2, offline=True)
    assert found.depth is not None and found.normal is not None
    assert found.depth.shape == (48, 48) and 0 <= float(found.depth.min()) < float(found.depth.max()) <= 1
    torch.testing.assert_close(found.normal.norm(dim=-1), torch.ones(48, 48), atol=1e-4, rtol=0)
    assert float(found.normal[..., 2].min()) >= 0  # a seen surface faces the viewer
    assert found.confidence is None and not found.from_disparity


def test_same_seed_same_maps_and_other_seed_others(models: dict[str, Path], picture: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, again, other = (
        estimate_geometry(*picture, "marigold", str(models["depth"]), steps=1, seed=seed, offline=True).depth for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert float((first - other).abs().max()) > 1e-3


def test_ensemble_gives_confidence(models: dict[str, Path], picture: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = estimate_geometry(*picture, "marigold", str(models["depth"]), steps=1, ensemble=3, offline=True)
    assert found.confidence is not None and found.confidence.shape == (48, 48)
    assert 0 < float(found.confidence.min()) < float(found.confidence.max()) <= 1
    normals = estimate_geometry(*picture, "marigold", str(models["normals"]), steps=1, ensemble=3, offline=True)
    assert normals.confidence is not None and float(normals.confidence.max()) <= 1


def test_disparity_models_are_converted_and_marked(models: dict[str, Path], picture: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = estimate_geometry(*picture, "marigold", str(models["disparity"]), steps=1, offline=True)
    assert found.from_disparity and found.depth is not None and float(found.depth.min()) > 0


def test_other_pipelines_are_refused(models: dict[str, Path], picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    for file in (models["depth"] / "unet").glob("*.safetensors"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(WeightsError, match="StableDiffusionPipeline, not one of Marigold"):
        estimate_geometry(*picture, "marigold", str(folder), offline=True)


def test_a_torn_file_is_one_clear_line(models: dict[str, Path], picture: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    folder = tiny_marigold(tmp_path / "torn", "MarigoldDepthPipeline", prediction_type="depth")
    file = next((folder / "unet").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        estimate_geometry(*picture, "marigold", str(folder), offline=True)
