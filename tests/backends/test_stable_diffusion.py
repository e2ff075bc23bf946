"""Stable Diffusion as a tiny random network saved in the layout of the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from img23d.backends.stable_diffusion import load
from img23d.errors import WeightsError

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")


def tiny_stable_diffusion(folder: Path, channels: int = 4, width: int = 16, variant: str | None = None, predicts: str = "epsilon") -> Path:
    """A network of a few kilobytes, its parts saved as those of the real ones are."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=channels, out_channels=4, layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 8), norm_num_groups=4,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, layers_per_block=1,
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4, scaling_factor=0.18215,
    )  # fmt: skip
    letters = [chr(code) for code in range(33, 127)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    encoder = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(vocab_size=len(words), hidden_size=width, intermediate_size=16, num_hidden_layers=1,
                                    num_attention_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    )  # fmt: skip
    noise = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, prediction_type=predicts
    )
    for part, name in ((unet, "unet"), (vae, "vae"), (encoder, "text_encoder")):
        part.save_pretrained(folder / name, safe_serialization=True, **({"variant": variant} if variant else {}))
    noise.save_pretrained(folder / "scheduler")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer" / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "bos_token": words[0], "eos_token": words[1],
                    "pad_token": words[1], "unk_token": words[1]})
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stable_diffusion(tmp_path_factory.mktemp("models") / "stable-diffusion")


def test_texts_become_what_the_network_is_told(folder: Path) -> None:
    model = load(folder, "cpu")
    told = model.read(["a mug", "a mug, back view", "a mug", "word " * 200])
    assert told.shape == (4, 77, 16) and not told.requires_grad
    torch.testing.assert_close(told[0], told[2])
    assert not torch.equal(told[0], told[1])


def test_a_picture_goes_through_its_latents_with_a_gradient(folder: Path) -> None:
    model = load(folder, "cpu")
    assert model.picture == 64 and model.betas == ("scaled_linear", 0.00085, 0.012)
    pictures = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    latents = model.latents(pictures)
    with torch.no_grad():
        wanted = model.vae.encode(pictures.permute(0, 3, 1, 2) * 2 - 1).latent_dist.mean * 0.18215
    torch.testing.assert_close(latents, wanted)
    latents.sum().backward()
    assert pictures.grad is not None and bool((pictures.grad != 0).any())
    assert not any(weight.requires_grad for weight in (*model.unet.parameters(), *model.vae.parameters()))
    shown = model.pictures(latents.detach())
    assert shown.shape == pictures.shape and 0 <= float(shown.min()) <= float(shown.max()) <= 1


def test_each_latent_is_told_its_own_text(folder: Path) -> None:
    model = load(folder, "cpu")
    told, noisy = model.read(["a mug", "a house"]), torch.randn(1, 4, 8, 8).expand(2, -1, -1, -1)
    noise = model.noise(noisy, 500, told)
    assert noise.shape == (2, 4, 8, 8) and not torch.equal(noise[0], noise[1])
    torch.testing.assert_close(model.noise(noisy[:1], 500, told[1:]), noise[1:], atol=1e-5, rtol=1e-4)


def test_half_precision_files_load_too(tmp_path: Path) -> None:
    model = load(tiny_stable_diffusion(tmp_path / "half", variant="fp16"), "cpu")
    assert next(model.unet.parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"channels": 8}, "takes 8 channels"), ({"width": 8}, "does not fit"), ({"predicts": "v_prediction"}, "predicts v_prediction")],
)
def test_another_kind_of_model_is_refused_with_a_reason(tmp_path: Path, changes: dict, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        load(tiny_stable_diffusion(tmp_path / "other", **changes), "cpu")


@pytest.mark.parametrize("part", ["tokenizer", "unet", "vae", "text_encoder", "scheduler"])
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    import shutil

    whole = tiny_stable_diffusion(tmp_path / "whole")
    shutil.rmtree(whole / part)
    with pytest.raises(WeightsError, match=part):
        load(whole, "cpu")
