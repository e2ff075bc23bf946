"""Fit: a coarse signed distance field, volume-rendered (NeuS) and held to the photo and the prior."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.config import Fit
from img23d.errors import FitError
from img23d.fields.grid import FrozenGrid, GridField, gradient, sample_grid, upsample
from img23d.ops.adam import Adam
from img23d.ops.bridge import bridged
from img23d.ops.coordinates import volume_bounds
from img23d.ops.crop import resize_views_image
from img23d.ops.losses import eikonal_loss, mask_cross_entropy, normal_cosine_loss, pearson_depth_loss, rgb_loss, weighted_mean
from img23d.ops.neus import composite_weights, cube_interval, section_alpha
from img23d.ops.volume import volume_points
from img23d.priors.hull import out_of
from img23d.priors.solid import silhouette_distance
from img23d.priors.tunnels import close_tunnels, hole_count, tunnel_count
from img23d.scene import Cameras, ShapePrior, Views
from img23d.stages.context import Context
from img23d.stages.coordinates import Surface
from img23d.stages.guide import Draw, Guide
from img23d.stages.observe import joined

VERSION = 9
OBSERVED_SIZE = 160  # pixels of the observation along each side: finer than the grid can show
MASK_SIZE = 128  # pixels of the silhouette along each side, for counting its holes
COLOR_RESOLUTION = 48
TRUNCATION = 0.12  # object units: beyond this the prior's distance is not trusted to be a distance
COARSE_SAMPLES = 40
HELD = 0.1  # of the prior's weight beside drawn views, which tell more about the solid
THIN, HEAVIEST = 20.0, 3.0  # outline's length over the silhouette's area from which on it counts more, and how much at most
TELL_EVERY = 8  # steps


def fit(
    views: Views, prior: ShapePrior, options: Fit, context: Context, drawn: Views | None = None, guide: Guide | None = None
) -> FrozenGrid:
    """Optimise a `GridField` so that its rendering agrees with the views and its volume with the prior.

    Args:
        drawn: outlines, colours and perhaps normals from other sides, from `img23d.stages.imagine`; the rest as for every stage.
        guide: diffusion models that pull at what the views do not show.

    Raises:
        FitError: the field lost its surface.
    """
    believed = upsample(prior.sdf[None], options.resolution)[0]
    field = GridField(believed, color_volume(views, prior), options.resolution, options.levels)
    target = believed.clamp(-TRUNCATION, TRUNCATION)
    trust = upsample(prior.confidence[None], options.resolution)[0]
    pixels, others = observe(views), None if drawn is None else observe(drawn)
    optimizer = Adam(
        [
            {"params": field.residuals.parameters(), "lr": options.learning_rate},
            {"params": [field.color_logit], "lr": options.color_learning_rate},
        ],
        betas=(0.9, 0.98),
        steps=options.steps,
        last_rate=options.learning_rate * 0.05,
    )
    generator, told, held = context.generator(), "", 1.0 if drawn is None else HELD
    outline = outline_weight(views.mask)
    for step in range(options.steps):
        now = step / max(1, options.steps - 1)
        sdf, color = field.dense_sdf(), field.dense_color()
        slope = gradient(sdf)
        picked, seen = look(pixels, sdf, slope, color, options, now, generator)
        inside = picked["mask"]
        trusted = inside * picked["confidence"]
        loss = (
            options.rgb.at(now) * rgb_loss(seen["rgb"], picked["rgb"], inside)
            + options.mask.at(now) * outline * mask_cross_entropy(seen["opacity"], inside)
            + options.depth.at(now) * pearson_depth_loss(seen["depth"], picked["depth"], trusted * seen["opacity"].detach())
            + options.normal.at(now) * normal_cosine_loss(seen["normal"], picked["normal"], trusted)
            + options.eikonal.at(now) * eikonal_loss(seen["slope"], torch.ones_like(seen["slope"][..., 0]))
            # where the prior is sure, the field stays with it; the photo wins where rays see it
            + options.volume.at(now) * held * weighted_mean((sdf.clamp(-TRUNCATION, TRUNCATION) - target).abs(), trust)
            + options.smooth.at(now) * roughness(slope)
        )
        if others is not None:
            loss = loss + drawn_loss(*look(others, sdf, slope, color, options, now, generator), options, now)
        if guide is not None:
            rays = (sdf, slope, color, options, now, generator)
            loss = loss + guide.pull(draw_field(*rays), guide.options.size, now, generator, partial(field_surface, *rays))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % TELL_EVERY == 0 or step + 1 == options.steps:  # asking for a number makes an accelerator wait
            told = f"loss {float(loss.detach()):.3f}"
        context.progress((step + 1) / options.steps, told)
    made = finished(field, believed, views if drawn is None else joined(views, drawn, MASK_SIZE), options)
    made.settled = guide.handover.settled if guide is not None and guide.handover is not None else None
    return made


@torch.no_grad()
def finished(field: GridField, believed: Tensor, views: Views, options: Fit) -> FrozenGrid:
    """The field as it is handed on, in one piece where the prior (R, R, R) is and without tunnels that no view shows.

    Raises:
        FitError: it lost its surface.
    """
    sdf = field.dense_sdf()
    if not bool((sdf < 0).any()):
        raise FitError("the field lost its surface", "--set fit.volume=50 holds it closer to the prior")
    # legs that are hardly thicker than a sample may have come off
    whole = without_tunnels(bridged(sdf, believed, 2 / (options.resolution - 1)), views)
    return FrozenGrid(whole.clone(), field.dense_color().clone())


def look(
    pixels: dict[str, Tensor], sdf: Tensor, slope: Tensor, color: Tensor, options: Fit, now: float, generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Some of the observed pixels, and the field along their rays."""
    picked = pick_pixels(pixels, pixels["on_object"], options.rays, generator)
    rays, sharpness = (picked["origin"], picked["direction"]), options.sharpness.at(now)
    return picked, render_rays(sdf, slope, color, *rays, options.samples, sharpness, generator)


