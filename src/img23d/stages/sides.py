"""Sides: more photos of the same object, each guessed at alone, in the frame of the first, and one solid of all guesses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.config import Config
from img23d.errors import InputError
from img23d.io.images import Photo
from img23d.ops.volume import sample_volume, volume_points
from img23d.scene import Cameras, ShapePrior, Views
from img23d.stages.cameras import LOWEST
from img23d.stages.context import Context
from img23d.stages.estimate import estimate
from img23d.stages.observe import joined
from img23d.stages.segment import Maps, segment

VERSION = 1
HANDOVER = 6.0  # how fast the solid of one photo gives way to that of the next, on the way round; 1 is gentle
LEAST = 0.2  # object units: flat things have sides, too
GRID, SHARP = 40, 20.0  # samples along each side where solids are compared, and how sharp their surfaces are, 1 / object units
STEPS, ROUNDS = (1.0, 0.5, 0.25), 3  # the search for a guess' place: ever smaller steps, and how often each is tried
TURN, MOVE, GROW = 0.12, 0.08, 0.1  # its first steps: radians, object units, and the logarithm of the scale
ALIKE = 0.75  # overlap of two guesses from which on they are guesses at one solid
DOUBTFUL = 0.5  # overlap below which the user is told


class SidePhoto(NamedTuple):
    """A photo from another side: how far its camera went to the first one's right round the object, and its vertical field of view."""

    azimuth_deg: float
    photo: Photo
    fov_deg: float | None = None


@dataclass(frozen=True)
class Placement:
    """From a guess' own frame into the first photo's: ``there = scale * here @ rotation.T + shift``."""

    rotation: Tensor  # (3, 3)
    scale: float
    shift: Tensor  # (3,)

    def views(self, views: Views) -> Views:
        """Cameras, depths and normals of the guess, moved."""
        assert views.depth is not None and views.normal is not None
        pose = views.cameras.cam_to_world.clone()
        pose[:, :3, 3] = self.scale * pose[:, :3, 3] @ self.rotation.T + self.shift
        pose[:, :3, :3] = self.rotation @ pose[:, :3, :3]
        cameras = Cameras(pose, views.cameras.focal, views.cameras.center)
        return replace(views, cameras=cameras, depth=views.depth * self.scale, normal=views.normal @ self.rotation.T)

    def volume(self, volume: Tensor, resolution: int) -> Tensor:
        """(D, D, D) a guess' volume, sampled at the places (resolution^3) of the first photo's."""
        points = volume_points(resolution, volume).reshape(-1, 3)
        return sample_volume(volume, self.back(points)).reshape(resolution, resolution, resolution)

    def back(self, points: Tensor) -> Tensor:
        """(N, 3) points of the first photo's frame in the guess' own."""
        return ((points - self.shift) / self.scale) @ self.rotation


def sides(views: Views, prior: ShapePrior, others: list[SidePhoto], config: Config, context: Context) -> tuple[Views, ShapePrior, Views]:
    """Guess at each photo as at the first, and put the guesses together.

    Each photo tells its own side best: there the solid is what its own guess says, where both guesses are like each other at all. All
    photos give their colours, outlines, depths and normals.

    Args:
        views, prior: of the first photo, from `img23d.stages.estimate`.
        others: at least one.

    Returns:
        The first photo; the common solid, or the first photo's where that is known for sure; the other photos, with depths and normals.

    Raises:
        InputError: nothing is on one of the photos.
    """
    segmenting = replace(config.segment, pick="")  # a place in the first photo
    estimating = replace(config.estimate, elevation_deg=LOWEST - 1)  # of the first photo's camera
    placed, guesses = [], []
    for number, (azimuth_deg, photo, fov_deg) in enumerate(others):
        context.progress(number / len(others), f"{len(others)} photos")
        try:
            cut = segment(photo, Maps(), fov_deg, segmenting, context)
        except InputError as error:
            raise InputError(f"the photo from {azimuth_deg:g} degrees: {error.message}", error.hint) from error
        theirs, solid = estimate(cut, fov_deg is not None, config.prior, estimating, context)
        place, overlap = placement(prior, solid, math.radians(azimuth_deg))
        placed.append(place.views(theirs))
        if overlap < DOUBTFUL:
            context.warnings.append(
                f"the photo from {azimuth_deg:g} degrees hardly agrees with the first one (overlap {overlap:.0%}): is it the same object,"
                " as it stood, and did the camera go that far to the right?"
            )
        if overlap > ALIKE:
            guesses.append(
                (placed[-1], place.scale * place.volume(solid.sdf, len(prior.sdf)), place.volume(solid.confidence, len(prior.sdf)))
            )
    size = max(view.mask.shape[-1] for view in placed)
    seen = placed[0]
    for view in placed[1:]:
        seen = joined(seen, view, size)
    return views, prior if prior.known or not guesses else merged(prior, views, guesses), seen


