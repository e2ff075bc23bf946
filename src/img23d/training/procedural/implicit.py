"""Bodies melted together from round cones: a smooth union of distance functions, meshed by surface nets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from img23d.training.procedural.parts import Part
from img23d.training.procedural.surfaces import project_box
from img23d.training.textures import Paint

Triple = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Limb:
    """A round cone: a sphere that changes radius on its way from one point to another.

    Args:
        start: (3,) first centre.
        end: (3,) last centre; the same as ``start`` for a ball.
        start_radius: radius at the start.
        end_radius: radius at the end.
        paint: index of its paint.
        flatten: (3,) factors that stretch the cone about its middle; (1, 1, 1) leaves it round.
    """

    start: Triple
    end: Triple
    start_radius: float
    end_radius: float
    paint: int = 0
    flatten: Triple = (1.0, 1.0, 1.0)

    def mirrored(self) -> Limb:
        """The limb on the other side of x = 0."""
        return Limb(
            (-self.start[0], *self.start[1:]), (-self.end[0], *self.end[1:]), self.start_radius, self.end_radius, self.paint, self.flatten
        )


def limb_distance(points: np.ndarray, limbs: Sequence[Limb]) -> np.ndarray:
    """(L, P) signed distance, approximate for uneven cones, from each limb to points (P, 3)."""
    x, y, z = np.ascontiguousarray(points.T, np.float32)
    out = np.empty((len(limbs), len(points)), np.float32)
    for row, limb in zip(out, limbs):  # one limb at a time stays in the cache: 4x faster than all at once
        stretch = np.asarray(limb.flatten, np.float32)
        start, end = np.asarray(limb.start, np.float32), np.asarray(limb.end, np.float32)
        middle = (start + end) / 2
        axis = (end - start) / stretch
        origin = middle - axis / 2
        px, py, pz = ((value - middle[i]) / stretch[i] + (middle[i] - origin[i]) for i, value in enumerate((x, y, z)))
        length = float(axis @ axis)
        if length < 1e-12:
            np.sqrt(px * px + py * py + pz * pz, out=row)
            row -= limb.start_radius
        else:
            t = np.clip((px * axis[0] + py * axis[1] + pz * axis[2]) / length, 0, 1)
            px -= t * axis[0]
            py -= t * axis[1]
            pz -= t * axis[2]
            np.sqrt(px * px + py * py + pz * pz, out=row)
            row -= limb.start_radius + (limb.end_radius - limb.start_radius) * t
        row *= float(stretch.min())
    return out


def blend(limbs: Sequence[Limb], paints: Sequence[Paint], smoothness: float = 0.04, cells: int = 34) -> Part:
    """One smooth closed body out of limbs.

    Args:
        limbs: the round cones.
        paints: pictures, box-projected; each face takes that of the nearest limb.
        smoothness: width of the fillets, in the limbs' unit.
        cells: grid cells along the longest side.
    """
    reach = np.array([max(limb.start_radius, limb.end_radius) * max(limb.flatten) for limb in limbs])[:, None]
    ends = [np.array([getattr(limb, name) for limb in limbs], float) for name in ("start", "end")]
    low = np.min([(end - reach).min(0) for end in ends], 0) - smoothness * 2
    high = np.max([(end + reach).max(0) for end in ends], 0) + smoothness * 2
    step = float((high - low).max()) / cells
    shape = np.ceil((high - low) / step).astype(int) + 3
    axes = [low[axis] - step + step * np.arange(shape[axis]) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    each = limb_distance(points, limbs)
    soft = each.min(0)
    close = np.abs(soft) < 3 * smoothness + 2 * step  # elsewhere the sign is all that matters
    near = each[:, close]
    soft[close] -= smoothness * np.log(np.exp((soft[close] - near) / smoothness).sum(0))
    vertices, faces = surface_nets(soft.reshape(shape))
    vertices = vertices * step + (low - step)
    centres = vertices[faces].mean(1)
    material = np.array([limb.paint for limb in limbs])[limb_distance(centres, limbs).argmin(0)]
    return Part(vertices, faces, project_box(vertices, faces), material, tuple(paints)).outward()


def surface_nets(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The zero surface of a sampled field, negative inside: one vertex per cell that it crosses, one quad per crossed edge.

    Args:
        field: (X, Y, Z) samples; positive on the border.

    Returns:
        vertices (N, 3) in samples and faces (F, 3), counter-clockwise from outside.

    Reference: Gibson, "Constrained elastic surface nets", 1998 (without the relaxation).
    """
    inside = field < 0
    count = np.zeros(np.array(field.shape) - 1, np.float32)
    total, weight = np.zeros((count.size, 3), np.float32), count.reshape(-1)
    crossings = []
    for axis in range(3):
        first = np.moveaxis(field, axis, 0)
        cross = np.argwhere(np.moveaxis(inside, axis, 0)[:-1] != np.moveaxis(inside, axis, 0)[1:])
        low, high = first[cross[:, 0], cross[:, 1], cross[:, 2]], first[cross[:, 0] + 1, cross[:, 1], cross[:, 2]]
        at = np.insert(cross[:, 1:], axis, cross[:, 0], axis=1)
        place = at.astype(np.float32)
        place[:, axis] += low / (low - high)
        others = [other for other in range(3) if other != axis]
        for shift_first in (0, 1):
            for shift_second in (0, 1):
                cell = at.copy()
                cell[:, others[0]] -= shift_first
                cell[:, others[1]] -= shift_second
                flat = np.ravel_multi_index(tuple(cell.T), count.shape)
                np.add.at(total, flat, place)
                np.add.at(weight, flat, 1)
        crossings.append((axis, others, at, low < 0))
    used = weight > 0
    index = np.full(weight.size, -1, np.int64)
    index[used] = np.arange(int(used.sum()))
    vertices = total[used] / weight[used][:, None]
    faces = []
    for axis, others, at, outward in crossings:
        corners = []
        for shift in ((0, 0), (1, 0), (1, 1), (0, 1)):
            cell = at.copy()
            cell[:, others[0]] -= shift[0]
            cell[:, others[1]] -= shift[1]
            corners.append(index[np.ravel_multi_index(tuple(cell.T), count.shape)])
        quad = np.stack(corners, -1)
        turn = outward if axis != 1 else ~outward
        quad = np.where(turn[:, None], quad, quad[:, ::-1])
        faces += [quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]
    return vertices.astype(np.float64), np.concatenate(faces)
