"""Which upright plane an object is its own mirror image in, judged by its shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.normals import vertex_normals
from img23d.scene import Mesh

SAMPLES = 3000
STEP_DEG = 5.0
# Mean distance between the surface and its mirror image, share of the object's radius: good below, hopeless above. Animals turn
# their heads and set their legs, and yet one side tells what the other looks like.
GOOD, HOPELESS = 0.05, 0.09
# A further plane must be about as good as the first, and good for a rigid object: a head's front is no mirror image of its back.
SECOND = 0.03


@dataclass(frozen=True)
class MirrorPlane:
    """An upright plane.

    Args:
        normal: (3,) unit, horizontal.
        offset: normal . x of the points x on the plane, object units.
        score: 0..1, how well the shape agrees with its mirror image.
    """

    normal: Tensor
    offset: float
    score: float

    def mirror(self, points: Tensor) -> Tensor:
        """(P, 3) points on the other side."""
        return points - 2 * ((points @ self.normal) - self.offset)[:, None] * self.normal

    def mirror_onto(self, mesh: Mesh, points: Tensor, normals: Tensor) -> Tensor:
        """The points of the mesh's vertices nearest to where the mirror puts points.

        Args:
            mesh: N vertices.
            points: (P, 3) on the mesh.
            normals: (P, 3) unit; of several near vertices the one whose own surface faces the mirrored normal is taken.

        Returns:
            (P, 3).
        """
        from scipy.spatial import cKDTree

        vertices, facing = mesh.vertices.detach().cpu().numpy(), vertex_normals(mesh).detach().cpu().numpy()
        place, wanted = self.mirror(points).cpu().numpy(), self.mirror_direction(normals).cpu().numpy()
        distance, index = cKDTree(vertices).query(place, k=min(8, len(vertices)))
        distance, index = distance.reshape(len(place), -1), index.reshape(len(place), -1)
        agree = (facing[index] * wanted[:, None]).sum(-1)
        best = np.argmin(distance + 0.1 * (1 - agree), axis=1)
        return mesh.vertices[torch.from_numpy(index[np.arange(len(place)), best]).to(mesh.vertices.device)]

    def mirror_direction(self, directions: Tensor) -> Tensor:
        """(P, 3) directions seen in the mirror."""
        return directions - 2 * (directions @ self.normal)[:, None] * self.normal


def find_mirror_planes(mesh: Mesh, seed: int = 0) -> list[MirrorPlane]:
    """Upright planes of mirror symmetry, best first, no two closer than 30 degrees.

    Args:
        mesh: a closed surface, +Y up.
        seed: of the sampled points.

    Returns:
        Planes with a score above 0; an object of revolution has many, a lopsided one none.
    """
    from scipy.spatial import cKDTree

    points = sample_surface(mesh, SAMPLES, seed)
    tree = cKDTree(points)
    center = 0.5 * (points.min(0) + points.max(0))
    radius = np.linalg.norm(points - center, axis=1).max()
    noise = float(np.median(tree.query(points, k=2)[0][:, 1]))
    probes = points[:: max(1, SAMPLES // 800)]
    angles = np.radians(np.arange(0.0, 180.0, STEP_DEG))
    error = np.array([_misfit(tree, probes, angle, center)[0] for angle in angles])
    planes: list[MirrorPlane] = []
    least = math.inf
    for index in np.argsort(error, kind="stable"):
        if error[index] > min(error[index - 1], error[(index + 1) % len(error)]):
            continue
        fine = [angles[index] + math.radians(turn) for turn in (-4, -3, -2, -1, 0, 1, 2, 3, 4)]
        best = min(((*_misfit(tree, probes, angle, center), angle) for angle in fine), key=lambda found: found[0])
        miss = max(0.0, best[0] - 0.7 * noise) / radius
        if planes and miss > min(SECOND, 1.2 * least + 0.008):
            continue
        score = float(np.clip((HOPELESS - miss) / (HOPELESS - GOOD), 0, 1))
        near = any(abs(float(plane.normal.cpu().float() @ _normal(best[2]))) > math.cos(math.radians(30)) for plane in planes)
        if score > 0 and not near:
            least = miss if not planes else least
            planes.append(MirrorPlane(_normal(best[2]).to(mesh.vertices), best[1], score))
    return sorted(planes, key=lambda plane: -plane.score)


def sample_surface(mesh: Mesh, count: int, seed: int) -> np.ndarray:
    """(count, 3) points spread evenly over a surface."""
    generator = np.random.default_rng(seed)
    corner = mesh.vertices.detach().cpu().double().numpy()[mesh.faces.cpu().numpy()]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    places = (np.arange(count) + generator.random(count)) / count
    face = np.searchsorted(np.cumsum(area) / area.sum(), places).clip(max=len(area) - 1)
    u, v = generator.random((2, count))
    turn = u + v > 1
    u, v = np.where(turn, 1 - u, u), np.where(turn, 1 - v, v)
    chosen = corner[face]
    return chosen[:, 0] + u[:, None] * (chosen[:, 1] - chosen[:, 0]) + v[:, None] * (chosen[:, 2] - chosen[:, 0])


def _normal(angle: float) -> Tensor:
    return F.normalize(torch.tensor([math.cos(angle), 0.0, math.sin(angle)]), dim=0)


def _misfit(tree, probes: np.ndarray, angle: float, center: np.ndarray) -> tuple[float, float]:
    """Mean distance of the mirrored probes to the surface, and the offset of the plane, which is fitted to them first."""
    normal = np.array([math.cos(angle), 0.0, math.sin(angle)])
    offset = float(center @ normal)
    for _ in range(2):
        mirrored = probes - 2 * ((probes @ normal) - offset)[:, None] * normal
        distance, index = tree.query(mirrored)
        close = distance <= np.quantile(distance, 0.8)
        # A shift s of the plane moves every mirrored point by 2 s along the normal.
        offset += 0.5 * float(np.mean((tree.data[index] - mirrored)[close] @ normal))
    mirrored = probes - 2 * ((probes @ normal) - offset)[:, None] * normal
    return float(np.mean(tree.query(mirrored)[0])), offset
