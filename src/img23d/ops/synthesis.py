"""Colours of what nothing shows, made of patches of what the photo shows: fur goes on as fur, layers as layers at their height."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from img23d.ops.averaging import Averaging
from img23d.ops.copied_detail import contrast_around, copied_detail
from img23d.ops.fill import Layer, Surface
from img23d.ops.patches import SIDE, patch_places, patch_vertices, upright_frames
from img23d.ops.unseen import Photo, Points

# From coarse to fine: spacing of patches in mean edges, rounds, and the share of the vertices that are middles of patches.
LEVELS = ((6.0, 3, 0.25), (3.0, 3, 0.4), (1.5, 2, 1.0))
# Vertices known better than this stay as they are.
SURE = 0.9
# Of a patch to copy the photo shows the middle at least so well, and all places but one at least so well.
WELL_SHOWN, SHOWN, WHOLE = 0.8, 0.5, 0.95
# At most and at least so many patches to copy from.
MOST, FEWEST = 3000, 50
# Weight of the guess's colours, of the height (longest sides), and of how far the surface faces up and away from the upright middle axis
# (the inside of a cup is no place for what is painted on its outside), against the mean of a patch's colours.
COLOR, HEIGHT, UPWARD, OUTWARD = 2.0, 1.0, 0.3, 0.4
# Nearer to the axis than this nothing faces away from it, longest sides.
AXIS = 0.1
# Weight of colours in the very first round, which has no patches yet: what the guide tells decides.
FIRST = 0.05
# A patch as unlike the others as this share of them is rare (an eye, a letter), and costs so much of that distance; the contrast of detail
# finer than the mesh counts so much in it against colours.
RARE_SHARE, RARE, FINE = 0.02, 0.7, 12.0
# Rounds of averaging between neighbours: of the guess that guides, and of the colours that must stay the guess's, which they do by so much.
GUIDE_ROUNDS, CALM_ROUNDS, CALM = 40, 60, 0.5
# Differences from the guess that are half taken, sRGB.
RIPPLE = 0.05
# Patches are looked up in chunks of so many.
CHUNK = 2048


@dataclass(frozen=True)
class Exemplars:
    """E patches to copy from.

    Args:
        places: (E, K) int64 vertices of each.
        colors: (E, 3 K).
        guide: (E, G) what else must be alike, `SIDE` times: colours differ at all places of a patch.
        rarity: (E,) squared distance to the others' colours and contrast.
    """

    places: Tensor
    colors: Tensor
    guide: Tensor
    rarity: Tensor

    def nearest(self, colors: Tensor, guide: Tensor, weight: float) -> Tensor:
        """(M,) int64: the exemplar most like each of M patches (M, 3 K) and their guides (M, G), colours weighted."""
        known = torch.cat([weight * self.colors, self.guide], -1)
        offset = known.square().sum(-1) + RARE * self.rarity
        sought = torch.cat([weight * colors, guide], -1)
        return torch.cat([(offset - 2 * part @ known.T).argmin(1) for part in sought.split(CHUNK)])


@dataclass(frozen=True)
class Canvas:
    """What is painted on: N vertices with their tangents, what guides, and how patches are blurred.

    Args:
        vertices: places and normals.
        frames: from `upright_frames`.
        edge: mean length of an edge, object units.
        averaging: of the mesh.
        painted: (N, 3) the best guess so far.
        guide: (N, G) what patches and copies must share besides their colours.
        contrast: (N,) of the photo's detail about each vertex, finer than the mesh.
        shown: (N,) 0..1, how well the photo shows a vertex.
        known: (N,) 0..1, how far its colour is known.
    """

    vertices: Points
    frames: tuple[Tensor, Tensor]
    edge: float
    averaging: Averaging
    painted: Tensor
    guide: Tensor
    contrast: Tensor
    shown: Tensor
    known: Tensor


def synthesised_layer(
    surface: Surface, photo: Photo, vertices: Points, texels: Points, painted: Layer, shown: Tensor, known: Tensor, seed: int
) -> Layer | None:  # fmt: skip
    """Paint what is not known with patches of what the photo shows.

    Args:
        surface: N vertices, P texels.
        photo: what detail finer than the mesh is taken from.
        vertices: places and normals of the N vertices.
        texels: places and normals of the P texels.
        painted: the best guess so far, the photo over it.
        shown: (N,) 0..1, how well the photo shows a vertex.
        known: (N,) 0..1, how far its colour is known: those colours stay, and what is made joins on to them.
        seed: of the choice of patches.

    Returns:
        A layer that is trusted wherever colours are not known; None when there is nothing to paint, or to copy from.

    Reference: Kwatra et al., Texture optimization for example-based synthesis (2005), its alternation of search and averages; guided as in
    Hertzmann et al., Image analogies (2001). Ours runs on the vertices of a surface, and patches that have few like them are rarely copied.
    """
    loose = known < SURE
    if not bool(loose.any()):
        return None
    canvas = prepare_canvas(surface, photo, vertices, painted.vertex_rgb, shown, known)
    chance = torch.Generator().manual_seed(seed)
    rgb, copied = painted.vertex_rgb, None
    for level in LEVELS:
        made = synthesise_level(canvas, rgb, *level, first=level is LEVELS[0], chance=chance)
        if made is None:
            return None
        rgb, copied = made
    assert copied is not None
    detail = copied_detail(surface, photo, vertices, texels, canvas.frames, canvas.edge, rgb, canvas.contrast, copied)
    rgb, trust = calmed(canvas, rgb), loose.to(rgb)
    return Layer(rgb, trust, (surface.at_texels(rgb) + detail).clamp(0, 1), surface.at_texels(trust[:, None])[:, 0].clamp(0, 1))


def calmed(canvas: Canvas, rgb: Tensor) -> Tensor:
    """(N, 3) what was painted, closer to the guess."""
    # Copies may be lighter or darker than the guess, which is right about that more often.
    rgb = rgb + CALM * canvas.averaging(canvas.painted - rgb, CALM_ROUNDS)
    # Small differences are ripples of the copies' shading, great ones are what is painted on the object.
    differs = rgb - canvas.painted
    size = differs.square().sum(-1, keepdim=True)
    return (canvas.painted + differs * size / (size + RIPPLE**2)).clamp(0, 1)


def prepare_canvas(surface: Surface, photo: Photo, vertices: Points, painted: Tensor, shown: Tensor, known: Tensor) -> Canvas:
    """Tangents, guide and averages of a surface seen in a photo."""
    position, faces = vertices.position, surface.mesh.faces
    eye = photo.sharp.camera.position[0]
    away = torch.nn.functional.normalize(-eye * eye.new_tensor([1.0, 0.0, 1.0]), dim=0)
    averaging = Averaging(faces, len(position))
    guide = guide_values(vertices, averaging(painted, GUIDE_ROUNDS))
    edge = float((position[faces[:, 0]] - position[faces[:, 1]]).norm(dim=-1).mean())
    frames, contrast = upright_frames(vertices.normal, away), contrast_around(photo, position)
    return Canvas(vertices, frames, edge, averaging, painted, guide, contrast, shown, known)


def guide_values(vertices: Points, around: Tensor) -> Tensor:
    """(N, 6) what patches and copies must share besides their colours, weighted: colours around (N, 3), height, which way they face."""
    low, high = vertices.position.amin(0), vertices.position.amax(0)
    longest = (high - low).amax()
    outward = (vertices.position - (low + high) / 2) * around.new_tensor([1.0, 0.0, 1.0])
    outward = outward / outward.norm(dim=-1, keepdim=True).clamp(min=AXIS * float(longest))
    facing = torch.stack([UPWARD * vertices.normal[:, 1], OUTWARD * (vertices.normal * outward).sum(-1)], -1)
    return torch.cat([COLOR * around, HEIGHT * vertices.position[:, 1:2] / longest, facing], -1)


def synthesise_level(
    canvas: Canvas, rgb: Tensor, spacing: float, rounds: int, share: float, first: bool, chance: torch.Generator
) -> tuple[Tensor, Tensor] | None:
    """Search and average at one spacing of patches.

    Args:
        canvas: what is painted on.
        rgb: (N, 3) colours so far.
        spacing: of a patch's places, mean edges.
        rounds: of search and averages.
        share: of the vertices that are middles of patches, chosen by chance.
        first: nothing is painted yet; the first search goes by the guide.

    Returns:
        (N, 3) colours, and (N,) int64 the vertex that each middle of a patch is copied from, -1 for others; None without exemplars.
    """
    blur = round((spacing / LEVELS[-1][0]) ** 2) if spacing > LEVELS[-1][0] else 0
    loose = (canvas.known < SURE).nonzero()[:, 0]
    loose = some(loose, math.ceil(share * len(loose)), chance)
    source = canvas.averaging(canvas.painted, blur)
    exemplars, vertex = find_exemplars(canvas, source, spacing, chance)
    if len(vertex) < FEWEST:
        return None
    places = patch_vertices(canvas.vertices.position, canvas.vertices.normal, canvas.frames, loose, spacing * canvas.edge)
    guide = SIDE * canvas.guide[loose]
    for turn in range(rounds):
        colors = canvas.averaging(rgb, blur)[places].flatten(1)
        best = exemplars.nearest(colors, guide, FIRST if first and turn == 0 else 1.0)
        voted = vote(rgb, places, source[exemplars.places[best]])
        rgb = torch.lerp(voted, canvas.painted, canvas.known[:, None])
    copied = torch.full_like(canvas.known, -1, dtype=torch.int64)
    copied[loose] = vertex[best]
    return rgb, copied


def find_exemplars(canvas: Canvas, source: Tensor, spacing: float, chance: torch.Generator) -> tuple[Exemplars, Tensor]:
    """Patches that the photo shows whole, with colours from ``source`` (N, 3), and the vertices (E,) at their middles."""
    vertex = some((canvas.shown > WELL_SHOWN).nonzero()[:, 0], MOST + MOST // 2, chance)
    places = patch_vertices(canvas.vertices.position, canvas.vertices.normal, canvas.frames, vertex, spacing * canvas.edge)
    whole = (canvas.shown[places] > SHOWN).float().mean(1) > WHOLE
    vertex, places = vertex[whole][:MOST], places[whole][:MOST]
    colors, contrast = source[places].flatten(1), canvas.contrast[vertex]
    # A line too thin for the mesh is as rare among bare patches as an eye.
    rare = rarities(torch.cat([colors, FINE * SIDE * contrast[:, None]], -1))
    return Exemplars(places, colors, SIDE * canvas.guide[vertex], rare), vertex


def rarities(colors: Tensor) -> Tensor:
    """(E,) squared distance from each patch (E, D) to the last of the share of patches that is most like it."""
    if len(colors) < FEWEST:
        return colors.new_zeros(len(colors))
    rank, size = max(2, int(RARE_SHARE * len(colors))), colors.square().sum(-1)
    parts = [(size[at, None] + size - 2 * colors[at] @ colors.T).kthvalue(rank, 1).values for at in torch.arange(len(colors)).split(CHUNK)]
    return torch.cat(parts).clamp(min=0)


def vote(rgb: Tensor, places: Tensor, copies: Tensor) -> Tensor:
    """(N, 3) the mean of what M patches (M, K) of vertices are to look like, copies (M, K, 3), the middle of a patch counting most."""
    weight = torch.exp(-patch_places(rgb.device).square().sum(-1) / 2)
    total, sum_of_weights = torch.zeros_like(rgb), torch.zeros_like(rgb[:, 0])
    total.index_add_(0, places.flatten(), (copies * weight[:, None]).flatten(0, 1))
    sum_of_weights.index_add_(0, places.flatten(), weight.expand_as(places).flatten())
    told = sum_of_weights[:, None]
    return torch.where(told > 1e-4, total / told.clamp(min=1e-4), rgb)


def some(which: Tensor, most: int, chance: torch.Generator) -> Tensor:
    """At most so many of (M,) int64, in an order of chance."""
    return which[torch.randperm(len(which), generator=chance)[:most].to(which.device)]
