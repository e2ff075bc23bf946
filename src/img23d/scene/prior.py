"""What is believed about the parts of an object that the photo does not show."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from img23d.scene.shapes import check_shape

KNOWN, MOST = 0.85, 0.5  # confidence from which a place is known, and share of the solid that has to be


@dataclass(frozen=True)
class ShapePrior:
    """A guess of the whole solid and of its far side's colour.

    Args:
        sdf: (D, D, D) signed distance, negative inside, object units, indexed [z, y, x] over [-1, 1]^3 with samples on the cube's faces.
        confidence: (D, D, D) 0..1, how far ``sdf`` is to be trusted.
        back_rgb: (H, W, 3) sRGB colour of the last surface along each of the photo's rays, pixel-aligned with the photo.
        back_confidence: (H, W) 0..1.
    """

    sdf: Tensor
    confidence: Tensor
    back_rgb: Tensor
    back_confidence: Tensor

    def __post_init__(self) -> None:
        size = self.sdf.shape[0]
        check_shape("sdf", self.sdf, size, size, size)
        check_shape("confidence", self.confidence, size, size, size)
        check_shape("back_rgb", self.back_rgb, None, None, 3)
        check_shape("back_confidence", self.back_confidence, *self.back_rgb.shape[:2])

    @property
    def known(self) -> bool:
        """Whether the solid is known rather than guessed, as a box or a solid of revolution that photo and network agree on.

        Its handles and spouts may be guessed. By the mean of the confidence a cup with thin walls and a large handle would be no cup.
        """
        inside = self.sdf < 0
        return bool(inside.any()) and float((self.confidence[inside] > KNOWN).float().mean()) > MOST

    def to(self, device: torch.device | str) -> ShapePrior:
        """The same prior on another device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})
