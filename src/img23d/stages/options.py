"""What a step's result depends on: its own options, and the models that they name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from img23d.config import Config
from img23d.diffusion_options import Guidance
from img23d.fields.grid import FrozenGrid
from img23d.run import model_digests
from img23d.stages.handover import Handover


def estimate_options(config: Config) -> list[Any]:
    """What the estimate depends on: a model that is named by a path by its content too, and whether its licence was looked at."""
    options = [config.prior, config.estimate]
    if config.estimate.geometry in ("auto", "prior"):
        return options
    return [*options, model_digests(config.estimate.geometry_model), config.commercial_ok]


def imagine_options(config: Config) -> list[Any]:
    """What the drawn views depend on, likewise."""
    return [config.multiview, model_digests(config.multiview.model), config.commercial_ok]


def guides(config: Config) -> bool:
    """Whether diffusion models pull at shape and perhaps colours."""
    return bool(guides_colours(config) or config.guidance.geometry_model)


def guides_colours(config: Config) -> bool:
    """Whether some of them see colours, so that these are worth painting with."""
    return bool(config.guidance.view_model or config.guidance.text_model)


def guided_options(config: Config, options: Any) -> Any:
    """What fit or refine depends on: its own options, and the guidance where there is some; fit not on what is refine's alone."""
    if not guides(config):
        return options
    models = model_digests(f"{config.guidance.view_model},{config.guidance.text_model},{config.guidance.geometry_model}")
    both = [] if config.guidance.handover == "none" else [config.fit.steps, config.refine.steps]  # one course through both stages
    guidance, plain = replace(config.guidance, repaint=0.0, repaint_steps=1), Guidance()
    if options is config.fit:
        later = {name: getattr(plain, name) for name in ("refine_least", "refine_most", "refine_weight", "hold")}
        guidance = replace(guidance, **later)
    return [options, guidance, models, config.commercial_ok, *both]


def handover(config: Config, fitted: FrozenGrid | None) -> Handover | None:
    """How the models of the guidance hand over to each other; ``fitted`` is what fit made, and None for fit itself."""
    if config.guidance.handover == "none":
        return None
    settled = None if fitted is None else fitted.settled
    return Handover(config.guidance.handover, config.fit.steps, config.refine.steps, settled, fitted is not None)
