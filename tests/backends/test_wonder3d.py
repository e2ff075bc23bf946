"""Wonder3D as a tiny random network saved in the layout of the real one: what it is told, and which of its pictures see each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from img23d.backends.joint_attention import join_views
from img23d.backends.wonder3d import AZIMUTHS_DEG, CLASS, camera_numbers, is_wonder3d, load, read_config
from img23d.errors import WeightsError

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")

STOCK = {
    "sample_size": 32, "in_channels": 8, "out_channels": 4, "layers_per_block": 1, "cross_attention_dim": 12, "attention_head_dim": 2,
    "block_out_channels": [8, 8], "norm_num_groups": 4, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 10,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
}  # fmt: skip
THEIRS = {
    "_class_name": CLASS, "_diffusers_version": "0.19.3", "num_views": 6, "cd_attention_mid": True, "cd_attention_last": False,
    "multiview_attention": True, "sparse_mv_attention": False, "mvcd_attention": False, "joint_attention": False,
    "joint_attention_twice": True, "cross_domain_attention": False, "mid_block_type": "UNetMidBlockMV2DCrossAttn",
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlockMV2D"], "up_block_types": ["CrossAttnUpBlockMV2D", "UpBlock2D"],
}  # fmt: skip


def tensors_of(unet: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A stock network's tensors and, beside each attention to itself, those between domains under their published names."""
    found = {name: value.contiguous() for name, value in unet.state_dict().items()}
    for name in [name for name in found if ".norm1." in name and "transformer_blocks" in name]:
        found[name.replace("norm1", "norm_joint_mid")] = torch.randn(found[name].shape)
    for name in [name for name in found if ".attn1." in name]:
        found[name.replace("attn1", "attn_joint_mid")] = torch.randn(found[name].shape)
    return found


def tiny_wonder3d(folder: Path, half: bool = False) -> Path:
    """A network of some kilobytes, its parts saved as the real one's are."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(**STOCK)
    vae = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, layers_per_block=1,
        block_out_channels=(4, 4, 4, 4), norm_num_groups=2, scaling_factor=0.18215,
    )  # fmt: skip
    encoder = transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=56, projection_dim=12
        )
    )
    for part, name in ((vae, "vae"), (encoder, "image_encoder")):
        part.save_pretrained(folder / name, safe_serialization=True)
    diffusers.DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    (folder / "unet").mkdir()
    (folder / "unet" / "config.json").write_text(json.dumps({**dict(unet.config), **THEIRS}))
    tensors = {name: value.half() if half else value for name, value in tensors_of(unet).items()}
    save_file(tensors, str(folder / "unet" / "diffusion_pytorch_model.safetensors"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wonder3d(tmp_path_factory.mktemp("models") / "some-name")


@pytest.fixture
def model(folder: Path):
    load.cache_clear()
    return load(folder, "cpu")


def noise_of(seed: int = 1) -> torch.Tensor:
    return torch.randn(12, 4, 32, 32, generator=torch.Generator().manual_seed(seed))


def picture_of(seed: int = 0) -> torch.Tensor:
    return torch.rand(256, 256, 3, generator=torch.Generator().manual_seed(seed))


def silence(model, name: str) -> None:
    """Make an attention's answer nothing."""
    for found, module in model.unet.named_modules():
        if found.endswith(name):
            for parameter in module.to_out[0].parameters():
                parameter.zero_()


def test_a_model_is_known_by_what_its_config_says(folder: Path, tmp_path: Path) -> None:
    assert is_wonder3d(folder) and is_wonder3d(str(folder)) and not is_wonder3d("wonder3d") and not is_wonder3d(tmp_path)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    assert not is_wonder3d(tmp_path)


