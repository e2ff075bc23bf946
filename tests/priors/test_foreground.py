"""The foreground network: shapes, edges, training that learns and resumes, and answers of the shipped weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from img23d.errors import InputError, WeightsError
from img23d.priors.foreground import (
    WEIGHTS,
    ForegroundNetwork,
    certainty,
    coarse_alpha,
    corrected,
    foreground_alpha,
    guided_coefficients,
    letterbox,
    load_network,
    network_input,
    sharpen,
)
from img23d.priors.foreground_closer import Part, part_about, with_closer
from img23d.priors.foreground_colours import close_holes, weigh_colours, widen_holes, without_doubted_parts, without_scraps
from img23d.training import foreground_scenes
from img23d.training.cutouts import Cutouts, draw_object, photograph_object, read_cutouts, spread, write_cutouts
from img23d.training.foreground_scenes import _paste, _paste_two, backdrop_alike, compose, cut_off
from img23d.training.foreground_train import (
    ForegroundOptions,
    ForegroundTrainer,
    batch_of,
    export_foreground,
    foreground_loss,
    join_cutouts,
    overlap,
    train_foreground,
)

TINY = ForegroundOptions(steps=6, batch=4, sizes=(64,), backgrounds=4, examined=3, widths=(8, 8, 16, 16), validate_minutes=99)


def discs(count: int = 6, side: int = 64) -> Cutouts:
    """Bright discs of several sizes."""
    y, x = np.mgrid[0:side, 0:side] - side / 2 + 0.5
    alpha = np.stack([(np.hypot(x, y) < side * (0.25 + 0.03 * number)) * 255 for number in range(count)]).astype(np.uint8)
    rgb = np.full((count, side, side, 3), 240, np.uint8)
    return Cutouts(rgb, alpha, np.full_like(alpha, 255))


def disc_photo(side: int, blur: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A red disc on grey, and its mask."""
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    inside = (axis[:, None] ** 2 + axis[None] ** 2 < 0.36).float()
    rgb = inside[..., None] * torch.tensor([0.8, 0.2, 0.1]) + (1 - inside[..., None]) * 0.5
    return rgb, inside


@pytest.mark.parametrize("shape", [(100, 50), (50, 100), (301, 300), (40, 40)])
def test_letterbox_keeps_the_shape_and_marks_the_border(shape):
    rgb = torch.full((*shape, 3), 0.9)
    picture, valid, (left, top, wide, high) = letterbox(rgb, 96)
    assert picture.shape == (1, 3, 96, 96) and max(wide, high) == 96
    assert abs(wide / high - shape[1] / shape[0]) < 0.03
    inside = torch.zeros(96, 96)
    inside[top : top + high, left : left + wide] = 1
    assert torch.equal(valid[0, 0], inside)
    assert torch.allclose(picture[0, 0], 0.5 + 0.4 * inside, atol=1e-5)


def test_network_answers_at_the_resolution_of_its_input():
    network = ForegroundNetwork((8, 8, 16, 16)).eval()
    for side in (64, 96):
        inputs = network_input(torch.rand(2, 3, side, side), torch.ones(2, 1, side, side))
        assert network(inputs).shape == (2, 1, side, side)


def test_coarse_alpha_does_not_care_about_mirroring():
    rgb = small_disc_photo(80, 0.4, (0.45, 0.5))[0][10:60]
    straight, mirrored = coarse_alpha(load_network(), rgb), coarse_alpha(load_network(), rgb.flip(1))
    assert straight.shape == (160, 256) and 0.2 < float((straight > 0.5).float().mean()) < 0.8
    assert torch.allclose(straight, mirrored.flip(1), atol=1e-5)


def test_colours_complete_a_coarse_answer():
    """Half of a red disc on grey was found, and a bit of the ground: its colour brings the rest and drops the bit."""
    rgb, truth = disc_photo(96)
    coarse = truth * 0.9
    coarse[:, :44] *= 0.3
    coarse[80:90, 80:90] = 0.6
    corrected = weigh_colours(rgb, coarse)
    before, after = (((answer > 0.5) != (truth > 0.5)).float().sum() for answer in (coarse, corrected))
    assert after < before / 5 and after / truth.sum() < 0.06


