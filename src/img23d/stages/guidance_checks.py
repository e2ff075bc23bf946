"""What guidance cannot do, told before any work is done."""

from __future__ import annotations

from pathlib import Path

from img23d.backends.coordinates import check_network
from img23d.backends.mvdream import kind_of
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError

UNRELEASED = "sweetdreamer"  # what the preset names


def check_guidance(options: Guidance) -> None:
    """Refuse options that do not fit together, before any work is done.

    Raises:
        ConfigError: a text model without a text, weights that nobody has, or bounds of the noise that cross.
    """
    if options.geometry_model == UNRELEASED and not Path(UNRELEASED).exists():
        raise ConfigError(
            "SweetDreamer's weights were never released: train your own",
            "img23d train coordinates, then --set guidance.geometry_model=FOLDER",
        )
    if options.handover != "none" and not (options.view_model and options.text_model):
        raise ConfigError(f"guidance.handover={options.handover} needs two models", "--set guidance.handover=none, or name both models")
    if options.text_model and not options.prompt.strip():
        raise ConfigError("the text model must be told what the object is", "--set guidance.prompt='a blue mug'")
    for refining, stage in ((False, ""), (True, "refine_")):
        least, most = options.noise(refining)
        for now in (0.0, 1.0, *(place for bound in (least, most) for place in (bound.begin, bound.finish))):
            if not 0 <= least.at(now) <= most.at(now) <= 1:
                told = f"guidance.{stage}least={least.at(now):g} and guidance.{stage}most={most.at(now):g}"
                raise ConfigError(f"{told} do not rise within 0..1", f"--set guidance.{stage}least=0.02")


def check_models(options: Guidance, view: Path | None, text: Path | None, geometry: Path | None = None) -> None:
    """Refuse what models that see four sides at once, or the shape alone, cannot do; whether they are such ones, their files say.

    Args:
        options: of the guidance.
        view, text, geometry: the models' folders, None where there is none.

    Raises:
        ConfigError: one stands in the other's place, is to be shown normals, or to draw single pictures.
        WeightsError: the model of the geometry is another kind of network.
    """
    if geometry:
        check_network(geometry)
        if options.repaint > 0 and not (view or text):
            raise ConfigError("a model of coordinates cannot draw pictures anew", "--set guidance.repaint=0")
    kinds = [kind_of(path) if path else "" for path in (view, text)]
    if kinds[0] == "mvdream":
        raise ConfigError("MVDream does not know the photo", "--set guidance.view_model= --set guidance.text_model=mvdream")
    if kinds[1] == "imagedream":
        raise ConfigError("ImageDream must be told of the photo", "--set guidance.text_model= --set guidance.view_model=imagedream")
    if kinds[0] and options.handover != "none":
        raise ConfigError("ImageDream cannot tell when the shape has settled", "--set guidance.handover=none, or a Zero-1-to-3")
    if kinds[1] and options.text_sees != "colors":
        raise ConfigError("MVDream knows colours, not normals", "--set guidance.text_sees=colors")
    if options.repaint > 0 and kinds[1 if text else 0]:
        raise ConfigError("a model that sees four sides at once cannot draw single pictures anew", "--set guidance.repaint=0")
