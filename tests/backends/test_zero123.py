"""Zero-1-to-3 as tiny random networks saved in the layouts of the real ones."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from img23d.backends.diffusion_parts import read_betas
from img23d.backends.zero123 import FAMILY, Turn, load, read_projection
from img23d.errors import WeightsError

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")


def tiny_zero123(folder: Path, projection: str = "clip_camera_projection", layer: str = "proj", variant: str | None = None) -> Path:
    """A network of a few kilobytes, its parts saved as those of the real conversions are."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=32, in_channels=8, out_channels=4, layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 8), norm_num_groups=4,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, layers_per_block=1,
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4, scaling_factor=0.18215,
    )  # fmt: skip
    encoder = transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=56, projection_dim=12
        )
    )
    noise = diffusers.DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)
    for part, name in ((unet, "unet"), (vae, "vae"), (encoder, "image_encoder")):
        part.save_pretrained(folder / name, safe_serialization=True, **({"variant": variant} if variant else {}))
    noise.save_pretrained(folder / "scheduler")
    (folder / projection).mkdir()
    ending = f".{variant}.safetensors" if variant else ".safetensors"
    tensors = {f"{layer}.weight": torch.randn(16, 16), f"{layer}.bias": torch.randn(16)}
    save_file(tensors, str(folder / projection / f"diffusion_pytorch_model{ending}"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_zero123(tmp_path_factory.mktemp("models") / "zero123")


def test_both_conversions_load_by_the_same_call(folder: Path, tmp_path: Path) -> None:
    other = tiny_zero123(tmp_path / "stable-zero123", "cc_projection", "projection", "fp16")
    ours, theirs = load(folder, "cpu"), load(other, "cpu")
    assert not ours.tells_elevation and theirs.tells_elevation
    assert ours.betas == theirs.betas == ("scaled_linear", 0.00085, 0.012) and ours.latent_size == 32
    assert ours.projection.in_features == 16


def test_the_known_picture_is_told_by_its_mode_and_not_scaled(folder: Path) -> None:
    model, picture = load(folder, "cpu"), torch.rand(256, 256, 3, generator=torch.Generator().manual_seed(0))
    known = model.look(picture)
    with torch.no_grad():
        wanted = model.vae.encode(picture.permute(2, 0, 1)[None] * 2 - 1).latent_dist.mean
    torch.testing.assert_close(known.latent, wanted)
    assert known.meaning.shape == (1, 1, 12)
    torch.testing.assert_close(model.look(picture).latent, known.latent)  # nothing random in it


def test_the_half_that_is_told_nothing_sees_only_zeros_beside_its_noise(folder: Path) -> None:
    model, seen = load(folder, "cpu"), {}

    def remember(module: torch.nn.Module, given: tuple, named: dict) -> None:
        seen.update(sample=given[0], context=named["encoder_hidden_states"])

    handle = model.unet.register_forward_pre_hook(remember, with_kwargs=True)
    known, turns = model.look(torch.rand(64, 64, 3)), [Turn(30.0, 0.0, 10.0), Turn(60.0, 5.0, 10.0)]
    noisy = torch.randn(2, 4, 32, 32)
    nothing, told = model.noise(noisy, 500, known, turns)
    handle.remove()
    assert nothing.shape == told.shape == noisy.shape and not torch.equal(nothing, told)
    assert not seen["context"][:2].any() and not seen["sample"][:2, 4:].any()
    torch.testing.assert_close(seen["sample"][2:, 4:], known.latent.expand(2, -1, -1, -1))
    torch.testing.assert_close(seen["sample"][:2, :4], seen["sample"][2:, :4])
    assert not torch.equal(seen["context"][2], seen["context"][3])  # each its own turn


def test_latents_become_pictures(folder: Path) -> None:
    pictures = load(folder, "cpu").pictures(torch.randn(2, 4, 32, 32))
    assert pictures.shape == (2, 256, 256, 3) and 0 <= float(pictures.min()) <= float(pictures.max()) <= 1


def test_what_is_no_such_model_is_refused_with_a_reason(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="scheduler"):
        read_betas(tmp_path, FAMILY)
    with pytest.raises(WeightsError, match="clip_camera_projection"):
        read_projection(tmp_path)
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(
        '{"beta_schedule": "scaled_linear", "beta_start": 0.1, "beta_end": 0.2, "prediction_type": "v_prediction"}'
    )
    with pytest.raises(WeightsError, match="v_prediction"):
        read_betas(tmp_path, FAMILY)
    (tmp_path / "scheduler" / "scheduler_config.json").write_text((folder / "scheduler" / "scheduler_config.json").read_text())
    with pytest.raises(WeightsError, match="unet"):
        load(tmp_path, "cpu")


def test_only_the_autoencoder_stays_in_full_precision_beside_a_network_in_half(folder: Path) -> None:
    ours = load(folder, "cpu")
    halves = [copy.deepcopy(part).to(torch.bfloat16) for part in (ours.unet, ours.encoder, ours.projection)]
    model = replace(ours, unet=halves[0], encoder=halves[1], projection=halves[2])
    pictures = torch.rand(1, 256, 256, 3, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    noisy, turns = torch.randn(1, 4, 32, 32), [Turn(30.0, 0.0, 10.0)]
    told = model.noise(noisy, 500, model.look(pictures[0].detach()), turns)[1]
    assert told.dtype == torch.float32
    torch.testing.assert_close(told, ours.noise(noisy, 500, ours.look(pictures[0].detach()), turns)[1], atol=0.1, rtol=0.1)
    (model.latents(pictures) * 1e-9).sum().backward()  # less than float16 can hold
    assert pictures.grad is not None and float(pictures.grad.abs().max()) > 0
