"""Any mesh, with holes or without a back, to a closed solid of a given size in millimetres, ready for a slicer.

usage: python examples/repair_for_printing.py MESH OUT.stl SIZE_MM [key.path=value ...]
"""

import sys
from pathlib import Path

from img23d import config
from img23d.io.meshes import load_mesh
from img23d.ops.topology import is_closed_manifold, volume
from img23d.refinement import refine_mesh
from img23d.scene import TexturedMesh


def main(mesh: str, out: str, size_mm: str, *overrides: str) -> None:
    options = config.load("standard", [f"export.size_mm={size_mm}", "export.up=z", "export.viewer=false", *overrides])
    result = refine_mesh(Path(mesh), Path(out), options, force=True)
    made = load_mesh(result.path)
    made = made.mesh if isinstance(made, TexturedMesh) else made
    print(f"{result.path}: closed {is_closed_manifold(made)}, {volume(made) / 1000:.1f} cm3, {len(made.faces)} faces")


if __name__ == "__main__":
    main(*sys.argv[1:])
