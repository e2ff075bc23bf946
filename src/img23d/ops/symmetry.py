"""Which mirror images and turns an object is its own image under, judged by its shape."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.normals import vertex_normals
from img23d.scene import Mesh

SAMPLES, PLANES = 3000, 6
STEP_DEG = 5.0
# Mean distance between the surface and its mirror image, share of the object's radius: good below, hopeless above. Animals turn
# their heads and set their legs, and yet one side tells what the other looks like.
GOOD, HOPELESS = 0.05, 0.09
# A further plane must be about as good as the first, and good for a rigid object: a head's front is no mirror image of its back.
SECOND = 0.03
# The same for half a turn: of the whole surface, and of the share that fits best of a round one, as a pitcher has a handle. Only boxes,
# vessels and the like turn into themselves so closely; a head's front is not the image of its back, however round it is.
TURN_GOOD, TURN_HOPELESS = 0.015, 0.02
ROUND_GOOD, ROUND_HOPELESS, ROUND_SHARE = 0.008, 0.013, 0.75
# Rounds of the search for the axis by normals, and the distance below which all lines count alike, object units.
ROUNDS, NEAREST = 12, 0.002
SETTLED = 5e-4  # shift of the axis, share of the object's longest side, at which its search ends


class Symmetry(ABC):
    """A mirror image or a turn that carries an object's shape nearly onto itself; ``score`` 0..1 says how nearly."""

    score: float

    @abstractmethod
    def apply(self, points: Tensor) -> Tensor:
        """(P, 3) where it puts points."""

    @abstractmethod
    def apply_direction(self, directions: Tensor) -> Tensor:
        """(P, 3) directions after it."""

    def apply_onto(self, mesh: Mesh, points: Tensor, normals: Tensor) -> Tensor:
        """The points of the mesh's vertices nearest to where it puts points.

        Args:
            mesh: N vertices.
            points: (P, 3) on the mesh.
            normals: (P, 3) unit; of several near vertices the one whose own surface faces the normal's image is taken.

        Returns:
            (P, 3).
        """
        from scipy.spatial import cKDTree

        vertices, facing = mesh.vertices.detach().cpu().numpy(), vertex_normals(mesh).detach().cpu().numpy()
        place, wanted = self.apply(points).cpu().numpy(), self.apply_direction(normals).cpu().numpy()
        distance, index = cKDTree(vertices).query(place, k=min(8, len(vertices)))
        distance, index = distance.reshape(len(place), -1), index.reshape(len(place), -1)
        agree = (facing[index] * wanted[:, None]).sum(-1)
        best = np.argmin(distance + 0.1 * (1 - agree), axis=1)
        return mesh.vertices[torch.from_numpy(index[np.arange(len(place)), best]).to(mesh.vertices.device)]


@dataclass(frozen=True)
class MirrorPlane(Symmetry):
    """The mirror image in an upright plane.

    Args:
        normal: (3,) unit, horizontal.
        offset: normal . x of the points x on the plane, object units.
        score: 0..1, how well the shape agrees with its mirror image.
        doubted: whether another plane fits so much better that this one counts only where the photo confirms it.
    """

    normal: Tensor
    offset: float
    score: float
    doubted: bool = False

    def apply(self, points: Tensor) -> Tensor:
        return points - 2 * ((points @ self.normal) - self.offset)[:, None] * self.normal

    def apply_direction(self, directions: Tensor) -> Tensor:
        return directions - 2 * (directions @ self.normal)[:, None] * self.normal


@dataclass(frozen=True)
class HalfTurn(Symmetry):
    """Half a turn about an upright axis: what is printed stays legible, which no mirror image does.

    Args:
        center: (3,) a point of the axis.
        score: 0..1, how well the shape agrees with itself turned.
    """

    center: Tensor
    score: float

    def apply(self, points: Tensor) -> Tensor:
        return self.center + self.apply_direction(points - self.center)

    def apply_direction(self, directions: Tensor) -> Tensor:
        return directions * directions.new_tensor([-1.0, 1.0, -1.0])


def find_symmetries(mesh: Mesh, seed: int = 0) -> list[Symmetry]:
    """The best mirror planes of a closed surface, +Y up, and half a turn if it has that."""
    turn = find_half_turn(mesh, seed)
    return [*find_mirror_planes(mesh, seed)[:PLANES], *([turn] if turn else [])]


