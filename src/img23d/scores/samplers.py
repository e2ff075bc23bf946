"""From noise to a sample, step by step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from img23d.scores.schedule import NoiseSchedule

Predict = Callable[[Tensor, int], Tensor]


def sampled_steps(schedule: NoiseSchedule, steps: int) -> list[int]:
    """Some of a schedule's steps, falling and evenly spaced from step 1 on, as in the released code of latent diffusion.

    Raises:
        ValueError: fewer than one step, or more than there are.
    """
    if not 1 <= steps < len(schedule):
        raise ValueError(f"{steps} steps of {len(schedule)}")
    stride = len(schedule) // steps
    return [1 + stride * number for number in reversed(range(steps))]


def ddim_sample(
    predict: Predict,
    start: Tensor,
    schedule: NoiseSchedule,
    steps: int,
    eta: float,
    generator: torch.Generator,
    progress: Callable[[float], None] = lambda fraction: None,
    most: float = 1.0,
    known: Tensor | None = None,
) -> Tensor:
    """Denoise with any number of steps.

    Args:
        predict: (noisy, step) to the noise in it.
        start: standard normal noise, of the sample's shape.
        schedule: that the network was trained with.
        steps: evaluations of ``predict``.
        eta: fresh noise in each step: 0 is deterministic, 1 as much as DDPM's.
        generator: of that noise; on the CPU, so that every device sees the same.
        progress: called with the fraction that is done.
        most: share of the schedule from which on to denoise; those of the steps that lie above it are left out.
        known: what the noise is added to at the first step that is left; None for noise alone.

    Returns:
        The sample.

    Reference:
        Song et al., Denoising Diffusion Implicit Models (2021), equations 12 and 16. After the last step there is as much noise left
        as at step 0, not none: so were the networks of latent diffusion sampled (diffusers calls that set_alpha_to_one=False).
        With ``known``: Meng et al., SDEdit (2022), algorithm 1.
    """
    chosen = [step for step in sampled_steps(schedule, steps) if step <= most * len(schedule)]
    noisy = start if known is None or not chosen else schedule.add_noise(known, start, chosen[0]).to(start.dtype)
    steps = len(chosen)
    for number, step in enumerate(chosen):
        left = float(schedule.alphas_cumprod[step])
        then = float(schedule.alphas_cumprod[chosen[number + 1] if number + 1 < steps else 0])
        noise = predict(noisy, step)
        clean = schedule.clean(noisy, noise, step)
        fresh = eta * ((1 - then) / (1 - left) * (1 - left / then)) ** 0.5
        noisy = then**0.5 * clean + max(0.0, 1 - then - fresh**2) ** 0.5 * noise
        if fresh > 0:
            noisy = noisy + fresh * torch.randn(noisy.shape, generator=generator).to(noisy)
        progress((number + 1) / steps)
    return noisy if chosen or known is None else known


def guided(unconditional: Tensor, conditional: Tensor, scale: float) -> Tensor:
    """The noise that leads towards what was asked for.

    Args:
        unconditional: noise that a network sees when it is told nothing.
        conditional: when it is told what is wanted.
        scale: 1 takes the second; more goes beyond it.

    Reference: Ho and Salimans, Classifier-Free Diffusion Guidance (2022), equation 6, in the form in which 1 means no guidance.
    """
    return unconditional + scale * (conditional - unconditional)
