"""Structural similarity as a loss: the evaluation's own numbers, and a gradient."""

import numpy as np
import pytest
import torch

from img23d.evals import metrics
from img23d.ops.ssim import ssim


@pytest.mark.parametrize(("height", "width"), [(40, 31), (16, 16), (12, 90)])
def test_it_is_the_measure_of_the_evaluation(height, width):
    random = np.random.default_rng(0)
    first, second = random.random((2, height, width, 3))
    for other in (second, first * 0.7 + second * 0.3, first):
        assert float(ssim(torch.from_numpy(first), torch.from_numpy(other))) == pytest.approx(metrics.ssim(first, other), abs=1e-9)


def test_its_gradient_is_a_finite_difference():
    made, true = (torch.rand(12, 13, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda picture: ssim(picture, true), made.requires_grad_(), eps=1e-6, atol=1e-7, fast_mode=True)
