"""Writing binary PLY with vertex colours and texture coordinates."""

from __future__ import annotations

import numpy as np
import torch

import img23d
from img23d.io.corners import shading_normals
from img23d.io.textures import encode_textures, vertex_colors
from img23d.scene import Mesh, TexturedMesh

_WORDS = {"u1": "uchar", "<f4": "float", "<f8": "double"}


def ply_files(asset: TexturedMesh | Mesh, stem: str) -> dict[str, bytes]:
    """A mesh as PLY; vertices are shared across seams, so that it stays closed.

    Every reader takes positions, normals and vertex colours (Blender, MeshLab, CloudCompare); MeshLab also takes the full texture,
    from ``texcoord`` per face and the picture named in ``comment TextureFile``.

    Args:
        asset: the mesh, in the unit and axes wanted in the file.
        stem: first part of all file names, without spaces.

    Returns:
        File name to bytes, the ``.ply`` last.
    """
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    exact = "<f8" if mesh.vertices.dtype == torch.float64 else "<f4"
    vertex_type = [(name, exact if name in ("x", "y", "z") else "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    face_type: list[tuple] = [("count", "u1"), ("index", "<i4", 3)]
    comments, files = [f"comment img23d {img23d.__version__}"], {}
    if isinstance(asset, TexturedMesh):
        vertex_type += [(name, "u1") for name in ("red", "green", "blue")]
        face_type += [("numbers", "u1"), ("texcoord", "<f4", 6)]
        color = encode_textures(asset, lossless=True)["base_color"]
        picture = f"{stem}_base_color{color.suffix}"
        files[picture] = color.data
        comments.append(f"comment TextureFile {picture}")
    vertices, faces = np.zeros(len(mesh.vertices), vertex_type), np.zeros(len(mesh.faces), face_type)
    rows = np.concatenate([mesh.vertices.detach().cpu().numpy(), shading_normals(asset)], 1)
    for column, name in enumerate(("x", "y", "z", "nx", "ny", "nz")):
        vertices[name] = rows[:, column]
    faces["count"], faces["index"] = 3, mesh.faces.cpu().numpy()
    if isinstance(asset, TexturedMesh):
        colors = vertex_colors(asset)
        for column, name in enumerate(("red", "green", "blue")):
            vertices[name] = colors[:, column]
        uv = asset.uv.detach().cpu().to(torch.float32).numpy()
        corners = np.stack([uv[:, 0], 1 - uv[:, 1]], 1)[asset.uv_faces.cpu().numpy()]  # PLY counts v from the bottom
        faces["numbers"], faces["texcoord"] = 6, corners.reshape(-1, 6)
    header = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {len(vertices)}"]
    header += [f"property {_WORDS[kind]} {name}" for name, kind in vertex_type]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    header += ["property list uchar float texcoord"] if isinstance(asset, TexturedMesh) else []
    files[f"{stem}.ply"] = "\n".join([*header, "end_header", ""]).encode() + vertices.tobytes() + faces.tobytes()
    return files
