"""Score distillation: how a diffusion model pulls at a picture that something else has drawn.

Reference: Poole et al., DreamFusion: Text-to-3D using 2D Diffusion (2023).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from img23d.scores.schedule import NoiseSchedule


def drawn_step(schedule: NoiseSchedule, least: float, most: float, generator: torch.Generator) -> int:
    """A step at random.

    Args:
        schedule: T steps.
        least: share of T below which there is too little noise to see the shape in.
        most: share above which nothing of the picture is left.
        generator: on the CPU, so that every device sees the same.

    Raises:
        ValueError: they do not rise within 0..1.
    """
    if not 0 <= least <= most <= 1:
        raise ValueError(f"shares of the schedule must rise within 0..1, got {least} to {most}")
    low, high = round(least * (len(schedule) - 1)), round(most * (len(schedule) - 1))
    return int(torch.randint(low, high + 1, (1,), generator=generator))


def distillation_gradient(
    predict: Callable[[Tensor, int], Tensor], latents: Tensor, schedule: NoiseSchedule, step: int, generator: torch.Generator
) -> Tensor:
    """Where a diffusion model wants latents to go: the noise that it sees in them, less the noise that was added.

    Args:
        predict: (noisy, step) to the noise in it, guidance included.
        latents: (B, C, h, w) of the drawn pictures.
        schedule: that the network was trained with.
        step: how much noise is added, 0 .. T - 1.
        generator: of the noise; on the CPU.

    Returns:
        (B, C, h, w) the gradient, weighted by the variance of the noise; what lies outside of float16 counts as nothing.

    Reference: DreamFusion, equation 3, with w(t) the variance of the noise, and without the network's own Jacobian.
    """
    with torch.no_grad():
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        seen = predict(schedule.add_noise(latents, noise, step).to(latents.dtype), step)
        return torch.nan_to_num(float(1 - schedule.alphas_cumprod[step]) * (seen - noise), 0.0, 0.0, 0.0)


def pulled(latents: Tensor, gradient: Tensor) -> Tensor:
    """A loss whose gradient with respect to the latents is this one, divided by how many numbers they are.

    Its value is the mean square of the gradient, halved: it need not fall.
    """
    return 0.5 * (latents - (latents - gradient).detach()).square().mean()
