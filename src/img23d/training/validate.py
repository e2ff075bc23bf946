"""How well the network answers for objects it has never seen, and how well plain inflation would."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from img23d.priors.network import Answer, ShapeNetwork
from img23d.training.losses import Truth, volume_loss


@torch.no_grad()
def validate(network: ShapeNetwork, batches: Iterable[tuple[Tensor, Truth]]) -> dict[str, float]:
    """Mean figures over all samples; ``inflated_`` ones are those of the silhouette blown up round.

    Returns:
        ``iou`` camera-frame volume IoU; ``front``, ``back`` mean absolute depth errors in half-widths; ``normal_deg``; ``back_rgb`` mean
        absolute error; ``elevation_deg`` and ``fov_deg`` medians; ``roll_deg`` mean; ``volume`` the volume loss.
    """
    network.eval()
    sums: dict[str, list[float]] = {}
    for inputs, truth in batches:
        for name, values in figures(network(inputs), truth, inputs).items():
            sums.setdefault(name, []).extend(values.tolist())
    network.train()
    medians = ("elevation_deg", "fov_deg")
    return {name: float(torch.tensor(v).median() if name in medians else torch.tensor(v).mean()) for name, v in sums.items()}


def figures(answer: Answer, truth: Truth, inputs: Tensor) -> dict[str, Tensor]:
    """(B,) figures of each sample."""
    from img23d.priors.network import inflated_volume

    def iou(volume: Tensor) -> Tensor:
        ours, true = volume < 0, truth.volume < 0
        return (ours & true).sum((1, 2, 3)) / (ours | true).sum((1, 2, 3)).clamp(min=1)

    def mean(error: Tensor) -> Tensor:
        hit = truth.hit[:, 0]
        return (error * hit).sum((1, 2)) / hit.sum((1, 2)).clamp(min=1)

    cosine = (answer.normal * truth.normal).sum(1).clamp(-1, 1)
    height = inputs[:, 5]
    pose = torch.rad2deg((answer.pose - truth.pose).abs())
    return {
        "iou": iou(answer.volume),
        "inflated_iou": iou(inflated_volume(inputs[:, 5:6], inputs[:, 3:4])),
        "volume": torch.stack([volume_loss(a, t) for a, t in zip(answer.volume, truth.volume)]),
        "front": mean((answer.depth[:, 0] - truth.depth[:, 0]).abs()),
        "inflated_front": mean((-height - truth.depth[:, 0]).abs()),
        "back": mean((answer.depth[:, 1] - truth.depth[:, 1]).abs()),
        "inflated_back": mean((height - truth.depth[:, 1]).abs()),
        "normal_deg": mean(torch.rad2deg(torch.arccos(cosine))),
        "back_rgb": mean((answer.back_rgb - truth.back_rgb).abs().mean(1)),
        "elevation_deg": pose[:, 0],
        "roll_deg": pose[:, 1],
        "fov_deg": pose[:, 2],
    }
