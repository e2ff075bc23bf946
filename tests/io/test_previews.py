"""What is drawn is what was exported: colours, sides and normals in their places."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from img23d.errors import OutputError
from img23d.io.asset_views import draw_asset, fitted
from img23d.io.corners import split
from img23d.io.gltf import glb_bytes
from img23d.io.meshes import save_mesh
from img23d.io.previews import draw_views, preview_sheet
from img23d.io.turntable import save_turntable
from img23d.io.viewer import save_viewer, viewer_html
from img23d.ops.bake import interpolate, texel_surface
from img23d.ops.raster import face_ids
from img23d.scene import Mesh, TexturedMesh, Views
from img23d.scene.cameras import orbit_degrees


class TorchRasterizer:
    """The reference rasteriser; io may not import backends."""

    name = "torch"

    def face_ids(self, points, faces, height, width):
        return face_ids(points, faces, height, width)

    def antialias(self, image, ids, points, faces):
        return image


def ball(subdivisions: int = 3, size: int = 128) -> TexturedMesh:
    """A unit ball unwrapped by longitude and latitude, coloured by position: red to the right, green up, blue to the front."""
    shape = trimesh.creation.icosphere(subdivisions)
    mesh = Mesh(torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces)))
    corner = mesh.vertices[mesh.faces]
    longitude = torch.atan2(corner[..., 0], corner[..., 2]) / (2 * torch.pi) + 0.5
    longitude = torch.where((longitude.amax(1) - longitude.amin(1) > 0.5)[:, None] & (longitude < 0.5), longitude + 1, longitude)
    latitude = torch.acos(corner[..., 1].clamp(-1, 1)) / torch.pi
    uv = torch.stack([longitude * 0.7 + 0.02, latitude], -1).reshape(-1, 2)
    y, x = torch.meshgrid((torch.arange(size) + 0.5) / size, (torch.arange(size) + 0.5) / size, indexing="ij")
    angle, down = ((x - 0.02) / 0.7 - 0.5) * 2 * torch.pi, y * torch.pi
    point = torch.stack([angle.sin() * down.sin(), down.cos(), angle.cos() * down.sin()], -1)
    return TexturedMesh(mesh, uv, torch.arange(len(uv)).reshape(-1, 3), point * 0.5 + 0.5)


def hit(cameras, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the rays meet the unit ball (V, H, W, 3), and whether they do, clear of the border."""
    origin, direction = cameras.rays(size, size)
    a, b = (direction**2).sum(-1), (origin * direction).sum(-1)
    root = b**2 - a * ((origin**2).sum(-1) - 1)
    depth = (-b - root.clamp_min(0).sqrt()) / a
    return origin + depth[..., None] * direction, root > 0.3 * a


def test_colours_and_normals_are_where_the_surface_is() -> None:
    cameras = orbit_degrees([0.0, 70.0, 200.0], [0.0, 30.0, -20.0], 4.0, 30.0)
    drawn = draw_asset(ball(4), cameras, 40, 40, TorchRasterizer())
    point, inside = hit(cameras, 40)
    assert float((drawn.rgb - (point * 0.5 + 0.5)).abs()[inside].max()) < 0.03
    local = torch.einsum("vhwi,vij->vhwj", point, cameras.cam_to_world[:, :3, :3])
    assert float((drawn.normal - local).abs()[inside].max()) < 0.03
    radius = np.tan(np.arcsin(1 / 4)) / (2 * np.tan(np.radians(15)))  # of the ball's outline, as a share of the picture
    assert np.abs(drawn.mask.mean((1, 2)).numpy() - np.pi * radius**2).max() < 0.01


def test_a_baked_normal_map_gives_back_the_surface_it_came_from() -> None:
    """Tangent frame, texture and drawing agree: the normals of an ellipsoid painted on a ball are seen again."""
    asset = ball(3, 256)
    corners = split(TexturedMesh(asset.mesh, asset.uv, asset.uv_faces, asset.base_color, asset.base_color))
    uv, faces = torch.from_numpy(corners.uv), torch.from_numpy(corners.faces)
    face, weights = texel_surface(uv, faces, 256)
    covered = face >= 0

    def here(values: np.ndarray) -> torch.Tensor:
        return interpolate(torch.from_numpy(values), faces, face[covered], weights[covered])

    normal = torch.nn.functional.normalize(here(corners.normals), dim=-1)
    tangent = here(corners.tangents)
    along = torch.nn.functional.normalize(tangent[:, :3], dim=-1)
    across = torch.linalg.cross(normal, along) * tangent[:, 3:].sign()
    wanted = torch.nn.functional.normalize(here(corners.positions) * torch.tensor([1.0, 0.5, 1.5]), dim=-1)
    baked = torch.zeros(256, 256, 3)
    baked[covered] = torch.stack([(wanted * axis).sum(-1) for axis in (along, across, normal)], -1) * 0.5 + 0.5
    cameras = orbit_degrees([0.0, 130.0], [10.0, -15.0], 4.0, 30.0)
    drawn = draw_asset(TexturedMesh(asset.mesh, asset.uv, asset.uv_faces, asset.base_color, baked), cameras, 64, 64, TorchRasterizer())
    point, inside = hit(cameras, 64)
    truth = torch.einsum(
        "vhwi,vij->vhwj", torch.nn.functional.normalize(point * torch.tensor([1.0, 0.5, 1.5]), dim=-1), cameras.cam_to_world[:, :3, :3]
    )
    error = (drawn.normal - truth).norm(dim=-1)[inside]
    assert float(error.mean()) < 0.02 and float(torch.quantile(error, 0.98)) < 0.08


