"""One training sample: a photo-like picture of an object, and everything that the network should answer to it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img23d.backends.rasterizers import BackendRasterizer
from img23d.ops.inflate import inflate
from img23d.priors import frame
from img23d.priors.layers import Hits, surface_hits
from img23d.training.appearance import Recolouring, cut_out_errors, photograph, texture_colour
from img23d.training.lighting import SOLID_SCALE, Lights, distance_at, random_lights, shade, to_linear, to_srgb, visibility
from img23d.training.objects import TrainingObject
from img23d.training.relief import Relief
from img23d.training.warp import Warp

SUPERSAMPLE = 2
FROM_ABOVE, STEEP = 0.12, (42.0, 88.0)  # share of views, and their elevations in degrees
EYE_LEVEL, ABOUT = 0.2, (4.0, 7.0)  # share of views from about as high as the thing itself, their elevations' mean and deviation
LEANING = 8.0  # degrees, standard deviation of the roll of a few


class Sample(NamedTuple):
    """All pictures are S x S, all numbers in the crop's frame (see `img23d.priors.frame`)."""

    rgb: np.ndarray  # (S, S, 3) uint8, multiplied by the mask
    mask: np.ndarray  # (S, S) uint8 as cut out, with its errors
    thickness: np.ndarray  # (2, S, S) uint8: distance to the edge and inflated half-thickness, 255 = 1 half-width
    hit: np.ndarray  # (S, S) bool: the true silhouette at pixel centres
    depth: np.ndarray  # (2, S, S) float16: first and last surface from mid-depth, away from the camera
    normal: np.ndarray  # (S, S, 3) int8, camera frame, 127 = 1
    back_rgb: np.ndarray  # (S, S, 3) uint8: colour of the last surface in the picture's mean light
    volume: np.ndarray  # (D, h, w) int8 signed distance along the rays, 127 = truncation
    view: np.ndarray  # (3,) float32 elevation, roll, fov


class Scene(NamedTuple):
    """A deformed object before the camera of its crop."""

    item: TrainingObject
    solid: Tensor  # (D, D, D) float, object units
    warp: Warp
    pose: frame.Pose
    framed: frame.Framed
    faces: Tensor  # (F, 3)
    corners: Tensor  # (F, 3, 8): object point, camera-frame corner normal, uv


def random_pose(random: np.random.Generator, device: torch.device | str = "cpu") -> frame.Pose:
    """Any azimuth, elevations mostly 0..40, many at eye level, a few from above, otherwise -20..60 degrees, little roll, crops of 8..58."""
    chance = random.random()
    low, high = (0, 40) if chance < 0.45 else STEEP if chance > 1 - FROM_ABOVE else (-20, 60)
    elevation = random.normal(*ABOUT) if 0.45 <= chance < 0.45 + EYE_LEVEL else random.uniform(low, high)
    roll = random.normal(0.0, LEANING if random.random() < 0.3 else 3.0) if random.random() < 0.5 else 0.0
    fov = random.uniform(*frame.FOV_RANGE)
    return frame.camera_pose(random.uniform(0, 2 * math.pi), math.radians(elevation), math.radians(roll), fov, device)


