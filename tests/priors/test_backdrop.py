"""Smooth backdrops: the least step on any way to the frame, and what it tells of a coarse cut-out."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
import torch

from img23d.priors.backdrop import AGAINST, CLOSED, FOR, backdrop_evidence, frame_of, like_backdrop, with_even_holes, without_false_holes
from img23d.priors.barrier_compiled import barrier_distance
from img23d.priors.foreground import corrected

SIZE = 96


def grid() -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def lowest_pass(plane: np.ndarray, seeds: np.ndarray, floor: float) -> np.ndarray:
    """Least over all ways on which no value is below ``floor`` of the largest value, by Dijkstra's algorithm; inf where there is none."""
    best = np.full(plane.shape, np.inf)
    heap = [(float(plane[y, x]), y, x) for y, x in zip(*np.nonzero(seeds & (plane >= floor)))]
    for value, y, x in heap:
        best[y, x] = value
    heapq.heapify(heap)
    while heap:
        value, y, x = heapq.heappop(heap)
        if value > best[y, x]:
            continue
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < plane.shape[0] and 0 <= u < plane.shape[1] and plane[v, u] >= floor:
                over = max(value, float(plane[v, u]))
                if over < best[v, u]:
                    best[v, u] = over
                    heapq.heappush(heap, (over, v, u))
    return best


