"""Guesses of the colours that the photo does not show, as layers for `img23d.ops.fill`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from img23d.ops.defringe import blur_inside, spread_smoothly
from img23d.ops.fill import Layer, Surface, smooth_layer
from img23d.ops.project_photo import PhotoSource, facing, project_photo, sample, sample_nearest, smoothstep
from img23d.ops.symmetry import MirrorPlane
from img23d.scene import ShapePrior

# How far a mirrored point may be off the surface, object units.
MIRROR_SLACK = 0.05
# Colours differ by this much, root mean square, where both sides are seen: full agreement below, none above.
AGREES, DISAGREES = 0.06, 0.22
# Share of the vertices that must be seen on both sides before agreement means anything.
ENOUGH_SEEN = 0.01


@dataclass(frozen=True)
class Points:
    """Points of the surface with their normals, (P, 3) each."""

    position: Tensor
    normal: Tensor


@dataclass(frozen=True)
class Photo:
    """The photo, sharp for texels and blurred for vertices, and the angle from which it says nothing, radians."""

    sharp: PhotoSource
    soft: PhotoSource
    grazing: float


def soften(source: PhotoSource, edge: float) -> PhotoSource:
    """The same source without detail finer than a mesh with edges of this length, object units."""
    height, width = source.trust.shape
    depth = source.near[source.near.isfinite()]
    middle = float(depth.median()) if len(depth) else 1.0
    pixel = middle / float(source.camera.focal[0].amin() * max(height, width))
    sigma = min(max(0.5, 0.6 * edge / pixel), 0.02 * max(height, width))
    return replace(source, rgb=blur_inside(source.rgb, (source.trust > 0.5).to(source.rgb.dtype), sigma))


def photo_layer(photo: Photo, vertices: Points, texels: Points) -> Layer:
    """What the photo shows."""
    soft = project_photo(photo.soft, vertices.position, vertices.normal, photo.grazing)
    sharp = project_photo(photo.sharp, texels.position, texels.normal, photo.grazing)
    return Layer(soft[0], soft[1], sharp[0], sharp[1])


def mirror_layer(photo: Photo, plane: MirrorPlane, vertices: Points, texels: Points) -> Layer:
    """What the photo shows on the other side of a plane of symmetry."""
    found: list[Tensor] = []
    for source, points in ((photo.soft, vertices), (photo.sharp, texels)):
        position, normal = plane.mirror(points.position), plane.mirror_direction(points.normal)
        found.extend(project_photo(source, position, normal, photo.grazing, slack=MIRROR_SLACK))
    return Layer(found[0], found[1], found[2], found[3])


def mirror_agreement(seen: Layer, mirrored: Layer) -> float | None:
    """0..1, how well colours agree where the photo shows both sides; None when it hardly does."""
    both = seen.vertex_trust * mirrored.vertex_trust
    if float(both.mean()) < ENOUGH_SEEN:
        return None
    error = (seen.vertex_rgb - mirrored.vertex_rgb).square().mean(-1)
    return float(((DISAGREES - ((error * both).sum() / both.sum()).sqrt()) / (DISAGREES - AGREES)).clamp(0, 1))


def through_layer(surface: Surface, photo: Photo, vertices: Points) -> Layer:
    """The photo seen through the object from behind, blurred: a calm continuation of the front on what faces away."""
    source = photo.sharp
    size = max(source.trust.shape)
    calm = blur_inside(source.rgb, (source.trust > 0.99).to(source.rgb.dtype), 0.02 * size)
    x, y, _ = source.camera.project(vertices.position)[0].unbind(-1)
    away = smoothstep((-facing(source.camera, vertices.position, vertices.normal) - 0.1) / 0.6)
    return smooth_layer(surface, sample(calm, x, y), 0.3 * away * sample(source.trust[..., None], x, y)[:, 0].clamp(0, 1))


def back_layer(prior: ShapePrior, photo: Photo, vertices: Points, texels: Points) -> Layer:
    """The learnt colour of the last surface along each ray."""
    confidence = prior.back_confidence
    rgb = spread_smoothly(prior.back_rgb, (confidence > 0).to(confidence.dtype)) if bool((confidence > 0).any()) else prior.back_rgb
    found: list[Tensor] = []
    for points in (vertices, texels):
        x, y, depth = photo.sharp.camera.project(points.position)[0].unbind(-1)
        cosine = facing(photo.sharp.camera, points.position, points.normal)
        ramp = smoothstep((-cosine - math.cos(photo.grazing)) / 0.3)
        last = sample_nearest(photo.sharp.far, x, y)
        behind = 1 - ((last - depth - 0.02) / 0.03).clamp(0, 1)
        trust = sample(confidence[..., None], x, y)[:, 0].clamp(0, 1)
        found.extend((sample(rgb, x, y).clamp(0, 1), trust * ramp * behind))
    return Layer(found[0], found[1], found[2], found[3])


def mean_color(photo: Photo) -> Tensor:
    """(3,) mean colour of the object in the photo; grey when none of it is left."""
    weight = (photo.sharp.trust > 0.99).to(photo.sharp.rgb.dtype)[..., None]
    total = weight.sum()
    return (photo.sharp.rgb * weight).sum((0, 1)) / total if float(total) > 0 else photo.sharp.rgb.new_full((3,), 0.5)
