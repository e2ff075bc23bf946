"""Score distillation: how a diffusion model pulls at a picture that something else has drawn.

Reference: Poole et al., DreamFusion: Text-to-3D using 2D Diffusion (2023); Shi et al., MVDream (2024) for the clean
    picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from img23d.scores.schedule import NoiseSchedule

Against = Literal["noise", "clean"]
"""What is compared: the noise that is seen with the noise that was added, or the clean picture that is seen with the one that was drawn."""


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
    predict: Callable[[Tensor, int], Tensor], latents: Tensor, schedule: NoiseSchedule, step: int, generator: torch.Generator,
    against: Against = "noise",
) -> Tensor:  # fmt: skip
    """Where a diffusion model wants latents to go: the noise that it sees in them, less the noise that was added.

    Args:
        predict: (noisy, step) to the noise in it, guidance included.
        latents: (B, C, h, w) of the drawn pictures.
        schedule: that the network was trained with.
        step: how much noise is added, 0 .. T - 1.
        generator: of the noise; on the CPU.
        against: the noise, or the clean picture, which is the same but for its weight.

    Returns:
        (B, C, h, w) the gradient: with "noise" weighted by the variance of the noise, with "clean" the latents less the clean ones that
        the network sees. What lies outside of float16 counts as nothing.

    Reference: DreamFusion, equation 3, with w(t) the variance of the noise, and without the network's own Jacobian; MVDream's
        reconstruction loss, half the squared distance from the clean latents, which are held fixed.
    """
    left = float(schedule.alphas_cumprod[step])
    weight = 1 - left if against == "noise" else ((1 - left) / left) ** 0.5
    with torch.no_grad():
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        seen = predict(schedule.add_noise(latents, noise, step).to(latents.dtype), step)
        return torch.nan_to_num(weight * (seen - noise), 0.0, 0.0, 0.0)


def pulled(latents: Tensor, gradient: Tensor) -> Tensor:
    """A loss whose gradient with respect to the latents is this one, divided by how many numbers they are.

    Its value is the mean square of the gradient, halved: it need not fall.
    """
    return 0.5 * (latents - (latents - gradient).detach()).square().mean()
