"""One HTML file that shows a model in any browser: offline, by a double click, with nothing to install."""

from __future__ import annotations

import base64
import html
from importlib import resources
from pathlib import Path

from img23d.io.files import atomic_write, plain_name
from img23d.io.gltf import glb_bytes
from img23d.io.meshes import placed
from img23d.scene import Mesh, TexturedMesh


def viewer_html(asset: TexturedMesh | Mesh, title: str = "model") -> str:
    """A page that holds the asset and a viewer for it.

    Args:
        asset: the mesh, +Y up, front towards +Z.
        title: shown on the page; plain text.

    Returns:
        The page, a little more than four thirds of the GLB's size.
    """
    template = resources.files("img23d.io").joinpath("viewer.html").read_text(encoding="utf-8")
    model = base64.b64encode(glb_bytes(asset, name=title)).decode()
    before, after = template.split("{{model}}")
    names = {"{{title}}": html.escape(title), "{{file}}": f"{plain_name(title) or 'model'}.glb"}
    for placeholder, value in names.items():
        before, after = before.replace(placeholder, value), after.replace(placeholder, value)
    return before + model + after


def save_viewer(path: str | Path, asset: TexturedMesh | Mesh, source: str = "model", force: bool = True, size_mm: float = 0.0) -> Path:
    """Write `viewer_html` to a file.

    Args:
        path: where to, ending in ``.html``.
        asset: the mesh, +Y up, front towards +Z.
        source: name of the photo or mesh it came from; its stem is the page's title.
        force: replace an existing file; otherwise it is an error.
        size_mm: longest side of the model that the page saves, as `img23d.io.meshes.save_mesh` writes it; 0 leaves it as it is.

    Raises:
        OutputError: the file cannot be written.
    """
    page = viewer_html(placed(asset, "glb", size_mm, "y"), Path(source).stem or "model")
    return atomic_write(path, lambda partial: partial.write_text(page, encoding="utf-8"), force)