def test_colours_say_nothing_about_a_picture_of_one_colour():
    coarse = torch.zeros(64, 64)
    coarse[20:44, 20:44] = 0.95
    answer = weigh_colours(torch.full((64, 64, 3), 0.4), coarse)
    assert ((answer > 0.5) != (coarse > 0.5)).float().mean() < 0.01


def test_scraps_go_and_parts_stay():
    coarse = torch.zeros(40, 40)
    coarse[5:25, 5:25], coarse[28:38, 28:38], coarse[2:4, 35:37] = 0.9, 0.8, 0.9
    kept = without_scraps(coarse)
    assert torch.equal(kept[:, :34], coarse[:, :34]) and torch.equal(kept[20:], coarse[20:])
    assert float(kept[2:4, 35:37].max()) < 0.5
    assert torch.equal(without_scraps(torch.zeros(8, 8)), torch.zeros(8, 8))


def test_what_stands_apart_stays_where_the_network_is_sure_of_it():
    alpha, odds = torch.zeros(40, 60), torch.full((40, 60), -4.0)
    for column, told in ((2, 3.0), (40, 2.5), (50, 0.5)):  # the largest part, a sure one and a doubted one
        part = (slice(5, 30), slice(2, 30)) if column == 2 else (slice(5, 25), slice(column, column + 8))
        alpha[part], odds[part] = 0.9, told
    kept = without_doubted_parts(alpha, odds)
    assert torch.equal(kept[:, :49], alpha[:, :49]) and float(kept[:, 49:].max()) < 0.5
    assert torch.equal(without_doubted_parts(alpha, odds - 3)[:, :30], alpha[:, :30])  # something has to be the object
    assert torch.equal(without_doubted_parts(torch.zeros(8, 8), torch.zeros(8, 8)), torch.zeros(8, 8))


def test_another_thing_of_the_objects_colours_is_not_the_object():
    rgb = 0.3 + 0.4 * torch.rand(96, 96, 1, generator=torch.Generator().manual_seed(3)).repeat(1, 1, 3)
    odds = torch.full((96, 96), -4.0)
    large, small = (slice(20, 70), slice(10, 50)), (slice(30, 60), slice(66, 88))
    for part in (large, small):
        rgb[part] = torch.tensor([0.8, 0.1, 0.1])
    odds[large] = 4.0
    for told, kept in ((0.5, False), (3.0, True)):
        odds[small] = told
        found = corrected(rgb, odds) > 0.5
        assert float(found[large].float().mean()) > 0.95 and (float(found[small].float().mean()) > 0.9) == kept
        assert kept or not found[small].any()


def test_guided_model_finds_a_linear_relation():
    guide = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    weight = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)
    alpha = (guide * weight[None, :, None, None]).sum(1, keepdim=True) + 0.1
    slope, offset = guided_coefficients(guide, alpha, 4, 1e-9)
    assert torch.allclose(slope[0, :, 20, 20], weight, atol=1e-5) and float(offset[0, 0, 20, 20]) == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("side", [200, 700, 1400])
def test_sharpening_moves_a_coarse_edge_to_the_photos(side):
    rgb, truth = disc_photo(side)
    small = torch.nn.functional.interpolate(truth[None, None], (96, 96), mode="area")
    soft = torch.nn.functional.avg_pool2d(small, 7, 1, 3, count_include_pad=False)[0, 0]
    plain = torch.nn.functional.interpolate(soft[None, None], (side, side), mode="bilinear")[0, 0]
    sharp = sharpen(rgb, soft)
    wrong = [float((answer - truth).abs().sum() / truth.sum()) for answer in (plain, sharp)]
    assert sharp.shape == truth.shape and float(sharp.min()) >= 0 and float(sharp.max()) <= 1
    assert wrong[1] < 0.012 and wrong[1] < wrong[0] / 4


