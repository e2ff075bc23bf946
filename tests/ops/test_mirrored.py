"""Images of the photo under symmetries: where they count."""

from types import SimpleNamespace

import pytest
import torch

from img23d.ops import mirrored
from img23d.ops.agreement import UNTOLD, agreement, spread
from img23d.ops.fill import Layer
from img23d.ops.march import marching_tetrahedra
from img23d.ops.mirrored import AROUND, Candidate, consider, featureless, images, meeting, without_doubted
from img23d.ops.normals import vertex_normals
from img23d.ops.project_photo import PhotoSource
from img23d.ops.symmetry import HalfTurn, MirrorPlane
from img23d.ops.tetgrid import tet_grid
from img23d.ops.unseen import Photo
from img23d.scene import Mesh


def cup() -> SimpleNamespace:
    """A cylinder of radius .5 about y with a handle to the right, as a surface."""
    grid = tet_grid(32)
    x, y, z = grid.vertices.unbind(-1)
    body = torch.maximum(torch.hypot(x, z) - 0.5, y.abs() - 0.7)
    handle = torch.stack([(x - 0.6).abs() - 0.2, y.abs() - 0.1, z.abs() - 0.1]).amax(0)
    vertices, faces, _ = marching_tetrahedra(grid.vertices, grid.tets, torch.minimum(body, handle))
    return SimpleNamespace(mesh=Mesh(vertices, faces))


def test_half_a_turn_paints_no_handle_onto_the_side_that_has_none():
    surface = cup()
    x, y, z = surface.mesh.vertices.unbind(-1)
    turn = torch.tensor([-1.0, 1.0, -1.0])
    whole = meeting(surface, surface.mesh.vertices * turn, vertex_normals(surface.mesh) * turn)
    opposite = (x < -0.45) & (y.abs() < 0.1) & (z.abs() < 0.1)
    beside = (x < 0) & (y.abs() < 0.1) & (z.abs() > 0.1) & (z.abs() < 0.1 + AROUND / 2)
    assert bool((x > 0.6).any()) and float(whole[x > 0.6].max()) == 0.0  # the handle has no image
    assert int(opposite.sum()) > 3 and float(whole[opposite].max()) == 0.0
    assert float(whole[beside].max()) == 0.0  # nor what is just beside it
    away = (z.abs() > 0.4) | (y.abs() > 0.5)
    assert float(whole[away].min()) == 1.0


@pytest.mark.parametrize(
    "score, agreement, across, plain", [(0.2, 0.5, 1.0, True), (1.0, 0.5, 1.0, False), (0.2, 0.7, 1.0, False), (0.2, 0.5, 0.6, False)]
)
def test_only_a_doubtful_image_that_swaps_front_and_back_loses_small_features(monkeypatch, score, agreement, across, plain):
    layer = Layer(torch.zeros(5, 3), torch.zeros(5), torch.zeros(5, 3), torch.zeros(5))
    found = Candidate(MirrorPlane(torch.tensor([0.0, 0.0, 1.0]), 0.0, score), torch.zeros(5, 3), torch.ones(5), agreement, across)
    shown: list[object] = []
    monkeypatch.setattr(mirrored, "consider", lambda *_: found)
    monkeypatch.setattr(mirrored, "featureless", lambda photo, *_: "plain")
    monkeypatch.setattr(mirrored, "image_layer", lambda surface, photo, *_: shown.append(photo) or layer)
    lying = SimpleNamespace(mesh=SimpleNamespace(vertices=torch.tensor([[-1.0, -0.5, -0.4], [1.0, 0.5, 0.4]])))
    images(lying, "sharp", [found.symmetry], layer, None, None)
    assert shown == ["plain" if plain else "sharp"]


@pytest.mark.parametrize(
    "width, height, depth, turn, made, agreement, shown",
    [
        (1.4, 1.8, 1.0, 0.0, False, 0.5, mirrored.FACE),  # a cat that sits beside its tail
        (1.8, 1.4, 1.0, 0.0, False, 0.5, None),  # a dinosaur from its side
        (1.6, 1.0, 1.4, 0.0, False, 0.5, mirrored.FACE),
        (1.4, 1.8, 0.7, 0.0, False, 0.5, mirrored.FACE),  # a kitten with a large head
        (1.8, 1.0, 1.4, 0.0, False, 0.5, None),  # flat
        (1.4, 1.8, 1.0, 0.97, False, 0.5, None),  # turns into itself
        (1.4, 1.8, 1.0, 0.0, True, 0.5, None),  # known to be a jug
        (1.4, 1.8, 1.0, 0.0, False, 0.7, None),  # the photo confirms it
    ],
)
def test_the_back_of_what_stands_and_is_not_long_shows_no_face_however_well_the_image_fits(
    monkeypatch, width, height, depth, turn, made, agreement, shown
):
    layer = Layer(torch.zeros(5, 3), torch.zeros(5), torch.zeros(5, 3), torch.zeros(5))
    plane = MirrorPlane(torch.tensor([0.0, 0.0, 1.0]), 0.0, 1.0)
    symmetries = [plane, *([HalfTurn(torch.zeros(3), turn)] if turn else [])]
    calm: list[object] = []
    monkeypatch.setattr(mirrored, "consider", lambda _, one, *__: Candidate(one, torch.zeros(5, 3), torch.ones(5), agreement, 1.0))
    monkeypatch.setattr(mirrored, "featureless", lambda photo, *size: size)
    monkeypatch.setattr(mirrored, "image_layer", lambda _, photo, *__: calm.append(photo) or layer)
    reach = torch.tensor([width, height, depth])
    surface = SimpleNamespace(mesh=SimpleNamespace(vertices=torch.stack([-reach / 2, reach / 2])))
    images(surface, None, symmetries, layer, None, None, made)
    assert calm and all(one == shown for one in calm)


