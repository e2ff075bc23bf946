"""Asking the shape network about a picture: twice, mirrored, and at the size it was trained on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.inflate import inflate
from img23d.priors.network import Answer, ShapeNetwork, inflated_volume, network_inputs


def ask(network: ShapeNetwork, cut: Tensor, fov: Tensor) -> Answer:
    """The mean of the network's answers to a picture and to its mirror image, turned back: half the noise for twice the time.

    Args:
        network: trained on pictures of ``network.picture_size``, which is S or S / 2.
        cut: (1, 4, S, S) colour times mask, and mask.
        fov: (1,) radians or nan.

    Returns:
        the answer for S x S pixels.
    """
    both = torch.cat([cut, cut.flip(-1)])
    thickness = torch.stack(inflate(both[:, 3]), 1).clamp(max=1.0)
    inputs = network_inputs(both[:, :3], both[:, 3:], thickness, fov.expand(2))
    small = F.avg_pool2d(inputs, 2) if network.picture_size < inputs.shape[-1] else inputs
    answer = merge(network(small.contiguous(memory_format=torch.channels_last)))
    return answer if small is inputs else lift(answer, small[:1], inputs[:1])


def merge(answer: Answer) -> Answer:
    """The mean of the first answer and of the second, which is about the mirrored picture."""

    def mean(name: str, sign: Tensor | float = 1.0, pictures: bool = True) -> Tensor:
        ours, other = getattr(answer, name).split(1)
        return 0.5 * (ours + (other.flip(-1) if pictures else other) * sign)

    turned = answer.normal.new_tensor([-1.0, 1.0, 1.0])
    return Answer(
        mean("volume"), mean("depth"), F.normalize(mean("normal", turned[:, None, None]), dim=1, eps=1e-4), mean("back_rgb"),
        mean("log_scale"), mean("pose", answer.pose.new_tensor([1.0, -1.0, 1.0]), False), mean("pose_log_scale", 1.0, False),
    )  # fmt: skip


def lift(answer: Answer, small: Tensor, inputs: Tensor) -> Answer:
    """An answer about a picture of half the size, for the full size: what it changed of the inflated silhouette is smooth.

    Args:
        answer: for ``small``.
        small: (1, INPUTS, S/2, S/2) what the network saw.
        inputs: (1, INPUTS, S, S) the picture in full.
    """
    seen = (small[:, 3:4] > 0.5).float()
    depth = enlarge(answer.depth - depths_of(small), seen) + depths_of(inputs)
    change = answer.volume - inflated_volume(small[:, 5:6], small[:, 3:4])
    volume = F.interpolate(change, scale_factor=2.0, mode="bilinear", align_corners=False)
    return Answer(
        volume + inflated_volume(inputs[:, 5:6], inputs[:, 3:4]), depth, F.normalize(enlarge(answer.normal, seen), dim=1, eps=1e-4),
        enlarge(answer.back_rgb, seen), enlarge(answer.log_scale, seen), answer.pose, answer.pose_log_scale,
    )  # fmt: skip


def depths_of(inputs: Tensor) -> Tensor:
    """(B, 2, S, S) front and back of the inflated silhouette."""
    return torch.cat([-inputs[:, 5:6], inputs[:, 5:6]], 1)


def enlarge(maps: Tensor, seen: Tensor) -> Tensor:
    """(B, C, S, S) to twice the size, where what lies outside the mask (B, 1, S, S) does not bleed in."""
    weight = seen + 1e-4

    def larger(planes: Tensor) -> Tensor:
        return F.interpolate(planes, scale_factor=2.0, mode="bilinear", align_corners=False)

    return larger(maps * weight) / larger(weight)
