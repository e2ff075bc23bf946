"""Meshes far from the origin, as surveys and CAD have them: their shape is kept to the last digit, whatever becomes of their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from img23d.convert import convert
from img23d.errors import InputError
from img23d.io.meshes import save_mesh
from img23d.io.reading import load_mesh
from img23d.refinement import place_of
from img23d.scene import Mesh, TexturedMesh, lies_far

PLACE = np.array([456_789.25, 120.5, 5_432_109.75])  # metres of a national grid
COUNT = 40


def relief() -> tuple[np.ndarray, np.ndarray]:
    """A square of one metre with waves of five millimetres, which single precision would round to steps of half a metre."""
    rows, columns = np.mgrid[:COUNT, :COUNT]
    points = np.stack([columns / COUNT, 0.005 * np.sin(rows / 3.0), rows / COUNT], -1).reshape(-1, 3)
    corner = (rows * COUNT + columns)[:-1, :-1].reshape(-1)
    faces = [[corner, corner + COUNT, corner + 1], [corner + 1, corner + COUNT, corner + COUNT + 1]]
    return points, np.concatenate([np.stack(face, 1) for face in faces])


def write(path: Path, points: np.ndarray, faces: np.ndarray) -> Path:
    lines = ["v {!r} {!r} {!r}".format(*row) for row in points.tolist()] + ["f {} {} {}".format(*row) for row in (faces + 1).tolist()]
    path.write_text("\n".join(lines))
    return path


def shape_of(loaded: TexturedMesh | Mesh) -> Mesh:
    return loaded.mesh if isinstance(loaded, TexturedMesh) else loaded


def test_a_far_mesh_is_read_and_framed_in_double_precision(tmp_path: Path) -> None:
    points, faces = relief()
    read = shape_of(load_mesh(write(tmp_path / "far.obj", points + PLACE, faces)))
    assert len(read.vertices) == len(points)
    torch.testing.assert_close(read.vertices - torch.from_numpy(PLACE), torch.from_numpy(points), atol=1e-8, rtol=0)
    assert not lies_far(shape_of(load_mesh(write(tmp_path / "near.obj", points, faces))).vertices)
    place = place_of(read)
    assert place.middle == pytest.approx((PLACE + (points.min(0) + points.max(0)) / 2).tolist(), abs=1e-8)


def test_a_refined_mesh_goes_back_to_its_place(tmp_path: Path) -> None:
    points, faces = relief()
    read = shape_of(load_mesh(write(tmp_path / "far.obj", points + PLACE, faces)))
    place = place_of(read)
    inside = ((read.vertices - torch.tensor(place.middle, dtype=torch.float64)) * place.scale).float()
    asset = TexturedMesh(Mesh(inside, read.faces), torch.zeros(1, 2), torch.zeros_like(read.faces), torch.zeros(2, 2, 3))
    again = asset.moved(1 / place.scale, place.middle).mesh.vertices.numpy()
    assert np.abs(again - points - PLACE).max() < 1e-6


@pytest.mark.parametrize("format", ["obj", "ply", "glb", "gltf"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_formats_keep_shape_and_place(tmp_path: Path, format: str, up: str) -> None:
    points, faces = relief()
    source = write(tmp_path / "far.obj", points + PLACE, faces)
    convert(source, [tmp_path / f"made.{format}"], up=up)  # type: ignore[arg-type]
    again = shape_of(load_mesh(tmp_path / f"made.{format}")).vertices.numpy()
    wanted = points + PLACE
    wanted = wanted if up == "y" else np.stack([wanted[:, 0], -wanted[:, 2], wanted[:, 1]], 1)
    assert np.abs(again - wanted).max() < 1e-6


def test_stl_keeps_the_shape_at_the_origin(tmp_path: Path) -> None:
    points, faces = relief()
    convert(write(tmp_path / "far.obj", points + PLACE, faces), [tmp_path / "made.stl"])
    again = shape_of(load_mesh(tmp_path / "made.stl")).vertices.numpy()
    middle = (points.min(0) + points.max(0)) / 2
    convert(write(tmp_path / "close.obj", points + 100, faces), [tmp_path / "close.stl"])
    assert np.abs(shape_of(load_mesh(tmp_path / "close.stl")).vertices.numpy().min(0) - points.min(0) - 100).max() < 1e-4, "in its place"
    assert np.abs(np.sort(again[:, 1]) - np.sort(points[:, 1] - middle[1])).max() < 1e-6


def test_fewer_faces_of_a_far_mesh_are_those_of_the_near_one(tmp_path: Path) -> None:
    points, faces = relief()
    for name, shift in (("near", np.zeros(3)), ("far", PLACE)):
        convert(write(tmp_path / f"{name}.obj", points + shift, faces), [tmp_path / f"{name}.ply"], faces=500)
    near, far = (shape_of(load_mesh(tmp_path / f"{name}.ply")) for name in ("near", "far"))
    assert len(far.faces) == len(near.faces) <= 500
    assert float((far.vertices[:, 1] - PLACE[1]).std()) == pytest.approx(float(near.vertices[:, 1].std()), rel=0.05)


def test_what_a_file_has_rounded_away_is_refused(tmp_path: Path) -> None:
    points, faces = relief()
    rounded = Mesh(torch.from_numpy(points + PLACE).float(), torch.from_numpy(faces))
    save_mesh(tmp_path / "rounded.glb", rounded)
    with pytest.raises(InputError, match="far from the origin"):
        load_mesh(tmp_path / "rounded.glb")


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_do_not_matter(tmp_path: Path, scale: float) -> None:
    points, faces = relief()
    for name, size in (("one", 1.0), ("other", scale)):
        convert(write(tmp_path / f"{name}.obj", points * size, faces), [tmp_path / f"{name}.glb"], faces=500)
    one, other = (shape_of(load_mesh(tmp_path / f"{name}.glb")) for name in ("one", "other"))
    assert len(one.faces) == len(other.faces)
    assert one.corner_normals is not None and other.corner_normals is not None
    up = one.corner_normals[..., 1]
    assert up.min() > 0.9 and other.corner_normals[..., 1].min() > 0.9
