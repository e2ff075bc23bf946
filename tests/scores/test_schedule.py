"""Noise schedules against plain products, other implementations and what noise they leave."""

import numpy as np
import pytest
import torch

from img23d.scores.schedule import NoiseSchedule, noise_schedule


@pytest.mark.parametrize("kind, first, last", [("linear", 1e-4, 0.02), ("scaled_linear", 0.00085, 0.012)])
def test_what_is_left_is_the_product_of_what_every_step_leaves(kind, first, last):
    betas = np.linspace(first, last, 1000) if kind == "linear" else np.linspace(first**0.5, last**0.5, 1000) ** 2
    left, expected = 1.0, []
    for beta in betas:
        left *= 1 - beta
        expected.append(left)
    found = noise_schedule(kind, first, last)
    assert len(found) == 1000
    np.testing.assert_allclose(found.alphas_cumprod.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("kind, first, last", [("linear", 1e-4, 0.02), ("scaled_linear", 0.00085, 0.012)])
def test_the_tables_are_those_of_diffusers(kind, first, last):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
    theirs = diffusers.DDPMScheduler(beta_schedule=kind, beta_start=first, beta_end=last).alphas_cumprod
    torch.testing.assert_close(noise_schedule(kind, first, last).alphas_cumprod.float(), theirs, rtol=1e-5, atol=1e-6)


def test_noise_is_added_so_that_the_variance_stays_and_is_taken_away_again():
    schedule, generator = noise_schedule("linear", 1e-4, 0.02), torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 200_000, generator=generator)
    for step in (0, 300, 999):
        noisy = schedule.add_noise(clean, noise, step)
        assert abs(float(noisy.var()) - 1) < 0.02
        torch.testing.assert_close(schedule.clean(noisy, noise, step), clean, atol=2e-3, rtol=0)
    assert float((schedule.add_noise(clean, noise, 0) - clean).abs().max()) < 0.06
    assert float((schedule.add_noise(clean, noise, 999) * clean).mean().abs()) < 0.02  # nothing of it can be seen


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="rise"):
        noise_schedule("linear", 0.02, 1e-4)
    with pytest.raises(ValueError, match="cosine"):
        noise_schedule("cosine", 1e-4, 0.02)
    with pytest.raises(ValueError, match="alphas_cumprod"):
        NoiseSchedule(torch.ones(2, 3))
