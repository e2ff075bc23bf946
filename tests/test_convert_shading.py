"""Converting keeps the look of a mesh: its own normals, else round sides and hard edges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch.nn.functional import normalize

from img23d.config import Config
from img23d.convert import convert, with_normals
from img23d.io.meshes import load_mesh, save_mesh
from img23d.ops.normals import face_normals, vertex_normals
from img23d.ops.topology import is_closed_manifold
from img23d.record import Given, Targets, keep
from img23d.scene import Mesh, TexturedMesh
from img23d.stages import artifacts


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces, np.int64)))


def read(path: Path) -> trimesh.Trimesh:
    """A file with its vertices and normals as they stand there."""
    (found,) = trimesh.load_scene(path, process=False).geometry.values()
    return found


def normals_at_corners(path: Path) -> np.ndarray:
    found = read(path)
    assert "vertex_normals" in found._cache.cache
    return np.asarray(found.vertex_normals)[found.faces]


def face_normals_at_corners(path: Path) -> np.ndarray:
    found = read(path)
    return np.repeat(np.asarray(found.face_normals)[:, None], 3, 1)


BARE = ["stl", "off", "obj", "glb"]


def write_bare(shape: trimesh.Trimesh, path: Path) -> Path:
    """A file without normals."""
    shape.export(path, **({} if path.suffix in (".stl", ".off") else {"include_normals": False}))
    assert b"vn " not in path.read_bytes() and b"NORMAL" not in path.read_bytes()
    return path


@pytest.mark.parametrize("format", BARE)
def test_a_cube_without_normals_gets_hard_edges(tmp_path: Path, format: str) -> None:
    source = write_bare(trimesh.creation.box(), tmp_path / f"cube.{format}")
    targets = [tmp_path / f"out.{name}" for name in ("glb", "gltf", "obj")]
    convert(source, targets)
    for path in targets:
        assert len(read(path).vertices) == 24
        assert np.allclose(normals_at_corners(path), face_normals_at_corners(path), atol=1e-6)
    assert len(load_mesh(tmp_path / "out.obj").vertices) == 8  # type: ignore[union-attr]


@pytest.mark.parametrize("format", BARE)
def test_a_ball_without_normals_stays_smooth_and_small(tmp_path: Path, format: str) -> None:
    source = write_bare(trimesh.creation.icosphere(3), tmp_path / f"ball.{format}")
    convert(source, [tmp_path / "out.glb"])
    found = read(tmp_path / "out.glb")
    assert len(found.vertices) == 642
    assert np.allclose(found.vertex_normals, found.vertices, atol=0.02)


def test_a_cylinder_from_an_stl(tmp_path: Path) -> None:
    trimesh.creation.cylinder(1.0, 2.0, sections=24).export(tmp_path / "a.stl")
    convert(tmp_path / "a.stl", [tmp_path / "a.glb"], up="z")
    found = read(tmp_path / "a.glb")
    assert len(found.vertices) == 4 * 24 + 2
    corners, normals = found.triangles, normals_at_corners(tmp_path / "a.glb")
    cap = np.abs(found.face_normals[:, 1]) > 0.5  # +Z turned, as the STL's axis
    assert np.allclose(normals[cap], found.face_normals[cap][:, None], atol=1e-6)
    side = corners[~cap] * [1, 0, 1]
    assert np.allclose(normals[~cap], side / np.linalg.norm(side, axis=-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("look", ["smooth", "flat"])
def test_a_file_keeps_its_own_normals_whatever_its_angles_say(tmp_path: Path, look: str) -> None:
    """A cube that is to look round, and a ball whose faces are to be seen: the angles between their faces say the opposite."""
    mesh = mesh_of(trimesh.creation.box() if look == "smooth" else trimesh.creation.icosphere(2))
    wanted = vertex_normals(mesh)[mesh.faces] if look == "smooth" else face_normals(mesh)[:, None].expand(-1, 3, 3)
    save_mesh(tmp_path / "a.glb", replace(mesh, corner_normals=wanted))
    convert(tmp_path / "a.glb", [tmp_path / "b.obj"])
    convert(tmp_path / "b.obj", [tmp_path / "c.glb", tmp_path / "d.gltf", tmp_path / "e.ply"])
    for name in ("b.obj", "c.glb", "d.gltf"):
        assert np.allclose(normals_at_corners(tmp_path / name), wanted, atol=1e-6), name
    assert len(read(tmp_path / "c.glb").vertices) == (8 if look == "smooth" else 3 * 320)
    assert np.allclose(normals_at_corners(tmp_path / "e.ply"), vertex_normals(mesh)[mesh.faces], atol=1e-5)


def test_a_cube_with_fewer_faces_has_hard_edges_again(tmp_path: Path) -> None:
    cube = mesh_of(trimesh.creation.box().subdivide().subdivide().subdivide())
    save_mesh(tmp_path / "cube.glb", cube)
    convert(tmp_path / "cube.glb", [tmp_path / "small.glb"], faces=60)
    found = read(tmp_path / "small.glb")
    assert len(found.faces) <= 60 and is_closed_manifold(load_mesh(tmp_path / "small.glb"))  # type: ignore[arg-type]
    assert np.allclose(normals_at_corners(tmp_path / "small.glb"), face_normals_at_corners(tmp_path / "small.glb"), atol=0.02)


def test_where_a_file_has_no_normals_they_are_found() -> None:
    mesh = mesh_of(trimesh.creation.box())
    flat = face_normals(mesh)[:, None].expand(-1, 3, 3)
    part = torch.zeros(12, 3, 3)
    part[:4] = normalize(torch.tensor([1.0, 2.0, 3.0]), dim=0)
    found = with_normals(replace(mesh, corner_normals=part))
    assert isinstance(found, Mesh) and found.corner_normals is not None
    assert torch.equal(found.corner_normals[:4], part[:4])
    torch.testing.assert_close(found.corner_normals[4:], flat[4:])
    whole = replace(mesh, corner_normals=flat)
    assert with_normals(whole) is whole


def cube(normal_map: bool) -> TexturedMesh:
    """As a run makes them: smooth normals that a normal map may refer to."""
    mesh = mesh_of(trimesh.creation.box())
    uv = torch.rand(36, 2, generator=torch.Generator().manual_seed(0))
    pictures = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    found = pictures[1] if normal_map else None
    return TexturedMesh(mesh, uv, torch.arange(36).reshape(12, 3), pictures[0], found, vertex_normals=vertex_normals(mesh))


@pytest.mark.parametrize("normal_map", [True, False])
def test_what_a_run_made_comes_back_as_it_was(tmp_path: Path, normal_map: bool) -> None:
    asset = cube(normal_map)
    made = save_mesh(tmp_path / "cube.glb", asset)[-1]
    convert(made, [tmp_path / "again.glb"])
    assert len(read(tmp_path / "again.glb").vertices) == len(read(made).vertices)
    assert np.allclose(normals_at_corners(tmp_path / "again.glb"), normals_at_corners(made), atol=1e-6)
    resized = tmp_path / "resized.glb"
    convert(made, [resized], texture_size=64)
    assert np.allclose(normals_at_corners(resized), normals_at_corners(made), atol=1e-6), "another texture, the same faces"


def test_a_run_is_written_byte_for_byte_as_before(tmp_path: Path) -> None:
    folder, photo = tmp_path / "cube.run", tmp_path / "cube.png"
    (folder / "05_texture").mkdir(parents=True)
    photo.write_bytes(b"photo")
    keep(Targets(folder, (tmp_path / "cube.glb",)), photo, Given(), "key", Config())
    artifacts.save_textured(cube(True), folder / "05_texture")
    (folder / "05_texture" / "step.json").write_text("{}")
    for format in ("glb", "obj", "ply"):
        (tmp_path / format).mkdir()
        want = save_mesh(tmp_path / format / f"a.{format}", cube(True))[-1].read_bytes()
        convert(folder, [tmp_path / format / f"a.{format}"], force=True)
        assert (tmp_path / format / f"a.{format}").read_bytes() == want
