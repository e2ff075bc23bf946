"""An interactive window with a mesh, by Open3D (MIT), where there is a display."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from img23d.backends.open3d_geometry import load
from img23d.errors import BackendError
from img23d.scene import Mesh, TexturedMesh

BROWSER = "open viewer.html in the run folder with any browser; it needs nothing installed"


def check_display() -> None:
    """Fail early and clearly where no window can be opened.

    Raises:
        BackendError: Linux without an X11 or Wayland display, as over ssh or in a container.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise BackendError("there is no display to open a window on", BROWSER)


def view(asset: TexturedMesh | Mesh, title: str = "img23d") -> None:
    """Show a mesh until its window is closed.

    Args:
        asset: what to show; its texture too, where it has one.
        title: of the window.

    Raises:
        BackendError: no display, no Open3D, or no OpenGL.
    """
    check_display()
    open3d = load()
    shown = to_open3d(open3d, asset)
    window = open3d.visualization.Visualizer()
    if not window.create_window(title, 1024, 768):
        raise BackendError("Open3D could not open a window (no OpenGL?)", BROWSER)
    try:
        window.add_geometry(shown)
        window.get_render_option().mesh_show_back_face = True
        window.run()
    finally:
        window.destroy_window()


def to_open3d(open3d: Any, asset: TexturedMesh | Mesh) -> Any:
    """An Open3D triangle mesh with vertex normals and, where there is one, the texture."""
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    utility = open3d.utility
    shown = open3d.geometry.TriangleMesh(
        utility.Vector3dVector(mesh.vertices.detach().cpu().double().numpy()),
        utility.Vector3iVector(mesh.faces.cpu().numpy().astype(np.int32)),
    )
    if isinstance(asset, TexturedMesh):
        corners = asset.uv[asset.uv_faces].detach().cpu().double().numpy().reshape(-1, 2)
        corners[:, 1] = 1 - corners[:, 1]  # Open3D's texture coordinates start at the bottom
        shown.triangle_uvs = utility.Vector2dVector(corners)
        picture = (asset.base_color.detach().cpu().clamp(0, 1) * 255 + 0.5).byte().numpy()
        # The renderer reads pictures bottom up.
        shown.textures = [open3d.geometry.Image(np.ascontiguousarray(picture[::-1]))]
        shown.triangle_material_ids = utility.IntVector([0] * len(mesh.faces))
    shown.compute_vertex_normals()
    return shown
