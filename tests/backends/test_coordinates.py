"""A model of coordinate maps as a tiny random network: loading, cameras, words, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from img23d.backends.coordinates import check_network, load
from img23d.backends.coordinates_network import begun_model, fresh_model, write_model
from img23d.errors import ConfigError, WeightsError
from img23d.ops.coordinates import told_cameras, unit_cameras

sys.path.insert(0, str(Path(__file__).parent))
from test_stable_diffusion import diffusers, tiny_stable_diffusion  # skips where diffusers or transformers is not installed

CAMERAS = told_cameras(unit_cameras([0.0, 130.0], [20.0, -5.0]))


def noisy_maps(size: int = 8) -> torch.Tensor:
    return torch.randn(2, 4, size, size, generator=torch.Generator().manual_seed(3))


def tiny_coordinates(folder: Path, base: Path | None = None) -> Path:
    """A network of some kilobytes, as the training writes them; one that begins from ``base`` knows words."""
    torch.manual_seed(0)
    model = begun_model(base, "cpu") if base else fresh_model((16, 16), 8, "cpu")
    torch.nn.init.normal_(model.unet.class_embedding.linear_2.weight)  # as if it had learnt what cameras are
    write_model(model, model.unet, folder, base, {})
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stable_diffusion(tmp_path_factory.mktemp("models") / "stable-diffusion")


@pytest.fixture(scope="module", params=["afresh", "begun"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    return tiny_coordinates(tmp_path_factory.mktemp("models") / "coordinates", base if request.param == "begun" else None)


def test_it_answers_as_the_network_that_was_written_and_heeds_the_camera(saved: Path) -> None:
    from safetensors.torch import load_file

    model = load(saved, "cpu")
    assert model.size == 8 and model.betas == ("scaled_linear", 0.00085, 0.012)
    told = model.read(["a mug", "a house"])
    seen = model.noise(noisy_maps(), 500, told, CAMERAS)
    config = json.loads((saved / "unet" / "config.json").read_text())
    again = diffusers.UNet2DConditionModel.from_config(config)
    again.load_state_dict(load_file(saved / "unet" / "diffusion_pytorch_model.safetensors"))
    with torch.no_grad():
        wanted = again.eval()(noisy_maps(), 500, encoder_hidden_states=told, class_labels=CAMERAS).sample
    torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=1e-4)
    assert float((model.noise(noisy_maps(), 500, told, CAMERAS.flip(0)) - seen).abs().max()) > 1e-3
    assert not any(weight.requires_grad for weight in model.unet.parameters())


def test_only_one_that_began_from_words_knows_them(base: Path, tmp_path: Path) -> None:
    for begun in (None, base):
        model = load(tiny_coordinates(tmp_path / str(bool(begun)), begun), "cpu")
        told = model.read(["a mug", "a house"])
        one, other = (model.noise(noisy_maps()[:1], 500, words, CAMERAS[:1]) for words in told.split(1))
        assert torch.equal(one, other) != bool(begun)
        assert (tmp_path / str(bool(begun)) / "text_encoder" / "model.safetensors").is_file() == bool(begun)


def test_maps_are_the_latents_themselves(saved: Path) -> None:
    maps = torch.rand(1, 8, 8, 4, requires_grad=True)
    latents = load(saved, "cpu").latents(maps)
    assert torch.equal(latents[0, 3], maps[0, ..., 3])
    latents.sum().backward()
    assert maps.grad is not None and bool((maps.grad == 1).all())


def test_one_begun_from_stable_diffusion_at_first_answers_as_that_did(base: Path) -> None:
    from img23d.backends import stable_diffusion

    plain, begun = stable_diffusion.load(base, "cpu"), begun_model(base, "cpu")
    told = plain.read(["a mug", "a house"])
    torch.testing.assert_close(begun.noise(noisy_maps(), 300, told, CAMERAS), plain.noise(noisy_maps(), 300, told), atol=1e-5, rtol=1e-4)
    assert all(weight.requires_grad for weight in begun.unet.parameters())


def test_the_published_codes_camera_layers_are_folded_into_one(base: Path, tmp_path: Path) -> None:
    """Linear, batch norm and linear, as its U-Net has them: worked out here layer by layer."""
    from safetensors.torch import load_file, save_file

    torch.manual_seed(1)
    folder = tmp_path / "theirs"
    shutil.copytree(base, folder)
    layers = torch.nn.Sequential(torch.nn.Linear(12, 6), torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 32)).eval()
    torch.nn.init.normal_(layers[1].weight)
    torch.nn.init.normal_(layers[1].running_mean)
    layers[1].running_var.uniform_(0.5, 2.0)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    own = load_file(file)
    save_file({**own, **{f"camera_embedding.models.{name}": value for name, value in layers.state_dict().items()}}, file)
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({**config, "addition_embed_type": "camera"}))
    model = load(folder, "cpu")
    told = model.read(["a mug", "a house"])
    # Their sum goes to the time embedding, where a class of diffusers' "identity" kind goes too.
    stock = diffusers.UNet2DConditionModel.from_config({**config, "class_embed_type": "identity"})
    stock.load_state_dict(own)
    with torch.no_grad():
        wanted = stock.eval()(noisy_maps(), 500, encoder_hidden_states=told, class_labels=layers(CAMERAS)).sample
    torch.testing.assert_close(model.noise(noisy_maps(), 500, told, CAMERAS), wanted, atol=1e-5, rtol=1e-4)
    save_file({**own, "camera_embedding.models.0.weight": layers[0].weight.detach()}, file)
    with pytest.raises(WeightsError, match=r"lacks camera_embedding\.models\."):
        load(Path(shutil.copytree(folder, tmp_path / "torn")), "cpu")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"in_channels": 8}, "in_channels is 8"),
        ({"_class_name": "MultiViewUNetModel"}, "a MultiViewUNetModel"),
        ({"class_embed_type": None}, "not told cameras of 12"),
        ({"projection_class_embeddings_input_dim": 16}, "not told cameras of 12"),
        ({"block_out_channels": [32, 32]}, "has another shape"),
        ({"down_block_types": ["NoSuchBlock", "DownBlock2D"]}, "describes no network"),
    ],
)
def test_another_kind_of_network_is_refused_with_a_reason(tmp_path: Path, changes: dict, reason: str) -> None:
    folder = tiny_coordinates(tmp_path / "other")
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    with pytest.raises(WeightsError, match=reason) as caught:
        load(folder, "cpu")
    assert "\n" not in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    "part", ["unet", "scheduler", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "tokenizer", "text_encoder"]
)
def test_a_missing_part_is_named(base: Path, tmp_path: Path, part: str) -> None:
    folder = tiny_coordinates(tmp_path / "part", base)
    place = folder / part
    place.unlink() if place.is_file() else shutil.rmtree(place)
    with pytest.raises(WeightsError, match=part.partition("/")[0]):
        load(folder, "cpu")


def test_a_torn_file_and_other_bases_are_refused(base: Path, tmp_path: Path) -> None:
    folder = tiny_coordinates(tmp_path / "torn")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load(folder, "cpu")
    with pytest.raises(WeightsError, match="class_embed_type is projection"):
        begun_model(tiny_coordinates(tmp_path / "own"), "cpu")
    with pytest.raises(WeightsError, match="scheduler_config"):
        begun_model(tmp_path / "nothing", "cpu")
    for widths, size in (((20, 40), 16), ((16, 16, 16), 10), ((), 16)):
        with pytest.raises(ConfigError, match="make no network"):
            fresh_model(widths, size, "cpu")
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("[]")
    with pytest.raises(WeightsError, match="cannot be read"):
        check_network(tmp_path)


def test_a_model_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tiny_coordinates(tmp_path / "model")
    (folder / "old").write_text("old")
    model = load(folder, "cpu")

    class Torn(torch.nn.Module):
        def state_dict(self):
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_model(model, Torn(), folder, None, {})
    assert (folder / "old").is_file() and load(folder, "cpu") is model
    write_model(model, model.unet, folder, None, {"figures": {"loss": 1.0}})
    assert not (folder / "old").exists() and json.loads((folder / "training.json").read_text()) == {"figures": {"loss": 1.0}}
    assert not list(tmp_path.glob("*.partial"))
