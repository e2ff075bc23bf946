"""Patches of what the photo shows, painted where nothing shows: what recurs goes on at its height, what is there once does not."""

import math

import pytest
import torch

from img23d.ops.fill import Layer
from img23d.ops.synthesis import FEWEST, RARE, Exemplars, rarities, some, synthesised_layer, vote
from img23d.ops.unseen import photo_layer


def filled(vase, paint, guess, seed: int = 0, **shape):
    """The scene, the trust in its photo, and what is painted on the vase over a guess (3,)."""
    scene, shown = vase(paint, **shape)
    photo = photo_layer(scene.photo, scene.vertices, scene.texels)
    below = torch.tensor(guess)
    painted = Layer(
        torch.lerp(below.expand_as(photo.vertex_rgb), photo.vertex_rgb, shown[:, None]), shown,
        torch.lerp(below.expand_as(photo.texel_rgb), photo.texel_rgb, photo.texel_trust[:, None]), photo.texel_trust,
    )  # fmt: skip
    return scene, shown, synthesised_layer(scene.surface, scene.photo, scene.vertices, scene.texels, painted, shown, shown, seed)


def belts(points):
    """Dark belts round the vase, a third of its height apart."""
    dark = torch.sin(2 * math.pi * points[..., 1] / 0.5) > 0
    return torch.where(dark[..., None], torch.tensor([0.2, 0.1, 0.1]), torch.tensor([0.8, 0.7, 0.3]))


def eye(points):
    """One dark spot on its front."""
    spot = points[..., 0].square() + points[..., 1].square() < 0.012
    return torch.where((spot & (points[..., 2] > 0))[..., None], torch.tensor([0.1, 0.1, 0.1]), torch.tensor([0.8, 0.7, 0.3]))


@pytest.fixture(scope="module")
def belted(vase):
    """Of a vase with belts."""
    return filled(vase, belts, (0.5, 0.4, 0.2))


def test_belts_go_round_at_their_heights(belted):
    scene, _, layer = belted
    place = scene.texels.position
    behind = (place[:, 2] < -0.2) & (place[:, 1].abs() < 0.7)
    truth, red = belts(place)[behind][:, 0], layer.texel_rgb[behind][:, 0]
    assert float(torch.corrcoef(torch.stack([truth, red]))[0, 1]) > 0.6
    assert red.std() > 0.6 * truth.std()


def test_what_is_there_once_is_not_copied(vase):
    scene, _, layer = filled(vase, eye, (0.78, 0.68, 0.3))
    behind = scene.vertices.position[:, 2] < -0.1
    assert layer.vertex_rgb[behind].amin(0)[0] > 0.6
    assert (scene.vertices.position[:, 2] > 0.3).any() and layer.vertex_rgb.isfinite().all()


def test_belts_stay_outside_of_a_cup(vase):
    """The photo shows the far wall's inside down to some depth, white; below, at the height of the belts, nothing shows."""
    cup = [(0.0, -0.5), (0.6, -0.5), (0.6, 0.5), (0.5, 0.5), (0.5, -0.4), (0.0, -0.4)]

    def painted(points):
        inside = (points[..., [0, 2]].norm(dim=-1) < 0.55) | (points[..., 1] > 0.48)
        return torch.where(inside[..., None], torch.tensor([0.9, 0.9, 0.9]), belts(points))

    scene, shown, layer = filled(vase, painted, (0.6, 0.5, 0.4), profile=cup, elevation_deg=25.0)
    place, normal = scene.vertices.position, scene.vertices.normal
    wall = (place[:, [0, 2]].norm(dim=-1) < 0.55) & (normal[:, 1].abs() < 0.3) & (place[:, 1] < 0.3) & (shown < 0.1)
    assert wall.sum() > 100
    # Blue is what the inside has and the belts lack; the guess had 0.4 of it.
    assert layer.vertex_rgb[wall].mean(0)[2] > 0.47


def test_what_is_known_stays_and_is_not_trusted_to_this_layer(belted):
    _, shown, layer = belted
    assert torch.equal(layer.vertex_trust > 0, shown < 0.9)
    assert layer.texel_trust.min() >= 0 and layer.texel_trust.max() <= 1


def test_the_same_seed_paints_the_same(vase, belted):
    first, again = belted[2], filled(vase, belts, (0.5, 0.4, 0.2))[2]
    assert torch.equal(first.texel_rgb, again.texel_rgb)
    assert not torch.equal(first.texel_rgb, filled(vase, belts, (0.5, 0.4, 0.2), seed=1)[2].texel_rgb)


@pytest.mark.parametrize(("shown", "known"), [(0.0, 0.0), (1.0, 1.0)], ids=["nothing to copy from", "nothing to paint"])
def test_nothing_to_do(vase, shown, known):
    scene, trust = vase(belts)
    painted = photo_layer(scene.photo, scene.vertices, scene.texels)
    told = (torch.full_like(trust, value) for value in (shown, known))
    assert synthesised_layer(scene.surface, scene.photo, scene.vertices, scene.texels, painted, *told, 0) is None


def test_odd_patches_are_rare():
    generator = torch.Generator().manual_seed(0)
    alike = 0.5 + 0.02 * torch.randn(400, 75, generator=generator)
    alike[7] = 0.1
    rare = rarities(alike)
    assert rare.argmax() == 7 and rare[7] > 10 * rare.median()
    assert torch.equal(rarities(alike[: FEWEST - 1]), torch.zeros(FEWEST - 1))


def test_the_nearest_exemplar_is_that_of_a_loop():
    generator = torch.Generator().manual_seed(1)
    colors, guide, rarity = (torch.rand(60, *shape, generator=generator) for shape in ((75,), (5,), ()))
    sought, told = torch.rand(10, 75, generator=generator), torch.rand(10, 5, generator=generator)
    found = Exemplars(torch.zeros(60, 25, dtype=torch.int64), colors, guide, rarity).nearest(sought, told, 0.3)
    for row in range(10):
        unlike = [
            0.09 * (sought[row] - color).square().sum() + (told[row] - aim).square().sum() for color, aim in zip(colors, guide, strict=True)
        ]
        costs = [float(cost + RARE * rare) for cost, rare in zip(unlike, rarity, strict=True)]
        assert int(found[row]) == costs.index(min(costs))


def test_votes_are_weighted_means():
    rgb = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.3, 0.3, 0.3]])
    places = torch.zeros(1, 25, dtype=torch.int64)
    places[0, 12] = 1
    copies = torch.zeros(1, 25, 3)
    copies[0, 12], copies[0, 0] = 0.8, 0.5
    voted = vote(rgb, places, copies)
    weight = torch.exp(-torch.cartesian_prod(torch.arange(-2.0, 3), torch.arange(-2.0, 3)).square().sum(-1) / 2)
    assert torch.allclose(voted[1], torch.tensor(0.8)) and torch.equal(voted[2], rgb[2])
    assert torch.allclose(voted[0], 0.5 * weight[0] / (weight.sum() - weight[12]))


def test_a_choice_has_no_more_than_asked_for():
    chance = torch.Generator().manual_seed(0)
    assert sorted(some(torch.arange(5), 9, chance).tolist()) == [0, 1, 2, 3, 4]
    assert len(set(some(torch.arange(50), 7, chance).tolist())) == 7
