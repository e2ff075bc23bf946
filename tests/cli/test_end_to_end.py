"""The real pipeline from the command line, at a size where it takes seconds: generate, again, export, refine, batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

SMALL = [
    "threads=1", "prior.kind=inflate", "prior.resolution=32", "fit.resolution=32", "fit.steps=3", "fit.rays=128", "refine.resolution=16",
    "refine.steps=4", "refine.image_size=64", "texture.faces=600", "texture.size=128", "texture.mirror=false", "texture.synthesis=false",
]  # fmt: skip
OPTIONS = ["--preset", "draft", *(word for item in SMALL for word in ("--set", item))]


def draw(path: Path, color: tuple[int, int, int]) -> None:
    picture = Image.new("RGBA", (120, 120))
    ImageDraw.Draw(picture).ellipse((25, 15, 95, 105), fill=(*color, 255))
    picture.save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    draw(Path("photos/egg.png"), (200, 90, 40))
    return tmp_path


def test_a_photo_becomes_files_that_other_commands_take(run: Any, folder: Path) -> None:
    made = run("generate", "photos/egg.png", "--out", "egg.glb", "--json", *OPTIONS)
    assert made.exit_code == 0, made.stderr
    result = json.loads(made.stdout)
    assert result["paths"] == ["egg.glb"] and result["figures"]["faces"] <= 600
    assert {"segment", "estimate", "fit", "refine", "texture", "export"} == set(result["seconds"])
    assert Path("egg.glb").read_bytes()[:4] == b"glTF" and Path("egg.run/preview.png").is_file()

    again = run("generate", "photos/egg.png", "--out", "egg.glb", "--json", *OPTIONS)
    assert set(json.loads(again.stdout)["seconds"]) == {"export"}, "every step is reused"

    draw(Path("other.png"), (10, 90, 200))
    refused = run("generate", "other.png", "--out", "egg.glb", "-q", *OPTIONS)
    assert refused.exit_code == 7 and "--force" in refused.stderr

    exported = run("export", "egg.run", "--out", "small.obj", "--faces", 300, "--size-mm", 40)
    assert exported.exit_code == 0, exported.stderr
    assert {"small.obj", "small.mtl"} <= {path.name for path in folder.iterdir()}
    assert sum(line.startswith("f ") for line in Path("small.obj").read_text().splitlines()) <= 300

    reopened = run("refine", "egg.run", "--set", "texture.faces=400", "--json")
    assert set(json.loads(reopened.stdout)["seconds"]) == {"texture", "export"}, "only what the option changes is computed again"

    batched = run("batch", "photos", "--out", "out", *OPTIONS)
    assert batched.exit_code == 0, batched.stdout
    assert Path("out/egg.glb").is_file()
    assert run("batch", "photos", "--out", "out", *OPTIONS).stdout.count("skipped") >= 1


def test_names_that_are_not_valid_utf8_work_everywhere(run: Any, folder: Path) -> None:
    odd = "caf\udce9"  # a byte of Latin-1, as it stands in sys.argv
    try:
        Path(odd).mkdir()
    except OSError:
        pytest.skip("this disk takes no such names")
    Path("photos/egg.png").rename(f"{odd}/{odd}.png")
    Path(f"{odd}.yaml").write_text("fit: {steps: 3}")
    arguments = ("generate", f"{odd}/{odd}.png", "--out", f"{odd}.glb", "--json", "--preset", f"{odd}.yaml", *OPTIONS[2:])
    made = run(*arguments)
    assert made.exit_code == 0, made.stderr
    assert Path(f"{odd}.glb").read_bytes()[:4] == b"glTF"
    assert set(json.loads(run(*arguments).stdout)["seconds"]) == {"export"}, "every step is reused"
    refined = run("refine", f"{odd}.glb", "--out", f"{odd}/better.glb", "--json", *OPTIONS)
    assert refined.exit_code == 0 and Path(odd, "better.glb").is_file(), refined.stderr
    exported = run("export", f"{odd}.run", "--out", "plain.gltf", "-q")
    assert exported.exit_code == 0 and Path("plain.gltf").is_file(), exported.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("empty.png", b"", "empty.png"), ("text.png", b"not a picture", "text.png"), ("gone.png", None, "gone.png")],
)
def test_bad_photos_are_one_line_and_leave_nothing(run: Any, folder: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    before = sorted(folder.rglob("*"))
    result = run("generate", name, "--out", "x.glb", "-q", *OPTIONS)
    assert result.exit_code == 3
    error, tried = result.stderr.splitlines()
    assert error.startswith("error: ") and message in error and tried.startswith("try: ")
    assert sorted(folder.rglob("*")) == before
