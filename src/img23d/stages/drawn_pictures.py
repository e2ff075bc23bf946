"""What all models that draw other sides have in common: a cut-out on white goes in, and pictures of an object on white come out."""

from __future__ import annotations

from torch import Tensor

from img23d.errors import FitError
from img23d.ops.crop import Box, crop
from img23d.scene import Views
from img23d.stages.context import Context

LEAST, MOST = 0.005, 0.9  # share of the picture that an object covers


def cut_on_white(views: Views, box: Box, size: int) -> Tensor:
    """(size, size, 3) a square of the first view, the object on white."""
    cover = crop(views.mask[0, ..., None], box, size).clamp(0, 1)
    return crop(views.rgb[0], box, size, views.mask[0]) * cover + 1 - cover


def showing(masks: list[Tensor], context: Context) -> list[int]:
    """Numbers of the pictures that show an object, by their cut-outs (H, W); that others are left out is told.

    Raises:
        FitError: none does.
    """
    good = [number for number, mask in enumerate(masks) if LEAST < float(mask.mean()) < MOST]
    if not good:
        raise FitError("none of the drawn views shows an object on white", "another --seed, or look at multiview.pose and multiview.model")
    if len(good) < len(masks):
        context.warnings.append(f"{len(masks) - len(good)} of {len(masks)} drawn views show no object on white and are left out")
    return good
