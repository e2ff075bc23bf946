"""Photos from other sides: where their guesses are put, what becomes of both solids, and a whole run from two photos."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from img23d import config, pipeline
from img23d.convert import convert
from img23d.errors import ConfigError, InputError
from img23d.io.meshes import load_mesh
from img23d.ops.volume import volume_points
from img23d.record import Given, reopen
from img23d.refinement import refine_run
from img23d.scene import ShapePrior
from img23d.scene.cameras import orbit_degrees
from img23d.stages import sides
from img23d.stages.sides import Placement, merged, placement, turn

sys.path.insert(0, str(Path(__file__).parent))
from test_imagine import SMALL


def guess(sdf: torch.Tensor) -> ShapePrior:
    return ShapePrior(sdf, torch.full_like(sdf, 0.4), torch.full((8, 8, 3), 0.5), torch.ones(8, 8))


def boxes(points: torch.Tensor) -> torch.Tensor:
    """Distance from a slab with a post on one of its corners, which looks alike from no two sides; (N, 3) to (N,)."""

    def box(middle: tuple[float, float, float], half: tuple[float, float, float]) -> torch.Tensor:
        away = (points - torch.tensor(middle)).abs() - torch.tensor(half)
        return away.clamp(min=0).norm(dim=-1) + away.amax(-1).clamp(max=0)

    return torch.minimum(box((0.0, -0.4, 0.0), (0.6, 0.2, 0.4)), box((0.4, 0.1, 0.2), (0.2, 0.5, 0.15)))


def test_a_guess_is_put_where_the_first_one_is() -> None:
    there = Placement(turn(math.radians(107.0), math.radians(-5.0)), 1.15, torch.tensor([0.06, -0.05, 0.08]))
    points = volume_points(48).reshape(-1, 3)
    ours = guess(boxes(points).reshape(48, 48, 48))
    theirs = guess((boxes(there.scale * points @ there.rotation.T + there.shift) / there.scale).reshape(48, 48, 48))
    found, overlap = placement(ours, theirs, math.radians(100.0))  # as the user told it
    assert overlap > 0.93
    torch.testing.assert_close(found.rotation, there.rotation, atol=0.05, rtol=0)
    assert found.scale == pytest.approx(1.15, abs=0.04)
    torch.testing.assert_close(found.shift, there.shift, atol=0.04, rtol=0)
    assert placement(ours, theirs, math.radians(-80.0))[1] < overlap - 0.1


def test_cameras_see_moved_points_as_before(ball) -> None:
    seen = ball.views(32, orbit_degrees([20.0], 15.0, 2.4, 40.0))
    place = Placement(turn(math.radians(130.0), 0.1), 0.8, torch.tensor([0.1, -0.2, 0.05]))
    points = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    moved, after = place.views(seen), seen.cameras.project(points)[0]
    there = moved.cameras.project(place.scale * points @ place.rotation.T + place.shift)[0]
    torch.testing.assert_close(there[:, :2], after[:, :2], atol=1e-5, rtol=0)
    torch.testing.assert_close(there[:, 2], 0.8 * after[:, 2], atol=1e-5, rtol=0)
    middle = (0, 16, 16)
    torch.testing.assert_close(moved.normal[middle], place.rotation @ seen.normal[middle])
    torch.testing.assert_close(moved.depth, 0.8 * seen.depth)


def test_each_side_is_as_its_own_photo_has_it(ball) -> None:
    points = volume_points(32)
    small, large = points.norm(dim=-1) - 0.4, points.norm(dim=-1) - 0.7
    behind = ball.views(16, orbit_degrees([180.0], 0.0, 2.4, 40.0))
    prior = merged(guess(small), ball.views(16), [(behind, large, torch.full_like(large, 0.9))])
    line = torch.stack([torch.zeros(64), torch.zeros(64), torch.linspace(-1, 1, 64)], -1)
    from img23d.ops.volume import sample_volume

    inside = line[sample_volume(prior.sdf, line) < 0][:, 2]
    assert float(inside.max()) == pytest.approx(0.4, abs=0.08) and float(inside.min()) == pytest.approx(-0.7, abs=0.08)
    assert float(prior.confidence[-1, 16, 16]) == pytest.approx(0.4, abs=0.05)  # z = 1
    assert float(prior.confidence[0, 16, 16]) == pytest.approx(0.9, abs=0.05)


def picture(path: Path, color: tuple[float, float, float]) -> Path:
    """A ball of one colour on nothing."""
    y, x = np.meshgrid(np.linspace(-1, 1, 160), np.linspace(-1, 1, 160), indexing="ij")
    alpha = np.clip((0.7 - np.hypot(x, y)) * 80, 0, 1)
    rgba = np.stack([*(np.full_like(x, value) for value in color), alpha], -1)
    Image.fromarray((rgba * 255).round().astype(np.uint8), "RGBA").save(path)
    return path


def test_the_back_is_as_it_was_photographed_and_the_run_can_be_used_again(tmp_path) -> None:
    front, back = picture(tmp_path / "front.png", (0.8, 0.2, 0.2)), picture(tmp_path / "back.png", (0.2, 0.3, 0.8))
    options, given = config.load("standard", SMALL), Given(sides=((180.0, back),))
    made = pipeline.generate(front, tmp_path / "out", options, given)
    assert (made.run_folder / "03_sides" / "drawn.png").is_file()

    def colors(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        asset = load_mesh(path)
        points, corners = asset.mesh.vertices[asset.mesh.faces].mean(1), asset.uv[asset.uv_faces].mean(1)
        shown = F.grid_sample(asset.base_color.permute(2, 0, 1)[None], corners[None, None] * 2 - 1, align_corners=False)[0, :, 0].T
        far = 0.5 * float(points.norm(dim=-1).max())
        return shown[points[:, 2] > far].mean(0), shown[points[:, 2] < -far].mean(0)

    before, behind = colors(made.path)
    assert before[0] > before[2] + 0.3 and behind[2] > behind[0] + 0.3
    run = reopen(made.run_folder)
    assert [azimuth for azimuth, _ in run.given.sides] == [180.0] and run.given.sides[0][1].read_bytes() == back.read_bytes()
    again = refine_run(run, replace(options, texture=replace(options.texture, padding=2)))
    assert "texture" in again.seconds and not {"sides", "fit", "refine"} & set(again.seconds)
    (written,) = convert(made.run_folder, [tmp_path / "few.glb"], faces=200)
    behind = colors(written)[1]
    assert behind[2] > behind[0] + 0.3


def test_guesses_that_are_not_alike_are_not_mixed(ball, monkeypatch, context) -> None:
    ours, options = guess(boxes(volume_points(32).reshape(-1, 3)).reshape(32, 32, 32)), config.load("standard", SMALL)
    monkeypatch.setattr(sides, "segment", lambda photo, maps, fov, options, context: ball.views(64))
    monkeypatch.setattr(sides, "estimate", lambda views, known, prior, options, context: (views, ball.prior(0.6, 32)))
    photos = [sides.SidePhoto(180.0, None), sides.SidePhoto(90.0, None)]
    _, prior, others = sides.sides(ball.views(64), ours, photos, options, context)
    assert prior is ours and len(others) == 2
    assert [line.split(" hardly")[0] for line in context.warnings] == ["the photo from 180 degrees", "the photo from 90 degrees"]
    context.warnings.clear()
    like = guess(ball.prior(0.55, 32).sdf)
    _, prior, _ = sides.sides(ball.views(64), like, photos, options, context)
    assert float((prior.sdf - like.sdf).abs().max()) > 0.01 and not context.warnings
    known = ball.prior(0.55, 32)
    assert sides.sides(ball.views(64), known, photos, options, context)[1] is known


def test_what_cannot_be_is_refused(tmp_path) -> None:
    photo = picture(tmp_path / "a.png", (0.5, 0.5, 0.5))
    for angles in ((0.0,), (360.0,), (90.0, -270.0), (1e308,), (math.nan,), (math.inf,)):
        with pytest.raises(ConfigError, match="their own angle"):
            Given(sides=tuple((angle, photo) for angle in angles))
    with pytest.raises(ConfigError, match="either photographed or drawn"):
        pipeline.generate(photo, tmp_path / "out", config.load("standard", ["multiview.model=x"]), Given(sides=((180.0, photo),)))
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"torn\.png"):
        pipeline.generate(photo, tmp_path / "out", config.load("standard", SMALL), Given(sides=((180.0, tmp_path / "torn.png"),)))
    speck = np.zeros((64, 64, 4), np.uint8)
    speck[30:34, 30:34] = 255
    Image.fromarray(speck, "RGBA").save(tmp_path / "speck.png")
    with pytest.raises(InputError, match="from 180 degrees"):
        pipeline.generate(photo, tmp_path / "out", config.load("standard", SMALL), Given(sides=((180.0, tmp_path / "speck.png"),)))