def test_weights_in_half_precision_are_loaded_as_they_are(model, tmp_path: Path) -> None:
    other = load(tiny_wonder3d(tmp_path / "half", half=True), "cpu")
    assert model.betas == ("scaled_linear", 0.00085, 0.012) and model.latent_size == 32
    ours, theirs = (dict(one.unet.named_parameters()) for one in (model, other))
    assert ours.keys() == theirs.keys() and not any(value.is_meta or value.requires_grad for value in theirs.values())
    for name, value in ours.items():
        assert theirs[name].dtype == torch.float32 and torch.equal(value.half().float(), theirs[name])


def test_cameras_are_told_by_the_numbers_of_the_released_code() -> None:
    told = camera_numbers()
    assert AZIMUTHS_DEG == (0, 45, 90, 180, -90, -45) and told.shape == (12, 10)
    sines, cosines = told.chunk(2, -1)
    torch.testing.assert_close(sines.square() + cosines.square(), torch.ones(12, 5))
    assert not sines[:, 0].any()  # the known camera's elevation
    angles = torch.atan2(sines, cosines)[3]  # the back, of which normals are asked
    assert angles[1] == pytest.approx(0.52197265625, abs=1e-6) and angles[2] == pytest.approx(3.140625, abs=1e-6)  # rounded to half
    assert torch.equal(told[:6, [1, 2, 6, 7]], told[6:, [1, 2, 6, 7]])
    one, other = angles.new_tensor([1.0, 0.0]), angles.new_tensor([0.0, 1.0])
    torch.testing.assert_close(sines[:, 3:], torch.cat([one.sin().expand(6, 2), other.sin().expand(6, 2)]))