def test_preview_shows_photo_asset_and_caption() -> None:
    asset = fitted(ball(2))
    cameras = orbit_degrees([0.0], 10.0, 4.2, 28.5)
    drawn = draw_asset(asset, cameras, 48, 48, TorchRasterizer())
    views = Views(cameras, drawn.rgb / drawn.mask[..., None].clamp_min(1e-6), drawn.mask)
    page = preview_sheet(views, asset, TorchRasterizer(), 48)
    assert page.dim() == 3 and page.shape[1] > 6 * 48 and float(page.min()) >= 0 and float(page.max()) == 1
    photo, front = page[28:76, 6:54], page[28:76, 60:108]
    assert float((photo - front).abs().mean()) < 0.01  # the photo's view looks like the photo
    assert float((front - 1).abs().mean()) > 0.1


def test_sheets_of_stages_show_every_map_that_is_known() -> None:
    cameras = orbit_degrees([0.0, 90.0], 0.0, 4.0, 30.0)
    drawn = draw_asset(ball(2), cameras, 32, 32, TorchRasterizer())
    bare = draw_views(Views(cameras, drawn.rgb, drawn.mask), 64)
    full = draw_views(Views(cameras, drawn.rgb, drawn.mask, drawn.mask * 2 + drawn.rgb[..., 0], drawn.normal, drawn.mask), 64)
    assert bare.shape[0] == full.shape[0] > 128 and full.shape[1] > 2.4 * bare.shape[1]


def test_turntable_turns_and_ends_where_it_began(tmp_path: Path) -> None:
    for name in ("t.webp", "t.gif"):
        save_turntable(tmp_path / name, ball(1), TorchRasterizer(), frames=6, size=32)
        with Image.open(tmp_path / name) as image:
            assert image.n_frames == 6 and image.size == (32, 32) and image.info["loop"] == 0
            frames = []
            for index in range(6):
                image.seek(index)
                frames.append(np.asarray(image.convert("RGB"), float))
        assert all(np.abs(a - b).mean() > 2 for a, b in pairwise(frames))
    with pytest.raises(OutputError, match="unknown animation format"):
        save_turntable(tmp_path / "t.mp4", ball(), TorchRasterizer())
    assert {path.name for path in tmp_path.iterdir()} == {"t.webp", "t.gif"}


class Outside(HTMLParser):
    """Collects every address that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]


def test_viewer_holds_the_model_and_needs_nothing_else(tmp_path: Path) -> None:
    asset = ball()
    page = save_viewer(tmp_path / "viewer.html", asset, "my <mug>.jpg").read_text(encoding="utf-8")
    model = re.search(r'id="model">([A-Za-z0-9+/=]+)<', page)
    assert model is not None and base64.b64decode(model[1]) == glb_bytes(asset, name="my <mug>")
    assert "{{" not in page.replace(model[1], "").split("<script>")[0] and "<title>my &lt;mug&gt;</title>" in page
    outside = Outside()
    outside.feed(page)
    assert outside.addresses == [] and not re.search(r"https?://", page.replace(model[1], ""))
    assert 'download="my__mug_.glb"' in page


def test_the_model_that_the_page_saves_is_as_large_as_the_exported_one(tmp_path: Path) -> None:
    page = save_viewer(tmp_path / "viewer.html", ball(), size_mm=80).read_text(encoding="utf-8")
    model = re.search(r'id="model">([A-Za-z0-9+/=]+)<', page)
    assert model is not None
    save_mesh(tmp_path / "ball.glb", ball(), size_mm=80)
    (tmp_path / "saved.glb").write_bytes(base64.b64decode(model[1]))
    saved, exported = (trimesh.load(tmp_path / name, force="mesh").vertices for name in ("saved.glb", "ball.glb"))
    assert np.array_equal(saved, exported) and np.ptp(np.asarray(saved), axis=0).max() == pytest.approx(0.08)


def test_viewer_of_a_bare_mesh_is_whole() -> None:
    assert viewer_html(ball().mesh).rstrip().endswith("</html>")
