"""OBJ files as other programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from img23d.io.obj import obj_files
from img23d.io.reading import load_mesh
from img23d.io.textures import sample
from img23d.scene import Mesh, TexturedMesh

PLACES = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
COORDINATES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
SQUARE = f"mtllib a.mtl\n{PLACES}{COORDINATES}usemtl m\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
MATERIAL = "newmtl m\nKd 1 1 1\nmap_Kd a.png\n"
BLUE, RED = [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a blue picture, and the same one in another folder."""
    (tmp_path / "maps").mkdir()
    for name in ("a.png", "my a.png", "a #1.png", "maps/b.png"):
        Image.new("RGB", (8, 8), (0, 0, 255)).save(tmp_path / name)
    (tmp_path / "a.mtl").write_text(MATERIAL)
    return tmp_path


def colors(loaded: TexturedMesh | Mesh) -> list[list[float]]:
    """Of the middle of each face."""
    assert isinstance(loaded, TexturedMesh)
    return sample(loaded.base_color, loaded.uv[loaded.uv_faces].mean(1)).tolist()


VARIANTS = {
    "blanks before words": SQUARE.replace("f ", "  f ").replace("v ", "\t v "),
    "tabs": SQUARE.replace(" ", "\t"),
    "carriage returns": SQUARE.replace("\n", "\r"),
    "both line ends": SQUARE.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + SQUARE,
    "two libraries on a line": SQUARE.replace("mtllib a.mtl", "mtllib other.mtl a.mtl"),
    "two lines of libraries": SQUARE.replace("mtllib a.mtl", "mtllib other.mtl\nmtllib a.mtl"),
    "numbers counted back": SQUARE.replace("f 1/1 2/2 3/3", "f -4/-4 -3/-3 -2/-2") + "v 9 9 9\nvt 9 9\n",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_ways_to_write_the_same_square(folder: Path, name: str) -> None:
    (folder / "other.mtl").write_text("newmtl unused\nKd 0 1 0\n")
    (folder / "a.obj").write_bytes(VARIANTS[name].encode())
    warnings: list[str] = []
    loaded = load_mesh(folder / "a.obj", warnings)
    assert isinstance(loaded, TexturedMesh) and len(loaded.mesh.vertices) == 4 and len(loaded.mesh.faces) == 2
    corners = loaded.mesh.vertices[loaded.mesh.faces][..., :2].tolist()
    assert corners == [[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]]
    assert np.allclose(colors(loaded), [BLUE, BLUE], atol=1 / 255) and not warnings


MATERIALS = {
    "options": "newmtl m\nmap_Kd -s 1 1 1 -o 0 0 0 -bm 0.5 -blendu on a.png\n",
    "a name with blanks after options": "newmtl m\nmap_Kd -s 1 1 1 my a.png\n",
    "backslashes": "newmtl m\nmap_Kd maps\\b.png\n",
    "comments": "# all of it\nnewmtl m # the only one\nmap_Kd a.png # a picture\n",
    "a name with a hash": "newmtl m\nmap_Kd a #1.png\n",
    "tabs": "newmtl\tm\n\tmap_Kd\ta.png\n",
}


@pytest.mark.parametrize("name", MATERIALS)
def test_ways_to_name_the_same_picture(folder: Path, name: str) -> None:
    (folder / "a.mtl").write_text(MATERIALS[name])
    (folder / "a.obj").write_text(SQUARE)
    warnings: list[str] = []
    assert np.allclose(colors(load_mesh(folder / "a.obj", warnings)), [BLUE, BLUE], atol=1 / 255) and not warnings


@pytest.mark.parametrize("option", ["-s 2 2 1", "-o 0.5 0", "-mm 0.2 0.8", "-clamp on"])
def test_options_that_change_a_picture_are_told(folder: Path, option: str) -> None:
    (folder / "a.mtl").write_text(f"newmtl m\nmap_Kd {option} a.png\n")
    (folder / "a.obj").write_text(SQUARE)
    warnings: list[str] = []
    load_mesh(folder / "a.obj", warnings)
    assert warnings == ["a.mtl moves or changes the picture a.png, which is not honoured: it is used as it is"]


def test_a_colour_with_a_comment(folder: Path) -> None:
    (folder / "a.mtl").write_text("newmtl m\nKd 1 0 0 # red\n")
    (folder / "a.obj").write_text(SQUARE)
    assert np.allclose(colors(load_mesh(folder / "a.obj")), [RED, RED])


def test_texture_coordinates_without_a_picture_are_no_colour(folder: Path) -> None:
    """The reader makes up a dark grey picture for them."""
    (folder / "a.obj").write_text(SQUARE.replace("mtllib a.mtl\n", "").replace("usemtl m\n", ""))
    assert isinstance(load_mesh(folder / "a.obj"), Mesh)
    (folder / "a.mtl").write_text("newmtl m\nNs 10\n")  # a material that says nothing about its colour
    (folder / "b.obj").write_text(SQUARE)
    assert isinstance(load_mesh(folder / "b.obj"), Mesh)


@pytest.mark.parametrize("material", ["", "newmtl m\nKd 0.8 0.8 0.8\n"])
def test_texture_coordinates_leave_colours_of_vertices(folder: Path, material: str) -> None:
    (folder / "a.mtl").write_text(material)
    (folder / "a.obj").write_text(SQUARE.replace(" 0\nv", " 0 1 0 0\nv").replace("v 0 1 0\n", "v 0 1 0 1 0 0\n"))
    assert np.allclose(colors(load_mesh(folder / "a.obj")), [RED, RED])


@pytest.mark.parametrize("corner", ["{}", "{}//1", "{}/"])
def test_faces_without_texture_coordinates_leave_the_others_theirs(folder: Path, corner: str) -> None:
    (folder / "a.mtl").write_text(MATERIAL.replace("1 1 1", "1 0 0"))
    bare = "f " + " ".join(corner.format(number) for number in (5, 6, 7))
    more = f"v 2 0 0\nv 3 0 0\nv 2 1 0\nvn 0 0 1\n{bare}\nv 4 0 0\nv 5 0 0\nv 4 1 0\nf 8/1 9/2 10/3\n"
    (folder / "a.obj").write_text(SQUARE + more)
    loaded = load_mesh(folder / "a.obj")
    assert isinstance(loaded, TexturedMesh) and len(loaded.mesh.faces) == 4
    left = loaded.mesh.vertices[loaded.mesh.faces][..., 0].amin(1).tolist()
    seen = dict(zip(left, colors(loaded)))
    assert np.allclose([seen[0.0], seen[4.0]], BLUE, atol=1 / 255), "the picture"
    assert np.allclose(seen[2.0], RED, atol=1 / 255), "the material's colour"


def test_equal_pictures_of_two_materials_share_their_place(folder: Path) -> None:
    (folder / "a.mtl").write_text(MATERIAL + "newmtl n\nmap_Kd my a.png\n")
    (folder / "a.obj").write_text(SQUARE.replace("f 1/1 3/3", "usemtl n\nf 1/1 3/3"))
    loaded = load_mesh(folder / "a.obj")
    assert isinstance(loaded, TexturedMesh) and loaded.base_color.shape == (8, 8, 3)


def test_written_positions_are_exact() -> None:
    vertices = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)) + 10
    mesh = Mesh(vertices, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    lines = obj_files(mesh, "a")["a.obj"].decode().splitlines()
    assert torch.equal(torch.tensor([[float(word) for word in line.split()[1:]] for line in lines if line.startswith("v ")]), vertices)
