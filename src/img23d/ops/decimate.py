"""Fewer faces for the same surface, without losing that it is closed, manifold and outward."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from img23d.errors import FitError
from img23d.ops.half_edges import half_edges
from img23d.ops.topology import components, drop_unused, euler_characteristic, is_closed_manifold
from img23d.scene import Mesh

# How far a face may turn in one collapse (cosine), tried in this order until the count is reached.
_TURNS = (0.5, 0.2, -2.0)


def decimate(mesh: Mesh, faces: int, worth: Tensor | None = None) -> Mesh:
    """Reduce a mesh to at most so many faces.

    A closed manifold mesh stays closed and manifold, with the same parts, genus and direction of its faces.

    Args:
        mesh: any mesh; one that already has few enough faces is returned as it is.
        faces: largest allowed number of faces, at least 4.
        worth: (N,) what squared distances count about each vertex of a closed mesh; None for the same everywhere.

    Returns:
        The reduced mesh. For open or non-manifold input nothing is promised but the count; see `img23d.ops.topology.make_manifold`.

    Raises:
        FitError: when the shape cannot be kept with so few faces.
        ValueError: when fewer than 4 faces are asked for.

    Reference: Garland and Heckbert, Surface Simplification Using Quadric Error Metrics (1997). Collapses that would break the
        surface are refused (`img23d.ops.collapse`), so nothing has to be repaired afterwards.
    """
    if faces < 4:
        raise ValueError(f"a closed mesh needs at least 4 faces, asked for {faces}")
    if len(mesh.faces) <= faces:
        return mesh
    if not is_closed_manifold(mesh):
        return _decimate_open(mesh, faces)
    reduced, left = _decimate_closed(mesh, faces, mesh.vertices.new_ones(len(mesh.vertices)) if worth is None else worth)
    if left > faces:
        raise FitError(
            f"the mesh cannot keep its shape with {faces} faces: it has {int(components(mesh).max()) + 1} parts and Euler "
            f"characteristic {euler_characteristic(mesh)}",
            f"ask for {left} faces or more, or drop small parts first",
        )
    return reduced


def _decimate_closed(mesh: Mesh, faces: int, worth: Tensor) -> tuple[Mesh, int]:
    """The reduced closed manifold mesh and its number of faces, which is above ``faces`` when that cannot be reached."""
    # Unit size, because the kernel's guards against division by zero are absolute.
    centre = mesh.vertices.detach().mean(0)
    scale = (mesh.vertices.detach() - centre).abs().max()
    position = ((mesh.vertices.detach() - centre) / scale).double().cpu().numpy()
    part = components(mesh).cpu().numpy()
    outward = part_volumes(position, mesh.faces.cpu().numpy(), part) > 0
    of_faces = worth[mesh.faces].mean(1).double().cpu().numpy()
    frozen = np.zeros(len(outward), dtype=np.bool_)
    while True:
        reduced, corners, alive = _collapse(position, mesh, ~frozen[part], faces, of_faces)
        turned = part_volumes(reduced, corners, part[alive]) > 0
        inverted = (turned != outward) & ~frozen
        if not inverted.any():
            break
        frozen |= inverted  # parts of a few faces may turn inside out; those stay as they were
    vertices = torch.from_numpy(reduced).to(mesh.vertices) * scale + centre
    return drop_unused(Mesh(vertices, torch.from_numpy(corners).to(mesh.faces.device))), len(corners)


def _collapse(
    position: np.ndarray, mesh: Mesh, free: np.ndarray, faces: int, worth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moved vertices (N, 3), remaining faces (G, 3) and which of the faces they are (F,), after as many collapses as needed."""
    from img23d.ops.collapse import collapse_edges  # compiles with numba

    position, start = position.copy(), mesh.faces.cpu().numpy().reshape(-1).copy()
    twin, alive = twins(mesh), np.ones(len(mesh.faces), dtype=np.bool_)
    left = len(alive)
    for turn in _TURNS:
        before = left + 1
        while faces < left < before:
            before, left = left, int(collapse_edges(position, start, twin, alive, free, faces, turn, worth))
    return position, start.reshape(-1, 3)[alive], alive


def _decimate_open(mesh: Mesh, faces: int) -> Mesh:
    """Reduce a mesh with borders; its topology may change."""
    import fast_simplification

    vertices, kept = fast_simplification.simplify(
        mesh.vertices.detach().float().cpu().numpy(), mesh.faces.cpu().numpy().astype(np.int32), target_count=faces, agg=7
    )[:2]
    if len(kept) > faces or not len(kept):
        raise FitError(f"the open mesh cannot be reduced to {faces} faces ({len(kept)} are left)", "ask for more faces or close its holes")
    return Mesh(torch.from_numpy(vertices).to(mesh.vertices), torch.from_numpy(kept.astype(np.int64)).to(mesh.faces.device))


def twins(mesh: Mesh) -> np.ndarray:
    """(3 F,) int64: for each half-edge of a closed manifold mesh the one that runs back along it."""
    start, end = half_edges(mesh.faces.cpu().numpy())
    forward, backward = start * len(mesh.vertices) + end, end * len(mesh.vertices) + start
    order = np.argsort(forward)
    return order[np.searchsorted(forward[order], backward)]


def part_volumes(vertices: np.ndarray, faces: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Signed volume of each closed part: positive when its faces look outwards, negative for the walls of hollows."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return np.bincount(part, weights=(np.cross(a, b) * c).sum(-1)) / 6
