"""How good a result is: distances between surfaces, overlap of solids, likeness of pictures and normals. numpy and scipy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

Array = NDArray[np.floating]


def nearest_distances(pred: Array, truth: Array) -> tuple[Array, Array]:
    """Distances from each point of a cloud to the nearest of the other.

    Args:
        pred: (N, 3).
        truth: (M, 3).

    Returns:
        (N,) from ``pred`` to ``truth`` and (M,) back.

    Raises:
        ValueError: a cloud is empty.
    """
    if not len(pred) or not len(truth):
        raise ValueError("both clouds need points")
    return cKDTree(truth).query(pred)[0], cKDTree(pred).query(truth)[0]


def chamfer(pred: Array, truth: Array) -> float:
    """Mean of the mean nearest distances of both directions, not squared, in the clouds' unit."""
    there, back = nearest_distances(pred, truth)
    return float((there.mean() + back.mean()) / 2)


def f_score(pred: Array, truth: Array, threshold: float) -> float:
    """Harmonic mean of precision and recall at a distance.

    Reference: Knapitsch et al., Tanks and Temples (2017).
    """
    there, back = nearest_distances(pred, truth)
    return f_score_of(there, back, threshold)


def f_score_of(there: Array, back: Array, threshold: float) -> float:
    """`f_score` from the distances of `nearest_distances`."""
    precision, recall = float((there < threshold).mean()), float((back < threshold).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def volume_iou(pred: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of two solids on the same voxels; 1 for two empty ones."""
    union = int((pred | truth).sum())
    return int((pred & truth).sum()) / union if union else 1.0


def psnr(pred: Array, truth: Array, mask: Array | None = None) -> float:
    """Peak signal to noise ratio in dB.

    Args:
        pred: (H, W, C), 0..1.
        truth: (H, W, C), 0..1.
        mask: (H, W) weight of the pixels, or None for all.

    Returns:
        Infinity for equal pictures.
    """
    squares = ((np.asarray(pred, np.float64) - truth) ** 2).mean(-1)
    error = float(squares.mean() if mask is None else np.average(squares, weights=mask))
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(pred: Array, truth: Array) -> float:
    """Structural similarity of two pictures, mean over pixels and channels.

    An 11 px Gaussian window of standard deviation 1.5, K1 0.01, K2 0.03, as published; pictures reach on mirrored at their border.

    Args:
        pred: (H, W, C), 0..1.
        truth: (H, W, C), 0..1.

    Reference: Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity (2004), equation 13.
    """
    first, second = np.asarray(pred, np.float64), np.asarray(truth, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"pictures of different shapes: {first.shape}, {second.shape}")

    def blur(image: Array) -> Array:
        return gaussian_filter(image, (1.5, 1.5, 0), truncate=5 / 1.5)

    mean_a, mean_b = blur(first), blur(second)
    variance_a, variance_b = blur(first * first) - mean_a**2, blur(second * second) - mean_b**2
    covariance = blur(first * second) - mean_a * mean_b
    one, two = 0.01**2, 0.03**2
    likeness = (2 * mean_a * mean_b + one) * (2 * covariance + two) / ((mean_a**2 + mean_b**2 + one) * (variance_a + variance_b + two))
    return float(likeness.mean())


def normal_error_deg(pred: Array, truth: Array, mask: NDArray[np.bool_] | None = None) -> float:
    """Mean angle between normals in degrees.

    Args:
        pred: (..., 3), any length but 0.
        truth: (..., 3).
        mask: (...) where they count, or None for everywhere.
    """
    first = pred / np.linalg.norm(pred, axis=-1, keepdims=True).clip(1e-12)
    second = truth / np.linalg.norm(truth, axis=-1, keepdims=True).clip(1e-12)
    # The arctangent of both parts stays exact for small angles, where the arccosine loses half the digits.
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(first, second), axis=-1), (first * second).sum(-1)))
    return float(angle.mean() if mask is None else angle[mask].mean())


def similarity_transform(source: Array, target: Array) -> tuple[float, Array, Array]:
    """Scale, rotation and translation that bring matched points onto each other best.

    Args:
        source: (N, 3).
        target: (N, 3).

    Returns:
        scale s, rotation R (3, 3) and translation t (3,): target ~ s source R^T + t.

    Reference: Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns (1991), equations 40-42.
    """
    from_mean, to_mean = source.mean(0), target.mean(0)
    centred, wanted = source - from_mean, target - to_mean
    left, singular, right = np.linalg.svd(wanted.T @ centred / len(source))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(signs) @ right
    scale = float((singular * signs).sum() / max((centred**2).sum() / len(source), 1e-30))
    return scale, rotation, to_mean - scale * rotation @ from_mean


def surface_points(vertices: Array, faces: NDArray[np.int64], count: int, generator: np.random.Generator) -> Array:
    """(count, 3) points spread evenly over all of a mesh's area, seen or not."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
    if not area.sum() > 0:
        raise ValueError("the mesh has no area")
    face = generator.choice(len(faces), count, p=area / area.sum())
    root, along = np.sqrt(generator.random(count))[:, None], generator.random(count)[:, None]
    a, b, c = corners[face, 0], corners[face, 1], corners[face, 2]
    return (1 - root) * a + root * (1 - along) * b + root * along * c
