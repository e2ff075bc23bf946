"""Reading any mesh file into one mesh, with its colours in one texture."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from img23d.errors import InputError
from img23d.io.beside import Beside
from img23d.io.decode import readable
from img23d.io.gltf_reading import prepared_gltf
from img23d.io.obj_reading import prepared_obj
from img23d.io.off_reading import prepared_off
from img23d.io.packing import Part, pack
from img23d.io.ply_reading import prepared_ply
from img23d.io.surfaces import MAX_TEXTURE, Pictures, made_up, surface
from img23d.scene import Mesh, TexturedMesh, lies_far

READABLE = ("glb", "gltf", "obj", "off", "ply", "stl")
ROUNDED = 1e-3  # of a mesh's size: what may be rounded
SINGLE, DOUBLE = 2.0**-23, 2.0**-52  # steps of float32 and float64, as a share of a number
SHORT = 1e-6  # largest number in a normal that says nothing


def load_mesh(path: str | Path, warnings: list[str] | None = None) -> TexturedMesh | Mesh:
    """Load a mesh of any size, place and unit, closed or not.

    Scenes are flattened, polygons cut into triangles, equal positions welded, several materials packed into one texture, and
    colours per vertex or face painted into one.

    Args:
        path: a GLB, glTF, OBJ, OFF, PLY or STL file.
        warnings: gets a line for every file that is named in it and missing, and for all that could not be read as it is meant.

    Returns:
        A `TexturedMesh` where the file holds any colour, else a `Mesh`, in float64 where it lies far from the origin; seams are welded
        in ``mesh`` and kept in ``uv``, hard edges in ``corner_normals``, where the file has normals.

    Raises:
        InputError: missing, damaged, of an unknown or compressed format, in need of an unknown extension, without faces, or with
            coordinates that are not numbers.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    with readable(path, "mesh"):
        if suffix not in READABLE:
            raise InputError(f"the mesh {path} is of an unknown format", f"convert it to one of {', '.join(READABLE)}")
        if path.stat().st_size == 0:
            raise InputError(f"the mesh {path} is empty (0 bytes)", "copy or export it again")
        notes = [] if warnings is None else warnings
        try:
            parts, material = _read_parts(path, suffix, notes)
        except (AttributeError, AssertionError, NotImplementedError, RuntimeError, ImportError) as error:
            raise InputError(
                f"the mesh {path} is damaged or not what its suffix says", "open and export it again in a 3D program"
            ) from error
    if not parts:
        raise InputError(f"the mesh {path} has no faces", "use a surface mesh; point clouds and empty files cannot be refined")
    return _join(path, parts, material, notes)


