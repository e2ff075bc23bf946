"""Texture by example: what is unknown of a picture is made of patches of another one, from coarse to fine.

Every patch of the picture looks for the one most like it in the example, and all copies that cover a pixel vote on its colour; both in
turn. Neighbours tend to copy neighbours, so that whole tiles and leaves come over sharp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from img23d.ops.patch_match_compiled import search, vote

# Pixels in a row that become one, from the first level to the last, and rounds of search and votes of each.
LEVELS = ((4, 4), (2, 4), (1, 3))
# Scans of a level's first search, and of the others.
FIRST_SCANS, SCANS = 4, 2
# Pixels from the middle of a patch to its edge; the second where the example has too few places for the first.
HALVES = (3, 2)
# Fewest places to copy from.
FEWEST = 60
# Pixels of the result across one of the picture.
ZOOM = 2
# A patch as unlike the others as this share of so many of them is rare (an eye, a letter), and costs so much of that distance.
RARE_SHARE, RARE_AMONG, RARE = 0.02, 1500, 1.0
# Cost at which votes count a third: this share of the patches cost less. Votes on the result differ so many times as much.
DOUBTED, SHARPLY = 0.6, 4.0
# Of patches looked up at once.
CHUNK = 4096

NOTHING = np.float32(1e9)


@dataclass(frozen=True)
class Picture:
    """A square picture of n pixels a side, n a multiple of 4.

    Args:
        rgb: (n, n, 3) float32 sRGB 0..1.
        guide: (n, n, G) float32, what copies must share besides their colours, squared differences counting as those of colours.
        inside: (n, n) bool, pixels that show the object; of an example, those that may be copied.
        known: (n, n) bool, pixels that stay as they are; of no meaning in an example.
    """

    rgb: np.ndarray
    guide: np.ndarray
    inside: np.ndarray
    known: np.ndarray

    def shrunk(self, step: int) -> Picture:
        """The same with means of step x step pixels; inside is what is so by half, known what is so wholly."""
        rgb, share = shrink(self.rgb, self.inside, step)
        guide, _ = shrink(self.guide, self.inside, step)
        known, _ = shrink(self.known[..., None].astype(np.float32), self.inside, step)
        return Picture(rgb, guide, share > 0.5, known[..., 0] > 0.99)


@dataclass(frozen=True)
class Example:
    """One level of what is copied from.

    Args:
        picture: of it.
        usable: (n, n) bool, middles of patches that may be copied.
        spots: (M, 2) int32, the same as rows and columns.
        price: (n, n) float32, what copying costs because it is rare.
        half: pixels from the middle of a patch to its edge.
    """

    picture: Picture
    usable: np.ndarray
    spots: np.ndarray
    price: np.ndarray
    half: int


def examples(picture: Picture, seed: int) -> list[Example | None]:
    """The levels of an example, None for those with too little to copy from; the last one decides whether there is any.

    Args:
        picture: shows whole what may be copied.
        seed: of the patches that the others are compared with.
    """
    found: list[Example | None] = []
    for step, _ in LEVELS:
        level, whole = picture.shrunk(step), shrink(picture.rgb, picture.inside, step)[1] > 0.99
        for half in HALVES:
            which = ndimage.binary_erosion(whole, np.ones((2 * half + 1,) * 2))
            if which.sum() >= FEWEST:
                break
        else:
            found.append(None)
            continue
        spots = np.argwhere(which).astype(np.int32)
        price = np.zeros(which.shape, np.float32)
        price[which] = RARE * rarities(patches(level.rgb, spots, half), np.random.default_rng(seed))
        found.append(Example(level, which, spots, price, half))
    return found


def synthesised(picture: Picture, levels: list[Example | None], fine: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Make what is not known of a picture.

    Args:
        picture: what is known, and a guess of the rest where no copy votes.
        levels: from `examples`.
        fine: (ZOOM m, ZOOM m, 3) float32, the example of m pixels a side in more detail.
        seed: of the tries.

    Returns:
        rgb (n, n, 3), what is known in it, and (ZOOM n, ZOOM n, 3), copies alone, NaN where there is none; None without anything to copy
        or to make.

    Reference: Wexler, Shechtman, Irani, Space-time completion of video (2007), search and votes from coarse to fine; Barnes et al.,
    PatchMatch (2009), the search.
    """
    if levels[-1] is None or not (picture.inside & ~picture.known).any():
        return None
    chance = np.random.default_rng(seed)
    places, costs = np.zeros((0, 0, 2), np.int32), np.zeros((0, 0), np.float32)  # none yet
    for (step, rounds), example in zip(LEVELS, levels):
        level = picture.shrunk(step)
        if example is not None and (level.inside & ~level.known).any():
            start = first_places(level, example, places, costs, chance)
            rgb, places, costs = one_level(level, example, start, not len(places), rounds, seed)
    wanted = middles(picture, levels[-1].half)
    spread = np.quantile(costs[wanted[:, 0], wanted[:, 1]], DOUBTED) + 1e-6
    weights = np.exp(-SHARPLY * np.minimum(costs / spread, 20)).astype(np.float32)
    size = ZOOM * len(rgb)
    copies, told = vote((size, size), wanted, fine, places, weights + np.float32(1e-9), 1, ZOOM)
    copies[told == 0] = np.nan
    return rgb, copies


