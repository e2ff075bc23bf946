"""Pictures of a textured mesh as its users will see it: texture and normal map looked up per pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from img23d.io.corners import split
from img23d.io.textures import sample
from img23d.ops.interpolate import fragments, interpolate, to_image
from img23d.ops.raster import Rasterizer
from img23d.scene import Cameras, Mesh, TexturedMesh

SUPERSAMPLE = 2


@dataclass(frozen=True)
class AssetViews:
    """V pictures of an asset.

    Args:
        rgb: (V, H, W, 3) sRGB colour of the surface, unlit, multiplied by ``mask``.
        normal: (V, H, W, 3) shading normals in the camera's frame (x right, y up, z to the viewer), multiplied by ``mask``.
        mask: (V, H, W) coverage.
    """

    rgb: Tensor
    normal: Tensor
    mask: Tensor


def fitted(asset: TexturedMesh) -> TexturedMesh:
    """The asset moved and scaled into the unit sphere, to be seen whole by any camera on an orbit."""
    vertices = asset.mesh.vertices
    middle = (vertices.amin(0) + vertices.amax(0)) / 2
    radius = (vertices - middle).norm(dim=1).max().clamp_min(1e-9)
    return _with_vertices(asset, (vertices - middle) / radius)


def draw_asset(asset: TexturedMesh, cameras: Cameras, height: int, width: int, rasterizer: Rasterizer) -> AssetViews:
    """Draw a textured mesh, smoothed by twofold supersampling.

    Args:
        asset: the textured mesh.
        cameras: V cameras.
        height: rows of the pictures.
        width: columns of the pictures.
        rasterizer: from `img23d.backends.rasterizers.choose_rasterizer`.
    """
    device = asset.mesh.vertices.device
    corners = split(asset)
    assert corners.uv is not None
    vertices, faces = torch.from_numpy(corners.positions).to(device), torch.from_numpy(corners.faces).to(device)
    attributes = [torch.from_numpy(corners.uv), torch.from_numpy(corners.normals)]
    if corners.tangents is not None:
        attributes.append(torch.from_numpy(corners.tangents))
    points = cameras.project(vertices)
    ids = rasterizer.face_ids(points, faces, SUPERSAMPLE * height, SUPERSAMPLE * width)
    seen = fragments(ids, points, faces)
    values = interpolate(seen, torch.cat(attributes, 1).to(device))
    normal = normalize(values[:, 2:5], dim=-1)
    if asset.normal_map is not None:
        normal = _bent(normal, values[:, 5:9], sample(asset.normal_map, values[:, :2]) * 2 - 1)
    rotation = cameras.cam_to_world[:, :3, :3].to(normal)
    local = torch.einsum("pi,pij->pj", normal, rotation[seen.view])
    layers = torch.cat([torch.ones_like(local[:, :1]), sample(asset.base_color, values[:, :2]).to(local), local], -1)
    image = _shrunk(to_image(seen, layers))
    return AssetViews(image[..., 1:4], image[..., 4:], image[..., 0])


def _bent(normal: Tensor, tangent: Tensor, mapped: Tensor) -> Tensor:
    """(P, 3) normals bent by tangent-space vectors (P, 3); tangent (P, 4) with the bitangent's sign last."""
    along = normalize(tangent[:, :3], dim=-1)
    across = torch.linalg.cross(normal, along) * tangent[:, 3:].sign()
    return normalize(mapped[:, :1] * along + mapped[:, 1:2] * across + mapped[:, 2:] * normal, dim=-1)


def _shrunk(image: Tensor) -> Tensor:
    """(V, H, W, C) from SUPERSAMPLE times as many pixels."""
    views, height, width, channels = image.shape
    boxes = image.reshape(views, height // SUPERSAMPLE, SUPERSAMPLE, width // SUPERSAMPLE, SUPERSAMPLE, channels)
    return boxes.mean(4).mean(2)  # the same sums as over both at once, in half the time


def _with_vertices(asset: TexturedMesh, vertices: Tensor) -> TexturedMesh:
    return replace(asset, mesh=Mesh(vertices, asset.mesh.faces))
