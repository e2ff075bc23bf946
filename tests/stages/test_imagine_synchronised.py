"""Sixteen sides at once by a model that knows a ball: what it is shown and told, where its cameras are, and what comes of it."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from img23d import config, pipeline
from img23d.backends import syncdreamer
from img23d.backends.sync_volume import AZIMUTHS_DEG, DISTANCE, FOCAL
from img23d.diffusion_options import Multiview
from img23d.errors import FitError
from img23d.io.images import load_photo, save_image
from img23d.io.meshes import load_mesh
from img23d.ops.crop import object_box
from img23d.priors import hull
from img23d.scene import Cameras
from img23d.scene.cameras import orbit_degrees
from img23d.scores.schedule import noise_schedule
from img23d.stages.imagine_synchronised import FILL, PICTURE, cameras_round, centred_box, drawn_synchronised

SIZE = 96
# The ball that takes FILL of the width in a picture from the model's distance through the model's lens.
RADIUS = DISTANCE * math.sin(math.atan(FILL / 2 / FOCAL))


def ball_from_sides(size, larger=1.0):
    """(16, size, size, 3) that ball on white, from the model's sides; its colours tell where on it they are."""
    lens = math.degrees(2 * math.atan(0.5 / FOCAL))
    origins, directions = orbit_degrees([22.5 * number for number in range(16)], 30.0, DISTANCE, lens).rays(size, size)
    a, b = (directions**2).sum(-1), (origins * directions).sum(-1)
    root = b * b - a * ((origins**2).sum(-1) - (RADIUS * larger) ** 2)
    points = origins + ((-b - root.clamp_min(0).sqrt()) / a)[..., None] * directions
    return torch.where((root > 0)[..., None], 0.5 + 0.4 * F.normalize(points, dim=-1), torch.ones(()))