def test_sharpening_leaves_sure_parts_alone():
    rgb = torch.rand(120, 160, 3)
    for value in (0.0, 1.0):
        assert torch.equal(sharpen(rgb, torch.full((48, 64), value)), torch.full((120, 160), value))


def test_certainty():
    assert certainty(torch.zeros(4, 4)) == 0.0
    sure, unsure = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.4]])
    assert certainty(sure) == 1.0 and certainty(unsure) == pytest.approx(0.6 / 1.4)


def test_loss_is_least_for_the_truth_and_ignores_the_border():
    alpha = torch.zeros(1, 1, 8, 8)
    alpha[..., 2:6, 2:6] = 1
    valid = torch.ones_like(alpha)
    right, wrong = (foreground_loss(sign * (alpha * 20 - 10), alpha, valid) for sign in (1, -1))
    assert float(right) < 0.01 < 1.5 < float(wrong)
    valid[..., :1, :] = 0
    logits = alpha * 20 - 10
    logits[..., :1, :] = 50
    assert float(foreground_loss(logits, alpha, valid)) < 0.01


def test_compositions_contain_the_object_where_alpha_says(monkeypatch):
    monkeypatch.setattr(foreground_scenes, "ALIKE", 0.0)
    backgrounds = np.zeros((2, 64, 64, 3), np.uint8)
    bright, dark = [], []
    for seed in range(30):
        sample = compose(np.random.default_rng(seed), discs(), seed % 6, backgrounds, 96)
        assert sample.rgb.shape == (96, 96, 3) and sample.alpha.shape == sample.valid.shape == (96, 96)
        assert not sample.alpha[~sample.valid].any() and (sample.rgb[~sample.valid] == 128).all()
        bright.append(float(np.median(sample.rgb[sample.alpha > 250])))
        dark.append(float(np.median(sample.rgb[(sample.alpha == 0) & sample.valid])))
    assert min(bright) > 90 and np.median(bright) > 180 and max(dark) < 60
    again = compose(np.random.default_rng(29), discs(), 5, backgrounds, 96)
    assert np.array_equal(again.rgb, sample.rgb) and np.array_equal(again.alpha, sample.alpha)


def test_backdrops_alike_are_smooth_and_of_the_objects_colours():
    colours = np.array([[200, 40, 40], [30, 160, 60]], np.uint8)
    for seed in range(12):
        canvas = backdrop_alike(np.random.default_rng(seed), colours, 90, 60)
        assert canvas.shape == (60, 90, 3) and canvas.dtype == np.float32 and (canvas >= 0).all()
        assert np.abs(np.diff(canvas, axis=1)).max() < 8, "a drape, not a pattern"
        share = canvas / canvas.sum(-1, keepdims=True)
        between = np.linalg.norm(share[..., None, :] - colours / colours.sum(-1, keepdims=True), axis=-1)
        assert between.min(-1).max() < 0.6 * np.linalg.norm(np.subtract(*(colours / colours.sum(-1, keepdims=True))))


def test_frames_cut_off_a_part_of_the_object_and_never_most_of_it():
    for seed in range(40):
        place = cut_off(np.random.default_rng(seed), 100, 80, 40.0)
        outside = np.maximum(np.maximum(20 - place, place + 20 - np.array([100, 80])), 0)
        assert np.count_nonzero(outside) == 1 and 2 <= outside.max() <= 14


def test_two_things_side_by_side_are_both_meant():
    from scipy.ndimage import label

    canvas = np.zeros((96, 96, 3), np.float32)
    alpha = _paste_two(np.random.default_rng(1), canvas, discs(), (0, 5), 90.0, np.array([48.0, 48.0]))
    assert (canvas[alpha > 0.95] > 90).all() and alpha.min() >= 0 and alpha.max() <= 1
    columns = np.flatnonzero((alpha > 0.5).any(0))
    alone = _paste(np.random.default_rng(1), np.zeros_like(canvas), discs(), 5, 60.0, np.array([48.0, 48.0]))
    assert len(columns) > 1.3 * np.count_nonzero((alone > 0.5).any(0)), "one hides the other"
    assert label(alpha > 0.5)[1] <= 2


