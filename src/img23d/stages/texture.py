"""Texture: fewer faces, an atlas, the photo on what it shows, and plausible colours on what it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.config import Texture
from img23d.ops.atlas import unwrap
from img23d.ops.bake import pad, texel_surface
from img23d.ops.carried_round import carried_round
from img23d.ops.decimate import decimate
from img23d.ops.delight import without_light
from img23d.ops.exposure import exposure_gain
from img23d.ops.fill import Layer, Surface, lay_over, plain_layer, scaled
from img23d.ops.membrane import Membrane
from img23d.ops.mirrored import WHOLE, images
from img23d.ops.normal_map import bake_normal_map, tangents, without_noise
from img23d.ops.normals import vertex_normals
from img23d.ops.photo_relief import photo_relief
from img23d.ops.project_photo import prepare_photo, project_photo
from img23d.ops.smooth import turned_away
from img23d.ops.split_faces import split_faces
from img23d.ops.srgb import to_linear, to_srgb
from img23d.ops.symmetry import HalfTurn, Symmetry, find_symmetries
from img23d.ops.synthesis import Known, with_synthesis
from img23d.ops.unseen import (
    Photo,
    Points,
    back_layer,
    drawn_layer,
    mean_color,
    photo_layer,
    soften,
    through_layer,
)
from img23d.scene import Mesh, ShapePrior, TexturedMesh, Views
from img23d.stages.context import Context

VERSION = 20
# What the photo looks at has relief, and the rest is smooth: deviations there count so many times as much when faces are saved.
SHOWN_WORTH = 8.0
# Colours are matched on a mesh with at least this many faces, or a face for so many texels where that is less.
MATCHING_FACES, TEXELS_PER_FACE = 30_000, 35


def texture(
    views: Views, prior: ShapePrior, mesh: Mesh, options: Texture, context: Context, drawn: Views | None = None, photographed: bool = False
) -> TexturedMesh:
    """Colour a mesh from one photo, and from pictures of other sides where there are some.

    Args:
        views: the photo, V = 1.
        prior: for the far side's colour.
        mesh: closed, object frame.
        options: faces, texture size, light, mirroring, grazing angle, padding, normal map.
        context: rasteriser and progress.
        drawn: the object from other sides, from `img23d.stages.imagine` or `img23d.stages.sides`.
        photographed: they are photos, with light, shade and exposure of their own.

    Returns:
        The mesh with at most ``options.faces`` faces and its texture.
    """
    context.progress(0.0, "decimate")
    shown = 1 - turned_away(mesh, views.cameras)
    if photographed and drawn is not None:
        shown = shown.maximum(1 - turned_away(mesh, drawn.cameras))
    low = decimate(mesh, options.faces, 1 + (SHOWN_WORTH - 1) * shown)
    normals = vertex_normals(low)
    context.progress(0.1, "unwrap")
    uv, uv_faces = unwrap(low, options.size, options.padding)
    context.progress(0.3, "bake")
    matching = split_for_matching(low, normals, uv, uv_faces, min(MATCHING_FACES, options.size**2 // TEXELS_PER_FACE))
    face, barycentric = texel_surface(matching.uv, matching.uv_faces, options.size)

    def even(picture: Views) -> Views:
        return without_light(picture, low, normals, context.rasterizer, options.delight, context.seed)

    others = [] if drawn is None else [only(drawn, view) for view in range(len(drawn))]
    scene = prepare(even(views), low, matching, face, barycentric, options, context, [even(o) for o in others] if photographed else others)
    if photographed:
        scene = replace(scene, drawn=as_exposed(scene.drawn, scene.photo, scene.vertices))
    base_color = bake_colors(scene, prior, low, face, options, context)
    normal_map = None
    if options.normal_map and (len(mesh.faces) > len(low.faces) or views.normal is not None):
        context.progress(0.85, "normal map")
        fine, texels, photo = without_noise(mesh), scene.texels, scene.photo
        relief = photo_relief(views, photo.sharp, fine, texels.position, texels.normal, photo.grazing, context.rasterizer)
        normal_map = bake_normal_map(fine, matching.mesh, matching.normals, matching.tangent, matching.uv_faces, face, barycentric, relief)
    context.progress(1.0, "texture")
    return TexturedMesh(low, uv, uv_faces, base_color, normal_map, vertex_normals=normals)


@dataclass(frozen=True)
class MatchingMesh:
    """The exported mesh with its faces split, its shading normals (N, 3), and tangents (M, 4) and faces of its texture vertices."""

    mesh: Mesh
    normals: Tensor
    uv: Tensor
    tangent: Tensor
    uv_faces: Tensor


def split_for_matching(mesh: Mesh, normals: Tensor, uv: Tensor, uv_faces: Tensor, least: int) -> MatchingMesh:
    """The same surface and atlas with at least so many faces, to match colours and relief on."""
    values, faces = torch.cat([mesh.vertices, normals], -1), mesh.faces
    flat = torch.cat([uv, tangents(mesh, normals, uv, uv_faces)], -1)
    while len(faces) < least:
        values, faces = split_faces(values, faces)
        flat, uv_faces = split_faces(flat, uv_faces)
    return MatchingMesh(Mesh(values[:, :3].contiguous(), faces), F.normalize(values[:, 3:], dim=-1), flat[:, :2], flat[:, 2:], uv_faces)


@dataclass(frozen=True)
class Painted:
    """The surface to paint, its vertices and texels, the photo that sees it, and pictures of it that were drawn."""

    surface: Surface
    vertices: Points
    texels: Points
    photo: Photo
    drawn: list[Photo]


def prepare(
    views: Views, mesh: Mesh, matching: MatchingMesh, face: Tensor, barycentric: Tensor, options: Texture, context: Context,
    drawn: list[Views],
) -> Painted:  # fmt: skip
    """Find each texel's place on the surface, and make the pictures ready."""
    covered = face >= 0
    surface = Surface(matching.mesh, face[covered], barycentric[covered], Membrane(matching.mesh))
    vertices = Points(matching.mesh.vertices, matching.normals)
    texels = Points(surface.at_texels(vertices.position), F.normalize(surface.at_texels(vertices.normal), dim=-1))
    area = float(surface.membrane.mass.sum())
    texel, edge = math.sqrt(area / max(1, int(covered.sum()))), math.sqrt(2.3 * area / len(matching.mesh.faces))

    def ready(picture: Views) -> Photo:
        source = prepare_photo(picture, mesh, context.rasterizer, texel)
        return Photo(source, soften(source, edge), math.radians(options.grazing_deg))

    others = [ready(picture) for picture in drawn]
    return Painted(surface, vertices, texels, ready(views), others)