class SyncPainter:
    """A model whose latents are pictures."""

    latent_size = SIZE
    betas = ("scaled_linear", 0.00085, 0.012)

    def __init__(self, larger=1.0):
        self.schedule, self.asked, self.wanted = noise_schedule(*self.betas), [], ball_from_sides(SIZE, larger)

    def look(self, picture, elevation_deg):
        self.shown, self.elevation = picture, elevation_deg
        return picture

    def noise(self, noisy, step, told, batch, both):
        self.asked.append((batch, both))
        left = float(self.schedule.alphas_cumprod[step])
        wanted = F.pad(self.wanted.permute(0, 3, 1, 2) * 2 - 1, (0, 0, 0, 0, 0, 1))
        noise = (noisy - left**0.5 * wanted) / (1 - left) ** 0.5
        return (torch.zeros_like(noise), noise / 2.0) if both else (noise, noise)

    def pictures(self, latents):
        return (latents[:, :3] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


@pytest.fixture(autouse=True)
def coarse_hull(monkeypatch):
    for name, count in (("GRID", 24), ("LOOK", 24), ("SAMPLES", 24)):
        monkeypatch.setattr(hull, name, count)


def photo_of(ball, elevation=20.0, size=128):
    return ball.views(size, orbit_degrees([0.0], elevation, 2.4, 40.0))


def test_the_model_is_shown_the_object_centred_and_told_how_high_its_camera_is(ball, context):
    model = SyncPainter()
    drawn = drawn_synchronised(photo_of(ball), model, Multiview(steps=2, scale=2.0, batch=8), context)
    assert model.elevation == pytest.approx(20.0, abs=1e-3) and not context.warnings
    assert model.asked == [(8, True)] * 2 and model.shown.shape == (PICTURE, PICTURE, 3)
    shown = object_box((model.shown < 0.9).any(-1).float(), 1.0)
    assert shown.side == pytest.approx(200, abs=6) and shown.left == pytest.approx(28, abs=4) and shown.top == pytest.approx(28, abs=4)
    assert float((drawn.rgb - model.wanted).abs().mean()) < 0.02  # guidance by 2 leads to what half of it would miss
    model.asked.clear()
    drawn_synchronised(photo_of(ball), model, Multiview(steps=2, scale=1.0), context)
    assert model.asked == [(4, False)] * 2


def test_drawn_views_are_seen_by_the_cameras_of_the_model_in_the_photos_frame(ball, context):
    photo = photo_of(ball)
    drawn = drawn_synchronised(photo, SyncPainter(), Multiview(steps=3, scale=1.0), context)
    assert len(drawn) == 16 and drawn.mask.shape == (16, SIZE, SIZE) and not drawn.confidence.any()
    back = F.normalize(drawn.cameras.position, dim=-1)
    torch.testing.assert_close(back[:, 1], torch.full((16,), 0.5), atol=1e-5, rtol=0)  # thirty degrees, and not the photo's twenty
    azimuth = torch.rad2deg(torch.atan2(back[:, 0], back[:, 2])) % 360
    torch.testing.assert_close(azimuth, torch.tensor(AZIMUTHS_DEG), atol=1e-3, rtol=0)
    wanted = ball.views(SIZE, drawn.cameras)
    overlap = (drawn.mask.minimum(wanted.mask).sum((1, 2)) / drawn.mask.maximum(wanted.mask).sum((1, 2))).min()
    assert float(overlap) > 0.9  # the photo's lens is longer, which makes the model's ball three percent smaller
    inside = (wanted.mask > 0.99) & (drawn.mask > 0.99)
    assert float((drawn.rgb - wanted.rgb)[inside].abs().mean()) < 0.03


def test_the_models_world_is_as_large_as_its_lens_says(ball):
    photo = photo_of(ball)
    box = centred_box(photo)
    cameras = cameras_round(photo, box)
    # what is one picture wide at the object in the photo's square is one picture wide there for the model
    width = box.side / 128 * 2.4 / float(photo.cameras.focal[0, 0])
    right = F.normalize(torch.linalg.cross(cameras.cam_to_world[:, :3, 1], cameras.position), dim=-1)
    edge = cameras.project((right * width / 2)[:, None])[:, 0, 0]
    torch.testing.assert_close(edge, torch.ones(16), atol=1e-5, rtol=0)


def test_the_square_is_about_what_the_camera_looks_at_and_holds_the_object(ball):
    photo = photo_of(ball)
    off = replace(photo, cameras=Cameras(photo.cameras.cam_to_world, photo.cameras.focal, photo.cameras.center + 0.05))
    box, own = centred_box(off), object_box(photo.mask[0], 1.0)
    assert box.left + box.side / 2 == pytest.approx(0.55 * 128) and box.top + box.side / 2 == pytest.approx(0.55 * 128)
    assert box.side * FILL == pytest.approx(own.side + 2 * 0.05 * 128, abs=1.5)


def test_a_height_that_it_was_not_trained_with_is_told(ball, context):
    model = SyncPainter()
    drawn_synchronised(photo_of(ball, 55.0), model, Multiview(steps=2, scale=1.0), context)
    assert "55 degrees above the horizon" in context.warnings[0] and model.elevation == pytest.approx(55.0, abs=1e-3)


def test_pictures_without_an_object_are_left_out_and_told(ball, context):
    model = SyncPainter()
    model.wanted[3:] = 1
    drawn = drawn_synchronised(photo_of(ball), model, Multiview(steps=2, scale=1.0), context)
    assert len(drawn) == 3 and "13 of 16 drawn views" in context.warnings[0]
    model.wanted[:] = 1
    with pytest.raises(FitError, match="none of the drawn views"):
        drawn_synchronised(photo_of(ball), model, Multiview(steps=2, scale=1.0), context)


def test_the_scale_of_the_drawn_pictures_is_found_and_their_height_stays(ball, context):
    photo = photo_of(ball)
    drawn = drawn_synchronised(photo, SyncPainter(larger=1.1), Multiview(steps=2, scale=1.0), context)
    _, others, share = hull.agreeing(photo, drawn, hull.APART)
    assert share > 0.97
    torch.testing.assert_close(others.cameras.cam_to_world, drawn.cameras.cam_to_world)
    masks = [ball.views(SIZE, cameras).mask > 0.5 for cameras in (others.cameras, drawn.cameras)]
    overlaps = [float((mask & (drawn.mask > 0.5)).sum() / (mask | (drawn.mask > 0.5)).sum()) for mask in masks]
    assert overlaps[0] > 0.93 > overlaps[1]


def test_a_photo_becomes_a_mesh_of_all_sides_by_a_network_from_a_checkpoint(ball, tmp_path, monkeypatch):
    """A tiny random network that is found, loaded, shown the photo and asked, as the real one is; its last layers alone know the truth."""
    pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")
    sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))
    from sync_network import TINY, saved_as, spare, whole_network

    with torch.no_grad():
        folder = saved_as(tmp_path / "converted", {**whole_network().weights, **spare()})
    steps, noise = [], syncdreamer.SyncDreamer.noise
    monkeypatch.setattr(syncdreamer, "PUBLISHED", TINY)
    monkeypatch.setattr(syncdreamer.SyncDreamer, "noise", lambda self, *given: steps.append(given[1]) or noise(self, *given))
    monkeypatch.setattr(syncdreamer.SyncDreamer, "pictures", lambda self, latents: ball_from_sides(SIZE) + 0 * latents.mean())
    syncdreamer.load.cache_clear()
    views = photo_of(ball, 12.0, 200)
    photo = tmp_path / "ball.png"
    save_image(photo, torch.cat([views.rgb[0], views.mask[0, ..., None]], -1))
    small = ["threads=1", "prior.kind=inflate", "prior.resolution=32", "fit.resolution=32", "fit.steps=6", "fit.rays=128",
             "refine.resolution=12", "refine.steps=2", "refine.image_size=48", "texture.faces=400", "texture.size=96",
             "texture.synthesis=false", "segment.size=192", "export.viewer=false", "multiview.steps=2"]  # fmt: skip
    made = pipeline.generate(photo, tmp_path / "out", config.load("syncdreamer", [*small, f"multiview.model={folder}"]))
    assert steps == [501, 1] and not any("agree" in line for line in made.warnings)
    assert load_photo(made.run_folder / "03_imagine" / "drawn.png").rgb.shape[0] % SIZE == 0
    asset = load_mesh(made.path)
    points, middles = asset.mesh.vertices[asset.mesh.faces].mean(1), asset.uv[asset.uv_faces].mean(1)
    found = F.grid_sample(asset.base_color.permute(2, 0, 1)[None], middles[None, None] * 2 - 1, align_corners=False)[0, :, 0].T
    reach = points.norm(dim=-1)
    assert float(reach.std() / reach.mean()) < 0.12  # about a ball, as far as so few samples show it
    behind = points[:, 2] < -0.5 * float(reach.max())
    assert int(behind.sum()) > 20
    assert float((found - (0.5 + 0.4 * F.normalize(points, dim=-1)))[behind].abs().mean()) < 0.12


def test_the_preset_is_as_published():
    options = config.load("syncdreamer").multiview
    assert (options.model, options.steps, options.scale, options.eta, options.batch) == ("syncdreamer", 50, 2.0, 1.0, 8)
