"""Options of the steps in which diffusion models draw other sides of the object, or pull at it. No torch in here, as in `img23d.config`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from img23d.options import Ramp, constant, option, ramp


@dataclass(frozen=True)
class Multiview:
    """Pictures of the object from other sides, drawn by a diffusion model (Zero-1-to-3, Wonder3D, SyncDreamer) before the fit."""

    model: str = option(
        "",
        "zero123-xl, stable-zero123, wonder3d (its own five sides, with normals), syncdreamer (its own sixteen), a repository id or a"
        " folder; empty = no such pictures",
    )
    plan: Literal["ring", "one-2-3-45"] = option("ring", "ring: round the object, as high as the photo; one-2-3-45: two rounds, 39 views")
    views: int = option(7, "pictures of a ring, beside the photo", 1, 63)
    steps: int = option(50, "denoising steps of a picture", 1, 999)
    scale: float = option(3.0, "classifier-free guidance; 1 = none", 0, 100)
    eta: float = option(1.0, "fresh noise in each denoising step: 0 = none, 1 = as much as DDPM", 0, 1)
    batch: int = option(4, "pictures drawn at once", 1, 64)
    pose: Literal["auto", "distance", "elevation"] = option(
        "auto", "last number the model is told: change of distance (zero123), or the photo's elevation (stable-zero123); auto = by its name"
    )


@dataclass(frozen=True)
class Guidance:
    """Diffusion models that pull at shape and colours while these are fitted: score distillation."""

    view_model: str = option(
        "", "Zero-1-to-3, Stable-Zero123 (see multiview.model) or imagedream (sees four sides): how the photo's object looks from elsewhere"
    )
    text_model: str = option(
        "",
        "stable-diffusion-2-1-base, stable-diffusion-1-5, mvdream (sees four sides), a repository id or a folder: how such a thing looks",
    )
    geometry_model: str = option(
        "", "folder of a model of coordinate maps (SweetDreamer), made by img23d train coordinates: which shapes there are; sees no colours"
    )
    pose: Literal["auto", "distance", "elevation"] = option("auto", "last number the view model is told: see multiview.pose")
    prompt: str = option("", "what the object is, for the text model and imagedream: a blue mug with a sun on it")
    negative_prompt: str = option("", "what it is not")
    view_weight: Ramp = constant(4.0, "weight of the view model's pull")
    text_weight: Ramp = constant(1.0, "weight of the text model's pull")
    geometry_weight: Ramp = constant(1.0, "weight of the geometry model's pull")
    weights_once: bool = option(False, "these weights run their course in fit alone and stay at its end in refine; else in each of them")
    view_scale: float = option(5.0, "classifier-free guidance of the view model; 1 = none", 0, 1000)
    view_rescale: float = option(0.0, "how much of the contrast that the view model's guidance adds is taken back; ImageDream: 0.2", 0, 1)
    view_loss: Literal["noise", "clean"] = option("noise", "what the view model's pull is measured by: see guidance.text_loss")
    text_scale: float = option(100.0, "classifier-free guidance of the text model; 1 = none", 0, 1000)
    text_rescale: float = option(0.0, "how much of the contrast that the text model's guidance adds is taken back; MVDream: 0.5", 0, 1)
    text_loss: Literal["noise", "clean"] = option(
        "noise", "what the text model's pull is measured by: the noise that it sees, or the clean picture that it sees (MVDream)"
    )
    geometry_scale: float = option(20.0, "classifier-free guidance of a geometry model that knows words; 1 = none", 0, 1000)
    text_sees: Literal["colors", "normals"] = option("colors", "what refine shows to the text model; fit shows colours")
    perpendicular: bool = option(
        True, "tell the text model which sides are not to be seen (Perp-Neg); two more passes in each step; not for mvdream"
    )
    handover: Literal["none", "exponential", "linear", "logarithmic"] = option(
        "none", "the view model pulls alone until the shape has settled, then hands over to the text model by this law (Consistent123)"
    )
    least: Ramp = constant(0.2, "least noise, as a share of the model's schedule")
    most: Ramp = ramp("most noise", 0.85, 0.5)
    refine_least: Ramp = constant(-1.0, "least noise in refine, over its own steps; below 0 = guidance.least, from its start again")
    refine_most: Ramp = constant(-1.0, "most noise in refine; below 0 = guidance.most, from its start again")
    refine_weight: float = option(1.0, "what all pulls are multiplied by in refine; 0 = no model is asked there", 0, 1000)
    hold: float = option(
        0.1, "img23d refine MESH: what the mesh's own surface, outlines, depths and normals count beside the models that pull", 0, 1
    )
    size: int = option(64, "side of the pictures that fit draws for the models; refine draws four times as large", 16, 1024, "px")
    batch: int = option(1, "sides drawn in each step; with mvdream and imagedream groups of four", 1, 16)
    widening: float = option(0.2, "share of a stage's steps in which the sides spread from the photo's to all", 0, 1)
    repaint: float = option(0.0, "share of noise from which colours of unseen sides are drawn anew before texture; 0 = as fitted", 0, 1)
    repaint_steps: int = option(30, "denoising steps of that, of a whole schedule", 1, 999)

    def noise(self, refining: bool) -> tuple[Ramp, Ramp]:
        """Least and most noise over the steps of fit, or of refine."""
        if not refining:
            return self.least, self.most
        least, most = (self.least, self.refine_least), (self.most, self.refine_most)
        return tuple(shared if max(own.start, own.end) < 0 else own for shared, own in (least, most))  # type: ignore[return-value]
