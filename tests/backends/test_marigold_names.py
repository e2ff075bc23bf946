"""Which of Marigold's pipelines a folder holds, told by its index alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from img23d.backends.marigold import pipeline_name
from img23d.errors import WeightsError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MarigoldDepthPipeline", "MarigoldDepthPipeline"),
        ("MarigoldNormalsPipeline", "MarigoldNormalsPipeline"),
        ("MarigoldPipeline", "MarigoldDepthPipeline"),
    ],
)
def test_every_name_that_was_used_is_understood(tmp_path: Path, written: str, meant: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": written}))
    assert pipeline_name(tmp_path) == meant


@pytest.mark.parametrize("content", ['{"_class_name": "StableDiffusionPipeline"}', "{}", "[", ""])
def test_other_pipelines_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(WeightsError):
        pipeline_name(tmp_path)
