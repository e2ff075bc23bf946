"""Draw what the shape prior adds: photo, classical guess, learnt solid, finished mesh from four sides, truth; one row per object.

usage: python tests/benchmarks/draw_prior_sheet.py DATA RUNS OUT.jpg NAME...

DATA and RUNS as in bench_normals.py. Solids and truth are drawn grey, from a quarter to the right and above of the photo's camera.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from img23d.backends.rasterizers import choose_rasterizer
from img23d.config import load
from img23d.fields.grid import sample_grid
from img23d.io.asset_views import draw_asset, fitted
from img23d.io.images import to_pillow
from img23d.io.previews import on_white, sheet
from img23d.ops.march import marching_tetrahedra
from img23d.ops.render import render
from img23d.ops.tetgrid import tet_grid
from img23d.ops.topology import largest_components
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees
from img23d.stages.artifacts import load_prior, load_textured, load_views
from img23d.stages.estimate import inflated_guess
from img23d.training.objects import load_object

CELL, GRID = 150, 56
QUARTER = orbit_degrees([40.0], 18.0, 4.2, 28.5)
SIDES = (("front", 0.0), ("right", 90.0), ("back", 180.0), ("left", 270.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    cameras = json.loads((options.data / "photos" / "cameras.json").read_text())
    rows = [row_of(options.data, options.runs / f"{name}.run", cameras[name]["azimuth_deg"]) for name in options.names]
    rows[1:] = [[("", picture) for _, picture in row] for row in rows[1:]]
    to_pillow(sheet(rows, CELL)).convert("RGB").save(options.out, quality=84)


def row_of(data: Path, run: Path, azimuth_deg: float) -> list[tuple[str, Tensor]]:
    """Labelled pictures of one object."""
    rasterizer = choose_rasterizer("numba")
    views, asset = load_views(run / "02_estimate"), load_textured(run / "05_texture")
    _, inflated = inflated_guess(views, load("standard", []).prior, load("standard", []).estimate)
    row = [("photo", on_white(views.rgb[0], views.mask[0]))]
    row += [("inflated", grey(solid(inflated.sdf))), ("learnt", grey(solid(load_prior(run / "02_estimate").sdf)))]
    around = draw_asset(fitted(asset), orbit_degrees([side for _, side in SIDES], 8.0, 4.2, 28.5), 2 * CELL, 2 * CELL, rasterizer)
    row += [(name, on_white(rgb, None, mask)) for (name, _), rgb, mask in zip(SIDES, around.rgb, around.mask)]
    item = load_object(data / "objects" / f"{run.stem}.glb")
    turn = orbit_degrees([azimuth_deg], 0.0, 1.0, 30.0).cam_to_world[0, :3, :3]
    truth = Mesh(torch.from_numpy(item.vertices) @ turn, torch.from_numpy(item.faces).long())
    return [*row, ("result", grey(asset.mesh)), ("truth", grey(truth))]


def solid(sdf: Tensor) -> Mesh:
    """The surface of a volume, (D, D, D) over [-1, 1]^3."""
    grid = tet_grid(GRID)
    value = sample_grid(sdf[None], grid.vertices)[:, 0]
    value = torch.where((grid.vertices.abs() > 0.999).any(1), value.abs() + 1e-3, value)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, value)
    return largest_components(Mesh(vertices, faces), 0.02)


def grey(mesh: Mesh) -> Tensor:
    """(2 CELL, 2 CELL, 3) the shape alone, lit from the camera and from above."""
    vertices = mesh.vertices - (mesh.vertices.amin(0) + mesh.vertices.amax(0)) / 2
    size = 2 * CELL
    seen = render(Mesh(vertices / vertices.norm(dim=1).max(), mesh.faces), QUARTER, size, size, choose_rasterizer("numba")).views
    assert seen.normal is not None
    towards = torch.nn.functional.normalize(QUARTER.position[0], dim=0)
    light = 0.25 + 0.5 * (seen.normal[0] @ towards).abs() + 0.2 * seen.normal[0][..., 1].clamp(min=0)
    return on_white(light[..., None].expand(-1, -1, 3), seen.mask[0])


if __name__ == "__main__":
    main()
