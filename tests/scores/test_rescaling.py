"""The contrast that guidance adds is taken back, by pictures or by groups of them."""

import pytest
import torch

from img23d.scores.distillation import distillation_gradient
from img23d.scores.rescaling import rescaled
from img23d.scores.samplers import guided
from img23d.scores.schedule import noise_schedule

SCHEDULE, STEP = noise_schedule("scaled_linear", 0.00085, 0.012), 600


def noise_of(clean, noisy):
    """The noise by which this is the clean picture."""
    left = SCHEDULE.alphas_cumprod[STEP]
    return (noisy - left.sqrt() * clean) / (1 - left).sqrt()


def pictures():
    """What is seen, its clean pictures when told nothing and when told what is wanted, in double precision."""
    generator = torch.Generator().manual_seed(3)
    noisy, nothing, told = (torch.randn(8, 4, 6, 6, dtype=torch.float64, generator=generator) for _ in range(3))
    return noisy, 0.5 * nothing, 0.5 * told * torch.arange(1.0, 9.0)[:, None, None, None] + 0.3


@pytest.mark.parametrize("together", [1, 4])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_clean_picture_keeps_its_direction_and_loses_contrast(together, share):
    noisy, nothing, told = pictures()
    noise = guided(noise_of(nothing, noisy), noise_of(told, noisy), 50.0)
    found = SCHEDULE.clean(noisy, rescaled(noise, noise_of(told, noisy), noisy, SCHEDULE, STEP, share, together), STEP)
    wild = nothing + 50 * (told - nothing)
    for group in range(0, 8, together):
        chosen = slice(group, group + together)
        factor = told[chosen].std() / wild[chosen].std()
        torch.testing.assert_close(found[chosen], wild[chosen] * (share * factor + 1 - share))
    if share == 1:
        torch.testing.assert_close(found[:together].std(), told[:together].std())


def test_a_group_shares_one_factor_and_other_groups_have_their_own():
    noisy, nothing, told = pictures()
    noise = guided(noise_of(nothing, noisy), noise_of(told, noisy), 50.0)
    alone = rescaled(noise[:4], noise_of(told, noisy)[:4], noisy[:4], SCHEDULE, STEP, 0.5, 4)
    both = rescaled(noise, noise_of(told, noisy), noisy, SCHEDULE, STEP, 0.5, 4)
    torch.testing.assert_close(both[:4], alone)
    assert not torch.allclose(rescaled(noise, noise_of(told, noisy), noisy, SCHEDULE, STEP, 0.5, 8)[:4], alone)


def test_without_guidance_nothing_is_taken_back_and_a_flat_picture_stays_finite():
    noisy, _, told = pictures()
    noise = noise_of(told, noisy)
    torch.testing.assert_close(rescaled(noise, noise, noisy, SCHEDULE, STEP, 0.5, 4), noise)
    flat = noise_of(torch.zeros_like(told), noisy)
    assert rescaled(flat, flat, noisy, SCHEDULE, STEP, 1.0, 4).isfinite().all()


def test_the_gradient_of_the_whole_is_the_distance_from_the_rescaled_clean_picture():
    """MVDream's loss in one piece: guidance, rescaling and reconstruction by two models that are known in closed form."""
    _, nothing, told = pictures()
    latents = torch.randn(8, 4, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(9))

    def predict(noisy, step):
        seen = noise_of(nothing, noisy), noise_of(told, noisy)
        return rescaled(guided(*seen, 50.0), seen[1], noisy, SCHEDULE, step, 0.5, 4)

    found = distillation_gradient(predict, latents, SCHEDULE, STEP, torch.Generator().manual_seed(0), "clean")
    wild = nothing + 50 * (told - nothing)
    factors = torch.cat([(told[group : group + 4].std() / wild[group : group + 4].std()).expand(4) for group in (0, 4)])
    torch.testing.assert_close(found, latents - wild * (0.5 * factors + 0.5)[:, None, None, None], atol=1e-8, rtol=1e-6)
