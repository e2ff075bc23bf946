"""The shading of mesh files: their own normals come through every format and transform, at every corner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from img23d.io.corners import split
from img23d.io.meshes import load_mesh, save_mesh
from img23d.ops.normals import face_normals
from img23d.scene import Mesh, TexturedMesh

TURN = trimesh.transformations.rotation_matrix(0.7, (1, 2, 3), (0.1, 0.2, 0.3))
FLAT, TINY, MIRROR = np.diag([1.0, 0.3, 2.0, 1.0]), np.diag([1e-4, 1e-4, 1e-4, 1.0]), np.diag([1.0, 1.0, -1.0, 1.0])


def box(normal_map: bool = False) -> TexturedMesh:
    """A closed box with shared vertices and six upright squares in its atlas."""
    shape = trimesh.creation.box(extents=(1.0, 0.6, 1.6))
    mesh = Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces)))
    outward, place = face_normals(mesh), mesh.vertices[mesh.faces]
    axis, row = outward.abs().argmax(1), torch.arange(12)
    cell = axis * 2 + (outward.sum(1) > 0)
    square = torch.stack([place[row, :, (axis + 1) % 3], place[row, :, (axis + 2) % 3]], -1) / 8 + 1 / 6
    uv, uv_faces = torch.unique((square + torch.stack([cell % 3, cell // 3], -1)[:, None] / 3).reshape(-1, 2), dim=0, return_inverse=True)
    pictures = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    return TexturedMesh(mesh, uv, uv_faces.reshape(-1, 3), pictures[0], pictures[1] if normal_map else None)


def shape_of(loaded: TexturedMesh | Mesh) -> Mesh:
    return loaded.mesh if isinstance(loaded, TexturedMesh) else loaded


def corner_normals(path: Path) -> torch.Tensor:
    """(F, 3, 3), after a look whether they are unit."""
    normals = shape_of(load_mesh(path)).corner_normals
    assert normals is not None
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(normals.shape[:2]))
    return normals


def flat(asset: TexturedMesh) -> TexturedMesh:
    """The asset with the normals of its faces."""
    return replace(asset, mesh=replace(asset.mesh, corner_normals=face_normals(asset.mesh)[:, None].expand(-1, 3, 3)))


def gem() -> Mesh:
    """A coarse ball whose faces are to be seen, though no edge of it is sharp."""
    shape = trimesh.creation.icosphere(2)
    mesh = Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces, np.int64)))
    return replace(mesh, corner_normals=face_normals(mesh)[:, None].expand(-1, 3, 3).contiguous())


@pytest.mark.parametrize("format", ["glb", "gltf", "obj"])
def test_flat_faces_come_through(tmp_path: Path, format: str) -> None:
    mesh = gem()
    assert mesh.corner_normals is not None
    first = save_mesh(tmp_path / f"a.{format}", mesh)[-1]
    loaded = load_mesh(first)
    again = save_mesh(tmp_path / "b.glb", loaded)[-1]
    for path in (first, again):
        torch.testing.assert_close(corner_normals(path), mesh.corner_normals, atol=1e-6, rtol=0)
        torch.testing.assert_close(shape_of(load_mesh(path)).vertices[mesh.faces], mesh.vertices[mesh.faces])
    assert isinstance(loaded, Mesh) and len(loaded.vertices) == 162
    (read,) = trimesh.load_scene(again, process=False).geometry.values()
    assert len(read.vertices) == 960, "three for each face, whose normals all differ"


def test_an_obj_keeps_its_positions_welded(tmp_path: Path) -> None:
    lines = save_mesh(tmp_path / "a.obj", flat(box()))[-1].read_text().splitlines()
    count = {word: sum(line.startswith(word + " ") for line in lines) for word in ("v", "vn", "f")}
    assert count == {"v": 8, "vn": 6, "f": 12}
    assert all(corner.count("/") == 2 for line in lines if line.startswith("f ") for corner in line.split()[1:])
    torch.testing.assert_close(corner_normals(tmp_path / "a.obj"), flat(box()).mesh.corner_normals, atol=1e-6, rtol=0)


@pytest.mark.parametrize("textured", [True, False])
def test_smooth_files_do_not_grow(tmp_path: Path, textured: bool) -> None:
    asset = box() if textured else box().mesh
    save_mesh(tmp_path / "a.glb", asset)
    loaded = load_mesh(tmp_path / "a.glb")
    assert shape_of(loaded).corner_normals is not None
    before, after = split(asset), split(loaded)
    assert len(after.positions) == len(before.positions) == (24 if textured else 8)
    assert np.allclose(after.normals[after.faces], before.normals[before.faces], atol=1e-6)


@pytest.mark.parametrize("textured", [True, False])
def test_a_ply_has_the_mean_of_each_vertex_and_keeps_what_it_had(tmp_path: Path, textured: bool) -> None:
    smooth, hard = (box(), flat(box())) if textured else (box().mesh, flat(box()).mesh)
    save_mesh(tmp_path / "a.ply", smooth)
    data = save_mesh(tmp_path / "b.ply", hard)[-1].read_bytes()
    torch.testing.assert_close(corner_normals(tmp_path / "b.ply"), corner_normals(tmp_path / "a.ply"), atol=1e-6, rtol=0)
    assert b"element vertex 8\n" in data
    bent = torch.nn.functional.normalize(shape_of(smooth).vertices, dim=-1)[shape_of(smooth).faces]
    save_mesh(tmp_path / "c.ply", replace(smooth, mesh=replace(smooth.mesh, corner_normals=bent)) if textured
              else replace(smooth, corner_normals=bent))  # fmt: skip
    save_mesh(tmp_path / "d.ply", load_mesh(tmp_path / "c.ply"))
    for name in ("c.ply", "d.ply"):
        torch.testing.assert_close(corner_normals(tmp_path / name), bent, atol=1e-6, rtol=0)


@pytest.mark.parametrize("transform", [TURN, TURN @ FLAT, TURN @ TINY, TURN @ MIRROR @ FLAT], ids=["turn", "flat", "tiny", "mirror"])
def test_normals_follow_the_nodes_of_a_scene(tmp_path: Path, transform: np.ndarray) -> None:
    """A ball scaled unevenly is an ellipsoid, whose normals are those of its equation."""
    ball = trimesh.creation.icosphere(3)
    ball.vertex_normals = ball.vertices
    scene = trimesh.Scene()
    scene.add_geometry(ball, transform=transform)
    scene.export(tmp_path / "a.glb", include_normals=True)
    mesh = shape_of(load_mesh(tmp_path / "a.glb"))
    linear, shift = torch.from_numpy(transform[:3, :3]), torch.from_numpy(transform[:3, 3])
    inverse = torch.linalg.inv(linear)
    truth = torch.nn.functional.normalize((mesh.vertices.double() - shift) @ inverse.T @ inverse, dim=-1)[mesh.faces]
    found = corner_normals(tmp_path / "a.glb")
    torch.testing.assert_close(found.double(), truth, atol=1e-3, rtol=0)
    assert bool(((found * face_normals(mesh)[:, None]).sum(-1) > 0.8).all()), "outward, as the faces are"


def test_normals_turn_with_the_axes(tmp_path: Path) -> None:
    save_mesh(tmp_path / "a.obj", flat(box()), up="z", size_mm=50)
    mesh = shape_of(load_mesh(tmp_path / "a.obj"))
    torch.testing.assert_close(corner_normals(tmp_path / "a.obj"), face_normals(mesh)[:, None].expand(-1, 3, 3), atol=1e-5, rtol=0)


def test_normals_that_say_nothing_are_none(tmp_path: Path) -> None:
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
    faces = "f 1//1 3//1 2//1\nf 1//2 2//2 4//2\nf 1//2 4//2 3//2\nf 2//2 3//2 4//2\n"
    (tmp_path / "a.obj").write_text(f"{corners}vn 0 0 -7\nvn 0 0 0\n{faces}")
    loaded = load_mesh(tmp_path / "a.obj")
    assert isinstance(loaded, Mesh) and loaded.corner_normals is not None
    assert loaded.corner_normals[0].tolist() == [[0.0, 0.0, -1.0]] * 3 and not loaded.corner_normals[1:].any()
    written = split(loaded)
    assert np.allclose(np.linalg.norm(written.normals, axis=1), 1, atol=1e-6)
    (tmp_path / "b.obj").write_text(f"{corners}vn 0 0 0\nvn 0 0 0\n{faces}")
    (tmp_path / "c.obj").write_text(f"{corners}{faces.replace('//1', '').replace('//2', '')}")
    for name in ("b.obj", "c.obj"):
        assert shape_of(load_mesh(tmp_path / name)).corner_normals is None
    save_mesh(tmp_path / "d.stl", flat(box()))
    assert shape_of(load_mesh(tmp_path / "d.stl")).corner_normals is None, "those of an STL are its faces'"


def test_a_normal_map_refers_to_the_normals_that_are_written(tmp_path: Path) -> None:
    asset = flat(box(normal_map=True))
    save_mesh(tmp_path / "a.glb", asset)
    save_mesh(tmp_path / "b.glb", load_mesh(tmp_path / "a.glb"))
    for path in (tmp_path / "a.glb", tmp_path / "b.glb"):
        torch.testing.assert_close(corner_normals(path), asset.mesh.corner_normals, atol=1e-6, rtol=0)
    corners = split(load_mesh(tmp_path / "b.glb"))
    assert corners.tangents is not None
    assert np.abs((corners.tangents[:, :3] * corners.normals).sum(1)).max() < 1e-6
    assert np.allclose(np.abs(corners.tangents[:, :3]).max(1), 1, atol=1e-6), "along the sides of the box, not bent at its corners"


def test_a_mesh_keeps_its_corners_when_it_is_moved_and_says_when_they_do_not_fit() -> None:
    asset = flat(box())
    assert asset.moved(2.0, (1, 2, 3)).mesh.corner_normals is asset.mesh.corner_normals
    assert torch.equal(asset.to("cpu").mesh.corner_normals, asset.mesh.corner_normals)
    with pytest.raises(ValueError, match="corner_normals"):
        Mesh(asset.mesh.vertices, asset.mesh.faces, torch.zeros(8, 3))
