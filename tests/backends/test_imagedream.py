"""ImageDream as a tiny random network in the layout of the real one, against its layout written out anew."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from img23d.backends import mvdream
from img23d.backends.imagedream import Known, load
from img23d.backends.mvdream import kind_of, told_cameras
from img23d.errors import WeightsError
from img23d.scene.cameras import orbit_degrees

sys.path.insert(0, str(Path(__file__).parent))
from ldm_unet import LdmUNet
from test_mvdream import CONFIG, tiny_mvdream  # skips where diffusers or transformers is not installed

WORDS, PLACES = 3, 12
TELLING = {**CONFIG, "ip_dim": WORDS}


class TellingUNet(LdmUNet):
    """`LdmUNet` with a resampler, and attention that reads what it makes beside the text."""

    def cross(self, name: str, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        width = x.shape[-1]
        heads = width // self.config["num_head_channels"]
        asked, *rows = (
            self.linear(f"{name}.{part}", of, width, bias=False).unflatten(-1, (heads, -1)).transpose(1, 2)
            for part, of in (
                ("to_q", x), ("to_k", context[:, :-WORDS]), ("to_v", context[:, :-WORDS]),
                ("to_k_ip", context[:, -WORDS:]), ("to_v_ip", context[:, -WORDS:]),
            )
        )  # fmt: skip
        shares = [(asked @ keys.transpose(-1, -2) / math.sqrt(asked.shape[-1])).softmax(-1) for keys in rows[::2]]
        seen = shares[0] @ rows[1] + shares[1] @ rows[3]
        return self.linear(f"{name}.to_out.0", seen.transpose(1, 2).flatten(2), width)

    def resampled(self, places: torch.Tensor, rounds: int = 2, heads: int = 2) -> torch.Tensor:
        """(B, P, C) of a picture's places to (B, WORDS, context_dim)."""
        width, at = self.config["context_dim"], "image_embed"
        shown = self.linear(f"{at}.proj_in", places, width)
        asked = self.weight(f"{at}.latents", 1, WORDS, width).expand(len(places), -1, -1)
        for number in range(rounds):
            layer = f"{at}.layers.{number}"
            normed = self.layer_norm(f"{layer}.0.norm2", asked)
            both = torch.cat([self.layer_norm(f"{layer}.0.norm1", shown), normed], 1)
            questions = self.linear(f"{layer}.0.to_q", normed, 64 * heads, bias=False)
            keys, values = self.linear(f"{layer}.0.to_kv", both, 128 * heads, bias=False).split(64 * heads, -1)
            parts = [
                (questions[..., part] @ keys[..., part].transpose(1, 2) / 8).softmax(-1) @ values[..., part]
                for part in (slice(64 * head, 64 * head + 64) for head in range(heads))
            ]
            asked = asked + self.linear(f"{layer}.0.to_out", torch.cat(parts, -1), width, bias=False)
            deeper = F.gelu(self.linear(f"{layer}.1.1", self.layer_norm(f"{layer}.1.0", asked), 4 * width, bias=False))
            asked = asked + self.linear(f"{layer}.1.3", deeper, width, bias=False)
        return self.layer_norm(f"{at}.norm_out", self.linear(f"{at}.proj_out", asked, width))


def tiny_imagedream(folder: Path, unet: TellingUNet | None = None) -> Path:
    """A network of some hundred kilobytes, saved as the real one is."""
    import transformers

    unet = unet or TellingUNet(TELLING)
    if not unet.weights:
        words = unet.resampled(torch.zeros(5, 4, PLACES))
        unet(torch.zeros(5, 4, 8, 8), 500, torch.cat([torch.zeros(5, 5, 16), words], 1), torch.zeros(5, 16), 5)
    tiny_mvdream(folder, unet)
    torch.manual_seed(1)
    told = {"hidden_size": PLACES, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 56}
    transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**told)).save_pretrained(folder / "image_encoder", safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TellingUNet]:
    unet = TellingUNet(TELLING)
    return tiny_imagedream(tmp_path_factory.mktemp("models") / "any name", unet), unet


