"""Pictures by example: what recurs goes on, whole pieces are copied, what is there once is not."""

import numpy as np
import pytest
from scipy import ndimage

from img23d.ops.patch_match import FEWEST, ZOOM, Picture, examples, first_places, patches, rarities, shrink, synthesised
from img23d.ops.patch_match_compiled import patch_cost, search, vote

SIZE = 96


def of_tiles(size: int, detail: int = 1) -> np.ndarray:
    """(detail size, ..., 3) tiles of 12 pixels with dark joints."""
    row, column = (np.mgrid[: size * detail, : size * detail] + 0.5) / detail
    joint = ((row % 12) < 2) | (((column + 6 * (row // 12)) % 12) < 2)
    return np.where(joint[..., None], [0.2, 0.1, 0.1], [0.8, 0.5, 0.3]).astype(np.float32)


def picture(rgb, known=None, inside=None, guide=None) -> Picture:
    whole = np.ones(rgb.shape[:2], bool)
    return Picture(
        rgb.astype(np.float32),
        np.zeros((*rgb.shape[:2], 1), np.float32) if guide is None else guide,
        whole if inside is None else inside,
        ~whole if known is None else known,
    )


def dark_share(rgb) -> float:
    return float((rgb[..., 0] < 0.5).mean())


def test_tiles_go_on_as_tiles_and_sharp():
    known = np.zeros((SIZE, SIZE), bool)
    known[:, :16] = True
    blurred = np.broadcast_to(of_tiles(SIZE).mean((0, 1)), (SIZE, SIZE, 3))
    begun = np.where(known[..., None], of_tiles(SIZE), blurred)
    rgb, copies = synthesised(picture(begun, known), examples(picture(of_tiles(SIZE)), 0), of_tiles(SIZE, ZOOM), 0)
    assert np.array_equal(rgb[known], begun[known].astype(np.float32))
    made = rgb[:, 24:]
    # Neither a blur of both colours nor one of them alone.
    assert abs(dark_share(made) - dark_share(of_tiles(SIZE))) < 0.08
    assert (np.abs(made[..., 0] - 0.5) > 0.2).mean() > 0.9
    # Joints are where the known tiles have them: rows of twelve.
    joints = (of_tiles(SIZE)[:, 24:, 0] < 0.5) == (made[..., 0] < 0.5)
    assert joints.mean() > 0.68  # by chance: .57
    assert copies.shape == (ZOOM * SIZE, ZOOM * SIZE, 3) and np.isfinite(copies[:, 2 * 24 :]).all()
    assert (np.abs(copies[:, 2 * 24 :, 0] - 0.5) > 0.2).mean() > 0.9


def test_what_is_there_once_is_not_copied():
    chance = np.random.default_rng(0)
    plain = 0.6 + 0.02 * chance.standard_normal((SIZE, SIZE, 3))
    spotted = plain.copy()
    spotted[40:48, 40:48] = 0.1
    levels = examples(picture(spotted), 0)
    assert all(one.price[44 // step, 44 // step] > 10 * np.median(one.price[one.usable]) for step, one in zip((4, 2, 1), levels))
    fine = np.repeat(np.repeat(spotted, 2, 0), 2, 1).astype(np.float32)
    rgb, _ = synthesised(picture(np.full((SIZE, SIZE, 3), 0.6)), levels, fine, 0)
    assert (rgb[..., 0] < 0.35).mean() < 0.002 < (spotted[..., 0] < 0.35).mean()


def test_the_guide_says_what_goes_where():
    """The example is dark above and light below; of the picture the left side is asked to be dark."""
    rows = np.broadcast_to(np.linspace(0, 1, SIZE, dtype=np.float32)[:, None, None], (SIZE, SIZE, 1))
    colors = np.broadcast_to(np.where(rows < 0.5, 0.2, 0.8), (SIZE, SIZE, 3)).astype(np.float32)
    levels = examples(picture(colors, guide=np.ascontiguousarray(rows)), 0)
    asked = np.ascontiguousarray(np.broadcast_to(rows.transpose(1, 0, 2), (SIZE, SIZE, 1)))
    rgb, _ = synthesised(picture(np.full((SIZE, SIZE, 3), 0.5), guide=asked), levels, np.repeat(np.repeat(colors, 2, 0), 2, 1), 0)
    assert rgb[:, :40].mean() < 0.3 and rgb[:, 56:].mean() > 0.7


def test_the_same_seed_makes_the_same():
    levels, begun = examples(picture(of_tiles(SIZE)), 0), picture(np.full((SIZE, SIZE, 3), 0.5))
    first, again, other = (synthesised(begun, levels, of_tiles(SIZE, ZOOM), seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again, equal_nan=True) and not np.array_equal(first, other, equal_nan=True)


@pytest.mark.parametrize("what", ["nothing to copy from", "nothing to make", "nothing there"])
def test_nothing_to_do(what):
    full, none = np.ones((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)
    levels = examples(picture(of_tiles(SIZE), inside=none if what == "nothing to copy from" else None), 0)
    begun = picture(of_tiles(SIZE), known=full if what == "nothing to make" else None, inside=none if what == "nothing there" else None)
    assert synthesised(begun, levels, of_tiles(SIZE, ZOOM), 0) is None


def test_thin_things_are_copied_on_the_levels_that_hold_a_patch():
    inside = np.zeros((SIZE, SIZE), bool)
    inside[:, 40:52] = True
    levels = examples(picture(of_tiles(SIZE), inside=inside), 0)
    assert levels[0] is None and [one.half for one in levels[1:]] == [2, 3]
    made = synthesised(picture(np.full((SIZE, SIZE, 3), 0.5)), levels, of_tiles(SIZE, ZOOM), 0)
    assert made is not None and dark_share(made[0]) > 0.05


def test_what_is_too_thin_for_the_coarser_levels_is_made_on_the_finest():
    inside = np.zeros((SIZE, SIZE), bool)
    inside[:, 40] = True
    begun = np.full((SIZE, SIZE, 3), 0.5)
    assert [bool(picture(begun, inside=inside).shrunk(step).inside.any()) for step in (4, 2, 1)] == [False, False, True]
    rgb, _ = synthesised(picture(begun, inside=inside), examples(picture(of_tiles(SIZE)), 0), of_tiles(SIZE, ZOOM), 0)
    assert (np.abs(rgb[inside][:, 0] - 0.5) > 0.2).mean() > 0.8


def test_the_search_finds_what_a_loop_over_all_finds():
    chance = np.random.default_rng(2)
    source, target = (ndimage.gaussian_filter(chance.random((24, 24, 3)), (1, 1, 0)).astype(np.float32) for _ in range(2))
    guide, half = np.zeros((24, 24, 1), np.float32), 2
    usable = np.zeros((24, 24), bool)
    usable[half:-half, half:-half] = True
    spots, wanted = np.argwhere(usable).astype(np.int32), np.argwhere(usable).astype(np.int32)
    price, told = (0.001 * chance.random((24, 24))).astype(np.float32), np.ones((24, 24), bool)
    places = spots[chance.integers(len(spots), size=(24, 24))]
    costs = np.full((24, 24), 1e9, np.float32)
    search(target, told, guide, wanted, source, guide, price, usable, spots, places, costs, half, 12, 0)
    there, here = patches(source, spots, half), patches(target, wanted, half)
    true = ((here[:, None] - there) ** 2).sum(-1) + price[spots[:, 0], spots[:, 1]]
    found = costs[wanted[:, 0], wanted[:, 1]]
    assert (found >= true.min(1) - 1e-5).all()
    # By far most have the best one of 400 or one that is hardly worse.
    assert (found < 1.05 * true.min(1) + 1e-5).mean() > 0.8
    y, x = wanted[7]
    cost = patch_cost(target, told, guide, source, guide, price, y, x, *places[y, x], half, np.float32(1e9))
    assert cost == pytest.approx(float(costs[y, x]), rel=1e-5)


def test_votes_are_weighted_means():
    source = np.zeros((9, 9, 3), np.float32)
    source[2, 2], source[6, 6] = 0.2, 0.8
    places, weights = np.zeros((9, 9, 2), np.int32), np.zeros((9, 9), np.float32)
    places[4, 4], weights[4, 4] = (2, 2), 1.0
    places[4, 5], weights[4, 5] = (6, 7), 3.0
    made, told = vote((9, 9), np.array([[4, 4], [4, 5]], np.int32), source, places, weights, 1, 1)
    beside = np.exp(-2 * (1 / 1.5) ** 2)  # what a copy counts one pixel from its middle
    assert made[4, 4, 0] == pytest.approx((0.2 + 3 * beside * 0.8) / (1 + 3 * beside), rel=1e-4)
    assert told[4, 3] > 0 and told[4, 2] == 0 and made[4, 2, 0] == 0


def test_odd_patches_are_rare():
    chance = np.random.default_rng(0)
    alike = 0.5 + 0.02 * chance.standard_normal((400, 75))
    alike[7] = 0.1
    rare = rarities(alike, chance)
    assert rare.argmax() == 7 and rare[7] > 10 * np.median(rare)


def test_finer_levels_begin_where_the_coarser_one_ended():
    example = examples(picture(of_tiles(SIZE)), 0)[-1]
    places = np.broadcast_to(np.argwhere(np.ones((48, 48), bool)).reshape(48, 48, 2), (48, 48, 2)).astype(np.int32)
    costs = np.zeros((48, 48), np.float32)
    costs[10, 10] = 1e9
    found = first_places(picture(of_tiles(SIZE)), example, places, costs, np.random.default_rng(0))
    assert found[41, 50].tolist() == [41, 50] and example.usable[found[..., 0], found[..., 1]].all()
    assert len(example.spots) >= FEWEST and found[20:22, 20:22].reshape(-1, 2).tolist() != [[20, 20], [20, 21], [21, 20], [21, 21]]


def test_means_count_only_what_is_inside():
    values = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    inside = np.ones((4, 4), bool)
    inside[0, 0] = inside[2:, 2:] = False
    means, share = shrink(values, inside, 2)
    assert means[0, 0, 0] == pytest.approx((1 + 4 + 5) / 3) and share[0, 0] == 0.75 and share[1, 1] == 0 and means[1, 1, 0] == 0
