"""Reading textured GLBs and packing them."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from PIL import Image

from img23d.errors import InputError, OutputError
from img23d.training.objects import TrainingObject, family_of, list_objects, load_object, merge_positions, normalise
from img23d.training.pack import load_pack, open_sources, pack_objects


def write_textured(path, scale: float = 2.0) -> None:
    """A box whose faces look up different colours of a gradient."""
    mesh = trimesh.creation.box((scale, 1.0, 0.5))
    mesh.unmerge_vertices()
    uv = np.random.default_rng(0).random((len(mesh.vertices), 2))
    gradient = np.linspace(0, 255, 100)[:, None, None] * np.ones((1, 100, 3))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(gradient.astype(np.uint8)))
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    mesh.export(path)


def test_glb_comes_back_with_merged_vertices_and_top_left_texture_coordinates(tmp_path):
    write_textured(tmp_path / "a.glb")
    item = load_object(tmp_path / "a.glb")
    assert item.vertices.shape == (8, 3) and item.faces.shape == (12, 3) and not item.nearest
    original = trimesh.load(tmp_path / "a.glb", force="mesh")
    v = 1 - np.asarray(original.visual.uv)[original.faces][..., 1]
    assert np.allclose(np.sort(item.corner_uv[..., 1].ravel()), np.sort(v.ravel()), atol=1e-5)
    assert item.texture[0].mean() == 0 and item.texture[-1].mean() == 255


def test_colours_without_a_texture_become_a_palette(tmp_path):
    mesh = trimesh.creation.icosphere(1)
    mesh.visual.vertex_colors = np.where(mesh.vertices[:, :1] > 0, [[255, 0, 0, 255]], [[0, 0, 255, 255]]).astype(np.uint8)
    mesh.export(tmp_path / "b.glb")
    item = load_object(tmp_path / "b.glb")
    assert item.nearest and {(255, 0, 0), (0, 0, 255)} <= {tuple(colour) for colour in item.texture[0].tolist()}


def test_normalised_objects_are_centred_with_longest_side_one(tmp_path):
    write_textured(tmp_path / "a.glb", 4.0)
    item = normalise(load_object(tmp_path / "a.glb"))
    assert np.allclose(item.vertices.min(0), [-0.5, -0.125, -0.0625]) and np.allclose(item.vertices.max(0), [0.5, 0.125, 0.0625])


def test_bad_files_and_folders_are_the_users_mistake(tmp_path):
    (tmp_path / "torn.glb").write_bytes(b"glTF\x02\x00\x00\x00nonsense")
    with pytest.raises(InputError):
        load_object(tmp_path / "torn.glb")
    with pytest.raises(InputError):
        load_object(tmp_path / "missing.glb")
    with pytest.raises(InputError):
        list_objects(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="faces"):
        TrainingObject(
            np.zeros((2, 3), np.float32), np.array([[0, 1, 2]], np.int32), np.zeros((1, 3, 2), np.float32), np.zeros((1, 1, 3), np.uint8)
        )


def test_variants_of_an_object_are_one_family():
    names = ["p/Chair_01.glb", "p/chair_02.glb", "p/Chair_1b.glb"]
    assert len({family_of(name) for name in names}) == 1
    assert family_of("p/chair_1.glb") != family_of("p/table_1.glb") != family_of("q/table_1.glb")


def test_merging_keeps_the_surface():
    mesh = trimesh.creation.icosphere(2)
    loose = mesh.copy()
    loose.unmerge_vertices()
    vertices, faces = merge_positions(np.asarray(loose.vertices, np.float32), np.asarray(loose.faces, np.int32))
    assert len(vertices) == len(mesh.vertices)
    assert trimesh.Trimesh(vertices, faces).volume == pytest.approx(mesh.volume, rel=1e-4)


def test_pack_holds_the_objects_within_its_steps(tmp_path):
    folder = tmp_path / "objects"
    folder.mkdir()
    write_textured(folder / "a.glb")
    write_textured(folder / "b.glb", 0.3)
    assert pack_objects(folder, tmp_path / "p.pack") == 2
    for packed, source in zip(load_pack(tmp_path / "p.pack"), list_objects(folder)):
        item, true = packed.load(), normalise(source.load())
        assert packed.family == source.family
        ours, theirs = (np.sort(o.vertices[o.faces].mean(1), 0) for o in (item, true))
        assert np.abs(ours - theirs).max() < 1e-3
        order = np.lexsort(true.faces.T[::-1])
        assert np.abs(item.corner_uv - true.corner_uv[order]).max() < 1e-3
        assert np.abs(item.texture.astype(int) - np.asarray(Image.fromarray(true.texture)).astype(int)).mean() < 8
    assert len(open_sources(tmp_path / "p.pack")) == 2
    with pytest.raises(OutputError):
        pack_objects(folder, tmp_path / "q.pack", limit_mb=1e-4)
    with pytest.raises(InputError):
        load_pack(folder / "a.glb")
