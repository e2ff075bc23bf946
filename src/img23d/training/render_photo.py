"""Pictures of textured objects that pass for photos: many small shadowed lamps, gloss, a floor, supersampling; offline, on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img23d.backends.rasterizers import BackendRasterizer, choose_rasterizer
from img23d.ops.srgb import to_linear, to_srgb
from img23d.scene import Cameras
from img23d.training.objects import TrainingObject
from img23d.training.photo_lights import Lamps, Studio, lamps_of, reflected

SHADOW_SIZE = 256


@dataclass(frozen=True)
class Placed:
    """An object somewhere in the scene.

    Args:
        item: the object.
        offset: (3,) where its origin goes.
        scale: factor on its size.
        turn: radians about the vertical.
        gloss: strength of reflections: 0 is chalk, 1 glazed china.
        roughness: blur of reflections in radians.
        crease: edges sharper than this many radians stay sharp in the shading.
    """

    item: TrainingObject
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    turn: float = 0.0
    gloss: float = 0.3
    roughness: float = 0.3
    crease: float = 0.7


@dataclass(frozen=True)
class Floor:
    """A level plane that receives shadows.

    Args:
        height: its y.
        texture: (h, w, 3) uint8 sRGB, repeated.
        tile: object units that one copy of the texture covers.
        gloss: strength of reflections of the light (objects do not mirror in it).
        fade: distance from the middle at which it has dissolved into the backdrop.
        drain: share of the shadow that is drawn; less than 1 softens it.
    """

    height: float
    texture: np.ndarray
    tile: float = 2.0
    gloss: float = 0.05
    fade: float = 12.0
    drain: float = 1.0


class Photo(NamedTuple):
    """A rendered picture."""

    rgb: Tensor  # (H, W, 3) sRGB 0..1
    alpha: Tensor  # (H, W) coverage by the first object
    shadow: Tensor  # (H, W) share of the light that reaches the floor, 1 where there is none


class Surface(NamedTuple):
    """What P samples of the picture see."""

    point: Tensor  # (P, 3)
    normal: Tensor  # (P, 3)
    albedo: Tensor  # (P, 3) linear
    gloss: Tensor  # (P,)
    roughness: float


@dataclass(frozen=True)
class _Scene:
    """All objects in one list of faces."""

    vertices: Tensor
    faces: Tensor
    owner: Tensor  # (F,) index of the object
    normals: Tensor  # (F, 3, 3)
    placed: tuple[Placed, ...]
    first_face: tuple[int, ...]
    rasterizer: BackendRasterizer = field(default_factory=lambda: choose_rasterizer("numba"))


def develop(linear: Tensor, exposure: float = 1.0) -> Tensor:
    """Linear light to sRGB with a soft shoulder above 0.7, as cameras do, so that highlights don't clip hard."""
    light = (linear * exposure).clamp(min=0)
    knee = 0.7
    light = torch.where(light > knee, knee + (1 - knee) * (1 - torch.exp(-(light - knee) / (1 - knee))), light)
    return to_srgb(light)


def _gather(placed: tuple[Placed, ...]) -> _Scene:
    """Put the objects in their places."""
    vertices, faces, owner, normals, first = [], [], [], [], [0]
    count = 0
    for number, one in enumerate(placed):
        cos, sin = math.cos(one.turn), math.sin(one.turn)
        turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float32)
        points = torch.from_numpy(np.ascontiguousarray(one.item.vertices)) @ turn.T * one.scale + torch.tensor(
            one.offset, dtype=torch.float32
        )
        corners = torch.from_numpy(one.item.faces.astype(np.int64))
        vertices.append(points)
        faces.append(corners + count)
        owner.append(torch.full((len(corners),), number))
        normals.append(corner_normals(points, corners, one.crease))
        count += len(points)
        first.append(first[-1] + len(corners))
    return _Scene(torch.cat(vertices), torch.cat(faces), torch.cat(owner), torch.cat(normals), placed, tuple(first))


def corner_normals(points: Tensor, faces: Tensor, crease: float) -> Tensor:
    """(F, 3, 3) unit normals at the corners: the vertex's mean normal where it is within ``crease`` radians of the face's own."""
    a, b, c = points[faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a)
    flat = torch.nn.functional.normalize(area, dim=-1, eps=1e-12)
    total = torch.zeros_like(points)
    for corner in range(3):
        total.index_add_(0, faces[:, corner], area)
    smooth = torch.nn.functional.normalize(total, dim=-1, eps=1e-12)[faces]
    gentle = (smooth * flat[:, None]).sum(-1, keepdim=True) > math.cos(crease)
    return torch.where(gentle, smooth, flat[:, None])


