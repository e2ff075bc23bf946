"""The network for fine normals: what it must never do, what its loss asks for, and that the shipped one helps."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import trimesh

from img23d.errors import InputError, WeightsError
from img23d.priors import embedded
from img23d.priors.embedded import shape_network
from img23d.priors.fine_normals import (
    INPUTS,
    PER_CHORD,
    WEIGHTS,
    FineNormals,
    NormalNetwork,
    chord_loss,
    export_normals,
    fine_normals,
    load_network,
    normal_inputs,
    relief_loss,
    turned_over,
    weights_present,
)
from img23d.training import dataset, fine_normals_samples
from img23d.training.fine_normals_samples import SIZE, NormalShards, draw_normal_sample, mirror, pack, turn_of, unpack
from img23d.training.fine_normals_train import (
    NormalOptions,
    NormalTrainer,
    batch_of,
    error_degrees,
    run_normal_training,
    some_window,
    train_normals,
)
from img23d.training.objects import TrainingObject
from img23d.training.relit import Window, as_drawn, relit
from img23d.training.store import ObjectStore

SMALL = (8, 8)


def small_network() -> NormalNetwork:
    torch.manual_seed(0)
    return NormalNetwork((8, 8), (1, 1), (1,), 4)


def random_inputs(batch: int = 2, size: int = 32) -> torch.Tensor:
    torch.manual_seed(1)
    normal = torch.nn.functional.normalize(torch.randn(batch, 3, size, size), dim=1)
    return normal_inputs(torch.rand(batch, 3, size, size), torch.ones(batch, 1, size, size), normal, torch.randn(batch, 1, size, size))


def test_an_untrained_network_leaves_normals_as_they_are():
    inputs = random_inputs()
    answer = small_network().eval()(inputs)
    assert (answer.normal * inputs[:, 4:7]).sum(1).min() > 0.999


def test_mirrored_inputs_turn_over_twice():
    inputs = random_inputs()
    assert inputs.shape[1] == INPUTS and torch.equal(turned_over(turned_over(inputs)), inputs)
    assert torch.equal(turned_over(inputs)[:, 4], -inputs[:, 4].flip(-1)) and torch.equal(turned_over(inputs)[:, 5], inputs[:, 5].flip(-1))


def test_nothing_is_told_outside_the_mask():
    mask = torch.zeros(1, 1, 16, 16)
    inputs = normal_inputs(torch.zeros(1, 3, 16, 16), mask, torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    assert not inputs.any()


def test_the_loss_is_least_at_the_errors_own_scale():
    """Chords c have the least negative log-likelihood c / b + 2 log b at b = c / 2."""
    truth = torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(1, 3, 4, 4)
    angle = 0.3
    answer = torch.tensor([math.sin(angle), 0.0, math.cos(angle)])[:, None, None].expand(1, 3, 4, 4)
    scale = torch.full((1, 1, 4, 4), math.log(math.sin(angle / 2)), requires_grad=True)
    chord_loss(FineNormals(answer, scale), truth, torch.ones(1, 1, 4, 4)).backward()
    assert scale.grad.abs().max() < 1e-4
    assert chord_loss(FineNormals(truth, scale), truth, torch.ones(1, 1, 4, 4)) < chord_loss(
        FineNormals(answer, scale), truth, torch.ones(1, 1, 4, 4)
    )


def test_the_relief_loss_forgives_a_common_lean_and_nothing_else():
    torch.manual_seed(2)
    wavy, weight = 0.2 * torch.randn(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    floor = 1e-3  # of the square root that keeps its gradient finite
    assert relief_loss(wavy + torch.tensor([0.3, -0.1, 0.0])[:, None, None], wavy, weight) < 1.1 * floor
    assert relief_loss(torch.zeros_like(wavy), wavy, weight) > 100 * floor
    weight[..., 16:] = 0
    spoilt = wavy.clone()
    spoilt[..., 16:] = 9.0
    assert relief_loss(spoilt, wavy, weight) < 1.1 * floor


def test_expected_cosines_are_those_of_laplace_distributed_chords():
    scale, rng = 0.05, np.random.default_rng(0)
    chord = rng.gamma(2.0, scale, 200_000)  # the length of vectors in the plane with density exp(-length / scale)
    assert abs(float(np.mean(chord**2 / 2)) / (PER_CHORD * scale**2) - 1) < 0.02


def test_weights_come_back_as_they_went_and_damage_is_told(tmp_path):
    network, path = small_network().eval(), tmp_path / "normals.safetensors"
    export_normals(network, path, {"step": 1.0})
    inputs = random_inputs()
    assert (load_network(path)(inputs).normal - network(inputs).normal).abs().max() < 1e-2
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(path.read_bytes()[:200])
    with pytest.raises(WeightsError, match="cannot read"):
        load_network(torn)


class Ball:
    """A source of one ball with a plain colour."""

    family = "ball"

    def load(self) -> TrainingObject:
        ball = trimesh.creation.icosphere(4, 0.5)
        uv = np.zeros((len(ball.faces), 3, 2), np.float32)
        grey = np.full((2, 2, 3), 150, np.uint8)
        return TrainingObject(ball.vertices.astype(np.float32), ball.faces.astype(np.int32), uv, grey)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ObjectStore([Ball()], tmp_path_factory.mktemp("solids"), resolution=32)


@pytest.fixture(scope="module")
def samples(store):
    """Views of a bumpy ball."""
    from img23d.backends.rasterizers import choose_rasterizer

    random, network = np.random.default_rng(5), shape_network(embedded.WEIGHTS, "cpu")
    return [draw_normal_sample(store, 0, random, choose_rasterizer("auto"), network, bumpy=1.0) for _ in range(4)]


def test_samples_are_packed_without_loss(samples):
    for name, first, second in zip(samples[0]._fields, samples[0], unpack(pack(samples[0]))):
        assert first.dtype == second.dtype and np.array_equal(first, second), name


def test_bumps_are_in_the_true_normals_and_not_far_from_the_balls_own(samples):
    for sample in samples:
        inside = sample.hit & (np.abs(sample.normal.astype(float)).sum(-1) > 0)
        normal = sample.normal[inside] / 127.0
        rows, columns = np.nonzero(sample.hit)
        reach = (rows.max() - rows.min()) / 2
        across = np.stack([columns - columns.mean(), rows.mean() - rows], -1) / reach
        near = (np.linalg.norm(across, axis=-1) < 0.8)[inside[sample.hit]]
        off = normal[near][:, :2] - across[inside[sample.hit]][near]
        assert 0.01 < np.linalg.norm(off, axis=-1).mean() < 0.6


def test_a_mirrored_scene_has_mirrored_directions():
    from img23d.priors.frame import camera_pose
    from img23d.training.samples import make_scene

    item = Ball().load()
    scene = make_scene(item, torch.zeros(8, 8, 8, dtype=torch.int8), mirror(), camera_pose(0.3, 0.2, 0.0, 0.5), 0.6)
    right = torch.tensor([1.0, 0.0, 0.0])
    moved = scene.warp.forward(torch.stack([right, torch.zeros(3)])) @ scene.pose.rotation.T
    assert torch.allclose(turn_of(scene) @ right, moved[0] - moved[1], atol=1e-6)


def test_parts_are_squares_of_the_pictures(samples):
    whole, _, _ = batch_of([as_drawn(samples[1], Window())])
    for seed in range(4):
        window = some_window(samples[1], np.random.default_rng(seed), 64)
        inputs, truth, weight = batch_of([as_drawn(samples[1], window)])
        assert inputs.shape == (1, INPUTS, 64, 64) and truth.shape == (1, 3, 64, 64) and weight.amax() == 1
        assert window.top % 16 == window.left % 16 == 0
        there = whole[:, :, window.top : window.top + 64, window.left : window.left + 64]
        assert torch.equal(inputs[:, :4], there[:, :4])
        # Between the pixels of the shape network's pictures the part's border has but one neighbour.
        assert torch.allclose(inputs[:, 4:8, 2:-2, 2:-2], there[:, 4:8, 2:-2, 2:-2], atol=1e-5)


def plain_ball(store):
    from img23d.backends.rasterizers import choose_rasterizer

    return draw_normal_sample(store, 0, np.random.default_rng(8), choose_rasterizer("auto"), shape_network(embedded.WEIGHTS, "cpu"))


def test_what_is_lit_anew_has_other_light_and_relief_on_the_same_body(store):
    sample, random = plain_ball(store), np.random.default_rng(3)
    before = sample.normal[sample.hit] / 127.0
    parts = [relit(sample, Window(), random) for _ in range(3)]
    for part in parts:
        assert np.array_equal(part.hit, sample.hit) and np.array_equal(part.said_normal, sample.said_normal)
        after = part.normal[sample.hit] / 127.0
        assert np.allclose(np.linalg.norm(after, axis=-1), 1.0, atol=0.02)
        turned = np.degrees(np.arccos((before * after).sum(-1).clip(-1, 1)))
        assert 0.5 < turned.mean() < 40 and (after[:, 2] > 0).mean() > 0.95
        assert np.abs(part.rgb.astype(float) - sample.rgb)[sample.mask == 255].mean() > 3
        assert not part.rgb[sample.mask == 0].any()
    assert not np.array_equal(parts[0].normal, parts[1].normal) and not np.allclose(parts[0].light, parts[1].light)


def test_a_part_lit_anew_is_told_the_light_of_the_whole(store):
    sample = plain_ball(store)
    whole, part = (relit(sample, window, np.random.default_rng(11)) for window in (Window(), Window(96, 96, 64)))
    assert np.allclose(whole.light, part.light) and part.rgb.shape == (64, 64, 3)


@pytest.fixture
def folder(samples, tmp_path):
    place = tmp_path / "learning"
    place.mkdir()
    np.save(place / "0001-00000.npy", np.stack([pack(sample) for sample in samples]))
    return place


def test_samples_of_an_older_version_are_refused(tmp_path):
    np.save(tmp_path / "0001-00000.npy", np.zeros((2, 1000), np.uint8))
    with pytest.raises(InputError, match="another version"):
        NormalShards(tmp_path)


def small_options(steps: int) -> NormalOptions:
    return NormalOptions(steps=steps, batch=2, part=64, widths=SMALL, seed=2)


def fewer_blocks(monkeypatch) -> None:
    from img23d.training import fine_normals_train

    monkeypatch.setattr(fine_normals_train, "NormalNetwork", lambda widths: NormalNetwork(widths, (1, 1), (1,), 8))


def test_training_learns_the_bumps_of_a_ball(folder, tmp_path, monkeypatch):
    fewer_blocks(monkeypatch)
    options = dataclasses.replace(small_options(80), rate=1e-2, ema=0.9, widths=(16, 16), part=128, batch=4)
    last = run_normal_training(options, folder, folder, tmp_path / "out")
    assert last["normal_deg"] < 0.97 * last["coarse_deg"]


def test_stopped_training_ends_as_if_it_had_not_stopped(folder, tmp_path, monkeypatch):
    fewer_blocks(monkeypatch)
    straight = NormalTrainer(small_options(4), folder, tmp_path)
    for _ in range(4):
        straight.one_step()
    first = NormalTrainer(small_options(4), folder, tmp_path)
    first.one_step()
    first.one_step()
    first.save()
    second = NormalTrainer(small_options(4), folder, tmp_path)
    second.load()
    assert second.step == 2
    second.one_step()
    second.one_step()
    for ours, theirs in zip(straight.average.state_dict().values(), second.average.state_dict().values()):
        assert torch.allclose(ours.float(), theirs.float(), atol=1e-6)


def test_training_from_a_folder_draws_learns_and_exports(tmp_path, monkeypatch):
    fewer_blocks(monkeypatch)
    monkeypatch.setattr(fine_normals_samples, "SHARD", 2)
    monkeypatch.setattr(fine_normals_samples, "VIEWS", 2)
    place = tmp_path / "objects"
    place.mkdir()
    kept = next(name for name in ("ball", "globe", "orb", "sphere") if not dataset.held_out(name))
    trimesh.creation.icosphere(3).export(place / f"{kept}.glb")
    told: list[dict[str, float]] = []
    options = dataclasses.replace(small_options(1), pictures=2, procedural=0)
    last = train_normals(options, [place], tmp_path / "out", progress=told.append)
    assert last["step"] == 1 and told[0] == {"pictures": 2.0} and len(NormalShards(tmp_path / "out" / "cache" / "learning")) == 2
    assert load_network(tmp_path / "out" / "normals.safetensors").sizes["widths"] == SMALL


@pytest.mark.skipif(not weights_present(), reason="no weights in this checkout")
def test_the_shipped_network_comes_closer_to_the_normals_of_objects_that_it_has_never_seen(tmp_path):
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.training.dataset import ProceduralSource

    store = ObjectStore([ProceduralSource(seed) for seed in range(9000, 9010)], tmp_path, resolution=32)  # it learnt from 0 to 449
    random, network = np.random.default_rng(8), shape_network(embedded.WEIGHTS, "cpu")
    gained = []
    for index in range(len(store)):
        sample = draw_normal_sample(store, index, random, choose_rasterizer("auto"), network, bumpy=0.0)
        inputs, truth, weight = batch_of([as_drawn(sample, Window())])
        said = torch.from_numpy(sample.said_normal.copy()).float() / 127
        depth = torch.from_numpy(sample.said_depth.copy()).float()
        normal, doubt = fine_normals(inputs[0, :3].permute(1, 2, 0), inputs[0, 3], said, depth)
        assert normal.shape == (SIZE, SIZE, 3) and doubt.shape == (SIZE, SIZE) and float(doubt.min()) > 0
        ours = error_degrees(normal.permute(2, 0, 1)[None], truth, weight)
        gained.append(float(error_degrees(inputs[:, 4:7], truth, weight) - ours))
    assert np.mean(gained) > 0.3, gained


@pytest.mark.skipif(not weights_present(), reason="no weights in this checkout")
def test_the_shipped_network_answers_a_mirrored_picture_with_a_mirrored_answer(samples):
    inputs, _, _ = batch_of([as_drawn(samples[0], Window())])
    rgb, mask, normal, depth = inputs[0, :3].permute(1, 2, 0), inputs[0, 3], inputs[0, 4:7].permute(1, 2, 0), inputs[0, 7]
    first, _ = fine_normals(rgb, mask, normal, depth)
    second, _ = fine_normals(rgb.flip(1), mask.flip(1), normal.flip(1) * torch.tensor([-1.0, 1.0, 1.0]), depth.flip(1))
    assert (first - second.flip(1) * torch.tensor([-1.0, 1.0, 1.0])).abs().max() < 1e-3
    assert WEIGHTS.stat().st_size < 2e6


@pytest.mark.skipif(not weights_present(), reason="no weights in this checkout")
def test_what_a_simple_solid_has_told_stays_and_the_rest_is_looked_at_closer():
    from img23d.priors.embedded import predict
    from img23d.scene import Views
    from img23d.scene.cameras import orbit_degrees
    from img23d.stages.estimate_embedded import front_confidence, full_size, with_fine_normals

    torch.manual_seed(4)
    mask = torch.zeros(256, 256)
    mask[40:216, 40:216] = 1
    rgb = torch.rand(16, 16, 3).repeat_interleave(16, 0).repeat_interleave(16, 1)
    views = Views(orbit_degrees([0.0], 0.0, 3.0, 40.0), rgb[None], mask[None])
    first = predict(rgb, mask, None, "cpu")
    ahead = torch.tensor([0.0, 0.0, 1.0])
    left = torch.arange(first.mask.shape[-1]) < first.mask.shape[-1] // 2
    said = dataclasses.replace(first, normal=torch.where(left[None, :, None], ahead, first.normal))
    inside = said.mask > 0.5
    coarse, trust = full_size(said.normal, inside, 256), full_size(front_confidence(said)[..., None], inside, 256)[..., 0]
    normal, sure = with_fine_normals(views, first, said, coarse, trust)
    known, other = slice(48, 112), slice(144, 208)
    assert torch.allclose(normal[known, known], coarse[known, known], atol=1e-4)
    assert torch.allclose(sure[known, known], trust[known, known], atol=1e-4)
    assert (normal[known, other] - coarse[known, other]).abs().mean() > 1e-3
    assert (sure[known, other] - trust[known, other]).abs().mean() > 1e-3
