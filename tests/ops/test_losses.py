"""Losses: zero where they should be, invariances, gradients."""

import pytest
import torch

from img23d.ops import losses


def test_pearson_ignores_scale_and_offset_but_not_sign():
    depth, weight = torch.rand(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    assert float(losses.pearson_depth_loss(depth, 3 * depth + 7, weight)) == pytest.approx(0.0, abs=1e-9)
    assert float(losses.pearson_depth_loss(depth, -depth, weight)) == pytest.approx(2.0, abs=1e-9)


def test_pearson_ignores_what_has_no_weight():
    depth, other = torch.rand(50), torch.rand(50)
    weight = torch.zeros(50)
    weight[:20] = 1
    other[:20] = depth[:20]
    assert float(losses.pearson_depth_loss(depth, other, weight)) == pytest.approx(0.0, abs=1e-5)


def test_normals_count_by_angle():
    up, tilted = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 3.0, 3.0]])
    assert float(losses.normal_cosine_loss(tilted, up, torch.ones(1))) == pytest.approx(1 - 0.5**0.5, abs=1e-6)


def test_eikonal_wants_unit_slope():
    slope = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    assert float(losses.eikonal_loss(slope, torch.tensor([1.0, 0.0]))) == pytest.approx(0.0, abs=1e-9)
    assert float(losses.eikonal_loss(slope, torch.tensor([0.0, 1.0]))) == pytest.approx(1.0, abs=1e-5)


def test_nothing_with_weight_is_no_loss():
    assert float(losses.rgb_loss(torch.rand(4, 3), torch.rand(4, 3), torch.zeros(4))) == 0.0


def test_gradients():
    torch.manual_seed(0)
    a, b = (torch.rand(6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    n, m = (torch.randn(6, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.rand(6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, y: losses.pearson_depth_loss(x, y, weight), (a, b))
    assert torch.autograd.gradcheck(lambda x, y: losses.normal_cosine_loss(x, y, weight), (n, m))
    assert torch.autograd.gradcheck(lambda x: losses.eikonal_loss(x, weight), (n,))
    assert torch.autograd.gradcheck(lambda x: losses.mask_cross_entropy(x, weight), (a,))
    assert torch.autograd.gradcheck(lambda x: losses.mask_loss(x, weight), (a,))
