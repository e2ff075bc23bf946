"""Inflation of silhouettes whose solid is known."""

import pytest
import torch

from img23d.ops.inflate import inflated_sdf, inflation_height, parabola_minimum, parabola_minimum_reference
from img23d.scene.cameras import orbit_degrees


def disc(size, radius=0.6):
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return ((radius - (x**2 + y**2).sqrt()) * size / 2 + 0.5).clamp(0, 1)


def test_a_disc_becomes_a_sphere():
    height = inflation_height(disc(128))
    line = (torch.arange(128) + 0.5) / 64 - 1
    inner = line.abs() < 0.5
    assert torch.allclose(height[64][inner], 0.36 - line[inner] ** 2, atol=0.025)
    assert float(height[64, 127]) < 0


def test_a_strip_becomes_a_cylinder():
    mask = torch.zeros(128, 128)
    mask[8:120, 48:80] = 1
    line = (torch.arange(128) + 0.5) / 64 - 1
    inner = line.abs() < 0.22
    assert torch.allclose(inflation_height(mask)[64][inner], 0.0625 - line[inner] ** 2, atol=0.012)


def test_the_sdf_is_that_of_a_sphere_near_its_surface():
    # a narrow field of view: the camera is nearly orthographic
    distance = 0.8 / torch.tan(torch.tensor(4.0).deg2rad()).item()
    camera = orbit_degrees([0.0], 20.0, distance, 8.0)
    sdf = inflated_sdf(inflation_height(disc(128)), camera, distance, 49)
    line = torch.linspace(-1, 1, 49)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    truth = (x**2 + y**2 + z**2).sqrt() - 0.6 * 0.8
    near = truth.abs() < 0.12
    assert float((sdf - truth)[near].abs().mean()) < 0.02
    assert float(((sdf < 0) == (truth < 0))[near].float().mean()) > 0.94


@pytest.mark.parametrize("axis", [0, 1])
def test_mirrored_silhouettes_give_mirrored_heights(axis):
    torch.manual_seed(0)
    mask = torch.zeros(64, 64)
    mask[10:40, 20:30] = 1
    mask[30:50, 20:55] = 1
    assert torch.allclose(inflation_height(mask).flip(axis), inflation_height(mask.flip(axis)), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (1, 33, 20), (3, 64, 64)])
def test_the_envelope_of_parabolas_equals_brute_force(shape):
    generator = torch.Generator().manual_seed(sum(shape))
    far = torch.rand(shape, generator=generator) < 0.8
    values = torch.where(far, 1e6, -30 * torch.rand(shape, generator=generator))
    for tried in (values, 20 * torch.rand(shape, generator=generator), torch.full(shape, 1e6)):
        assert torch.allclose(parabola_minimum(tried), parabola_minimum_reference(tried), rtol=1e-6, atol=1e-5)
