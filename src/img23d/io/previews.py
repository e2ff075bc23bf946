"""Sheets of labelled pictures to look at: the finished asset beside its photo, and what each stage knows."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from img23d.io.asset_views import AssetViews, draw_asset, fitted
from img23d.io.images import to_pillow
from img23d.ops.raster import Rasterizer
from img23d.scene import Cameras, TexturedMesh, Views
from img23d.scene.cameras import orbit_degrees

CELL = 288
LABEL = 22
MARGIN = 6
_INK, _PAPER = (70, 70, 78), (255, 255, 255)
_SIDES = (("from the right", 90.0, 8.0), ("back", 180.0, 8.0), ("from the left", 270.0, 8.0), ("from above", 35.0, 50.0))
_DISTANCE, _FOV_DEG = 4.2, 28.5


def preview_sheet(photo_views: Views, asset: TexturedMesh, rasterizer: Rasterizer, cell: int = CELL) -> Tensor:
    """The photo, the asset seen from the photo's camera, its sides, back and top, and the normals of each.

    Args:
        photo_views: what the photo shows; the first view is drawn.
        asset: the textured mesh, in the object frame of the views' cameras.
        rasterizer: from `img23d.backends.rasterizers.choose_rasterizer`.
        cell: pixels of one picture's side.

    Returns:
        (H, W, 3) sRGB 0..1, on white.
    """
    front = draw_asset(asset, photo_views.cameras[:1], cell, cell, rasterizer)
    cameras = orbit_degrees([azimuth for _, azimuth, _ in _SIDES], [elevation for _, _, elevation in _SIDES], _DISTANCE, _FOV_DEG)
    around = draw_asset(fitted(asset), cameras.to(asset.mesh.vertices.device), cell, cell, rasterizer)
    photo = on_white(photo_views.rgb[0], photo_views.mask[0])
    top = [("photo", photo), ("the photo's view", on_white(front.rgb[0], None, front.mask[0]))]
    top += [(name, on_white(rgb, None, mask)) for (name, _, _), rgb, mask in zip(_SIDES, around.rgb, around.mask)]
    below = [_photo_normals(photo_views), ("normals", normal_picture(front)[0])]
    below += [("", picture) for picture in normal_picture(around)]
    caption = f"{len(asset.mesh.faces):,} faces, {asset.base_color.shape[0]} px texture" + (
        "" if asset.normal_map is None else ", normal map"
    )
    return sheet([top, below], cell, caption)


def draw_views(views: Views, cell: int = CELL) -> Tensor:
    """All maps of some views: one row per view, one column per map.

    Returns:
        (H, W, 3) sRGB 0..1, on white.
    """
    rows = []
    for index in range(len(views)):
        mask = views.mask[index]
        row = [("colour", on_white(views.rgb[index], mask)), ("mask", mask[..., None].expand(-1, -1, 3))]
        if views.depth is not None:
            row.append(("depth (near is light)", _depth_picture(views.depth[index], mask)))
        if views.normal is not None:
            row.append(("normal", _object_normals(views, index)))
        if views.confidence is not None:
            row.append(("confidence", on_white(views.confidence[index][..., None].expand(-1, -1, 3), mask)))
        rows.append(row)
    return sheet(rows, cell)


def sheet(rows: list[list[tuple[str, Tensor]]], cell: int = CELL, caption: str = "") -> Tensor:
    """Labelled pictures in a grid.

    Args:
        rows: label and picture (H, W, 3), each fitted into a square cell.
        cell: pixels of a cell's side.
        caption: one line below all.

    Returns:
        (H, W, 3), on white.
    """
    columns = max(len(row) for row in rows)
    width = columns * (cell + MARGIN) + MARGIN
    height = len(rows) * (cell + LABEL + MARGIN) + MARGIN + (LABEL if caption else 0)
    page = Image.new("RGB", (width, height), _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for number, row in enumerate(rows):
        top = MARGIN + number * (cell + LABEL + MARGIN)
        for column, (label, picture) in enumerate(row):
            left = MARGIN + column * (cell + MARGIN)
            draw.text((left + 3, top + 2), label, _INK, font)
            image = to_pillow(picture)
            scale = cell / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
            page.paste(image, (left + (cell - size[0]) // 2, top + LABEL + (cell - size[1]) // 2))
    if caption:
        draw.text((MARGIN + 3, height - LABEL), caption, _INK, font)
    return torch.from_numpy(np.array(page)).float() / 255


def on_white(rgb: Tensor, mask: Tensor | None, covered: Tensor | None = None) -> Tensor:
    """(H, W, 3) over white: with ``mask``, rgb is not yet multiplied by it; with ``covered``, it already is."""
    if covered is not None:
        return (rgb + (1 - covered[..., None])).clamp(0, 1)
    assert mask is not None
    return rgb * mask[..., None] + (1 - mask[..., None])


def normal_picture(views: AssetViews) -> Tensor:
    """(V, H, W, 3) normals as colours, softly shaded by a lamp at the camera so that form is seen as well as direction, on white."""
    length = views.normal.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    unit = views.normal / length
    shade = 0.55 + 0.45 * unit[..., 2:].clamp(0, 1)
    return ((unit * 0.5 + 0.5) * shade * views.mask[..., None] + (1 - views.mask[..., None])).clamp(0, 1)


def _photo_normals(views: Views) -> tuple[str, Tensor]:
    """The photo's normals where they are known, else its mask."""
    if views.normal is None:
        return "mask", views.mask[0][..., None].expand(-1, -1, 3)
    return "normals of the photo", _object_normals(views, 0)


def _object_normals(views: Views, index: int) -> Tensor:
    """(H, W, 3) the view's object-frame normals in its camera's frame, drawn as `normal_picture` does."""
    assert views.normal is not None
    cameras: Cameras = views.cameras
    local = views.normal[index] @ cameras.cam_to_world[index, :3, :3].to(views.normal)
    mask = views.mask[index]
    return normal_picture(AssetViews(local[None], local[None], mask[None]))[0]


def _depth_picture(depth: Tensor, mask: Tensor) -> Tensor:
    """(H, W, 3) grey: near is light, far is dark, outside is white."""
    inside = mask > 0.5
    if not bool(inside.any()):
        return torch.ones(*depth.shape, 3)
    near, far = torch.quantile(depth[inside][:1_000_000], torch.tensor([0.01, 0.99]).to(depth))
    grey = 0.9 - 0.75 * ((depth - near) / (far - near).clamp_min(1e-9)).clamp(0, 1)
    return torch.where(inside, grey, torch.ones_like(grey))[..., None].expand(-1, -1, 3)
