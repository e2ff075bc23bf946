"""Splatting against closed forms, finite differences and what any renderer must do."""

import math

import pytest
import torch

from img23d.backends import splat_numba
from img23d.ops.splat import BLUR, FAINTEST, MOST_OPAQUE, composite_tiles, rotation_matrices, splat
from img23d.scene import Cameras
from img23d.scene.cameras import orbit_degrees

CAMERA = Cameras(*(value.double() for value in vars(orbit_degrees([0.0], 0.0, 3.0, 40.0)).values()))
BOTH = pytest.mark.parametrize("composite", [composite_tiles, splat_numba.composite], ids=["torch", "numba"])


def cloud(count, seed=0, dtype=torch.float64, width=0.12):
    """Gaussians of all shapes, directions and opacities in the unit ball: points, scales, rotations, opacity, values."""
    draw = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(*shape, generator=draw, dtype=torch.float64).to(dtype)

    points = torch.nn.functional.normalize(random(count, 3) - 0.5, dim=1) * random(count, 1)
    return [points, width * (0.1 + random(count, 3)), random(count, 4) - 0.5, 0.05 + 0.95 * random(count), random(count, 3)]


def one(point, scale, opacity, rgb, turn=(1.0, 0, 0, 0)):
    return [torch.tensor([value], dtype=torch.float64) for value in (point, scale, turn, opacity, rgb)]


@BOTH
def test_a_single_gaussian_is_its_closed_form(composite):
    """On the axis of view the projection is a scaling by focal length over depth, and the ellipse's axes stay those of the Gaussian."""
    size, angle, (wide, high) = 48, math.radians(30), (0.3, 0.1)
    turn = (math.cos(angle / 2), 0, 0, math.sin(angle / 2))
    image, coverage = splat(*one((0, 0, 0), (wide, high, 0.2), 0.8, (0.9, 0.5, 0.1), turn), CAMERA, size, size, composite)
    pixels = 0.5 / math.tan(math.radians(20)) * size / 3.0
    middle = torch.arange(size, dtype=torch.float64) + 0.5 - size / 2
    y, x = torch.meshgrid(-middle, middle, indexing="ij")  # y up, as the camera has it
    # Sigma' = R diag R^T + 0.3 I has the same axes: 30 degrees anticlockwise.
    along, across = x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle)
    exponent = along**2 / ((wide * pixels) ** 2 + 0.3) + across**2 / ((high * pixels) ** 2 + 0.3)
    alpha = 0.8 * torch.exp(-0.5 * exponent)
    alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
    assert torch.allclose(coverage[0], alpha, atol=1e-5)
    assert torch.allclose(image[0], alpha[..., None] * torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64), atol=1e-5)
    assert coverage.max() > 0.79 and (alpha == 0).any()


@BOTH
def test_the_nearer_one_covers_the_farther_one_in_any_order(composite):
    near, far = one((0, 0, 1), (0.1, 0.1, 0.1), 0.6, (1.0, 0, 0)), one((0, 0, -1), (0.2, 0.2, 0.2), 0.5, (0, 1.0, 0))
    for pair in (zip(near, far), zip(far, near)):
        image, coverage = splat(*(torch.cat(values) for values in pair), CAMERA, 33, 33, composite)
        assert image[0, 16, 16].tolist() == pytest.approx([0.6, 0.4 * 0.5, 0], abs=1e-3)
        assert float(coverage[0, 16, 16]) == pytest.approx(0.8, abs=1e-3)


