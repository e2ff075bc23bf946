"""Six sides with normals by a model that knows a ball: where its cameras are, what its normals mean, and what becomes of them."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from img23d import config, pipeline
from img23d.backends.wonder3d import AZIMUTHS_DEG
from img23d.config import Fit, Refine
from img23d.diffusion_options import Multiview
from img23d.errors import FitError
from img23d.fields.analytic import Sphere
from img23d.fields.grid import FrozenGrid, gradient
from img23d.io.images import load_photo, save_image
from img23d.io.meshes import load_mesh
from img23d.ops.crop import object_box
from img23d.ops.losses import normal_cosine_loss
from img23d.options import Ramp
from img23d.priors import hull
from img23d.priors.hull import TOGETHER, agreeing
from img23d.scene import Cameras
from img23d.scene.cameras import orbit_degrees, pixel_centers
from img23d.scores.schedule import noise_schedule
from img23d.stages.fit import drawn_loss, fit, look, observe
from img23d.stages.imagine_set import FAR, FILL, GRAZING, PICTURE, TRUST, cameras_round, drawn_set, outline
from img23d.stages.refine import refine

ELEVATION = 20.0


def turn(degrees):
    """The rotation about y that takes z towards x."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


class SetPainter:
    """A model whose latents are pictures of 256 px: a ball in parallel projection that fills as much of them as the photo's did.

    Its normals are in the frame of the photo's camera; its colours tell where on the ball they are, in the object's frame.
    """

    latent_size = PICTURE
    betas = ("scaled_linear", 0.00085, 0.012)

    def __init__(self, elevation=ELEVATION, size=1.0):
        self.schedule, self.asked, self.shown = noise_schedule(*self.betas), [], None
        xy = (pixel_centers(PICTURE, PICTURE, torch.zeros(1)) - 0.5) / (FILL / 2 * size)
        z = (1 - xy.square().sum(-1)).clamp_min(0).sqrt()
        cover = ((1 - xy.norm(dim=-1)) * PICTURE * FILL / 2 * size + 0.5).clamp(0, 1)[..., None]
        own = F.normalize(torch.stack([xy[..., 0], -xy[..., 1], z], -1), dim=-1)
        to_object = orbit_degrees([0.0], elevation, 2.4, 40.0).cam_to_world[0, :3, :3]
        normals = torch.stack([own @ turn(degrees).T for degrees in AZIMUTHS_DEG])
        colors = 0.5 + 0.4 * normals @ to_object.T
        self.wanted = torch.cat([(normals + 1) / 2, colors]) * cover + 1 - cover

    def look(self, picture):
        self.shown = picture
        return picture

    def noise(self, noisy, step, known, both):
        self.asked.append(both)
        left = float(self.schedule.alphas_cumprod[step])
        wanted = F.pad(self.wanted.permute(0, 3, 1, 2) * 2 - 1, (0, 0, 0, 0, 0, 1))
        noise = (noisy - left**0.5 * wanted) / (1 - left) ** 0.5
        return (torch.zeros_like(noise), noise / 3.0) if both else (noise, noise)

    def pictures(self, latents):
        return (latents[:, :3] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


def photo_of(ball, elevation=ELEVATION, size=128):
    return ball.views(size, orbit_degrees([0.0], elevation, 2.4, 40.0))


def ball_seen(cameras, size=PICTURE, radius=0.6):
    """The ball's normals (V, S, S, 3) as cameras see it, and where (V, S, S) they do; in double precision, as they may be far away."""
    origins, directions = (rays.double() for rays in cameras.rays(size, size))
    a, b = (directions**2).sum(-1), (origins * directions).sum(-1)
    root = b * b - a * ((origins**2).sum(-1) - radius**2)
    points = origins + ((-b - root.clamp_min(0).sqrt()) / a)[..., None] * directions
    return F.normalize(points, dim=-1).float(), root > 0


@pytest.fixture(autouse=True)
def coarse_hull(monkeypatch):
    for name, count in (("GRID", 24), ("LOOK", 24), ("SAMPLES", 24)):
        monkeypatch.setattr(hull, name, count)


@pytest.fixture(scope="module")
def drawn(ball):
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.stages.context import Context

    context = Context(torch.device("cpu"), choose_rasterizer("numba"))
    return drawn_set(photo_of(ball), SetPainter(), Multiview(steps=3, scale=1.0), context)


def test_cameras_are_turned_about_the_photos_own_upward_axis_and_see_in_parallel(ball):
    photo = photo_of(ball)
    box = object_box(photo.mask[0], FILL)
    cameras = cameras_round(photo, box)
    back = cameras.position / FAR
    elevations = [math.degrees(math.asin(float(one))) for one in back[:, 1]]
    assert elevations[0] == pytest.approx(20.0, abs=1e-3) and elevations[3] == pytest.approx(-20.0, abs=1e-3)
    assert elevations[2] == pytest.approx(0.0, abs=1e-3)
    up = photo.cameras.cam_to_world[0, :3, 1]
    torch.testing.assert_close(cameras.cam_to_world[:, :3, 1], up.expand(6, 3))
    assert float(back[2] @ photo.cameras.cam_to_world[0, :3, 0]) == pytest.approx(1.0)  # 90 degrees are to the right
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)) * 0.5
    width = box.side / 128 * 2.4 / float(photo.cameras.focal[0, 0])
    local = points @ cameras.cam_to_world[:, :3, :3]
    wanted = 0.5 + torch.stack([local[..., 0], -local[..., 1]], -1) / width
    assert float((cameras.project(points)[..., :2] - wanted).abs().max()) < 0.015


