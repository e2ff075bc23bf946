"""Writing Wavefront OBJ with its material and pictures."""

from __future__ import annotations

import numpy as np
import torch

import img23d
from img23d.io.corners import numbered_normals
from img23d.io.textures import encode_textures
from img23d.scene import Mesh, TexturedMesh


def obj_files(asset: TexturedMesh | Mesh, stem: str) -> dict[str, bytes]:
    """A mesh as OBJ: positions shared across seams and hard edges, the rest numbered per corner, so that it stays closed.

    Args:
        asset: the mesh, in the unit and axes wanted in the file.
        stem: first part of all file names, without spaces.

    Returns:
        File name to bytes, the ``.obj`` last. The material names the base colour as ``map_Kd`` and the normal map as ``norm``.
    """
    mesh = asset.mesh if isinstance(asset, TexturedMesh) else asset
    lines = [f"# img23d {img23d.__version__}"]
    faces = mesh.faces.cpu().numpy() + 1
    files: dict[str, bytes] = {}
    normals, normal_faces = numbered_normals(asset)
    digits = 17 if mesh.vertices.dtype == torch.float64 else 9
    body = _rows("v", mesh.vertices.detach().cpu().to(torch.float64).numpy(), digits) + _rows("vn", normals)
    if isinstance(asset, TexturedMesh):
        for role, picture in encode_textures(asset, lossless=True).items():
            files[f"{stem}_{role}{picture.suffix}"] = picture.data
        files[f"{stem}.mtl"] = _material(asset, list(files)).encode()
        lines += [f"mtllib {stem}.mtl", "usemtl surface"]
        uv = asset.uv.detach().cpu().to(torch.float64).numpy()
        body += _rows("vt", np.stack([uv[:, 0], 1 - uv[:, 1]], 1))  # OBJ counts v from the bottom
        columns = np.stack([faces, asset.uv_faces.cpu().numpy() + 1, normal_faces + 1], -1).reshape(len(faces), 9)
        body += ["f {}/{}/{} {}/{}/{} {}/{}/{}".format(*row) for row in columns.tolist()]
    else:
        columns = np.stack([faces, normal_faces + 1], -1).reshape(len(faces), 6)
        body += ["f {}//{} {}//{} {}//{}".format(*row) for row in columns.tolist()]
    files[f"{stem}.obj"] = "\n".join([*lines, *body, ""]).encode()
    return files


def _material(asset: TexturedMesh, pictures: list[str]) -> str:
    """The material: classic colours first, then the roughness, metal and normal entries that newer readers know."""
    metallic, roughness = asset.metallic_roughness
    lines = [f"# img23d {img23d.__version__}", "newmtl surface", "Ka 1 1 1", "Kd 1 1 1", "Ks 0 0 0", "d 1", "illum 1"]
    lines += [f"Pr {roughness:g}", f"Pm {metallic:g}", f"map_Kd {pictures[0]}"]
    lines += [f"norm {name}" for name in pictures[1:]]
    return "\n".join([*lines, ""])


def _rows(word: str, values: np.ndarray, digits: int = 9) -> list[str]:
    """One line per row of values."""
    pattern = word + f" %.{digits}g" * values.shape[1]
    return [pattern % tuple(row) for row in values.tolist()]
