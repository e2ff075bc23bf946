"""What the photo says about points of the surface: their colour, and how far it can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.defringe import inner_mask, spread_smoothly
from img23d.ops.interpolate import fragments, interpolate, to_image
from img23d.ops.normals import vertex_normals
from img23d.ops.raster import Rasterizer
from img23d.scene import Cameras, Mesh, Views

# Angle before the last trusted one at which trust begins to fall.
RAMP = math.radians(10)
# The last trusted angle away from every rim: a flat side seen at a slant is stretched, but no guess knows it better.
FLAT = math.radians(87)
# A surface that bends away in the picture's depth by more than this between two pixels ends there, object units.
STEP = 0.03
# Rim of the mask whose pixels mix object and background: share of the picture's size, and at least this many pixels.
RIM, LEAST_RIM = 0.003, 1.5
# How far outside the mask the rim's colour still serves, share of the picture's size; a fitted silhouette is never exact.
OVERHANG = 0.02
# Widest picture on which visibility is decided, pixels.
DEPTH_SIZE = 768
# Cosine between the normals of a point that is only near the surface and of what is seen there, from which on they are one side of it:
# the floor of a cup is near its front wall, but not what one sees of it.
ALIKE = 0.5
# Uncertainty of a surface's depth, object units; on top of it comes its slope within a pixel.
DEPTH_NOISE = 0.004


@dataclass(frozen=True)
class PhotoSource:
    """A photo made ready for looking up colours.

    Args:
        camera: one camera.
        rgb: (H, W, 3) sRGB, the object's own colours continued beyond its rim.
        trust: (H, W) 0..1: 1 on the object, falling to 0 outside.
        near: (h, w) z-depth of the nearest surface around each pixel, infinite where there is none.
        far: (h, w) z-depth of the last surface behind each pixel, 0 where there is none.
        front: (h, w, 3) normal of the nearest surface, 0 where there is none.
        inland: (h, w) 0..1: 0 on rims, where surfaces end in the picture, 1 some pixels away from them.
    """

    camera: Cameras
    rgb: Tensor
    trust: Tensor
    near: Tensor
    far: Tensor
    front: Tensor
    inland: Tensor


def prepare_photo(views: Views, mesh: Mesh, rasterizer: Rasterizer, texel: float = 0.0) -> PhotoSource:
    """Clean the rim of a photo, and render what hides what.

    Args:
        views: the photo with its mask and camera, V = 1.
        mesh: the surface as the photo's camera sees it.
        rasterizer: says which face each pixel sees.
        texel: size of a texel in object units; a photo that is much finer is made coarser first, so that it does not alias.

    Returns:
        The source for `project_photo`.
    """
    if len(views) != 1:
        raise ValueError(f"one photo is projected, got {len(views)}")
    rgb, mask = _match_resolution(views, mesh, texel)
    size = max(mask.shape)
    solid = inner_mask(mask, max(LEAST_RIM, RIM * size))
    clean = spread_smoothly(rgb, solid.to(rgb.dtype))
    trust = (1 - distance_from(mask > 0.5) / (OVERHANG * size)).clamp(0, 1) * bool(solid.any())
    near, far, front = depth_range(mesh, views.cameras, rasterizer, *_limit(views.mask.shape[1:], DEPTH_SIZE))
    reach = max(1, round(0.004 * max(near.shape)))
    nearest = -F.max_pool2d(-near[None, None], 2 * reach + 1, stride=1, padding=reach)[0, 0]
    away = distance_from(~F.interpolate(solid[None, None].float(), near.shape, mode="area")[0, 0].gt(0.5) | surface_ends(near))
    inland = smoothstep((away - reach) / (1.5 * reach))
    return PhotoSource(views.cameras, clean, trust.to(rgb.dtype), nearest, far, front, inland.to(rgb.dtype))


def project_photo(
    source: PhotoSource, points: Tensor, normals: Tensor, grazing: float, slack: float | None = None, any_side: bool = False
) -> tuple[Tensor, Tensor]:
    """The photo's colour at surface points and its trustworthiness: seen, not too slanted, and on the object.

    Args:
        source: from `prepare_photo`.
        points: (P, 3) object frame.
        normals: (P, 3) unit outward.
        grazing: angle between normal and line of sight from which the photo says nothing, radians.
        slack: for points that are only near the surface (mirrored ones): how far off they may be, in front or behind, object units.
        any_side: whether what the photo shows there may face elsewhere, as the wall that is in front of a cup's floor does.

    Returns:
        rgb (P, 3) and weight (P,) 0..1.
    """
    where = source.camera.project(points)[0]
    x, y, depth = where.unbind(-1)
    cosine = facing(source.camera, points, normals)
    height, width = source.near.shape
    around = 2 + 2 * max(1, round(0.004 * max(height, width)))
    pixel = depth / (source.camera.focal[0].amin() * max(height, width))
    slope = (1 - cosine.square()).clamp(min=0).sqrt() / cosine.clamp(min=math.cos(grazing))
    tolerance = DEPTH_NOISE + pixel * (around / 2) * slope + (slack or 0.0)
    nearest = sample_nearest(source.near, x, y)
    visible = 1 - ((depth - nearest) / tolerance - 1).clamp(0, 1)
    if slack is not None:
        last = sample_nearest(source.far, x, y)
        visible = visible * (nearest.isfinite() & (nearest - depth < tolerance) & (depth < last + tolerance)).to(visible)
        if not any_side:
            front = sample_nearest(source.front, x, y)
            visible = visible * torch.where(front.any(-1), smoothstep((front * normals).sum(-1) / ALIKE), 1.0)
    limit = grazing + max(0.0, FLAT - grazing) * sample(source.inland[..., None], x, y)[:, 0]
    graze = smoothstep((cosine - limit.cos()) / ((limit - RAMP).cos() - limit.cos()))
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1) & (depth > 0)
    trust = sample(source.trust[..., None], x, y)[:, 0]
    return sample(source.rgb, x, y, "bicubic").clamp(0, 1), visible * graze * trust.clamp(0, 1) * inside


def depth_range(mesh: Mesh, camera: Cameras, rasterizer: Rasterizer, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """What one camera sees of a mesh.

    Returns:
        (h, w) z-depth of the nearest surface (infinite where none), of the last one (0 where none), and (h, w, 3) the nearest's normal.
    """
    points = camera.project(mesh.vertices)
    seen = fragments(rasterizer.face_ids(points, mesh.faces, height, width), points, mesh.faces)
    near = to_image(seen, seen.depth, math.inf)[0]
    front = to_image(seen, F.normalize(interpolate(seen, vertex_normals(mesh), mesh.faces), dim=-1))[0]
    # 1 / z runs linearly over the picture, so (a - 1 / z) is the inverse depth of a mesh turned back to front.
    inverse = 1 / points[..., 2:].clamp(min=1e-6)
    turned = torch.cat([points[..., :2], 1 / (inverse.amax() * 1.1 - inverse)], -1)
    seen = fragments(rasterizer.face_ids(turned, mesh.faces, height, width), points, mesh.faces)
    return near, to_image(seen, seen.depth, 0.0)[0], front


def surface_ends(near: Tensor) -> Tensor:
    """(h, w) bool: pixels of a depth map, infinite where empty, next to which a surface ends or a nearer one begins."""
    # Inverse depth is linear over the picture of any plane, however slanted; its second difference is not fooled by slopes.
    inverse = torch.where(near.isfinite(), 1 / near, torch.zeros_like(near))
    ends = ~near.isfinite()
    for axis in (0, 1):
        bend = torch.zeros_like(inverse)
        inner = inverse.narrow(axis, 1, inverse.shape[axis] - 2)
        before, after = inverse.narrow(axis, 0, inner.shape[axis]), inverse.narrow(axis, 2, inner.shape[axis])
        bend.narrow(axis, 1, inner.shape[axis]).copy_((before + after - 2 * inner).abs())
        ends = ends | (bend * near.where(near.isfinite(), torch.zeros_like(near)).square() > STEP)
    return ends


def facing(camera: Cameras, points: Tensor, normals: Tensor) -> Tensor:
    """(P,) cosine between the normals and the lines of sight to one camera; negative for points that face away."""
    return (F.normalize(camera.position - points, dim=-1) * normals).sum(-1)


def sample(image: Tensor, x: Tensor, y: Tensor, mode: str = "bilinear") -> Tensor:
    """(P, C) of an (H, W, C) image at image fractions x, y (P,); beyond its border the border's value."""
    grid = torch.stack([2 * x - 1, 2 * y - 1], -1).clamp(-2, 2)[None, None]
    return F.grid_sample(image.permute(2, 0, 1)[None], grid, mode=mode, padding_mode="border", align_corners=False)[0, :, 0].T