def photo(seed: int = 0) -> torch.Tensor:
    return torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_the_photo_becomes_words_and_a_latent(saved: tuple[Path, TellingUNet]) -> None:
    from transformers import CLIPImageProcessor

    folder, unet = saved
    model = load(folder, "cpu")
    known, picture = model.look(photo()), photo()
    assert known.words.shape == (2, WORDS, 16) and known.latents.shape == (2, 4, 8, 8)
    assert not known.latents[0].any() and known.words[0].any()  # zeros go through the resampler
    pixels = CLIPImageProcessor()(picture, do_rescale=False, return_tensors="pt").pixel_values
    places = model.encoder(pixels, output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(known.words, unet.resampled(torch.cat([torch.zeros_like(places), places])), atol=0.05, rtol=0.05)
    assert (known.words[1] - model.look(photo(1)).words[1]).abs().max() > 0.1
    whole = F.interpolate(picture.permute(2, 0, 1)[None], (64, 64), mode="bilinear", antialias=True)
    wanted = model.network.vae.encode(whole * 2 - 1).latent_dist.mean * 0.18215
    torch.testing.assert_close(known.latents[1:], wanted)


def test_it_answers_as_the_network_that_was_saved(saved: tuple[Path, TellingUNet]) -> None:
    folder, unet = saved
    model, generator = load(folder, "cpu"), torch.Generator().manual_seed(5)
    noisy, text = torch.randn(16, 4, 8, 8, generator=generator), torch.randn(16, 5, 16, generator=generator)
    cameras = told_cameras(orbit_degrees([30.0 * number for number in range(16)], 20.0, 2.0, 40.0))
    places, latent = torch.randn(2, 4, PLACES, generator=generator), torch.randn(2, 4, 8, 8, generator=generator)
    words = model.resampler(places)
    torch.testing.assert_close(words, unet.resampled(places), atol=1e-5, rtol=1e-4)
    known = Known(words, latent)
    found = model.noise(noisy, 700, text, cameras, known)
    assert found.shape == noisy.shape
    for group in range(4):  # two groups told nothing, then two told of the photo
        of, half = slice(4 * group, 4 * group + 4), group // 2
        context = torch.cat([text[of], text[of][:1]])
        context = torch.cat([context, unet.resampled(places[half : half + 1]).expand(5, -1, -1)], 1)
        wanted = unet(torch.cat([noisy[of], latent[half : half + 1]]), 700, context, torch.cat([cameras[of], torch.zeros(1, 16)]), 5)[:4]
        torch.testing.assert_close(found[of], wanted, atol=1e-5, rtol=1e-4)
    other = model.noise(noisy, 700, text, cameras, Known(words.flip(0), latent))
    assert (other - found).abs().max() > 1e-3  # what the comparison rests on


def test_every_weight_of_the_real_size_has_its_place() -> None:
    import diffusers

    from img23d.backends.ldm_keys import module_names, renamed
    from img23d.backends.mvdream import layout, stock_config
    from img23d.backends.picture_prompts import Resampler, decouple

    real = {**TELLING, "attention_resolutions": [4, 2, 1], "channel_mult": [1, 2, 4, 4], "context_dim": 1024, "image_size": 32,
            "model_channels": 320, "num_head_channels": 64, "num_res_blocks": 2}  # fmt: skip
    unet = TellingUNet(real, meta=True)
    with torch.device("meta"):
        words = unet.resampled(torch.empty(5, 257, 1280), rounds=4, heads=12)
        unet(torch.empty(5, 4, 32, 32), 500, torch.cat([torch.empty(5, 77, 1024), words], 1), torch.empty(5, 16), 5)
        stock, resampler = diffusers.UNet2DConditionModel(**stock_config(real)), Resampler(1280, 1024, WORDS, 768, 4)
        decouple(stock, WORDS)
    inside = {name: tensor for name, tensor in unet.weights.items() if not name.startswith("image_embed.")}
    found = renamed(inside, module_names(*layout(real)))
    assert {name: weight.shape for name, weight in found.items()} == {name: weight.shape for name, weight in stock.state_dict().items()}
    beside = {name.removeprefix("image_embed."): weight.shape for name, weight in unet.weights.items() if name not in inside}
    assert beside == {name: weight.shape for name, weight in resampler.state_dict().items()}


def test_it_is_told_from_mvdream_by_its_configuration(saved: tuple[Path, TellingUNet], tmp_path: Path) -> None:
    assert kind_of(saved[0]) == "imagedream"
    with pytest.raises(WeightsError, match="told of a picture"):
        mvdream.load(saved[0], "cpu")
    with pytest.raises(WeightsError, match="is not told of a picture"):
        load(tiny_mvdream(tmp_path / "mv"), "cpu")


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ("image_embed.proj_in.weight", "no readable image_embed"),
        ("image_embed.layers.1.1.3.weight", "no readable image_embed"),
        ("middle_block.1.transformer_blocks.0.attn2.to_v_ip.weight", "lacks 1 .*to_v_ip"),
    ],
)
def test_missing_weights_are_named(tmp_path: Path, lost: str, reason: str) -> None:
    unet = TellingUNet(TELLING)
    tiny_imagedream(tmp_path / "whole", unet)
    del unet.weights[lost]
    with pytest.raises(WeightsError, match=reason):
        load(tiny_imagedream(tmp_path / "part", unet), "cpu")


def test_an_image_encoder_that_is_missing_or_of_another_size_is_named(saved: tuple[Path, TellingUNet], tmp_path: Path) -> None:
    import transformers

    shutil.copytree(saved[0], tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "image_encoder")
    with pytest.raises(WeightsError, match="image_encoder"):
        load(tmp_path / "part", "cpu")
    other = transformers.CLIPVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, patch_size=56)
    transformers.CLIPVisionModel(other).save_pretrained(tmp_path / "part" / "image_encoder", safe_serialization=True)
    with pytest.raises(WeightsError, match=r"image encoder .* does not fit"):
        load(tmp_path / "part", "cpu")
