"""How much an asset looks like the true object where the photo did not see it: colours, and the texture's own character."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.io.asset_views import draw_asset
from img23d.ops.defringe import blur_inside
from img23d.ops.raster import Rasterizer
from img23d.scene import Cameras, Mesh, TexturedMesh

SIZE = 128  # pixels of a compared picture
MARGIN = 1.06  # its side, longest sides of the silhouette
BANDS = (1.0, 2.0, 4.0)  # blurs that part a picture into bands of detail, pixels
PATCH, DIRECTIONS, QUANTILES = 5, 64, 99
FEWEST = 20  # patches, or pixels, that tell anything
GAINS = (0.5, 2.0)  # exposures that are made up for


@dataclass(frozen=True)
class Appearance:
    """How far pictures are apart; both 0 for the same pictures.

    Args:
        colour: mean absolute difference of blurred sRGB colours 0..1 where both pictures show the object.
        detail: distance of the distributions of small patches, sRGB 0..1, wherever they lie. A smear has too little detail and is far from
            a print; a wrong print is near.
    """

    colour: float
    detail: float


def turned_views(asset: TexturedMesh, camera: Cameras, turns: tuple[float, ...], rasterizer: Rasterizer) -> Tensor:
    """(T, 128, 128, 4) colours and coverage of an asset turned about its upright middle, each silhouette filling its picture.

    Args:
        asset: to draw, unlit.
        camera: one camera, the photo's; it is moved back or forth to see the whole of the asset from every side.
        turns: degrees by which the camera goes round the asset, anticlockwise from above.
        rasterizer: from `img23d.backends.rasterizers.choose_rasterizer`.
    """
    vertices = asset.mesh.vertices
    middle = (vertices.amin(0) + vertices.amax(0)) / 2
    around = _seeing_all(camera, middle, float((vertices - middle).norm(dim=-1).amax()))
    pictures = []
    for turn in turns:
        cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        rotation = vertices.new_tensor([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
        moved = replace(asset, mesh=Mesh((vertices - middle) @ rotation.T + middle, asset.mesh.faces), normal_map=None, vertex_normals=None)
        drawn = draw_asset(moved, around, 2 * SIZE, 2 * SIZE, rasterizer)
        pictures.append(_filling(drawn.rgb[0], drawn.mask[0]))
    return torch.stack(pictures)


def appearance(made: Tensor, true: Tensor) -> Appearance:
    """Compare pictures of what the photo did not show.

    Args:
        made: (1 + T, 128, 128, 4) from `turned_views`; by the first, from the photo's own side, exposure and white balance are made up for.
        true: the same of the true object.

    Reference: Karras et al., Progressive growing of GANs (2018), section 5, for the sliced Wasserstein distance of patches.
    """
    gain = _gain(made[0], true[0])
    colours: list[float] = []
    details: list[float] = []
    for ours, theirs in zip(made[1:], true[1:]):
        bands, smooth, inside = _bands(torch.cat([(ours[..., :3] * gain).clamp(0, 1), ours[..., 3:]], -1))
        true_bands, true_smooth, true_inside = _bands(theirs)
        both = (inside * true_inside) > 0.5
        if int(both.sum()) >= FEWEST:
            colours.append(float((smooth - true_smooth)[both].abs().mean()))
        details.extend(_patch_distance(*pair, level, inside, true_inside) for level, pair in enumerate(zip(bands, true_bands)))
    known = [value for value in details if not math.isnan(value)]
    return Appearance(_mean(colours), _mean(known))


def _seeing_all(camera: Cameras, middle: Tensor, radius: float) -> Cameras:
    """The camera with the same direction of view and lens, looking at the middle of a sphere from where all of it shows."""
    pose = camera.cam_to_world.clone()
    half_angle = math.atan(0.5 / float(camera.focal[0].amax()))
    pose[0, :3, 3] = middle.to(pose) + pose[0, :3, 2] * (1.05 * radius / math.sin(half_angle))
    return replace(camera, cam_to_world=pose, center=torch.full_like(camera.center, 0.5))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _filling(rgb: Tensor, mask: Tensor) -> Tensor:
    """(128, 128, 4): the silhouette's bounding square with colours that are not darkened at its rim."""
    inside = mask > 0.5
    if not bool(inside.any()):
        return rgb.new_zeros(SIZE, SIZE, 4)
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    side = MARGIN * float(max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1)
    steps = (torch.arange(SIZE, device=rgb.device) + 0.5) / SIZE - 0.5
    y = (float(rows[0] + rows[-1] + 1) / 2 + steps * side) / mask.shape[0] * 2 - 1
    x = (float(columns[0] + columns[-1] + 1) / 2 + steps * side) / mask.shape[1] * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None].to(rgb)
    planes = torch.cat([rgb, mask[..., None]], -1).permute(2, 0, 1)[None]
    found = F.grid_sample(planes, grid, align_corners=False)[0].permute(1, 2, 0)
    return torch.cat([found[..., :3] / found[..., 3:].clamp(min=1e-3), found[..., 3:]], -1)


def _gain(made: Tensor, true: Tensor) -> Tensor:
    """(3,) factors that bring colours of the same side closest."""
    both = (made[..., 3] > 0.9) & (true[..., 3] > 0.9)
    if int(both.sum()) < FEWEST:
        return made.new_ones(3)
    ours, theirs = made[both][:, :3], true[both][:, :3]
    return ((ours * theirs).sum(0) / ours.square().sum(0).clamp(min=1e-6)).clamp(*GAINS)


def _bands(picture: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Bands of detail (128, 128, 3) from fine to coarse, what is left, and the (128, 128) pixels within."""
    inside = (picture[..., 3] > 0.9).to(picture.dtype)
    current, bands = picture[..., :3], []
    for sigma in BANDS:
        smooth = blur_inside(current, inside, sigma)
        bands.append(current - smooth)
        current = smooth
    return bands, current, inside


def _patch_distance(made: Tensor, true: Tensor, level: int, inside: Tensor, true_inside: Tensor) -> float:
    """Sliced Wasserstein distance of the patches of one band; nan where there are too few."""
    ours, theirs = _patches(made, inside, 2**level), _patches(true, true_inside, 2**level)
    if min(len(ours), len(theirs)) < FEWEST:
        return math.nan
    generator = torch.Generator().manual_seed(level)
    directions = F.normalize(torch.randn(ours.shape[1], DIRECTIONS, generator=generator), dim=0).to(ours)
    steps = torch.linspace(0.01, 0.99, QUANTILES).to(ours)
    return float((torch.quantile(ours @ directions, steps, dim=0) - torch.quantile(theirs @ directions, steps, dim=0)).abs().mean())


def _patches(band: Tensor, inside: Tensor, step: int) -> Tensor:
    """(P, 75) patches of every ``step``-th pixel that lie within."""
    columns = F.unfold(band[::step, ::step].permute(2, 0, 1)[None], PATCH)[0].T
    return columns[F.unfold(inside[::step, ::step][None, None], PATCH)[0].amin(0) > 0.5]
