"""Two ways of scoring a mesh against the truth: registered first, as TripoSR and SF3D do, and as it stands, as SyncDreamer does.

Published tables use other lists of objects, so figures compare only with figures from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from img23d.errors import InputError
from img23d.evals.metrics import f_score_of, nearest_distances, similarity_transform, volume_iou
from img23d.ops.depth import depth_to_points
from img23d.ops.interpolate import fragments
from img23d.ops.raster import Rasterizer
from img23d.ops.solidify import around
from img23d.ops.volume import volume_points
from img23d.scene import Cameras, Mesh
from img23d.scene.cameras import orbit_degrees

Array = NDArray[np.float64]
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
POINTS = 10_000
VOXELS = 64
SOLID_VIEWS, SOLID_SIZE = 48, 192
MARGIN = 1.1  # solids are compared on a cube a little larger than the truth
SEARCH_POINTS = 800
ICP_POINTS = 4000
ICP_ROUNDS = 40
STEP_DEG = 15
PITCH_DEG = 45
SYNC_FOV_DEG = 2 * math.degrees(math.atan(128 / 280))  # 256 px and a focal length of 280 px


@dataclass(frozen=True)
class Scores:
    """What a protocol measured.

    Args:
        chamfer: mean of both unsquared mean distances; registered: longest side of the truth = 2; syncdreamer: = 1.
        f_score: by threshold in the same unit.
        iou: of the solids.
        protocol: registered or syncdreamer.
    """

    chamfer: float
    iou: float
    protocol: str
    f_score: dict[float, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, float | str]:
        """Flat, for JSON."""
        scores = {f"f{threshold:g}": value for threshold, value in self.f_score.items()}
        return {"protocol": self.protocol, "chamfer": self.chamfer, "iou": self.iou, **scores}


def registered(pred: Mesh, truth: Mesh, rasterizer: Rasterizer, seed: int = 0) -> Scores:
    """Score after the best similarity transform.

    Both are centred and scaled so that the longest side of the bounding box is 2; every yaw and every pitch up to 45 degrees is tried
    in steps of 15; then scale, rotation and translation are found by iterated closest points. Only surface that can be seen from
    outside counts, and solids are what their visible surface encloses.

    Args:
        pred: the mesh to score, in any place, size and turn about the up axis.
        truth: what it should be.

    Reference: the protocol that TripoSR (2024), section 4, describes; their code and list of objects are unpublished. Differences to
    what SF3D (2024) and its relatives say of theirs: size is fitted with the turn, and only points that are visible from outside count.
    """
    generator = np.random.default_rng(seed)
    pred, truth = box_normalized(pred), box_normalized(truth)
    wanted = visible_points(truth, rasterizer, ICP_POINTS, generator)
    moved = register(pred, visible_points(pred, rasterizer, ICP_POINTS, generator), wanted)
    first, second = (visible_points(mesh, rasterizer, POINTS, generator) for mesh in (moved, truth))
    there, back = nearest_distances(first, second)
    scores = {threshold: f_score_of(there, back, threshold) for threshold in THRESHOLDS}
    overlap = volume_iou(solid(moved, rasterizer, MARGIN), solid(truth, rasterizer, MARGIN))
    return Scores(float((there.mean() + back.mean()) / 2), overlap, "registered", scores)


def syncdreamer(pred: Mesh, truth: Mesh, rasterizer: Rasterizer, truth_yaw_deg: float = 0.0) -> Scores:
    """Score as it stands: no registration of the prediction.

    The truth is scaled so that its longest side is 1, centred, and turned about the up axis by an angle set by hand. Points are what
    16 cameras at elevation 30 degrees and distance 1.5 see at 256 px, thinned to one in each cell of 0.01, so undersides do not count.
    Overlap is measured on 64^3 voxels over [-1, 1]^3.

    Reference: Liu et al., SyncDreamer (2024), its published evaluation script. Differences: solids are what the visible surface
    encloses instead of mesh2sdf's, up is +Y, and ``truth_yaw_deg`` is minus the angle that the script lists for an object.
    """
    truth = turned(scaled_by(box_normalized(truth), 0.5), math.radians(truth_yaw_deg))
    cameras = orbit_degrees([22.5 * step for step in range(16)], 30.0, 1.5, SYNC_FOV_DEG)
    first, second = (thinned(seen_points(mesh, cameras, 256, rasterizer), 0.01) for mesh in (pred, truth))
    there, back = nearest_distances(first, second)
    scores = {threshold: f_score_of(there, back, threshold) for threshold in THRESHOLDS}
    overlap = volume_iou(solid(pred, rasterizer), solid(truth, rasterizer))
    return Scores(float((there.mean() + back.mean()) / 2), overlap, "syncdreamer", scores)


def box_normalized(mesh: Mesh) -> Mesh:
    """Centred, and the longest side of the bounding box 2."""
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    side = float((high - low).max())
    if not side > 0:
        raise InputError("the mesh has no extent", "check that its vertices differ")
    return replace(mesh, vertices=((mesh.vertices - (low + high) / 2) * (2 / side)).float())


def scaled_by(mesh: Mesh, factor: float) -> Mesh:
    """The mesh scaled about the origin."""
    return replace(mesh, vertices=mesh.vertices * factor)


def turned(mesh: Mesh, yaw: float, pitch: float = 0.0) -> Mesh:
    """Turned about x by ``pitch``, then about the up axis by ``yaw``; radians."""
    turn = torch.from_numpy(rotation(yaw, pitch)).to(mesh.vertices)
    return replace(mesh, vertices=mesh.vertices @ turn.T)


def rotation(yaw: float, pitch: float) -> Array:
    """(3, 3) about x by ``pitch``, then about y by ``yaw``; radians."""
    c, s, p, q = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, p, -q], [0, q, p]])


def nearest_depth(mesh: Mesh, camera: Cameras, size: int, rasterizer: Rasterizer) -> Tensor:
    """(size, size) z-depth of the nearest surface for one camera, infinite where there is none."""
    points = camera.project(mesh.vertices)
    seen = fragments(rasterizer.face_ids(points, mesh.faces, size, size), points, mesh.faces)
    image = torch.full((size * size,), torch.inf, dtype=points.dtype, device=points.device)
    return image.index_copy(0, seen.pixel, seen.depth).reshape(size, size)


def seen_points(mesh: Mesh, cameras: Cameras, size: int, rasterizer: Rasterizer) -> Array:
    """(P, 3) surface points at the pixel centres of all cameras.

    Raises:
        InputError: none of them sees anything.
    """
    clouds = []
    for index in range(len(cameras)):
        camera = cameras[[index]].to(mesh.vertices.device)
        depth = nearest_depth(mesh, camera, size, rasterizer)
        clouds.append(depth_to_points(depth[None], camera)[0][depth.isfinite()])
    points = torch.cat(clouds).double().cpu().numpy()
    if not len(points):
        raise InputError("no camera sees the mesh", "it must lie around the origin; the registered protocol takes any place")
    return points


def thinned(points: Array, cell: float) -> Array:
    """One point, the mean, in each occupied cell."""
    place = np.floor(points / cell).astype(np.int64)
    place -= place.min(0)
    width = place.max(0) + 1
    # One number for each cell: rows are sorted many times slower.
    _, inverse = np.unique((place[:, 0] * width[1] + place[:, 1]) * width[2] + place[:, 2], return_inverse=True)
    count = np.bincount(inverse.reshape(-1))
    return np.stack([np.bincount(inverse.reshape(-1), weights=points[:, axis]) / count for axis in range(3)], -1)


def visible_points(
    mesh: Mesh, rasterizer: Rasterizer, count: int, generator: np.random.Generator, views: int = 60, size: int = 160
) -> Array:
    """(count, 3) points of the surface that is visible from outside, spread evenly; walls inside do not count."""
    reach = float(mesh.vertices.norm(dim=-1).max())
    points = seen_points(scaled_by(mesh, 1 / reach), around(views), size, rasterizer) * reach
    points = thinned(points, reach / 150)
    return points[generator.choice(len(points), count, replace=len(points) < count)]


def register(mesh: Mesh, cloud: Array, wanted: Array) -> Mesh:
    """The mesh moved by the similarity transform that brings its cloud onto another.

    Args:
        mesh: what is moved.
        cloud: (N, 3) points on it.
        wanted: (M, 3) where they should lie.
    """
    tree = cKDTree(wanted)
    best, turn = math.inf, np.eye(3)
    for yaw in range(0, 360, STEP_DEG):
        for pitch in range(-PITCH_DEG, PITCH_DEG + 1, STEP_DEG):
            trial = rotation(math.radians(yaw), math.radians(pitch))
            placed = _boxed(cloud[:SEARCH_POINTS] @ trial.T)[0]
            error = float(tree.query(placed)[0].mean() + cKDTree(placed).query(wanted[:SEARCH_POINTS])[0].mean())
            if error < best:
                best, turn = error, trial
    cloud, centre, factor = _boxed(cloud @ turn.T)
    vertices = (mesh.vertices.double().cpu().numpy() @ turn.T - centre) * factor
    for _ in range(ICP_ROUNDS):
        distance, near = tree.query(cloud)
        keep = distance < np.quantile(distance, 0.95)
        back = cKDTree(cloud).query(wanted)[1]
        scale, spin, shift = similarity_transform(np.concatenate([cloud[keep], cloud[back]]), np.concatenate([wanted[near[keep]], wanted]))
        scale = min(max(scale, 0.8), 1.25)
        cloud, vertices = scale * cloud @ spin.T + shift, scale * vertices @ spin.T + shift
    return replace(mesh, vertices=torch.from_numpy(vertices).to(mesh.vertices))


def _boxed(points: Array) -> tuple[Array, Array, float]:
    """Points centred and scaled to a longest side of 2; centre and factor."""
    low, high = points.min(0), points.max(0)
    factor = 2 / float((high - low).max())
    return (points - (low + high) / 2) * factor, (low + high) / 2, factor


def solid(mesh: Mesh, rasterizer: Rasterizer, half: float = 1.0) -> NDArray[np.bool_]:
    """(64, 64, 64) which samples of [-half, half]^3 no view from outside sees past.

    Reference: Kutulakos and Seitz, A Theory of Shape by Space Carving (2000), with depths in place of photo-consistency.
    """
    # Everything is looked at in the unit sphere, whatever reaches out of the samples' cube.
    shrink = 1 / max(half * math.sqrt(3), float(mesh.vertices.norm(dim=-1).max()))
    small = scaled_by(mesh, shrink)
    points = volume_points(VOXELS, small.vertices).reshape(-1, 3) * (half * shrink)
    inside = torch.ones(len(points), dtype=torch.bool, device=points.device)
    cameras = around(SOLID_VIEWS).to(points.device)
    for index in range(SOLID_VIEWS):
        camera = cameras[[index]]
        nearest = nearest_depth(small, camera, SOLID_SIZE, rasterizer)
        left = torch.nonzero(inside)[:, 0]
        x, y, depth = camera.project(points[left])[0].unbind(-1)
        column, row = ((fraction * SOLID_SIZE).long().clamp(0, SOLID_SIZE - 1) for fraction in (x, y))
        # A quarter of a voxel: what lies on the surface itself is inside.
        inside[left[depth < nearest[row, column] - 0.5 * half * shrink / VOXELS]] = False
    return inside.reshape(VOXELS, VOXELS, VOXELS).cpu().numpy()
