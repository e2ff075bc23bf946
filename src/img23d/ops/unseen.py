"""Guesses of the colours that the photo does not show, as layers for `img23d.ops.fill`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from img23d.ops.defringe import blur_inside, spread_smoothly
from img23d.ops.fill import Layer, Surface, smooth_layer
from img23d.ops.project_photo import PhotoSource, facing, project_photo, sample, sample_nearest, smoothstep
from img23d.scene import ShapePrior

# Blur of the photo seen from behind and width of what counts as its grain, shares of the picture's size; contrast of drawings.
CALM, FINE, DRAWN = 0.05, 0.008, 0.05
# How much more a picture that looks straight at a point counts than one that looks askance: power of the cosine.
STRAIGHT = 8.0


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

    @cached_property
    def grain(self) -> Tensor:
        """(H, W, 3) the fine texture of the sharp picture."""
        return grain(self.sharp.rgb, (self.sharp.trust > 0.99).to(self.sharp.rgb.dtype))


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


def drawn_layer(pictures: list[Photo], vertices: Points, texels: Points) -> Layer:
    """What several pictures show, each point by those that look straightest at it.

    Args:
        pictures: at least one, from `img23d.stages.imagine`; they need not agree.
        vertices: of the mesh.
        texels: of its atlas.
    """
    found: list[Tensor] = []
    for points, soft in ((vertices, True), (texels, False)):
        total, weights = torch.zeros_like(points.position), torch.zeros_like(points.position[:, 0])
        trust = torch.zeros_like(weights)
        for picture in pictures:
            source = picture.soft if soft else picture.sharp
            rgb, seen = project_photo(source, points.position, points.normal, picture.grazing)
            weight = seen * facing(source.camera, points.position, points.normal).clamp(min=0) ** STRAIGHT
            total, weights, trust = total + weight[:, None] * rgb, weights + weight, torch.maximum(trust, seen)
        found.extend((total / weights.clamp(min=1e-9)[:, None], trust * (weights > 1e-9)))
    return Layer(*found)


def through_layer(surface: Surface, photo: Photo, vertices: Points, texels: Points) -> Layer:
    """The photo seen through the object from behind, blurred but with its grain: a calm continuation of the front on what faces away."""
    source = photo.sharp
    known = (source.trust > 0.99).to(source.rgb.dtype)
    calm = blur_inside(source.rgb, known, CALM * max(known.shape))
    x, y, depth = source.camera.project(vertices.position)[0].unbind(-1)
    away = smoothstep((-facing(source.camera, vertices.position, vertices.normal) - 0.1) / 0.6) * on_last(source, x, y, depth)
    layer = smooth_layer(surface, sample(calm, x, y), away * sample(source.trust[..., None], x, y)[:, 0].clamp(0, 1))
    return replace(layer, texel_rgb=layer.texel_rgb + photo_grain(photo, texels))


def photo_grain(photo: Photo, texels: Points) -> Tensor:
    """(P, 3) grain of the photo where each texel lies in the picture, whether the photo sees it or not."""
    x, y, _ = photo.sharp.camera.project(texels.position)[0].unbind(-1)
    return sample(photo.grain, x, y)


def grain(rgb: Tensor, known: Tensor) -> Tensor:
    """The fine texture of a picture without its drawings: skin, cloth and wood, but neither eyes nor letters.

    Args:
        rgb: (H, W, 3).
        known: (H, W) 0..1, where it shows the object.

    Returns:
        (H, W, 3) with mean near 0; damped wherever the local contrast is high.
    """
    size = max(known.shape)
    detail = (rgb - blur_inside(rgb, known, FINE * size)) * known[..., None]
    contrast = blur_inside(detail.square().mean(-1, keepdim=True), known, 2 * FINE * size).clamp(min=0).sqrt()
    return detail / (1 + (contrast / DRAWN) ** 4)


def back_layer(prior: ShapePrior, photo: Photo, vertices: Points, texels: Points) -> Layer:
    """The learnt colour of the last surface along each ray, with the grain of the photo, which it is too coarse to have."""
    confidence = prior.back_confidence
    rgb = spread_smoothly(prior.back_rgb, (confidence > 0).to(confidence.dtype)) if bool((confidence > 0).any()) else prior.back_rgb
    found: list[Tensor] = []
    for points in (vertices, texels):
        x, y, depth = photo.sharp.camera.project(points.position)[0].unbind(-1)
        cosine = facing(photo.sharp.camera, points.position, points.normal)
        ramp = smoothstep((-cosine - math.cos(photo.grazing)) / 0.3)
        behind = on_last(photo.sharp, x, y, depth)
        trust = sample(confidence[..., None], x, y)[:, 0].clamp(0, 1)
        found.extend((sample(rgb, x, y).clamp(0, 1), trust * ramp * behind))
    return Layer(found[0], found[1], found[2] + photo_grain(photo, texels), found[3])


def on_last(source: PhotoSource, x: Tensor, y: Tensor, depth: Tensor) -> Tensor:
    """(P,) 0..1: whether points at these pixels and depths are on the last surface along their ray, and not, say, inside a cup."""
    return 1 - ((sample_nearest(source.far, x, y) - depth - 0.02) / 0.03).clamp(0, 1)


def mean_color(photo: Photo) -> Tensor:
    """(3,) mean colour of the object in the photo; grey when none of it is left."""
    weight = (photo.sharp.trust > 0.99).to(photo.sharp.rgb.dtype)[..., None]
    total = weight.sum()
    return (photo.sharp.rgb * weight).sum((0, 1)) / total if float(total) > 0 else photo.sharp.rgb.new_full((3,), 0.5)
