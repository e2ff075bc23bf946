"""MVDream as a tiny random network in the layout of the real one, against the network of that layout written out anew."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from img23d.backends.ldm_keys import module_names, renamed
from img23d.backends.mvdream import kind_of, layout, load, stock_config, told_cameras
from img23d.errors import WeightsError
from img23d.scene.cameras import orbit_degrees

sys.path.insert(0, str(Path(__file__).parent))
from ldm_unet import LdmUNet
from test_stable_diffusion import diffusers, tiny_stable_diffusion  # skips where diffusers or transformers is not installed

CONFIG = {
    "_class_name": "MultiViewUNetModel", "_diffusers_version": "0.25.0", "attention_resolutions": [2, 1], "camera_dim": 16,
    "channel_mult": [1, 2, 2], "context_dim": 16, "image_size": 8, "in_channels": 4, "model_channels": 32, "num_head_channels": 16,
    "num_res_blocks": 1, "out_channels": 4, "transformer_depth": 1,
}  # fmt: skip


def asked(views: int = 8) -> tuple[torch.Tensor, int, torch.Tensor, torch.Tensor]:
    """What a network is asked: latents, step, texts and cameras."""
    generator = torch.Generator().manual_seed(5)
    noisy, told = torch.randn(views, 4, 8, 8, generator=generator), torch.randn(views, 5, 16, generator=generator)
    return noisy, 700, told, told_cameras(orbit_degrees([40.0 * number for number in range(views)], 20.0, 2.0, 40.0))


def tiny_mvdream(folder: Path, unet: LdmUNet | None = None, **changes: object) -> Path:
    """A network of some hundred kilobytes, saved as the real ones are: its U-Net by the names of latent diffusion's first code."""
    from safetensors.torch import save_file

    unet = unet or LdmUNet(CONFIG)
    if not unet.weights:
        unet(*asked(4))
    tiny_stable_diffusion(folder)
    shutil.rmtree(folder / "unet")
    (folder / "unet").mkdir()
    (folder / "unet" / "config.json").write_text(json.dumps({**unet.config, **changes}))
    save_file({name: tensor.contiguous() for name, tensor in unet.weights.items()}, folder / "unet" / "diffusion_pytorch_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LdmUNet]:
    unet = LdmUNet(CONFIG)
    return tiny_mvdream(tmp_path_factory.mktemp("models") / "any name", unet), unet


def test_it_answers_as_the_network_that_was_saved(saved: tuple[Path, LdmUNet]) -> None:
    folder, unet = saved
    model = load(folder, "cpu")
    assert model.picture == 64 and model.betas == ("scaled_linear", 0.00085, 0.012)
    noisy, step, told, cameras = asked()
    wanted = unet(noisy, step, told, cameras)
    torch.testing.assert_close(model.noise(noisy, step, told, cameras), wanted, atol=1e-5, rtol=1e-4)
    # What the comparison rests on: the answer depends on the other sides of its group and on the camera, not on the other group.
    assert (model.noise(noisy, step, told, cameras.flip(0)) - wanted).abs().max() > 0.01
    changed = noisy.clone()
    changed[1] += 1
    after = model.noise(changed, step, told, cameras)
    assert (after[0] - wanted[0]).abs().max() > 1e-3
    torch.testing.assert_close(after[4:], wanted[4:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", [{"attention_resolutions": [4, 1]}, {"num_res_blocks": 2, "channel_mult": [1, 1]}])
def test_names_follow_the_layout_whatever_its_numbers(tmp_path: Path, changes: dict) -> None:
    unet = LdmUNet({**CONFIG, **changes})
    folder = tiny_mvdream(tmp_path / "other", unet)
    torch.testing.assert_close(load(folder, "cpu").noise(*asked()), unet(*asked()), atol=1e-5, rtol=1e-4)


def test_every_weight_of_the_real_size_has_its_place() -> None:
    real = {**CONFIG, "attention_resolutions": [4, 2, 1], "channel_mult": [1, 2, 4, 4], "context_dim": 1024, "image_size": 32,
            "model_channels": 320, "num_head_channels": 64, "num_res_blocks": 2}  # fmt: skip
    unet = LdmUNet(real, meta=True)
    with torch.device("meta"):
        unet(torch.empty(4, 4, 32, 32), 500, torch.empty(4, 77, 1024), torch.empty(4, 16))
        stock = diffusers.UNet2DConditionModel(**stock_config(real))
    found = renamed(unet.weights, module_names(*layout(real)))
    assert {name: weight.shape for name, weight in found.items()} == {name: weight.shape for name, weight in stock.state_dict().items()}
    camera = 16 * 1280 + 1280 + 1280 * 1280 + 1280
    assert sum(weight.numel() for weight in found.values()) == 865_910_724 + camera  # Stable Diffusion 2.1's own, and the camera's


def test_names_of_the_real_layout() -> None:
    names = module_names((2, 2, 2, 2), (True, True, True, False))  # Stable Diffusion 2.1: 12 blocks down, 12 up
    assert max(int(name.split(".")[1]) for name in names if name.startswith("input_blocks")) == 11
    assert max(int(name.split(".")[1]) for name in names if name.startswith("output_blocks")) == 11
    key = torch.zeros(1)
    for theirs, ours in {
        "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight": "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight",
        "input_blocks.11.0.emb_layers.1.bias": "down_blocks.3.resnets.1.time_emb_proj.bias",
        "output_blocks.2.1.conv.weight": "up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.5.2.conv.weight": "up_blocks.1.upsamplers.0.conv.weight",
        "output_blocks.11.0.skip_connection.weight": "up_blocks.3.resnets.2.conv_shortcut.weight",
        "camera_embed.2.bias": "class_embedding.linear_2.bias",
        "label_emb.0.weight": "label_emb.0.weight",
    }.items():
        assert list(renamed({theirs: key}, names)) == [ours]


def test_half_precision_weights_and_several_files_load_too(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_mvdream(tmp_path / "half")
    whole = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = sorted((name, tensor.half()) for name, tensor in load_file(whole).items())
    for number in range(2):
        save_file(dict(tensors[number::2]), folder / "unet" / f"diffusion_pytorch_model-0000{number + 1}-of-00002.safetensors")
    whole.unlink()
    model = load(folder, "cpu")
    assert next(model.unet.parameters()).dtype == torch.float32 and not any(weight.requires_grad for weight in model.unet.parameters())
    assert model.noise(*asked(4)).isfinite().all()


def test_it_is_known_by_what_its_unet_says(saved: tuple[Path, LdmUNet], tmp_path: Path) -> None:
    assert kind_of(saved[0]) == "mvdream" and not kind_of(tmp_path)
    assert not kind_of(tiny_stable_diffusion(tmp_path / "mvdream"))
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("[]")
    assert not kind_of(tmp_path)


def test_cameras_are_told_in_the_frame_of_the_training_pictures() -> None:
    """The photo's side is the training pictures' front, which their code has at an azimuth of 90 degrees: on +x, where z is up."""
    front, right, above = told_cameras(orbit_degrees([0.0, 90.0, 0.0], [0.0, 0.0, 30.0], 3.0, 40.0)).unflatten(1, (4, 4))
    torch.testing.assert_close(front, torch.tensor([[0.0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(right, torch.tensor([[-1.0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1]]), atol=1e-6, rtol=0)
    half, most = 0.5, 3**0.5 / 2
    wanted = torch.tensor([[0.0, -half, most, most], [1, 0, 0, 0], [0, most, half, half], [0, 0, 0, 1]])
    torch.testing.assert_close(above, wanted, atol=1e-6, rtol=0)
    assert torch.linalg.det(above[:3, :3]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"in_channels": 8}, "in_channels=8"),
        ({"use_scale_shift_norm": True}, "use_scale_shift_norm=True"),
        ({"ip_weight": 0.5}, "ip_weight=0.5"),
        ({"camera_dim": 12}, "camera_dim=12"),
        ({"_class_name": "UNet2DConditionModel"}, "_class_name"),
        ({"channel_mult": None}, "describes no such network"),
        ({"model_channels": 64}, r"has another shape for \d+ tensors"),
    ],
)
def test_another_kind_of_network_is_refused_with_a_reason(tmp_path: Path, changes: dict, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        load(tiny_mvdream(tmp_path / "other", **changes), "cpu")


@pytest.mark.parametrize(
    ("lost", "added", "reason"),
    [
        ("camera_embed.0.bias", "", "lacks 1 tensors: class_embedding.linear_1.bias"),
        ("", "label_emb.0.bias", "no place for 1 tensors: label_emb"),
    ],
)
def test_weights_that_are_missing_or_too_many_are_named(tmp_path: Path, lost: str, added: str, reason: str) -> None:
    unet = LdmUNet(CONFIG)
    unet(*asked(4))
    unet.weights.pop(lost, None)
    unet.weights.update({added: torch.zeros(3)} if added else {})
    with pytest.raises(WeightsError, match=reason):
        load(tiny_mvdream(tmp_path / "other", unet), "cpu")


@pytest.mark.parametrize("part", ["tokenizer", "unet", "vae", "text_encoder", "scheduler"])
def test_a_missing_part_is_named(saved: tuple[Path, LdmUNet], tmp_path: Path, part: str) -> None:
    folder = tmp_path / "part"
    shutil.copytree(saved[0], folder)
    shutil.rmtree(folder / part)
    with pytest.raises(WeightsError, match=part):
        load(folder, "cpu")


def test_missing_and_damaged_weights_are_named(saved: tuple[Path, LdmUNet], tmp_path: Path) -> None:
    shutil.copytree(saved[0], tmp_path / "part")
    weights = tmp_path / "part" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load(tmp_path / "part", "cpu")
    weights.unlink()
    with pytest.raises(WeightsError, match=r"no \.safetensors"):
        load(tmp_path / "part", "cpu")