def test_an_object_off_the_photos_middle_is_in_the_middle_of_all_pictures(ball):
    camera = orbit_degrees([0.0], ELEVATION, 2.4, 40.0)
    shifted = Cameras(camera.cam_to_world, camera.focal, camera.center + torch.tensor([0.1, -0.05]))
    photo = replace(ball.views(128, shifted), cameras=camera)  # as a camera that looks at the origin sees a ball beside it
    cameras = cameras_round(photo, object_box(photo.mask[0], FILL))
    right, up = camera.cam_to_world[0, :3, 0], camera.cam_to_world[0, :3, 1]
    middle = (right * 0.1 + up * 0.05) * 2.4 / float(camera.focal[0, 0])
    torch.testing.assert_close(cameras.project(middle[None])[..., :2], torch.full((6, 1, 2), 0.5), atol=0.006, rtol=0)


def test_drawn_normals_are_the_balls_own_in_the_object_frame(drawn):
    assert len(drawn) == 5 and drawn.mask.shape == (5, PICTURE, PICTURE)
    wanted, seen = ball_seen(drawn.cameras)
    inside = (drawn.mask > 0.99) & seen & (drawn.confidence > 0)
    assert float(inside.float().mean()) > 0.3
    angle = torch.rad2deg(torch.acos((drawn.normal * wanted).sum(-1)[inside].clamp(-1, 1)))
    assert float(angle.mean()) < 3.0  # the photo's perspective makes its ball some percent larger
    torch.testing.assert_close(drawn.normal[inside].norm(dim=-1), torch.ones(int(inside.sum())))
    assert float((drawn.rgb - (0.5 + 0.4 * wanted))[inside].abs().mean()) < 0.03
    assert not drawn.depth.any()


def test_a_normal_counts_by_how_much_it_faces_its_camera(drawn):
    wanted, seen = ball_seen(drawn.cameras)
    facing = (wanted * F.normalize(drawn.cameras.position, dim=-1)[:, None, None]).sum(-1)
    inside = (drawn.mask > 0.99) & seen
    for number in range(5):
        there, cosine = drawn.confidence[number][inside[number]], facing[number][inside[number]]
        sure = (cosine - GRAZING).abs() > 0.1
        expected = torch.where(cosine > GRAZING, (cosine - 1).exp() * TRUST[number + 1], torch.zeros_like(cosine))
        assert float((there - expected)[sure].abs().mean()) < 0.02
    assert not drawn.confidence[drawn.mask == 0].any()


def test_the_model_is_shown_the_object_centred_and_guided_only_where_asked(ball, context):
    model = SetPainter()
    drawn_set(photo_of(ball), model, Multiview(steps=2, scale=3.0), context)
    assert model.asked == [True, True] and model.shown.shape == (PICTURE, PICTURE, 3)
    box = object_box((model.shown < 0.9).any(-1).float(), 1.0)
    assert box.side == pytest.approx(FILL * PICTURE, abs=6) and box.left == pytest.approx(PICTURE * (1 - FILL) / 2, abs=3)
    model.asked.clear()
    model.wanted = torch.ones_like(model.wanted)
    with pytest.raises(FitError, match="none of the drawn views"):
        drawn_set(photo_of(ball), model, Multiview(steps=1, scale=1.0), context)
    assert model.asked == [False]


def test_holes_in_the_object_are_seen_by_its_normals():
    picture = SetPainter().wanted[0].clone()
    picture[110:146, 110:146] = 1
    mask = outline(picture)
    assert not mask[112:144, 112:144].any() and float(mask[80:100, 80:100].min()) == 1
    assert float((mask > 0.5).float().mean()) == pytest.approx(math.pi * (FILL / 2) ** 2 - (36 / PICTURE) ** 2, abs=0.01)


@pytest.mark.parametrize("size", [0.88, 1.1])
def test_the_scale_of_the_drawn_pictures_is_found(ball, context, size):
    photo = photo_of(ball)
    model = SetPainter(size=size)
    drawn = drawn_set(photo, model, Multiview(steps=2, scale=1.0), context)
    moved, others, share = agreeing(photo, drawn, TOGETHER)
    assert share > 0.97
    torch.testing.assert_close(moved.cameras.cam_to_world[0, :3, :3], photo.cameras.cam_to_world[0, :3, :3])
    _, seen = ball_seen(others.cameras)
    overlap = (seen & (others.mask > 0.5)).sum() / (seen | (others.mask > 0.5)).sum()
    _, before = ball_seen(drawn.cameras)
    assert float(overlap) > 0.93 > float((before & (drawn.mask > 0.5)).sum() / (before | (drawn.mask > 0.5)).sum())


