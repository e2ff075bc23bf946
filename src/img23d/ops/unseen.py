"""Guesses of the colours that the photo does not show, as layers for `img23d.ops.fill`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.defringe import blur_inside, spread_smoothly
from img23d.ops.fill import Layer, Surface, scaled, smooth_layer
from img23d.ops.project_photo import PhotoSource, facing, project_photo, sample, sample_nearest, smoothstep
from img23d.ops.symmetry import MirrorPlane
from img23d.scene import ShapePrior

# How far a mirrored point may be off the surface, object units.
MIRROR_SLACK = 0.05
# Length over which mirrored points are moved alike to meet the surface, object units.
SNAP = 0.06
# Colours differ by this much, root mean square, where both sides are seen: full agreement below, none above.
AGREES, DISAGREES = 0.06, 0.22
# Share of the vertices that must be seen on both sides before agreement means anything.
ENOUGH_SEEN = 0.01
# Agreement that is assumed where no seen point tells, that is left where colours differ (boxes have other prints on every side, and
# a wrong print still looks better than a smear), and from which on a mirror image beats a learnt guess.
UNCONFIRMED, CONTRADICTED, CONFIRMED = 0.5, 0.3, 0.6
# Cosines between a plane's normal and the direction to the camera: a plane through the camera, and one across the view.
THROUGH, ACROSS = 0.35, 0.8
# Blur of the photo seen from behind and width of what counts as its grain, shares of the picture's size; contrast of drawings.
CALM, FINE, DRAWN = 0.05, 0.008, 0.05
# At most so many mirror images, each with at least this mean trust on what was not known before.
MIRRORS, LEAST_GAIN = 2, 0.01


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


def mirror_layer(surface: Surface, photo: Photo, plane: MirrorPlane, vertices: Points, texels: Points) -> Layer:
    """What the photo shows on the other side of a plane of symmetry.

    Mirrored points are moved onto the surface by a smooth field, because few objects are their exact mirror image.
    """
    placed = plane.mirror(vertices.position)
    miss = plane.mirror_onto(surface.mesh, vertices.position, vertices.normal) - placed
    everywhere = torch.full_like(miss[:, 0], 1 / SNAP**2)
    miss = surface.membrane.fit(miss, everywhere, torch.zeros_like(everywhere))
    soft = project_photo(photo.soft, placed + miss, plane.mirror_direction(vertices.normal), photo.grazing, slack=MIRROR_SLACK)
    position = plane.mirror(texels.position) + surface.at_texels(miss)
    sharp = project_photo(photo.sharp, position, plane.mirror_direction(texels.normal), photo.grazing, slack=MIRROR_SLACK)
    return Layer(soft[0], soft[1], sharp[0], sharp[1])


def preview_mirror(photo: Photo, plane: MirrorPlane, vertices: Points) -> tuple[Tensor, Tensor]:
    """Colours (N, 3) and trust (N,) of the mirror image, without moving mirrored points onto the surface: enough to choose by."""
    position, normal = plane.mirror(vertices.position), plane.mirror_direction(vertices.normal)
    return project_photo(photo.soft, position, normal, photo.grazing, slack=2 * MIRROR_SLACK)


def mirror_agreement(seen: tuple[Tensor, Tensor], mirrored: tuple[Tensor, Tensor]) -> float:
    """How well colours agree where the photo shows both sides.

    Args:
        seen: colours (N, 3) and trust (N,) of the photo.
        mirrored: the same of its mirror image.

    Returns:
        0..1; `UNCONFIRMED` when hardly any point is seen on both sides.
    """
    both = seen[1] * mirrored[1]
    if float(both.mean()) < ENOUGH_SEEN:
        return UNCONFIRMED
    error = (seen[0] - mirrored[0]).square().mean(-1)
    return float(((DISAGREES - ((error * both).sum() / both.sum()).sqrt()) / (DISAGREES - AGREES)).clamp(CONTRADICTED, 1))


def facing_camera(photo: Photo, plane: MirrorPlane) -> float:
    """How much an upright plane lies across the view: 0 when the camera is on it, 1 when it looks at it straight."""
    level = photo.sharp.camera.position[0] * photo.sharp.camera.position.new_tensor([1.0, 0.0, 1.0])
    return float((F.normalize(level, dim=0) @ plane.normal.to(level)).abs())


def mirror_layers(
    surface: Surface, photo: Photo, planes: list[MirrorPlane], seen: Layer, vertices: Points, texels: Points
) -> tuple[list[Layer], list[Layer]]:
    """Mirror images that the photo itself confirms, and those that nothing contradicts, each the most useful first."""
    confirmed: list[Layer] = []
    unconfirmed: list[Layer] = []
    left, known = dict(enumerate(planes)), seen.vertex_trust
    previews = {index: preview_mirror(photo, plane, vertices) for index, plane in left.items()}
    agreement = {index: mirror_agreement((seen.vertex_rgb, seen.vertex_trust), found) for index, found in previews.items()}
    turned = {index: facing_camera(photo, plane) for index, plane in left.items()}
    if any(turned[index] < THROUGH and agreement[index] > CONFIRMED for index in left):
        # Its left is the mirror image of its right: it is seen from its front, and its back is not the mirror image of that.
        left = {index: plane for index, plane in left.items() if turned[index] < ACROSS or agreement[index] > CONFIRMED}
    while left and len(confirmed) + len(unconfirmed) < MIRRORS:
        gain = {i: left[i].score * agreement[i] * float((previews[i][1] - known).clamp(min=0).mean()) for i in left}
        best = max(gain, key=lambda index: gain[index])
        if gain[best] < LEAST_GAIN:
            break
        known = torch.maximum(known, previews[best][1])
        plane = left.pop(best)
        layer = scaled(mirror_layer(surface, photo, plane, vertices, texels), plane.score)
        (confirmed if agreement[best] > CONFIRMED else unconfirmed).append(layer)
    return confirmed, unconfirmed


def through_layer(surface: Surface, photo: Photo, vertices: Points, texels: Points) -> Layer:
    """The photo seen through the object from behind, blurred but with its grain: a calm continuation of the front on what faces away."""
    source = photo.sharp
    known = (source.trust > 0.99).to(source.rgb.dtype)
    calm = blur_inside(source.rgb, known, CALM * max(known.shape))
    x, y, _ = source.camera.project(vertices.position)[0].unbind(-1)
    away = smoothstep((-facing(source.camera, vertices.position, vertices.normal) - 0.1) / 0.6)
    layer = smooth_layer(surface, sample(calm, x, y), away * sample(source.trust[..., None], x, y)[:, 0].clamp(0, 1))
    return replace(layer, texel_rgb=layer.texel_rgb + photo_grain(photo, texels))


def photo_grain(photo: Photo, texels: Points) -> Tensor:
    """(P, 3) grain of the photo where each texel lies in the picture, whether the photo sees it or not."""
    source = photo.sharp
    x, y, _ = source.camera.project(texels.position)[0].unbind(-1)
    return sample(grain(source.rgb, (source.trust > 0.99).to(source.rgb.dtype)), x, y)


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
        last = sample_nearest(photo.sharp.far, x, y)
        behind = 1 - ((last - depth - 0.02) / 0.03).clamp(0, 1)
        trust = sample(confidence[..., None], x, y)[:, 0].clamp(0, 1)
        found.extend((sample(rgb, x, y).clamp(0, 1), trust * ramp * behind))
    return Layer(found[0], found[1], found[2] + photo_grain(photo, texels), found[3])


def mean_color(photo: Photo) -> Tensor:
    """(3,) mean colour of the object in the photo; grey when none of it is left."""
    weight = (photo.sharp.trust > 0.99).to(photo.sharp.rgb.dtype)[..., None]
    total = weight.sum()
    return (photo.sharp.rgb * weight).sum((0, 1)) / total if float(total) > 0 else photo.sharp.rgb.new_full((3,), 0.5)