def test_a_photo_without_features_keeps_its_colours_and_loses_its_eyes():
    rgb = torch.full((128, 128, 3), 0.4)
    rgb[:, 64:, 1] = 0.8
    eyes = rgb.clone()
    eyes[40:43, 30:33] = 0.0
    photo = Photo(*(PhotoSource(None, eyes, torch.ones(128, 128), None, None, None, None) for _ in range(2)), 1.3)
    for size in (mirrored.SMALL, mirrored.FACE):
        found = featureless(photo, *size)
        for source in (found.sharp, found.soft):
            assert float((source.rgb - rgb).abs().max()) < (0.01 if size == mirrored.SMALL else 0.21)  # coarser pixels, softer edges
            assert float((source.rgb - rgb)[:, :60].abs().max()) < 0.01


@pytest.mark.parametrize(
    "height, score, turn, backs",
    [
        (1.0, 1.0, 0.0, 0),
        (0.4, 1.0, 0.0, 0),
        (0.25, 1.0, 0.0, 1),
        (0.4, 0.6, 0.0, 1),
        (1.0, 0.6, 0.0, 0),
        (1.0, 0.4, 0.0, 1),
        (1.0, 1.0, 0.97, 1),
        (1.0, 1.0, 0.92, 0),
        (1.0, 1.0, 0.5, 0),
    ],
)
def test_a_standing_figure_gets_no_second_face(monkeypatch, height, score, turn, backs):
    """Seen from its front, its colours differ left and right. Not so what is flat, what is lopsided, and what turns into itself.

    That is seen turned, and not mirrored beside that.
    """
    layer = Layer(torch.zeros(5, 3), torch.zeros(5), torch.zeros(5, 3), torch.zeros(5))
    across, through = (MirrorPlane(torch.tensor(normal), 0.0, s) for normal, s in (([0.0, 0.0, 1.0], 1.0), ([1.0, 0.0, 0.0], score)))
    symmetries = [across, through, *([HalfTurn(torch.zeros(3), turn)] if turn else [])]
    told = {id(across): (mirrored.UNTOLD, 1.0), id(through): (0.3, 0.1)}
    monkeypatch.setattr(
        mirrored,
        "consider",
        lambda _, one, *__: Candidate(one, torch.zeros(5, 3), torch.ones(5), *told.get(id(one), (mirrored.UNTOLD, 1.0))),
    )
    monkeypatch.setattr(mirrored, "featureless", lambda photo, *_: photo)
    monkeypatch.setattr(mirrored, "image_layer", lambda *_: layer)
    monkeypatch.setattr(mirrored, "IMAGES", 9)
    monkeypatch.setattr(mirrored, "LEAST_GAIN", -1.0)
    surface = SimpleNamespace(mesh=SimpleNamespace(vertices=torch.tensor([[-0.4, -height, -0.3], [0.6, height, 0.3]])))
    found = images(surface, None, symmetries, layer, None, None)
    assert len(found.possible) == backs and len(found.denied) == 1 and not found.confirmed and found.figure == (backs == 0 and score == 1)


def test_one_colour_all_over_confirms_no_image_that_decides_what_is_on_the_back():
    random = torch.Generator().manual_seed(0)
    grey, varied, trust = torch.full((400, 3), 0.5), 0.1 * torch.randn(400, 3, generator=random), torch.ones(400)
    noise = 0.03 * torch.randn(400, 3, generator=random)
    plain, painted = ((grey, trust), (grey + noise, trust)), ((grey + varied, trust), (grey + varied + noise, trust))
    assert agreement(*plain, 0.01) == agreement(*painted, 0.01) == 1.0
    heights = torch.rand(400, generator=random)
    assert agreement(*plain, 0.01, heights=heights) == UNTOLD and agreement(*painted, 0.01, heights=heights) == 1.0
    other = (grey + 0.5, trust)
    assert agreement(plain[0], other, 0.01, heights=heights) == agreement(plain[0], other, 0.01) < UNTOLD, "other colours still deny it"


