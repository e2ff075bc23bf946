"""Colours of what nothing shows, made of patches of what the photo shows: tiles go on as tiles, fur as fur, layers at their height.

The object is looked at from its back and from both sides. What is not known in those pictures is made of patches of the photo
(`img23d.ops.patch_match`), and each is painted on the surface before the next one is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.averaging import Averaging
from img23d.ops.defringe import blur_inside, spread_smoothly
from img23d.ops.fill import Layer, Surface, lay_over
from img23d.ops.interpolate import fragments, interpolate, to_image
from img23d.ops.patch_match import ZOOM, Example, Picture, examples, synthesised
from img23d.ops.project_photo import PhotoSource, facing, prepare_photo, project_photo, sample
from img23d.ops.raster import Rasterizer
from img23d.ops.unseen import Photo, Points, photo_layer, soften
from img23d.scene import Cameras, Mesh, Views

# Degrees by which the camera goes round for each picture, and at most and at least so many pixels along the object's longest side in them.
TURNS, FINE, COARSE = (180.0, 90.0, 270.0), 192, 48
# How much finer than the texture copies in more detail may be.
FINER = 1.6
# Empty pixels about the object, and whole numbers of pixels that sides of pictures are multiples of.
MARGIN, MULTIPLE = 8, 8
# What is known better than this stays as it is; the photo's is copied where it shows the surface at least so well.
SURE, SHOWN = 0.9, 0.5
# Weights against colours: of the guess's colours, of the height (longest sides), of how far the surface faces up and away from the upright
# middle axis (the inside of a cup is no place for what is painted on its outside), and of how straight the camera looks at it.
COLOR, HEIGHT, UPWARD, OUTWARD, STRAIGHT = 2.0, 1.0, 0.3, 0.4, 0.15
# Nearer to the axis than this nothing faces away from it, longest sides.
AXIS = 0.1
# Rounds of averaging between neighbours of the guess that guides.
GUIDE_ROUNDS = 40
# Copies may be lighter or darker than the guess, which is right about that more often: how far they follow it, over what share of the
# longest side, and difference of colours (root sum square) that is half taken.
CALM, CALM_SPREAD, EDGE = 0.9, 0.04, 0.2
# Angle from which a picture does not show the surface any more, and cosines from which on it is painted with it hardly and wholly.
SLANTED, HARDLY, WHOLLY = math.radians(85), 0.25, 0.5
# Colours of the example are sampled so many times as densely.
DENSE = 4


@dataclass(frozen=True)
class Subject:
    """What is looked at.

    Args:
        surface: N vertices, P texels.
        mesh: the same surface with as few faces as tell what hides what.
        vertices: places and normals of the N vertices.
        texels: places and normals of the P texels.
        guide: (N, G) what copies must share besides their colours.
        rasterizer: says which face each pixel sees.
    """

    surface: Surface
    mesh: Mesh
    vertices: Points
    texels: Points
    guide: Tensor
    rasterizer: Rasterizer

    @cached_property
    def pixels(self) -> float:
        """Along the longest side of the object: hardly more than tell anything on the texture."""
        texel = math.sqrt(float(self.surface.membrane.mass.sum()) / max(1, len(self.texels.position)))
        return min(FINE, max(COARSE, FINER * self.longest / (ZOOM * texel)))

    @cached_property
    def longest(self) -> float:
        """Longest side of the object's box, object units."""
        return float((self.vertices.position.amax(0) - self.vertices.position.amin(0)).amax())


@dataclass(frozen=True)
class Known:
    """How far colours are known, 0..1, of vertices (N,) and texels (P,)."""

    vertices: Tensor
    texels: Tensor


def with_synthesis(
    surface: Surface, mesh: Mesh, photo: Photo, vertices: Points, texels: Points, painted: Layer, known: Known,
    rasterizer: Rasterizer, seed: int,
) -> Layer:  # fmt: skip
    """Paint what is not known with patches of what the photo shows.

    Args:
        surface: N vertices, P texels.
        mesh: the same surface with as few faces as tell what hides what.
        photo: what is copied from.
        vertices: places and normals of the N vertices.
        texels: places and normals of the P texels.
        painted: the best guess so far, the photo over it.
        known: those colours stay, and what is made joins on to them.
        rasterizer: says which face each pixel sees.
        seed: of the choice of patches.

    Returns:
        The same layer where colours are known, where no picture shows the surface, and if there is nothing to copy from.

    Reference: Hertzmann et al., Image analogies (2001), copies guided by more than colours.
    """
    averaging = Averaging(surface.mesh.faces, len(vertices.position))
    guide = guide_values(vertices, averaging(painted.vertex_rgb, GUIDE_ROUNDS))
    shown = Layer(painted.vertex_rgb, known.vertices, painted.texel_rgb, known.texels)
    subject = Subject(surface, mesh, vertices, texels, guide, rasterizer)
    example, fine = example_of(subject, photo)
    levels = examples(example, seed)
    if levels[-1] is None:
        return painted
    for number, turn in enumerate(TURNS):
        camera, size = framed(turned(photo.sharp.camera, vertices.position, turn), vertices.position, subject.longest / subject.pixels)
        layer = from_one_side(subject, photo, camera, size, painted, known, (levels, fine), seed + number)
        if layer is not None:
            painted = lay_over(surface, painted, layer)
            known = Known(torch.maximum(known.vertices, layer.vertex_trust), torch.maximum(known.texels, layer.texel_trust))
    return lay_over(surface, painted, shown)  # what is known was moved towards what is made beside it