def draw_field(sdf: Tensor, slope: Tensor, color: Tensor, options: Fit, now: float, generator: torch.Generator) -> Draw:
    """The field as `img23d.stages.guide.Guide.pull` looks at it."""

    def draw(cameras: Cameras, size: int) -> dict[str, Tensor]:
        origins, directions = (rays.reshape(-1, 3) for rays in cameras.rays(size, size))
        seen = render_rays(sdf, slope, color, origins, directions, options.samples, options.sharpness.at(now), generator)
        cover = seen["opacity"][:, None]
        return {"colors": (seen["rgb"] * cover + 1 - cover).reshape(len(cameras), size, size, 3)}

    return draw


def field_surface(sdf: Tensor, slope: Tensor, color: Tensor, options: Fit, now: float, generator: torch.Generator) -> Surface:
    """The field's surface as `img23d.stages.coordinates.ByCoordinates` looks at it: what rays accumulate of their own points."""

    def points(cameras: Cameras, size: int) -> tuple[Tensor, Tensor]:
        origins, directions = (rays.reshape(-1, 3) for rays in cameras.rays(size, size))
        seen = render_rays(sdf, slope, color, origins, directions, options.samples, options.sharpness.at(now), generator)
        cover, depth = seen["opacity"][:, None], seen["depth"][:, None]
        shape = (len(cameras), size, size)
        return (cover * (origins + depth * directions)).reshape(*shape, 3), cover.reshape(shape)

    return Surface(volume_bounds(sdf), points)


def drawn_loss(picked: dict[str, Tensor], seen: dict[str, Tensor], options: Fit, now: float) -> Tensor:
    """How far outlines, colours and normals are from drawn ones, of which depth is not known; where normals are not, confidence is 0."""
    look_alike = rgb_loss(seen["rgb"], picked["rgb"], picked["mask"]) + mask_cross_entropy(seen["opacity"], picked["mask"])
    turned_alike = normal_cosine_loss(seen["normal"], picked["normal"], picked["mask"] * picked["confidence"])
    return options.drawn.at(now) * look_alike + options.drawn_normal.at(now) * turned_alike


def outline_weight(mask: Tensor) -> float:
    """How much the outline counts, 1 to `HEAVIEST`: it is most of what thin objects show, and of others' surface it makes furrows.

    Args:
        mask: (V, H, W) 0..1.
    """
    length = (torch.diff(mask, dim=1).abs().sum() + torch.diff(mask, dim=2).abs().sum()) / mask.shape[-1]
    area = mask.sum() / (mask.shape[-2] * mask.shape[-1])
    return min(max(float(length / area.clamp(min=1e-6)) / THIN, 1.0), HEAVIEST)


def without_tunnels(sdf: Tensor, views: Views) -> Tensor:
    """(R, R, R) the field with tunnels closed that no silhouette shows: thin walls wear through where no view looks."""
    masks = resize_views_image(views.mask, MASK_SIZE)
    most = max(range(len(masks)), key=lambda view: hole_count(masks[view]))
    if tunnel_count((sdf < 0).cpu().numpy()) <= hole_count(masks[most]):
        return sdf
    points = volume_points(len(sdf), sdf).reshape(-1, 3)
    outside = torch.full_like(points[:, 0], -torch.inf)
    for view, mask in enumerate(masks):
        outside = torch.maximum(outside, out_of(views.cameras[view : view + 1], silhouette_distance(mask), points))
    return close_tunnels(sdf, outside.reshape(sdf.shape), masks[most], 2 / (len(sdf) - 1))


def observe(views: Views) -> dict[str, Tensor]:
    """All pixels of all views as flat tensors (P, ...), at the size that the grid can use."""
    assert views.depth is not None and views.normal is not None and views.confidence is not None
    size = min(OBSERVED_SIZE, views.mask.shape[-1])
    origins, directions = views.cameras.rays(size, size)
    maps = {name: resize_views_image(getattr(views, name), size) for name in ("rgb", "mask", "depth", "normal", "confidence")}
    maps["normal"] = F.normalize(maps["normal"], dim=-1)
    maps.update(origin=origins, direction=directions)
    flat = {name: value.flatten(0, 2) for name, value in maps.items()}
    return {**flat, "on_object": torch.nonzero(flat["mask"] > 0.5).flatten()}


