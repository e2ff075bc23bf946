"""``img23d models``: what pretrained models there are, what they allow, where they lie; fetch, import and verify them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from img23d.cli.boundary import QuickGroup
from img23d.cli.options import Quiet
from img23d.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from img23d.weights import Weights

models = typer.Typer(
    cls=QuickGroup,
    help="Pretrained models: list, show, fetch, import, verify, licenses.",
    rich_markup_mode=None,
    invoke_without_command=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model's name or repository id; img23d models lists the names.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never reach for the network, as HF_HUB_OFFLINE=1.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON for each model.")]
CommercialOk = Annotated[bool, typer.Option("--commercial-ok", help="Refuse models that may not be used commercially.")]
OnlyCommercial = Annotated[bool, typer.Option("--commercial-ok", help="Only models that may be used commercially.")]


@models.callback()
def overview(ctx: typer.Context) -> None:
    """List the models; nothing is ever downloaded except by ``models fetch`` or by an option that names a model."""
    if ctx.invoked_subcommand is None:
        list_models()


@models.command("list")
def list_models(as_json: Json = False, commercial_ok: OnlyCommercial = False) -> None:
    """List every model: what for, size, licence, and whether it is on this machine."""
    from img23d.backends.hub import locate
    from img23d.weights import TABLE

    entries = [entry for entry in TABLE if entry.commercial or not commercial_ok]
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(facts(entry)))
        return
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        here = "here" if locate(entry) else "-"
        typer.echo(f"{entry.name:<{width}}  {here:<4}  {megabytes(entry):>8}  {entry.licence:<28.28}  {entry.what_for}")


@models.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show all that is known about one model, and where it lies or would lie."""
    found = facts(named(name))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for key, value in found.items():
        if value not in ("", [], None):
            typer.echo(f"{key:<11} {', '.join(value) if isinstance(value, list) else value}")


@models.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names or repository ids.")],
    offline: Offline = False,
    commercial_ok: CommercialOk = False,
    mirror: Annotated[str, typer.Option("--mirror", metavar="ADDRESS", help="Another hub, or another folder of rembg's files.")] = "",
    quiet: Quiet = False,
) -> None:
    """Download models: safetensors and ONNX only, checked against published checksums, their sha256 recorded."""
    from img23d.backends import fetching

    for name in names:
        entry = named(name)
        if not quiet:
            typer.echo(f"{entry.name}: {megabytes(entry)} from {mirror or entry.source}; licence: {entry.licence}", err=True)
        if not entry.pinned and not quiet:
            typer.echo(f"{entry.name}: no fixed revision is known; the sha256 of what arrives is recorded", err=True)
        found = fetching.fetch(entry, offline, commercial_ok, mirror, fetching.no_progress if quiet else _percent(entry.name))
        if ", from " in found.place and not quiet:
            typer.echo(f"{entry.name}: {entry.repo} is gone; taken{found.place.partition(',')[2]}", err=True)
        typer.echo(found.path)


@models.command("import")
def import_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model that this is.")],
    source: Annotated[Path, typer.Argument(metavar="PATH", help="An .onnx file, or a folder in the repository's layout.")],
    commercial_ok: CommercialOk = False,
    unverified: Annotated[bool, typer.Option("--unverified", help="Take a file that is not the published one.")] = False,
) -> None:
    """Copy a model from this machine to where img23d looks for it, and record its sha256; pickles are refused."""
    from img23d.backends import hub

    entry = named(name)
    hub.check_licence(entry, commercial_ok)
    found, hashes = hub.import_model(entry, source, unverified)
    for file, sha256 in hashes.items():
        typer.echo(f"{sha256}  {file}", err=True)
    typer.echo(found.path)


@models.command()
def verify(names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Default: all that are here.")] = None) -> None:
    """Compare models with the sha256 recorded at fetch or import; what has no record yet is recorded."""
    from img23d.backends import hub, model_files
    from img23d.weights import TABLE, unlisted

    others = [name for name in model_files.read_lock(hub.cache_dir()) if not is_known(name)]
    entries = [named(name) for name in names or ()] or [entry for entry in (*TABLE, *map(unlisted, others)) if hub.locate(entry)]
    bad = []
    for entry in entries:
        problems = hub.verify(entry)
        bad += [f"{entry.name}: {problem}" for problem in problems]
        typer.echo(f"{entry.name}: {'; '.join(problems) if problems else 'ok'}")
    if not entries:
        typer.echo("no model is on this machine", err=True)
    if bad:
        raise WeightsError(f"{len(bad)} problem{'s' if len(bad) > 1 else ''}: {bad[0]}", "fetch or import it again")


@models.command()
def licenses(commercial_ok: OnlyCommercial = False) -> None:
    """List the licence of each model and whether it allows commercial use."""
    from img23d.weights import TABLE

    for entry in TABLE:
        if entry.commercial or not commercial_ok:
            mark = "commercial" if entry.commercial else "NOT commercial"
            typer.echo(f"{entry.name:<26}  {mark:<14}  {entry.licence}{'; ' + entry.note if entry.note else ''}")


def is_known(name: str) -> bool:
    """Whether the table has a model of this name or repository id."""
    from img23d.weights import find

    return find(name) is not None


def named(name: str) -> Weights:
    """The table's entry, or one for any other repository's id.

    Raises:
        ConfigError: it is neither.
    """
    from img23d.weights import unlisted

    return unlisted(name) if name.count("/") == 1 and not is_known(name) else known(name)


def known(name: str) -> Weights:
    """The table's entry.

    Raises:
        ConfigError: there is none.
    """
    import difflib

    from img23d.weights import BY_NAME, find

    entry = find(name)
    if entry is None:
        near = difflib.get_close_matches(name, BY_NAME, 1)
        raise ConfigError(f"unknown model {name!r}", f"{f'did you mean {near[0]}? ' if near else ''}img23d models lists the names")
    return entry


def facts(entry: Weights) -> dict[str, object]:
    """What ``models show`` says."""
    from img23d.backends import hub, model_files

    found = hub.locate(entry)
    recorded = model_files.read_lock(hub.cache_dir()).get(entry.name, {})
    return {
        "name": entry.name,
        "kind": entry.kind,
        "what for": entry.what_for,
        "source": entry.source,
        "revision": entry.revision
        or ("" if entry.pinned or entry.by_hand else "main, not pinned: its sha256 is recorded on the first fetch"),
        "fallbacks": list(entry.fallbacks),
        "checksum": entry.checksum,
        "size_mb": entry.size_mb or None,
        "licence": entry.licence,
        "commercial": "yes" if entry.commercial else "no",
        "note": entry.note,
        "here": f"{found.path} ({found.place})" if found else "no",
        "sha256": [f"{value} {file}" for file, value in recorded.get("files", {}).items() if file.endswith((".onnx", ".safetensors"))],
        "to get it": "" if found else hub.missing(entry).hint,
    }


def megabytes(entry: Weights) -> str:
    """Size of the download in words."""
    if entry.kind == "embedded":
        return "0 MB"
    return f"{entry.size_mb} MB" if entry.size_mb else "? MB"


def _percent(name: str):  # type: ignore[no-untyped-def]
    """A progress callback that rewrites one line on stderr, at most a hundred times."""
    last = -1

    def show_percent(done: int, total: int) -> None:
        nonlocal last
        percent = 100 * done // total if total else 0
        if percent > last:
            last = percent
            typer.echo(f"\r{name}: {percent} %", nl=percent >= 100, err=True)

    return show_percent
