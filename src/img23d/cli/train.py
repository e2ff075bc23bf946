"""``img23d train``: the networks that come with img23d, anew or on your own objects."""

from __future__ import annotations

import typer

train = typer.Typer(help="Train the networks that come with img23d.", rich_markup_mode=None, no_args_is_help=True)