def pick_pixels(pixels: dict[str, Tensor], on_object: Tensor, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """A random batch: two thirds of the pixels with these numbers, the rest anywhere in the picture."""
    inside = torch.randint(len(on_object), (2 * count // 3,), generator=generator)
    anywhere = torch.randint(len(pixels["mask"]), (count - len(inside),), generator=generator)
    drawn = torch.cat([inside, anywhere]).to(on_object.device)
    chosen = torch.cat([on_object[drawn[: len(inside)]], drawn[len(inside) :]])
    return {name: value[chosen] for name, value in pixels.items() if name != "on_object"}


def render_rays(
    sdf: Tensor,
    slope: Tensor,
    color: Tensor,
    origins: Tensor,
    directions: Tensor,
    samples: int,
    sharpness: float,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Volume-render rays through dense grids.

    Args:
        sdf: (R, R, R), slope: (3, R, R, R) its gradient, color: (3, C, C, C).
        origins, directions: (N, 3); the ray parameter is z-depth.

    Returns:
        opacity (N,), depth (N,), rgb (N, 3), normal (N, 3) (not normalised) and slope (N, S - 1, 3) at the section middles.
    """
    near, far = occupied_interval(sdf.detach(), origins, directions, 6.0 / sharpness)
    jitter = torch.rand(len(origins), samples, generator=generator).to(origins)
    place = (torch.arange(samples, device=origins.device) + jitter) / samples
    depth = near[:, None] + (far - near)[:, None] * place
    points = origins[:, None] + depth[..., None] * directions[:, None]
    values = sample_grid(torch.cat([sdf[None], slope]), points)
    weights = composite_weights(section_alpha(values[..., 0], sharpness))
    middle_depth = 0.5 * (depth[:, 1:] + depth[:, :-1])
    middle_slope = 0.5 * (values[:, 1:, 1:] + values[:, :-1, 1:])
    colors = sample_grid(color, 0.5 * (points[:, 1:] + points[:, :-1]))
    opacity = weights.sum(-1)
    return {
        "opacity": opacity,
        "depth": (weights * middle_depth).sum(-1) / opacity.clamp_min(1e-4),
        "rgb": (weights[..., None] * colors).sum(1) / opacity.clamp_min(1e-4)[:, None],
        "normal": (weights[..., None] * middle_slope).sum(1),
        "slope": middle_slope,
    }


@torch.no_grad()
def occupied_interval(sdf: Tensor, origins: Tensor, directions: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Skip empty space: the stretch of each ray that comes within ``margin`` of the surface, or closest to it.

    Returns:
        near (N,), far (N,) with far > near.
    """
    near, far = cube_interval(origins, directions)
    far = torch.maximum(far, near + 1e-3)
    step = (far - near) / COARSE_SAMPLES
    depth = near[:, None] + step[:, None] * (torch.arange(COARSE_SAMPLES, device=origins.device) + 0.5)
    distance = sample_grid(sdf[None], origins[:, None] + depth[..., None] * directions[:, None])[..., 0]
    close = distance < distance.amin(-1, keepdim=True).clamp_min(0.0) + margin + step[:, None]
    first = close.float().argmax(-1)
    last = COARSE_SAMPLES - 1 - close.flip(-1).float().argmax(-1)
    return near + step * first, near + step * (last + 1)


def roughness(slope: Tensor) -> Tensor:
    """Mean squared change of the gradient between neighbouring samples: bends cost, slants do not."""
    changes = torch.stack([torch.diff(slope, dim=axis).square().mean() for axis in (1, 2, 3)])
    return changes.mean() * slope.shape[1]


def color_volume(views: Views, prior: ShapePrior) -> Tensor:
    """(3, C, C, C) colours to begin with: the photo's in front of the solid's middle, the prior's back colours behind it."""
    line = torch.linspace(-1, 1, COLOR_RESOLUTION, device=prior.sdf.device)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    projected = views.cameras.project(torch.stack([x, y, z], -1).reshape(-1, 3))[0]
    grid = (projected[:, :2] * 2 - 1)[None, None]
    front, back = (
        F.grid_sample(image.permute(2, 0, 1)[None], grid, align_corners=False, padding_mode="border")[0, :, 0]
        for image in (views.rgb[0], prior.back_rgb)
    )
    middle = mid_depth(views.cameras, prior.sdf)
    share = torch.sigmoid((projected[:, 2] - middle) * 20.0)
    return (front * (1 - share) + back * share).reshape(3, *x.shape)


def mid_depth(cameras: Cameras, sdf: Tensor) -> float:
    """Mean z-depth of the solid's samples."""
    index = torch.nonzero(sdf < 0).flip(-1).to(sdf) / (sdf.shape[0] - 1) * 2 - 1
    return float(cameras.project(index)[0, :, 2].mean()) if len(index) else float(cameras.position[0].norm())
