"""Run records: what a folder remembers, and refuses to overwrite."""

import json
from pathlib import Path

import pytest

from img23d import config
from img23d.errors import ConfigError, InputError, OutputError
from img23d.record import Given, Place, Targets, check_existing, keep, reopen, targets_for


def test_targets_follow_the_suffix():
    file = targets_for(Path("a/mug.png"), Path("out/cup.obj"), ("obj", "glb"))
    assert file.folder == Path("out/cup.run")
    assert file.files == (Path("out/cup.obj"), Path("out/cup.glb"))
    folder = targets_for(Path("a/mug.png"), Path("out"))
    assert folder.folder == Path("out/mug")
    assert folder.files == (Path("out/mug/mug.glb"),)


def test_a_run_can_be_reopened(tmp_path):
    photo, mask = tmp_path / "mug.JPG", tmp_path / "m.png"
    photo.write_bytes(b"photo")
    mask.write_bytes(b"mask")
    targets = targets_for(photo, tmp_path / "out")
    targets.folder.mkdir(parents=True)
    chosen = config.load("draft", ["fit.steps=7", "fit.rgb.end=0.25"])
    keep(targets, photo, Given(mask=mask, fov_deg=33.0), "key", chosen)
    run = reopen(targets.folder)
    assert run.config == chosen
    assert run.source.read_bytes() == b"photo"
    assert run.given.mask is not None and run.given.mask.read_bytes() == b"mask"
    assert (run.given.fov_deg, run.given.elevation_deg, run.name) == (33.0, None, "mug.JPG")
    assert [path.resolve() for path in run.targets.files] == [path.resolve() for path in targets.files]
    run.given.mask.unlink()
    with pytest.raises(InputError, match="is gone"):
        reopen(targets.folder)


@pytest.mark.parametrize("content", [None, "{}", "[]", "{torn"])
def test_other_folders_are_not_runs(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="not a run folder"):
        reopen(tmp_path)


def test_results_of_another_source_are_kept(tmp_path):
    photo = tmp_path / "mug.png"
    photo.write_bytes(b"photo")
    targets = targets_for(photo, tmp_path / "out.glb")
    targets.folder.mkdir()
    keep(targets, photo, Given(), "key", config.Config())
    targets.files[0].write_bytes(b"old")
    check_existing(targets, "key", force=False)
    check_existing(targets, "other", force=True)
    with pytest.raises(OutputError, match="already exists"):
        check_existing(targets, "other", force=False)


def test_a_run_of_another_photo_is_kept_whatever_the_format(tmp_path):
    photo = tmp_path / "mug.png"
    photo.write_bytes(b"photo")
    old, new = targets_for(photo, tmp_path / "out"), targets_for(photo, tmp_path / "out", ("obj",))
    (old.folder / "01_segment").mkdir(parents=True)
    keep(old, photo, Given(), "key", config.Config())
    check_existing(new, "other", force=False)  # it was never finished
    old.files[0].write_bytes(b"old")
    with pytest.raises(OutputError, match="comes from another run"):
        check_existing(new, "other", force=False)
    check_existing(new, "other", force=True)
    (tmp_path / "mug.jpg").write_bytes(b"other photo")
    keep(new, tmp_path / "mug.jpg", Given(), "other", config.Config())
    assert sorted(path.name for path in old.folder.iterdir()) == ["01_segment", "mug.glb", "run.json", "source.jpg"]


@pytest.mark.parametrize(("mesh", "name"), [("cup.obj", "cup.mtl"), ("cup.obj", "cup_base_color.png"), ("cup.gltf", "cup_base_color.jpg")])
def test_files_beside_a_mesh_are_not_taken_over(tmp_path, mesh, name):
    (tmp_path / name).write_bytes(b"somebody else's")
    with pytest.raises(OutputError, match=name):
        check_existing(targets_for(Path("mug.png"), tmp_path / mesh), "key", force=False)


@pytest.mark.parametrize("angles", [{"fov_deg": 0.0}, {"fov_deg": 200.0}, {"fov_deg": float("nan")}, {"elevation_deg": 100.0}])
def test_angles_that_no_camera_has(angles):
    with pytest.raises(ConfigError, match="is outside"):
        Given(**angles)