def test_mistakes_at_thin_parts_count_more():
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., 8:40, 8:40] = 1.0
    alpha[..., 50:58, 30] = 1.0  # a leg
    right, valid = alpha * 20 - 10, torch.ones_like(alpha)
    without_leg, without_middle = right.clone(), right.clone()
    without_leg[..., 50:58, 30] = -10
    without_middle[..., 20:28, 24] = -10
    leg, middle = (float(foreground_loss(logits, alpha, valid)) for logits in (without_leg, without_middle))
    assert leg > 2 * middle > 0


def test_training_begins_with_given_weights(tmp_path):
    trainer = ForegroundTrainer(ForegroundOptions(steps=1, backgrounds=2, start="shipped"), discs(), tmp_path)
    inputs = torch.randn(1, 6, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(trainer.network.eval()(inputs), load_network()(inputs), atol=1e-4)  # the trainer's memory has another order
    assert trainer.network is not load_network()
    with pytest.raises(WeightsError):
        ForegroundTrainer(ForegroundOptions(start=str(tmp_path / "none.safetensors")), discs(), tmp_path)


def test_border_colours_spread_outwards():
    rgb = np.zeros((5, 5, 3))
    rgb[2, 2] = 0.7
    inside = np.zeros((5, 5), bool)
    inside[2, 2] = True
    assert (spread(rgb, inside) == 0.7).all()
    assert np.array_equal(spread(rgb, ~inside & False), rgb)


def test_photographed_objects_cover_their_alpha():
    rng = np.random.default_rng(2)
    rgb, alpha, shadow = photograph_object(rng, draw_object(rng, []), 48)
    assert rgb.shape == (48, 48, 3) and alpha.shape == shadow.shape == (48, 48) and rgb.dtype == alpha.dtype == np.uint8
    assert 0.02 < (alpha > 128).mean() < 0.98
    assert (shadow < 250).any()


def test_cutouts_on_disk_are_kept(tmp_path, monkeypatch):
    calls = []

    def picture(rng, item):
        calls.append(1)
        return tuple(part[0] for part in discs(1, 32))

    monkeypatch.setattr("img23d.training.cutouts.photograph_object", picture)
    monkeypatch.setattr("img23d.training.cutouts.draw_object", lambda rng, sources: None)
    with pytest.raises(InputError, match="cut-outs"):
        read_cutouts(tmp_path)
    write_cutouts(tmp_path, [], 70, 5)
    assert len(calls) == 128 and len(read_cutouts(tmp_path).alpha) == 128
    write_cutouts(tmp_path, [], 70, 5)
    assert len(calls) == 128


def test_sets_of_different_size_join():
    both = join_cutouts([discs(2, 32), discs(3, 64)])
    assert both.alpha.shape == (5, 64, 64) and not both.alpha[0, 32:].any() and (both.shadow[0, 32:] == 255).all()


def test_training_learns_discs(tmp_path):
    options = ForegroundOptions(steps=30, batch=6, sizes=(64,), backgrounds=4, rate=1e-2, ema=0.9, widths=(8, 8, 16, 16))
    trainer = ForegroundTrainer(options, discs(), tmp_path)
    first = [compose(np.random.default_rng([9, seed]), discs(), seed % 4, trainer.backgrounds, 64) for seed in range(8)]
    before = np.mean(overlap(trainer.average, first))
    for _ in range(options.steps):
        trainer.one_step()
    assert np.mean(overlap(trainer.average, first)) > max(0.5, before + 0.1)


def test_training_resumes_to_the_same_weights(tmp_path):
    whole = ForegroundTrainer(TINY, discs(), tmp_path / "whole")
    for _ in range(4):
        whole.one_step()
    (tmp_path / "halves").mkdir()
    first = ForegroundTrainer(TINY, discs(), tmp_path / "halves")
    for _ in range(2):
        first.one_step()
    first.save()
    second = ForegroundTrainer(TINY, discs(), tmp_path / "halves")
    assert second.load() and second.step == 2
    for _ in range(2):
        second.one_step()
    # The memory of recent pictures starts anew, but so early all pictures are fresh ones.
    for ours, theirs in zip(whole.average.state_dict().values(), second.average.state_dict().values()):
        assert torch.allclose(ours.double(), theirs.double(), atol=1e-6)


def test_training_exports_what_inference_loads(tmp_path):
    told = []
    figures = train_foreground(TINY, discs(), discs(), tmp_path, progress=told.append)
    assert figures == told[-1] and 0 <= figures["iou"] <= 1 and figures["step"] == 6
    network = ForegroundNetwork()
    export_foreground(network, tmp_path / "full.safetensors", figures)
    loaded = load_network(tmp_path / "full.safetensors")
    inputs = torch.randn(1, 6, 64, 64)
    assert torch.allclose(loaded(inputs), network.eval()(inputs), atol=2e-2)


def test_damaged_weights_are_a_clear_error(tmp_path):
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="torn"):
        load_network(torn)
    with pytest.raises(WeightsError, match="missing"):
        load_network(tmp_path / "missing.safetensors")
    other = tmp_path / "other.safetensors"
    export_foreground(ForegroundNetwork((8, 8, 16, 16)), other, {})
    with pytest.raises(WeightsError, match="this version"):
        load_network(other)


