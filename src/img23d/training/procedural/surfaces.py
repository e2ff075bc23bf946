"""Closed surfaces to build with: lathed profiles, swept tubes, rounded boxes, cylinders, ellipsoids."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from img23d.training.procedural.parts import Part
from img23d.training.textures import Paint


def _grid_part(rings: np.ndarray, wraps: bool, paints: tuple[Paint, ...], v: np.ndarray, row_material: np.ndarray | None) -> Part:
    """Join K rings of S points into a closed surface; rings of zero size become one vertex."""
    count, around = rings.shape[:2]
    tiny = np.ptp(rings, axis=1).max(-1) < 1e-9
    starts = np.concatenate([[0], np.cumsum(np.where(tiny, 1, around))])
    index = starts[:-1, None] + np.where(tiny[:, None], 0, np.arange(around)[None])
    vertices = np.concatenate([ring[:1] if small else ring for ring, small in zip(rings, tiny)])
    if not tiny[0] and np.allclose(rings[0], rings[-1]):  # a ring of rings: the last ones are the first ones
        index[-1] = index[0]
        vertices = vertices[:-around]
    nxt = np.roll(np.arange(around), -1)
    a, b = index[:-1], index[1:]
    quads = np.stack([a, a[:, nxt], b[:, nxt], b], -1).reshape(-1, 4)
    u = np.arange(around + 1) / around
    left, right = np.broadcast_to(u[:-1], a.shape), np.broadcast_to(u[1:], a.shape)
    top, bottom = np.broadcast_to(v[:-1, None], a.shape), np.broadcast_to(v[1:, None], a.shape)
    uv = np.stack(
        [np.stack([left, top], -1), np.stack([right, top], -1), np.stack([right, bottom], -1), np.stack([left, bottom], -1)], 2
    ).reshape(-1, 4, 2)
    rows = np.zeros(count - 1, np.int64) if row_material is None else row_material
    material = np.repeat(rows, around)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    corner_uv = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]])
    material = np.concatenate([material, material])
    solid = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return Part(vertices, faces[solid], corner_uv[solid], material[solid], paints).outward()


def lathe(
    profile: np.ndarray | Sequence[Sequence[float]],
    paints: Paint | Sequence[Paint],
    row_material: Sequence[int] | None = None,
    segments: int = 40,
    squareness: float = 2.0,
    squash: float = 1.0,
) -> Part:
    """A profile turned about the y axis.

    Args:
        profile: (K, 2) radius and height, from the axis (radius 0) along the surface back to the axis.
        paints: one picture, or several chosen by ``row_material``.
        row_material: (K - 1,) paint of each stretch of the profile.
        segments: corners around.
        squareness: exponent of the superellipse that is the cross-section; 2 is round, 5 nearly square.
        squash: depth along z over width along x.
    """
    profile = np.asarray(profile, float)
    angle = np.arange(segments) * (2 * np.pi / segments) + np.pi  # the seam of the paint is at the back
    sin, cos = np.sin(angle), np.cos(angle)
    reach = (np.abs(sin) ** squareness + np.abs(cos) ** squareness) ** (-1 / squareness)
    rings = np.stack([profile[:, :1] * sin * reach, np.repeat(profile[:, 1:], segments, 1), profile[:, :1] * cos * reach * squash], -1)
    materials = None if row_material is None else np.asarray(row_material)
    pictures = (paints,) if isinstance(paints, np.ndarray) else tuple(paints)
    v = _lengths(profile)
    if materials is not None:
        v = _lengths_by_material(profile, materials)
        return _split_rows(rings, pictures, materials, v)
    return _grid_part(rings, True, pictures, v, None)


def _lengths(points: np.ndarray) -> np.ndarray:
    """(K,) arc length along points as a fraction of the whole, running from 1 (bottom of the paint) to 0."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return 1 - along / max(along[-1], 1e-9)


def _lengths_by_material(profile: np.ndarray, materials: np.ndarray) -> np.ndarray:
    """(K - 1, 2) start and end of each stretch within its own paint, from 1 (where the paint begins) to 0."""
    step = np.linalg.norm(np.diff(profile, axis=0), axis=1)
    out = np.zeros((len(step), 2))
    for material in np.unique(materials):
        rows = materials == material
        end = np.cumsum(step[rows])
        total = max(end[-1], 1e-9)
        out[rows] = 1 - np.stack([end - step[rows], end], -1) / total
    return out