def exact_barrier(plane: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The minimum barrier distance: over all floors, the lowest pass above the floor."""
    return np.min([lowest_pass(plane, seeds, floor) - floor for floor in np.unique(plane)], axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_barriers_are_those_of_all_ways(seed: int) -> None:
    random = np.random.default_rng(seed)
    plane = random.integers(0, 6, (9, 11)).astype(np.float32)
    seeds = frame_of(plane) & (random.random(plane.shape) < 0.6)
    exact, scanned = exact_barrier(plane, seeds), barrier_distance(plane, seeds, 6)
    # Scans remember one way to each pixel: on noise never less than the truth, mostly it, and hardly ever a step more.
    assert (scanned >= exact - 1e-6).all()
    assert (scanned <= exact + 1e-6).mean() > 0.8 and (scanned <= exact + 1 + 1e-6).mean() > 0.97
    assert (scanned[seeds] == 0).all()


def test_a_ramp_is_as_far_as_it_rises_and_a_wall_as_it_is_high() -> None:
    ramp = np.linspace(0, 1, 20, dtype=np.float32)[None].repeat(5, 0)
    seeds = np.zeros_like(ramp, bool)
    seeds[:, 0] = True
    assert np.allclose(barrier_distance(ramp, seeds, 2), ramp, atol=1e-6)
    walled = np.zeros((21, 21), np.float32)
    walled[5:16, 5:16], walled[8:13, 8:13] = 0.7, 0.0
    found = barrier_distance(walled, frame_of(walled), 2)
    assert found[10, 10] == pytest.approx(0.7) and found[6, 6] == pytest.approx(0.7) and found[2, 2] == 0
    assert barrier_distance(walled, np.zeros((21, 21), bool), 1).min() > 1e6, "without seeds there is no way"


def scene() -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """A red disc with a white tail on a grey sweep that grows lighter downwards, its shadow, a hole in it, and a thing by itself."""
    x, y = grid()
    rgb = (0.5 + 0.08 * y)[..., None].repeat(3, -1)
    parts = {
        "shadow": (x / 0.5) ** 2 + ((y - 0.62) / 0.12) ** 2 < 1,
        "disc": np.hypot(x, y) < 0.5,
        "tail": (np.abs(y) < 0.12) & (x > 0.4) & (x < 0.8),
        "hole": np.hypot(x + 0.1, y) < 0.15,
        "apart": (np.abs(x + 0.8) < 0.08) & (np.abs(y + 0.8) < 0.08),
    }
    parts["shadow"] &= ~parts["disc"]
    parts["tail"] &= ~parts["disc"]
    ground = rgb.copy()
    rgb[parts["shadow"]] *= 0.6
    rgb[parts["disc"]], rgb[parts["tail"]], rgb[parts["apart"]] = (0.8, 0.2, 0.15), (0.97, 0.97, 0.97), (0.1, 0.3, 0.8)
    rgb[parts["hole"]] = ground[parts["hole"]]
    return torch.from_numpy(rgb).float(), parts


def test_what_the_network_hardly_sees_is_found_and_holes_shadows_and_other_things_are_not() -> None:
    rgb, parts = scene()
    coarse = torch.full((SIZE, SIZE), 0.01)
    coarse[torch.from_numpy(parts["disc"])] = 0.9
    coarse[torch.from_numpy(parts["tail"])] = 0.2
    coarse[torch.from_numpy(parts["apart"])] = 0.06  # as the network suspects it of being an object
    told = backdrop_evidence(rgb, coarse).numpy()
    assert np.median(told[parts["tail"]]) > 0.8 * FOR * 0.7
    assert np.median(told[parts["disc"] & ~parts["hole"]]) > 0.8 * FOR * 0.7
    for name in ("hole", "shadow", "apart"):
        assert np.median(told[parts[name]]) <= 0, name
    plain = ~np.any(list(parts.values()), 0)
    assert np.median(told[plain]) == pytest.approx(-AGAINST, abs=0.4)


def test_the_cut_out_gets_the_part_that_was_hardly_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, parts = scene()
    coarse = torch.full((SIZE, SIZE), 0.01)
    coarse[torch.from_numpy(parts["disc"])] = 0.9
    coarse[torch.from_numpy(parts["tail"])] = 0.2
    found = corrected(rgb, torch.logit(coarse)).numpy() > 0.5
    assert found[parts["tail"]].mean() > 0.7 and not found[parts["apart"]].any() and found[parts["shadow"]].mean() < 0.1
    monkeypatch.setattr("img23d.priors.foreground.backdrop_evidence", lambda rgb, coarse: torch.zeros_like(coarse))
    assert (corrected(rgb, torch.logit(coarse)).numpy() > 0.5)[parts["tail"]].mean() < 0.2, "colours alone lose it"


def test_busy_backgrounds_and_pictures_without_any_tell_nothing() -> None:
    x, y = grid()
    disc = np.hypot(x, y) < 0.4
    coarse = torch.from_numpy(np.where(disc, 0.9, 0.01)).float()
    carpet = np.where((np.floor(x * 6) + np.floor(y * 6))[..., None] % 2 == 0, (0.9, 0.1, 0.6), (0.1, 0.6, 0.2))
    half = np.where(y[..., None] > 0.1, carpet, 0.5)
    for picture in (carpet, half):
        picture = np.where(disc[..., None], (0.8, 0.8, 0.2), picture)
        assert float(backdrop_evidence(torch.from_numpy(picture).float(), coarse).abs().max()) < 0.1 * FOR
    plain = torch.full((SIZE, SIZE, 3), 0.5)
    for chance in (torch.full((SIZE, SIZE), 0.95), torch.full((SIZE, SIZE), 0.05)):
        assert float(backdrop_evidence(plain, chance).abs().max()) == 0
    flat = backdrop_evidence(plain, torch.full((SIZE, SIZE), 0.001))
    assert bool(torch.isfinite(flat).all()) and float(flat.max()) <= 0


def holed(behind: str) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, np.ndarray]:
    """`scene` before a backdrop, its disc with a white chest, and a cut-out with two holes: where the backdrop is seen and at the chest."""
    rgb, parts = scene()
    x, y = grid()
    chest = np.hypot(x - 0.2, y - 0.2) < 0.12
    if behind == "carpet":
        carpet = torch.tensor((0.2, 0.5, 0.3)) + 0.4 * ((torch.arange(SIZE)[:, None] // 8 + torch.arange(SIZE) // 8) % 2)[..., None]
        where = torch.from_numpy(~parts["disc"] | parts["hole"])
        rgb[where] = carpet[where]
    rgb[torch.from_numpy(chest)] = torch.tensor((0.95, 0.95, 0.9))
    alpha = torch.from_numpy(np.where(parts["disc"], 0.95, 0.03)).float()
    alpha[torch.from_numpy(parts["hole"] | chest)] = 0.1
    return rgb, alpha, parts["hole"], chest


def test_a_hole_through_which_the_backdrop_is_not_seen_is_none() -> None:
    rgb, alpha, hole, chest = holed("sweep")
    closed = without_false_holes(rgb, alpha)
    assert bool((closed[torch.from_numpy(chest)] == CLOSED).all())
    elsewhere = torch.from_numpy(~chest)
    assert torch.equal(closed[elsewhere], alpha[elsewhere]) and float(closed[torch.from_numpy(hole)].max()) < 0.2
    whole = torch.where(torch.from_numpy(hole | chest), 0.95, alpha)
    assert torch.equal(without_false_holes(rgb, whole), whole)


def test_white_of_the_backdrops_own_kind_is_a_hole_where_the_network_doubts_it() -> None:
    x, y = grid()
    disc, hole, eye = np.hypot(x, y) < 0.7, np.hypot(x + 0.2, y) < 0.2, np.hypot(x - 0.4, y) < 0.03
    rgb = torch.from_numpy(np.where((disc & ~hole & ~eye)[..., None], (0.2, 0.3, 0.8), 1.0)).float()
    alpha = torch.from_numpy(np.where(disc, 0.97, 0.01)).float()
    inside = torch.from_numpy(hole)
    opened = with_even_holes(rgb, alpha, torch.where(inside, 0.8, alpha))
    assert float(opened[inside].max()) < 0.05 and torch.equal(opened[~inside], alpha[~inside])
    assert torch.equal(with_even_holes(rgb, alpha, alpha), alpha), "where it is sure white is white"
    reaching = torch.from_numpy(disc & (x > 0.3))  # white of the object that runs out into the backdrop
    alike = torch.where(reaching[..., None], 1.0, rgb)
    assert torch.equal(with_even_holes(alike, alpha, torch.where(reaching, 0.6, alpha))[reaching], alpha[reaching])
    noisy = rgb + 0.02 * torch.randn(rgb.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(with_even_holes(noisy, alpha, torch.where(inside, 0.8, alpha)), alpha), "a camera's white is not all one"


def test_what_lies_behind_a_hole_is_not_known_before_a_busy_background_or_none() -> None:
    rgb, alpha, *_ = holed("carpet")
    assert torch.equal(without_false_holes(rgb, alpha), alpha)
    for chance in (torch.full((SIZE, SIZE), 0.95), torch.full((SIZE, SIZE), 0.05)):
        assert torch.equal(without_false_holes(rgb, chance), chance)


def test_every_pixel_has_a_backdrop_however_little_is_clear() -> None:
    picture = np.full((12, 12, 3), 0.4, np.float32)
    outside = np.zeros((12, 12), bool)
    outside[0, 0] = True
    assert like_backdrop(picture, outside).all()
