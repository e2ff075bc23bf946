"""Colours of what the photo does not show, from what it shows of the same shape elsewhere: mirror images and half a turn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.agreement import UNTOLD, agreement
from img23d.ops.features import without_features
from img23d.ops.fill import Layer, Surface
from img23d.ops.project_photo import project_photo
from img23d.ops.symmetry import HalfTurn, MirrorPlane, Symmetry
from img23d.ops.texture_transfer import nearest_surface
from img23d.ops.unseen import Photo, Points

# How far the image of a point may be off the surface, object units.
SLACK = 0.05
# Images that miss the surface by up to this are on it, by twice this are not, nor what is so near to those; at half as far again it is.
CLOSE, AROUND = 0.02, 0.15
SAMPLES = 20_000  # points of the surface among which an image's nearest is sought
# Length over which images of points are moved alike to meet the surface, object units.
SNAP = 0.06
# Share of the vertices that must be seen on both sides before agreement means anything; of half a turn, which a lettered lid would deny.
ENOUGH_SEEN, ENOUGH_TURNED = 0.01, 0.03
# The same of a plane that fits worse than another: a car's or a shoe's long guess fits its image across the length best.
ENOUGH_DOUBTED = 0.05
# Agreement from which on the photo confirms an image; below the last it contradicts it.
CONFIRMED, DENIED = 0.6, 0.45
# Cosines between a plane's normal and the direction to the camera: a plane through the camera, and one across the view.
THROUGH, ACROSS = 0.35, 0.8
# Score from which half a turn counts: a head guessed round fits itself turned at .92, boxes and vessels fit at 1.
WHOLE = 0.95
# Score below which an image that swaps front and back, and of which nothing tells, keeps the colours and loses the front's small features
# (a figure has stripes all round, but no second face): size of the picture that is filtered, and radius of the medians in it, pixels.
DOUBTFUL, SMALL = 0.8, (128, 4)
# The same, for all that a face has, where what stands is along the plane shorter than so many times its depth, or than this share of its
# height: no animal from its side.
LONG, AS_HIGH, FACE = 1.6, 0.9, (64, 5)
# Score from which the shape alone tells: a plane between left and right, and one along what lies; the first of what is as high as wide.
GOOD_SHAPE, FAIR_SHAPE = 0.8, 0.5
# Height over reach of what may be a figure or a face: arms, ears and weapons stick out, but what is flatter is seen from above.
FIGURE = 0.6
# How far a point must be from its image to count in full where that decides what is on the back, object units.
APART = 0.2
# At most so many images, each with at least this mean trust on what was not known before.
IMAGES, LEAST_GAIN = 2, 0.01


@dataclass(frozen=True)
class Images:
    """Layers of what the photo shows elsewhere, the most useful first.

    Args:
        confirmed: where both sides are seen, their colours agree.
        possible: nothing tells.
        denied: the colours differ.
        figure: it surely is a figure or a face seen from its front, whose back does not look like that.
    """

    confirmed: list[Layer] = field(default_factory=list)
    possible: list[Layer] = field(default_factory=list)
    denied: list[Layer] = field(default_factory=list)
    figure: bool = False


@dataclass(frozen=True, eq=False)
class Candidate:
    """A symmetry, the colours (N, 3) and trust (N,) that it gives vertices, how well they agree, and how far it swaps front and back."""

    symmetry: Symmetry
    rgb: Tensor
    trust: Tensor
    agreement: float
    across: float

    def gain(self, known: Tensor) -> float:
        """Mean trust that it adds to what is known (N,)."""
        return self.symmetry.score * self.agreement * float((self.trust - known).clamp(min=0).mean())


def images(
    surface: Surface, photo: Photo, symmetries: list[Symmetry], seen: Layer, vertices: Points, texels: Points, made: bool = False
) -> Images:
    """What the photo shows of the same shape elsewhere, for those symmetries that add most.

    Args:
        surface: what is painted.
        photo: of it.
        symmetries: from `find_symmetries`.
        seen: what the photo shows.
        vertices: of the surface.
        texels: of its atlas.
        made: it surely is a vessel or a box, no figure.
    """
    considered = with_turns([consider(photo, symmetry, seen, vertices, made) for symmetry in symmetries])
    tall = height_over_reach(surface)
    left = without_doubted(considered, tall < 1)
    figure = tall > FIGURE and like_a_figure(considered, GOOD_SHAPE if tall < 1 else FAIR_SHAPE)
    if figure or any(one.across < THROUGH and one.agreement > CONFIRMED for one in left):
        # Its left is the mirror image of its right: it is seen from its front, and its back does not look like that.
        left = [one for one in left if one.across < ACROSS or one.agreement > CONFIRMED]
    surely = [one for one in considered if not fits_worse(one)]
    known, found = seen.vertex_trust, Images(figure=figure and like_a_figure(surely, GOOD_SHAPE))
    # What turns into itself is a made thing, and handles are all that has no image. Of an animal hardly anything is quite its image.
    strict = any(isinstance(symmetry, HalfTurn) and symmetry.score > WHOLE for symmetry in symmetries)
    for _ in range(IMAGES):
        # Half a turn comes before the mirror planes across the view: mirror images of letters are not legible.
        waiting = [one for one in left if isinstance(one.symmetry, HalfTurn) and one.agreement > DENIED and one.gain(known) >= LEAST_GAIN]
        open_now = [one for one in left if not waiting or one in waiting or one.across < ACROSS]
        best = max(open_now, key=lambda one: one.gain(known), default=None)
        if best is None or best.gain(known) < LEAST_GAIN:
            break
        known = torch.maximum(known, best.trust)
        left.remove(best)
        if isinstance(best.symmetry, HalfTurn):
            # Beside the turned front its mirror image would show as a strip of another picture.
            left = [one for one in left if one.across < ACROSS]
        layer = image_layer(surface, calmed(photo, surface, best, made or strict), best.symmetry, vertices, texels, strict)
        if best.agreement > CONFIRMED:
            found.confirmed.append(layer)
        else:
            (found.possible if best.agreement > DENIED else found.denied).append(layer)
    return found


def height_over_reach(surface: Surface) -> float:
    """How high a surface is, over how far it reaches sideways or back."""
    reach = surface.mesh.vertices.amax(0) - surface.mesh.vertices.amin(0)
    return float(reach[1] / torch.maximum(reach[0], reach[2]).clamp(min=1e-9))


def is_long(surface: Surface, symmetry: Symmetry) -> bool:
    """Whether a surface reaches far along a mirror plane, as an animal does that is seen from its side; never of a turn."""
    if not isinstance(symmetry, MirrorPlane):
        return False
    across = symmetry.normal.to(surface.mesh.vertices)
    along = torch.stack([across[2], across[1], -across[0]])
    spread = surface.mesh.vertices @ torch.stack([along, across, across.new_tensor([0.0, 1.0, 0.0])], -1)
    length, depth, height = (spread.amax(0) - spread.amin(0)).tolist()
    return length >= LONG * depth and length >= AS_HIGH * height


def like_a_figure(candidates: list[Candidate], least: float) -> bool:
    """Whether a thing is its own mirror image left and right by its shape, whatever the colours say of that.

    People, toys and sitting animals seen from the front turn their heads, carry things and are lit from one side, and the guess of their
    backs is so round that it is an image of the front as well: they would get a second face. Vessels and boxes turn into themselves.

    Args:
        candidates: all that were considered.
        least: score of the shape from which on that is so.
    """
    turns = any(isinstance(one.symmetry, HalfTurn) for one in candidates)
    return not turns and any(one.across < THROUGH and one.symmetry.score >= least for one in candidates)


def without_doubted(candidates: list[Candidate], lying: bool) -> list[Candidate]:
    """Without planes that fit worse than another, unless the photo denies all that fit better.

    Then one counts that the photo confirms, and of what is ``lying``, such as a car seen from its side, one across the view that fits well:
    its other side looks like this one.
    """
    doubted = [one for one in candidates if fits_worse(one)]
    better = [one for one in candidates if isinstance(one.symmetry, MirrorPlane) and not one.symmetry.doubted]
    denied = all(one.agreement <= DENIED for one in better)

    def counts(one: Candidate) -> bool:
        side = lying and one.across >= ACROSS and one.agreement == UNTOLD and one.symmetry.score >= GOOD_SHAPE
        return denied and (one.agreement > CONFIRMED or side)

    return [one for one in candidates if one not in doubted or counts(one)]


def fits_worse(one: Candidate) -> bool:
    """Whether it is a plane that fits worse than another."""
    return isinstance(one.symmetry, MirrorPlane) and one.symmetry.doubted


def with_turns(candidates: list[Candidate]) -> list[Candidate]:
    """Without half turns that fit badly; one of which nothing tells is as likely as the best mirror plane across the view."""
    planes = [one for one in candidates if isinstance(one.symmetry, MirrorPlane)]
    alike = max((one.agreement for one in planes if one.across >= ACROSS), default=0.0)
    turns = [one for one in candidates if one not in planes and one.symmetry.score > WHOLE]
    return [*planes, *(replace(one, agreement=max(alike, UNTOLD)) if one.agreement == UNTOLD else one for one in turns)]


def consider(photo: Photo, symmetry: Symmetry, seen: Layer, vertices: Points, made: bool = False) -> Candidate:
    """What a symmetry would show, without moving images of points onto the surface: enough to choose by."""
    position, normal = symmetry.apply(vertices.position), symmetry.apply_direction(vertices.normal)
    rgb, trust = project_photo(photo.soft, position, normal, photo.grazing, slack=2 * SLACK, any_side=True)
    doubted = ENOUGH_DOUBTED if isinstance(symmetry, MirrorPlane) and symmetry.doubted else ENOUGH_SEEN
    enough = ENOUGH_TURNED if isinstance(symmetry, HalfTurn) else doubted
    across = across_view(photo, symmetry)
    heights, counts = None, trust
    if across > ACROSS and not made:
        # It decides what is on the back. What is near the plane is near its own image, and says nothing.
        heights, counts = vertices.position[:, 1], trust * ((position - vertices.position).norm(dim=-1) / APART).clamp(max=1)
    alike = agreement((seen.vertex_rgb, seen.vertex_trust), (rgb, counts), enough, heights)
    return Candidate(symmetry, rgb, trust, alike, across)


def across_view(photo: Photo, symmetry: Symmetry) -> float:
    """How far a symmetry swaps front and back: of a mirror plane 0 when the camera is on it, 1 when it looks at it straight."""
    if not isinstance(symmetry, MirrorPlane):
        return 1.0
    level = photo.sharp.camera.position[0] * photo.sharp.camera.position.new_tensor([1.0, 0.0, 1.0])
    return float((F.normalize(level, dim=0) @ symmetry.normal.to(level)).abs())


def image_layer(surface: Surface, photo: Photo, symmetry: Symmetry, vertices: Points, texels: Points, strict: bool) -> Layer:
    """What the photo shows where a symmetry puts the surface.

    Images of points are moved onto the surface by a smooth field, because few objects are exactly symmetric; with ``strict``, only what
    meets it closely counts.
    """
    placed = symmetry.apply(vertices.position)
    miss = symmetry.apply_onto(surface.mesh, vertices.position, vertices.normal) - placed
    whole = torch.full_like(miss[:, 0], symmetry.score)
    if strict and across_view(photo, symmetry) > ACROSS:
        whole = whole * meeting(surface, placed, symmetry.apply_direction(vertices.normal))
    everywhere = torch.full_like(miss[:, 0], 1 / SNAP**2)
    miss = surface.membrane.fit(miss, everywhere, torch.zeros_like(everywhere))
    soft = project_photo(photo.soft, placed + miss, symmetry.apply_direction(vertices.normal), photo.grazing, slack=SLACK)
    position = symmetry.apply(texels.position) + surface.at_texels(miss)
    sharp = project_photo(photo.sharp, position, symmetry.apply_direction(texels.normal), photo.grazing, slack=SLACK)
    return Layer(soft[0], soft[1] * whole, sharp[0], sharp[1] * surface.at_texels(whole[:, None])[:, 0])


def calmed(photo: Photo, surface: Surface, image: Candidate, made: bool) -> Photo:
    """The photo that an image shows: without small features where it swaps front and back and nothing confirms it.

    Then one of a shape that hardly fits loses what is small, and any of what stands and is not long all that a face has.
    """
    if image.across <= ACROSS or image.agreement > CONFIRMED:
        return photo
    if height_over_reach(surface) > FIGURE and not made and not is_long(surface, image.symmetry):
        return featureless(photo, *FACE)
    return featureless(photo, *SMALL) if image.symmetry.score < DOUBTFUL else photo


def featureless(photo: Photo, size: int, radius: int) -> Photo:
    """The photo with its colours but without what is small in it: see `without_features`."""
    sharp, soft = (replace(one, rgb=without_features(one.rgb, one.trust, size, radius)) for one in (photo.sharp, photo.soft))
    return Photo(sharp, soft, photo.grazing)


def meeting(surface: Surface, placed: Tensor, facing: Tensor) -> Tensor:
    """(N,) 0..1: where an image meets the surface, away from what has no image, so that no handle is painted where there is none.

    Args:
        surface: with N vertices.
        placed: (N, 3) where a symmetry puts them; it is its own inverse.
        facing: (N, 3) unit, where it turns their normals.
    """
    from scipy.spatial import cKDTree

    # Not the nearest vertex, which on a smooth side may be far away.
    face, weights = nearest_surface(surface.mesh, placed, facing, SAMPLES)
    nearest = (surface.mesh.vertices[surface.mesh.faces[face]] * weights[..., None]).sum(1)
    off = (((nearest - placed).norm(dim=-1) - CLOSE) / CLOSE).clamp(0, 1)
    alone = surface.mesh.vertices[off > 0.5]
    if not len(alone):
        return 1 - off
    apart = torch.from_numpy(cKDTree(alone.detach().cpu().numpy()).query(placed.detach().cpu().numpy())[0]).to(off)
    return (1 - off) * (2 * apart / AROUND - 2).clamp(0, 1)
