"""The solid that silhouettes from several sides leave, the visual hull, and the cameras under which they agree about one.

Reference: Laurentini, The Visual Hull Concept for Silhouette-Based Image Understanding (1994). One-2-3-45 (2023), section 3.2, finds the
    photo's elevation by the agreement of drawn views, too, though by matched points.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from img23d.errors import FitError
from img23d.ops.crop import resize_views_image
from img23d.ops.project_photo import sample
from img23d.ops.volume import sample_volume, volume_points
from img23d.priors.solid import silhouette_distance
from img23d.scene import Cameras, ShapePrior, Views

MASK_SIZE = 96  # pixels along each side of the silhouettes
GRID, REACH, LOOK, SAMPLES = 44, 1.6, 40, 44  # samples of the hull along each side, object units, pixels and samples along each ray
WRONG = 4  # of so many drawn silhouettes, one may be wrong at any point
SLACK = 0.12  # object units: what the photo's depth may be wrong by before it takes something away
FLOOR = 0.08  # object units: how far the hull may reach below the guessed solid; cameras above an object leave a cone under it
TRUST = 0.3  # in a solid that drawn pictures tell
FILL = 0.93  # of the cube that the hull takes


class Setting(NamedTuple):
    """What is not known of the cameras: all are higher by an angle, radians, and farther by a factor, or the photo's alone is higher; drawn
    pictures are shifted, of 1, and show the object larger by a factor."""

    higher: float = 0.0
    farther: float = 1.0
    right: float = 0.0
    down: float = 0.0
    larger: float = 1.0
    photo_higher: float = 0.0


FACTORS = ("farther", "larger")
STEPS = (
    {"higher": math.radians(10.0), "right": 0.03, "down": 0.03, "farther": 1.3},
    {"higher": math.radians(5.0), "right": 0.015, "down": 0.015, "farther": 1.14},
    {"higher": math.radians(2.5), "right": 0.007, "down": 0.007, "farther": 1.07},
)
# Of drawn cameras that are turned about the photo's own upward axis: its height changes none of their silhouettes.
TOGETHER = (
    {"larger": 1.1, "down": 0.03, "farther": 1.3},
    {"larger": 1.05, "down": 0.015, "farther": 1.14},
    {"larger": 1.02, "down": 0.007, "farther": 1.07},
)
# Of drawn cameras whose height and distance are the model's own, while the photo's height is guessed. Its distance is guessed too, but one
# outline among many does not tell it, and leads its height astray where both are searched for.
APART = (
    {"photo_higher": math.radians(10.0), "larger": 1.1, "down": 0.03},
    {"photo_higher": math.radians(5.0), "larger": 1.05, "down": 0.015},
    {"photo_higher": math.radians(2.5), "larger": 1.02, "down": 0.007},
)


def agreeing(photo: Views, drawn: Views, steps: tuple[dict[str, float], ...] = STEPS) -> tuple[Views, Views, float]:
    """Photo and drawn views with the cameras under which their hull fills the silhouettes best.

    Args:
        photo: one view with depth and normals; its guessed elevation and distance may be off.
        drawn: silhouettes from other sides; where the object is in them is not quite known.
        steps: how far each unknown is moved in each round.

    Returns:
        both, and the share of the silhouettes that the hull fills.
    """
    first, others = resize_views_image(photo.mask, MASK_SIZE), resize_views_image(drawn.mask, MASK_SIZE)
    distances = [silhouette_distance(mask) for mask in torch.cat([first, others])]
    looks = resize_views_image(torch.cat([first, others])[..., None], LOOK)[..., 0] > 0.5
    tried: dict[Setting, float] = {}

    def filled(setting: Setting) -> float:
        if setting not in tried:
            cameras = moved(photo.cameras, setting, False), moved(drawn.cameras, setting, True)
            tried[setting] = share_filled(*cameras, distances, looks)
        return tried[setting]

    best = Setting()
    for sizes in steps:
        for _ in range(2):
            for name, step in sizes.items():
                best = max([best, *neighbours(best, name, step)], key=filled)
    return turned(photo, best), replace(drawn, cameras=moved(drawn.cameras, best, True)), filled(best)


def neighbours(setting: Setting, name: str, step: float) -> list[Setting]:
    """One step up and down in one thing."""
    value = getattr(setting, name)
    pair = (value * step, value / step) if name in FACTORS else (value + step, value - step)
    return [setting._replace(**{name: one}) for one in pair]


def moved(cameras: Cameras, setting: Setting, drawn: bool) -> Cameras:
    """Cameras that look at the origin, higher and farther away; those of drawn pictures with these shifted and scaled too."""
    turn = cameras.cam_to_world.clone()
    higher = setting.higher if drawn else setting.higher + setting.photo_higher
    c, s = math.cos(higher), math.sin(higher)
    # About the camera's own right, through the origin.
    about = turn.new_tensor([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
    rotation = cameras.cam_to_world[:, :3, :3] @ about
    turn[:, :3, :3] = rotation
    turn[:, :3, 3] = rotation[:, :, 2] * cameras.position.norm(dim=-1, keepdim=True) * setting.farther
    center = cameras.center + cameras.center.new_tensor([setting.right, setting.down]) * drawn
    return Cameras(turn, cameras.focal * setting.farther * (setting.larger if drawn else 1.0), center)


def turned(photo: Views, setting: Setting) -> Views:
    """The photo with a moved camera; what it sees is as it was, as that sees it."""
    assert photo.depth is not None and photo.normal is not None
    cameras = moved(photo.cameras, setting, False)
    rotation = cameras.cam_to_world[0, :3, :3] @ photo.cameras.cam_to_world[0, :3, :3].T
    away = cameras.position[0].norm() - photo.cameras.position[0].norm()
    return replace(photo, cameras=cameras, depth=photo.depth + away, normal=photo.normal @ rotation.T)


def share_filled(photo: Cameras, drawn: Cameras, distances: list[Tensor], looks: Tensor) -> float:
    """Share of all silhouettes' pixels behind which something is left of the hull."""
    points = volume_points(GRID, distances[0]).reshape(-1, 3) * REACH
    cameras = [photo, *(drawn[view : view + 1] for view in range(len(drawn)))]
    outside = torch.stack([out_of(camera, distance, points) for camera, distance in zip(cameras, distances)]).amax(0)
    volume = outside.reshape(1, GRID, GRID, GRID)
    shares = []
    for camera, look in zip(cameras, looks):
        origins, directions = (part[0][look] for part in camera.rays(LOOK, LOOK))
        middle = float(camera.position[0].norm())
        depth = torch.linspace(middle - REACH, middle + REACH, SAMPLES, device=look.device)
        along = origins[:, None] + depth[:, None] * directions[:, None]
        inside = sample_volume(volume, along.reshape(-1, 3) / REACH).reshape(len(origins), -1) < 0
        shares.append(float(inside.any(-1).float().mean()))
    return sum(shares) / len(shares)


