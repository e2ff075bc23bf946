"""Pictures with their cameras. An observation and a rendering are the same type."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from img23d.scene.cameras import Cameras
from img23d.scene.shapes import check_shape


@dataclass(frozen=True)
class Views:
    """V pictures of one object.

    Args:
        cameras: V cameras.
        rgb: (V, H, W, 3) sRGB-encoded, 0..1, not multiplied by the mask.
        mask: (V, H, W) coverage 0..1.
        depth: (V, H, W) z-depth in object units; meaningless where the mask is 0.
        normal: (V, H, W, 3) unit, object frame, outward.
        confidence: (V, H, W) 0..1, how far depth and normal are to be trusted.
    """

    cameras: Cameras
    rgb: Tensor
    mask: Tensor
    depth: Tensor | None = None
    normal: Tensor | None = None
    confidence: Tensor | None = None

    def __post_init__(self) -> None:
        views, height, width = self.mask.shape if self.mask.dim() == 3 else (None, None, None)
        check_shape("mask", self.mask, None, None, None)
        check_shape("rgb", self.rgb, views, height, width, 3)
        if len(self.cameras) != views:
            raise ValueError(f"{len(self.cameras)} cameras for {views} pictures")
        if self.depth is not None:
            check_shape("depth", self.depth, views, height, width)
        if self.normal is not None:
            check_shape("normal", self.normal, views, height, width, 3)
        if self.confidence is not None:
            check_shape("confidence", self.confidence, views, height, width)

    def __len__(self) -> int:
        return self.mask.shape[0]

    def __getitem__(self, chosen: slice | list[int]) -> Views:
        """Some of them."""
        maps = {name: value[chosen] for name, value in vars(self).items() if name != "cameras" and value is not None}
        return Views(self.cameras[chosen], **maps)

    def to(self, device: torch.device | str) -> Views:
        """The same views on another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)