def sample_nearest(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(P,) of an (H, W) image, or (P, C) of an (H, W, C) one, at the pixels that hold the image fractions x, y (P,)."""
    height, width = image.shape[:2]
    column = (x * width).clamp(0, width - 1).long()
    row = (y * height).clamp(0, height - 1).long()
    return image[row, column]


def smoothstep(value: Tensor) -> Tensor:
    """0 below 0, 1 above 1, and a cubic without kinks between."""
    value = value.clamp(0, 1)
    return value * value * (3 - 2 * value)


def distance_from(region: Tensor) -> Tensor:
    """(H, W) float32 distance of each pixel to the nearest one of the region (H, W) bool, pixels."""
    from scipy.ndimage import distance_transform_edt

    if not bool(region.any()):
        return torch.full(region.shape, math.inf, device=region.device)
    return torch.from_numpy(distance_transform_edt(~region.cpu().numpy())).float().to(region.device)


def _match_resolution(views: Views, mesh: Mesh, texel: float) -> tuple[Tensor, Tensor]:
    """(H, W, 3) rgb and (H, W) mask, made coarser when a pixel is much smaller than a texel."""
    height, width = views.mask.shape[1:]
    middle = views.cameras.project(mesh.vertices)[0, :, 2].median()
    pixel = float(middle / (views.cameras.focal[0].amin() * max(height, width)))
    shrink = min(1.0, 1.5 * pixel / texel) if texel > 0 else 1.0
    if shrink > 0.8:
        return views.rgb[0], views.mask[0]
    planes = torch.cat([views.rgb, views.mask[..., None]], -1).permute(0, 3, 1, 2)
    small = F.interpolate(planes, size=_limit((height, width), int(shrink * max(height, width))), mode="bilinear", antialias=True)[0]
    return small[:3].permute(1, 2, 0), small[3]


def _limit(shape: tuple[int, ...] | torch.Size, longest: int) -> tuple[int, int]:
    """The height and width of a picture of the same shape whose longer side has at most so many pixels."""
    scale = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