@BOTH
def test_the_order_of_the_input_does_not_matter(composite):
    parts = cloud(200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    first, second = splat(*parts, CAMERA, 40, 40, composite), splat(*(part[order] for part in parts), CAMERA, 40, 40, composite)
    assert torch.allclose(first[0], second[0], atol=1e-12) and torch.allclose(first[1], second[1], atol=1e-12)


def brute_force(points, scales, rotations, opacity, values, size):
    """Every pixel against every Gaussian by numbers alone: the Jacobian by finite differences, no tiles, no boxes."""
    image, coverage = torch.zeros(size, size, values.shape[1], dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
    projected = CAMERA.project(points)[0]
    ellipses = []
    for k in range(len(points)):
        steps = points[k] + 1e-4 * torch.cat([torch.eye(3), -torch.eye(3)]).double()
        moved = CAMERA.project(steps)[0][:, :2] * size
        jacobian = (moved[:3] - moved[3:]).T / 2e-4
        spread = rotation_matrices(rotations[k : k + 1])[0] * scales[k]
        covariance = jacobian @ spread @ spread.T @ jacobian.T + BLUR * torch.eye(2)
        ellipses.append((float(projected[k, 2]), projected[k, :2] * size, covariance.inverse(), k))
    for row in range(size):
        for column in range(size):
            light = 1.0
            for _, center, conic, k in sorted(ellipses, key=lambda ellipse: ellipse[0]):
                away = torch.tensor([column + 0.5, row + 0.5], dtype=torch.float64) - center
                alpha = min(float(opacity[k] * torch.exp(-0.5 * away @ conic @ away)), MOST_OPAQUE)
                if alpha < FAINTEST:
                    continue
                if light * (1 - alpha) < 1e-4:
                    break
                image[row, column] += light * alpha * values[k]
                light *= 1 - alpha
            coverage[row, column] = 1 - light
    return image, coverage


@BOTH
def test_pictures_are_those_of_brute_force(composite):
    parts = cloud(30, seed=3, width=0.3)
    parts[3][:12] = 1.0  # some pixels come to their end
    image, coverage = splat(*parts, CAMERA, 20, 20, composite)
    expected, covered = brute_force(*parts, 20)
    assert torch.allclose(image[0], expected, atol=1e-4) and torch.allclose(coverage[0], covered, atol=1e-4)
    assert covered.max() > 0.999 and covered.min() < 0.2


@BOTH
def test_gradients_are_finite_differences(composite):
    # So wide and strong that no pixel of so small a picture is at the edge of being too faint, where the picture jumps.
    parts = cloud(3, seed=5, width=1.5)
    parts[3] = 0.3 + 0.4 * parts[3]
    parts = [part.requires_grad_() for part in parts]

    def pictures(*given):
        return splat(*given, CAMERA, 6, 7, composite)

    assert splat(*parts, CAMERA, 6, 7, composite)[1].min() > 0.05
    assert torch.autograd.gradcheck(pictures, parts, eps=1e-6, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (17, 50), (5, 3)])
def test_both_ways_agree(height, width):
    results = []
    for composite in (composite_tiles, splat_numba.composite):
        parts = [part.requires_grad_() for part in cloud(300, seed=7)]
        image, coverage = splat(*parts, orbit_degrees([20.0, 200.0], 30.0, 3.0, 40.0), height, width, composite)
        weight = torch.rand(image.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        ((image * weight).sum() + (coverage * weight[..., 0]).square().sum()).backward()
        results.append([image.detach(), coverage.detach(), *(part.grad for part in parts)])
    for reference, compiled in zip(*results):
        assert torch.allclose(reference, compiled, atol=1e-9 * float(reference.abs().max()) + 1e-12)
        assert reference.abs().max() > 0


def test_threads_change_no_byte():
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            parts = [part.requires_grad_() for part in cloud(300, seed=9, dtype=torch.float32)]
            image, _ = splat(*parts, CAMERA, 70, 50, splat_numba.composite)
            image.square().sum().backward()
            found.append([image, *(part.grad for part in parts)])
        finally:
            torch.set_num_threads(1)
    assert all(torch.equal(first, second) for first, second in zip(*found))


@BOTH
def test_a_sphere_of_opaque_gaussians_has_its_silhouette(composite):
    count, size = 4000, 64
    step = torch.arange(count) + 0.5
    height, turn = 1 - 2 * step / count, step * 2.399963
    ring = (1 - height**2).sqrt()
    points = torch.stack([ring * turn.cos(), height, ring * turn.sin()], -1)
    image, coverage = splat(
        points, torch.full((count, 3), 0.03), torch.tensor([1.0, 0, 0, 0]).expand(count, 4), torch.full((count,), 0.99), points,
        CAMERA, size, size, composite,
    )  # fmt: skip
    middle = (torch.arange(size) + 0.5) / size - 0.5
    radius = (middle[:, None] ** 2 + middle**2).sqrt() / (0.5 / math.tan(math.radians(20)))
    edge = math.tan(math.asin(1 / 3))
    assert bool((coverage[0][radius < edge - 0.01] > 0.99).all()), "no hole"
    assert bool((coverage[0][radius > edge + 0.08] == 0).all()), "no halo"
    assert float(image[0, size // 2, size // 2, 2]) == pytest.approx(1, abs=0.15), "the front is seen, not the back"


@BOTH
def test_what_is_behind_the_camera_or_beside_the_picture_leaves_no_trace(composite):
    parts = [part.requires_grad_() for part in cloud(20, seed=4, width=0.05)]
    parts[0].data[:10] = torch.tensor([0.0, 0, 3])  # in the camera itself
    parts[0].data[10:15, 2] += 5
    parts[0].data[15:, 0] += 9
    image, coverage = splat(*parts, CAMERA, 16, 16, composite)
    assert not image.any() and not coverage.any()
    (image.sum() + coverage.sum()).backward()
    assert all(part.grad is None or not part.grad.any() for part in parts)


@BOTH
def test_the_camera_is_that_of_meshes(composite):
    """A small opaque Gaussian is drawn where `Cameras.project` says, also with another principal point and no square."""
    camera = orbit_degrees([70.0], -25.0, 3.0, 40.0)
    camera.center[:] = torch.tensor([0.4, 0.7])
    point = (0.3, -0.2, 0.5)
    _, coverage = splat(*one(point, (0.01,) * 3, 0.9, (1.0, 1, 1)), camera, 60, 80, composite)
    x, y, _ = camera.project(torch.tensor([point]))[0, 0].tolist()
    row, column = divmod(int(coverage[0].argmax()), 80)
    assert (row, column) == (int(y * 60), int(x * 80))