def out_of(camera: Cameras, distance: Tensor, points: Tensor) -> Tensor:
    """(N,) how far points are out of a silhouette, across the line of sight, object units; negative inside.

    Args:
        camera: one.
        distance: (S, S) of `silhouette_distance`.
        points: (N, 3).
    """
    x, y, depth = camera.project(points)[0].unbind(-1)
    half_widths = sample(distance[..., None], x, y)[:, 0]
    beyond = torch.hypot(x - x.clamp(0, 1), y - y.clamp(0, 1))
    return (0.5 * half_widths + beyond) * depth / camera.focal[0].amin()


def hull_at(photo: Views, drawn: Views, points: Tensor) -> Tensor:
    """(N,) signed distance to about the hull: out of the photo's silhouette, or out of more of the drawn ones than may be wrong."""
    own, *others = (
        out_of(views.cameras[view : view + 1], silhouette_distance(mask), points)
        for views in (photo, drawn)
        for view, mask in enumerate(resize_views_image(views.mask, MASK_SIZE))
    )
    worst = torch.stack(others).sort(0, descending=True).values
    return torch.maximum(own, worst[len(others) // WRONG])


def floor_of(prior: ShapePrior, before: Cameras, after: Cameras) -> float:
    """Height of the ground under a guessed solid, as the photo's moved camera sees it.

    Args:
        prior: the guess.
        before: the photo's camera when it was made.
        after: the same camera, moved by `agreeing`.
    """
    inside = prior.sdf < 0
    if not bool(inside.any()):
        return -REACH
    x, y, depth = before.project(volume_points(len(prior.sdf), prior.sdf)[inside])[0].unbind(-1)
    away = after.position[0].norm() - before.position[0].norm()
    points = after.position[0] + (depth + away)[:, None] * after.directions(torch.stack([x, y], -1)[None])[0]
    return float(torch.quantile(points[:, 1], 0.01)) - FLOOR


def filling(photo: Views, drawn: Views, floor: float = -REACH) -> tuple[Views, Views, float]:
    """The same in a frame in which the hull above the ground fills the cube, and the ground's height there.

    Raises:
        FitError: nothing is left of the hull.
    """
    assert photo.depth is not None
    points = volume_points(2 * GRID, photo.depth).reshape(-1, 3) * REACH
    inside = points[(hull_at(photo, drawn, points) < 0) & (points[:, 1] > floor)]
    if not len(inside):
        raise FitError("the drawn views leave no solid: they do not agree", "another --seed, or --set multiview.model= does without them")
    middle = (inside.amin(0) + inside.amax(0)) / 2
    scale = FILL / float((inside - middle).abs().max())

    def placed(cameras: Cameras) -> Cameras:
        pose = cameras.cam_to_world.clone()
        pose[:, :3, 3] = (pose[:, :3, 3] - middle) * scale
        return Cameras(pose, cameras.focal, cameras.center)

    placed_photo = replace(photo, cameras=placed(photo.cameras), depth=photo.depth * scale)
    return placed_photo, replace(drawn, cameras=placed(drawn.cameras)), (floor - float(middle[1])) * scale


def hull_prior(prior: ShapePrior, photo: Views, drawn: Views, floor: float = -REACH) -> ShapePrior:
    """A prior whose solid is what photo and drawn views leave: their hull, nothing before the photo's depth, nothing under the ground.

    Args:
        prior: whose colours are kept.
        photo: one view with depth.
        drawn: silhouettes from other sides, from `img23d.stages.imagine`.
        floor: height of the ground.
    """
    assert photo.depth is not None
    points = volume_points(len(prior.sdf), prior.sdf).reshape(-1, 3)
    outside = torch.maximum(hull_at(photo, drawn, points), floor - points[:, 1])
    x, y, depth = photo.cameras.project(points)[0].unbind(-1)
    before = sample(photo.depth[0, ..., None], x, y)[:, 0] - depth - SLACK
    on_object = sample(photo.mask[0, ..., None], x, y)[:, 0] > 0.5
    solid = torch.where(on_object, torch.maximum(outside, before), outside).reshape(prior.sdf.shape)
    return replace(prior, sdf=solid, confidence=torch.full_like(solid, TRUST))
