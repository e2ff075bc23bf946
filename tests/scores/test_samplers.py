"""DDIM on data whose noise is known in closed form."""

import pytest
import torch

from img23d.scores.samplers import ddim_sample, guided, sampled_steps
from img23d.scores.schedule import noise_schedule

MEAN, SPREAD = 1.5, 0.4
SCHEDULE = noise_schedule("scaled_linear", 0.00085, 0.012)


def exact_noise(noisy, step):
    """The expected noise in samples of a normal distribution: minus the score, times the noise's standard deviation."""
    left = float(SCHEDULE.alphas_cumprod[step])
    return (1 - left) ** 0.5 * (noisy - left**0.5 * MEAN) / (left * SPREAD**2 + 1 - left)


def drawn(steps, eta, count=40_000):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(count, dtype=torch.float64, generator=generator)
    return ddim_sample(exact_noise, start, SCHEDULE, steps, eta, generator)


def test_more_steps_come_closer_to_the_distribution():
    left = float(SCHEDULE.alphas_cumprod[0])
    true = (left * SPREAD**2 + 1 - left) ** 0.5  # noise of step 0 stays
    errors = [abs(float(drawn(steps, 0.0).std()) - true) for steps in (10, 20, 40, 80)]
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < 0.3 * errors[1] and errors[3] < 0.02  # first order: a quarter with four times the steps
    # the last of these steps leaves a fifteenth of the mean in what is seen, the noise that we begin with has none of it
    assert 0.02 < MEAN - float(drawn(80, 0.0).mean()) < 0.06


def test_fresh_noise_leads_to_the_same_distribution():
    found = drawn(200, 1.0)
    assert abs(float(found.mean()) - MEAN) < 0.02 and abs(float(found.std()) - SPREAD) < 0.02
    # and forgets where it began, which without fresh noise decides all
    start = torch.randn(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def correlation(samples):
        return float(torch.corrcoef(torch.stack([samples, start]))[0, 1])

    assert correlation(drawn(200, 0.0)) > 0.999 and abs(correlation(found)) < 0.1


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_every_step_is_that_of_diffusers(eta):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
    theirs = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    theirs.set_timesteps(25)
    assert theirs.timesteps.tolist() == sampled_steps(SCHEDULE, 25)
    noisy = start = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(7)
    for step in theirs.timesteps:
        noisy = theirs.step(exact_noise(noisy, int(step)), int(step), noisy, eta=eta, generator=generator).prev_sample
    ours = ddim_sample(exact_noise, start, SCHEDULE, 25, eta, torch.Generator().manual_seed(7))
    torch.testing.assert_close(ours, noisy, atol=2e-5, rtol=0)


def test_steps_end_at_step_one_and_progress_is_told():
    assert sampled_steps(SCHEDULE, 50)[0] == 981 and sampled_steps(SCHEDULE, 50)[-1] == 1
    told = []
    ddim_sample(exact_noise, torch.zeros(1), SCHEDULE, 4, 0.0, torch.Generator(), told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
    for steps in (0, 1000):
        with pytest.raises(ValueError, match=str(steps)):
            sampled_steps(SCHEDULE, steps)


def test_guidance_goes_from_nothing_told_to_beyond_what_is_told():
    nothing, told = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0])
    assert guided(nothing, told, 0.0).tolist() == [0.0, 1.0]
    assert guided(nothing, told, 1.0).tolist() == [1.0, 3.0]
    assert guided(nothing, told, 3.0).tolist() == [3.0, 7.0]


def test_from_part_of_the_noise_the_known_is_kept_in_part():
    generator = torch.Generator().manual_seed(2)
    start, known = torch.randn(20_000, dtype=torch.float64, generator=generator), torch.full((20_000,), 3.0, dtype=torch.float64)
    means, asked = [], []

    def predict(noisy, step):
        asked.append(step)
        return exact_noise(noisy, step)

    for most in (0.0, 0.1, 0.4, 1.0):
        means.append(float(ddim_sample(predict, start, SCHEDULE, 40, 0.0, generator, most=most, known=known).mean()))
    assert means[0] == 3.0  # no step is left
    assert means[0] > means[1] > means[2] > means[3] and abs(means[3] - MEAN) < 0.1
    asked.clear()
    ddim_sample(predict, start, SCHEDULE, 40, 0.0, generator, most=0.4, known=known)
    assert max(asked) <= 400 and len(asked) == 16
