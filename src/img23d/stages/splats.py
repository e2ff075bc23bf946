"""Splats: a textured mesh as a cloud of Gaussians that looks like it from all sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import normalize

from img23d.fields.gaussians import Gaussians, quaternion, to_harmonics
from img23d.io.asset_views import draw_asset
from img23d.io.textures import sample
from img23d.ops.adam import Adam
from img23d.ops.interpolate import fragments, to_image
from img23d.ops.normals import face_normals
from img23d.ops.raster import Rasterizer
from img23d.ops.scatter import scatter
from img23d.ops.splat import Composite, composite_tiles
from img23d.ops.ssim import ssim
from img23d.options import option
from img23d.scene import Cameras, Mesh, TexturedMesh
from img23d.scene.cameras import orbit_degrees

Progress = Callable[[float, str], None]

DISTANCE, FOV_DEG = 3.2, 40.0
"""Of the cameras, in radii of the object and degrees: they see all of it, with a little room."""
GOLDEN_ANGLE_DEG = 137.50776
WIDTH, FLATNESS = 0.6, 0.1
"""Standard deviations of a fresh Gaussian along the surface, in distances to its neighbours, and across it, in those along it."""
OPACITY = 0.95
"""Of a fresh Gaussian."""
FAINT = 0.005
"""Opacity at which a Gaussian is not worth its bytes."""
BEHIND = 0.01
"""How far behind the nearest surface a point must lie to be hidden, radii of the object: a pixel's depth is that of its centre."""
SIGHTS, SIGHT = 120, 256
"""Views that tell what is hidden, and the pixels of their side; the fit's own few views do not see the floor of a mug."""
LIKENESS = 0.2
"""Share of structural similarity in the loss; absolute difference has the rest."""
RATES = {"points": 5e-4, "log_scales": 1e-2, "rotations": 2e-3, "opacity_logits": 5e-2, "harmonics": 2e-2}
"""First learning rates. Those of the paper serve tens of thousands of steps from a poor start; here are hundreds from a good one."""
SCATTERED, PICTURES_DONE = 0.05, 0.3
"""Shares of the time that are over before the pictures are drawn, and before the fit begins."""


def silent(fraction: float, text: str) -> None:
    """A progress callback that shows nothing."""


@dataclass(frozen=True)
class Splatting:
    """How a cloud is made."""

    count: int = option(20_000, "Gaussians, at most", 100, 1_000_000)
    steps: int = option(200, "steps of the fit; 0 leaves the Gaussians flat on the surface", 0, 100_000)
    views: int = option(24, "pictures of the mesh, from all sides", 1, 1000)
    size: int = option(512, "side of a picture", 64, 4096, "px")
    window: int = option(256, "side of the part of a picture that a step sees", 32, 4096, "px")


def splats_of(asset: TexturedMesh, options: Splatting, rasterizer: Rasterizer, progress: Progress = silent, seed: int = 0) -> Gaussians:
    """A cloud of Gaussians that looks like a mesh, unlit, in the mesh's own place and unit.

    Gaussians begin flat on the surface with the texture's colours and are then fitted to pictures of the mesh.

    Args:
        asset: what is to be shown.
        options: how many Gaussians, and how long they are fitted.
        rasterizer: from `img23d.backends.rasterizers.choose_rasterizer`.
        progress: called with a fraction 0..1 and a text.
        seed: of everything random.

    Reference: Kerbl et al., 3D Gaussian Splatting for Real-Time Radiance Field Rendering (2023), for the model and the loss. Its
        densification is not needed: the surface is known.
    """
    vertices = asset.mesh.vertices
    middle = (vertices.amin(0) + vertices.amax(0)) / 2
    radius = float((vertices - middle).norm(dim=1).max())
    near = asset.moved(1 / radius, (-middle / radius).tolist())
    progress(0.0, "scatter")
    sights = all_sides(SIGHTS).to(vertices.device)
    cloud = flat_on(near, options.count, seed)
    seen = visible(cloud.points, near.mesh, sights, rasterizer)
    if not bool(seen.all()):  # what is inside is left out, and its share spent on the outside
        cloud = flat_on(near, round(options.count * len(seen) / max(int(seen.sum()), 1)), seed)
        cloud = cloud[visible(cloud.points, near.mesh, sights, rasterizer)][: options.count]
    if options.steps:
        cameras = all_sides(options.views).to(vertices.device)
        cloud = fitted_to(cloud, pictures_of(near, cameras, options.size, rasterizer, progress), cameras, options, progress, seed)
    return cloud.moved(radius, middle)


def all_sides(count: int, first: float = 0.5) -> Cameras:
    """Cameras around an object in the unit sphere, evenly spread over all directions.

    Args:
        count: of them.
        first: 0..1, which of the directions between the even ones is taken.
    """
    steps = torch.arange(count) + first
    elevation = torch.rad2deg(torch.asin(1 - 2 * steps / count))
    return orbit_degrees((steps * GOLDEN_ANGLE_DEG % 360).tolist(), elevation.tolist(), DISTANCE, FOV_DEG)


@dataclass(frozen=True)
class Pictures:
    """V pictures of a mesh: (V, H, W, 3) sRGB on black and (V, H, W) coverage."""

    rgb: Tensor
    mask: Tensor


