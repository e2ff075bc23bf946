"""From a folder of objects to weights, as `img23d train prior` does it, at the smallest size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import trimesh

from img23d.errors import WeightsError
from img23d.priors.embedded import predict
from img23d.priors.export import export_network
from img23d.priors.network import INPUTS, ShapeNetwork
from img23d.training import dataset
from img23d.training.dataset import VariantSource, held_out, visits
from img23d.training.live import LiveSource
from img23d.training.objects import family_of, list_objects
from img23d.training.options import NETWORKS, TrainOptions
from img23d.training.pack import pack_objects
from img23d.training.shape_train import train_prior
from img23d.training.shape_trainer import begin_with
from img23d.training.shards import ShardFolder
from img23d.training.store import ObjectStore
from img23d.training.warp import identity


@pytest.fixture
def folder(tmp_path):
    """Two objects to learn from and one to be examined on."""
    names = {f"thing{letter}": trimesh.creation.box((1, 0.7, 0.4)) for letter in "abcdefghijklmnopqrstuvwxyz"}
    examined = next(name for name in (f"shape{n}{m}" for n in "abcdefghij" for m in "abcdefghij") if held_out(family_of(f"{name}.glb")))
    kept = [name for name in names if not held_out(family_of(f"{name}.glb"))][:2]
    place = tmp_path / "objects"
    place.mkdir()
    for name, mesh in zip(
        [*kept, examined], [trimesh.creation.box((1, 0.7, 0.4)), trimesh.creation.icosphere(2), trimesh.creation.cone(0.4, 1)]
    ):
        mesh.export(place / f"{name}.glb")
    return place


@pytest.mark.parametrize("half_size, side", [(0.0, 128), (1.0, 64)])
def test_training_from_a_folder_draws_learns_and_exports(folder, tmp_path, monkeypatch, half_size, side):
    monkeypatch.setattr(dataset, "SHARD_VISITS", 3)
    monkeypatch.setattr(dataset, "VIEWS", 2)
    told: list[dict[str, float]] = []
    made = {"procedural": 0, "variants": 2, "resting": 2}
    options = TrainOptions(size="tiny", steps=2, batch=2, shards=1, half_size=half_size, validate_minutes=60.0, **made)
    last = train_prior(options, [folder], tmp_path / "out", progress=told.append)
    assert last["step"] == 2 and {"iou", "inflated_iou", "elevation_deg"} <= last.keys() and "shard" in told[0]
    learnt = set(ShardFolder(tmp_path / "out" / "cache" / "learning").objects().tolist())
    examined = set(ShardFolder(tmp_path / "out" / "cache" / "examination").objects().tolist())
    assert examined and not learnt & examined
    assert (tmp_path / "out" / "checkpoint.pt.00").stat().st_size <= 16e6
    sample = ShardFolder(tmp_path / "out" / "cache" / "learning")[0]
    assert sample.mask.shape == (side, side) and sample.volume.shape[1:] == (side // 2, side // 2)

    rgb, mask = torch.from_numpy(sample.rgb.copy()).float() / 255, torch.from_numpy(sample.mask.copy()).float() / 255
    rgb, mask = (torch.nn.functional.interpolate(part[None, None], size=(128, 128))[0, 0] for part in (rgb[..., 0], mask))
    said = predict(rgb[..., None].expand(128, 128, 3), mask, None, "cpu", tmp_path / "out" / "shape.safetensors")
    assert said.volume.isfinite().all() and 0 < said.fov < 1.1


@pytest.mark.slow
def test_fresh_samples_come_from_worker_processes_and_a_pack(folder, tmp_path):
    pack_objects(folder, tmp_path / "objects.pack")
    source = LiveSource([str(tmp_path / "objects.pack")], (0, 0, 0), "", tmp_path / "solids", 1, batch=2, workers=1, keep=3, begin=2)
    try:
        first, second = source.samples(0), source.samples(1)
        assert len(first) == len(second) == 2 and len(source.latest) <= 3
        assert all(sample.hit.any() for sample in first)
    finally:
        source.close()
    assert not any(process.is_alive() for process in source.workers)


def test_variants_are_new_shapes_and_the_same_for_the_same_seed(folder):
    bases = list_objects(folder)
    first, again, other = (VariantSource(bases, seed).load() for seed in (1, 1, 2))
    assert np.array_equal(first.vertices, again.vertices) and np.array_equal(first.faces, again.faces)
    assert first.vertices.shape != other.vertices.shape or not np.allclose(first.vertices, other.vertices)
    assert first.vertices.min() >= -0.5 - 1e-6 and first.vertices.max() <= 0.5 + 1e-6


def test_few_samples_to_learn_from_are_deformed_and_none_that_examine(folder, tmp_path, monkeypatch):
    made, warped = [], []
    monkeypatch.setattr(dataset, "render_sample", lambda *_: made.append(1))
    monkeypatch.setattr(dataset, "random_warp", lambda random, device: warped.append(1) or identity(device))
    monkeypatch.setattr(dataset, "write_shard", lambda *_: None)
    store = ObjectStore(list_objects(folder), tmp_path / "solids", resolution=16)
    dataset.write_examination_shards(store, [0, 1, 2], tmp_path / "shards")
    assert len(made) == 12 and not warped
    random = np.random.default_rng(0)
    for _ in range(15):
        list(dataset.visit_samples(store, 0, random, None, 16))
    assert 0.1 < len(warped) / (len(made) - 12) < 0.3


def test_every_object_is_visited_before_any_comes_again():
    order = list(itertools.islice(visits([3, 5, 8, 9], seed=2), 12))
    assert all(sorted(order[first : first + 4]) == [3, 5, 8, 9] for first in (0, 4, 8))
    assert len({tuple(order[first : first + 4]) for first in (0, 4, 8)}) > 1


def test_a_larger_network_begins_with_the_answers_of_a_smaller_one(tmp_path):
    torch.manual_seed(3)
    sizes = NETWORKS["tiny"]
    small = ShapeNetwork(**{**sizes, "mixers": 0, "view": False}).eval()
    grown = ShapeNetwork(**{**sizes, "blocks": (2, 1), "up_blocks": (3,), "mixers": 2}).eval()
    for block in small.down_blocks[0]:
        torch.nn.init.normal_(block.second.weight, std=0.1)
    export_network(small, tmp_path / "small.safetensors")
    begin_with(grown, tmp_path / "small.safetensors")
    inputs = torch.rand(1, INPUTS, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(grown(inputs), small(inputs)):
            assert torch.allclose(ours, theirs, atol=2e-3)  # weights are kept in half precision


@pytest.mark.parametrize("sizes", [{"widths": (4, 8)}, {"blocks": (1, 1), "up_blocks": (1,)}, {"mixers": 0}])
def test_a_network_that_has_no_room_for_the_weights_says_so(tmp_path, sizes):
    export_network(ShapeNetwork(**{**NETWORKS["tiny"], "blocks": (2, 1)}), tmp_path / "large.safetensors")
    with pytest.raises(WeightsError, match=r"large\.safetensors"):
        begin_with(ShapeNetwork(**{**NETWORKS["tiny"], **sizes}), tmp_path / "large.safetensors")
