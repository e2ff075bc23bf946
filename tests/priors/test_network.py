"""The network, its losses and its training: shapes, learning, resuming, and weights in half precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from img23d.errors import InputError, WeightsError
from img23d.priors import frame
from img23d.priors.export import export_network, import_network, join_file, split_file
from img23d.priors.network import INPUTS, ShapeNetwork, attend, inflated_volume, network_inputs
from img23d.training.batches import halve, make_batch
from img23d.training.dataset import ProceduralSource, held_out, split_objects
from img23d.training.losses import Truth, prior_losses, volume_loss
from img23d.training.objects import ObjectFile, family_of
from img23d.training.options import NETWORKS, TrainOptions, resolved
from img23d.training.samples import Sample
from img23d.training.shape_trainer import ShardSource, Trainer, run_training
from img23d.training.shards import write_shard

SIZE = frame.IMAGE_SIZE


def drawn_sample(seed: int) -> Sample:
    """A made-up sample with the right types; its parts agree well enough to be learnt."""
    random = np.random.default_rng(seed)
    axis = frame.pixel_axis(SIZE).numpy()
    height = np.sqrt(np.clip(0.5 + 0.3 * random.random() - axis[:, None] ** 2 - axis[None] ** 2, 0, None))
    hit = height > 0
    deep = frame.bin_depths().numpy()[:, None, None]
    volume = np.clip((np.abs(deep) - height[::2, ::2]) / frame.TRUNCATION, -1, 1)
    rgb = (hit[..., None] * random.integers(0, 255, 3)).astype(np.uint8)
    return Sample(
        rgb, (hit * 255).astype(np.uint8), np.stack([height, 0.8 * height]).clip(0, 1).__mul__(255).astype(np.uint8), hit,
        np.stack([-height, height]).astype(np.float16), (hit[..., None] * np.array([0, 0, 127])).astype(np.int8), rgb,
        (volume * 127).astype(np.int8), np.array([0.3, 0.0, 0.6], np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def batch():
    """Two samples as inputs and truth."""
    return make_batch([drawn_sample(0), drawn_sample(1)], None)


@pytest.fixture
def shards(tmp_path):
    """A folder of eight samples."""
    folder = tmp_path / "shards"
    folder.mkdir()
    write_shard(folder / "a.shard", [drawn_sample(seed) for seed in range(8)], list(range(8)))
    return folder


def tiny(seed: int = 0) -> ShapeNetwork:
    """The network for tests."""
    torch.manual_seed(seed)
    return ShapeNetwork(**NETWORKS["tiny"])


@pytest.mark.parametrize("size", ["cpu", "gpu"])
def test_shipped_sizes_answer_in_the_right_shapes_and_fit_the_limit(size):
    network = ShapeNetwork(**NETWORKS[size]).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) * 2 < 16e6
    with torch.no_grad():
        answer = network(torch.zeros(1, INPUTS, SIZE, SIZE))
    assert answer.volume.shape == (1, frame.DEPTH_BINS, frame.VOLUME_SIZE, frame.VOLUME_SIZE)
    assert answer.depth.shape == (1, 2, SIZE, SIZE) and answer.log_scale.shape == (1, 4, SIZE, SIZE)
    assert torch.allclose(answer.normal.norm(dim=1), torch.ones(1, SIZE, SIZE), atol=1e-4)


def test_every_sample_teaches_once_before_any_teaches_again(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    write_shard(folder / "a.shard", [drawn_sample(0)._replace(view=np.full(3, k, np.float32)) for k in range(7)], list(range(7)))
    source = ShardSource(folder, batch=3, seed=4)
    seen = [int(sample.view[0]) for step in range(7) for sample in source.samples(step)]
    counts = [[seen[: 3 * steps].count(k) for k in range(7)] for steps in range(1, 8)]
    assert all(max(count) - min(count) <= 1 for count in counts) and max(counts[-1]) == 3
    assert seen[:7] != sorted(seen[:7])
    assert [int(sample.view[0]) for sample in ShardSource(folder, 3, 4).samples(5)] == sorted(seen[15:18])


def test_untrained_network_answers_plain_inflation(batch):
    inputs, _ = batch
    answer = tiny().eval()(inputs)
    assert (answer.volume - inflated_volume(inputs[:, 5:6], inputs[:, 3:4])).abs().mean() < 0.05
    assert (answer.depth[:, 1] - inputs[:, 5]).abs().mean() < 0.05


def test_attention_learns_as_it_answers():
    generator = torch.Generator().manual_seed(0)
    learning = [torch.randn(2, 4, 9, 8, generator=generator).requires_grad_(True) for _ in range(3)]
    answering = [part.detach().clone() for part in learning]
    with torch.no_grad():
        expected = attend(*answering)
    torch.testing.assert_close(attend(*learning), expected)
    kernel = [part.clone().requires_grad_(True) for part in answering]
    pull = torch.randn(expected.shape, generator=generator)
    (attend(*learning) * pull).sum().backward()
    (torch.nn.functional.scaled_dot_product_attention(*kernel) * pull).sum().backward()
    for ours, theirs in zip(learning, kernel):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_steps_lower_the_loss_of_a_batch(batch):
    inputs, truth = batch
    network = tiny()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    values = []
    for _ in range(12):
        total = torch.stack(list(prior_losses(network(inputs), truth).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values.append(total.item())
    assert values[-1] < values[0] - 0.2


def test_volume_loss_has_its_gradient_and_counts_only_the_side_beyond_the_truncation():
    truth = torch.tensor([-1.0, 1.0, 0.5, 0.2, 1.0, -1.0]).reshape(1, 6, 1, 1)
    answer = torch.tensor([-3.0, 0.5, 3.0, 0.1, 4.0, 0.9]).reshape(1, 6, 1, 1).requires_grad_()
    loss = volume_loss(answer, truth, 0.5)
    loss.backward()
    assert loss.item() * 6 == pytest.approx(0 + 0.5 + 2.5 + 0.1 + 0 + 1.9, abs=1e-5)
    assert (answer.grad.reshape(6) * 6).tolist() == [0, -1, 1, -1, 0, 1]


def test_quantile_of_the_volume_loss_is_what_it_says():
    random = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 2000, 1, 1, generator=random) * 1.8 - 0.9
    answer = torch.zeros(1, 1, 1, 1, requires_grad=True)
    optimizer = torch.optim.SGD([answer], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        volume_loss(answer.expand_as(truth), truth, 0.3).backward()
        optimizer.step()
    assert float((truth < answer.detach()).float().mean()) == pytest.approx(0.3, abs=0.03)


def test_mirrored_batches_are_mirrored_everywhere():
    samples = [drawn_sample(seed) for seed in range(2)]
    lopsided = [s._replace(normal=np.broadcast_to(np.int8([100, 20, 60]), s.normal.shape).copy(), hit=np.tri(SIZE) > 0) for s in samples]

    class Always:
        """Mirrors every sample and changes nothing else."""

        def random(self, count=None):
            return np.zeros(count) if count else 1.0

        def normal(self, mean, deviation, shape):
            return np.zeros(shape)

    inputs, truth = make_batch(lopsided, None)
    turned, other = make_batch(lopsided, Always())  # type: ignore[arg-type]
    assert torch.equal(other.hit, truth.hit.flip(-1)) and torch.equal(other.volume, truth.volume.flip(-1))
    assert torch.allclose(other.normal, truth.normal.flip(-1) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None])
    assert torch.equal(turned[:, 3], inputs[:, 3].flip(-1)) and torch.equal(turned[:, 6], inputs[:, 6]), "places must not be mirrored"


def test_halved_batch_keeps_what_the_network_is_told(batch):
    inputs, truth = batch
    small, half = halve(inputs, truth)
    assert small.shape[-1] == SIZE // 2 and half.volume.shape[-1] == frame.VOLUME_SIZE // 2
    assert 0 < half.hit.mean() < 1 and torch.allclose(half.hit.mean(), truth.hit.float().mean(), atol=0.05)
    inside = half.hit > 0
    assert torch.allclose(half.depth[:, :1][inside], torch.nn.functional.avg_pool2d(truth.depth, 2)[:, :1][inside], atol=0.25)


def test_resumed_training_equals_an_uninterrupted_one(shards, tmp_path):
    options = TrainOptions(size="tiny", steps=6, batch=2, validate_minutes=60.0)
    whole = Trainer(options, ShardSource(shards, 2, options.seed), tmp_path)
    for _ in range(6):
        whole.one_step()
    first = Trainer(options, ShardSource(shards, 2, options.seed), tmp_path)
    for _ in range(3):
        first.one_step()
    first.save()
    second = Trainer(dataclasses.replace(options), ShardSource(shards, 2, options.seed), tmp_path)
    assert second.load() and second.step == 3
    for _ in range(3):
        second.one_step()
    for name, value in whole.average.state_dict().items():
        assert torch.allclose(value.float(), second.average.state_dict()[name].float(), atol=1e-6), name
    assert whole.rate() == 0.0


def test_a_checkpoint_of_an_older_network_is_not_gone_on_from(shards, tmp_path, monkeypatch):
    options = TrainOptions(size="tiny", steps=6, batch=2)
    with monkeypatch.context() as patch:
        patch.setitem(NETWORKS, "tiny", {**NETWORKS["tiny"], "mixers": 0})
        Trainer(options, ShardSource(shards, 2, 1), tmp_path).save()
    assert not Trainer(options, ShardSource(shards, 2, 1), tmp_path).load()


def test_run_training_validates_exports_and_stops_at_the_end_of_a_piece(shards, tmp_path):
    told: list[dict[str, float]] = []
    options = TrainOptions(size="tiny", steps=2, batch=2, half_size=0.5, validate_minutes=60.0)
    last = run_training(options, ShardSource(shards, 2, 1), shards, tmp_path / "out", progress=told.append)
    assert last["step"] == 2 and told and 0 <= last["iou"] <= 1
    assert import_network(tmp_path / "out" / "shape.safetensors").picture_size == SIZE
    piece = dataclasses.replace(options, steps=100_000, piece_minutes=1e-4)
    assert run_training(piece, ShardSource(shards, 2, 1), None, tmp_path / "out")["step"] == 3, "a piece goes on from the checkpoint"


def test_weights_survive_half_precision(tmp_path, batch):
    inputs, _ = batch
    network = tiny(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network.eval()
    network.picture_size = 64
    export_network(network, tmp_path / "w.safetensors", {"iou": 0.5})
    again = import_network(tmp_path / "w.safetensors")
    assert again.picture_size == 64 and again.sizes == network.sizes
    with torch.no_grad():
        assert (again(inputs).volume - network(inputs).volume).abs().max() < 0.05
    (tmp_path / "torn.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:500])
    with pytest.raises(WeightsError):
        import_network(tmp_path / "torn.safetensors")


def test_files_are_split_and_joined(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(bytes(range(256)) * 1000)
    parts = split_file(path, 0.1)
    assert len(parts) == 3 and all(part.stat().st_size <= 100_000 for part in parts)
    path.unlink()
    join_file(path)
    assert path.read_bytes() == bytes(range(256)) * 1000


def test_split_never_parts_a_family(tmp_path):
    names = [f"pack/{name}_{colour}.glb" for name in map(str, range(65, 365)) for colour in ("a", "b1", "b2")]
    names = [
        name.replace("pack/", f"pack{int(name[5:].split('_')[0]) % 7}/thing{chr(97 + int(name[5:].split('_')[0]) % 26)}") for name in names
    ]
    sources = [ObjectFile(tmp_path / name, family_of(name)) for name in names] + [ProceduralSource(seed) for seed in range(50)]
    learn, examine = split_objects(sources)
    assert sorted(learn + examine) == list(range(len(sources)))
    assert not {sources[k].family for k in learn} & {sources[k].family for k in examine}
    assert all(not isinstance(sources[k], ProceduralSource) for k in examine)
    share = np.mean([held_out(f"family {k}") for k in range(4000)])
    assert 0.035 < share < 0.065


def test_no_objects_is_the_users_mistake(tmp_path):
    from img23d.training.shape_train import gather_sources

    with pytest.raises(InputError):
        gather_sources([tmp_path / "nothing"], 0)
    with pytest.raises(InputError):
        gather_sources([], 0)


def test_truth_and_inputs_line_up(batch):
    inputs, truth = batch
    assert isinstance(truth, Truth) and inputs.shape == (2, INPUTS, SIZE, SIZE)
    told = network_inputs(inputs[:, :3], inputs[:, 3:4], inputs[:, 4:6], torch.tensor([0.55, float("nan")]))
    assert told[0, 9].eq(1).all() and told[1, 8:].eq(0).all()


def test_each_size_has_its_own_time_and_pieces():
    gpu = resolved(TrainOptions(size="gpu"))
    assert (gpu.minutes, gpu.piece_minutes, gpu.batch) == (25.0, 8.0, 64) and gpu.half_size < 1
    assert resolved(TrainOptions(minutes=3.0)).minutes == 3.0 and resolved(TrainOptions()).half_size == 1.0
