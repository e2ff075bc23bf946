"""``img23d presets``: the list, and every option of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from img23d import config


def test_the_list_names_every_preset_and_says_what_it_is_for(run: Any) -> None:
    lines = run("presets").stdout.splitlines()
    assert [line.split()[0] for line in lines] == config.preset_names()
    assert {"draft", "standard", "fine"} <= set(config.preset_names())
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", config.preset_names())
def test_every_preset_loads_and_is_shown_whole(run: Any, name: str) -> None:
    shown = run("presets", "show", name).stdout
    keys = {line[2:].partition("=")[0] for line in shown.splitlines()}
    expected = set(config.keys(config.Config()))
    ramps = {key.removesuffix(".start") for key in expected if key.endswith(".start")}
    assert keys == {key for key in expected if key.rpartition(".")[0] not in ramps} | ramps, "a ramp is one line"


def test_what_differs_from_the_defaults_is_marked(run: Any) -> None:
    marked = [line for line in run("presets", "show", "draft").stdout.splitlines() if line.startswith("* ")]
    assert any(line.startswith("* preset=draft") for line in marked) and any(line.startswith("* texture.faces=") for line in marked)
    changed = run("presets", "show", "draft", "--changed").stdout.splitlines()
    assert changed == marked
    assert run("presets", "show", "standard", "--changed", "--set", "fit.steps=7").stdout.startswith("* fit.steps=7 ")


def test_meaning_range_unit_and_choices_are_shown(run: Any) -> None:
    lines = {line[2:].partition("=")[0]: line for line in run("presets", "show").stdout.splitlines()}
    assert "px" in lines["texture.size"] and "64..8192" in lines["texture.size"]
    assert "auto | cpu | cuda" in lines["device"]
    assert lines["texture.mirror"].split()[0] == "texture.mirror=true"


def test_a_preset_of_ones_own(run: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("description: for shoes\nfit: {steps: 9}\n")
    assert "* fit.steps=9" in run("presets", "show", tmp_path / "mine.yaml").stdout


@pytest.mark.parametrize(("name", "message"), [("standrad", "did you mean standard?"), ("gone.yaml", "no preset file gone.yaml")])
def test_an_unknown_preset(run: Any, name: str, message: str) -> None:
    result = run("presets", "show", name)
    assert result.exit_code == 2 and message in result.stderr