def test_the_known_picture_is_told_by_its_scaled_mode(model) -> None:
    picture = picture_of()
    known = model.look(picture)
    with torch.no_grad():
        mode = model.vae.encode(picture.permute(2, 0, 1)[None] * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(known.latent, mode * 0.18215)
    assert known.meaning.shape == (1, 1, 12)


def test_the_batch_is_ordered_by_domain_then_by_what_it_is_told(model) -> None:
    seen: dict[str, torch.Tensor] = {}

    def remember(module: torch.nn.Module, given: tuple, named: dict) -> None:
        seen.update(sample=given[0], context=named["encoder_hidden_states"], cameras=named["class_labels"])

    handle = model.unet.register_forward_pre_hook(remember, with_kwargs=True)
    known, noisy = model.look(picture_of()), noise_of()
    nothing, told = model.noise(noisy, 500, known)
    handle.remove()
    parts = seen["sample"].reshape(2, 2, 6, 8, 32, 32)
    for half in (0, 1):
        assert torch.equal(parts[:, half, :, :4].reshape(12, 4, 32, 32), noisy)
        assert torch.equal(seen["cameras"].reshape(2, 2, 6, 10)[:, half].reshape(12, 10), camera_numbers())
    assert not parts[:, 0, :, 4:].any() and not seen["context"].reshape(2, 2, 6, 12)[:, 0].any()
    torch.testing.assert_close(parts[:, 1, :, 4:], known.latent.expand(2, 6, -1, -1, -1))
    torch.testing.assert_close(seen["context"].reshape(2, 2, 6, 12)[:, 1], known.meaning.expand(2, 6, -1))
    assert nothing.shape == told.shape == noisy.shape and not torch.allclose(nothing, told)


def test_guidance_halves_do_not_leak_into_each_other(model) -> None:
    noisy, known, other = noise_of(), model.look(picture_of()), model.look(picture_of(5))
    nothing, told = model.noise(noisy, 500, known)
    still, changed = model.noise(noisy, 500, other)
    torch.testing.assert_close(still, nothing)
    assert not torch.allclose(changed, told, atol=1e-4)
    torch.testing.assert_close(model.noise(noisy, 500, known, both=False)[1], told, atol=1e-5, rtol=1e-4)


def test_without_the_attention_between_domains_it_is_the_stock_network_with_joined_views(model, folder: Path) -> None:
    from safetensors.torch import load_file

    stock = diffusers.UNet2DConditionModel(**STOCK).eval()
    tensors = load_file(str(folder / "unet" / "diffusion_pytorch_model.safetensors"))
    stock.load_state_dict({name: value for name, value in tensors.items() if "joint_mid" not in name})
    join_views(stock, 6)
    noisy, known = noise_of(), model.look(picture_of())
    beside, context = known.latent.expand(12, -1, -1, -1), known.meaning.expand(12, -1, -1)
    with torch.no_grad():
        wanted = stock(torch.cat([noisy, beside], 1), 500, encoder_hidden_states=context, class_labels=camera_numbers()).sample
    assert not torch.allclose(model.noise(noisy, 500, known)[1], wanted, atol=1e-3)
    silence(model, "attn_joint_mid")
    torch.testing.assert_close(model.noise(noisy, 500, known)[1], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("silent", "seen"),
    [
        ("attn_joint_mid", {0, 1, 2, 3, 4, 5}),  # views of one domain see each other
        ("attn1", {2, 8}),  # domains of one view see each other
        ("", set(range(12))),
    ],
)
def test_who_sees_a_changed_picture(model, silent: str, seen: set[int]) -> None:
    if silent:
        silence(model, silent)
    noisy, known = noise_of(), model.look(picture_of())
    changed = noisy.clone()
    changed[2] += 1
    before, after = (model.noise(one, 500, known) for one in (noisy, changed))
    for old, new in zip(before, after):
        moved = (old - new).abs().amax((1, 2, 3))
        assert {int(number) for number in torch.nonzero(moved > 1e-5)} == seen
        assert float(moved[[number for number in range(12) if number not in seen]].sum()) == pytest.approx(0, abs=2e-5)


def test_twelve_latents_become_twelve_pictures(model) -> None:
    pictures = model.pictures(noise_of())
    assert pictures.shape == (12, 256, 256, 3) and 0 <= float(pictures.min()) <= float(pictures.max()) <= 1


def changed_tensors(folder: Path, change) -> Path:
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(str(path))
    change(tensors)
    save_file(tensors, str(path))
    return folder


MID = "mid_block.attentions.0.transformer_blocks.0."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop(f"{MID}attn_joint_mid.to_q.weight"), "lacks 1 tensors: mid_block.*attn_joint_mid"),
        (lambda tensors: [tensors.pop(name) for name in list(tensors) if "joint_mid" in name], r"lacks \d\d tensors"),
        (lambda tensors: tensors.update({f"{MID}attn_joint_last.to_q.weight": torch.zeros(1)}), "no place for 1 tensors: .*joint_last"),
        (lambda tensors: tensors.update({f"{MID}norm_joint_mid.weight": torch.zeros(3)}), "another shape for 1 tensors"),
    ],
)
def test_tensors_that_do_not_fit_are_named(folder: Path, tmp_path: Path, change, reason: str) -> None:
    other = changed_tensors(shutil.copytree(folder, tmp_path / "other"), change)
    with pytest.raises(WeightsError, match=reason):
        load(other, "cpu")


def test_torn_and_absent_files_are_told(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    weights = other / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load(other, "cpu")
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(WeightsError, match=r"no .safetensors file") as told:
        load(other, "cpu")
    assert "pickle" in told.value.hint


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "another network than"),
        ({"cd_attention_last": True}, "cd_attention_last is True"),
        ({"multiview_attention": False}, "multiview_attention is False"),
        ({"num_views": 4}, "num_views is 4"),
        ({"projection_class_embeddings_input_dim": 6}, "projection_class_embeddings_input_dim is 6"),
    ],
)
def test_configs_of_other_networks_are_refused(folder: Path, tmp_path: Path, change: dict, reason: str) -> None:
    said = json.loads((folder / "unet" / "config.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**said, **change}))
    with pytest.raises(WeightsError, match=reason):
        read_config(path)
    path.write_text("[]")
    with pytest.raises(WeightsError, match="another network"):
        read_config(path)
