"""The examples run, and are short enough to read."""

import runpy
import sys
from pathlib import Path

import pytest

from img23d import pipeline
from img23d.backends.threads import settle_threads

EXAMPLES = Path(__file__).parents[1] / "examples"
PHOTO = EXAMPLES / "photos" / "mug.png"
SMALL = [
    "threads=1", "prior.resolution=32", "fit.resolution=32", "fit.steps=3", "fit.rays=128", "refine.resolution=16", "refine.steps=4",
    "refine.image_size=64", "texture.faces=600", "texture.size=128", "texture.mirror=false", "texture.synthesis=false", "segment.size=256",
    "prior.primitives=false", "prior.fine_normals=false",
]  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example as a script in this process, which has loaded and compiled what examples need; what it prints."""

    def run_example(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    # sizes as small as these are only slowed down by more threads
    monkeypatch.setattr(pipeline, "settle_threads", lambda count: settle_threads(count or 1))
    return run_example


def test_photo_to_mesh_then_repair(run, tmp_path):
    said = run("photo_to_mesh.py", PHOTO, tmp_path / "mug.glb", *SMALL)
    assert "faces in" in said and (tmp_path / "mug.glb").stat().st_size > 10_000
    said = run("repair_for_printing.py", tmp_path / "mug.glb", tmp_path / "mug.stl", 80, *SMALL)
    assert "closed True" in said


def test_fit_your_own_field(run, tmp_path):
    said = run("fit_your_own_field.py", tmp_path / "torus.glb", 3)
    assert "Euler characteristic" in said and (tmp_path / "torus.glb").exists()


def test_compare_priors(run, tmp_path):
    run("compare_priors.py", PHOTO, tmp_path / "both.png", *SMALL)
    assert (tmp_path / "both.png").stat().st_size > 10_000


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) <= 60
