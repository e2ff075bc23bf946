"""From the network's volume along the photo's rays to a signed distance on the object's grid, in agreement with silhouette and depths."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.inflate import parabola_minimum
from img23d.priors import frame
from img23d.priors.tunnels import close_tunnels, hole_count, tunnel_count
from img23d.scene import Cameras

BINS = 128  # depth samples of the corrected volume
THINNEST = 0.03  # half-widths: what the silhouette shows is at least this thick
THICKENED = 0.1  # half-widths: half the most along the rays to which what is seen at a grazing angle is thickened
TRUST = 4.0  # how much a confident layered depth counts against the volume's own surface
WALL = 0.16  # half-widths: far walls of hollow things are at least so thick, or the fit would wear them through
SURE = 0.9  # confidence from which on a solid is known, as boxes and solids of revolution are
HOLLOW = 0.25  # half-widths: a volume that ends so far before the last layered depth is hollow there and has lost its far wall


class RayVolume(NamedTuple):
    """Signed distances along the rays of the S x S pixels, in half-widths, and how far to trust them."""

    distance: Tensor  # (D, S, S)
    confidence: Tensor  # (D, S, S)


def silhouette_distance(mask: Tensor) -> Tensor:
    """(S, S) signed distance to the silhouette's edge in half-widths, negative inside, from coverage (S, S), finer than a pixel."""
    inside = mask > 0.5
    far = torch.full_like(mask, float(mask.shape[-1] ** 2) * 2)
    zero = torch.zeros_like(mask)
    out, within = parabola_minimum(torch.stack([torch.where(inside, zero, far), torch.where(inside, far, zero)])).sqrt()
    signed = torch.where(inside, 0.5 - within, out - 0.5)
    # Pixels on the edge know from their coverage where it is.
    edge = signed.abs() <= 0.5
    return torch.where(edge, 0.5 - mask, signed).clamp(-mask.shape[-1], mask.shape[-1]) * (2.0 / mask.shape[-1])