def guide_values(vertices: Points, around: Tensor) -> Tensor:
    """(N, 6) what patches and copies must share besides their colours, weighted: colours around (N, 3), height, which way they face."""
    low, high = vertices.position.amin(0), vertices.position.amax(0)
    longest = (high - low).amax()
    outward = (vertices.position - (low + high) / 2) * around.new_tensor([1.0, 0.0, 1.0])
    outward = outward / outward.norm(dim=-1, keepdim=True).clamp(min=AXIS * float(longest))
    directions = torch.stack([UPWARD * vertices.normal[:, 1], OUTWARD * (vertices.normal * outward).sum(-1)], -1)
    return torch.cat([COLOR * around, HEIGHT * vertices.position[:, 1:2] / longest, directions], -1)


def turned(camera: Cameras, points: Tensor, degrees: float) -> Cameras:
    """One camera gone round the upright middle axis of points (N, 3)."""
    middle = (points.amin(0) + points.amax(0)) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = points.new_tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    pose = camera.cam_to_world.clone()
    pose[0, :3, :3] = rotation @ pose[0, :3, :3]
    pose[0, :3, 3] = rotation @ (pose[0, :3, 3] - middle) + middle
    return replace(camera, cam_to_world=pose)


def framed(camera: Cameras, points: Tensor, pitch: float) -> tuple[Cameras, int]:
    """The camera with a square picture about points (N, 3), a pixel about ``pitch`` object units, and its side in pixels."""
    place = camera.project(points)[0]
    depth, low, high = float(place[:, 2].median()), place[:, :2].amin(0), place[:, :2].amax(0)
    size = math.ceil(float(((high - low) * depth / camera.focal[0]).amax()) / pitch) + 2 * MARGIN
    size += -size % MULTIPLE
    side = size * pitch * camera.focal[0] / depth  # of the picture, in fractions of the camera's own
    start = (low + high - side) / 2
    return Cameras(camera.cam_to_world, camera.focal / side, (camera.center - start) / side), size


def looked_at(subject: Subject, camera: Cameras, size: int, values: Tensor) -> tuple[Tensor, Tensor]:
    """(n, n, C + 7) values (N, C) of vertices and their guides as a camera sees them, and (n, n) bool where it sees any."""
    straight = STRAIGHT * facing(camera, subject.vertices.position, subject.vertices.normal)[:, None]
    points, faces = camera.project(subject.vertices.position), subject.surface.mesh.faces
    ids = subject.rasterizer.face_ids(points, faces, size, size)
    seen = fragments(ids, points, faces)
    return to_image(seen, interpolate(seen, torch.cat([values, subject.guide, straight], -1)))[0], ids[0] >= 0


