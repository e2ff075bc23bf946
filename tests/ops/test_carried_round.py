"""What goes round a vessel: aligned columns, filled gaps, and what is no vessel."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from img23d.ops.carried_round import COLUMNS, ROWS, Places, aligned, between, carried_round, collected, looked_up, runs_round, without_gaps
from img23d.ops.fill import Surface
from img23d.ops.membrane import Membrane
from img23d.ops.normals import vertex_normals
from img23d.ops.unseen import Points
from img23d.scene import Mesh

DARK, LIGHT, RED = np.array([0.1, 0.2, 0.3]), np.array([0.9, 0.9, 0.8]), np.array([0.8, 0.3, 0.1])


def column(*steps):
    """(ROWS, 3) dark up to the first step, then red up to the second, then light."""
    made = np.tile(LIGHT, (ROWS, 1))
    made[: steps[1]], made[: steps[0]] = RED, DARK
    return made


def test_rows_of_one_colour_are_aligned_whatever_their_height():
    one, other = column(40, 90), column(60, 80)
    first, second = aligned(one, other)
    assert (first[0], second[0], first[-1], second[-1]) == (0, 0, ROWS - 1, ROWS - 1)
    assert (np.diff(first) >= 0).all() and (np.diff(second) >= 0).all() and (np.diff(first) + np.diff(second) > 0).all()
    assert np.abs(one[first] - other[second]).max() == 0
    same = aligned(one, one)
    assert (same[0] == same[1]).all() and len(same[0]) == ROWS


def test_lines_run_from_their_height_on_one_side_to_that_on_the_other():
    made = between(column(40, 90), column(60, 80), 41)
    edges = [[int(np.argmax(made[:, at, 0] > level)) for level in (0.45, 0.85)] for at in (0, 20, 40)]
    assert np.abs(np.array(edges) - [[40, 90], [50, 85], [60, 80]]).max() <= 2
    plain = between(np.tile(RED, (ROWS, 1)), np.tile(RED, (ROWS, 1)), 7)
    assert np.allclose(plain, RED)


def test_only_gaps_are_filled_even_across_the_ring_s_end():
    heights = (60 + 25 * np.sin(2 * np.pi * np.arange(COLUMNS) / COLUMNS)).astype(int)
    truth = np.stack([column(height, height + 40) for height in heights], 1)
    told = np.ones((ROWS, COLUMNS))
    told[:, 340:] = told[:, :20] = told[:, 150:190] = 0
    filled, gaps = without_gaps(np.where(told[..., None] > 0, truth, 0), told)
    assert np.array_equal(gaps, 1 - told) and np.array_equal(filled[gaps == 0], truth[gaps == 0])
    wrong = np.abs(filled - truth).max(-1) > 0.1
    assert wrong[gaps == 1].mean() < 0.04  # nothing but the lines' own places
    for told_nowhere in (np.zeros_like(told), np.ones_like(told)):
        assert not without_gaps(truth, told_nowhere)[1].any()


def test_a_handle_in_the_border_is_passed_over():
    truth = np.repeat(column(60, 100)[:, None], COLUMNS, 1)
    told = np.ones((ROWS, COLUMNS))
    told[:, 200:260] = 0
    told[50:90, 190:200] = 0
    filled, gaps = without_gaps(np.where(told[..., None] > 0, truth, 0), told)
    assert gaps[:, 200:260].all() and np.abs(filled[:, 200:260] - truth[:, 200:260]).mean() < 0.01


def test_rows_that_are_known_nowhere_near_stay_as_they_are():
    told = np.ones((ROWS, COLUMNS))
    told[:, 200:260] = told[:80] = told[:120, 100:200] = 0
    truth = np.repeat(column(60, 100)[:, None], COLUMNS, 1)
    _, gaps = without_gaps(truth, told)
    assert not gaps[:70].any() and gaps[125:, 200:260].all() and not gaps[:, :90].any()


def test_a_few_known_columns_are_not_enough_and_break_nothing():
    told = np.zeros((ROWS, COLUMNS))
    told[:, 101:104] = 1
    assert not without_gaps(np.repeat(column(60, 100)[:, None], COLUMNS, 1), told)[1].any()


def test_unknown_pixels_beside_known_ones_are_not_black():
    rows, columns = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    known = (columns < 200).astype(float)
    place = Places(rows + 0.5, columns + 0.5, np.ones(ROWS * COLUMNS, dtype=bool))
    picture, told = collected(place, np.tile(RED, (ROWS * COLUMNS, 1)) * known[:, None], known)
    assert np.allclose(picture, RED) and np.array_equal(told, known.reshape(ROWS, COLUMNS))
    assert np.allclose(looked_up(picture, place), RED)


@pytest.mark.parametrize(
    ("painted", "expected"),
    [
        (lambda row, column: row % 24 < 12, True),
        (lambda row, column: (row + 10 * np.sin(column / 30)) % 24 < 12, True),
        (lambda row, column: row < 0, True),
        (lambda row, column: column % 12 < 6, False),
        (lambda row, column: (row // 8 + column // 8) % 2 == 0, False),
    ],
    ids=["bands", "waves", "nothing", "flutes", "patches"],
)
def test_what_goes_round(painted, expected):
    row, at = np.mgrid[:ROWS, :COLUMNS]
    picture, sure = np.where(painted(row, at)[..., None], DARK, LIGHT), at < 150
    assert runs_round(picture, sure) == expected
    # What is not known does not count.
    assert runs_round(np.where(sure[..., None], picture, np.random.default_rng(0).random((ROWS, COLUMNS, 3))), sure) == expected


def test_what_is_known_in_one_row_goes_round_for_all_it_tells():
    sure = np.zeros((ROWS, COLUMNS), bool)
    sure[5, :100] = True
    assert runs_round(np.tile(LIGHT, (ROWS, COLUMNS, 1)), sure) and runs_round(np.tile(LIGHT, (ROWS, COLUMNS, 1)), ~sure & sure)


def test_the_middle_of_a_wide_gap_has_what_most_of_each_row_has():
    """Not the handle's root beside it."""
    told = np.ones((ROWS, COLUMNS))
    told[:, 100:300] = 0
    truth = np.repeat(column(60, 100)[:, None], COLUMNS, 1)
    shown = np.where(told[..., None] > 0, truth, 0)
    shown[120:140, 90:100] = DARK
    filled, _ = without_gaps(shown, told)
    assert np.allclose(filled[:, 140:260], truth[:, 140:260]) and np.allclose(filled[125:135, 100], DARK, atol=0.05)