class Move(NamedTuple):
    """A step away from a placement, in its own small steps."""

    azimuth: float = 0.0
    tilt: float = 0.0
    right: float = 0.0
    up: float = 0.0
    near: float = 0.0
    larger: float = 0.0


def placement(first: ShapePrior, other: ShapePrior, azimuth: float) -> tuple[Placement, float]:
    """Where another photo's solid is in the frame of the first one's: where both overlap most, near the angle that was told.

    Args:
        azimuth: from the first photo's camera to the other's, to the right, radians.

    Returns:
        The placement, and the overlap of both solids there, 0..1.
    """
    sdf = first.sdf
    points = volume_points(GRID, sdf).reshape(-1, 3)
    ours = torch.sigmoid(-SHARP * sample_volume(sdf, points))
    low, high = extent(first, torch.eye(3).to(sdf))
    their_low, their_high = extent(other, turn(azimuth, 0.0).to(sdf))
    scale = float((high[1] - low[1]) / (their_high[1] - their_low[1]).clamp(min=1e-6))  # all cameras see the whole object stand
    shift = (low + high) / 2 - scale * (their_low + their_high) / 2

    def moved(move: Move) -> Placement:
        rotation = turn(azimuth + TURN * move.azimuth, TURN * move.tilt).to(sdf)
        return Placement(rotation, scale * math.exp(GROW * move.larger), shift + MOVE * sdf.new_tensor([move.right, move.up, move.near]))

    def overlap(move: Move) -> float:
        place = moved(move)
        theirs = torch.sigmoid(-SHARP * place.scale * sample_volume(other.sdf, place.back(points)))
        return float(torch.minimum(ours, theirs).sum() / torch.maximum(ours, theirs).sum())

    best = (overlap(Move()), Move())
    for step in (step for step in STEPS for _ in range(ROUNDS)):
        for name in Move._fields:
            near = [best[1]._replace(**{name: getattr(best[1], name) + sign * step}) for sign in (-1, 1)]
            best = max(best, *((overlap(move), move) for move in near), key=lambda found: found[0])
    return moved(best[1]), best[0]


def turn(azimuth: float, tilt: float) -> Tensor:
    """(3, 3) a turn about the picture's x axis, and then about the upright."""
    cosine, sine, level, steep = math.cos(azimuth), math.sin(azimuth), math.cos(tilt), math.sin(tilt)
    upright = torch.tensor([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    return upright @ torch.tensor([[1.0, 0.0, 0.0], [0.0, level, -steep], [0.0, steep, level]])


def extent(prior: ShapePrior, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """(3,) lowest and (3,) highest coordinates of a solid's samples, turned; of the whole cube where there are none."""
    inside = prior.sdf < 0
    points = volume_points(len(prior.sdf), prior.sdf)
    turned = (points[inside] if bool(inside.any()) else points.reshape(-1, 3)) @ rotation.T
    return turned.amin(0), turned.amax(0)


def merged(prior: ShapePrior, views: Views, guesses: list[tuple[Views, Tensor, Tensor]]) -> ShapePrior:
    """The solid that is, on each photo's side, that photo's guess: its view, distances (D, D, D) and confidence (D, D, D)."""
    low, high = extent(prior, torch.eye(3).to(prior.sdf))
    points = volume_points(len(prior.sdf), prior.sdf) - (low + high) / 2
    reach = 0.5 * float((high - low).amin()) + LEAST
    level = prior.sdf.new_tensor([1.0, 0.0, 1.0])
    towards = [F.normalize(seen.cameras.position[0] * level, dim=0) for seen in (views, *(guess[0] for guess in guesses))]
    share = torch.softmax(torch.stack([points @ direction for direction in towards]) * (HANDOVER / (2 * reach)), 0)
    distances = torch.stack([prior.sdf, *(guess[1] for guess in guesses)])
    trusts = torch.stack([prior.confidence, *(guess[2] for guess in guesses)])
    return replace(prior, sdf=(share * distances).sum(0), confidence=(share * trusts).sum(0))
