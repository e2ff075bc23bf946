"""Every tetrahedra backend gives the same surfaces, grids and gradients as ours; missing ones are counted as skipped."""

import sys

import pytest
import torch

from img23d.backends.tetrahedra import choose_tetrahedra
from img23d.errors import BackendError
from img23d.ops.band import surface_band
from img23d.ops.march import marching_tetrahedra
from img23d.ops.subdivide import subdivide
from img23d.ops.tetgrid import tet_grid

BACKENDS = ["auto", "torch", "kaolin"]


def backend(name):
    try:
        return choose_tetrahedra(name)
    except BackendError as error:
        pytest.skip(f"{name} is not installed: {error.message}")


def noisy_sphere(resolution=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    grid = tet_grid(resolution)
    vertices = grid.vertices.to(dtype)
    noise = torch.randn(len(vertices), generator=generator, dtype=dtype)
    return vertices, grid, vertices.norm(dim=-1) - 0.6 + 0.1 * noise


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_backend_marches_to_the_same_bits(name, dtype):
    chosen = backend(name)
    vertices, grid, sdf = noisy_sphere(dtype=dtype)
    sdf[::7] = 0.0  # exact zeros, too
    results = []
    for march in (marching_tetrahedra, chosen.marching_tetrahedra):
        place, distance = vertices.clone().requires_grad_(), sdf.clone().requires_grad_()
        surface, faces, edges = march(place, grid.tets, distance)
        surface.square().sum().backward()
        results.append((surface, faces, edges, place.grad, distance.grad))
    assert len(results[0][1]) > 500
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("banded", [False, True])
def test_every_backend_subdivides_to_the_same_bits(name, banded):
    chosen = backend(name)
    _, grid, sdf = noisy_sphere()
    offset = torch.randn(len(sdf), 3, generator=torch.Generator().manual_seed(0))
    selected = surface_band(grid.tets, grid.vertices.norm(dim=-1) - 0.6, 0) if banded else None
    ours, (our_sdf, our_offset) = subdivide(grid, sdf, offset, selected=selected)
    theirs, (their_sdf, their_offset) = chosen.subdivide(grid, sdf, offset, selected=selected)
    assert torch.equal(ours.vertices, theirs.vertices) and torch.equal(ours.tets, theirs.tets)
    assert torch.equal(our_sdf, their_sdf) and torch.equal(our_offset, their_offset)
    bare, features = chosen.subdivide(grid, selected=selected)
    assert torch.equal(bare.tets, ours.tets) and features == ()


def test_auto_is_ours_and_unknown_names_are_refused():
    assert choose_tetrahedra("auto").name == choose_tetrahedra("torch").name == "torch"
    with pytest.raises(ValueError, match="unknown"):
        choose_tetrahedra("dmtet")


def test_a_missing_kaolin_that_was_named_says_how_to_get_it(monkeypatch):
    for module in [module for module in sys.modules if module.split(".")[0] == "kaolin"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "kaolin", None)
    with pytest.raises(BackendError) as caught:
        choose_tetrahedra("kaolin")
    assert "kaolin" in caught.value.message and "Apache-2.0" in caught.value.hint and "placeholder" in caught.value.hint


def test_the_placeholder_package_counts_as_missing(monkeypatch, tmp_path):
    (tmp_path / "kaolin").mkdir()
    (tmp_path / "kaolin" / "__init__.py").write_text("")
    for module in [module for module in sys.modules if module.split(".")[0] == "kaolin"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BackendError, match="cannot be loaded"):
        choose_tetrahedra("kaolin")