def test_batches_have_the_networks_layout():
    samples = [compose(np.random.default_rng(seed), discs(), 0, np.zeros((1, 64, 64, 3), np.uint8), 64) for seed in range(3)]
    inputs, alpha, valid = batch_of(samples)
    assert inputs.shape == (3, 6, 64, 64) and alpha.shape == valid.shape == (3, 1, 64, 64)
    assert torch.equal(inputs[:, 3:4], valid) and (inputs[:, :3] * (1 - valid) == 0).all()


def test_shipped_weights_cut_out_plain_photos():
    """Objects made by code before gentle backgrounds: the shipped network finds nearly all of each."""
    found = []
    for seed in range(6):
        rng = np.random.default_rng(900 + seed)
        rgb, alpha, _ = photograph_object(rng, draw_object(rng, []), 96)
        ground = np.full((96, 96, 3), 225.0 if seed % 2 else 60.0)
        cover = alpha[..., None] / 255
        photo = torch.from_numpy(rgb * cover + ground * (1 - cover)).float() / 255
        answer, confidence = foreground_alpha(photo)
        assert answer.shape == (96, 96) and 0 <= confidence <= 1
        truth = torch.from_numpy(alpha) > 128
        found.append(float(((answer > 0.5) & truth).sum() / ((answer > 0.5) | truth).sum().clamp(min=1)))
    assert np.median(found) > 0.75
    assert WEIGHTS.stat().st_size < 5_000_000


def test_a_half_seen_hole_opens_and_a_leak_does_not() -> None:
    """A ring whose hole was found in part; then the same where the object has the background's colour all around the hole."""
    axis = torch.linspace(-1, 1, 96)
    radius = (axis[:, None] ** 2 + axis**2).sqrt()
    ring, hole = (radius < 0.8) & (radius > 0.3), radius <= 0.3
    alpha = torch.where(radius < 0.8, 0.98, 0.02)
    alpha[radius < 0.15] = 0.4
    evidence = torch.where(ring, 2.0, -2.0)
    opened = widen_holes(alpha, evidence)
    assert float(opened[hole].max()) < 0.5 and torch.equal(opened[~hole], alpha[~hole])
    leaking = torch.where((radius < 0.6) | (radius > 0.8), -2.0, 2.0)
    assert torch.equal(widen_holes(alpha, leaking), alpha)
    solid = torch.where(radius < 0.8, 0.98, 0.02)
    assert torch.equal(widen_holes(solid, evidence), solid), "what the network never doubted stays closed"