def weld(vertices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge vertices whose float32 positions are equal.

    Args:
        vertices: (N, 3).

    Returns:
        positions (K, 3) in the order of first appearance, and (N,) int64 which of them each vertex became.
    """
    exact = np.ascontiguousarray(vertices, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
    rows = exact.view(np.dtype((np.void, 12))).reshape(-1)
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return vertices[first[order]], rank[inverse.reshape(-1)].astype(np.int64)


def _join(path: Path, parts: list[Part], material: tuple[float, float], warnings: list[str]) -> TexturedMesh | Mesh:
    """One mesh from the parts of a file."""
    vertices = np.concatenate([part.vertices for part in parts])
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices)).any(1).sum())
        raise InputError(f"the mesh {path} has {bad} vertices whose coordinates are not finite numbers", "repair it in a 3D program first")
    low, high = vertices.min(0), vertices.max(0)
    if max(float(np.abs(vertices).max()) * DOUBLE, *(part.rounded for part in parts)) > ROUNDED * float((high - low).max()):
        raise InputError(f"the mesh {path} lies so far from the origin that rounding takes its shape away", "move it to the origin first")
    far = lies_far(torch.from_numpy(np.stack([low, high])))
    middle = (low + high) / 2 if far else np.zeros(3)
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts)])
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"the mesh {path} has faces that name vertices it does not have", "open and export it again in a 3D program")
    positions, rank = weld(vertices - middle)
    faces = rank[faces]
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    corners = positions[faces]
    if not np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any():
        raise InputError(f"the mesh {path} has no faces with an area", "use a surface mesh")
    used, compact = np.unique(faces[keep], return_inverse=True)
    normals = _corner_normals(parts, keep)
    placed = torch.from_numpy(positions[used] + middle)
    mesh = Mesh(placed if far else placed.float(), torch.from_numpy(compact.reshape(-1, 3).astype(np.int64)), normals)
    if all(part.plain for part in parts):
        return mesh
    atlas = pack(parts, MAX_TEXTURE)
    if atlas.normal is None and any(part.normal_image is not None for part in parts):
        warnings.append(f"{path.name} has several materials or a repeating texture: it is read without its normal maps")
    uv_faces = atlas.uv_faces[keep]
    uv_used, uv_compact = np.unique(uv_faces, return_inverse=True)
    return TexturedMesh(
        mesh,
        torch.from_numpy(atlas.uv[uv_used]).float(),
        torch.from_numpy(uv_compact.reshape(-1, 3).astype(np.int64)),
        torch.from_numpy(np.array(atlas.color)).float() / 255,
        None if atlas.normal is None else torch.from_numpy(np.array(atlas.normal)).float() / 255,
        material,
        _file_normals(parts, rank, len(positions), used) if atlas.normal is not None else None,
    )


def _file_normals(parts: list[Part], rank: NDArray[np.int64], count: int, used: NDArray[np.int64]) -> torch.Tensor | None:
    """(N, 3) the file's vertex normals, averaged over the copies of each welded vertex: a kept normal map refers to them."""
    normals = np.concatenate([part.normals for part in parts]) if all(part.normals is not None for part in parts) else None
    if normals is None:
        return None
    total = np.stack([np.bincount(rank, normals[:, axis], count) for axis in range(3)], 1)[used]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return torch.from_numpy(total / np.maximum(length, 1e-12)).float() if bool((length > 1e-6).all()) else None


def _corner_normals(parts: list[Part], keep: NDArray[np.bool_]) -> torch.Tensor | None:
    """(F, 3, 3) the file's normals at the corners of the kept faces, zero where it has none; None where it has none at all."""
    if all(part.normals is None for part in parts):
        return None
    given = [np.zeros((len(part.faces), 3, 3)) if part.normals is None else part.normals[part.faces] for part in parts]
    normals = np.concatenate(given)[keep]
    return torch.from_numpy(normals).float() if normals.any() else None


def _own_normals(geometry: Any, whole: Any | None) -> NDArray[np.float64] | None:
    """(N, 3) the file's normals at the vertices of a piece of it, not those that the reader works out when it is asked.

    Args:
        geometry: the reader's mesh.
        whole: the same read without splitting its vertices at seams, for which the reader forgets their normals; None where it was not.
    """
    if "vertex_normals" in geometry._cache.cache:
        return np.asarray(geometry.vertex_normals, np.float64)
    normals = None if whole is None else _own_normals(whole, None)
    if normals is None:
        return None
    made = np.zeros(geometry.vertices.shape)
    made[np.asarray(geometry.faces).reshape(-1)] = normals[np.asarray(whole.faces).reshape(-1)]  # type: ignore[union-attr]
    return made


def _turned(normals: NDArray[np.float64], transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals (N, 3) of a surface moved by a (4, 4) transform, from any; zero for those that say nothing.

    They turn as its cofactors do, the inverse transpose up to a factor, since uneven scales tilt them.
    """
    x, y, z = transform[:3, :3] / max(float(np.abs(transform[:3, :3]).max()), 1e-300)
    cofactors = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)])
    sign = -1.0 if np.dot(x, cofactors[0]) < 0 else 1.0  # the reader turns the faces of mirrored pieces round
    given = np.isfinite(normals).all(1, keepdims=True) & (np.abs(normals).max(1, keepdims=True) > SHORT)
    turned = np.where(given, normals, 0.0) @ cofactors.T * sign
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    return turned / np.where(length > 0, length, 1.0)


def _prepared(path: Path, suffix: str, beside: Beside, warnings: list[str]) -> tuple[bytes | None, str]:
    """What to read in the file's place, where the reader would misunderstand that, and of what format it is."""
    if suffix == "obj":
        return prepared_obj(path.read_bytes(), beside, warnings), suffix
    if suffix == "ply":
        return prepared_ply(path.read_bytes()), suffix
    if suffix == "off":
        data = prepared_off(path.read_bytes())
        return data, suffix if data is None else "ply"
    if suffix in ("glb", "gltf"):
        data = prepared_gltf(path, suffix, beside, warnings)
        return data, suffix if data is None else "glb"
    return None, suffix


def _read_parts(path: Path, suffix: str, warnings: list[str]) -> tuple[list[Part], tuple[float, float]]:
    """Every piece of surface in a file, placed where the scene puts it, and the first material's (metallic, roughness)."""
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # what matters is said in our own messages
    beside: Any = Beside(path)
    data, format = _prepared(path, suffix, beside, warnings)

    def load(**options: Any) -> Any:
        source: Any = path if data is None else io.BytesIO(data)
        return trimesh.load_scene(source, file_type=format, process=False, resolver=beside, **options)

    loaded, whole = load(), None
    if suffix == "ply" and any(hasattr(getattr(geometry, "visual", None), "uv") for geometry in loaded.geometry.values()):
        whole = load(fix_texture=False)  # vertices split at seams no longer have the normals and colours that are numbered as they are
        loaded = whole if any(made_up(geometry) for geometry in loaded.geometry.values()) else loaded
    warnings.extend(f"{name} is missing beside {path.name}: the mesh is read without it" for name in beside.missing)
    parts: list[Part] = []
    material = (0.0, 0.9)
    pictures, tinted = Pictures(), False
    for name in loaded.graph.nodes_geometry:
        transform, key = loaded.graph[name]
        geometry = loaded.geometry[key]
        if not isinstance(geometry, trimesh.Trimesh) or len(geometry.faces) == 0:
            continue
        placed = trimesh.Trimesh(geometry.vertices, geometry.faces, process=False)  # without its pictures
        placed.apply_transform(transform)
        part, found, left_out = surface(placed, geometry, pictures, linear=suffix in ("glb", "gltf"))
        if suffix in ("glb", "gltf", "stl"):  # which hold single precision
            part.rounded = float(np.abs(geometry.vertices).max() * np.abs(transform[:3, :3]).max()) * SINGLE
        normals = _own_normals(geometry, None if whole is None else whole.geometry[key])
        part.normals = None if normals is None else _turned(normals, transform)
        tinted = tinted or left_out
        material = found if found is not None and not any(not part.plain for part in parts) else material
        parts.append(part)
    if tinted:
        warnings.append(f"{path.name} tints its texture with colours per vertex, which is not honoured: the texture is used as it is")
    return parts, material