def as_exposed(photos: list[Photo], first: Photo, vertices: Points) -> list[Photo]:
    """Photos in the exposure and white balance of the first one, as far as the surface tells them."""

    def shown(photo: Photo) -> tuple[Tensor, Tensor]:
        return project_photo(photo.soft, vertices.position, vertices.normal, photo.grazing)

    found, known = [], shown(first)
    for photo in photos:
        gain = exposure_gain(vertices.position, known, shown(photo))
        sharp, soft = (replace(source, rgb=to_srgb(to_linear(source.rgb) * gain)) for source in (photo.sharp, photo.soft))
        found.append(Photo(sharp, soft, photo.grazing))
    return found


def only(views: Views, view: int) -> Views:
    """One of the views, without depth and normals."""
    return Views(views.cameras[view : view + 1], views.rgb[view : view + 1], views.mask[view : view + 1])


def bake_colors(scene: Painted, prior: ShapePrior, mesh: Mesh, face: Tensor, options: Texture, context: Context) -> Tensor:
    """(R, R, 3) sRGB: the photo over every guess of what it does not show."""
    covered, surface, photo, vertices, texels = face >= 0, scene.surface, scene.photo, scene.vertices, scene.texels
    context.progress(0.45, "project")
    seen = photo_layer(photo, vertices, texels)
    symmetries = find_symmetries(mesh, context.seed) if options.mirror else []
    found = images(surface, photo, symmetries, seen, vertices, texels, prior.known)
    ground, back = plain_layer(surface, mean_color(photo)), back_layer(prior, photo, vertices, texels)
    if found.figure and not prior.known:
        # Hoods and hair close behind a face: what goes round the outline tells more of the back than the front does.
        back = sure(back)
    else:
        # What is seen through the object is only a ground to paint on: it gives way where better layers meet it.
        ground = scaled(lay_over(surface, ground, through_layer(surface, photo, vertices, texels)), 0.3)
    context.progress(0.6, "fill")
    # A blurred guess is right more often than an image that the photo denies; any other image looks like the thing, and a blur does not.
    guess = painted(surface, ground, [*reversed(found.denied), back])
    told = [drawn_layer(scene.drawn, vertices, texels)] if scene.drawn else []
    better = with_sides(scene, symmetries, [*reversed(found.possible), *reversed(found.confirmed), *told, seen])
    result = painted(surface, guess, better)
    if options.synthesis:
        context.progress(0.7, "synthesis")
        known = how_known([*better, sure(back)])
        result = with_synthesis(surface, mesh, photo, vertices, texels, result, known, context.rasterizer, context.seed)
    image = result.texel_rgb.new_zeros(*face.shape, 3)
    image[covered] = result.texel_rgb
    return pad(image, covered)


def with_sides(scene: Painted, symmetries: list[Symmetry], layers: list[Layer]) -> list[Layer]:
    """Layers, from the least trusted to the most, below them what they carry on to of the sides of what is as round as a vessel."""
    turn = next((one for one in symmetries if isinstance(one, HalfTurn) and one.score > WHOLE), None)
    if turn is None:
        return layers
    rgb, known = torch.zeros_like(layers[0].texel_rgb), torch.zeros_like(layers[0].texel_trust)
    for layer in layers:
        rgb = torch.lerp(rgb, layer.texel_rgb, layer.texel_trust[:, None])
        known = torch.lerp(known, torch.ones_like(known), layer.texel_trust)
    rgb = rgb / known.clamp(min=1e-6)[:, None]
    sides = carried_round(scene.surface, scene.vertices, scene.texels, rgb, known, turn.center)
    return layers if sides is None else [sides, *layers]


def painted(surface: Surface, ground: Layer, layers: list[Layer]) -> Layer:
    """Layers laid over a ground, from the least trusted to the most; those that say nothing are left out."""
    for layer in layers:
        if float(layer.vertex_trust.amax()) > 0.05:
            ground = lay_over(surface, ground, layer)
    return ground


def sure(back: Layer) -> Layer:
    """The back's colours, trusted only where they are a given mesh's own; no network is that sure of its guess."""
    trust = [((one - 0.8) / 0.2).clamp(0, 1) for one in (back.vertex_trust, back.texel_trust)]
    return replace(back, vertex_trust=trust[0], texel_trust=trust[1])


def how_known(layers: list[Layer]) -> Known:
    """How far colours are known by any of several layers."""
    return Known(*(torch.stack([getattr(one, name) for one in layers]).amax(0) for name in ("vertex_trust", "texel_trust")))
