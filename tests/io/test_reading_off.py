"""OFF files with colours and polygons, and PLY files with older names for their colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from img23d.io.reading import load_mesh
from img23d.io.textures import sample, vertex_colors
from img23d.ops.topology import area
from img23d.scene import Mesh, TexturedMesh

PLACES = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
COLORS = [(255, 0, 0), (0, 255, 0), (0, 51, 255), (255, 255, 102)]


def lines(rows: list[tuple], colors: list[tuple] | None = None, between: str = "", scale: float = 1, after: str = "") -> str:
    """Rows of a file: numbers, what stands between, colours, what comes after."""
    written = [[f"{value * scale:.3g}" for value in color] for color in colors] if colors else [[]] * len(rows)
    return "".join(" ".join([*map(str, row), between, *color, after]) + "\n" for row, color in zip(rows, written))


def corners(faces: list[tuple]) -> list[tuple]:
    return [(len(face), *face) for face in faces]


def off(header: str, vertices: str, faces: str, counts: tuple[int, int] = (4, 4)) -> str:
    return f"{header}\n# a remark\n\n{counts[0]} {counts[1]} 0\n{vertices}{faces}"


def face_colors(loaded: TexturedMesh | Mesh) -> list[list[int]]:
    assert isinstance(loaded, TexturedMesh)
    return (sample(loaded.base_color, loaded.uv[loaded.uv_faces].mean(1)) * 255).round().int().tolist()


@pytest.mark.parametrize(
    "content",
    [
        off("COFF", lines(PLACES, COLORS, after="255"), lines(corners(FACES))),
        off("COFF", lines(PLACES, COLORS, scale=1 / 255, after="1"), lines(corners(FACES))).replace("\n", "\r\n"),
        off("COFF", lines(PLACES, COLORS), lines(corners(FACES), [(9, 9, 9)] * 4)),  # those of vertices go first
        off("CNOFF", lines(PLACES, COLORS, between="0 0 1"), lines(corners(FACES))),
    ],
)
def test_colors_of_vertices(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.off").write_bytes(content.encode())
    loaded = load_mesh(tmp_path / "m.off")
    assert isinstance(loaded, TexturedMesh)
    assert loaded.mesh.vertices.int().tolist() == [list(place) for place in PLACES]
    assert vertex_colors(loaded).tolist() == [list(color) for color in COLORS]


@pytest.mark.parametrize(("scale", "after"), [(1, ""), (1 / 255, "0.5")])
def test_colors_of_faces(tmp_path: Path, scale: float, after: str) -> None:
    faces = lines(corners(FACES[:3]), COLORS[:3], scale=scale, after=after) + lines(corners(FACES[3:]))
    (tmp_path / "m.off").write_text(off("OFF", lines(PLACES), faces))
    assert face_colors(load_mesh(tmp_path / "m.off")) == [*(list(color) for color in COLORS[:3]), [170, 170, 170]]


def test_polygons_of_several_sizes_with_colors_are_cut_within_their_outline(tmp_path: Path) -> None:
    places = [(0, 0, 0), (4, 0, 0), (4, 4, 0), (1, 1, 0), (0, 4, 0), (5, 0, 0)]
    faces = [(1, 5, 2), (4, 0, 1, 2, 3)]  # the second is a notched square: a fan from its first corner reaches out of it
    (tmp_path / "m.off").write_text(off("OFF", lines(places), lines(corners(faces), COLORS[:2]), (6, 2)))
    loaded = load_mesh(tmp_path / "m.off")
    assert isinstance(loaded, TexturedMesh)
    assert face_colors(loaded) == [[255, 0, 0], *[[0, 255, 0]] * 3]
    assert float(area(loaded.mesh)) == pytest.approx(2 + 10)


@pytest.mark.parametrize(("header", "after"), [("OFF", ""), ("NOFF", "0 0 1")])
def test_normals_and_plain_files_have_no_colors(tmp_path: Path, header: str, after: str) -> None:
    (tmp_path / "m.off").write_text(off(header, lines(PLACES, after=after), lines(corners(FACES))))
    assert isinstance(load_mesh(tmp_path / "m.off"), Mesh)


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian"])
def test_a_ply_may_call_its_colors_diffuse(tmp_path: Path, order: str) -> None:
    head = f"ply\nformat {order} 1.0\nelement vertex 4\n" + "".join(f"property float {axis}\n" for axis in "xyz")
    head += "".join(f"property uchar diffuse_{name}\n" for name in ("red", "green", "blue"))
    head += "element face 4\nproperty list uchar int vertex_indices\nend_header\n"
    vertices, faces = np.zeros(4, "3<f4, 3u1"), np.zeros(4, "u1, 3<i4")
    vertices["f0"], vertices["f1"], faces["f0"], faces["f1"] = PLACES, COLORS, 3, FACES
    body = (lines(PLACES, COLORS) + lines(corners(FACES))).encode() if order == "ascii" else vertices.tobytes() + faces.tobytes()
    (tmp_path / "m.ply").write_bytes(head.encode() + body)
    loaded = load_mesh(tmp_path / "m.ply")
    assert isinstance(loaded, TexturedMesh)
    assert vertex_colors(loaded).tolist() == [list(color) for color in COLORS]