def crossings(volume: Tensor, depths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where each ray enters and leaves the volume's solid.

    Args:
        volume: (D, S, S) signed distances.
        depths: (D,).

    Returns:
        (S, S) first and last depth, interpolated between samples, and (S, S) bool whether there is a solid at all.
    """
    inside, count = volume < 0, len(volume)
    # The greatest of numbered samples is found several times as fast as with argmax.
    number = torch.arange(1, count + 1, dtype=torch.int16, device=volume.device)[:, None, None]
    any_inside = inside.any(0)
    step = depths[1] - depths[0]

    def entry(index: Tensor, outer: Tensor) -> Tensor:
        """How far the surface is from the sample ``index`` towards its neighbour outside of the solid, 0..1."""
        here, before = (volume.gather(0, at[None])[0] for at in (index, outer.clamp(0, count - 1)))
        known = (outer >= 0) & (outer < count) & (before > 0)
        return torch.where(known, here / (here - before).clamp(max=-1e-6), torch.zeros_like(here))

    near = torch.where(any_inside, count - (inside * number.flip(0)).amax(0).long(), 0)
    far = torch.where(any_inside, (inside * number).amax(0).long() - 1, count - 1)
    first = depths[0] + (near.to(volume.dtype) - entry(near, near - 1)) * step
    last = depths[-1] - ((count - 1 - far).to(volume.dtype) - entry(far, far + 1)) * step
    return first, last, any_inside


def spread_blur(values: Tensor, known: Tensor, sigma: float = 1.5) -> Tensor:
    """(S, S) values blurred over the known pixels only.

    Args:
        values: (S, S).
        known: (S, S) bool.
        sigma: of the Gaussian, in pixels.
    """
    reach = math.ceil(2.5 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=values.device) / sigma) ** 2)
    weight = known.to(values.dtype)
    planes = torch.stack([values * weight, weight])[:, None]
    planes = F.conv2d(F.conv2d(planes, taps[None, None, None], padding=(0, reach)), taps[None, None, :, None], padding=(reach, 0))
    return planes[0, 0] / planes[1, 0].clamp(min=1e-6)


def agree(volume: Tensor, depths: Tensor, mask: Tensor, layers: tuple[Tensor, Tensor], trust: tuple[Tensor, Tensor]) -> RayVolume:
    """Stretch each ray of the volume so that its first and last surfaces are where the layered depths say.

    Parts too thin for the volume take their thickness from the layered depths alone, and the silhouette bounds everything.

    Args:
        volume: (D, h, w) signed distances in half-widths, at ``depths``.
        depths: (D,) of the volume's samples.
        mask: (S, S) coverage.
        layers: (S, S) first and last depth.
        trust: (S, S) their confidences, 0..1.
    """
    size = mask.shape[-1]
    volume = F.interpolate(volume[None], size=(size, size), mode="bilinear", align_corners=False)[0]
    enter, leave, solid = crossings(volume, depths)
    front, back = layers[0], torch.maximum(layers[1], layers[0] + THINNEST)
    known = solid & (mask > 0.5)
    moved = []
    for surface, layer, confidence in ((enter, front, trust[0]), (leave, back, trust[1])):
        weight = TRUST * confidence / (1.0 + TRUST * confidence)
        # A smooth displacement keeps the volume's surface smooth; where the volume has no surface there is nothing to displace.
        alone = torch.where(solid, surface, spread_blur(layer, mask > 0.5, 3.0))
        moved.append(torch.where(known, surface + spread_blur(weight * (layer - surface), known), alone))
    start, stop = moved
    middle, half = (start + stop) / 2, ((stop - start) / 2).clamp(min=THINNEST / 2)
    grown = half + lacking_overlap(middle, half, mask > 0.5)
    half = torch.maximum(half, grown.clamp(max=THICKENED))
    start, stop = middle - half, middle + half
    enter, leave = torch.where(solid, enter, start), torch.where(solid, leave, stop)  # a ray that meets no solid is not stretched
    target = torch.linspace(float(depths[0]) - 0.1, float(depths[-1]) + 0.1, BINS, device=volume.device)[:, None, None]
    # Where a depth of the answer is found in the volume: the same before and behind, stretched between.
    ratio = (leave - enter).clamp(min=1e-3) / (stop - start)
    between = enter + (target - start) * ratio
    source = torch.where(target < start, target - start + enter, torch.where(target > stop, target - stop + leave, between))
    position = (source - depths[0]) / (depths[1] - depths[0])
    low = position.floor().clamp(0, len(depths) - 2)
    share = (position - low).clamp(0, 1)
    index = low.long()
    looked = volume.gather(0, index) * (1 - share) + volume.gather(0, index + 1) * share
    looked = looked + ((depths[0] - source).clamp(min=0) + (source - depths[-1]).clamp(min=0))
    slab = torch.maximum(start - target, target - stop)
    outside = silhouette_distance(mask)
    distance = torch.where(solid | (outside > 0), looked, slab)
    distance = torch.maximum(distance, outside.expand_as(distance))
    near_front = ((stop - target) / (stop - start)).clamp(0, 1)
    confidence = trust[0] * near_front + trust[1] * (1 - near_front)
    return RayVolume(distance, torch.where(outside > 0, torch.ones_like(confidence), confidence))


def lacking_overlap(middle: Tensor, half: Tensor, inside: Tensor) -> Tensor:
    """(S, S) by how much a ray's stretch of solid must reach farther both ways to share enough depth with those of its neighbours.

    What is seen at a grazing angle would fall apart into strips: two neighbouring rays share no depth then. As much as lies between their
    middles is enough. Where one stretch holds the other, as at the near rim of a cup, they share all there is.

    Args:
        middle: (S, S) depth midway between entry and exit.
        half: (S, S) half the length of the stretch.
        inside: (S, S) bool.
    """
    lacking = torch.zeros_like(middle)
    for axis in (0, 1):
        (here, there), (this, other) = ([part.narrow(axis, start, len(part) - 1) for start in (0, 1)] for part in (middle, half))
        apart = (here - there).abs()
        shared = torch.minimum(this + other - apart, 2 * torch.minimum(this, other))
        short = ((apart.clamp(max=THICKENED) - shared) / 2).clamp(min=0)
        short = short * (inside.narrow(axis, 1, len(inside) - 1) & inside.narrow(axis, 0, len(inside) - 1))
        edge = short.narrow(axis, 0, 1) * 0
        lacking = torch.maximum(lacking, torch.maximum(torch.cat([short, edge], axis), torch.cat([edge, short], axis)))
    return lacking


def without_lost_walls(rays: RayVolume, doubted: Tensor, mask: Tensor, back: Tensor) -> RayVolume:
    """Fill hollow things where their volume has lost the far wall, up to where the layers have it, and thicken thin far walls inwards.

    A wall thinner than a bin that is not certain to lie in one bin or the next has a chance below a third in each, and vanishes; where the
    last surface lies is certain all the same. A wall alone would be put back too thin to survive the fit.

    Args:
        rays: from `agree`.
        doubted: (S, S) bool, where the solid is not known for sure; nothing else changes.
        mask: (S, S) coverage.
        back: (S, S) last layered depth.
    """
    depths = bin_depths(rays.distance)
    leave, solid = crossings(rays.distance, depths)[1:]
    inside = solid & (mask > 0.5) & doubted
    back = spread_blur(back, mask > 0.5, 2.0)
    lost = ((back - leave > HOLLOW) & inside).to(mask.dtype)[None, None]
    # Single rays are noise; and what is filled overlaps with what is round it.
    lost = F.max_pool2d((F.avg_pool2d(lost, 5, 1, 2) > 0.5).to(mask.dtype), 9, 1, 4)[0, 0] > 0
    depth = depths[:, None, None]
    filling = torch.maximum(leave - THINNEST - depth, depth - back)
    distance = torch.where(lost & inside, torch.minimum(rays.distance, filling), rays.distance)
    enter, leave, _ = crossings(distance, depths)
    wall = torch.maximum(torch.maximum(leave - WALL, enter) - depth, depth - leave)
    distance = torch.where(inside, torch.minimum(distance, wall), distance)
    return rays._replace(distance=torch.maximum(distance, silhouette_distance(mask).expand_as(distance)))


def bin_depths(distance: Tensor) -> Tensor:
    """(D,) depths of the samples of a corrected volume (D, S, S)."""
    reach = frame.DEPTH_RANGE + 0.1
    return torch.linspace(-reach, reach, len(distance), device=distance.device)


def to_grid(rays: RayVolume, camera: Cameras, resolution: int) -> tuple[Tensor, Tensor]:
    """Resample distances along rays onto the object's grid.

    Args:
        rays: of the crop's pixels.
        camera: (V = 1) of the crop; mid-depth is the depth of the object frame's origin.
        resolution: samples along each side of [-1, 1]^3.

    Returns:
        (D, D, D) signed distance and confidence, [z, y, x], object units.
    """
    device = rays.distance.device
    axis = torch.linspace(-1, 1, resolution, device=device)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")[::-1], -1).reshape(-1, 3)
    camera = camera.to(device)
    middle = float(camera.project(torch.zeros(1, 3, device=device))[0, 0, 2])
    unit = middle * 0.5 / float(camera.focal.mean())
    seen = camera.project(grid.to(camera.focal.dtype))[0].float()
    depth = (seen[:, 2] - middle) / unit
    size = rays.distance.shape[-1]
    reach = frame.DEPTH_RANGE + 0.1
    place = torch.stack([(seen[:, 0] * size - 0.5) * 2 / (size - 1) - 1, (seen[:, 1] * size - 0.5) * 2 / (size - 1) - 1, depth / reach], -1)
    both = torch.stack([rays.distance, rays.confidence])[None]
    inside = place.clamp(-1, 1)
    looked = F.grid_sample(both, inside[None, None, None], align_corners=True, padding_mode="border")[0, :, 0, 0]
    beyond = ((place - inside) * place.new_tensor([1.0, 1.0, reach])).norm(dim=-1)
    # A ray's half-width grows with depth: lengths across it are told at mid-depth.
    distance = (looked[0] + beyond) * unit * (seen[:, 2] / middle).clamp(0.2, 3.0)
    shape = (resolution,) * 3
    return distance.reshape(shape), looked[1].clamp(0, 1).reshape(shape)


def solid_from_prediction(prediction, camera: Cameras, resolution: int) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    """The predicted solid on the object's grid.

    Args:
        prediction: an `img23d.priors.embedded.Prediction`.
        camera: (V = 1) of the crop in the object frame, with the prediction's fov; the object frame's origin is at mid-depth.
        resolution: D.

    Returns:
        (D, D, D) signed distance in object units, negative inside, indexed [z, y, x] over [-1, 1]^3, and its confidence 0..1. The solid
        fills the silhouette, is nowhere thinner than `THINNEST`, has no tunnels but those that the silhouette shows, as far as they can be
        closed, and its distances are those to its own surface.
    """
    near, far = prediction.depth_range
    depths = torch.linspace(near, far, prediction.volume.shape[0], device=prediction.volume.device)
    layers = (prediction.front_depth, prediction.back_depth)
    trust = (prediction.depth_confidence, prediction.back_depth_confidence)
    rays = agree(prediction.volume * frame.TRUNCATION, depths, prediction.mask, layers, trust)
    rays = without_lost_walls(rays, prediction.back_depth_confidence < SURE, prediction.mask, prediction.back_depth)
    distance, confidence = to_grid(rays, camera, resolution)
    step = 2.0 / (resolution - 1)
    distance = smooth_thick(distance, step)
    if tunnel_count((distance < 0).cpu().numpy()) > hole_count(prediction.mask):
        cone = silhouette_distance(prediction.mask).expand_as(rays.distance)
        outside, _ = to_grid(RayVolume(cone, rays.confidence), camera, resolution)
        distance = close_tunnels(distance, outside, prediction.mask, step)
    return redistance(distance, step), confidence


def smooth_thick(distance: Tensor, step: float) -> Tensor:
    """(D, D, D) distances smoothed over neighbouring samples in and about the thick parts of the solid; thin parts elsewhere stay.

    Args:
        distance: signed.
        step: between samples.
    """
    volume = distance.clamp(-4 * step, 4 * step)[None, None]
    deep = (volume < -2.0 * step).to(volume.dtype)
    for shape in ((11, 1, 1), (1, 11, 1), (1, 1, 11)):  # axis by axis the same, for a tenth of the time
        deep = F.max_pool3d(deep, shape, 1, tuple(side // 2 for side in shape))
    deep = F.avg_pool3d(deep, 3, 1, 1, count_include_pad=False)
    smooth = volume
    for _ in range(3):
        smooth = F.avg_pool3d(smooth, 3, 1, 1, count_include_pad=False)
    mixed = torch.minimum(torch.lerp(volume, smooth, deep)[0, 0], distance + 0.7 * step)  # what is thin is not smoothed away
    return torch.where(distance.abs() < 3 * step, mixed, distance)


def redistance(distance: Tensor, step: float) -> Tensor:
    """(D, D, D) true distances far from the surface, where the network only told the side; near the surface the given ones.

    Args:
        distance: signed, right in sign and near zero.
        step: between samples.
    """
    from scipy.ndimage import distance_transform_edt

    inside = (distance < 0).cpu().numpy()
    if not inside.any() or inside.all():
        return distance
    far = torch.from_numpy((distance_transform_edt(~inside) - 0.5).clip(min=0) - (distance_transform_edt(inside) - 0.5).clip(min=0))
    far = far.to(distance) * step
    share = (far.abs() / step - 1.0).clamp(0, 1)
    return torch.where(far.abs() <= 2 * step, distance.clamp(-2.5 * step, 2.5 * step) * (1 - share) + far * share, far)
