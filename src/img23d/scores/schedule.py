"""How much noise there is at each step of a diffusion process.

Reference: Ho et al., Denoising Diffusion Probabilistic Models (2020), section 2; Rombach et al., High-Resolution Image Synthesis with
    Latent Diffusion Models (2022), whose code has the scaled-linear betas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from img23d.scene.shapes import check_shape


@dataclass(frozen=True)
class NoiseSchedule:
    """A diffusion process with T steps.

    Args:
        alphas_cumprod: (T,) share of the signal's variance that is left after each step, falling from nearly 1 to nearly 0.
    """

    alphas_cumprod: Tensor

    def __post_init__(self) -> None:
        check_shape("alphas_cumprod", self.alphas_cumprod, None)

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def add_noise(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """What is seen at a step: DDPM equation 4.

        Args:
            clean: of any shape.
            noise: standard normal, of the same shape.
            step: 0 .. T - 1.
        """
        left = self.alphas_cumprod[step]
        return left.sqrt() * clean + (1 - left).sqrt() * noise

    def clean(self, noisy: Tensor, noise: Tensor, step: int) -> Tensor:
        """What `add_noise` was given, from the noise that a network sees in it: DDPM equation 15."""
        left = self.alphas_cumprod[step]
        return (noisy - (1 - left).sqrt() * noise) / left.sqrt()


def noise_schedule(kind: Literal["linear", "scaled_linear"], first: float, last: float, steps: int = 1000) -> NoiseSchedule:
    """A schedule from the variances that its first and last step add.

    Args:
        kind: linear betas (DDPM: 1e-4 to 0.02), or their square roots linear (Stable Diffusion and all that was made from it: 0.00085
            to 0.012).
        first: beta of step 0.
        last: beta of step T - 1.
        steps: T.

    Returns:
        In float64: a product of a thousand factors.

    Raises:
        ValueError: another kind, or betas that do not rise within 0..1.
    """
    if not 0 < first <= last < 1:
        raise ValueError(f"betas must rise within 0..1, got {first} to {last}")
    if kind == "linear":
        betas = torch.linspace(first, last, steps, dtype=torch.float64)
    elif kind == "scaled_linear":
        betas = torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64).square()
    else:
        raise ValueError(f"unknown schedule {kind!r}")
    return NoiseSchedule((1 - betas).cumprod(0))
