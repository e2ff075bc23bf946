"""Options: precedence, checks, and messages that help."""

import subprocess
import sys

import pytest

from img23d import config
from img23d.config import Ramp
from img23d.errors import ConfigError


def test_defaults_then_preset_then_overrides():
    assert config.load("standard").fit.steps == config.Fit().steps
    assert config.load("draft").fit.steps < config.Fit().steps
    assert config.load("draft", ["fit.steps=7", "fit.rgb.end=0.5"]).fit == config.replace(
        config.load("draft").fit, steps=7, rgb=Ramp(1.0, 0.5)
    )


def test_every_preset_loads_and_names_itself():
    names = config.preset_names()
    assert {"draft", "standard", "fine"} <= set(names)
    for name in names:
        assert config.load(name).preset == name


def test_a_preset_may_be_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("fit: {steps: 3}\n")
    assert config.load(path).fit.steps == 3
    assert config.load(path).preset == "mine"


@pytest.mark.parametrize(
    ("preset", "overrides", "said", "hint"),
    [
        ("drft", [], "unknown preset 'drft'", "did you mean draft?"),
        ("nowhere/x.yaml", [], "no preset file", "img23d presets"),
        ("draft", ["fit.step=3"], "unknown key 'fit.step'", "did you mean fit.steps?"),
        ("draft", ["fit.steps=abc"], "fit.steps", "presets show"),
        ("draft", ["fit.steps=0"], "fit.steps=0 is outside 1..", "fit.steps=1"),
        ("draft", ["device=gpu"], "device", ""),
        ("draft", ["multiview.model=\udce9"], "is not valid UTF-8", "another name"),
        ("draft", ["steps"], "not of the form key.path=value", "fit.steps=200"),
        ("draft", ["fit.rgb.begin=2"], "fit.rgb.begin=2.0 is outside 0..1", ""),
    ],
)
def test_mistakes_are_named(preset, overrides, said, hint):
    with pytest.raises(ConfigError) as caught:
        config.load(preset, overrides)
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["fit: {steps: [}", "fit: {stepz: 3}", "a: b: c"])
def test_a_bad_preset_file_is_named(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        config.load(path)


def test_ramp_moves_between_its_ends():
    ramp = Ramp(1.0, 3.0, 0.25, 0.75)
    assert [ramp.at(x) for x in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1.0, 1.0, 2.0, 3.0, 3.0]


def test_no_torch_is_needed_to_find_a_typo():
    code = "import sys; from img23d import config, run, errors, record; config.load('draft'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_bare_number_is_a_weight_that_does_not_move(tmp_path):
    (tmp_path / "p.yaml").write_text("fit: {depth: 0.5, normal: {end: 0.2}}\nrefine: {sdf_sign: 0.1}\n")
    told = config.load(tmp_path / "p.yaml", ["fit.volume=50"])
    assert (told.fit.depth, told.fit.volume) == (Ramp(0.5, 0.5), Ramp(50.0, 50.0))
    assert (told.fit.normal.start, told.fit.normal.end) == (0.1, 0.2)
    assert (told.refine.sdf_sign.start, told.refine.sdf_sign.end) == (0.1, 0.1)
    with pytest.raises(ConfigError):
        config.load("standard", ["fit.depth=much"])


def test_an_emptied_section_changes_nothing_and_a_ramp_is_a_number(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("fit:\n# steps: 3\n")
    assert config.load(str(path)).fit == config.load().fit
    path.write_text("refine: {sdf_sign: [1, 2]}\n")
    with pytest.raises(ConfigError, match=r"refine.sdf_sign is neither"):
        config.load(str(path))


def test_an_empty_value_is_an_empty_text():
    assert config.load("standard", ["segment.pick="]).segment.pick == ""
    with pytest.raises(ConfigError, match=r"fit.steps"):
        config.load("standard", ["fit.steps="])
