"""The parts of the pipeline on their own: a torus, photographed by code, found again by NeuS and DMTet from six views.

usage: python examples/fit_your_own_field.py OUT.glb [STEPS]
"""

import sys
from pathlib import Path

import torch

from img23d import config, pipeline
from img23d.config import Fit, Refine
from img23d.fields.analytic import Sphere, Torus
from img23d.io.meshes import save_mesh
from img23d.ops.march import marching_tetrahedra
from img23d.ops.render import render
from img23d.ops.tetgrid import tet_grid
from img23d.ops.topology import euler_characteristic
from img23d.ops.volume import volume_points
from img23d.scene import Mesh, ShapePrior
from img23d.scene.cameras import orbit_degrees
from img23d.stages.fit import fit
from img23d.stages.observe import facing
from img23d.stages.refine import refine


def main(out: str, steps: str = "150") -> None:
    context = pipeline.open_context(config.load("standard"))
    grid = tet_grid(40)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, Torus().sdf(grid.vertices))
    cameras = orbit_degrees([0.0, 60.0, 120.0, 180.0, 240.0, 300.0], [70.0, 30.0, -30.0, 50.0, 10.0, -60.0], 2.6, 45.0)
    views = facing(render(Mesh(vertices, faces), cameras, 128, 128, context.rasterizer).views)
    points = volume_points(48).reshape(-1, 3)
    ball = Sphere(0.85).sdf(points).reshape(48, 48, 48)  # a bad guess, and not trusted
    prior = ShapePrior(ball, torch.full_like(ball, 0.01), torch.full((64, 64, 3), 0.5), torch.zeros(64, 64))
    field = fit(views, prior, Fit(resolution=48, steps=int(steps), learning_rate=0.02), context)
    mesh = refine(views, field, Refine(resolution=32, steps=int(steps) // 3), context)
    save_mesh(Path(out), mesh)
    print(f"{out}: {len(mesh.faces)} faces, Euler characteristic {euler_characteristic(mesh)} (a torus has 0)")


if __name__ == "__main__":
    main(*sys.argv[1:])
