"""PLY files whose faces have different numbers of corners, and colours beside texture coordinates."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from img23d.errors import InputError
from img23d.io.reading import load_mesh
from img23d.io.textures import sample
from img23d.ops.topology import area
from img23d.scene import Mesh, TexturedMesh

PLACES = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (2, 0, 0), (2, 1, 0), (3, 0.5, 0), (2.5, 2, 0), (1.5, 2, 0)]
POLYGONS = [(0, 1, 2, 3), (1, 4, 5), (1, 5, 2), (4, 6, 7, 8, 5)]  # a square, two halves of the next, and a polygon of five corners
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
STYLES = ["ascii", "binary_little_endian", "binary_big_endian"]


def ply(
    style: str,
    places: list[Any],
    polygons: list[Any],
    face_lines: str = "",
    extras: list[tuple[str, tuple]] | None = None,
    comment: str = "",
) -> bytes:
    """A PLY file; ``extras`` are struct codes and values that follow each face's corners."""
    extras = extras or [("", ())] * len(polygons)
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    head = f"ply\nformat {style} 1.0\n{comment}element vertex {len(places)}\n{axes}element face {len(polygons)}\n"
    head += f"property list uchar int vertex_indices\n{face_lines}end_header\n"
    rows = [(f"B{len(polygon)}i{code}", (len(polygon), *polygon, *values)) for polygon, (code, values) in zip(polygons, extras)]
    if style == "ascii":
        return (head + "".join(" ".join(map(str, row)) + "\n" for row in [*places, *(values for _, values in rows)])).encode()
    order = ">" if "big" in style else "<"
    return head.encode() + np.array(places, order + "f4").tobytes() + b"".join(struct.pack(order + code, *row) for code, row in rows)


def colors_by_place(loaded: TexturedMesh | Mesh) -> list[tuple[float, list[int]]]:
    """Where the middle of each face is along x, and its colour."""
    assert isinstance(loaded, TexturedMesh)
    middle = loaded.mesh.vertices[loaded.mesh.faces].mean(1)[:, 0].tolist()
    seen = (sample(loaded.base_color, loaded.uv[loaded.uv_faces].mean(1)) * 255).round().int().tolist()
    return list(zip(middle, seen))


@pytest.mark.parametrize("style", STYLES)
def test_polygons_of_different_sizes(tmp_path: Path, style: str) -> None:
    (tmp_path / "a.ply").write_bytes(ply(style, PLACES, POLYGONS))
    mesh = load_mesh(tmp_path / "a.ply")
    assert isinstance(mesh, Mesh) and len(mesh.vertices) == 9 and len(mesh.faces) == 2 + 1 + 1 + 3
    places = np.array([PLACES[number][:2] for number in POLYGONS[3]])
    after = np.roll(places, -1, 0)
    shoelace = 0.5 * float((places[:, 0] * after[:, 1] - places[:, 1] * after[:, 0]).sum())
    assert float(area(mesh)) == pytest.approx(2 + shoelace, rel=1e-6)
    normal = torch.linalg.cross(*(mesh.vertices[mesh.faces[:, k]] - mesh.vertices[mesh.faces[:, 0]] for k in (1, 2)))
    assert bool((normal[:, 2] > 0).all())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("turn", range(4))
def test_concave_quads_keep_their_area(tmp_path: Path, style: str, turn: int) -> None:
    dart = [(0, 0, 0), (2, 1, 0), (0, 2, 0), (0.5, 1, 0)]
    (tmp_path / "a.ply").write_bytes(ply(style, dart[turn:] + dart[:turn], [(0, 1, 2, 3)]))
    mesh = load_mesh(tmp_path / "a.ply")
    assert isinstance(mesh, Mesh) and len(mesh.faces) == 2 and float(area(mesh)) == pytest.approx(1.5, rel=1e-6)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("count", [1, 4])