def _split_rows(rings: np.ndarray, paints: tuple[Paint, ...], materials: np.ndarray, v: np.ndarray) -> Part:
    """As `_grid_part`, with a separate paint coordinate at both ends of each row."""
    whole = _grid_part(rings, True, paints, np.arange(len(rings), dtype=float), materials)
    row = np.floor(whole.corner_uv[..., 1].mean(1) + 1e-6).astype(int).clip(0, len(v) - 1)
    part = whole.corner_uv[..., 1] - row[:, None]
    corner_uv = whole.corner_uv.copy()
    corner_uv[..., 1] = v[row, :1] * (1 - part) + v[row, 1:] * part
    return Part(whole.vertices, whole.faces, corner_uv, whole.material, paints)


def tube(
    path: np.ndarray | Sequence[Sequence[float] | np.ndarray],
    radius: float | Sequence[float] | np.ndarray,
    paint: Paint,
    segments: int = 12,
    rounded: bool = True,
    aspect: float = 1.0,
    squareness: float = 2.0,
    up: Sequence[float] = (0.0, 1.0, 0.0),
) -> Part:
    """A generalised cylinder along a path, with rounded or flat ends.

    Args:
        path: (K, 3) centre line; where it ends at its start, the tube is a ring without ends.
        radius: one radius or (K,) radii, measured along ``up``'s side of the cross-section.
        paint: the picture; it wraps around once.
        segments: corners around.
        rounded: half-spheres at the ends instead of flat caps.
        aspect: width across over height along ``up`` of the cross-section.
        squareness: superellipse exponent of the cross-section.
        up: direction that the cross-section's height follows where it can.
    """
    path = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(path)).astype(float)
    closed = bool(np.allclose(path[0], path[-1]))
    tangent = np.gradient(path, axis=0)
    if closed:
        tangent[[0, -1]] = path[1] - path[-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    side = np.cross(tangent, np.asarray(up, float))
    weak = np.linalg.norm(side, axis=1) < 1e-3
    if weak.any():
        side[weak] = np.cross(tangent[weak], [1.0, 0.0, 0.0]) + np.cross(tangent[weak], [0.0, 0.0, 0.3])
    for index in range(1, len(side)):  # no flips between neighbours
        if side[index] @ side[index - 1] < 0:
            side[index] = -side[index]
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(side, tangent)
    if closed and side[0] @ side[-1] > 0.999:
        pass  # the ends meet: no caps
    elif rounded:
        steps = np.array([1.0, 0.85, 0.5])
        back, grow = -steps, np.sqrt(np.maximum(1 - steps**2, 0))
        grow[0] = 0.0
        path = np.concatenate(
            [path[:1] + tangent[:1] * (back * radii[0])[:, None], path, path[-1:] - tangent[-1:] * (back[::-1] * radii[-1])[:, None]]
        )
        radii = np.concatenate([grow * radii[0], radii, grow[::-1] * radii[-1]])
        side, other = (np.concatenate([frame[:1]] * 3 + [frame] + [frame[-1:]] * 3) for frame in (side, other))
    else:
        path = np.concatenate([path[:1], path, path[-1:]])
        radii = np.concatenate([[0.0], radii, [0.0]])
        side, other = (np.concatenate([frame[:1], frame, frame[-1:]]) for frame in (side, other))
    angle = np.arange(segments) * (2 * np.pi / segments)
    sin, cos = np.sin(angle), np.cos(angle)
    reach = (np.abs(sin) ** squareness + np.abs(cos) ** squareness) ** (-1 / squareness)
    offset = (aspect * (sin * reach)[None, :, None] * side[:, None] + (cos * reach)[None, :, None] * other[:, None]) * radii[:, None, None]
    return _grid_part(path[:, None] + offset, True, (paint,), _lengths(path), None)


@functools.lru_cache(maxsize=16)
def _cube_grid(rings: int, inner: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Topology of a box whose edges have ``rings`` rows of rounding: vertex grid coordinates, faces, and side of each face."""
    count = 2 * rings + 1 + inner
    ticks = np.arange(count + 1)
    first, second = (grid.reshape(-1) for grid in np.meshgrid(ticks, ticks, indexing="ij"))
    a = (ticks[:-1, None] * (count + 1) + ticks[None, :-1]).reshape(-1)
    quad = np.stack([a, a + count + 1, a + count + 2, a + 1], -1)
    points: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    sides: list[np.ndarray] = []
    for axis in range(3):
        for end in (0, count):
            point = np.zeros((len(first), 3), np.int64)
            point[:, axis], point[:, (axis + 1) % 3], point[:, (axis + 2) % 3] = end, first, second
            loop = quad if end else quad[:, ::-1]
            base = len(points) * len(first)
            faces.append(np.concatenate([loop[:, [0, 1, 2]], loop[:, [0, 2, 3]]]) + base)
            sides.append(np.full(2 * len(quad), 2 * axis + (end > 0)))
            points.append(point)
    grid = np.concatenate(points)
    key = (grid[:, 0] * (count + 1) + grid[:, 1]) * (count + 1) + grid[:, 2]
    _, keep, index = np.unique(key, return_index=True, return_inverse=True)
    return grid[keep], index.reshape(-1)[np.concatenate(faces)], np.concatenate(sides)


def box(size: Sequence[float] | np.ndarray, paints: Paint | Sequence[Paint], radius: float = 0.0, rings: int = 2, inner: int = 0) -> Part:
    """A box with rounded edges, centred at the origin.

    Args:
        size: (3,) full widths along x, y, z.
        paints: one picture for every side, or six for -x, +x, -y, +y, -z, +z.
        radius: rounding of the edges; 0 is sharp.
        rings: rows of faces in the rounding.
        inner: extra rows in the flat part, so that the box can be bent.
    """
    half = np.asarray(size, float) / 2
    radius = float(min(radius, half.min() * 0.999))
    rings = rings if radius > 0 else 0
    grid, faces, side = _cube_grid(rings, inner)
    flat = np.linspace(-1, 1, inner + 2)
    lean = np.concatenate([np.arange(rings) / max(rings, 1) - 1, np.zeros(inner + 2), np.arange(1, rings + 1) / max(rings, 1)])
    place = np.concatenate([-np.ones(rings), flat, np.ones(rings)])
    direction = np.tan(lean * np.pi / 4)[grid]
    norm = np.linalg.norm(direction, axis=1, keepdims=True)
    vertices = place[grid] * (half - radius) + radius * direction / np.maximum(norm, 1e-9)
    if radius == 0:
        vertices = flat[grid] * half
    pictures = (paints,) if isinstance(paints, np.ndarray) else tuple(paints)
    material = side if len(pictures) == 6 else np.zeros(len(faces), np.int64)
    return Part(vertices, faces, box_uv(vertices, faces, side, half), material, pictures).outward()


def box_uv(vertices: np.ndarray, faces: np.ndarray, side: np.ndarray, half: np.ndarray) -> np.ndarray:
    """(F, 3, 2) coordinates of a projection along the axis of each face's side, upright and unmirrored seen from outside."""
    span = np.clip(vertices / np.maximum(2 * half, 1e-9) + 0.5, 0, 1)[faces]
    x, y, z = span[..., 0], span[..., 1], span[..., 2]
    choice = side[:, None]
    u = np.select([choice == 0, choice == 1, choice == 2, choice == 3, choice == 4, choice == 5], [z, 1 - z, x, x, 1 - x, x])
    v = np.select([choice == 2, choice == 3], [1 - z, z], 1 - y)
    return np.stack([u, v], -1)


def project_box(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3, 2) box projection of any surface, each face along the main axis of its normal."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    axis = np.abs(normal).argmax(1)
    side = 2 * axis + (normal[np.arange(len(faces)), axis] > 0)
    low, high = vertices.min(0), vertices.max(0)
    half = np.full(3, max(float((high - low).max()), 1e-9) / 2)
    return box_uv(vertices - (low + high) / 2, faces, side, half)


def ellipsoid(radii: Sequence[float] | np.ndarray, paint: Paint, squareness: float = 2.0, segments: int = 24) -> Part:
    """A superellipsoid centred at the origin with semi-axes ``radii``; exponent 2 is an ellipsoid, more is boxier."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, max(segments // 2, 4) + 1)
    cos, sin = np.cos(angle), np.sin(angle)
    reach = (np.abs(cos) ** squareness + np.abs(sin) ** squareness) ** (-1 / squareness)
    profile = np.stack([np.abs(cos) * reach, sin * reach], -1)
    profile[[0, -1], 0] = 0
    return lathe(profile, paint, segments=segments, squareness=squareness).scaled(*(float(r) for r in radii))


def cylinder(
    radius: float, height: float, paints: Paint | Sequence[Paint], bevel: float = 0.0, segments: int = 28, taper: float = 1.0
) -> Part:
    """An upright cylinder or cone centred at the origin; three paints are bottom, side and top, ``taper`` is top over bottom radius."""
    bevel = min(bevel, 0.45 * height, 0.9 * radius * min(taper, 1.0))
    top, half = radius * taper, height / 2
    if bevel > 0:
        profile = [
            [0, -half],
            [radius - bevel, -half],
            [radius, bevel - half],
            [top, half - bevel],
            [max(top - bevel, 1e-6), half],
            [0, half],
        ]
        rows = [0, 0, 1, 2, 2]
    else:
        profile, rows = [[0, -half], [radius, -half], [top, half], [0, half]], [0, 1, 2]
    if isinstance(paints, np.ndarray):
        return lathe(profile, paints, segments=segments)
    return lathe(profile, paints, rows, segments)