def find_half_turn(mesh: Mesh, seed: int = 0) -> HalfTurn | None:
    """Half a turn about an upright axis that carries the shape onto itself, if one does.

    Args:
        mesh: a closed surface, +Y up.
        seed: of the sampled points.
    """
    tree, probes, middle, radius, noise = _cloud(mesh, seed)
    # A handle draws the middle of the box to its side; two walls, near each other, hold the search where one lies on the other.
    starts = (middle, tree.data.mean(0), np.median(tree.data, axis=0), round_center(mesh, middle))
    center = min((_turn_center(tree, probes, start) for start in starts), key=lambda place: _turn_misfit(tree, probes, place, 2)[1])

    def score(miss: float, good: float, hopeless: float) -> float:
        return float(np.clip((hopeless - max(0.0, miss - 0.7 * noise) / radius) / (hopeless - good), 0, 1))

    whole, body = _turn_misfit(tree, probes, center, 2)
    quarter = _turn_misfit(tree, probes, center, 4)[1]
    best = max(score(whole, TURN_GOOD, TURN_HOPELESS), score(max(body, quarter), ROUND_GOOD, ROUND_HOPELESS))
    return HalfTurn(torch.from_numpy(center).to(mesh.vertices), best) if best > 0 else None


def round_center(mesh: Mesh, start: np.ndarray) -> np.ndarray:
    """(3,) where the axis of a solid of revolution meets the height of ``start``: all its normals point to it or away from it.

    The place with the least mean distance from the level normals' lines, by reweighted least squares; handles are a lesser part of it.
    """
    normal = vertex_normals(mesh).detach().cpu().double().numpy()[:, [0, 2]]
    place = mesh.vertices.detach().cpu().double().numpy()[:, [0, 2]]
    across = normal[:, ::-1] * [1.0, -1.0]  # of unit length where the normal is level, else counted less
    offset = (across * place).sum(1)
    center = start[[0, 2]].astype(float)
    for _ in range(ROUNDS):
        weight = 1 / np.maximum(np.abs(across @ center - offset), NEAREST)
        # a prism's normals leave its axis undetermined: then it stays where it is
        matrix = (across * weight[:, None]).T @ across + 1e-6 * weight.sum() * np.eye(2)
        center = center + np.linalg.solve(matrix, (across * weight[:, None]).T @ (offset - across @ center))
    return np.array([center[0], start[1], center[1]])


def _turn_center(tree, probes: np.ndarray, center: np.ndarray) -> np.ndarray:
    """The axis of half a turn, fitted to most of the probes."""
    flip = np.array([-1.0, 1.0, -1.0])
    for _ in range(20):
        turned = center + (probes - center) * flip
        distance, index = tree.query(turned)
        close = distance <= np.quantile(distance, ROUND_SHARE)
        # A shift s of the axis moves every turned point by 2 s.
        shift = 0.5 * (tree.data[index] - turned)[close].mean(0) * [1.0, 0.0, 1.0]
        center = center + shift
        if np.abs(shift).max() < SETTLED * np.ptp(probes, axis=0).max():
            break
    return center


def _turn_misfit(tree, probes: np.ndarray, center: np.ndarray, parts: int) -> tuple[float, float]:
    """Mean distance to the surface of the probes turned by a half (2) or a quarter (4): of all, and of those that fit best."""
    x, y, z = (probes - center).T
    distance = tree.query(center + (np.stack([-x, y, -z], 1) if parts == 2 else np.stack([z, y, -x], 1)))[0]
    return float(distance.mean()), float(distance[distance <= np.quantile(distance, ROUND_SHARE)].mean())


def find_mirror_planes(mesh: Mesh, seed: int = 0) -> list[MirrorPlane]:
    """Upright planes of mirror symmetry, best first, no two closer than 30 degrees.

    Args:
        mesh: a closed surface, +Y up.
        seed: of the sampled points.

    Returns:
        Planes with a score above 0; an object of revolution has many, a lopsided one none.
    """
    tree, probes, center, radius, noise = _cloud(mesh, seed)
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
        doubted = bool(planes) and miss > min(SECOND, 1.2 * least + 0.008)
        score = float(np.clip((HOPELESS - miss) / (HOPELESS - GOOD), 0, 1))
        near = any(abs(float(plane.normal.cpu().float() @ _normal(best[2]))) > math.cos(math.radians(30)) for plane in planes)
        if score > 0 and not near:
            least = miss if not planes else least
            planes.append(MirrorPlane(_normal(best[2]).to(mesh.vertices), best[1], score, doubted))
    return sorted(planes, key=lambda plane: -plane.score)


def _cloud(mesh: Mesh, seed: int) -> tuple[Any, np.ndarray, np.ndarray, float, float]:
    """A tree of points of the surface, some of them as probes, the middle and the radius of all, and how far apart neighbours lie."""
    from scipy.spatial import cKDTree

    points = sample_surface(mesh, SAMPLES, seed)
    tree = cKDTree(points)
    middle = 0.5 * (points.min(0) + points.max(0))
    radius = float(np.linalg.norm(points - middle, axis=1).max())
    noise = float(np.median(tree.query(points, k=2)[0][:, 1]))
    return tree, points[:: max(1, SAMPLES // 800)], middle, radius, noise


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
