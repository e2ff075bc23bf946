"""``img23d presets``: list the presets, show every option of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from img23d.cli.boundary import QuickGroup
from img23d.cli.options import Settings

presets = typer.Typer(
    cls=QuickGroup, help="List the presets; presets show NAME shows one.", rich_markup_mode=None, invoke_without_command=True
)


@presets.callback()
def list_presets(ctx: typer.Context) -> None:
    """List the presets that come with img23d; ``presets show NAME`` shows every option of one."""
    if ctx.invoked_subcommand is not None:
        return
    from img23d import config

    names = config.preset_names()
    width = max(map(len, names), default=0)
    for name in names:
        typer.echo(f"{name:<{width}}  {description(config.preset_dir() / f'{name}.yaml')}")


@presets.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A preset's name or a YAML file.")] = "standard",
    settings: Settings = [],  # noqa: B006
    changed: Annotated[bool, typer.Option("--changed", help="Only the options that differ from the defaults.")] = False,
) -> None:
    """Show every option of a preset with its meaning, unit and range; * marks what differs from the defaults."""
    from img23d import config

    chosen = config.load(name, settings)
    for line in option_lines(chosen, config.Config(), changed):
        typer.echo(line)


def description(preset: Path) -> str:
    """The one-line description inside a preset file; empty when it has none."""
    from yaml import YAMLError, safe_load

    try:
        content = safe_load(preset.read_text(encoding="utf-8"))
    except (OSError, YAMLError, UnicodeDecodeError):
        return "(cannot be read)"
    return str(content.get("description", "")) if isinstance(content, dict) else ""


def option_lines(chosen: Any, default: Any, changed: bool = False, prefix: str = "") -> Iterator[str]:
    """One line for each option below a config node: mark, key, value, meaning."""
    hints = get_type_hints(type(chosen))
    for entry in fields(chosen):
        value, usual, key = getattr(chosen, entry.name), getattr(default, entry.name), f"{prefix}{entry.name}"
        if is_dataclass(value) and not isinstance(value, type) and not _is_leaf(value):
            yield from option_lines(value, usual, changed, f"{key}.")
        elif value != usual or not changed:
            mark = "*" if value != usual else " "
            yield f"{mark} {key + '=' + _shown(value):<44} {meaning(entry, hints[entry.name])}".rstrip()


def meaning(entry: Field[Any], kind: Any) -> str:
    """What an option means, with its choices or its range and unit."""
    data, parts = entry.metadata, [str(entry.metadata.get("text", ""))]
    if choices := get_args(kind):
        parts.append(" | ".join(map(str, choices)))
    elif data.get("low") is not None:
        parts.append(" ".join(filter(None, [f"{data['low']:g}..{data['high']:g}", data.get("unit", "")])))
    elif data.get("unit"):
        parts.append(str(data["unit"]))
    return "; ".join(filter(None, parts))


def _is_leaf(node: Any) -> bool:
    """A schedule is shown on one line; everything else that has options is a branch."""
    from img23d.config import Ramp

    return isinstance(node, Ramp)


def _shown(value: Any) -> str:
    if not is_dataclass(value) or isinstance(value, type):
        return str(value).lower() if isinstance(value, bool) else str(value)
    ramp = asdict(value)
    if ramp["start"] == ramp["end"]:
        return f"{ramp['start']:g}"
    return f"{ramp['start']:g}..{ramp['end']:g} (from {ramp['begin']:g} to {ramp['finish']:g} of the steps)"