def pictures_of(asset: TexturedMesh, cameras: Cameras, size: int, rasterizer: Rasterizer, progress: Progress = silent) -> Pictures:
    """Square pictures of a mesh, unlit, drawn one by one: at once they would take gigabytes."""
    rgb, mask = [], []
    for view in range(len(cameras)):
        drawn = draw_asset(asset, cameras[view : view + 1], size, size, rasterizer)
        rgb.append(drawn.rgb)
        mask.append(drawn.mask)
        progress(SCATTERED + (PICTURES_DONE - SCATTERED) * view / len(cameras), "pictures")
    return Pictures(torch.cat(rgb), torch.cat(mask))


def flat_on(asset: TexturedMesh, count: int, seed: int = 0) -> Gaussians:
    """Gaussians that lie flat on a mesh, as wide as they are apart, in its texture's colours."""
    face, weight = (part.to(asset.mesh.vertices.device) for part in scatter(asset.mesh, count, seed))
    points = (asset.mesh.vertices[asset.mesh.faces[face]] * weight[..., None]).sum(1)
    rgb = sample(asset.base_color, (asset.uv[asset.uv_faces[face]] * weight[..., None]).sum(1))
    normal = face_normals(asset.mesh)[face]
    # Any two directions along the surface will do: the Gaussians are round.
    other = torch.where(normal[:, :1].abs() < 0.7, normal.new_tensor([1.0, 0.0, 0.0]), normal.new_tensor([0.0, 1.0, 0.0]))
    along = normalize(torch.linalg.cross(normal, other), dim=-1)
    turn = torch.stack([along, torch.linalg.cross(normal, along), normal], -1)
    place = points.cpu().numpy()
    apart = torch.from_numpy(cKDTree(place).query(place, 4)[0][:, 1:].mean(1)).to(points)
    width = (WIDTH * apart).clamp(min=1e-6)
    scales = torch.stack([width, width, width * FLATNESS], 1)
    return Gaussians(points, scales.log(), quaternion(turn), torch.logit(torch.full_like(width, OPACITY)), to_harmonics(rgb))


def visible(points: Tensor, mesh: Mesh, cameras: Cameras, rasterizer: Rasterizer) -> Tensor:
    """(N,) whether any of the cameras sees points (N, 3) of a mesh's surface; all of them, where none sees any."""
    found = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for view in range(len(cameras)):
        corners, place = (cameras[view : view + 1].project(some) for some in (mesh.vertices, points))
        hits = fragments(rasterizer.face_ids(corners, mesh.faces, SIGHT, SIGHT), corners, mesh.faces)
        nearest = to_image(hits, 1 / hits.depth)[0]  # 0 where nothing is hit
        column, row = (place[0, :, :2] * SIGHT).long().clamp(0, SIGHT - 1).unbind(-1)
        found |= nearest[row, column] * (place[0, :, 2] - BEHIND) < 1
    return found if bool(found.any()) else ~found


def fitted_to(
    cloud: Gaussians, views: Pictures, cameras: Cameras, options: Splatting, progress: Progress = silent, seed: int = 0
) -> Gaussians:  # fmt: skip
    """Fit a cloud to pictures of an object.

    Each step sees one window of one picture: windows cost as little as small pictures, and the Gaussians get as fine as in large ones.
    The background changes at random, so that none of it gets into the cloud.

    Args:
        cloud: where to begin.
        views: V pictures.
        cameras: theirs.
        options: how long.
        progress: called with a fraction 0..1 and a text.
        seed: of views, windows and backgrounds.

    Returns:
        The cloud without those Gaussians that have become too faint.
    """
    leaves = {name: value.clone().requires_grad_() for name, value in vars(cloud).items()}
    adam = Adam([{"params": [leaf], "lr": RATES[name], "eps": 1e-15} for name, leaf in leaves.items()], (0.9, 0.999), options.steps, 0.0)
    generator = torch.Generator().manual_seed(seed)
    together = fastest(cloud)
    side = min(options.window, options.size)
    order: list[int] = []
    for step in range(options.steps):
        order = order or torch.randperm(len(cameras), generator=generator).tolist()
        view = order.pop()
        left, top = torch.randint(options.size - side + 1, (2,), generator=generator).tolist()
        background = torch.rand(3, generator=generator).to(views.rgb)
        camera = window(cameras[view : view + 1], options.size, left, top, side)
        adam.zero_grad()
        rgb, coverage = Gaussians(**leaves).draw(camera, side, side, together)
        here = (view, slice(top, top + side), slice(left, left + side))
        picture, truth = on(background, rgb[0], coverage[0]), on(background, views.rgb[here], views.mask[here])
        loss = (1 - LIKENESS) * (picture - truth).abs().mean() + LIKENESS * (1 - ssim(picture, truth))
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        progress(PICTURES_DONE + (1 - PICTURES_DONE) * (step + 1) / options.steps, f"{step + 1}/{options.steps}")
    found = Gaussians(**{name: leaf.detach() for name, leaf in leaves.items()})
    return found[found.opacity > FAINT]


def fastest(cloud: Gaussians) -> Composite:
    """What puts ellipses together where the cloud is."""
    if cloud.points.device.type != "cpu":
        return composite_tiles
    from img23d.backends.splat_numba import composite  # loads numba, which other formats do without

    return composite


def window(camera: Cameras, size: int, left: int, top: int, side: int) -> Cameras:
    """The camera of a square window of a square picture; all in pixels."""
    corner = camera.center.new_tensor([left, top])
    return Cameras(camera.cam_to_world, camera.focal * size / side, (camera.center * size - corner) / side)


def on(background: Tensor, rgb: Tensor, coverage: Tensor) -> Tensor:
    """(..., 3) pictures on black before a plain background instead."""
    return rgb + (1 - coverage[..., None]) * background