def example_of(subject: Subject, photo: Photo) -> tuple[Picture, np.ndarray]:
    """The photo as an example, and (ZOOM n, ZOOM n, 3) in more detail."""
    camera, size = framed(photo.sharp.camera, subject.vertices.position, subject.longest / subject.pixels)
    shown = project_photo(photo.soft, subject.vertices.position, subject.vertices.normal, photo.grazing)[1]
    values, seen = looked_at(subject, camera, size, shown[:, None])
    steps = (torch.arange(DENSE * size, device=shown.device) + 0.5) / (DENSE * size)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    own, fraction = photo.sharp.camera, camera.focal[0] / photo.sharp.camera.focal[0]
    x, y = (((along.reshape(-1) - camera.center[0, axis]) / fraction[axis] + own.center[0, axis]) for axis, along in enumerate((x, y)))
    planes = torch.cat([sample(photo.sharp.rgb, x, y, "bicubic").clamp(0, 1), sample(photo.sharp.trust[..., None], x, y)], -1)
    planes = planes.T.reshape(1, 4, DENSE * size, DENSE * size)
    coarse, fine = (F.avg_pool2d(planes, step)[0].permute(1, 2, 0).cpu().numpy() for step in (DENSE, DENSE // ZOOM))
    inside = (seen & (values[..., 0] > SHOWN)).cpu().numpy() & (coarse[..., 3] > 0.99)
    guide = values[..., 1:].cpu().numpy()
    return Picture(np.ascontiguousarray(coarse[..., :3]), guide, inside, inside), np.ascontiguousarray(fine[..., :3])


def from_one_side(
    subject: Subject, photo: Photo, camera: Cameras, size: int, painted: Layer, known: Known,
    example: tuple[list[Example | None], np.ndarray], seed: int,
) -> Layer | None:  # fmt: skip
    """What is made of a side as a layer that is trusted where nothing is known; None where there is nothing to make.

    Args:
        subject: what is looked at.
        photo: its grazing angle counts.
        camera: that looks at the side.
        size: pixels along a side of its picture.
        painted: the best guess so far.
        known: how far it is known.
        example: levels and detail of what is copied from.
        seed: of the choice of patches.
    """
    values, inside = looked_at(subject, camera, size, torch.cat([painted.vertex_rgb, known.vertices[:, None]], -1))
    blank = Views(camera, values.new_zeros(1, size, size, 3), inside.to(values)[None])
    source = prepare_photo(blank, subject.mesh, subject.rasterizer)
    told = with_texels(values[..., :4], source, subject.texels, torch.cat([painted.texel_rgb, known.texels[:, None]], -1))
    picture = Picture(
        told[..., :3].cpu().numpy(), values[..., 4:].contiguous().cpu().numpy(), inside.cpu().numpy(), (told[..., 3] > SURE).cpu().numpy()
    )
    made = synthesised(picture, *example, seed)
    if made is None:
        return None
    loose = inside & (told[..., 3] <= SURE)
    sharp, soft = closer_to_guess(made, told[..., :3], values[..., :3], loose, CALM_SPREAD * subject.pixels)
    within = F.interpolate(inside.to(values)[None, None], scale_factor=ZOOM)[0, 0]
    faces, place = subject.surface.mesh.faces, subject.vertices.position
    edge = float((place[faces[:, 0]] - place[faces[:, 1]]).norm(dim=-1).mean())
    fine = replace(source, rgb=spread_smoothly(sharp, within))
    coarse = soften(replace(source, rgb=spread_smoothly(soft, inside.to(values))), edge)
    layer = photo_layer(Photo(fine, coarse, photo.grazing), subject.vertices, subject.texels)
    trust = [
        given * (1 - sure) * ((facing(camera, points.position, points.normal) - HARDLY) / (WHOLLY - HARDLY)).clamp(0, 1)
        for given, sure, points in (
            (layer.vertex_trust, known.vertices, subject.vertices),
            (layer.texel_trust, known.texels, subject.texels),
        )
    ]
    return replace(layer, vertex_trust=trust[0], texel_trust=trust[1])


def with_texels(picture: Tensor, source: PhotoSource, texels: Points, values: Tensor) -> Tensor:
    """(n, n, C) a picture of vertices' values with the means of texels' values (P, C) wherever those are seen."""
    size = len(picture)
    seen = project_photo(source, texels.position, texels.normal, SLANTED)[1] > 0.5
    x, y, _ = source.camera.project(texels.position[seen])[0].unbind(-1)
    pixel = (y * size).long().clamp(0, size - 1) * size + (x * size).long().clamp(0, size - 1)
    count = torch.bincount(pixel, minlength=size * size)
    total = torch.stack([torch.bincount(pixel, one, size * size) for one in values[seen].T], -1)
    means = total / count.clamp(min=1)[:, None]
    return torch.where((count > 0)[:, None], means, picture.reshape(size * size, -1)).reshape(picture.shape)


def closer_to_guess(
    made: tuple[np.ndarray, np.ndarray], told: Tensor, guess: Tensor, loose: Tensor, spread: float
) -> tuple[Tensor, Tensor]:
    """What was made in a picture's own resolution and in more detail, lighter or darker as the guess is, and what is told beside it.

    Args:
        made: from `synthesised`.
        told: (n, n, 3) colours of texels.
        guess: (n, n, 3) colours without detail.
        loose: (n, n) bool, where colours are made.
        spread: of what differs, pixels.

    Returns:
        (ZOOM n, ZOOM n, 3) and (n, n, 3).
    """
    coarse, fine = (torch.from_numpy(one).to(told) for one in made)
    differs = guess - coarse
    # Where they differ much the copies have an edge, or dots, that the guess has blurred: those stay.
    small = differs / (1 + differs.square().sum(-1, keepdim=True) / EDGE**2)
    shift = CALM * blur_inside(small, loose.to(told), spread)

    def zoomed(image: Tensor) -> Tensor:
        return F.interpolate(image.permute(2, 0, 1)[None], scale_factor=ZOOM, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)

    sharp = torch.where(fine.isnan(), zoomed(told), fine + zoomed(shift))
    return sharp.clamp(0, 1), torch.where(loose[..., None], coarse + shift, told).clamp(0, 1)