def test_polygons_keep_their_colours(tmp_path: Path, style: str, count: int) -> None:
    lines = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    (tmp_path / "a.ply").write_bytes(ply(style, PLACES, POLYGONS[:count], lines, [("3B", color) for color in COLORS[:count]]))
    for place, color in colors_by_place(load_mesh(tmp_path / "a.ply")):
        expected = [COLORS[0]] if place < 1 else [COLORS[1], COLORS[2]] if place < 2 and count > 3 else [COLORS[3]]
        assert tuple(color) in expected or (count > 3 and tuple(color) == COLORS[3])


@pytest.mark.parametrize("style", STYLES)
def test_polygons_keep_their_texture_coordinates(tmp_path: Path, style: str) -> None:
    Image.fromarray(np.array([COLORS], np.uint8).repeat(8, 0).repeat(8, 1)).save(tmp_path / "a.png")  # four columns
    extras = []
    for number, polygon in enumerate(POLYGONS):  # each face in its own column
        uv = tuple(value for k in range(len(polygon)) for value in (0.25 * number + 0.05 + 0.02 * k, 0.3 + 0.1 * (k % 3)))
        extras.append((f"B{len(uv)}f", (len(uv), *uv)))
    data = ply(style, PLACES, POLYGONS, "property list uchar float texcoord\n", extras, "comment TextureFile a.png\n")
    (tmp_path / "a.ply").write_bytes(data)
    loaded = load_mesh(tmp_path / "a.ply")
    assert isinstance(loaded, TexturedMesh) and loaded.base_color.shape[0] == 32
    wanted = {0: [COLORS[0]] * 2, 1: [COLORS[1], COLORS[2]], 2: [COLORS[3]] * 3}
    found: dict[int, list[tuple[int, ...]]] = {0: [], 1: [], 2: []}
    for corners, (_, color) in zip(loaded.mesh.vertices[loaded.mesh.faces], colors_by_place(loaded)):
        right = float(corners[:, 0].max())
        found[0 if right <= 1 else 1 if right <= 2 else 2].append(tuple(color))
    assert {key: sorted(value) for key, value in found.items()} == {key: sorted(value) for key, value in wanted.items()}


@pytest.mark.parametrize("style", ["ascii", "binary_little_endian"])
def test_polygons_cut_short_are_damaged(tmp_path: Path, style: str) -> None:
    (tmp_path / "a.ply").write_bytes(ply(style, PLACES, POLYGONS)[:-6])
    with pytest.raises(InputError, match="damaged or cut short"):
        load_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("where", ["vertex", "face"])
def test_texture_coordinates_without_a_picture_leave_colours_of_vertices(tmp_path: Path, where: str) -> None:
    """Also where the reader would split the vertices at the seams."""
    head = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(f"property float {axis}\n" for axis in "xyz")
    head += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    head += "property float s\nproperty float t\n" if where == "vertex" else ""
    head += "element face 2\nproperty list uchar int vertex_indices\n"
    head += "property list uchar float texcoord\n" if where == "face" else ""
    rows = [
        (*PLACES[k], *((255, 0, 0) if k in (0, 1) else (0, 0, 255)), *((k / 4, 0.5) if where == "vertex" else ())) for k in (2, 3, 1, 0)
    ]
    faces = [(3, 3, 2, 0), (3, 3, 0, 1)]
    faces = [(*face, 6, *np.linspace(0.1 * k, 0.5 + 0.1 * k, 6)) for k, face in enumerate(faces)] if where == "face" else faces
    (tmp_path / "a.ply").write_text(head + "end_header\n" + "".join(" ".join(map(str, row)) + "\n" for row in [*rows, *faces]))
    loaded = load_mesh(tmp_path / "a.ply")
    assert isinstance(loaded, TexturedMesh)
    corner_colors = sample(loaded.base_color, loaded.uv[loaded.uv_faces.reshape(-1)])
    low = loaded.mesh.vertices[loaded.mesh.faces.reshape(-1)][:, 1] == 0
    expected = torch.where(low[:, None], torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1]))
    assert torch.allclose(corner_colors, expected, atol=1 / 255)