def test_colours_that_are_the_same_all_round_confirm_no_such_image_either():
    random = torch.Generator().manual_seed(0)
    heights, trust = torch.rand(2000, generator=random), torch.ones(2000)
    coat = torch.where(heights[:, None] > 0.6, torch.tensor([0.9, 0.9, 0.9]), torch.tensor([0.2, 0.3, 0.5]))
    noise = 0.03 * torch.randn(2000, 3, generator=random)
    assert agreement((coat, trust), (coat + noise, trust), 0.01) == 1.0
    assert agreement((coat, trust), (coat + noise, trust), 0.01, heights=heights) == UNTOLD
    spots = (torch.rand(2000, 1, generator=random) > 0.5) * 0.4
    assert agreement((coat + spots, trust), (coat + spots + noise, trust), 0.01, heights=heights) == 1.0


def test_the_spread_at_each_height_is_that_about_its_mean():
    heights, rgb = torch.linspace(0, 1, 1600), torch.zeros(1600, 3)
    rgb[800:] = 0.8
    rgb[::2] += 0.1
    weight = torch.full((1600,), 1 / 1600)
    assert spread(rgb, weight, heights) == pytest.approx(0.05, abs=0.008)
    # Points that count nothing say nothing.
    half = torch.where(torch.arange(1600) % 2 == 0, 0.0, 1 / 800)
    assert spread(rgb, half, heights) == pytest.approx(0.0, abs=0.03)


def candidate(agreement: float, doubted: bool) -> Candidate:
    """A plane with that agreement of colours."""
    plane = MirrorPlane(torch.tensor([0.0, 0.0, 1.0]), 0.0, 1.0, doubted)
    return Candidate(plane, torch.zeros(5, 3), torch.ones(5), agreement, 0.7)


@pytest.mark.parametrize("better, doubted, counts", [(0.3, 0.8, True), (0.5, 0.8, False), (0.7, 0.8, False), (0.3, 0.5, False)])
def test_a_doubted_plane_counts_where_the_photo_confirms_it_and_denies_those_that_fit_better(better, doubted, counts):
    first, second = candidate(better, False), candidate(doubted, True)
    turn = Candidate(HalfTurn(torch.zeros(3), 1.0), torch.zeros(5, 3), torch.ones(5), 1.0, 1.0)
    for lying in (False, True):
        assert without_doubted([first, second, turn], lying) == ([first, second, turn] if counts else [first, turn])


@pytest.mark.parametrize(
    "better, across, score, lying, counts",
    [
        (0.3, 1.0, 1.0, True, True),
        (0.3, 1.0, 1.0, False, False),
        (0.5, 1.0, 1.0, True, False),
        (0.3, 0.7, 1.0, True, False),
        (0.3, 1.0, 0.7, True, False),
    ],
)
def test_the_other_side_of_a_car_looks_like_the_one_that_is_seen(better, across, score, lying, counts):
    """A plane along it that nothing tells of counts, once the photo has denied the one across it."""
    wrong, plane = candidate(better, False), MirrorPlane(torch.tensor([0.0, 0.0, 1.0]), 0.0, score, True)
    along = Candidate(plane, torch.zeros(5, 3), torch.ones(5), mirrored.UNTOLD, across)
    assert without_doubted([wrong, along], lying) == ([wrong, along] if counts else [wrong])


@pytest.mark.parametrize("share, doubted, told", [(0.03, False, True), (0.03, True, False), (0.1, True, True)])
def test_a_doubted_plane_needs_more_that_is_seen_on_both_sides(monkeypatch, share, doubted, told):
    trust = (torch.arange(100) < 100 * share).float()
    monkeypatch.setattr(mirrored, "project_photo", lambda *_, **__: (torch.ones(100, 3), trust))
    monkeypatch.setattr(mirrored, "across_view", lambda *_: 0.7)
    points = SimpleNamespace(position=torch.zeros(100, 3), normal=torch.zeros(100, 3))
    plane = MirrorPlane(torch.tensor([0.0, 0.0, 1.0]), 0.0, 1.0, doubted)
    seen = Layer(torch.ones(100, 3), torch.ones(100), torch.ones(5, 3), torch.ones(5))
    found = consider(SimpleNamespace(soft=None, grazing=1.3), plane, seen, points)
    assert found.agreement == (1.0 if told else mirrored.UNTOLD)


@pytest.mark.parametrize("away, across, told", [(0.02, 1.0, False), (0.3, 1.0, True), (0.02, 0.7, True)])
def test_what_is_beside_a_plane_does_not_confirm_what_is_on_the_back(monkeypatch, away, across, told):
    random = torch.Generator().manual_seed(0)
    rgb, trust = torch.rand(100, 3, generator=random), (torch.arange(100) < 5).float()
    place = torch.rand(100, 3, generator=random)
    place[:, 2] = away
    monkeypatch.setattr(mirrored, "project_photo", lambda *_, **__: (rgb, trust))
    monkeypatch.setattr(mirrored, "across_view", lambda *_: across)
    points = SimpleNamespace(position=place, normal=torch.zeros(100, 3))
    plane = MirrorPlane(torch.tensor([0.0, 0.0, 1.0]), 0.0, 1.0, False)
    seen = Layer(rgb, torch.ones(100), torch.ones(5, 3), torch.ones(5))
    found = consider(SimpleNamespace(soft=None, grazing=1.3), plane, seen, points)
    assert found.agreement == (1.0 if told else mirrored.UNTOLD)
