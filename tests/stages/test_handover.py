"""When the shape has settled, and how one model hands over to the other through both stages."""

from __future__ import annotations

import math

import pytest
import torch

from img23d import config
from img23d.diffusion_options import Guidance
from img23d.errors import ConfigError
from img23d.fields.grid import FrozenGrid
from img23d.options import Ramp
from img23d.scene.cameras import orbit_degrees
from img23d.stages.artifacts import load_field, save_field
from img23d.stages.guidance_checks import check_guidance, check_models
from img23d.stages.guide import ByView, Guide
from img23d.stages.handover import EARLIEST, EVERY, LATEST, LEAST, LOOKS, SETTLED, Handover
from img23d.stages.imagine import Side
from img23d.stages.options import guided_options, handover


def course(made: Handover, steps: int, likeness) -> list[tuple[float, float]]:
    return [made.weights(step / (steps - 1), likeness) for step in range(steps)]


def asked(values):
    """Likenesses one after the other, the last one for ever; how often it was asked stands in ``times``."""

    def likeness() -> float:
        likeness.times += 1
        return values[min(likeness.times, len(values)) - 1]

    likeness.times = 0
    return likeness


def test_a_shape_that_stands_still_has_settled_as_soon_as_enough_was_seen() -> None:
    made, likeness = Handover("linear", 5000, 5000), asked([0.8])
    weights = course(made, 5000, likeness)
    assert made.settled == pytest.approx(EARLIEST + LOOKS * EVERY, abs=2 / 5000) and likeness.times == LOOKS + 1
    first = next(step for step, (view, _) in enumerate(weights) if view < 1)
    assert weights[: first - 1] == [(1.0, 0.0)] * (first - 1)  # the view model alone
    assert first == pytest.approx(made.settled * 4999 + 1, abs=1)


def test_one_that_goes_on_changing_settles_when_the_time_is_up() -> None:
    made = Handover("linear", 5000, 5000)
    course(made, 5000, asked([0.5 * (1 + 2 * SETTLED) ** number for number in range(200)]))
    assert made.settled == LATEST


def test_changes_to_and_fro_count_as_standing_still() -> None:
    made = Handover("linear", 5000, 5000)
    course(made, 5000, asked([0.8, 0.7, 0.8, 0.75, 0.9, 0.8001, 0.1]))  # 0.8 to 0.8001 in five changes: relative ones do not cancel quite
    assert made.settled != pytest.approx(EARLIEST + LOOKS * EVERY, abs=2 / 5000)
    steady = [0.8 * (1 + sign * 1e-4) for sign in (0, 1, 0, 1, 0, 1)]
    again = Handover("linear", 5000, 5000)
    course(again, 5000, asked(steady))
    assert again.settled == pytest.approx(EARLIEST + LOOKS * EVERY, abs=2 / 5000)


@pytest.mark.parametrize(("law", "end"), [("exponential", 1 - math.exp(-1)), ("linear", 1.0), ("logarithmic", 1.0)])
def test_the_course_goes_on_from_fit_through_refine(law: str, end: float) -> None:
    fit = Handover(law, 100, 300, settled=0.5)
    refine = Handover(law, 100, 300, settled=0.5, refining=True)

    def never() -> float:
        raise AssertionError("asked again")

    assert fit.weights(0.5, never) == (1.0, LEAST)
    torch.testing.assert_close(fit.weights(1.0, never), refine.weights(0.0, never))
    view, text = refine.weights(1.0, never)
    assert text == pytest.approx(end, abs=1e-4) and view == pytest.approx(1 - end + LEAST, abs=1e-4)
    half = {"exponential": 1 - math.exp(-0.5), "linear": 0.5, "logarithmic": math.log2(1.5)}[law]
    assert refine.weights((225 - 100) / 300, never)[1] == pytest.approx(half, abs=1e-4)  # of steps 50 to 400


class Meaning:
    """A view model that is asked for nothing but what pictures mean: their mean colour."""

    betas = ("scaled_linear", 0.00085, 0.012)

    def __init__(self) -> None:
        self.passes = 0

    def meaning(self, pictures):
        return pictures.mean((1, 2))[:, None]

    def latents(self, pictures):
        return pictures.permute(0, 3, 1, 2)

    def noise(self, noisy, step, known, turns):
        self.passes += 1
        return torch.zeros_like(noisy), torch.zeros_like(noisy)


class Known:
    meaning = torch.tensor([[[1.0, 0.0, 0.0]]])


class Words:
    """A text model's puller."""

    size, sees, against = 8, "colors", "noise"

    def __init__(self) -> None:
        self.model, self.passes = Meaning(), 0

    def noise(self, noisy, step, sides):
        self.passes += 1
        return torch.zeros_like(noisy)


def test_likeness_is_seen_from_all_sides_and_the_text_model_waits() -> None:
    seen: list[int] = []

    def draw(cameras, size):
        seen.append(len(cameras))
        return {"colors": torch.tensor([0.6, 0.8, 0.0]).expand(len(cameras), size, size, 3)}

    view, words = ByView(Meaning(), Known(), Side(0.0, 20.0), 5.0, 8), Words()
    made = Handover("linear", 5000, 5000)
    options = Guidance(view_model="x", text_model="y", prompt="a ball", handover="linear")
    guide = Guide(orbit_degrees([0.0], 20.0, 2.4, 40.0), ((view, Ramp(1.0, 1.0)), (words, Ramp(1.0, 1.0))), options, handover=made)
    generator = torch.Generator().manual_seed(0)
    guide.pull(draw, 8, 0.1, generator)
    assert seen == [1] and view.model.passes == 1 and words.passes == 0
    for now in (EARLIEST + number * EVERY + 1e-6 for number in range(LOOKS + 1)):
        guide.pull(draw, 8, now, generator)
    assert seen[1:] == [1, 8] * (LOOKS + 1) and made.looks == pytest.approx([0.6] * (LOOKS + 1))
    guide.pull(draw, 8, 0.9, generator)
    assert words.passes == 2 and seen[-1] == 1  # when it has settled, and now


def test_the_moment_is_kept_with_the_field(tmp_path) -> None:
    volumes = torch.full((8, 8, 8), -1.0), torch.full((3, 4, 4, 4), 0.5)
    for settled in (None, 0.4375):
        save_field(FrozenGrid(*volumes, settled), tmp_path)
        assert load_field(tmp_path).settled == settled


def test_options_that_need_it_get_it_and_fit_depends_on_both_stages(tmp_path) -> None:
    plain = config.load("magic123", ["guidance.prompt=a ball"])
    both = config.load("consistent123", ["guidance.prompt=a ball"])
    longer = config.load("consistent123", ["guidance.prompt=a ball", "refine.steps=5"])
    assert handover(plain, None) is None and guided_options(plain, plain.fit) == guided_options(plain, plain.fit)
    made = handover(both, FrozenGrid(torch.zeros(2, 2, 2), torch.zeros(3, 2, 2, 2), 0.5))
    assert made == Handover("exponential", 3000, 3000, 0.5, True)
    assert guided_options(both, both.fit) != guided_options(longer, longer.fit)
    with pytest.raises(ConfigError, match="needs two models"):
        check_guidance(Guidance(view_model="x", handover="linear"))
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "MultiViewUNetModel", "ip_dim": 16}')
    with pytest.raises(ConfigError, match="when the shape has settled"):
        check_models(Guidance(handover="linear"), tmp_path, None)
