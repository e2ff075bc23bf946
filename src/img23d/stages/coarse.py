"""The coarse field that refine starts from: which kind is fitted goes by the options."""

from __future__ import annotations

from img23d.config import Fit
from img23d.fields.grid import FrozenGrid
from img23d.scene import ShapePrior, Views
from img23d.stages.context import Context
from img23d.stages.fit import VERSION
from img23d.stages.fit import fit as fit_neus
from img23d.stages.fit_gaussians import fit_gaussians
from img23d.stages.guide import Guide

__all__ = ["VERSION", "fit"]
FIELDS = {"neus": fit_neus, "gaussians": fit_gaussians}


def fit(
    views: Views, prior: ShapePrior, options: Fit, context: Context, drawn: Views | None = None, guide: Guide | None = None
) -> FrozenGrid:
    """As `img23d.stages.fit.fit` or `img23d.stages.fit_gaussians.fit_gaussians`."""
    return FIELDS[options.field](views, prior, options, context, drawn, guide)
