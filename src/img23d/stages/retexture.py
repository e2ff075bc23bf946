"""Retexture: an existing mesh's own colours on its refined surface."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from img23d.config import Texture
from img23d.io.textures import sample
from img23d.ops.atlas import unwrap
from img23d.ops.bake import texel_surface
from img23d.ops.decimate import decimate
from img23d.ops.normal_map import bake_normal_map, without_noise
from img23d.ops.normals import vertex_normals
from img23d.ops.texture_transfer import transfer_texture
from img23d.priors.layers import surface_hits
from img23d.scene import Mesh, TexturedMesh, Views
from img23d.stages.context import Context
from img23d.stages.texture import MATCHING_FACES, TEXELS_PER_FACE, split_for_matching

VERSION = 2
PLAIN = 0.75  # grey of a mesh that never had a colour


def retexture(source: TexturedMesh | Mesh, mesh: Mesh, options: Texture, context: Context) -> TexturedMesh:
    """Decimate and unwrap a refined mesh, and give it the colours of the nearest points of the source.

    Args:
        source: where the colours come from; a bare mesh gives plain grey.
        mesh: closed, in the same frame.
    """
    low = decimate(mesh, options.faces)
    normals = vertex_normals(low)
    context.progress(0.2, "unwrap")
    uv, uv_faces = unwrap(low, options.size, options.padding)
    context.progress(0.4, "transfer")
    if isinstance(source, TexturedMesh):
        color = transfer_texture(source, low, options.size, (uv, uv_faces), seed=context.seed).base_color
    else:
        color = torch.full((options.size, options.size, 3), PLAIN, device=uv.device)
    normal_map = None
    if options.normal_map and len(mesh.faces) > len(low.faces):
        context.progress(0.7, "normal map")
        fine = split_for_matching(low, normals, uv, uv_faces, min(MATCHING_FACES, options.size**2 // TEXELS_PER_FACE))
        face, barycentric = texel_surface(fine.uv, fine.uv_faces, options.size)
        normal_map = bake_normal_map(without_noise(mesh), fine.mesh, fine.normals, fine.tangent, fine.uv_faces, face, barycentric)
    made = TexturedMesh(low, uv, uv_faces, color, normal_map, vertex_normals=normals)
    return replace(made, metallic_roughness=source.metallic_roughness) if isinstance(source, TexturedMesh) else made


def far_colors(source: TexturedMesh | Mesh, views: Views, context: Context) -> tuple[Tensor, Tensor]:
    """Colours of the last surface along each of the photo's rays, as `img23d.scene.ShapePrior` wants them.

    Returns:
        (S, S, 3) sRGB and (S, S) 1 where there is one; all 0 for a mesh without colours.
    """
    size, device = views.mask.shape[-1], views.mask.device
    rgb, known = torch.zeros(size * size, 3, device=device), torch.zeros(size * size, device=device)
    if isinstance(source, TexturedMesh):
        projected = views.cameras.project(source.mesh.vertices)[0]
        faces = source.mesh.faces
        hits = surface_hits(context.rasterizer, projected[:, :2], 1.0 / projected[:, 2], faces, size, perspective=True, last=True)
        rgb[hits.pixel] = sample(source.base_color, hits.interpolate(source.uv[source.uv_faces]))
        known[hits.pixel] = 1.0
    return rgb.reshape(size, size, 3), known.reshape(size, size)
