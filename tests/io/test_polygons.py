"""Concave faces of OBJ files: areas that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from img23d.io.polygons import triangles, with_concave_cut
from img23d.io.reading import load_mesh
from img23d.ops.topology import area
from img23d.scene import Mesh

ARROW = [(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)]  # area 10
DART = [(0, 0), (2, 1), (0, 2), (0.5, 1)]  # concave in its last corner, area 1.5


def text(corners: list[tuple[float, float]], face: str) -> bytes:
    return "".join(f"v {x} {y} {0.3 * x}\n" for x, y in corners).encode() + f"f {face}\n".encode()


@pytest.mark.parametrize("turn", range(5))
@pytest.mark.parametrize(("corners", "size"), [(ARROW, 10.0), (DART, 1.5)])
@pytest.mark.parametrize("backwards", [False, True])
def test_concave_faces_keep_their_area_whatever_corner_comes_first(tmp_path: Path, corners, size, turn, backwards) -> None:
    turned = corners[turn % len(corners) :] + corners[: turn % len(corners)]
    turned = turned[::-1] if backwards else turned
    names = " ".join(f"{k - len(turned)}/" if turn == 2 else str(k + 1) for k in range(len(turned)))
    (tmp_path / "face.obj").write_bytes(text(turned, names.replace("/", "")))
    mesh = load_mesh(tmp_path / "face.obj")
    assert isinstance(mesh, Mesh) and len(mesh.faces) == len(corners) - 2
    assert float(area(mesh)) == pytest.approx(size * np.hypot(1, 0.3), rel=1e-5)


def test_a_spiral_is_cut_without_overlap() -> None:
    angle = np.linspace(0, 3 * np.pi, 40)
    out, back = (np.stack([r * np.cos(angle), r * np.sin(angle), 0 * r], 1) for r in (1 + angle, 0.6 + angle))
    points = np.concatenate([out, back[::-1]])
    pieces = triangles(points)
    assert pieces is not None and len(pieces) == len(points) - 2
    after = np.roll(points, -1, 0)
    shoelace = 0.5 * abs(float((points[:, 0] * after[:, 1] - points[:, 1] * after[:, 0]).sum()))
    sizes = [0.5 * np.linalg.norm(np.cross(points[b] - points[a], points[c] - points[a])) for a, b, c in pieces]
    assert sum(sizes) == pytest.approx(shoelace, rel=1e-9)


def test_convex_faces_and_all_else_stay_as_they_are() -> None:
    square = text([(0, 0), (1, 0), (1, 1), (0, 1)], "1/1/1 2/2/1 3/3/1 4/4/1") + b"# f 1 2 3 4\nusemtl red\n"
    assert with_concave_cut(square) == square
    assert with_concave_cut(b"v 0 0 0\nf 1 1 1\n") == b"v 0 0 0\nf 1 1 1\n"
    dart = with_concave_cut(text(DART[1:] + DART[:1], "1/9/8 2/7/6 3/5/4 4/3/2")).splitlines()[-1]
    assert sorted(dart.split()[1:]) == [b"1/9/8", b"2/7/6", b"3/5/4", b"4/3/2"], "corners keep their other numbers"
