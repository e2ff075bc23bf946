"""``img23d eval``: score a mesh against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from img23d.errors import ConfigError, InputError


def evaluate(
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="The mesh to score: GLB, glTF, OBJ, OFF, PLY or STL.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="What it should be.")],
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="registered|syncdreamer", help="Register first, or as it stands.")
    ] = "registered",
    truth_yaw: Annotated[
        float, typer.Option("--truth-yaw", metavar="DEGREES", help="Turn the truth about the up axis: minus SyncDreamer's listed angle.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Measure chamfer distance, F-scores and volume overlap of two meshes.

    registered: both are scaled to a longest side of 2, the prediction is turned and fitted onto the truth.
    syncdreamer: the truth is scaled to a longest side of 1, the prediction is taken as it stands.
    """
    if protocol not in ("registered", "syncdreamer"):
        raise ConfigError(f"--protocol {protocol}: no such protocol", "--protocol registered or --protocol syncdreamer")
    for path in (pred, truth):
        if not path.is_file():
            raise InputError(f"there is no mesh {path}", "name a GLB, glTF, OBJ, OFF, PLY or STL file")
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.evals import protocols
    from img23d.io.reading import load_mesh
    from img23d.scene import TexturedMesh

    loaded = [load_mesh(path) for path in (pred, truth)]
    first, second = (asset.mesh if isinstance(asset, TexturedMesh) else asset for asset in loaded)
    rasterizer = choose_rasterizer("auto", "cpu")
    if protocol == "registered":
        scores = protocols.registered(first, second, rasterizer)
    else:
        scores = protocols.syncdreamer(first, second, rasterizer, truth_yaw)
    if as_json:
        typer.echo(json.dumps({key: round(value, 5) if isinstance(value, float) else value for key, value in scores.as_dict().items()}))
        return
    for key, value in scores.as_dict().items():
        typer.echo(f"{key:<9} {value:.4f}" if isinstance(value, float) else f"{key:<9} {value}")
