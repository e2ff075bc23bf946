"""From samples on disk to what the network sees and what it should answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from img23d.priors.network import network_inputs
from img23d.training.losses import Truth
from img23d.training.samples import Sample

FLIP_NORMAL = (-1.0, 1.0, 1.0)
FLIP_POSE = (1.0, -1.0, 1.0)
FOV_TOLD = 0.5  # share of training samples whose fov the network is told


def plane(samples: Sequence[Sample], name: str, mirrored: np.ndarray, device: torch.device | str) -> Tensor:
    """One part of all samples, stacked: (B, ...) with channels first where there are any; some mirrored left to right."""
    columns = -2 if name in ("rgb", "back_rgb", "normal") else -1
    parts = [np.flip(part, columns) if turn else part for part, turn in zip((getattr(sample, name) for sample in samples), mirrored)]
    stacked = torch.from_numpy(np.stack(parts)).to(device)
    return stacked.permute(0, 3, 1, 2) if columns == -2 else stacked


def make_batch(samples: Sequence[Sample], random: np.random.Generator | None, device: torch.device | str = "cpu") -> tuple[Tensor, Truth]:
    """Inputs and truth of some samples.

    Args:
        samples: B of them.
        random: mirrors, recolours and tells or hides the fov at random; None leaves all as it is and hides the fov.
        device: where the tensors shall live.

    Returns:
        (B, INPUTS, S, S) inputs and the truth.
    """
    count = len(samples)
    mirrored = random.random(count) < 0.5 if random is not None else np.zeros(count, bool)
    told = random.random(count) < FOV_TOLD if random is not None else mirrored

    def get(name: str) -> Tensor:
        return plane(samples, name, mirrored, device)

    rgb, mask, back_rgb = get("rgb").float() / 255, get("mask").float()[:, None] / 255, get("back_rgb").float() / 255
    view = torch.from_numpy(np.stack([sample.view for sample in samples])).to(device)
    turn = torch.from_numpy(mirrored).to(device)[:, None].float()
    normal = get("normal").float() * (((1.0 + turn * (view.new_tensor(FLIP_NORMAL) - 1.0)) / 127)[:, :, None, None])
    view = view * (1.0 + turn * (view.new_tensor(FLIP_POSE) - 1.0))
    if random is not None:
        rgb, back_rgb = recolour(rgb, back_rgb, mask, random)
    fov = torch.where(torch.from_numpy(told).to(device), view[:, 2], torch.full_like(view[:, 2], torch.nan))
    inputs = network_inputs(rgb, mask, get("thickness").float() / 255, fov)
    volume = get("volume").contiguous(memory_format=torch.channels_last).float().div_(127)  # laid out as the network answers
    return inputs, Truth(volume, get("depth").float(), normal, back_rgb, get("hit")[:, None].float(), view)


def recolour(rgb: Tensor, back_rgb: Tensor, mask: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Swap colour channels and change their strength, front and back alike, so that the network does not learn objects by heart."""
    order = torch.from_numpy(np.stack([random.permutation(3) if random.random() < 0.3 else np.arange(3) for _ in range(len(rgb))]))
    gain = torch.from_numpy(np.exp(random.normal(0.0, 0.12, (len(rgb), 3, 1, 1)))).to(rgb)
    index = order.to(rgb.device)[:, :, None, None].expand_as(rgb)
    rgb, back_rgb = (rgb.gather(1, index) * gain).clamp(max=1.0), (back_rgb.gather(1, index) * gain).clamp(max=1.0)
    return torch.minimum(rgb, mask), back_rgb


def halve(inputs: Tensor, truth: Truth) -> tuple[Tensor, Truth]:
    """The same batch at half the size, a quarter of the work: (B, C, S/2, S/2) and volumes of half as many rays each way."""
    pool = torch.nn.functional.avg_pool2d
    hit = pool(truth.hit, 2)

    def seen(part: Tensor) -> Tensor:
        return pool(part * truth.hit, 2) / hit.clamp(min=0.25)

    normal = torch.nn.functional.normalize(seen(truth.normal), dim=1, eps=1e-4)
    halved = Truth(pool(truth.volume, 2), seen(truth.depth), normal, seen(truth.back_rgb), (hit >= 0.5).float(), truth.pose)
    return pool(inputs, 2), halved
