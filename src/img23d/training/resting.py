"""Objects as they come to lie when they are dropped: what is photographed on a table does not always stand the way it was modelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from img23d.training.carve import view_directions
from img23d.training.objects import TrainingObject

DIRECTIONS = 300  # of more vertices than these, those count that reach farthest in one of as many directions: 10,000 would take 2 s
LIKELY = 0.02  # poses in which fewer of a hundred drops end are left out
FLAT = 1e-5  # of its size: how far the centre must lie within the hull; trimesh looks for ever for one within a flat hull
Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # of trimesh's frame, where z is up


def at_rest(item: TrainingObject, random: np.random.Generator) -> TrainingObject:
    """The object in one of the poses in which it rests on a table, each as likely as it is to end there when dropped.

    Args:
        item: any object; its mass is taken to fill its convex hull.
        random: the choice.

    Returns:
        the object turned, +Y up; as it was where no pose is found, as with flat sheets.

    Reference:
        Goldberg et al., Part pose statistics: estimators and experiments (1999), by trimesh.
    """
    import trimesh
    from scipy.spatial import QhullError

    try:
        hull = trimesh.convex.convex_hull(farthest(item.vertices))
        centre = hull.center_mass
        if not (((hull.triangles_center - centre) * hull.face_normals).sum(1) > FLAT * hull.scale).all():
            return item
        with np.errstate(divide="ignore", invalid="ignore"):  # of slivers among the hull's faces, on which nothing rests
            poses, chances = trimesh.poses.compute_stable_poses(hull, center_mass=centre, threshold=LIKELY)
    except (QhullError, ValueError, ZeroDivisionError, IndexError):
        return item
    chances = np.nan_to_num(np.asarray(chances))
    if not chances.sum() > 0:
        return item
    turn = Y_UP @ poses[int(random.choice(len(poses), p=chances / chances.sum()))][:3, :3]
    return replace(item, vertices=np.ascontiguousarray(item.vertices @ turn.T, np.float32))


def farthest(vertices: np.ndarray) -> np.ndarray:
    """(M, 3) those of many vertices (N, 3) that reach farthest in any of `DIRECTIONS` directions, spread evenly over the sphere."""
    if len(vertices) <= DIRECTIONS:
        return vertices
    directions = view_directions(DIRECTIONS, torch.device("cpu"))[:, 2].numpy()
    return vertices[np.unique((vertices @ directions.T).argmax(0))]
