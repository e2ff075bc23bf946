"""Which models a run will need: looked for before any work is done."""

from __future__ import annotations

from img23d.config import Config
from img23d.stages.guidance_checks import check_guidance, check_models


def have_models(config: Config) -> None:
    """Look for the weights that the options name, and fetch them where that is allowed, before any work is done.

    Raises:
        WeightsError: they are not here and not to be had.
        ConfigError: a model for guidance lacks what it must be told, or is to do what it cannot.
    """
    from img23d.backends.hub import is_offline, require
    from img23d.backends.monocular import DEFAULTS

    kind = config.estimate.geometry
    geometry = (config.estimate.geometry_model or DEFAULTS[kind]) if kind in DEFAULTS else ""
    check_guidance(config.guidance)
    for name in (*geometry.split(","), config.multiview.model):
        if name.strip():
            require(name.strip(), is_offline(config.offline), config.commercial_ok)
    have_guides(config)


def have_guides(config: Config) -> None:
    """`have_models` for those of the guidance alone."""
    from img23d.backends.hub import is_offline, require

    options = config.guidance
    check_guidance(options)
    named = [name.strip() for name in (options.view_model, options.text_model, options.geometry_model)]
    check_models(options, *(require(name, is_offline(config.offline), config.commercial_ok) if name else None for name in named))
