"""The default pipeline still makes what it made: the numbers of two example photos, within what other seeds and machines change."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

GOLDEN = runpy.run_path(str(Path(__file__).parent / "golden" / "measured.py"))

# Seeds 0, 1 and 2 differ by a third to a half of these at most. Who moves a number on purpose writes it down with measured.py.
WITHIN = {
    "object's share of the cut-out": 0.01, "elevation, degrees": 1.0, "prior's volume": 0.03, "width": 0.08, "height": 0.03, "depth": 0.03,
    "volume": 0.03, "faces": 0.0, "closed": 0.0, "silhouette IoU": 0.006, "PSNR, dB": 1.5, "mean red": 0.01, "mean green": 0.01,
    "mean blue": 0.015, "chamfer distance to the truth": 0.003, "F-score at .1": 0.015, "IoU with the truth": 0.02,
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN["CASES"])
def test_the_numbers_of_an_example_photo(name: str, tmp_path: Path) -> None:
    before, now = json.loads(GOLDEN["FIGURES"].read_text())[name], GOLDEN["measured"](name, tmp_path)
    assert before.keys() == now.keys() == WITHIN.keys()
    moved = {key: (before[key], now[key]) for key in now if not abs(now[key] - before[key]) <= WITHIN[key]}
    assert not moved, f"{moved}: before and now"
