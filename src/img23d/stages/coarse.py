"""The coarse field that refine starts from: which kind is fitted goes by the options, and what is known stays."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from img23d.config import Fit
from img23d.fields.grid import FrozenGrid, upsample
from img23d.priors.solid import SURE
from img23d.scene import ShapePrior, Views
from img23d.stages.context import Context
from img23d.stages.fit import VERSION, color_volume
from img23d.stages.fit import fit as fit_neus
from img23d.stages.fit_gaussians import fit_gaussians
from img23d.stages.guide import Guide

__all__ = ["VERSION", "fit"]
FIELDS = {"neus": fit_neus, "gaussians": fit_gaussians}
SEAM = 2  # samples each way: how wide the way is from what is known to what was fitted


def fit(
    views: Views, prior: ShapePrior, options: Fit, context: Context, drawn: Views | None = None, guide: Guide | None = None
) -> FrozenGrid:
    """As `img23d.stages.fit.fit` or `img23d.stages.fit_gaussians.fit_gaussians`, but what is known for sure stays as it is."""
    if options.field == "neus" and guide is None and bool((prior.confidence >= SURE).all()):  # a box: there is nothing to find out
        return FrozenGrid(prior.sdf, color_volume(views, prior), known=torch.ones_like(prior.sdf, dtype=torch.bool))
    made = FIELDS[options.field](views, prior, options, context, drawn, guide)
    return with_known(made, prior) if prior.known else made


def with_known(field: FrozenGrid, prior: ShapePrior) -> FrozenGrid:
    """The field with the prior, as fine as it is, in its place wherever that is known for sure."""
    sure = prior.confidence >= SURE
    size = len(sure)
    share = F.avg_pool3d(sure.to(field.sdf_volume)[None, None], 2 * SEAM + 1, 1, SEAM, count_include_pad=False)[0, 0]
    mixed = torch.lerp(upsample(field.sdf_volume[None], size)[0], prior.sdf, share)
    return FrozenGrid(mixed, field.color_volume, field.settled, share == 1.0, field.cloud)