def test_drawn_normals_pull_a_field_to_the_ball(ball, drawn, context):
    egg = ball.prior(0.6)
    points = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 40)] * 3, indexing="ij"), -1).flip(-1)
    stretched = (points / torch.tensor([0.45, 0.75, 0.6])).norm(dim=-1)
    egg = replace(egg, sdf=(stretched - 1) * 0.55, confidence=torch.full_like(egg.sdf, 0.1))
    off = {name: Ramp(0.0, 0.0) for name in ("rgb", "mask", "depth", "normal", "drawn", "smooth", "volume")}
    options = Fit(resolution=32, levels=2, steps=14, rays=384, samples=24, learning_rate=0.015, **off)

    def error(drawn_normal):
        field = fit(photo_of(ball), egg, replace(options, drawn_normal=Ramp(drawn_normal, drawn_normal)), context, drawn)
        slope, sdf = gradient(field.sdf_volume), field.sdf_volume
        picked, seen = look(observe(drawn), sdf, slope, field.color_volume, options, 1.0, torch.Generator().manual_seed(0))
        return float(normal_cosine_loss(seen["normal"], picked["normal"], picked["confidence"]))

    assert error(1.0) < 0.5 * error(0.0)


def test_a_ball_has_no_loss_in_its_own_normals_and_views_without_normals_have_none_at_all(drawn):
    points = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 48)] * 3, indexing="ij"), -1).flip(-1)
    sdf = Sphere(0.6).sdf(points.reshape(-1, 3)).reshape(48, 48, 48)
    field = FrozenGrid(sdf, torch.full((3, 2, 2, 2), 0.5))
    options = Fit(drawn=Ramp(0.0, 0.0), drawn_normal=Ramp(1.0, 1.0))

    def loss(views):
        seen = look(observe(views), sdf, gradient(sdf), field.color_volume, options, 1.0, torch.Generator().manual_seed(0))
        return float(drawn_loss(*seen, options, 1.0))

    assert loss(drawn) < 0.01
    assert loss(replace(drawn, normal=drawn.normal * torch.tensor([-1.0, 1.0, 1.0]))) > 0.3  # another frame
    assert loss(replace(drawn, confidence=torch.zeros_like(drawn.mask))) == 0


def test_refine_takes_no_depth_from_drawn_views(ball, drawn, context):
    field, photo = FrozenGrid(ball.prior(0.6).sdf, torch.full((3, 2, 2, 2), 0.5)), photo_of(ball)
    options = Refine(resolution=12, subdivisions=0, steps=2, image_size=48, smooth_unseen=0, depth=Ramp(5.0, 5.0))
    meshes = [refine(photo, field, options, context, replace(drawn, depth=drawn.depth - away)) for away in (0.0, 5.0)]
    assert torch.equal(meshes[0].vertices, meshes[1].vertices)
    turned = refine(photo, field, options, context, replace(drawn, normal=-drawn.normal))
    assert not torch.equal(meshes[0].vertices, turned.vertices)  # normals count


def test_a_photo_becomes_a_mesh_of_the_set(ball, tmp_path, monkeypatch):
    import img23d.backends.hub
    from img23d.backends import wonder3d

    model = SetPainter(12.0)
    monkeypatch.setattr(img23d.backends.hub, "require", lambda name, offline, commercial_ok: name)
    monkeypatch.setattr(wonder3d, "is_wonder3d", lambda path: path == "wonder3d")
    monkeypatch.setattr(wonder3d, "load", lambda path, device: model)
    views = photo_of(ball, 12.0, 200)
    photo = tmp_path / "ball.png"
    save_image(photo, torch.cat([views.rgb[0], views.mask[0, ..., None]], -1))
    small = ["threads=1", "prior.kind=inflate", "prior.resolution=32", "fit.resolution=32", "fit.steps=6", "fit.rays=128",
             "refine.resolution=12", "refine.steps=2", "refine.image_size=48", "texture.faces=400", "texture.size=96",
             "texture.synthesis=false", "segment.size=192", "export.viewer=false", "multiview.steps=2"]  # fmt: skip
    made = pipeline.generate(photo, tmp_path / "out", config.load("wonder3d", small))
    assert model.asked == [False, False] and not any("agree" in line for line in made.warnings)
    assert load_photo(made.run_folder / "03_imagine" / "drawn.png").rgb.shape[:2] == (2 * PICTURE, 5 * PICTURE)
    asset = load_mesh(made.path)
    points, middles = asset.mesh.vertices[asset.mesh.faces].mean(1), asset.uv[asset.uv_faces].mean(1)
    found = F.grid_sample(asset.base_color.permute(2, 0, 1)[None], middles[None, None] * 2 - 1, align_corners=False)[0, :, 0].T
    reach = points.norm(dim=-1)
    assert float(reach.std() / reach.mean()) < 0.12  # about a ball, as far as so few samples show it
    behind = points[:, 2] < -0.5 * float(reach.max())
    assert int(behind.sum()) > 20
    assert float((found - (0.5 + 0.4 * F.normalize(points, dim=-1)))[behind].abs().mean()) < 0.12
