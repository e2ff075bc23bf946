"""A folder of samples belongs to the objects that it was drawn of."""

from __future__ import annotations

import pytest
import trimesh

from img23d.errors import InputError
from img23d.training.dataset import ProceduralSource
from img23d.training.made_from import claim
from img23d.training.objects import list_objects
from img23d.training.pack import load_pack, pack_objects


@pytest.fixture
def objects(tmp_path):
    for name in ("cow", "house"):
        trimesh.creation.box((1, 0.7, 0.4)).export(tmp_path / f"{name}.glb")
    return tmp_path


def test_the_same_objects_go_on_from_a_folder_or_its_pack_and_others_do_not(objects):
    cache, made = objects / "cache", [ProceduralSource(1)]
    pack_objects(objects, objects / "all.pack")
    claim(cache, [*list_objects(objects), *made])
    claim(cache, [*load_pack(objects / "all.pack"), *made])
    for others in (list_objects(objects), [*list_objects(objects)[:1], *made], [*list_objects(objects), ProceduralSource(2)]):
        with pytest.raises(InputError, match="samples of other objects"):
            claim(cache, others)
    claim(cache, [*list_objects(objects), *made])


def test_the_same_objects_taken_up_otherwise_are_other_samples(objects):
    (objects / "often.csv").write_text("pattern,times\ncow*,3\n")
    claim(objects / "cache", list_objects(objects), objects / "often.csv")
    claim(objects / "cache", list_objects(objects), objects / "often.csv")
    (objects / "often.csv").write_text("pattern,times\ncow*,2\n")
    for often in (objects / "often.csv", ""):
        with pytest.raises(InputError, match="another --out"):
            claim(objects / "cache", list_objects(objects), often)


def test_trainings_do_not_go_on_with_samples_of_other_objects(objects, monkeypatch, tmp_path):
    from img23d.training import fine_normals_train, shape_train
    from img23d.training.fine_normals_train import NormalOptions
    from img23d.training.options import TrainOptions

    for module, names in ((shape_train, ("write_examination_shards", "write_learning_shards", "run_training", "split_file", "ShardSource")),
                          (fine_normals_train, ("write_normal_shards", "run_normal_training"))):  # fmt: skip
        for name in names:
            monkeypatch.setattr(module, name, lambda *_: {})
    for call, options in ((shape_train.train_prior, TrainOptions(size="tiny")), (fine_normals_train.train_normals, NormalOptions())):
        out = tmp_path / call.__name__
        call(options, [objects], out)
        call(options, [objects], out)
        extra = objects / "tree.glb"
        trimesh.creation.icosphere(1).export(extra)
        with pytest.raises(InputError, match="samples of other objects"):
            call(options, [objects], out)
        extra.unlink()
