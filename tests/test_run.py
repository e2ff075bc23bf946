"""The run folder: reuse, resume after a crash, torn files, changed options."""

from pathlib import Path

import pytest

from img23d.errors import OutputError
from img23d.run import Run, digest, model_digests, stage_seed


def save(value, folder: Path):
    (folder / "value.txt").write_text(str(value))


def load(folder: Path):
    return int((folder / "value.txt").read_text())


class Chain:
    """Two steps, the second twice the first; counts what is computed."""

    def __init__(self, folder, source="photo", first=1, second=1, crash=None):
        self.computed = []
        run = Run(folder, digest(source))
        self.a = run.step("one", 1, first, lambda: self.compute("one", 10 * first, crash), save, load)
        self.b = run.step("two", second, None, lambda: self.compute("two", 2 * self.a, crash), save, load)

    def compute(self, name, value, crash):
        if crash == name:
            raise KeyboardInterrupt
        self.computed.append(name)
        return value


def test_steps_are_computed_once(tmp_path):
    first, again = Chain(tmp_path), Chain(tmp_path)
    assert (first.a, first.b) == (again.a, again.b) == (10, 20)
    assert first.computed == ["one", "two"]
    assert again.computed == []


def test_an_interrupted_run_continues_with_the_same_result(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Chain(tmp_path / "cut", crash="two")
    resumed, whole = Chain(tmp_path / "cut"), Chain(tmp_path / "whole")
    assert resumed.computed == ["two"]
    assert (resumed.a, resumed.b) == (whole.a, whole.b)


def test_changed_options_recompute_what_follows(tmp_path):
    Chain(tmp_path)
    assert Chain(tmp_path, first=2).computed == ["one", "two"]
    assert Chain(tmp_path, first=2, second=2).computed == ["two"]
    assert Chain(tmp_path, source="other", first=2, second=2).computed == ["one", "two"]


@pytest.mark.parametrize("content", ["", "999"])
def test_a_torn_file_is_noticed(tmp_path, content):
    Chain(tmp_path)
    (tmp_path / "02_two" / "value.txt").write_text(content)
    again = Chain(tmp_path)
    assert again.computed == ["two"]
    assert again.b == 20


def test_a_crash_while_saving_leaves_no_step(tmp_path):
    def torn(value, folder):
        save(value, folder)
        raise KeyboardInterrupt

    run = Run(tmp_path, digest("x"))
    with pytest.raises(KeyboardInterrupt):
        run.step("one", 1, None, lambda: 1, torn, load)
    assert not (tmp_path / "01_one").exists()
    assert Run(tmp_path, digest("x")).step("one", 1, None, lambda: 5, save, load) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01_one"]


def test_a_full_disk_is_one_line(tmp_path):
    def full(value, folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        Run(tmp_path, digest("x")).step("one", 1, None, lambda: 1, full, load)
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the run folder"):
        Run(tmp_path / "file" / "run", "key")


def test_seeds_depend_on_the_stage_alone():
    assert stage_seed(0, "fit") == stage_seed(0, "fit") != stage_seed(0, "refine") != stage_seed(1, "refine")


def test_what_a_step_warned_of_is_said_again_when_it_is_reused(tmp_path):
    for _ in range(2):
        warnings = ["before"]

        def compute(said=warnings):
            said.append("look at the mask")
            return 3

        Run(tmp_path, digest("photo")).step("one", 1, None, compute, save, load, warnings)
        assert warnings == ["before", "look at the mask"]


def test_what_was_made_from_a_replaced_step_goes_with_it(tmp_path):
    """Or an export of the run would read a result of other options, or of another source."""
    Chain(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Chain(tmp_path, first=2, crash="one")
    assert (tmp_path / "02_two").is_dir()  # nothing has been replaced yet
    with pytest.raises(KeyboardInterrupt):
        Chain(tmp_path, first=2, crash="two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_one"]
    run = Run(tmp_path, digest("mesh"))
    run.step("other", 1, None, lambda: 5, save, load)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_other"]


def test_models_that_are_files_are_known_by_their_content(tmp_path):
    (tmp_path / "depth.onnx").write_bytes(b"one")
    (tmp_path / "normals").mkdir()
    (tmp_path / "normals" / "model.safetensors").write_bytes(b"two")
    names = f"{tmp_path / 'depth.onnx'}, {tmp_path / 'normals'},prs-eth/marigold"
    before = model_digests(names)
    assert len(before) == 2 and model_digests("prs-eth/marigold") == []
    (tmp_path / "normals" / "model.safetensors").write_bytes(b"three")
    assert model_digests(names)[0] == before[0] and model_digests(names)[1] != before[1]


def test_folders_with_numbers_that_are_no_steps_stay(tmp_path):
    (tmp_path / "05_backups").mkdir()
    (tmp_path / "05_backups" / "own.txt").write_text("somebody's own")
    Run(tmp_path, "key").step("segment", 1, [], lambda: 1, lambda made, folder: (folder / "made.txt").write_text("1"), lambda folder: 1)
    assert (tmp_path / "05_backups" / "own.txt").is_file() and (tmp_path / "01_segment").is_dir()
