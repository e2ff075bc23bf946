"""SyncDreamer as a tiny random network in the names of its checkpoint, against the network written out anew from its layout."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from img23d.backends import syncdreamer
from img23d.backends.sync_checkpoint import PARTS, Published, build, found, is_syncdreamer
from img23d.backends.syncdreamer import load, told_sides
from img23d.errors import WeightsError

pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'img23d[diffusion]')")

sys.path.insert(0, str(Path(__file__).parent))
from sync_network import TINY, SyncNetwork, asked, poses, saved_as, spare, whole_network


@pytest.fixture(scope="module")
def network() -> SyncNetwork:
    with torch.no_grad():
        return whole_network()


@pytest.fixture(scope="module")
def folder(network: SyncNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_as(tmp_path_factory.mktemp("models") / "any-name", {**network.weights, **spare()})


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncdreamer, "PUBLISHED", TINY)
    load.cache_clear()


@pytest.fixture
def model(folder: Path, tiny: None):
    return load(folder, "cpu")


def photo_of(network_asked) -> torch.Tensor:
    return network_asked.photo.permute(1, 2, 0) / 2 + 0.5


def test_it_answers_as_the_network_that_was_saved(model, network: SyncNetwork) -> None:
    question, chosen = asked(), (0, 3, 13)
    with torch.no_grad():
        wanted = network(question, chosen)
    told = model.look(photo_of(question), question.elevation)
    answers = model.noise(question.noisy, question.step, told, 5)
    for answer, want in zip(answers, wanted):
        assert answer.shape == question.noisy.shape
        torch.testing.assert_close(answer[list(chosen)], want, atol=2e-5, rtol=1e-4)
    # What the comparison rests on: both halves differ, and everything that is told matters.
    assert (answers[0] - answers[1]).abs().max() > 0.05
    for other in (
        model.look(photo_of(question), question.elevation + 20),
        model.look(1 - photo_of(question), question.elevation),
        replace(told, meaning=told.meaning * 0.5),
        replace(told, latent=told.latent * 0.18215),
    ):
        again = model.noise(question.noisy, question.step, other, 16)
        assert (again[1] - answers[1]).abs().max() > 1e-3


def test_how_many_sides_are_looked_at_at_once_changes_nothing(model) -> None:
    question = asked()
    told = model.look(photo_of(question), question.elevation)
    whole = model.noise(question.noisy, question.step, told, 16)
    for batch, both in ((7, True), (4, False)):
        parts = model.noise(question.noisy, question.step, told, batch, both)
        torch.testing.assert_close(parts[1], whole[1], atol=5e-5, rtol=1e-4)
        torch.testing.assert_close(parts[0], whole[0 if both else 1], atol=5e-5, rtol=1e-4)


def test_sides_see_each_other_only_where_they_are_told_something(model) -> None:
    question = asked()
    told = model.look(photo_of(question), question.elevation)
    before = model.noise(question.noisy, question.step, told, 16)
    changed = question.noisy.clone()
    changed[5] += 1
    after = model.noise(changed, question.step, told, 16)
    moved = [(new - old).abs().amax((1, 2, 3)) for new, old in zip(after, before)]
    others = [number for number in range(16) if number != 5]
    assert float(moved[0][others].max()) < 1e-5 and float(moved[0][5]) > 0.01
    assert float(moved[1].min()) > 1e-4


def test_the_turns_are_told_as_they_were_trained() -> None:
    sides = told_sides(10.0)
    assert sides.shape == (16, 4)
    torch.testing.assert_close(sides[0], torch.tensor([-0.3490659, 0.0, 1.0, 0.0]))  # from 10 up to 30 degrees: less from the zenith
    torch.testing.assert_close(sides[4], torch.tensor([-0.3490659, 1.0, 0.0, 0.0]), atol=1e-6, rtol=0)  # a quarter turn to the right
    torch.testing.assert_close(sides[1, 1], torch.tensor(0.3826834))  # 22.5 degrees
    assert not told_sides(30.0)[:, 0].any()


def test_the_photo_is_told_by_its_mode_and_not_scaled(model, network: SyncNetwork) -> None:
    question = asked()
    told = model.look(photo_of(question), question.elevation)
    with torch.no_grad():
        torch.testing.assert_close(told.latent, network.encode(question.photo), atol=5e-5, rtol=1e-4)
        torch.testing.assert_close(told.meaning[0], network.meaning(question.photo), atol=5e-5, rtol=1e-4)
    assert model.betas == ("scaled_linear", 0.00085, 0.012) and model.latent_size == 8


def test_latents_become_the_pictures_of_the_saved_autoencoder(model, network: SyncNetwork) -> None:
    latents = asked().noisy[:2]
    with torch.no_grad():
        wanted = network.decode(latents / 0.18215) / 2 + 0.5
    pictures = model.pictures(latents)
    assert pictures.shape == (2, 64, 64, 3)
    torch.testing.assert_close(pictures.permute(0, 3, 1, 2), wanted.clamp(0, 1), atol=1e-4, rtol=1e-4)


def test_every_weight_of_the_published_size_has_its_place() -> None:
    sizes = Published()
    whole = SyncNetwork(sizes, meta=True)
    with torch.device("meta"):
        side = sizes.picture // 8
        sides, told, noisy = torch.empty(16, 4), torch.empty(1, 256), torch.empty(16, 4, side, side)
        waves = whole.linear("time_embed.0", torch.empty(1, 256), 256)
        whole.linear("time_embed.2", waves, 256)
        # 32³ voxels by hand take a while: the layers know nothing of how many there are
        small = SyncNetwork(sizes._replace(volume=sizes.volume._replace(voxels=8)), meta=True)
        volume = small.together(noisy, told, sides)
        whole.weights.update(small.weights)
        seen = whole.frustum(0, volume, told, sides[0], side)
        assert {places: one.shape[1:3] for places, one in seen.items()} == {32: (64, 48), 16: (128, 24), 8: (256, 12), 4: (512, 6)}
        context = whole.linear("cc_projection", torch.empty(1, 1, 772), 768)
        whole.unet(torch.empty(1, 8, side, side), 500, context, seen)
        whole.encode(torch.empty(3, 256, 256))
        whole.decode(torch.empty(1, 4, side, side))
        whole.meaning(torch.empty(3, 256, 256))
    counts = {}
    for part, ours in build(sizes).items():
        theirs = found(part, whole.weights, sizes)
        assert {name: one.shape for name, one in theirs.items()} == {name: one.shape for name, one in ours.state_dict().items()}
        counts[part] = sum(one.numel() for one in theirs.values())
    # Stable Diffusion 1.5's U-Net and four more channels in; its autoencoder; CLIP's ViT-L/14 with its projection
    assert counts["unet"] == 859_520_964 + 4 * 320 * 9 and counts["vae"] == 83_653_863 and counts["encoder"] == 303_966_208
    assert counts["projection"] == 772 * 768 + 768 and sum(counts.values()) == sum(one.numel() for one in whole.weights.values())


def test_a_checkpoint_is_known_by_its_tensors(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    (file,) = folder.glob("*.safetensors")
    assert is_syncdreamer(folder) and is_syncdreamer(str(file))
    assert not is_syncdreamer(tmp_path) and not is_syncdreamer("syncdreamer")
    save_file({"unet.conv_in.weight": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    assert not is_syncdreamer(tmp_path)


def test_half_precision_several_files_and_one_file_load_too(tiny: None, folder: Path, network: SyncNetwork, tmp_path: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    halves = {name: tensor.half() for name, tensor in network.weights.items()}  # and nothing that is not needed
    ours = load(file, "cpu")
    theirs = load(saved_as(tmp_path / "half", halves, 3), "cpu")
    for part in ("unet", "vae", "encoder", "depth", "volume", "time", "projection"):
        wanted = dict(getattr(ours, part).named_parameters())
        given = dict(getattr(theirs, part).named_parameters())
        assert wanted.keys() == given.keys()
        for name, value in given.items():
            assert value.dtype == torch.float32 and not value.requires_grad and torch.equal(value, wanted[name].half().float())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("spatial_volume.frustum_volume_feats.up1.norm.bias"), "volume network in .* lacks 1 tensors: frustum.*up1.norm"),
        (lambda t: t.pop("model.diffusion_model.output_conditions.4.depth_attn.to_q.weight"), "depth network in .* lacks 1 tensors"),
        (lambda t: [t.pop(name) for name in list(t) if name.startswith(PARTS["vae"])], r"vae network in .* lacks \d+ tensors"),
        (
            lambda t: t.update({"model.diffusion_model.label_emb.0.weight": torch.zeros(1)}),
            "unet network in .* no place for 1 tensors: label",
        ),
        (lambda t: t.update({"cc_projection.weight": torch.zeros(16, 16)}), "projection network in .* another shape for 1 tensors: weight"),
        (lambda t: t.update({"view_net.weight": torch.zeros(1)}), "another checkpoint than SyncDreamer's: it has view_net.weight"),
        (lambda t: t.update(poses=poses().roll(1, 0)), "other cameras"),
        (lambda t: t.update(poses=poses()[:8]), "other cameras"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tiny: None, network: SyncNetwork, tmp_path: Path, change, reason: str) -> None:
    tensors = {**network.weights, **spare()}
    change(tensors)
    with pytest.raises(WeightsError, match=reason) as told:
        load(saved_as(tmp_path / "other", tensors), "cpu")
    assert "docs/models.md" in told.value.hint and "\n" not in told.value.message


def test_torn_files_are_told(tiny: None, folder: Path, tmp_path: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(file.read_bytes()[:-50])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load(tmp_path, "cpu")


def test_weights_that_nobody_can_fetch_are_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from img23d.backends import fetching, hub
    from img23d.weights import BY_NAME

    monkeypatch.setenv("IMG23D_CACHE", str(tmp_path / "cache"))
    entry = BY_NAME["syncdreamer"]
    for ask in (lambda: hub.require("syncdreamer"), lambda: fetching.fetch(entry)):
        with pytest.raises(WeightsError, match="published as a pickle alone") as told:
            ask()
        assert "docs/models.md" in told.value.hint and "img23d models import syncdreamer" in told.value.hint
    pickled = tmp_path / "syncdreamer-pretrain.ckpt"
    pickled.write_bytes(b"PK\x03\x04" + b"\0" * 32)
    with pytest.raises(WeightsError, match="is a pickle"):
        hub.require(str(pickled))
    where, _ = hub.import_model(entry, folder)
    assert hub.require("syncdreamer") == where.path and is_syncdreamer(where.path)
