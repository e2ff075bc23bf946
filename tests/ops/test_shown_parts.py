"""Separate parts of a mesh: those that a photo shows alone stay, floaters behind and before the largest go."""

from __future__ import annotations

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.ops.shown_parts import NEEDED, shown_besides, without_floaters
from img23d.ops.topology import components
from img23d.scene import Mesh, Views
from img23d.scene.cameras import orbit_degrees

RASTER = choose_rasterizer("numba")


def balls(*places: tuple[float, float, float, float]) -> Mesh:
    """Balls of given middles and radii."""
    parts = [trimesh.creation.icosphere(3, radius).apply_translation((x, y, z)) for x, y, z, radius in places]
    whole = trimesh.util.concatenate(parts)
    return Mesh(torch.from_numpy(whole.vertices.copy()).float(), torch.from_numpy(whole.faces.copy()).long())


def seen(mesh: Mesh, azimuths: tuple[float, ...] = (0.0,), size: int = 200) -> Views:
    cameras = orbit_degrees(list(azimuths), 0.0, 3.0, 40.0)
    mask = (RASTER.face_ids(cameras.project(mesh.vertices), mesh.faces, size, size) >= 0).float()
    return Views(cameras, mask[..., None].expand(-1, -1, -1, 3), mask)


def count(mesh: Mesh) -> int:
    return int(components(mesh).max()) + 1


BODY = (0.0, 0.0, 0.0, 0.4)


def test_a_flower_whose_stem_was_lost_stays_and_floaters_go() -> None:
    flower, behind, before, speck = (0.0, 0.7, 0.0, 0.2), (0.0, 0.0, -0.8, 0.2), (0.0, 0.0, 0.7, 0.1), (0.6, 0.0, 0.0, 0.01)
    views = seen(balls(BODY, flower))
    kept = without_floaters(balls(BODY, flower, behind, before, speck), views, RASTER)
    assert count(kept) == 2 and float(kept.vertices[:, 1].max()) == pytest.approx(0.9, abs=0.01)
    assert float(kept.vertices[:, 2].min()) == pytest.approx(-0.4, abs=0.01), "the one behind is gone"
    assert float(kept.vertices[:, 2].max()) == pytest.approx(0.4, abs=0.01), "the one before is gone"


def test_what_lies_beside_the_silhouette_is_no_part_of_it() -> None:
    assert count(without_floaters(balls(BODY, (0.0, 0.7, 0.0, 0.2)), seen(balls(BODY)), RASTER)) == 1


def test_one_of_several_views_is_enough() -> None:
    both = balls(BODY, (0.0, 0.0, -0.8, 0.2))
    assert count(without_floaters(both, seen(both, (0.0,)), RASTER)) == 1
    assert count(without_floaters(both, seen(both, (0.0, 90.0)), RASTER)) == 2


def test_shares_are_those_of_the_silhouette() -> None:
    both = balls((-0.4, 0.0, 0.0, 0.3), (0.5, 0.0, 0.0, 0.15))
    share = shown_besides(both, components(both), 0, seen(both), RASTER)
    assert float(share[0]) == 0 and float(share[1]) == pytest.approx(1 / 5, abs=0.02) and NEEDED < 0.05


def test_meshes_of_one_part_or_none_stay_as_they_are() -> None:
    one, none = balls(BODY), Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long))
    assert without_floaters(one, seen(one), RASTER) is one and without_floaters(none, seen(one), RASTER) is none
