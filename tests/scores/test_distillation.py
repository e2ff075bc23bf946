"""Score distillation against models whose answer is known in closed form."""

import pytest
import torch

from img23d.scores.distillation import distillation_gradient, drawn_step, pulled
from img23d.scores.schedule import noise_schedule

SCHEDULE = noise_schedule("scaled_linear", 0.00085, 0.012)


def knows(wanted, spread=0.0):
    """The exact noise of a Gaussian of this mean and spread: what a perfectly trained network answers."""

    def predict(noisy, step):
        left = float(SCHEDULE.alphas_cumprod[step])
        return (1 - left) ** 0.5 * (noisy - left**0.5 * wanted) / (left * spread**2 + 1 - left)

    return predict


@pytest.mark.parametrize("step", [20, 300, 900])
def test_where_one_picture_is_possible_the_gradient_points_away_from_it(step):
    wanted, latents = torch.randn(2, 4, 8, 8, dtype=torch.float64), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    found = distillation_gradient(knows(wanted), latents, SCHEDULE, step, torch.Generator().manual_seed(0))
    left = SCHEDULE.alphas_cumprod[step]  # the noise cancels: what is left is the difference, times a weight of the step
    torch.testing.assert_close(found, (left * (1 - left)).sqrt() * (latents - wanted), atol=1e-6, rtol=1e-5)


def test_the_mean_over_many_noises_is_the_score_of_the_noisy_latents():
    latents, spread, step = torch.full((20_000, 1, 1, 1), 2.0, dtype=torch.float64), 0.5, 400
    found = distillation_gradient(knows(torch.tensor(0.3), spread), latents, SCHEDULE, step, torch.Generator().manual_seed(1))
    left = SCHEDULE.alphas_cumprod[step]
    # E[seen - added] = sqrt(left (1 - left)) (2 - .3) / (left spread^2 + 1 - left)
    wanted = (1 - left) * ((left * (1 - left)).sqrt() * 1.7 / (left * spread**2 + 1 - left))
    assert float(found.mean()) == pytest.approx(float(wanted), rel=0.02)


def test_descent_finds_the_mode_of_what_the_model_knows():
    wanted = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    latents, generator = torch.zeros(1, 3, 4, 4, requires_grad=True), torch.Generator().manual_seed(3)
    optimizer = torch.optim.SGD([latents], lr=0.3 * latents.numel())
    for _ in range(300):
        step = drawn_step(SCHEDULE, 0.1, 0.6, generator)
        optimizer.zero_grad()
        pulled(latents, distillation_gradient(knows(wanted, 0.1), latents, SCHEDULE, step, generator)).backward()
        optimizer.step()
    assert float((latents - wanted).detach().abs().mean()) < 0.1  # noise of the steps is left


def test_the_loss_has_the_gradient_that_it_is_given():
    latents, gradient = torch.randn(2, 4, 3, 3, requires_grad=True), torch.randn(2, 4, 3, 3)
    pulled(latents, gradient).backward()
    torch.testing.assert_close(latents.grad, gradient / latents.numel())


def test_the_network_itself_is_not_differentiated():
    latents = torch.randn(1, 4, 2, 2, requires_grad=True)
    assert not distillation_gradient(knows(torch.zeros(1, 4, 2, 2)), latents, SCHEDULE, 10, torch.Generator()).requires_grad


def test_what_overflows_half_precision_counts_as_nothing():
    found = distillation_gradient(
        lambda noisy, step: torch.full_like(noisy, torch.inf), torch.zeros(1, 1, 2, 2), SCHEDULE, 10, torch.Generator()
    )
    assert not found.any()


def test_steps_lie_where_they_are_asked_for():
    generator = torch.Generator().manual_seed(0)
    steps = [drawn_step(SCHEDULE, 0.2, 0.5, generator) for _ in range(2000)]
    assert 200 <= min(steps) < 205 and 494 < max(steps) <= 500
    assert drawn_step(SCHEDULE, 1.0, 1.0, generator) == 999 and drawn_step(SCHEDULE, 0.0, 0.0, generator) == 0
    for least, most in ((0.5, 0.2), (-0.1, 0.5), (0.2, 1.1)):
        with pytest.raises(ValueError, match="rise"):
            drawn_step(SCHEDULE, least, most, generator)


@pytest.mark.parametrize("step", [20, 300, 980])
def test_against_the_clean_picture_the_gradient_is_the_distance_from_it(step):
    wanted, latents = torch.randn(2, 4, 8, 8, dtype=torch.float64), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    found = distillation_gradient(knows(wanted), latents, SCHEDULE, step, torch.Generator().manual_seed(0), "clean")
    torch.testing.assert_close(found, latents - wanted, atol=1e-6, rtol=1e-5)  # whatever the noise was
    # of a Gaussian its posterior mean, E[clean | noisy]: a share of the way from its mean to the noisy latents
    spread, left = 0.5, float(SCHEDULE.alphas_cumprod[step])
    found = distillation_gradient(knows(wanted, spread), latents, SCHEDULE, step, torch.Generator().manual_seed(0), "clean")
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)).to(latents)
    share = left**0.5 * spread**2 / (left * spread**2 + 1 - left)
    clean = wanted + share * (SCHEDULE.add_noise(latents, noise, step) - left**0.5 * wanted)
    torch.testing.assert_close(found, latents - clean, atol=1e-6, rtol=1e-5)
