"""``img23d train``: the networks that come with img23d, anew or on your own objects, and one that guides."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from img23d.cli.boundary import QuickGroup
from img23d.errors import ConfigError

train = typer.Typer(cls=QuickGroup, help="Train img23d's own networks, and one to guide.", rich_markup_mode=None, no_args_is_help=True)

Options = TypeVar("Options")
EXAMINATION_SEED = 9001

Data = Annotated[list[str], typer.Option("--data", metavar="FOLDER", help="Folder of textured GLB objects, or a pack; may repeat.")]
Folder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Gets the checkpoint, the log, the weights and a cache.")]
Settings = Annotated[list[str], typer.Option("--set", "-s", metavar="KEY=VALUE", help="Any option of the training; may repeat.")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="Training time in all.")]
Steps = Annotated[int | None, typer.Option("--steps", help="End after this many steps instead.")]
TrainSeed = Annotated[int | None, typer.Option("--seed", help="Seed of weights and samples.")]
Afresh = Annotated[bool, typer.Option("--afresh", help="Start anew instead of going on from the checkpoint.")]


@train.command()
def prior(
    out: Folder,
    data: Data = [],  # noqa: B006
    size: Annotated[str | None, typer.Option("--size", metavar="cpu|gpu|tiny", help="How large a network, for what machine.")] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: TrainSeed = None,
    settings: Settings = [],  # noqa: B006
    afresh: Afresh = False,
) -> None:
    """Train the shape prior: photo to depth, normals, back colours and solid.

    Besides --data it learns from objects made by code (--set procedural=1500) and from things that lie (--set resting=1500).
    Stopped training goes on where it was.
    """
    from img23d.training.options import TrainOptions

    options = changed(TrainOptions(), settings, size=size, minutes=minutes, steps=steps, seed=seed)
    from img23d.training.shape_train import train_prior

    figures = train_prior(options, data, out, not afresh, show_figures)
    typer.echo(f"{out / 'shape.safetensors'}  {one_line(figures)}")


@train.command()
def foreground(
    out: Folder,
    data: Data = [],  # noqa: B006
    pictures: Annotated[int, typer.Option("--pictures", metavar="N", help="Object pictures to render, once.")] = 4096,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: TrainSeed = None,
    settings: Settings = [],  # noqa: B006
    afresh: Afresh = False,
) -> None:
    """Train the cut-out network: photo to what belongs to the object.

    It learns from pictures of objects made by code, and of those in --data. Stopped training goes on where it was.
    """
    from img23d.training.cutouts import read_cutouts, write_cutouts
    from img23d.training.dataset import held_out
    from img23d.training.foreground_train import ForegroundOptions, train_foreground
    from img23d.training.made_from import claim
    from img23d.training.pack import open_sources

    options = changed(ForegroundOptions(), settings, minutes=minutes, steps=steps, seed=seed)
    objects = [item for place in data for item in open_sources(place)]
    parts = {
        "learning": ([item for item in objects if not held_out(item.family)], pictures, options.seed),
        "examination": ([item for item in objects if held_out(item.family)], options.examined, EXAMINATION_SEED),
    }
    claim(out / "cache", objects)
    for name, (sources, count, part_seed) in parts.items():
        write_cutouts(out / "cache" / name, sources, count, part_seed, partial(show_count, name))
    learning, examination = (read_cutouts(out / "cache" / name) for name in parts)
    figures = train_foreground(options, learning, examination, out, not afresh, show_figures)
    typer.echo(f"{out / 'foreground.safetensors'}  {one_line(figures)}")


@train.command()
def normals(
    out: Folder,
    data: Data = [],  # noqa: B006
    minutes: Minutes = None,
    steps: Steps = None,
    seed: TrainSeed = None,
    settings: Settings = [],  # noqa: B006
    afresh: Afresh = False,
) -> None:
    """Train the network for fine normals: a closer look at what the shape prior sees.

    It learns from pictures of objects in --data and of ones made by code. Stopped training goes on where it was.
    """
    from img23d.training.fine_normals_train import NormalOptions, train_normals

    options = changed(NormalOptions(), settings, minutes=minutes, steps=steps, seed=seed)
    figures = train_normals(options, data, out, not afresh, show_figures)
    typer.echo(f"{out / 'normals.safetensors'}  {one_line(figures)}")


@train.command()
def coordinates(
    out: Folder,
    data: Data = [],  # noqa: B006
    base: Annotated[str | None, typer.Option("--base", metavar="FOLDER", help="Begin from this Stable Diffusion 1 or 2.")] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: TrainSeed = None,
    settings: Settings = [],  # noqa: B006
    afresh: Afresh = False,
) -> None:
    """Train a model that guides by coordinate maps, as SweetDreamer's does: which shapes there are, seen from where.

    It learns from the shapes in --data and of objects made by code. Without --base it knows no words. Stopped training goes on where it
    was. For the result: --set guidance.geometry_model=DIR/coordinates
    """
    from img23d.training.coordinate_train import MODEL, CoordinateOptions, train_coordinates

    options = changed(CoordinateOptions(), settings, base=base, minutes=minutes, steps=steps, seed=seed)
    figures = train_coordinates(options, data, out, not afresh, show_figures)
    typer.echo(f"{out / MODEL}  {one_line(figures)}")


def changed(options: Options, settings: list[str], **flags: Any) -> Options:
    """Training options with ``key=value`` settings and the flags that were given; a flag wins.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type.
    """
    import difflib

    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = [entry.name for entry in fields(options)]  # type: ignore[arg-type]
    pairs = [*settings, *(f"{key}={value}" for key, value in flags.items() if value is not None)]
    for pair in pairs:
        key, separator, _ = pair.partition("=")
        if not separator or key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"--set {pair!r}: no such option", f"did you mean {near[0]}=...?" if near else f"known: {', '.join(known)}")
    try:
        result: Options = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), OmegaConf.from_dotlist(pairs)))  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{getattr(error, 'full_key', '')}: {str(error).splitlines()[0]}", f"the options are: {', '.join(known)}"
        ) from error
    return result


def show_count(name: str, done: int) -> None:
    """How many pictures of a part are drawn."""
    show_figures({f"{name} pictures": float(done)})


def show_figures(figures: dict[str, float]) -> None:
    """One line on stderr."""
    typer.echo(one_line(figures), err=True)


def one_line(figures: dict[str, float]) -> str:
    """Names and numbers."""
    return ", ".join(f"{name} {value:g}" for name, value in figures.items())
