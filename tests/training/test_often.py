"""How often objects are taken up: rules by name, from folders and packs alike."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import trimesh

from img23d.errors import InputError
from img23d.training.dataset import ProceduralSource, visits
from img23d.training.objects import ObjectFile, list_objects
from img23d.training.often import read_rules, taken_up, times_of
from img23d.training.pack import load_pack, pack_objects

SHIPPED = Path(__file__).parents[2] / "docs" / "training-often.csv"


def rules_of(tmp_path, *lines):
    file = tmp_path / "often.csv"
    file.write_text("\n".join(["pattern,times", *lines]) + "\n")
    return file


def test_the_first_rule_that_matches_counts_and_what_none_matches_comes_once(tmp_path):
    rules = read_rules(rules_of(tmp_path, "animals/Tree.glb,0", "animals/*,9", "*/Car*.glb,6"))
    names = ["animals/Tree.glb", "animals/Cow.glb", "city/Car_2.glb", "city/car_2.glb", "city/House.glb"]
    assert [times_of(ObjectFile(Path(name), name, name=name), rules) for name in names] == [0, 9, 6, 1, 1]
    assert times_of(ProceduralSource(3), rules) == 1


def test_objects_of_a_folder_and_of_its_pack_are_taken_up_as_often_as_the_rules_say(tmp_path):
    for name in ("animals/cow", "city/house", "city/wall"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        trimesh.creation.box((1, 0.7, 0.4)).export(tmp_path / f"{name}.glb")
    pack_objects(tmp_path, tmp_path / "objects.pack")
    file = rules_of(tmp_path, "animals/*,3", "city/wall.glb,0")
    for sources in (list_objects(tmp_path), load_pack(tmp_path / "objects.pack")):
        chosen = taken_up([*sources, ProceduralSource(1)], [0, 1, 2, 3], file)
        assert chosen == [0, 0, 0, 1, 3]
        assert sorted(itertools.islice(visits(chosen, 5), 5)) == chosen
        assert taken_up(sources, [0, 2], "") == [0, 2]


def test_rules_that_make_no_sense_are_told(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_rules(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty\.csv"):
        read_rules(tmp_path / "empty.csv")
    with pytest.raises(InputError, match=r"line 3: b/\*,-1"):
        read_rules(rules_of(tmp_path, "a/*,2", "b/*,-1"))
    (tmp_path / "other.csv").write_text("file,weight\na,1\n")
    with pytest.raises(InputError, match="columns file, weight"):
        read_rules(tmp_path / "other.csv")
    with pytest.raises(InputError, match="leaves no object"):
        taken_up([ObjectFile(Path("a.glb"), "a", name="a.glb")], [0], rules_of(tmp_path, "*,0"))


def test_the_rules_of_the_shipped_network_are_well_formed():
    rules = read_rules(SHIPPED)
    assert {rule.times for rule in rules} == {1, 3, 4, 6, 9}
    assert len({rule.pattern for rule in rules}) == len(rules)
