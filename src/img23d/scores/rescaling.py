"""Guidance that does not burn colours: what it adds to the contrast of the clean picture is taken back, wholly or in part.

Reference: Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed (2024); Shi et al., MVDream (2024), who measure the
    contrast over all sides that are seen at once.
"""

from __future__ import annotations

from torch import Tensor

from img23d.scores.schedule import NoiseSchedule


def rescaled(noise: Tensor, told: Tensor, noisy: Tensor, schedule: NoiseSchedule, step: int, share: float, together: int = 1) -> Tensor:
    """Guided noise by which the clean picture has, as far as is asked, the contrast that it has without guidance.

    Args:
        noise: (B, C, h, w) guided.
        told: what the network sees when it is told what is wanted, not guided.
        noisy: what both were seen in.
        schedule: that the network was trained with.
        step: 0 .. T - 1.
        share: 0 leaves the noise as it is; 1 gives the clean picture the unguided one's standard deviation.
        together: neighbours in the batch over which that is taken; B is a multiple of it.
    """
    if share == 0:
        return noise
    guided, plain = (schedule.clean(noisy, seen, step) for seen in (noise, told))
    factor = _spread(plain, together) / _spread(guided, together)
    clean = guided * (1 + share * (factor - 1))
    left = schedule.alphas_cumprod[step]
    return ((noisy - left.sqrt() * clean) / (1 - left).sqrt()).to(noise.dtype)


def _spread(clean: Tensor, together: int) -> Tensor:
    """(B, 1, 1, 1) standard deviation over each group."""
    spread = clean.unflatten(0, (-1, together)).flatten(1).std(1).clamp(min=1e-8)
    return spread.repeat_interleave(together)[:, None, None, None]
