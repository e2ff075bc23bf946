"""How well colours that a photo shows agree with their image under a symmetry."""

from __future__ import annotations

import torch
from torch import Tensor

# Colours differ by this much, root mean square, where both sides are seen: full agreement below, none above.
AGREES, DISAGREES = 0.06, 0.22
# Agreement that is assumed where no seen point tells, and that is left where colours differ (boxes have other prints on every side, and
# a wrong print still looks better than a smear).
UNTOLD, CONTRADICTED = 0.5, 0.3
# Colours that agree tell only where they differ by less than this share of their own spread in so many bands of height: of what is the same
# all round every image agrees.
TELLING, BANDS = 0.75, 48


def agreement(seen: tuple[Tensor, Tensor], imaged: tuple[Tensor, Tensor], enough: float, heights: Tensor | None = None) -> float:
    """How well colours agree where the photo shows both sides.

    Args:
        seen: colours (N, 3) and trust (N,) of the photo.
        imaged: the same of its image.
        enough: mean trust in both from which the answer means anything.
        heights: (N,) of the points; they agree only if they differ by less than `TELLING` of what the seen ones differ by at each height.

    Returns:
        0..1; `UNTOLD` when hardly any point is seen on both sides, and at most that where agreement tells nothing.
    """
    both = seen[1] * imaged[1]
    if float(both.mean()) < enough:
        return UNTOLD
    weight = both / both.sum()
    error = ((seen[0] - imaged[0]).square().mean(-1) * weight).sum().sqrt()
    found = float(((DISAGREES - error) / (DISAGREES - AGREES)).clamp(CONTRADICTED, 1))
    return min(found, UNTOLD) if heights is not None and error > TELLING * spread(seen[0], weight, heights) else found


def spread(rgb: Tensor, weight: Tensor, heights: Tensor) -> Tensor:
    """() root mean square by which colours (N, 3), weights (N,) adding up to 1, differ from the mean of those as high up."""
    order = heights.argsort()
    band = torch.empty_like(order)
    band[order] = (weight[order].cumsum(0) * BANDS).long().clamp(max=BANDS - 1)
    total = rgb.new_zeros(BANDS, 4).index_add_(0, band, weight[:, None] * torch.cat([rgb, torch.ones_like(rgb[:, :1])], -1))
    means = total[:, :3] / total[:, 3:].clamp(min=1e-9)
    return ((rgb - means[band]).square().mean(-1) * weight).sum().sqrt()