def one_level(
    picture: Picture, example: Example, places: np.ndarray, blank: bool, rounds: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Search and vote on one level.

    Args:
        picture: of that level.
        example: of that level.
        places: (n, n, 2) int32 of the copies to begin with.
        blank: these are chance's, and nothing but what is known and the guide tells yet.
        rounds: of search and votes.
        seed: of the tries.

    Returns:
        rgb (n, n, 3), places (n, n, 2) and their costs (n, n), huge where none was sought.
    """
    wanted, loose, size = middles(picture, example.half), picture.inside & ~picture.known, len(picture.rgb)
    rgb, costs = picture.rgb, np.full((size, size), NOTHING)
    if not blank:
        rgb = voted(picture, example, wanted, loose, places, np.ones((size, size), np.float32))
    for number in range(rounds):
        told = picture.inside & picture.known if blank and number == 0 else picture.inside
        scans = FIRST_SCANS if number == 0 else SCANS
        search(
            rgb, told, picture.guide, wanted, example.picture.rgb, example.picture.guide, example.price, example.usable, example.spots,
            places, costs, example.half, scans, seed + number,
        )  # fmt: skip
        spread = np.quantile(costs[wanted[:, 0], wanted[:, 1]], DOUBTED) + 1e-6
        weights = np.exp(-np.minimum(costs / spread, 20)).astype(np.float32) + np.float32(1e-6)
        rgb = voted(picture, example, wanted, loose, places, weights)
    return rgb, places, costs


def voted(picture: Picture, example: Example, wanted: np.ndarray, loose: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, n, 3) what copies agree on where a picture is loose, else the picture."""
    made, told = vote(picture.rgb.shape[:2], wanted, example.picture.rgb, places, weights, example.half, 1)
    return np.where((loose & (told > 0))[..., None], made, picture.rgb).astype(np.float32)


def middles(picture: Picture, half: int) -> np.ndarray:
    """(K, 2) int32 middles of the patches that hold anything to make, in raster order."""
    loose = picture.inside & ~picture.known
    return np.argwhere(ndimage.binary_dilation(loose, iterations=half) & picture.inside).astype(np.int32)


def first_places(picture: Picture, example: Example, places: np.ndarray, costs: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """(n, n, 2) int32 places to begin a level with: those of the coarser one (m, m, 2), and chance's where it has none; m may be 0."""
    size = len(picture.rgb)
    drawn = example.spots[chance.integers(len(example.spots), size=(size, size))]
    if not len(places):
        return drawn
    step = size // len(places)
    row, column = np.mgrid[:size, :size]
    finer = step * places[row // step, column // step] + np.stack([row % step, column % step], -1).astype(np.int32)
    fits = (finer < len(example.usable)).all(-1) & (costs[row // step, column // step] < NOTHING)
    fits[fits] = example.usable[finer[fits][:, 0], finer[fits][:, 1]]
    return np.where(fits[..., None], finer, drawn).astype(np.int32)


def patches(rgb: np.ndarray, spots: np.ndarray, half: int) -> np.ndarray:
    """(M, K) colours of the patches about spots (M, 2), scaled so that their squared distance is a mean over pixels."""
    steps = np.arange(-half, half + 1)
    row, column = spots[:, 0, None, None] + steps[:, None], spots[:, 1, None, None] + steps
    return rgb[row, column].reshape(len(spots), -1) / (2 * half + 1)


def rarities(colors: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """(M,) squared distance from each patch (M, K) to the last of the share of patches that is most like it."""
    among = colors[chance.permutation(len(colors))[:RARE_AMONG]]
    rank, size = max(2, int(RARE_SHARE * len(among))), (among**2).sum(1)
    parts = np.array_split(colors, -(-len(colors) // CHUNK))
    far = [np.partition((part**2).sum(1)[:, None] + size - 2 * part @ among.T, rank, 1)[:, rank] for part in parts]
    return np.maximum(np.concatenate(far), 0)


def shrink(values: np.ndarray, inside: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """(n / step, n / step, C) means of values (n, n, C) over what is inside, float32, and what share that is."""
    size, weight = len(values) // step, inside.astype(np.float32)
    total = (values * weight[..., None]).reshape(size, step, size, step, -1).sum((1, 3))
    share = weight.reshape(size, step, size, step).sum((1, 3))
    return (total / np.maximum(share, 1e-6)[..., None]).astype(np.float32), share / step**2