def make_scene(
    item: TrainingObject, solid: Tensor, warp: Warp, pose: frame.Pose, crease: float, fill: float = frame.FILL,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Scene:  # fmt: skip
    """Deform an object and put it before the camera.

    Args:
        item: normalised to a longest side of 1.
        solid: (D, D, D) int8 as carved.
        warp: the deformation.
        pose: the camera.
        crease: corners whose face turns by more than this angle (radians) from the vertex' mean are shaded flat.
        fill: see `frame.frame`.
        shift: see `frame.frame`.
    """
    device = solid.device
    points, faces = torch.from_numpy(item.vertices).to(device), torch.from_numpy(item.faces).long().to(device)
    framed = frame.frame(warp.forward(points), pose, fill, shift)
    normals = corner_normals(framed.local, faces, crease)
    corners = torch.cat([points[faces], normals, torch.from_numpy(item.corner_uv).to(device)], -1)
    return Scene(item, solid.float() * SOLID_SCALE, warp, pose, framed, faces, corners)


def corner_normals(points: Tensor, faces: Tensor, crease: float) -> Tensor:
    """(F, 3, 3) unit normals at the corners of faces: smooth over edges gentler than ``crease`` radians."""
    corner = points[faces]
    area = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    flat = torch.nn.functional.normalize(area, dim=-1, eps=1e-12)
    smooth = torch.zeros_like(points)
    for k in range(3):
        smooth.index_add_(0, faces[:, k], area)
    smooth = torch.nn.functional.normalize(smooth, dim=-1, eps=1e-12)[faces]
    gentle = (smooth * flat[:, None]).sum(-1, keepdim=True) > math.cos(crease)
    return torch.where(gentle, smooth, flat[:, None])


def layer(scene: Scene, rasterizer: BackendRasterizer, size: int, last: bool) -> tuple[Hits, Tensor, Tensor]:
    """First or last surfaces, their camera-frame points (P, 3), and the interpolated corner values (P, 8)."""
    xy, depth = frame.project(scene.framed.local, scene.framed.distance)
    hits = surface_hits(rasterizer, xy, 1.0 / depth.clamp(min=1e-3), scene.faces, size, perspective=True, last=last)
    return hits, hits.interpolate(scene.framed.local[scene.faces]), hits.interpolate(scene.corners)


def render_sample(scene: Scene, random: np.random.Generator, rasterizer: BackendRasterizer, size: int = frame.IMAGE_SIZE) -> Sample:
    """Draw one sample of a scene."""
    device = scene.solid.device
    recolour = Recolouring(random, scene.item.nearest, device)
    lights = random_lights(random, scene.pose.rotation[2])
    picture, alpha, mean_light = colour_picture(scene, recolour, lights, rasterizer, size)
    rgb, mask = finish_picture(random, picture.cpu().numpy(), alpha.cpu().numpy())
    depth = torch.zeros(2, size * size, device=device)
    normal = torch.zeros(size * size, 3, device=device)
    back_rgb = torch.zeros(size * size, 3, device=device)
    hits, points, values = layer(scene, rasterizer, size, last=False)
    depth[0, hits.pixel] = -points[:, 2]
    normal[hits.pixel] = facing(values[:, 3:6], eye_directions(points, scene.framed.distance))
    hit = torch.zeros(size * size, dtype=torch.bool, device=device)
    hit[hits.pixel] = True
    hits, points, values = layer(scene, rasterizer, size, last=True)
    depth[1, hits.pixel] = -points[:, 2]
    albedo = to_linear(recolour(texture_colour(scene.item, values[:, 6:8]), values[:, :3]))
    back_rgb[hits.pixel] = to_srgb(albedo * mean_light)
    distance, height = inflate(torch.from_numpy(mask)[None].float() / 255)
    thickness = (torch.cat([distance, height]).clamp(0, 1) * 255).round().byte().numpy()
    return Sample(
        rgb, mask, thickness, hit.reshape(size, size).cpu().numpy(), depth.reshape(2, size, size).half().cpu().numpy(),
        (normal * 127).round().to(torch.int8).reshape(size, size, 3).cpu().numpy(),
        (back_rgb * 255).round().byte().reshape(size, size, 3).cpu().numpy(), frustum_volume(scene, depth, hit, size).cpu().numpy(),
        np.array([scene.pose.elevation, scene.pose.roll, scene.pose.fov], np.float32),
    )  # fmt: skip


def eye_directions(points: Tensor, distance: float) -> Tensor:
    """(P, 3) unit vectors from camera-frame points to the camera."""
    return torch.nn.functional.normalize(points.new_tensor([0.0, 0.0, distance]) - points, dim=-1)


def facing(normals: Tensor, views: Tensor) -> Tensor:
    """(P, 3) normals turned to the camera's side and made unit."""
    normals = torch.nn.functional.normalize(normals, dim=-1, eps=1e-12)
    return normals * torch.where((normals * views).sum(-1, keepdim=True) < 0, -1.0, 1.0)


def colour_picture(
    scene: Scene, recolour: Recolouring, lights: Lights, rasterizer: BackendRasterizer, size: int, relief: Relief | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The lit picture (S, S, 3) sRGB, its coverage (S, S), and the mean irradiance (3,) of what it shows.

    With relief the warp must do no more than mirror.
    """
    fine = size * SUPERSAMPLE
    hits, points, values = layer(scene, rasterizer, fine, last=False)
    albedo = to_linear(recolour(texture_colour(scene.item, values[:, 6:8]), values[:, :3]))
    local_views = eye_directions(points, scene.framed.distance)
    normals, open_to_light = facing(values[:, 3:6], local_views), values.new_ones(len(values))
    if relief is not None:
        normals, open_to_light = relief.bend(values[:, :3], normals, local_views, scene.pose.rotation @ scene.warp.linear)
    normals, views = normals @ scene.pose.rotation, local_views @ scene.pose.rotation
    # Shadows are soft: one point in each final pixel is enough.
    coarse = (hits.pixel // fine // SUPERSAMPLE) * size + hits.pixel % fine // SUPERSAMPLE
    chosen = torch.full((size * size,), -1, dtype=torch.int64, device=points.device)
    chosen[coarse] = torch.arange(len(coarse), device=points.device)
    some = chosen[chosen >= 0]
    dark = torch.ones(size * size, 2, device=points.device)
    dark[coarse[some]] = torch.stack(visibility(scene.solid, values[some, :3], normals[some], lights), -1)
    light = shade(albedo, normals, views, dark[coarse, 0] * open_to_light, dark[coarse, 1], lights)
    # Exposure as a camera's: the bright parts come close to white.
    bright = torch.quantile(light[:: max(len(light) // 4096, 1)].amax(-1), 0.95).clamp(min=0.05) if len(light) else light.new_tensor(1.0)
    exposure = (1.0 / bright) ** 0.7
    image = torch.zeros(fine * fine, 4, device=points.device)
    image[hits.pixel] = torch.cat([to_srgb(light * exposure), torch.ones_like(light[:, :1])], -1)
    image = torch.nn.functional.avg_pool2d(image.reshape(1, fine, fine, 4).permute(0, 3, 1, 2), SUPERSAMPLE)[0].permute(1, 2, 0)
    irradiance = exposure * (light.mean(0) / albedo.mean(0).clamp(min=0.02)) if len(light) else light.new_ones(3)
    return image[..., :3] / image[..., 3:].clamp(min=1e-6), image[..., 3], irradiance


def finish_picture(random: np.random.Generator, rgb: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture over some background, photographed and cut out again: (S, S, 3) and (S, S) uint8."""
    ground = random.uniform(0, 1, 3) if random.random() < 0.5 else np.full(3, random.choice([0.0, 1.0]))
    seen = photograph(random, rgb * alpha[..., None] + ground * (1 - alpha[..., None]))
    mask = cut_out_errors(random, alpha)
    return (seen * mask[..., None] + 0.5).astype(np.uint8), (mask * 255 + 0.5).astype(np.uint8)


def frustum_volume(scene: Scene, depth: Tensor, hit: Tensor, size: int) -> Tensor:
    """(D, h, w) int8 signed distance at the volume's samples, in units of the truncation."""
    device, rays, bins = scene.solid.device, size // frame.PIXELS_PER_RAY, frame.DEPTH_BINS
    volume = torch.full((bins, rays, rays), 127, dtype=torch.int8, device=device)
    if not bool(hit.any()):
        return volume
    # Only the part of the volume about the object is looked up.
    image = hit.reshape(size, size)
    rows, columns = (torch.nonzero(image.any(axis))[:, 0] for axis in (1, 0))
    margin = math.ceil(frame.TRUNCATION * rays / 2) + 1
    ratio = size / rays
    top, bottom = (max(int(int(rows[0]) / ratio) - margin, 0), min(int(int(rows[-1]) / ratio) + margin + 1, rays))
    left, right = (max(int(int(columns[0]) / ratio) - margin, 0), min(int(int(columns[-1]) / ratio) + margin + 1, rays))
    axis, depths = frame.pixel_axis(rays, device), frame.bin_depths(bins, device)
    kept = (depths > depth[0][hit].min() - frame.TRUNCATION) & (depths < depth[1][hit].max() + frame.TRUNCATION)
    if not bool(kept.any()):  # a pole seen along its length, which is all before or behind the volume
        return volume
    along, y, x = torch.meshgrid(depths[kept], -axis[top:bottom], axis[left:right], indexing="ij")
    grow = (scene.framed.distance + along) / scene.framed.distance
    local = torch.stack([x * grow, y * grow, -along], -1).reshape(-1, 3)
    warped = ((local + scene.framed.offset) / scene.framed.scale) @ scene.pose.rotation
    value = distance_at(scene.solid, scene.warp.backward(warped)) * (scene.framed.scale * scene.warp.stretch / frame.TRUNCATION)
    first, stop = int(torch.nonzero(kept)[0, 0]), int(torch.nonzero(kept)[-1, 0]) + 1
    value = value.reshape(stop - first, bottom - top, -1)
    value = torch.minimum(value, sheet_distance(depths[kept], depth, image, rays)[:, top:bottom, left:right])
    volume[first:stop, top:bottom, left:right] = (value.clamp(-1, 1) * 127).round().to(torch.int8)
    return volume


def sheet_distance(depths: Tensor, depth: Tensor, image: Tensor, rays: int) -> Tensor:
    """(d, h, w) distance along the rays to a sheet one bin thick behind the first and before the last surface, over the truncation.

    Parts thinner than a bin would fall between the samples; with these sheets the volume's silhouette is the picture's.
    """
    pool = torch.nn.functional.avg_pool2d
    ratio = image.shape[0] // rays
    weight = pool(image[None].float(), ratio)[0]
    half = frame.DEPTH_RANGE / (len(frame.bin_depths()) - 1)
    sheet = torch.full((len(depths), rays, rays), torch.inf, device=depths.device)
    for surface, side in ((depth[0], 1.0), (depth[1], -1.0)):
        # Pixels of one ray may see different surfaces: their mean would lie between, so the nearest (farthest) counts.
        nearness = torch.where(image, -side * surface.reshape(image.shape), -9.0)
        extreme = -side * torch.nn.functional.max_pool2d(nearness[None], ratio)[0]
        sheet = torch.minimum(sheet, (depths[:, None, None] - extreme - side * half).abs() - half)
    return torch.where(weight >= 0.5, sheet / frame.TRUNCATION, torch.full_like(sheet, torch.inf))