def test_colours_open_no_hole_where_the_network_is_sure() -> None:
    """A red disc with a white chest before white, which the network hardly doubts; then one that it does."""
    axis = torch.linspace(-1, 1, 128)
    radius = (axis[:, None] ** 2 + axis**2).sqrt()
    chest, body = radius < 0.25, radius < 0.8
    rgb = torch.where((body & ~chest)[..., None], torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.95, 0.95, 0.95]))
    coarse = torch.where(body, 0.99, 0.002)
    coarse[chest] = 0.94
    assert float(weigh_colours(rgb, coarse)[body].min()) > 0.5
    assert float(close_holes(torch.where(chest, 0.1, coarse), coarse)[chest].min()) == pytest.approx(0.94)
    coarse[chest] = 0.7
    assert float((weigh_colours(rgb, coarse)[radius < 0.2] < 0.5).float().mean()) == 1.0
    torn = torch.where(radius > 0.7, 0.1, coarse)
    assert torch.equal(close_holes(torn, coarse), torn), "what reaches the border is no hole"
    assert torch.equal(close_holes(coarse, coarse), coarse)


def small_disc_photo(side: int, radius: float, centre: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """A red disc on grey that fills little of the photo, and its mask."""
    axis = (torch.arange(side) + 0.5) / side
    inside = ((axis[:, None] - centre[1]) ** 2 + (axis[None] - centre[0]) ** 2 < radius**2).float()
    return inside[..., None] * torch.tensor([0.8, 0.2, 0.1]) + (1 - inside[..., None]) * 0.5, inside


def test_small_objects_deserve_a_closer_look_and_large_ones_do_not() -> None:
    found = torch.zeros(120, 160)
    found[30:60, 40:80] = 0.9
    part = part_about(found, 240, 320)  # the photo is twice as large
    assert part == (80 - 28, 60 - 28, 160 + 28, 120 + 28)
    found[5:110, 20:150] = 0.9
    assert part_about(found, 240, 320) is None
    assert part_about(torch.zeros(120, 160), 240, 320) is None


@pytest.mark.parametrize(("height", "width"), [(300, 400), (3000, 4000)])
def test_the_closer_answer_lands_where_the_part_lies(height: int, width: int) -> None:
    """What the closer look finds, a bright square in the middle of the part, lies in the middle of the part of the whole."""
    part = Part(round(0.5 * width), round(0.2 * height), round(0.7 * width), round(0.5 * height))
    closer = torch.full((256, 228), -4.0)
    closer[96:160, 82:146] = 4.0
    whole = with_closer(torch.full((192, 256), -4.0), closer, part, height, width)
    assert max(whole.shape) <= 640 and abs(whole.shape[1] / whole.shape[0] - 4 / 3) < 0.01
    rows, columns = torch.nonzero(whole > 0, as_tuple=True)
    assert float((rows.float().mean() + 0.5) / whole.shape[0]) == pytest.approx(0.35, abs=0.005)
    assert float((columns.float().mean() + 0.5) / whole.shape[1]) == pytest.approx(0.6, abs=0.005)
    assert float(whole[0, 0]) == pytest.approx(-4.0) and float(whole.max()) == pytest.approx(0.6 * 4 - 0.4 * 4, abs=0.01)


def test_a_closer_look_sees_what_the_first_is_too_coarse_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a small disc the mean answer over pictures in which it is large is closer to the truth than that over the photo alone."""
    photo, truth = small_disc_photo(640, 0.06, (0.7, 0.4))
    network = load_network()
    closer = coarse_alpha(network, photo)
    monkeypatch.setattr("img23d.priors.foreground.part_about", lambda *_: None)
    first = coarse_alpha(network, photo)
    wrong = []
    for answer in (first, closer):
        full = torch.nn.functional.interpolate(answer[None, None], truth.shape, mode="bilinear")[0, 0]
        wrong.append(float(((full > 0.5) != (truth > 0.5)).sum() / truth.sum()))
    assert closer.shape[0] > first.shape[0] and wrong[1] < wrong[0]
