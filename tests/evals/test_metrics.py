"""Metrics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from img23d.evals import metrics


def sphere(count: int, radius: float = 1.0, centre: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Points spread evenly over a sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    height, angle = 1 - 2 * index / count, index * math.pi * (3 - math.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return radius * np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], -1) + centre


def test_chamfer_of_concentric_spheres_is_the_difference_of_radii() -> None:
    assert metrics.chamfer(sphere(20_000), sphere(20_000, 1.1)) == pytest.approx(0.1, abs=1e-3)


def test_chamfer_of_shifted_spheres() -> None:
    """The distance from a point of one unit sphere to another shifted by d is | |p - d| - 1 |; its mean over the sphere is
    d / 2 - d^2 / 6 + d^3 / 24 ... integrated here with 2000 exact rings."""
    shift = 0.3
    z = (np.arange(2000) + 0.5) / 1000 - 1
    want = np.abs(np.sqrt(1 + shift**2 - 2 * shift * z) - 1).mean()
    assert metrics.chamfer(sphere(40_000), sphere(40_000, 1.0, (0, 0, shift))) == pytest.approx(want, rel=5e-3)


def test_chamfer_is_symmetric_not_squared_and_scales() -> None:
    first, second = sphere(500), sphere(700, 1.2, (0.1, 0, 0))
    assert metrics.chamfer(first, second) == metrics.chamfer(second, first)
    assert metrics.chamfer(first * 3, second * 3) == pytest.approx(3 * metrics.chamfer(first, second))


def test_chamfer_sampling_error_falls_with_the_root_of_the_count() -> None:
    generator = np.random.default_rng(0)
    errors = []
    for count in (1000, 4000, 16000):
        first, second = generator.standard_normal((2, count, 3))
        first, second = (cloud / np.linalg.norm(cloud, axis=-1, keepdims=True) for cloud in (first, second))
        errors.append(metrics.chamfer(first, second))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1) and errors[1] / errors[2] == pytest.approx(2, rel=0.1)


def test_f_score_of_half_a_cloud() -> None:
    """All of the prediction is right, half of the truth is found: 2 * 1 * 0.5 / 1.5."""
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    assert metrics.f_score(truth[:2], truth, 0.1) == pytest.approx(2 / 3)
    assert metrics.f_score(truth[:2] + 0.2, truth, 0.1) == 0
    assert metrics.f_score(truth, truth, 0.1) == 1


def test_empty_cloud() -> None:
    with pytest.raises(ValueError, match="points"):
        metrics.chamfer(np.zeros((0, 3)), sphere(3))


def test_volume_iou_of_a_shifted_box() -> None:
    first, second = np.zeros((2, 10, 10, 10), bool)
    first[2:6], second[4:8] = True, True
    assert metrics.volume_iou(first, second) == pytest.approx(2 / 6)
    assert metrics.volume_iou(first, ~first) == 0
    assert metrics.volume_iou(first & False, first & False) == 1


def test_psnr() -> None:
    truth = np.full((8, 8, 3), 0.5)
    assert metrics.psnr(truth + 0.1, truth) == pytest.approx(20)
    assert metrics.psnr(truth, truth) == math.inf
    half = truth.copy()
    half[:4] += 0.1
    mask = np.zeros((8, 8))
    mask[:4] = 1
    assert metrics.psnr(half, truth, mask) == pytest.approx(20)
    assert metrics.psnr(half, truth) == pytest.approx(20 + 10 * math.log10(2))


def test_ssim_of_equal_inverted_and_dimmed_pictures() -> None:
    picture = np.random.default_rng(0).random((32, 32, 3))
    assert metrics.ssim(picture, picture) == pytest.approx(1)
    assert metrics.ssim(1 - picture, picture) < -0.8
    first, second = np.full((16, 16, 1), 0.6), np.full((16, 16, 1), 0.3)
    want = (2 * 0.6 * 0.3 + 1e-4) / (0.6**2 + 0.3**2 + 1e-4)  # constants have no variance: only the first factor is left
    assert metrics.ssim(first, second) == pytest.approx(want)
    with pytest.raises(ValueError, match="shapes"):
        metrics.ssim(first, picture)


def test_ssim_equals_the_definition() -> None:
    """Slow and plain: weigh the 11 x 11 pixels round every pixel, with the pictures mirrored at their border."""
    first, second = np.random.default_rng(1).random((2, 14, 13))
    offset = np.arange(11) - 5
    weight = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    weight /= weight.sum()
    wide_a, wide_b = (np.pad(image, 5, mode="symmetric") for image in (first, second))
    values = []
    for row, column in np.ndindex(first.shape):
        a, b = (wide[row : row + 11, column : column + 11] for wide in (wide_a, wide_b))
        mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
        spread_a, spread_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
        both = (weight * (a - mean_a) * (b - mean_b)).sum()
        values.append((2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4) / ((mean_a**2 + mean_b**2 + 1e-4) * (spread_a + spread_b + 9e-4)))
    assert metrics.ssim(first[..., None], second[..., None]) == pytest.approx(np.mean(values), rel=1e-9)


def test_normal_error() -> None:
    x, y = np.array([[1.0, 0, 0]]), np.array([[0.0, 2, 0]])
    assert metrics.normal_error_deg(x, y) == pytest.approx(90)
    assert metrics.normal_error_deg(x, -3 * x) == pytest.approx(180)
    tiny = np.array([[1.0, 1e-7, 0]])
    assert metrics.normal_error_deg(x, tiny) == pytest.approx(math.degrees(1e-7))
    assert metrics.normal_error_deg(np.vstack([x, x]), np.vstack([x, y]), np.array([True, False])) == 0


def test_similarity_transform_is_exact_and_never_mirrors() -> None:
    generator = np.random.default_rng(0)
    source = generator.standard_normal((50, 3))
    rotation = np.linalg.qr(generator.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    scale, turn, shift = metrics.similarity_transform(source, 1.7 * source @ rotation.T + [1, 2, 3])
    assert scale == pytest.approx(1.7)
    np.testing.assert_allclose(turn, rotation, atol=1e-12)
    np.testing.assert_allclose(shift, [1, 2, 3], atol=1e-12)
    assert np.linalg.det(metrics.similarity_transform(source, source * [-1, 1, 1])[1]) == pytest.approx(1)


def test_surface_points_follow_the_area() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 1, 5]])
    points = metrics.surface_points(vertices, np.array([[0, 1, 2], [3, 4, 5]]), 40_000, np.random.default_rng(0))
    assert (points[:, 2] > 1).mean() == pytest.approx(0.75, abs=0.01)
    lower = points[points[:, 2] < 1]
    np.testing.assert_allclose(lower.mean(0), [1 / 3, 1 / 3, 0], atol=0.01)
    with pytest.raises(ValueError, match="no area"):
        metrics.surface_points(vertices, np.array([[0, 0, 0]]), 4, np.random.default_rng(0))