def _barycentric(corners: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """(P, 3) weights of the points where rays meet the planes of triangles (P, 3, 3), clamped into the triangles."""
    a, b, c = corners.unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    facing = (normal * direction).sum(-1, keepdim=True)
    t = (normal * (a - origin)).sum(-1, keepdim=True) / torch.where(facing.abs() < 1e-9, torch.full_like(facing, 1e-9), facing)
    point = origin + t * direction
    double = (normal * normal).sum(-1).clamp(min=1e-20)
    u = (torch.linalg.cross(c - b, point - b) * normal).sum(-1) / double
    v = (torch.linalg.cross(a - c, point - c) * normal).sum(-1) / double
    weight = torch.stack([u, v, 1 - u - v], -1).clamp(0, 1)
    return weight / weight.sum(-1, keepdim=True).clamp(min=1e-9)


def sample_texture(texture: np.ndarray, uv: Tensor, nearest: bool = False) -> Tensor:
    """(P, 3) linear colours of a repeated uint8 picture at coordinates (P, 2)."""
    picture = to_linear(torch.from_numpy(texture.astype(np.float32)) / 255)
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - (0.0 if nearest else 0.5), uv[:, 1] * height - (0.0 if nearest else 0.5)
    x0, y0 = x.floor(), y.floor()
    flat, left, top = picture.reshape(-1, 3), x0.long() % width, y0.long() % height
    if nearest:
        return flat[top * width + left]
    right, low = (left + 1) % width, (top + 1) % height
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    upper = flat[top * width + left] * (1 - fx) + flat[top * width + right] * fx
    lower = flat[low * width + left] * (1 - fx) + flat[low * width + right] * fx
    return upper * (1 - fy) + lower * fy


def _object_surface(scene: _Scene, face: Tensor, origin: Tensor, direction: Tensor) -> Surface:
    """The objects' surface where rays meet the given faces."""
    weight = _barycentric(scene.vertices[scene.faces[face]], origin, direction)[..., None]
    point = (scene.vertices[scene.faces[face]] * weight).sum(1)
    normal = torch.nn.functional.normalize((scene.normals[face] * weight).sum(1), dim=-1)
    normal = torch.where((normal * direction).sum(-1, keepdim=True) > 0, -normal, normal)
    albedo, gloss = torch.zeros_like(point), torch.zeros(len(point))
    for number, one in enumerate(scene.placed):
        mine = scene.owner[face] == number
        corner_uv = torch.from_numpy(one.item.corner_uv)[face[mine] - scene.first_face[number]]
        albedo[mine] = sample_texture(one.item.texture, (corner_uv * weight[mine]).sum(1), one.item.nearest)
        gloss[mine] = one.gloss
    return Surface(point, normal, albedo, gloss, scene.placed[0].roughness)


def _light(scene: _Scene, surface: Surface, eye: Tensor, studio: Studio, lamps: Lamps, shadow_size: int) -> tuple[Tensor, Tensor]:
    """(P, 3) light that leaves the surface towards the eye, and (P,) the share of irradiance that is not shadowed."""
    reached, free = torch.zeros_like(surface.point), torch.zeros_like(surface.point)
    open_sky = torch.zeros(len(surface.point))
    for direction, power in zip(lamps.direction, lamps.power):
        cosine = (surface.normal @ direction).clamp(min=0)
        visible = lit_by(scene, surface, direction, shadow_size)
        reached += (cosine * visible)[:, None] * power
        free += cosine[:, None] * power
        open_sky += visible
    open_sky = (open_sky / len(lamps.direction))[:, None]
    bounce = surface.point.new_tensor(studio.bounce) * (0.5 - 0.5 * surface.normal[:, 1:2]) * (0.4 + 0.6 * open_sky)
    view = torch.nn.functional.normalize(eye - surface.point, dim=-1)
    facing = (view * surface.normal).sum(-1, keepdim=True).clamp(0, 1)
    mirror = 2 * facing * surface.normal - view
    fresnel = surface.gloss[:, None] * (0.05 + 0.6 * (1 - facing) ** 5)
    shine = fresnel * reflected(studio, mirror, surface.roughness) * (0.15 + 0.85 * open_sky)
    share = reached.sum(-1) / free.sum(-1).clamp(min=1e-6)
    return surface.albedo * (reached + bounce) + shine, share


def lit_by(scene: _Scene, surface: Surface, direction: Tensor, size: int) -> Tensor:
    """(P,) 1 where nothing stands between the surface and a far lamp, else 0: a shadow map with exact planes instead of depths."""
    middle = (scene.vertices.amin(0) + scene.vertices.amax(0)) / 2
    radius = float((scene.vertices - middle).norm(dim=-1).max()) * 1.01
    helper = direction.new_tensor([1.0, 0, 0] if abs(float(direction[1])) > 0.9 else [0, 1.0, 0])
    right = torch.nn.functional.normalize(torch.linalg.cross(helper, direction), dim=0)
    basis = torch.stack([right, torch.linalg.cross(direction, right), direction], -1)
    corner = (scene.vertices - middle) @ basis / (2 * radius) + 0.5
    nearness = 1 + corner[:, 2]
    ids = scene.rasterizer.face_ids(torch.stack([corner[:, 0], corner[:, 1], 1 / nearness], -1)[None], scene.faces, size, size)[0].reshape(
        -1
    )
    start = surface.point + surface.normal * (0.008 * radius)
    place = (start - middle) @ basis / (2 * radius) + 0.5
    inside = ((place[:, :2] > 0) & (place[:, :2] < 1)).all(-1)
    pixel = (place[:, :2].clamp(0, 1 - 1e-6) * size).long()
    face = torch.where(inside, ids[pixel[:, 1] * size + pixel[:, 0]], torch.full_like(pixel[:, 0], -1))
    a, b, c = corner[scene.faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    tilt = torch.where(normal[:, 2].abs() < 1e-9, torch.full_like(normal[:, 2], 1e-9), normal[:, 2])
    low, high = torch.minimum(torch.minimum(a, b), c)[:, 2], torch.maximum(torch.maximum(a, b), c)[:, 2]
    hit = face.clamp(min=0)
    blocker = a[hit, 2] - ((place[:, :2] - a[hit, :2]) * normal[hit, :2]).sum(-1) / tilt[hit]
    blocker = torch.minimum(torch.maximum(blocker, low[hit]), high[hit])
    return ((face < 0) | (blocker <= place[:, 2] + 0.002)).float()


def enlarge(picture: Tensor, rows: int, columns: int) -> Tensor:
    """(rows * columns, 3) from (H, W, 3)."""
    fine = torch.nn.functional.interpolate(picture.permute(2, 0, 1)[None], (rows, columns), mode="bilinear", align_corners=False)
    return fine[0].permute(1, 2, 0).reshape(-1, 3)


def render_photo(
    placed: tuple[Placed, ...],
    camera: Cameras,
    studio: Studio,
    height: int,
    width: int,
    backdrop: Tensor,
    floor: Floor | None = None,
    lamps: tuple[int, int] = (16, 48),
    supersample: int = 2,
    exposure: float = 1.0,
    seed: int = 0,
    shadow_size: int = SHADOW_SIZE,
) -> Photo:
    """Photograph objects.

    Args:
        placed: the objects; ``alpha`` is that of the first.
        camera: one camera.
        studio: the light.
        height: rows.
        width: columns.
        backdrop: (H, W, 3) linear light behind everything.
        floor: the ground, or None to let the objects float before the backdrop.
        lamps: lamps per softbox and for the sky; more are smoother and slower.
        supersample: samples along each side of a pixel.
        exposure: factor on the light.
        seed: jitter of the lamps.
        shadow_size: pixels along each side of a shadow map.
    """
    scene = _gather(placed)
    rows, columns = height * supersample, width * supersample
    _, directions = camera.rays(rows, columns)
    origin, direction = camera.position[0], directions.reshape(-1, 3)
    face = scene.rasterizer.face_ids(camera.project(scene.vertices), scene.faces, rows, columns).reshape(-1)
    linear = enlarge(backdrop, rows, columns)
    lamp = lamps_of(studio, *lamps, np.random.default_rng(seed))
    hit = torch.nonzero(face >= 0)[:, 0]
    shadow = torch.ones(rows * columns)
    if floor is not None:
        away = (floor.height - origin[1]) / torch.where(direction[:, 1] < -1e-4, direction[:, 1], torch.full_like(direction[:, 1], 1e9))
        point = origin + away[:, None] * direction
        distance = point[:, [0, 2]].norm(dim=-1)
        below = torch.nonzero((face < 0) & (away > 0) & (distance < floor.fade))[:, 0]
        normal = torch.tensor([0.0, 1.0, 0.0]).expand(len(below), 3)
        albedo = sample_texture(floor.texture, point[below][:, [0, 2]] / floor.tile)
        surface = Surface(point[below], normal, albedo, torch.full((len(below),), floor.gloss), 0.5)
        light, share = _light(scene, surface, origin, studio, lamp, shadow_size)
        light = light * (1 - (1 - floor.drain) * (1 - 1 / share.clamp(min=0.05)))[:, None] if floor.drain < 1 else light
        keep = ((floor.fade - distance[below]) / (0.6 * floor.fade)).clamp(0, 1)[:, None] ** 0.7
        linear[below] = light * keep + linear[below] * (1 - keep)
        shadow[below] = share * keep[:, 0] + 1 - keep[:, 0]
    if len(hit):
        surface = _object_surface(scene, face[hit], origin, direction[hit])
        linear[hit], _ = _light(scene, surface, origin, studio, lamp, shadow_size)
    alpha = ((face >= 0) & (scene.owner[face.clamp(min=0)] == 0)).float()
    grid = torch.cat([develop(linear, exposure), alpha[:, None], shadow[:, None]], -1)
    grid = grid.reshape(height, supersample, width, supersample, 5).mean((1, 3))
    return Photo(grid[..., :3], grid[..., 3], grid[..., 4])