def test_names_that_are_no_text_get_underscores(tmp_path):
    assert targets_for(Path("m\udcffg.jpg"), tmp_path).files[0].name == "m_g.glb"


def test_a_folder_may_be_called_like_a_file(tmp_path):
    (tmp_path / "dir.glb").mkdir()
    assert targets_for(Path("mug.png"), tmp_path / "dir.glb").files == (tmp_path / "dir.glb" / "mug" / "mug.glb",)


NAMING = {
    "cup.obj": (b"mtllib my cup.mtl\nusemtl a\nv 0 0 0\n", {"my cup.mtl": b"newmtl a\n\tmap_Kd -s 1 1 1 wood.png\n", "wood.png": b""}),
    "cup.gltf": (b'{"images": [{"uri": "my%20wood.png"}, {"uri": "data:image/png;base64,AA"}]}', {"my wood.png": b""}),
    "cup.glb": (b'glTF\2\0{"images": [{"uri":"wood.png"}]}', {"wood.png": b""}),
    "cup.ply": (b"ply\nformat ascii 1.0\ncomment TextureFile my wood.png\nend_header\n", {"my wood.png": b""}),
}


@pytest.mark.parametrize("name", NAMING)
def test_a_mesh_is_reopened_where_the_files_are_that_it_names(tmp_path, name):
    """A run that was recorded without its content: while they are there as before, and as something else once one of them is gone."""
    data, companions = NAMING[name]
    (tmp_path / "in").mkdir()
    for file, content in {name: data, **companions}.items():
        (tmp_path / "in" / file).write_bytes(content)
    mesh, targets = tmp_path / "in" / name, targets_for(tmp_path / "in" / name, tmp_path / "out")
    targets.folder.mkdir(parents=True)
    keep(targets, mesh, Given(), "key", config.Config(), place=Place((0.0, 0.0, 0.0), 1.0))
    run = reopen(targets.folder)
    assert (run.source, run.content) == (mesh, "")
    for file in companions:
        (tmp_path / "in" / file).rename(tmp_path / "gone")
        assert reopen(targets.folder).content == "unknown"
        (tmp_path / "gone").rename(tmp_path / "in" / file)
    (tmp_path / "in").rename(tmp_path / "archive")
    run = reopen(targets.folder)
    assert (run.source, run.content) == (targets.folder / f"source{mesh.suffix}", "unknown")


def test_a_mesh_that_names_no_files_is_reopened_without_its_folder(tmp_path):
    mesh = tmp_path / "cup.obj"
    mesh.write_bytes(b"v 0 0 0\n")
    targets = targets_for(mesh, tmp_path / "out")
    targets.folder.mkdir(parents=True)
    keep(targets, mesh, Given(), "key", config.Config(), place=Place((0.0, 0.0, 0.0), 1.0))
    mesh.unlink()
    assert reopen(targets.folder).content == ""


@pytest.mark.parametrize("name", ["source.txt", "preview.png", "viewer.html"])
def test_a_folder_that_is_no_run_keeps_its_files(tmp_path, name):
    (tmp_path / "mug").mkdir()
    (tmp_path / "mug" / name).write_text("somebody's own")
    with pytest.raises(OutputError, match="comes from no run"):
        check_existing(Targets(tmp_path / "mug", (tmp_path / "mug" / "mug.glb",)), "key", force=False)
    check_existing(Targets(tmp_path / "mug", (tmp_path / "mug" / "mug.glb",)), "key", force=True)


@pytest.mark.parametrize(("part", "stray"), [("inputs", {"source": "../own.txt"}), ("files", ["../../own.glb"]), ("files", ["/own.glb"])])
def test_a_run_that_names_what_is_not_its_own_is_refused(tmp_path, part, stray):
    (tmp_path / "source.png").write_bytes(b"")
    record = {"source_key": "", "inputs": {"source": "source.png"}, "files": ["mug.glb", "../mug.stl"]}
    (tmp_path / "run.json").write_text(json.dumps({**record, part: stray}))
    with pytest.raises(InputError, match="no file of this run"):
        reopen(tmp_path)
