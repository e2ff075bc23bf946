"""From what the shape network says of a picture to where the camera stood: elevation and roll."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PLANES = 7  # mask, normal 3, first and last depth, certainty of the normal
WIDTHS = (20, 36, 48)  # channels at 1/4, 1/8 and 1/16 of the picture of 64 pixels
TOLD = 32  # numbers from which the view is read
PLACES = 4  # along each side of what is left of the picture then
DOUBT = 0.1  # 1 - cosine at which a normal's certainty is 1 / e


class ViewHead(nn.Module):
    """Where the camera stood, read from the network's own normals and depths and what it has made of the whole picture.

    A thing looked at from above and one looked at from the front differ in which way their surfaces face, and little in what else there is.

    Args:
        width: channels of the network's smallest size.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((PLANES, *WIDTHS), WIDTHS):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.look = nn.Sequential(*layers)
        self.seen = nn.Linear(WIDTHS[-1] * PLACES**2, TOLD)
        self.whole = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, TOLD))
        self.view = nn.Linear(TOLD, 3)
        nn.init.zeros_(self.view.weight)
        nn.init.zeros_(self.view.bias)  # type: ignore[arg-type]

    def forward(self, planes: Tensor, whole: Tensor) -> Tensor:
        """(B, 3) what is to be added to elevation and roll, in units of their spread, and to the logarithm of the elevation's scale.

        Args:
            planes: (B, PLANES, h, w) of `view_planes`.
            whole: (B, width) means over the network's smallest size.
        """
        look = nn.functional.adaptive_avg_pool2d(self.look(planes), PLACES)
        return self.view(torch.relu(self.seen(look.flatten(1)) + self.whole(whole)))


def view_planes(mask: Tensor, normal: Tensor, depth: Tensor, log_scale: Tensor) -> Tensor:
    """(B, PLANES, 32, 32) what the head looks at.

    Args:
        mask: (B, 1, S, S).
        normal: (B, 3, S, S).
        depth: (B, 2, S, S).
        log_scale: (B, 1, S, S) of 1 - cosine of the normal.
    """
    sure = torch.exp(-log_scale.exp() / DOUBT)
    return nn.functional.adaptive_avg_pool2d(torch.cat([mask, normal * mask, depth * mask, sure * mask], 1).float(), 32)