def lathe(radius_of=lambda height: 0.5 + 0 * height, squared=False):
    """An open tube with 120 x 60 places; or a square one."""
    turn, height = np.meshgrid(np.arange(120) / 120 * 2 * np.pi, np.linspace(-0.6, 0.6, 60))
    radius = radius_of(height) / (np.maximum(np.abs(np.sin(turn)), np.abs(np.cos(turn))) if squared else 1)
    vertices = torch.tensor(np.stack([radius * np.sin(turn), height, radius * np.cos(turn)], -1).reshape(-1, 3), dtype=torch.float32)
    row, at = np.meshgrid(np.arange(59), np.arange(120), indexing="ij")
    a, b = row * 120 + at, row * 120 + (at + 1) % 120
    faces = np.concatenate([np.stack([a, b, b + 120], -1).reshape(-1, 3), np.stack([a, b + 120, a + 120], -1).reshape(-1, 3)])
    return Mesh(vertices + torch.tensor([0.1, 0.0, -0.2]), torch.tensor(faces))


def carried(mesh, known_from=0.0):
    """Bands round a mesh, known where z is above a level; what is carried on to, and what is true."""
    surface = Surface(mesh, torch.arange(len(mesh.faces)), torch.full((len(mesh.faces), 3), 1 / 3), Membrane(mesh))
    vertices = Points(mesh.vertices, vertex_normals(mesh))
    texels = Points(surface.at_texels(vertices.position), F.normalize(surface.at_texels(vertices.normal), dim=-1))
    height = texels.position[:, 1] + 0.1 * torch.sin(torch.atan2(texels.position[:, 0] - 0.1, texels.position[:, 2] + 0.2))
    truth = torch.tensor(np.select([height[:, None] < -0.2, height[:, None] < 0.1], [DARK, RED], LIGHT), dtype=torch.float32)
    known = (texels.position[:, 2] > known_from).float()
    layer = carried_round(surface, vertices, texels, truth * known[:, None], known, torch.tensor([0.1, 3.0, -0.2]))
    return layer, truth, known, texels


@pytest.mark.parametrize("radius_of", [lambda height: 0.5 + 0 * height, lambda height: 0.4 + 0.1 * np.cos(4 * height)])
def test_bands_go_round_a_vessel(radius_of):
    layer, truth, known, _ = carried(lathe(radius_of))
    gap = known == 0
    assert bool((layer.texel_trust[gap] > 0.99).float().mean() > 0.95) and float(layer.texel_trust[~gap].mean()) < 0.08
    wrong = (layer.texel_rgb - truth).abs().amax(-1) > 0.1
    assert float(wrong[gap].float().mean()) < 0.25  # the bands wave where nobody sees it
    assert float((layer.vertex_trust > 0.99).float().mean()) == pytest.approx(float(gap.float().mean()), abs=0.05)


def test_what_is_square_or_unknown_or_known_all_round_has_no_sides():
    assert carried(lathe(squared=True))[0] is None
    assert carried(lathe(), known_from=9.0)[0] is None
    assert carried(lathe(), known_from=-9.0)[0] is None


def test_what_sticks_out_is_left_alone():
    mesh = lathe()
    knob = (mesh.vertices[:, 2] < -0.6) & (mesh.vertices[:, 1].abs() < 0.2)
    moved = torch.where(knob[:, None], mesh.vertices - torch.tensor([0.0, 0.0, 0.2]), mesh.vertices)
    layer, _, _, texels = carried(Mesh(moved, mesh.faces))
    out = texels.position[:, 2] < -0.78
    assert bool(out.any()) and float(layer.texel_trust[out].max()) == 0 and float(layer.texel_trust.max()) == 1
